"""Leases that ran out: the worker died, hangs, or is cut off."""

from __future__ import annotations

from ff_scanners.scanner import Scanner, ScanResult


class LeaseExpiry(Scanner):
    """Puts the executions back in their queues, as often as their policy allows."""

    name = "lease_expiry"
    default_interval_ms = 1_000
    default_batch = 100

    async def scan(self, partition: int) -> ScanResult:
        return self.result_of(await self.backend.lease_expire(partition, self.batch))
