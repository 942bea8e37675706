"""Delayed executions whose time has come."""

from __future__ import annotations

from ff_scanners.scanner import Scanner, ScanResult


class DelayedPromoter(Scanner):
    """Puts them in their queues."""

    name = "delayed_promoter"
    default_interval_ms = 750
    default_batch = 200

    async def scan(self, partition: int) -> ScanResult:
        return self.result_of(await self.backend.delayed_promote(partition, self.batch))
