"""Events of executions as a subscription reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

COMPLETIONS = frozenset({"completed", "failed", "cancelled", "expired"})

#: Events by family. Every event but progress is one of the lifecycle, so that family names none.
FAMILIES: Mapping[str, frozenset[str]] = {
    "completion": COMPLETIONS,
    "lease": COMPLETIONS
    | {
        "claimed",
        "confirmed",
        "released",
        "lease_expired",
        "lease_revoked",
        "attempt_failed",
        "delayed",
        "suspended",
    },
    "signal": frozenset({"signal"}),
}


def family_of(name: str) -> str:
    """The narrowest family of an event: completion, signal, lease or lifecycle."""
    for family in ("completion", "signal", "lease"):
        if name in FAMILIES[family]:
            return family
    return "lifecycle"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `entry_id` and `ordinal` are its place in the feed of its partition."""

    partition: int
    entry_id: str
    ordinal: int
    family: str
    name: str
    execution_id: str
    state: str
    attempt: int
    epoch: int
    namespace: str
    lane: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; an empty field matches all."""

    families: frozenset[str] = frozenset()
    namespace: str = ""
    lane: str = ""
    kind: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class FeedPage:
    """Events of one partition after a place."""

    last: str
    """Id of the last entry looked at, also when nothing matched."""
    fell_off: bool
    """Entries after the place were dropped before this read."""
    more: bool
    events: list[Event]
