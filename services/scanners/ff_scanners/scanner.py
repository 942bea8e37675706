"""What a scanner is: it looks for one thing that time or an accident did, and mends it, one batch a call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ff_core.backend import EngineBackend
from ff_core.scan import Scan


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What one scan of one partition did."""

    changed: int = 0
    next_due_ms: int = 0
    """When the next entry is due, in Valkey's time; 0 for nothing in sight."""
    more: bool = False
    """There is more to do now."""
    detail: str = ""
    """What was changed, for the log."""


class Scanner(ABC):
    """One kind of scan. It never loops, waits or logs: `ff_scanners.runner` does.

    Scan and fix are one atomic function of the store, so two scanners on one partition are harmless.
    """

    name: ClassVar[str]
    default_interval_ms: ClassVar[int]
    default_batch: ClassVar[int]
    is_once_per_fleet: ClassVar[bool] = False
    """It has nothing to do with partitions; the owner of partition 0 runs it."""
    is_news: ClassVar[bool] = False
    """What it changes is worth a line in the log, and not just a metric."""

    def __init__(self, backend: EngineBackend, *, lease_ttl_ms: int) -> None:
        self.backend = backend
        self.lease_ttl_ms = lease_ttl_ms
        self.batch = self.default_batch
        """Entries a scan handles at most; the runner lowers it when scans get slow."""

    @abstractmethod
    async def scan(self, partition: int) -> ScanResult:
        """Handles one batch. Raises EngineError."""

    def result_of(self, scan: Scan) -> ScanResult:
        """The result of a timer: a full batch leaves more behind."""
        return ScanResult(scan.changed, scan.next_due_ms, more=scan.changed >= self.batch)
