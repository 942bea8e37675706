"""Checks what no linter checks: sizes, names, and traces of the machine it was written on (`make lint`)."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent

#: A file longer than this has more than one subject.
LONGEST = {".py": 800, ".lua": 400}
#: Names that say nothing about what is inside, so everything ends up there.
EMPTY_NAMES = frozenset(
    {"common", "helper", "helpers", "manager", "managers", "misc", "models", "util", "utils"}
)
GENERATED = PurePosixPath("proto/gen")

#: A pinned or mentioned registry host breaks the build of whoever uses a mirror.
REGISTRY = re.compile(
    r"\b(?:(?:pypi|npmjs|pythonhosted|golang)\.(?:org|com)|crates\.[i]o"
    r"|(?:docker|ghcr|quay|gcr)\.[i]o|registry\.[k]8s\.io)\b|--(?:extra-)?index-url\b"
)
#: Somebody's home, or the folder a build happened to run in.
MACHINE_PATH = re.compile(r"(?<![\w./}-])/(?:home|Users|root|work|workspace)/[\w.-]+")


def problems(name: str, text: str) -> Iterator[str]:
    """What is wrong with the file called `name` (relative to the root), as sentences."""
    path = PurePosixPath(name)
    if path.is_relative_to(GENERATED):
        return
    lines = text.splitlines()
    longest = LONGEST.get(path.suffix)
    if longest and len(lines) > longest:
        yield f"{name}: {len(lines)} lines; split it, {longest} are the most"
    if path.suffix in LONGEST:
        parts = {*path.parent.parts, path.stem}
        for part in sorted(parts & EMPTY_NAMES):
            yield f"{name}: '{part}' says nothing about what is inside; name it after its subject"
    for number, line in enumerate(lines, start=1):
        if found := REGISTRY.search(line):
            yield f"{name}:{number}: names a registry ({found[0]})"
        if found := MACHINE_PATH.search(line):
            yield f"{name}:{number}: names a path of one machine ({found[0]})"


def tree() -> list[str]:
    """Files that are tracked or would be: what a commit of everything would hold."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"check_tree reads the list of files from git, which failed: {error}")
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def read(name: str) -> str:
    """The text of a file; nothing for a binary one."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def main() -> None:
    names = tree()
    found = [problem for name in names for problem in problems(name, read(name))]
    if found:
        sys.exit("\n".join(found))
    print(f"{len(names)} files: sizes, names and contents are as agreed")


if __name__ == "__main__":
    main()
