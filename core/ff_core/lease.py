"""Leases as the engine's Python handles them: grants, renewals, outcomes and their verdicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ff_core.errors import EngineError, ErrorCode
from ff_core.journal import JournalEntry
from ff_core.suspension import Resumption, Suspended


@dataclass(slots=True)
class Grant:
    """The right, and the duty, to run one attempt. The lease token names execution, attempt, epoch, lease."""

    lease: bytes
    kind: str
    payload: bytes
    deadline_ms: int
    """0 for none."""
    attempt_deadline_ms: int
    """0 for none."""
    traceparent: str
    journal: list[JournalEntry] = field(default_factory=list)
    """What earlier runs recorded, by sequence."""
    journal_is_partial: bool = False
    """There is more, for the holder to read."""
    resumption: Resumption | None = None
    """Why it runs again, after a suspension."""
    recovered: bool = False
    """An earlier holder vanished without an outcome."""


@dataclass(slots=True)
class Claimed:
    """Grants of one queue, and the score of what is left at its head; None when it is empty."""

    grants: list[Grant]
    next_score: float | None


@dataclass(slots=True)
class CancelNotice:
    """The holder is asked to stop by then."""

    stop_at_ms: int
    reason: str


Verdict = ErrorCode | CancelNotice | None
"""Of a renewal: lost, held but asked to stop, or held."""


@dataclass(slots=True)
class Outcome:
    """How a holder ends its lease."""

    lease: bytes
    operation: Literal["complete", "fail", "delay", "stop", "suspend"]
    details: tuple[bytes | str | int, ...] = ()
    """complete: result. fail: type, message, category, final (0 or 1), retry delay in ms or "".
    delay: ms. stop: nothing. suspend: SuspendSpec.document(), kid of the key for new waitpoints."""


Answer = str | Suspended | ErrorCode | EngineError
"""completed, retry_scheduled, failed, delayed, cancelled, or what came of a suspension; or why not.
An ErrorCode means that the lease is lost, an EngineError that this outcome cannot be and the lease stays."""


@dataclass(slots=True)
class Revoked:
    """Answer to a revocation."""

    revoked: bool
    epoch: int
    state: str


Progress = tuple[bytes, float | None, str | None]
"""Lease, percent, message; None leaves it."""
