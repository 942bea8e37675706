"""Taskiq on taskiq-redis' RedisStreamBroker.

The broker that acknowledges (a consumer group, claimed over after ten minutes of silence); the list
broker loses what a dying process held. Acknowledged when the result is saved and no result backend, both
its defaults. Its workers log every task at INFO; here they are told WARNING, which is faster.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from taskiq_redis import RedisStreamBroker

from bench.processes import Command
from bench.server import Server
from bench.system import Submit, System, each_in_flight

QUEUE = "taskiq"
FILL_IN_FLIGHT = 32


class Taskiq(System):
    """`taskiq worker -w PROCESSES --max-async-tasks TASKS`."""

    def __init__(self, server: Server, processes: int, tasks: int) -> None:
        super().__init__(server)
        self.processes = processes
        self.tasks = tasks

    def workers(self) -> Sequence[Command]:
        shape = ("-w", str(self.processes), "--max-async-tasks", str(self.tasks), "--log-level", "WARNING")
        return [Command("taskiq", ("worker", *shape, "bench.peers.taskiq_app:broker"))]

    @asynccontextmanager
    async def submitter(self) -> AsyncIterator[Submit]:
        broker = RedisStreamBroker(self.server.url, max_connection_pool_size=FILL_IN_FLIGHT + 1)

        @broker.task(task_name="noop")
        async def noop(payload: str) -> None:
            """Never run here: the driver only submits."""

        await broker.startup()
        try:

            async def submit(payload: bytes) -> object:
                return await noop.kiq(payload.decode())

            yield submit
        finally:
            await broker.shutdown()

    async def fill(self, count: int, payload: bytes) -> None:
        async with self.submitter() as submit:
            await each_in_flight(submit, [payload] * count, FILL_IN_FLIGHT)

    async def is_settled(self) -> bool:
        """The group has read every entry and every one is acknowledged."""
        groups = await self.server.admin.xinfo_groups(QUEUE)
        return all(group["lag"] == 0 and group["pending"] == 0 for group in groups)
