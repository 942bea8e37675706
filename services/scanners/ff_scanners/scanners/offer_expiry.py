"""Grants that no worker confirmed in time."""

from __future__ import annotations

from ff_scanners.scanner import Scanner, ScanResult


class OfferExpiry(Scanner):
    """Gives them back to the head of their queues; that costs no attempt."""

    name = "offer_expiry"
    default_interval_ms = 1_000
    default_batch = 100

    async def scan(self, partition: int) -> ScanResult:
        return self.result_of(await self.backend.offer_expire(partition, self.batch))
