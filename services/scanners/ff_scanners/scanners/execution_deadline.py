"""Executions past their deadline, and those whose worker did not stop when asked to."""

from __future__ import annotations

from ff_scanners.scanner import Scanner, ScanResult


class ExecutionDeadline(Scanner):
    """Ends them: expired, or cancelled."""

    name = "execution_deadline"
    default_interval_ms = 1_000
    default_batch = 100

    async def scan(self, partition: int) -> ScanResult:
        return self.result_of(await self.backend.deadline_expire(partition, self.batch))
