"""Suspensions with a wait that ran out of time, sleeps among them."""

from __future__ import annotations

from ff_scanners.scanner import Scanner, ScanResult


class SuspensionTimeout(Scanner):
    """Does what the wait says: resumes the execution, ends it, or leaves it to an operator."""

    name = "suspension_timeout"
    default_interval_ms = 1_000
    default_batch = 100

    async def scan(self, partition: int) -> ScanResult:
        return self.result_of(await self.backend.suspension_lapse(partition, self.batch))
