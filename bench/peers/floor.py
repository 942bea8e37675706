"""The raw floor: what Python and Valkey do without any queue system.

BLMPOP and SET of a 4 KiB value over plain redis-py, one connection for each of 16 coroutines. A task
popped by a process that dies is lost, so this is no alternative, only a yardstick.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from bench.processes import Command
from bench.server import Server
from bench.system import Submit, System

QUEUE = "floor:queue"
FILL_CHUNK = 1_000


class Floor(System):
    """One process with 16 connections."""

    processes = 1

    def __init__(self, server: Server) -> None:
        super().__init__(server)

    def workers(self) -> Sequence[Command]:
        return [Command("bench.peers.floor_worker")]

    @asynccontextmanager
    async def submitter(self) -> AsyncIterator[Submit]:
        async with Redis.from_url(self.server.url, max_connections=32) as client:

            async def submit(payload: bytes) -> object:
                return await client.rpush(QUEUE, payload)

            yield submit

    async def fill(self, count: int, payload: bytes) -> None:
        for first in range(0, count, FILL_CHUNK):
            await self.server.admin.rpush(QUEUE, *[payload] * min(FILL_CHUNK, count - first))

    async def is_settled(self) -> bool:
        return not await self.server.admin.exists(QUEUE)
