"""Terminal executions whose retention is over."""

from __future__ import annotations

from ff_scanners.scanner import Scanner, ScanResult


class Retention(Scanner):
    """Deletes everything they own."""

    name = "retention"
    default_interval_ms = 60_000
    default_batch = 100

    async def scan(self, partition: int) -> ScanResult:
        return self.result_of(await self.backend.retention_purge(partition, self.batch))
