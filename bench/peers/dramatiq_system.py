"""Dramatiq on its Redis broker, with its default middleware.

`-p 4 -t 8` is the default number of threads, `-t 32` gives it the slots the others have; the table shows
both. Messages are prefetched (two a thread), acknowledged one by one and redelivered when the heartbeat
of their process has been missing for a minute. No results are stored, which is its default.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.processes import Command
from bench.server import Server
from bench.system import Submit, System, each_in_flight

QUEUE = "default"
FILL_THREADS = 32


class Dramatiq(System):
    """`dramatiq -p PROCESSES -t THREADS`."""

    def __init__(self, server: Server, processes: int, threads: int) -> None:
        super().__init__(server)
        self.processes = processes
        self.threads = threads

    def workers(self) -> Sequence[Command]:
        shape = ("-p", str(self.processes), "-t", str(self.threads))
        return [Command("dramatiq", (*shape, "bench.peers.dramatiq_app:broker"))]

    @asynccontextmanager
    async def submitter(self) -> AsyncIterator[Submit]:
        """Its client is synchronous: the calls in flight are threads."""
        broker = RedisBroker(url=self.server.url)  # type: ignore[no-untyped-call]

        def noop(payload: str) -> None:
            """Never run here: the driver only submits."""

        actor = dramatiq.actor(queue_name=QUEUE, broker=broker)(noop)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(FILL_THREADS) as threads:

            async def submit(payload: bytes) -> object:
                return await loop.run_in_executor(threads, actor.send, payload.decode())

            yield submit
        broker.close()

    async def fill(self, count: int, payload: bytes) -> None:
        async with self.submitter() as submit:
            await each_in_flight(submit, [payload] * count, FILL_THREADS)

    async def is_settled(self) -> bool:
        """An acknowledged message has left the hash of messages."""
        return not await self.server.admin.exists(f"dramatiq:{QUEUE}.msgs")
