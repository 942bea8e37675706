"""Journal entries: what a handler has done, so that its next run can skip it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ff_core.signal import StoredSignal

EntryKind = Literal["step", "wait", "sleep", "value", "waitpoint"]
EntryState = Literal["running", "waiting", "done", "failed"]
"""The last two are final."""
KeepMode = Literal["fresh", "all", "through"]
"""What a replay keeps: nothing, everything that is final, or that up to a step."""

FINAL = frozenset({"done", "failed"})


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """How much one execution may record."""

    max_entries: int = 10_000
    max_bytes: int = 16 << 20
    max_entry_bytes: int = 1 << 20


@dataclass(slots=True)
class StepFailure:
    """How a step failed for good."""

    type: str
    message: str
    category: str


@dataclass(slots=True)
class JournalEntry:
    """An entry on its way in or out. The fields from `signals` on are the engine's, ignored on the way in."""

    key: str
    kind: EntryKind
    name: str
    state: EntryState
    data: bytes = b""
    fingerprint: str = ""
    runs: int = 0
    uncertain: bool = False
    failure: StepFailure | None = None
    due_ms: int = 0
    """0 for none."""
    waitpoint: str = ""
    """Public id of the waitpoint that the entry remembers, or ""."""
    seen: int = 0
    """Place up to which the handler knew everything when it made the call; 0 for not told."""
    signals: list[StoredSignal] = field(default_factory=list)
    sequence: int = 0
    end_sequence: int = 0
    """Place, in the same count, of becoming final; 0 while it is not."""
    started_ms: int = 0
    ended_ms: int = 0
    data_bytes: int = 0
    """Size of the data, also when that was not asked for."""


JournalWrite = tuple[bytes, list[JournalEntry]]
"""A lease and the entries written under it, all or none."""


@dataclass(slots=True)
class JournalPage:
    """Entries by sequence, and where to go on; 0 at the end."""

    entries: list[JournalEntry]
    next: int
