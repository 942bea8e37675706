"""What happens to executions, as `Client.subscribe` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class EventFamily(IntEnum):
    """Groups of events; the numbers are those of the wire. An event may be in several."""

    LIFECYCLE = 1
    """Everything that changes an execution."""
    COMPLETION = 2
    """Its terminal states."""
    LEASE = 3
    """Leases granted, confirmed and ended."""
    SIGNAL = 4
    """Signals delivered."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an execution."""

    event_id: str
    """Unique; lets a reader drop what it had."""
    family: EventFamily
    """The narrowest it is in."""
    name: str
    """created, claimed, suspended, completed, and so on; docs/reference/states.md lists them."""
    execution_id: str
    state: str
    """The state after it."""
    attempt: int
    epoch: int
    namespace: str
    lane: str
    kind: str
    detail: str
    time: datetime | None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, and where to go on."""

    events: tuple[Event, ...]
    """Perhaps none: then only time has passed."""
    cursor: str
    """Pass it as `after` to go on behind this page, once all of it is done with."""
    fell_off: bool = False
    """Whether events between the cursor before and this page were dropped before they were read."""
    partitions_fell_off: tuple[int, ...] = ()
