"""The demo, as `make demo` runs it, on small directories."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.index_files.files import PROJECT, select
from examples.index_files.tasks import CHUNK_BYTES, index_of

pytestmark = pytest.mark.processes

# Much longer than a lease takes to be renewed, so that the worker that is killed has leases to its name.
PACE = "2"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Files of many sizes, some of which are not to be indexed."""
    directory = tmp_path / "files"
    (directory / "deep").mkdir(parents=True)
    (directory / ".git").mkdir()
    (directory / ".git" / "config").write_text("not mine\n")
    for number in range(6):
        (directory / "deep" / f"{number}.txt").write_text(f"words of file {number}\n" * 20 * number)
    (directory / "two chunks.md").write_bytes("é".encode() * CHUNK_BYTES)
    (directory / "binary.bin").write_bytes(b"a\0b")
    (directory / "large.txt").write_bytes(b"a" * ((1 << 20) + 1))
    (directory / "link.txt").symlink_to("large.txt")
    return directory


@contextmanager
def run_demo(directory: Path) -> Iterator[subprocess.Popen[str]]:
    options = ["--dir", str(directory), "--pace", PACE, "--json"]
    command = [sys.executable, "-m", "examples.index_files.demo", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=PROJECT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_every_file_has_its_outcome_although_a_worker_is_killed(directory: Path) -> None:
    with run_demo(directory) as demo:
        out, progress = demo.communicate()

    assert demo.returncode == 0, progress
    summary = json.loads(out)
    assert summary["problems"] == []
    assert summary["files"] == summary["completed"] == summary["verified"] == 7
    assert summary["recovered"] >= 1
    assert summary["killed"] in ("indexer-1", "indexer-2")
    contents = [path.read_bytes() for path in [*directory.glob("deep/*.txt"), directory / "two chunks.md"]]
    assert summary["bytes"] == sum(map(len, contents))
    assert summary["words"] == sum(index_of(content).words for content in contents)
    assert summary["frames"] >= 5 + 2  # the empty file has none
    for line in (
        "skipped 1: binary (binary.bin)",
        "skipped 1: over 1 MiB (large.txt)",
        "skipped 1: no regular",
    ):
        assert line in progress
    assert "was killed while it held" in progress


def test_a_file_that_changes_meanwhile_is_told_of_and_fails_the_demo(directory: Path) -> None:
    with run_demo(directory) as demo:
        assert demo.stderr is not None
        for line in demo.stderr:
            if line.startswith("submitted"):
                break
        (directory / "deep" / "3.txt").write_text("something else")
        (directory / "deep" / "4.txt").unlink()
        out, _ = demo.communicate()

    assert demo.returncode == 1
    summary = json.loads(out)
    assert (
        "deep/3.txt changed on disk after it was submitted, so its hash proves nothing" in summary["problems"]
    )
    assert any(problem.startswith("deep/4.txt ") for problem in summary["problems"])
    assert summary["verified"] == 5


def test_a_directory_without_text_is_nothing_to_index(tmp_path: Path) -> None:
    with run_demo(tmp_path) as demo:
        _, progress = demo.communicate()

    assert demo.returncode == 1
    assert "there is nothing to index" in progress


def test_of_this_project_only_its_own_text_is_indexed() -> None:
    selection = select(PROJECT)

    names = {file.name for file in selection.files}
    assert {"pyproject.toml", "examples/index_files/demo.py"} <= names
    assert not any(name.startswith((".venv", ".git", "proto/gen")) for name in names)
    assert selection.skipped == {}
