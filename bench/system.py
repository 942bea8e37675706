"""A queue system under test, and how a sample of it begins and ends.

A sample of any system goes: empty the Valkey they share, start the system on it, measure, stop
everything. Nothing of one system runs while another is measured.
"""

from __future__ import annotations

import asyncio
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

from bench.gate import GATE_VARIABLE, Gate, closed_gate
from bench.processes import Command, Running, started, while_alive
from bench.server import Server
from bench.usage import Usage

Submit = Callable[[bytes], Awaitable[object]]

VALKEY_VARIABLE = "BENCH_VALKEY"
BOOT_SECONDS = 60.0


class System(ABC):
    """One system in one shape: so many processes with so many slots."""

    #: Worker processes that will come to the gate.
    processes: int
    #: How its workers are told to end.
    stop_signal = signal.SIGTERM

    def __init__(self, server: Server) -> None:
        self.server = server

    def services(self) -> AbstractAsyncContextManager[Mapping[str, Sequence[int]]]:
        """Runs what the system needs beside Valkey and its workers; gives process ids by role."""
        return nullcontext({})

    @abstractmethod
    def workers(self) -> Sequence[Command]:
        """Commands that start the worker processes."""

    @abstractmethod
    def submitter(self) -> AbstractAsyncContextManager[Submit]:
        """A connected client's call that submits one task and returns when it is stored."""

    @abstractmethod
    async def fill(self, count: int, payload: bytes) -> None:
        """Queues that many tasks, as fast as the system can."""

    @abstractmethod
    async def is_settled(self) -> bool:
        """True when nothing is queued, running or unacknowledged."""


@dataclass(frozen=True)
class Line:
    """A system whose workers stand at the gate."""

    gate: Gate
    roles: Mapping[str, Sequence[int]]
    workers: Sequence[Running]


async def each_in_flight(submit: Submit, payloads: Sequence[bytes], in_flight: int) -> None:
    """Submits all payloads with so many calls at a time."""
    remaining = iter(payloads)

    async def lane() -> None:
        for payload in remaining:
            await submit(payload)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(lane())


@asynccontextmanager
async def fresh(system: System) -> AsyncIterator[Mapping[str, Sequence[int]]]:
    """The system's services on an empty Valkey; gives process ids by role."""
    await system.server.reset()
    async with system.services() as roles:
        yield {"valkey": [system.server.pid], **roles}


@asynccontextmanager
async def lined_up(system: System, environment: Mapping[str, str]) -> AsyncIterator[Line]:
    """The system on an empty Valkey with all its workers at the closed gate."""
    async with fresh(system) as roles, closed_gate() as gate:
        environment = {**environment, GATE_VARIABLE: gate.path, VALKEY_VARIABLE: system.server.url}
        async with started(system.workers(), environment, system.stop_signal) as workers:
            await while_alive(workers, gate.arrivals(system.processes), BOOT_SECONDS)
            yield Line(gate, {**roles, "workers": [worker.pid for worker in workers]}, workers)


def watch(line: Line) -> Usage:
    """Starts counting the CPU time of everything that takes part."""
    return Usage(line.roles)
