"""Wrappers of upkeep.lua: what keeps a partition clean."""

from __future__ import annotations

from typing import Any, cast

from ff_core import keys
from ff_core.scan import Scan
from ff_core.store.functions.base import Functions, number


class UpkeepFunctions(Functions):
    """Retention and the repair of indexes."""

    async def retention_purge(self, partition: int, limit: int) -> Scan:
        """Deletes what terminal executions own once their retention is over."""
        reply = cast("list[Any]", await self.client.fcall("retention_purge", keys.anchor(partition), limit))
        return Scan(reply[0], number(reply[1]))

    async def index_reconcile(
        self, partition: int, index: str, offset: int, limit: int, ttl_ms: int
    ) -> tuple[int, int]:
        """Where to go on, 0 at the end, and how much was repaired."""
        reply = await self.client.fcall(
            "index_reconcile", keys.anchor(partition), index, offset, limit, ttl_ms
        )
        next_offset, repaired = cast("list[int]", reply)
        return next_offset, repaired
