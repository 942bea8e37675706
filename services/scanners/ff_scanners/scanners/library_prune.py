"""Function libraries of earlier releases that no live process calls."""

from __future__ import annotations

from ff_scanners.scanner import Scanner, ScanResult


class LibraryPrune(Scanner):
    """Deletes them. A process that was not heard of for a while loads its library again."""

    name = "library_prune"
    default_interval_ms = 300_000
    default_batch = 1
    is_once_per_fleet = True
    is_news = True

    async def scan(self, partition: int) -> ScanResult:
        pruned = await self.backend.prune_libraries()
        return ScanResult(len(pruned), detail=" ".join(pruned))
