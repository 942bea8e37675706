"""Which scanners there are."""

from __future__ import annotations

from ff_scanners.scanner import Scanner
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

#: Every scanner, by name. Adding one: write its file, add it here, give its interval a setting.
SCANNERS: tuple[type[Scanner], ...] = (
    AttemptTimeout,
    DelayedPromoter,
    ExecutionDeadline,
    IndexReconciler,
    LeaseExpiry,
    LibraryPrune,
    OfferExpiry,
    Retention,
    SuspensionTimeout,
    WorkerRegistry,
)
