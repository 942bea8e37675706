"""Suspensions as the engine's Python handles them: what is waited for, and what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from ff_core.journal import JournalLimits
from ff_core.signal import StoredSignal
from ff_core.waitpoint import NewWaitpoint, WaitpointRecord

OnTimeout = Literal["fail", "cancel", "expire", "resume", "escalate"]
"""What becomes of the execution when a wait runs out of time."""


LONGEST_MS = 400 * 86_400_000
"""No wait and no waitpoint lasts longer."""


@dataclass(frozen=True, slots=True)
class SuspensionLimits:
    """What a suspension may ask for."""

    waitpoint_ttl_ms: int = 30 * 86_400_000
    """When a waitpoint does not say."""
    max_suspension_ms: int = LONGEST_MS
    journal: JournalLimits = field(default_factory=JournalLimits)


@dataclass(slots=True)
class NewWait:
    """One reason to resume."""

    entry: str
    """Key of the journal entry that its signals are recorded in, or ""."""
    name: str
    node: dict[str, Any]
    """The condition, in the form of condition.lua."""
    timeout_ms: int | None
    """From the suspension on."""
    due_ms: int | None
    """Point in time; at most one of both is set."""
    on_timeout: OnTimeout
    seen: int | None = None
    """Of the journal entry; None when not told."""


@dataclass(slots=True)
class SuspendSpec:
    """How a holder suspends its execution."""

    reason_code: str
    requested_by: str
    waitpoints: tuple[NewWaitpoint, ...]
    waits: tuple[NewWait, ...]
    fingerprint: str
    longest_ms: int = LONGEST_MS
    """Most that may be left, by Valkey's clock, until a point in time that a wait names."""
    journal: JournalLimits = field(default_factory=JournalLimits)
    """What the entries of its waits must fit in."""

    def document(self) -> str:
        """The form that suspension.lua takes; what is not set is left out."""
        waitpoints = [
            _present(
                name=each.name,
                number=each.number,
                uses=each.uses,
                recipient=each.recipient,
                ttl_ms=each.ttl_ms,
            )
            for each in self.waitpoints
        ]
        waits = [
            _present(
                entry=each.entry,
                name=each.name,
                node=each.node,
                timeout_ms=each.timeout_ms,
                due_at=each.due_ms,
                on_timeout=each.on_timeout,
                seen=each.seen,
            )
            for each in self.waits
        ]
        return json.dumps(
            {
                "reason_code": self.reason_code,
                "requested_by": self.requested_by,
                "fingerprint": self.fingerprint,
                "longest_ms": self.longest_ms,
                "most_entries": self.journal.max_entries,
                "most_bytes": self.journal.max_bytes,
                "waitpoints": waitpoints,
                "waits": waits,
            },
            separators=(",", ":"),
        )


def _present(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


@dataclass(slots=True)
class Suspended:
    """The answer to an outcome that suspends."""

    answer: Literal["suspended", "resumed"]
    """resumed: signals that were kept were enough."""
    number: int
    """Of the suspension; 0 when a repeat came too late to know."""
    waitpoints: list[WaitpointRecord]
    """In the order of the outcome; empty when a repeat came too late to know."""


@dataclass(slots=True)
class SuspensionRecord:
    """The current or last suspension as stored."""

    core: dict[str, Any]
    """Field names as suspension.lua writes them; docs/reference/keys.md names the main ones."""
    signals: list[StoredSignal]
    """Those that resumed it."""
    waitpoints: list[WaitpointRecord]
    """Its own."""


@dataclass(slots=True)
class Resumption:
    """Why the holder of a lease runs again."""

    suspension: int
    ending: Literal["signal", "operator", "timeout"]
    signals: list[StoredSignal]
    is_partial: bool = False
    """The signals are too much for a grant; their holder reads them."""
