"""Executions as the engine's Python handles them: new ones on their way in, records on their way out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from ff_core import keys
from ff_core.journal import JournalEntry
from ff_core.state import State


@dataclass(slots=True)
class NewExecution:
    """A validated submission."""

    execution_id: str
    namespace: str
    lane: str
    kind: str
    class_name: str
    payload: bytes = b""
    priority: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    delay_until_ms: int = 0
    """0 for none."""
    delay_ms: int = 0
    """From submission on; used when `delay_until_ms` is 0."""
    deadline_ms: int | None = None
    attempt_timeout_ms: int | None = None
    policy: dict[str, object] = field(default_factory=dict)
    """Only what differs from the defaults; names as in prelude.lua."""
    traceparent: str = ""
    idempotency_key: str = ""
    idempotency_ttl_ms: int = 86_400_000

    @property
    def queue(self) -> str:
        """Name of the queue it waits in."""
        return keys.queue(self.namespace, self.lane, self.class_name)

    def fingerprint(self) -> str:
        """What must be equal for a repeat of its idempotency key: all content but the trace and
        the start time, which a client that says "in a minute" computes anew."""
        content = json.dumps(
            [
                self.queue,
                self.kind,
                self.priority,
                self.tags,
                self.deadline_ms,
                self.attempt_timeout_ms,
                self.policy,
            ],
            sort_keys=True,
        )
        return hashlib.sha256(content.encode() + b"\0" + self.payload).hexdigest()[:32]


@dataclass(slots=True)
class Created:
    """Answer to a submission."""

    execution_id: str
    duplicate: bool


@dataclass(slots=True)
class ExecutionRecord:
    """An execution as stored: its core document and what hangs on it."""

    execution_id: str
    core: dict[str, Any]
    """Field names as the Lua functions write them; docs/reference/keys.md names the main ones."""
    payload: bytes
    """Empty unless asked for."""
    tags: dict[str, str]
    history: list[tuple[int, dict[str, Any]]]
    """Epoch and record of each ended lease, oldest first; empty unless asked for."""
    steps: list[JournalEntry] = field(default_factory=list)
    """The newest of its journal without their data, oldest first; they come with the history."""
    steps_total: int = 0

    @property
    def state(self) -> State:
        """Its public state."""
        return State(self.core["state"])

    def text(self, name: str) -> str:
        """A field, "" when absent."""
        return str(self.core.get(name, ""))

    def number(self, name: str) -> int:
        """A whole-number field, 0 when absent."""
        return int(self.core.get(name) or 0)

    @property
    def namespace(self) -> str:
        """First part of its queue."""
        return keys.parse_queue(self.core["queue"])[0]


@dataclass(slots=True)
class ListQuery:
    """Which executions, beyond which position."""

    namespace: str
    lane: str = ""
    kind: str = ""
    state: State | None = None
    tags: dict[str, str] = field(default_factory=dict)
    page_size: int = 50
    position: tuple[float, str] | None = None
    """Score and id of the last one seen."""


@dataclass(slots=True)
class ListPage:
    """Executions of one page and where the next begins; None at the end."""

    records: list[ExecutionRecord]
    next_position: tuple[float, str] | None
