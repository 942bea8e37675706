"""Wrappers of timer.lua: what time does by itself, one partition a call."""

from __future__ import annotations

from typing import Any, cast

from ff_core import keys
from ff_core.scan import Scan
from ff_core.store.functions.base import Functions, number


class TimerFunctions(Functions):
    """Each handles up to `limit` due entries."""

    async def offer_expire(self, partition: int, limit: int) -> Scan:
        """Gives back grants that were not confirmed in time."""
        return await self._scan("offer_expire", partition, limit)

    async def lease_expire(self, partition: int, limit: int) -> Scan:
        """Queues executions whose lease ran out."""
        return await self._scan("lease_expire", partition, limit)

    async def delayed_promote(self, partition: int, limit: int) -> Scan:
        """Queues delayed executions that are due."""
        return await self._scan("delayed_promote", partition, limit)

    async def attempt_expire(self, partition: int, limit: int) -> Scan:
        """Fails attempts that take too long."""
        return await self._scan("attempt_expire", partition, limit)

    async def deadline_expire(self, partition: int, limit: int) -> Scan:
        """Ends executions past their deadline, and those whose worker did not stop when asked."""
        return await self._scan("deadline_expire", partition, limit)

    async def _scan(self, function: str, partition: int, limit: int) -> Scan:
        reply = cast("list[Any]", await self.client.fcall(function, keys.anchor(partition), limit))
        return Scan(reply[0], number(reply[1]))
