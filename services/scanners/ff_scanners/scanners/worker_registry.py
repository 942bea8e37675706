"""Workers that were not heard of in time."""

from __future__ import annotations

from ff_scanners.scanner import Scanner, ScanResult


class WorkerRegistry(Scanner):
    """Forgets them, and says so to whoever routes by capabilities."""

    name = "worker_registry"
    default_interval_ms = 5_000
    default_batch = 100
    is_once_per_fleet = True

    async def scan(self, partition: int) -> ScanResult:
        return self.result_of(await self.backend.worker_sweep(self.batch))
