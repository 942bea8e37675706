"""Settings of the scanners."""

from __future__ import annotations

import socket
from typing import Self

from pydantic import Field, model_validator

from ff_core.settings import ServiceSettings
from ff_scanners.range import parse_range
from ff_scanners.registry import SCANNERS
from ff_scanners.scanners.attempt_timeout import AttemptTimeout
from ff_scanners.scanners.delayed_promoter import DelayedPromoter
from ff_scanners.scanners.execution_deadline import ExecutionDeadline
from ff_scanners.scanners.index_reconciler import IndexReconciler
from ff_scanners.scanners.lease_expiry import LeaseExpiry
from ff_scanners.scanners.library_prune import LibraryPrune
from ff_scanners.scanners.offer_expiry import OfferExpiry
from ff_scanners.scanners.retention import Retention
from ff_scanners.scanners.suspension_timeout import SuspensionTimeout
from ff_scanners.scanners.worker_registry import WorkerRegistry

#: A shorter interval would be all cost: what was seen to come due is handled on time anyway.
LEAST_MS = 100
LEAST_S = LEAST_MS / 1000


class ScannerSettings(ServiceSettings):
    """Which scanners run, how often, and where.

    What a scan sees to come due is handled on time; an interval is how late something unseen may be.
    """

    scanners: str = ""
    """Names of the scanners this process runs, separated by commas; empty for all of them."""
    partition_range: str = ""
    """Partitions this process scans: empty for a share among the live replicas, fixed as "0-31,40", or
    "ordinal:4" for the share of one of 4 replicas, by the number at the end of FF_REPLICA_ID or, without
    one, of the host name (StatefulSet)."""
    attempt_timeout_interval_s: float = Field(AttemptTimeout.default_interval_ms / 1000, ge=LEAST_S)
    """Interval of attempt_timeout: attempts that take too long."""
    delayed_promoter_interval_ms: int = Field(DelayedPromoter.default_interval_ms, ge=LEAST_MS)
    """Interval of delayed_promoter: delayed executions whose time has come."""
    execution_deadline_interval_s: float = Field(ExecutionDeadline.default_interval_ms / 1000, ge=LEAST_S)
    """Interval of execution_deadline: executions past their deadline, workers that did not stop."""
    index_reconciler_interval_s: float = Field(IndexReconciler.default_interval_ms / 1000, ge=LEAST_S)
    """Interval of index_reconciler: repair of indexes."""
    lease_expiry_interval_ms: int = Field(LeaseExpiry.default_interval_ms, ge=LEAST_MS)
    """Interval of lease_expiry: leases that ran out."""
    library_prune_interval_s: float = Field(LibraryPrune.default_interval_ms / 1000, ge=LEAST_S)
    """Interval of library_prune: function libraries that no live process calls."""
    offer_expiry_interval_ms: int = Field(OfferExpiry.default_interval_ms, ge=LEAST_MS)
    """Interval of offer_expiry: grants that no worker confirmed in time."""
    retention_trimmer_interval_s: float = Field(Retention.default_interval_ms / 1000, ge=LEAST_S)
    """Interval of retention: terminal executions whose retention is over."""
    suspension_timeout_interval_s: float = Field(SuspensionTimeout.default_interval_ms / 1000, ge=LEAST_S)
    """Interval of suspension_timeout: sleeps that are over, waits that ran out of time."""
    worker_registry_interval_s: float = Field(WorkerRegistry.default_interval_ms / 1000, ge=LEAST_S)
    """Interval of worker_registry: workers that were not heard of."""

    @model_validator(mode="after")
    def refuse_nonsense(self) -> Self:
        """A misspelt scanner or partition must not be one that is silently never scanned."""
        self.scanner_names()
        self.static_partitions()
        return self

    def scanner_names(self) -> tuple[str, ...]:
        """The scanners to run, in the order of the registry. Raises ValueError."""
        known = [scanner.name for scanner in SCANNERS]
        wanted = {name.strip() for name in self.scanners.split(",") if name.strip()}
        unknown = sorted(wanted.difference(known))
        if unknown:
            raise ValueError(f"FF_SCANNERS: there is no scanner {unknown[0]!r}; there are {', '.join(known)}")
        return tuple(name for name in known if name in wanted or not wanted)

    def static_partitions(self) -> frozenset[int] | None:
        """The partitions fixed by settings; None for a live share. Raises ValueError."""
        return parse_range(self.partition_range, self.partitions, self.replica_id or socket.gethostname())

    def interval_s(self, scanner: str) -> float:
        """The interval of a scanner in seconds."""
        return {
            "attempt_timeout": self.attempt_timeout_interval_s,
            "delayed_promoter": self.delayed_promoter_interval_ms / 1000,
            "execution_deadline": self.execution_deadline_interval_s,
            "index_reconciler": self.index_reconciler_interval_s,
            "lease_expiry": self.lease_expiry_interval_ms / 1000,
            "library_prune": self.library_prune_interval_s,
            "offer_expiry": self.offer_expiry_interval_ms / 1000,
            "retention": self.retention_trimmer_interval_s,
            "suspension_timeout": self.suspension_timeout_interval_s,
            "worker_registry": self.worker_registry_interval_s,
        }[scanner]
