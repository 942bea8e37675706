"""Conditions in plain Python: what a tree is worth, worked out anew from all signals that came so far.

The engine keeps state in its nodes and never looks back; this has no state and always does. Both must agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hypothesis import strategies as st

Node = dict[str, Any]

WAITPOINTS: Mapping[str, int] = {"a": 1, "b": 2, "c": 3}
"""Names and numbers."""
NAMES = ("approved", "rejected", "note")
CATEGORIES = ("", "approval")
SOURCES = ("user:ann", "user:bob", "12", "waitpoint:1")


@dataclass(frozen=True)
class Seen:
    """A signal as conditions see it."""

    number: int
    waitpoint: str
    name: str
    category: str
    source: str
    kind: Literal["signal", "operator", "timeout"] = "signal"

    def document(self) -> dict[str, object]:
        """The form of condition.lua."""
        return {
            "number": self.number,
            "waitpoint": self.waitpoint,
            "waitpoint_number": WAITPOINTS.get(self.waitpoint, 0),
            "name": self.name,
            "category": self.category,
            "source": self.source,
            "kind": self.kind,
        }


def satisfied(node: Node, signals: Sequence[Seen]) -> bool:
    """Whether these signals are enough."""
    op = node["op"]
    if op == "all":
        return all(satisfied(child, signals) for child in node["of"])
    if op == "any":
        return any(satisfied(child, signals) for child in node["of"])
    if op == "count":
        return bool(len(_counted(node, signals)) >= node["n"])
    return bool(_taken(node, signals))


def satisfiers(node: Node, signals: Sequence[Seen]) -> set[int]:
    """The signals that made it so: of each satisfied part the first that did."""
    if not satisfied(node, signals):
        return set()
    op = node["op"]
    if op in ("all", "any"):
        return set().union(*(satisfiers(child, signals) for child in node["of"]))
    if op == "count":
        return set(_counted(node, signals).values())
    return {_taken(node, signals)[0].number}


def takes(node: Node, signal: Seen) -> bool:
    """Whether any part asks for this signal."""
    if node["op"] in ("all", "any"):
        return any(takes(child, signal) for child in node["of"])
    return bool(_taken(node, [signal]))


def noted(node: Node, signals: Sequence[Seen]) -> list[object]:
    """What every part has seen that counts, in the order of the parts."""
    if node["op"] in ("all", "any"):
        return [each for child in node["of"] for each in noted(child, signals)]
    if node["op"] == "count":
        return [_counted(node, signals)]
    return [signal.number for signal in _taken(node, signals)[:1]] or [None]


def _taken(node: Node, signals: Sequence[Seen]) -> list[Seen]:
    op = node["op"]
    if op in ("operator", "timeout"):
        return [signal for signal in signals if signal.kind == op]
    match = node.get("match", {}) if op == "count" else node
    places = node.get("at", WAITPOINTS) if op == "count" else [node["at"]] if "at" in node else WAITPOINTS
    return [
        signal
        for signal in signals
        if signal.kind == "signal"
        and signal.waitpoint in places
        and ("names" not in match or signal.name in match["names"])
        and ("category" not in match or signal.category == match["category"])
        and ("source" not in match or signal.source == match["source"])
    ]


def _counted(node: Node, signals: Sequence[Seen]) -> dict[object, int]:
    """The first `n` distinct things that count, each with the signal that brought it."""
    found: dict[object, int] = {}
    for signal in _taken(node, signals):
        thing = {"waitpoints": signal.waitpoint, "signals": signal.number, "sources": signal.source}[
            node["by"]
        ]
        if len(found) < node["n"]:
            found.setdefault(thing, signal.number)
    return found


def _matchers() -> st.SearchStrategy[Node]:
    return st.fixed_dictionaries(
        {},
        optional={
            "names": st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True),
            "category": st.sampled_from(CATEGORIES[1:]),
            "source": st.sampled_from(SOURCES),
        },
    )


def _signal_leaves() -> st.SearchStrategy[Node]:
    at = st.fixed_dictionaries({}, optional={"at": st.sampled_from(sorted(WAITPOINTS))})
    return st.builds(lambda where, match: {"op": "signal"} | where | match, at, _matchers())


@st.composite
def _counts(draw: st.DrawFn) -> Node:
    node: Node = {"op": "count", "by": draw(st.sampled_from(("waitpoints", "signals", "sources")))}
    places = draw(st.lists(st.sampled_from(sorted(WAITPOINTS)), max_size=3, unique=True))
    if places:
        node["at"] = places
    node["n"] = draw(
        st.integers(1, len(places) or len(WAITPOINTS)) if node["by"] == "waitpoints" else st.integers(1, 3)
    )
    match = draw(_matchers())
    return node | ({"match": match} if match else {})


def conditions(depth: int = 4) -> st.SearchStrategy[Node]:
    """Valid conditions, nested as deep as they may be."""
    leaves = st.one_of(_signal_leaves(), _counts(), st.sampled_from(({"op": "operator"}, {"op": "timeout"})))
    if depth == 1:
        return leaves
    inner = st.builds(
        lambda op, of: {"op": op, "of": of},
        st.sampled_from(("all", "any")),
        st.lists(conditions(depth - 1), min_size=1, max_size=3),
    )
    return st.one_of(inner, leaves)


def deliveries() -> st.SearchStrategy[list[Seen]]:
    """Signals in the order they come, numbered from 1; now and then an operator's or one of time."""
    kinds = ("signal",) * 8 + ("operator", "timeout")
    signal = st.builds(
        Seen,
        st.just(0),
        st.sampled_from(sorted(WAITPOINTS)),
        st.sampled_from(NAMES),
        st.sampled_from(CATEGORIES),
        st.sampled_from(SOURCES),
        st.sampled_from(kinds),
    )
    return st.lists(signal, max_size=10).map(
        lambda drawn: [
            replace(each, number=number, waitpoint=each.waitpoint if each.kind == "signal" else "")
            for number, each in enumerate(drawn, start=1)
        ]
    )
