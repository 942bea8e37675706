"""Which files are indexed, and why others are not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from examples.index_files.tasks import CHUNK_BYTES

PROJECT = Path(__file__).resolve().parents[2]
PROJECT_SUFFIXES = frozenset({".md", ".py", ".lua", ".proto", ".toml"})

LARGEST_BYTES = 1 << 20
SNIFFED_BYTES = 8192

#: Folders of tools, dependencies and generated code.
SKIPPED_FOLDERS = frozenset({"__pycache__", "build", "dist", "gen", "node_modules", "venv"})


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was when its execution was submitted."""

    path: Path
    name: str
    """Relative to the directory, for people."""
    size: int
    sha256: str

    @property
    def chunks(self) -> int:
        """Frames its content makes; the pause of an empty file counts as one."""
        return max(1, -(-self.size // CHUNK_BYTES))


@dataclass(frozen=True, slots=True)
class Selection:
    """The files to index, and the others with the reason."""

    files: list[File]
    skipped: dict[str, list[str]]
    """Names by reason."""


def select(directory: Path) -> Selection:
    """The text files of a directory; of this project only its own kinds."""
    suffixes = PROJECT_SUFFIXES if directory == PROJECT else None
    files: list[File] = []
    skipped: dict[str, list[str]] = {}
    for path in walk(directory):
        if suffixes is not None and path.suffix not in suffixes:
            continue
        name = str(path.relative_to(directory))
        found = examine(path, name)
        if isinstance(found, File):
            files.append(found)
        else:
            skipped.setdefault(found, []).append(name)
    return Selection(files, skipped)


def walk(directory: Path) -> Iterator[Path]:
    """Every file but those in folders of tools, dependencies and generated code, in order."""
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(each for each in folders if each[0] != "." and each not in SKIPPED_FOLDERS)
        yield from (Path(folder, name) for name in sorted(names))


def examine(path: Path, name: str) -> File | str:
    """The file, or the reason to skip it."""
    if path.is_symlink() or not path.is_file():
        return "no regular file"
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return "over 1 MiB"
        data = path.read_bytes()
    except OSError as error:
        return error.strerror or "unreadable"
    if b"\0" in data[:SNIFFED_BYTES]:
        return "binary"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "a name that is not UTF-8"
    return File(path, name, len(data), hashlib.sha256(data).hexdigest())
