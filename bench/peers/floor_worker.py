"""The worker process of the raw floor."""

from __future__ import annotations

import asyncio
import os

import uvloop
from redis.asyncio import Redis

from bench.gate import Entrant
from bench.peers.floor import QUEUE
from bench.system import VALKEY_VARIABLE

CONNECTIONS = 16


async def work(connection: int, entrant: Entrant) -> None:
    """Pops, stores, counts; until the process is stopped."""
    async with Redis.from_url(os.environ[VALKEY_VARIABLE], single_connection_client=True) as client:
        number = 0
        while True:
            popped = await client.blmpop(1, 1, QUEUE, direction="LEFT", count=1)
            if popped is None:
                continue
            started = entrant.moment()
            number += 1
            await client.set(f"floor:result:{connection}:{number}", popped[1][0])
            entrant.count(started)


async def main() -> None:
    """Runs all connections."""
    entrant = Entrant()
    await asyncio.to_thread(entrant.wait)
    async with asyncio.TaskGroup() as group:
        for connection in range(CONNECTIONS):
            group.create_task(work(connection, entrant))


if __name__ == "__main__":
    uvloop.run(main())
