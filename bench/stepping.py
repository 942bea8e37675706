"""A system that runs a workflow of three durable steps, and how a sample of it is taken."""

from __future__ import annotations

import asyncio
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

#: Runs so many workflows with so many in flight, and gives the seconds that each took.
Clock = Callable[[int, int], Awaitable[list[float]]]


@dataclass(frozen=True)
class Stepper:
    """A system that is up and has its workflow registered."""

    clock: Clock
    roles: Mapping[str, Sequence[int]]


class Stepping(ABC):
    """One system; its three steps do nothing, and each result is durable before the next step begins."""

    def missing(self) -> str:
        """Why it cannot be measured here; empty when it can."""
        return ""

    @abstractmethod
    def running(self) -> AbstractAsyncContextManager[Stepper]:
        """Runs everything the system needs, with data of its own."""


def timed(run: Callable[[], Awaitable[object]]) -> Clock:
    """A clock around a call that starts one workflow and returns with its result."""

    async def clock(count: int, in_flight: int) -> list[float]:
        remaining = iter(range(count))
        seconds: list[float] = []

        async def lane() -> None:
            for _ in remaining:
                began = time.perf_counter()
                await run()
                seconds.append(time.perf_counter() - began)

        async with asyncio.TaskGroup() as lanes:
            for _ in range(in_flight):
                lanes.create_task(lane())
        return seconds

    return clock


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now; for programs that cannot say which one they took."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


async def until_open(port: int) -> None:
    """Waits until somebody listens on a port of this machine."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
