"""What came of a run: every file against its execution, its result, its output and the disk."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from examples.index_files.files import File
from examples.index_files.tasks import FileIndex, index_of
from flowfabric import Client, Execution, FlowFabricError, State

IN_FLIGHT = 16


@dataclass(slots=True)
class Summary:
    """The end of a run, as `--json` prints it."""

    files: int
    completed: int = 0
    verified: int = 0
    """Files whose result and output are what is on disk."""
    recovered: int = 0
    """Executions whose lease was lost with the killed worker, and that completed all the same."""
    frames: int = 0
    """Output frames, those of lost attempts included."""
    words: int = 0
    lines: int = 0
    bytes: int = 0
    killed: str = ""
    """The worker that was killed."""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    """Sentences; none when all is well."""


async def judge(client: Client, submitted: Mapping[str, File], seen: Sequence[Execution]) -> Summary:
    """Checks every file."""
    summary = Summary(files=len(submitted))
    summary.problems += wrong_ids(submitted, seen)
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def check(execution_id: str, file: File) -> None:
        async with gate:
            try:
                await judge_file(client, execution_id, file, summary)
            except FlowFabricError as error:
                summary.problems.append(f"{file.name}: {error}")

    async with asyncio.TaskGroup() as checks:
        for execution_id, file in submitted.items():
            checks.create_task(check(execution_id, file))
    return summary


def wrong_ids(submitted: Mapping[str, File], seen: Sequence[Execution]) -> Iterator[str]:
    """What does not fit between the executions that were submitted and those that the engine lists."""
    listed = Counter(execution.execution_id for execution in seen)
    yield from (f"{file.name} has no execution" for one, file in submitted.items() if one not in listed)
    yield from (f"execution {one} was never submitted" for one in listed if one not in submitted)
    yield from (f"execution {one} is listed {count} times" for one, count in listed.items() if count > 1)


async def judge_file(client: Client, execution_id: str, file: File, summary: Summary) -> None:
    """Checks one file and adds it to the summary."""
    execution = await client.get(execution_id)
    summary.frames += execution.output_frames
    if execution.state is not State.COMPLETED:
        summary.problems.append(f"{file.name} was not indexed: its execution {execution.ending()}")
        return
    summary.completed += 1
    summary.recovered += execution.reclaims > 0
    index = await client.result(execution_id, FileIndex)
    summary.words += index.words
    summary.lines += index.lines
    output, close_reason = await read_output(client, execution)
    problems = list(compare(file, index, output, close_reason))
    summary.problems += problems
    summary.verified += not problems
    summary.bytes += len(output)


def compare(file: File, index: FileIndex, output: bytes, close_reason: str) -> Iterator[str]:
    """What is wrong with one file, as sentences."""
    try:
        on_disk = file.path.read_bytes()
    except OSError as error:
        yield f"{file.name} can no longer be read: {error.strerror}"
        return
    if hashlib.sha256(on_disk).hexdigest() != file.sha256:
        yield f"{file.name} changed on disk after it was submitted, so its hash proves nothing"
        return
    if index != index_of(on_disk):
        yield f"{file.name}: the result is {index}, the disk says {index_of(on_disk)}"
    if output != on_disk:
        yield f"{file.name}: the output of the last attempt has {len(output)} bytes that are not the file"
    if close_reason != "completed":
        yield f"{file.name}: the output is not closed as completed but as {close_reason!r}"


async def read_output(client: Client, execution: Execution) -> tuple[bytes, str]:
    """The output of the last attempt, put together, and how the stream was closed."""
    parts: list[bytes] = []
    after = ""
    while True:
        page = await client.read_output(execution.execution_id, after, attempt=execution.attempt)
        parts += [frame.data for frame in page.frames]
        if page.close_reason or page.next == after:
            return b"".join(parts), page.close_reason
        after = page.next
