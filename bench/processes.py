"""Processes that a sample starts, and certainly stops."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 10.0


class ProcessFailedError(Exception):
    """A process of the system under test ended before its time."""


@dataclass(frozen=True)
class Command:
    """How to start one process in the root of the project: a module, or a program that is no Python."""

    module: str
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    program: str = ""
    """Path of what to run instead of a module with the driver's interpreter."""

    def line(self) -> list[str]:
        """The command line."""
        program = [self.program] if self.program else [sys.executable, "-m", self.module]
        return [*program, *self.arguments]


@dataclass(frozen=True)
class Running:
    """A started process and where it writes."""

    process: asyncio.subprocess.Process
    output: IO[bytes]

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self.process.pid

    def tail(self) -> str:
        """The end of what it wrote."""
        self.output.seek(0)
        return self.output.read()[-3000:].decode(errors="replace")

    async def stop(self, first: signal.Signals) -> None:
        """Signals the whole group, and kills what is left of it after a while."""
        _signal_group(self.pid, first)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self.process.wait()
        _signal_group(self.pid, signal.SIGKILL)
        await self.process.wait()
        self.output.close()


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


async def start(command: Command, environment: Mapping[str, str]) -> Running:
    """Starts a process in a group of its own."""
    output = tempfile.TemporaryFile()  # noqa: SIM115 (closed by stop)
    process = await asyncio.create_subprocess_exec(
        *command.line(),
        env={**os.environ, **environment, **(command.environment or {})},
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    return Running(process, output)


@asynccontextmanager
async def started(
    commands: Sequence[Command], environment: Mapping[str, str], stop_signal: signal.Signals = signal.SIGTERM
) -> AsyncIterator[list[Running]]:
    """Runs the commands for the length of the block."""
    running: list[Running] = []
    try:
        for command in commands:
            running.append(await start(command, environment))  # noqa: PERF401 (stopped if the next fails)
        yield running
    finally:
        await asyncio.gather(*(each.stop(stop_signal) for each in running))


async def while_alive(running: Sequence[Running], work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Awaits the work, and fails as soon as one of the processes ends or the time is over."""
    task = asyncio.ensure_future(work)
    ends = {asyncio.ensure_future(each.process.wait()): each for each in running}
    try:
        await asyncio.wait([task, *ends], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for end, each in ends.items():
            if end.done():
                raise ProcessFailedError(f"ended with {end.result()}:\n{each.tail()}")
        if not task.done():
            tails = "\n".join(each.tail()[-1000:] for each in running)
            raise ProcessFailedError(f"not done after {seconds:.0f} s:\n{tails}")
        task.result()
    finally:
        task.cancel()
        for end in ends:
            end.cancel()
