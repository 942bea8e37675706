"""What happens to executions, as `Client.subscribe` tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import TypedDict


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


class EventOptions(TypedDict, total=False):
    """Which events, and how they come; all of the client's namespace unless it is said."""

    from_first: bool
    """Begin with the first event that is kept, instead of what is to come; without a cursor."""
    families: Iterable[EventFamily]
    lane: str
    kind: str
    tags: Mapping[str, str] | None
    """All of them."""
    all_namespaces: bool
    page_size: int
    """Most events of a page."""


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
