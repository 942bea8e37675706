"""Leases as the engine's Python handles them: grants, renewals, outcomes and their verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ff_core.errors import ErrorCode


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
    operation: Literal["complete", "fail", "delay", "stop"]
    details: tuple[bytes | str | int, ...] = ()
    """complete: result. fail: type, message, category, final (0 or 1), retry delay in ms or "".
    delay: ms. stop: nothing."""


Answer = str | ErrorCode
"""completed, retry_scheduled, failed, delayed, cancelled; or why it was refused."""


@dataclass(slots=True)
class Revoked:
    """Answer to a revocation."""

    revoked: bool
    epoch: int
    state: str


Progress = tuple[bytes, float | None, str | None]
"""Lease, percent, message; None leaves it."""
