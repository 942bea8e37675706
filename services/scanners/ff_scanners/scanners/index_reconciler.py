"""Indexes and timers that disagree with the executions they stand for."""

from __future__ import annotations

from prometheus_client import Counter

from ff_core.backend import EngineBackend
from ff_scanners.scanner import Scanner, ScanResult

REPAIRS = Counter("ff_index_repairs_total", "Entries of an index that were wrong and were mended", ["index"])

#: `executions` first: what it puts back in its place the others need not drop.
INDEXES = (
    "executions",
    "delayed",
    "suspended",
    "offered",
    "leased",
    "completed",
    "failed",
    "cancelled",
    "expired",
    "deadline",
    "attempt_timeout",
)


class IndexReconciler(Scanner):
    """Walks over all indexes of a partition in turn and repairs what a bug or a lost write left.

    A partition with less than a batch in each index is checked whole every interval. A longer index takes
    one interval a batch: the price of looking does not grow with what is stored.
    """

    name = "index_reconciler"
    default_interval_ms = 45_000
    default_batch = 500
    is_news = True

    def __init__(self, backend: EngineBackend, *, lease_ttl_ms: int) -> None:
        super().__init__(backend, lease_ttl_ms=lease_ttl_ms)
        self._cursors: dict[int, tuple[int, int]] = {}
        """Place in INDEXES and offset there, by partition."""

    async def scan(self, partition: int) -> ScanResult:
        place, offset = self._cursors.get(partition, (0, 0))
        index = INDEXES[place]
        offset, repaired = await self.backend.index_reconcile(
            partition, index, offset, self.batch, self.lease_ttl_ms
        )
        is_index_done = offset == 0
        if is_index_done:
            place = (place + 1) % len(INDEXES)
        self._cursors[partition] = (place, offset)
        if repaired:
            REPAIRS.labels(index).inc(repaired)
        return ScanResult(repaired, more=is_index_done and place != 0, detail=index)
