"""Events of executions as a subscription reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TEXT = re.compile(
    r"(?P<name>\S+) (?P<execution>\S+) (?P<state>\S+) (?P<attempt>\d+) (?P<epoch>\d+)"
    # Absent from events of the release before this.
    r"(?: (?P<namespace>[^/ ]+)/(?P<lane>[^/ ]+) (?P<kind>[^ ?]+)(?:\?\S+)?)?"
    r" (?P<detail>.*)",
    re.DOTALL,
)

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

    @classmethod
    def read(cls, partition: int, entry_id: str, ordinal: int, text: str) -> Event:
        """An event as document.lua writes it. Raises ValueError for what is none."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:80]!r} is no event")
        return cls(
            partition,
            entry_id,
            ordinal,
            family_of(found["name"]),
            found["name"],
            found["execution"],
            found["state"],
            int(found["attempt"]),
            int(found["epoch"]),
            found["namespace"] or "",
            found["lane"] or "",
            found["kind"] or "",
            found["detail"],
        )

    @property
    def at_ms(self) -> int:
        """When it was written."""
        return int(self.entry_id.partition("-")[0])


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; an empty field matches all."""

    families: frozenset[str] = frozenset()
    namespace: str = ""
    lane: str = ""
    kind: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """The events of its families; empty for all."""
        if "lifecycle" in self.families:
            return frozenset()
        return frozenset().union(*(FAMILIES[family] for family in self.families))


@dataclass(slots=True)
class FeedPage:
    """Events of one partition after a place."""

    last: str
    """Place of the last event looked at, also when nothing matched, in the form of feed.lua."""
    fell_off: bool
    """Entries after the place were dropped before this read."""
    more: bool
    events: list[Event]
