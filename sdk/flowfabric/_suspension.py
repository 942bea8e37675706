"""Suspensions and waitpoints, as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from flowfabric._condition import Condition
from flowfabric._signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Waitpoint:
    """A place where signals arrive."""

    waitpoint_id: str
    """Public; names the execution too."""
    name: str
    single_use: bool = False
    """Whether the first signal uses it up."""
    state: str = ""
    """pending (made, not waited for), bound or closed."""
    recipient: str = ""
    """Whose answers its signals count as, unless their sender authenticates by a name of its own."""
    token: str = field(default="", repr=False)
    """The right to send a signal there. Only the worker that made the waitpoint is told it."""
    callback_path: str = field(default="", repr=False)
    """POST a signal here, from anything that speaks HTTP. It holds the token."""
    callback_url: str = field(default="", repr=False)
    """The path below FF_PUBLIC_URL; empty when that is."""
    kid: str = ""
    """Key that the token was made with."""
    create_time: datetime | None = None
    expire_time: datetime | None = None
    signals: int = 0
    """Signals kept."""
    fingerprint: str = ""
    """Of the token, for logs; beside the token only."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One reason to resume, and how far it is."""

    name: str
    condition: Condition | None
    """None for one that is newer than this library."""
    satisfied: bool
    signals: tuple[int, ...]
    """Numbers of the signals that satisfied it, or that count so far."""
    due_time: datetime | None
    """When it runs out of time."""
    on_timeout: str
    """fail, cancel, expire, resume or escalate."""
    escalated: bool
    """Whether it ran out of time and waits for an operator."""


@dataclass(frozen=True, slots=True)
class Suspension:
    """The current or last suspension of an execution."""

    number: int
    """Counts within the execution, from 1."""
    reason_code: str
    state: str
    """open or closed."""
    ending: str
    """signal, operator, timeout, cancelled, expired or failed; empty while it is open."""
    suspend_time: datetime | None
    due_time: datetime | None
    """When the next wait runs out of time."""
    waits: tuple[Wait, ...]
    waitpoints: tuple[Waitpoint, ...]
    """Never with a token."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """Why the holder of a lease runs again."""

    suspension: int
    """Number of the suspension it comes from."""
    ending: str
    """signal, operator or timeout."""
    signals: tuple[Signal, ...]
    """Those that satisfied it."""
