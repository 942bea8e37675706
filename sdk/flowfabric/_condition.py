"""What a wait waits for: conditions on signals, made by the functions at the end and put together freely.

    ctx.wait_for("approval", count(2, by="sources", names=["approved"]))
    ctx.wait_for("decision", any_of(signal("approved"), signal("rejected"), operator()))

A condition that names no waitpoint means the one that is waited for. The engine evaluates them, and
allows 4 levels and 64 conditions in all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from flowfabric_api.suspension.v1 import suspension_pb2 as pb

CountBy = Literal["waitpoints", "signals", "sources"]
"""What has to be distinct to count; a source is an authenticated identity."""

COUNT_BY: dict[CountBy, pb.CountBy] = {
    "waitpoints": pb.COUNT_BY_WAITPOINTS,
    "signals": pb.COUNT_BY_SIGNALS,
    "sources": pb.COUNT_BY_SOURCES,
}
COUNTED: dict[int, CountBy] = {number: word for word, number in COUNT_BY.items()}


class Condition(ABC):
    """Something that signals, an operator or time can satisfy."""

    __slots__ = ()

    @abstractmethod
    def put(self, message: pb.Condition, waitpoint: str) -> None:
        """Writes it; `waitpoint` is meant where it names none."""

    def waitpoints(self, waitpoint: str) -> Iterator[str]:
        """Names of the waitpoints it is about, some perhaps twice; `waitpoint` where it names none."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Matcher:
    """Which signals count; what is empty matches all."""

    names: tuple[str, ...] = ()
    """Any of these."""
    category: str = ""
    source: str = ""
    """An authenticated identity, such as user:ada."""

    def put(self, message: pb.Matcher) -> None:
        """Writes it."""
        message.names.extend(self.names)
        message.category = self.category
        message.source = self.source

    def __str__(self) -> str:
        parts = [" or ".join(self.names) or "any signal"]
        parts += [f"of category {self.category}"] if self.category else []
        parts += [f"from {self.source}"] if self.source else []
        return " ".join(parts)

    @classmethod
    def read(cls, message: pb.Matcher) -> Matcher:
        """The matcher of a message."""
        return cls(tuple(message.names), message.category, message.source)


@dataclass(frozen=True, slots=True)
class SignalMatch(Condition):
    """One signal at one waitpoint."""

    match: Matcher = Matcher()
    at: str = ""
    """Name of the waitpoint; empty for the one that is waited for."""

    def __str__(self) -> str:
        return f"{self.match} at {self.at}" if self.at else str(self.match)

    def put(self, message: pb.Condition, waitpoint: str) -> None:
        message.signal.waitpoint = self.at or waitpoint
        self.match.put(message.signal.match)

    def waitpoints(self, waitpoint: str) -> Iterator[str]:
        yield self.at or waitpoint


@dataclass(frozen=True, slots=True)
class Operator(Condition):
    """An operator's resume, and nothing else."""

    def __str__(self) -> str:
        return "an operator"

    def put(self, message: pb.Condition, waitpoint: str) -> None:
        message.operator.SetInParent()


@dataclass(frozen=True, slots=True)
class Timer(Condition):
    """The passing of the wait's time, and nothing else."""

    def __str__(self) -> str:
        return "the time"

    def put(self, message: pb.Condition, waitpoint: str) -> None:
        message.timer.SetInParent()


@dataclass(frozen=True, slots=True)
class AllOf(Condition):
    """Every one of several conditions."""

    conditions: tuple[Condition, ...]

    def __str__(self) -> str:
        return "(" + " and ".join(map(str, self.conditions)) + ")"

    def put(self, message: pb.Condition, waitpoint: str) -> None:
        message.all_of.SetInParent()
        for each in self.conditions:
            each.put(message.all_of.conditions.add(), waitpoint)

    def waitpoints(self, waitpoint: str) -> Iterator[str]:
        for each in self.conditions:
            yield from each.waitpoints(waitpoint)


@dataclass(frozen=True, slots=True)
class AnyOf(Condition):
    """One of several conditions."""

    conditions: tuple[Condition, ...]

    def __str__(self) -> str:
        return "(" + " or ".join(map(str, self.conditions)) + ")"

    def put(self, message: pb.Condition, waitpoint: str) -> None:
        message.any_of.SetInParent()
        for each in self.conditions:
            each.put(message.any_of.conditions.add(), waitpoint)

    def waitpoints(self, waitpoint: str) -> Iterator[str]:
        for each in self.conditions:
            yield from each.waitpoints(waitpoint)


@dataclass(frozen=True, slots=True)
class Count(Condition):
    """So many distinct waitpoints, signals or sources."""

    n: int
    by: CountBy
    at: tuple[str, ...] = ()
    """Names of waitpoints; empty for the one that is waited for."""
    match: Matcher = Matcher()

    def __str__(self) -> str:
        where = f" at {', '.join(self.at)}" if self.at else ""
        return f"{self.n} {self.by} of {self.match}{where}"

    def put(self, message: pb.Condition, waitpoint: str) -> None:
        message.count.n = self.n
        message.count.by = COUNT_BY[self.by]
        message.count.waitpoints.extend(self.waitpoints(waitpoint))
        self.match.put(message.count.match)

    def waitpoints(self, waitpoint: str) -> Iterator[str]:
        yield from self.at or (waitpoint,)


def signal(*names: str, at: str = "", category: str = "", source: str = "") -> Condition:
    """A signal with one of the names, or any without names, at a waitpoint."""
    return SignalMatch(Matcher(names, category, source), at)


def operator() -> Condition:
    """Only an operator's `Client.resume`."""
    return Operator()


def timer() -> Condition:
    """Only the passing of the wait's time."""
    return Timer()


def all_of(*conditions: Condition) -> Condition:
    """Every one of 1 to 32 conditions, each on its own."""
    return AllOf(conditions)


def any_of(*conditions: Condition) -> Condition:
    """One of 1 to 32 conditions."""
    return AnyOf(conditions)


def count(
    n: int,
    *,
    by: CountBy = "signals",
    at: Sequence[str] = (),
    names: Sequence[str] = (),
    category: str = "",
    source: str = "",
) -> Condition:
    """At least `n` distinct waitpoints, signals or sources, of the signals that match."""
    if by not in COUNT_BY:
        raise ValueError(f"count by waitpoints, signals or sources, not by {by!r}")
    return Count(n, by, tuple(at), Matcher(tuple(names), category, source))


def condition_from(message: pb.Condition) -> Condition | None:
    """The condition of a message; None for a kind that is newer than this library."""
    found: Condition | None = None
    match message.WhichOneof("kind"):
        case "signal":
            found = SignalMatch(Matcher.read(message.signal.match), message.signal.waitpoint)
        case "operator":
            found = Operator()
        case "timer":
            found = Timer()
        case "all_of":
            found = AllOf(conditions_from(message.all_of.conditions))
        case "any_of":
            found = AnyOf(conditions_from(message.any_of.conditions))
        case "count":
            part = message.count
            by = COUNTED.get(part.by, "signals")
            found = Count(part.n, by, tuple(part.waitpoints), Matcher.read(part.match))
    return found


def conditions_from(messages: Sequence[pb.Condition]) -> tuple[Condition, ...]:
    """The conditions of messages that this library knows."""
    return tuple(known for each in messages if (known := condition_from(each)) is not None)
