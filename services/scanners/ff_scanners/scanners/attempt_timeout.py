"""Attempts that take too long."""

from __future__ import annotations

from ff_scanners.scanner import Scanner, ScanResult


class AttemptTimeout(Scanner):
    """Fails them; the retry policy of the execution decides what follows."""

    name = "attempt_timeout"
    default_interval_ms = 1_000
    default_batch = 100

    async def scan(self, partition: int) -> ScanResult:
        return self.result_of(await self.backend.attempt_expire(partition, self.batch))
