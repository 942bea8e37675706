"""Conditions between the wire and the engine: checked node by node, and shown without their state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ff_core.errors import invalid
from ff_core.wire import names
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

MAX_DEPTH = 4
MAX_NODES = 64
MAX_CHILDREN = 32
MAX_COUNT = 100
MAX_NAMES = 16
MAX_TEXT = 256

Node = dict[str, Any]
"""A condition in the form of condition.lua."""

_COUNT_BY = {
    pb.COUNT_BY_WAITPOINTS: "waitpoints",
    pb.COUNT_BY_SIGNALS: "signals",
    pb.COUNT_BY_SOURCES: "sources",
}
_COUNT_NUMBER = {word: number for number, word in _COUNT_BY.items()}


@dataclass(frozen=True, slots=True)
class _Place:
    """What a node may name, and how many nodes there were before it."""

    waitpoints: Collection[str]
    has_time: bool
    nodes: list[str]


def condition(message: pb.Condition, field: str, waitpoints: Collection[str], *, has_time: bool) -> Node:
    """Checks the condition of a wait on these waitpoints. Raises INVALID_ARGUMENT with the path of the node.

    `has_time` says that the wait runs out of time by itself, which a timer needs.
    """
    return _node(message, field, 1, _Place(waitpoints, has_time, []))


def _node(message: pb.Condition, field: str, depth: int, place: _Place) -> Node:
    kind = message.WhichOneof("kind")
    if kind is None:
        raise invalid(field, "one of signal, operator, timer, all_of, any_of, count")
    if depth > MAX_DEPTH:
        raise invalid(field, f"{depth} deep; at most {MAX_DEPTH}")
    place.nodes.append(field)
    if len(place.nodes) > MAX_NODES:
        raise invalid(field, f"node {len(place.nodes)} of its condition; at most {MAX_NODES}")
    return _KINDS[kind](getattr(message, kind), f"{field}.{kind}", depth, place)


def _signal(message: pb.SignalMatch, field: str, _depth: int, place: _Place) -> Node:
    at = _known(message.waitpoint, f"{field}.waitpoint", place)
    return {"op": "signal", "at": at} | _matcher(message.match, f"{field}.match")


def _operator(_message: pb.Operator, _field: str, _depth: int, _place: _Place) -> Node:
    return {"op": "operator"}


def _timer(_message: pb.Timer, field: str, _depth: int, place: _Place) -> Node:
    if not place.has_time:
        raise invalid(field, "its wait has no timeout")
    return {"op": "timeout"}


def _all_of(message: pb.AllOf, field: str, depth: int, place: _Place) -> Node:
    return {"op": "all", "of": _children(message.conditions, f"{field}.conditions", depth, place)}


def _any_of(message: pb.AnyOf, field: str, depth: int, place: _Place) -> Node:
    return {"op": "any", "of": _children(message.conditions, f"{field}.conditions", depth, place)}


def _children(messages: Sequence[pb.Condition], field: str, depth: int, place: _Place) -> list[Node]:
    if not 1 <= len(messages) <= MAX_CHILDREN:
        raise invalid(field, f"{len(messages)} conditions; 1 to {MAX_CHILDREN}")
    return [_node(each, f"{field}[{number}]", depth + 1, place) for number, each in enumerate(messages)]


def _count(message: pb.Count, field: str, _depth: int, place: _Place) -> Node:
    if not 1 <= message.n <= MAX_COUNT:
        raise invalid(f"{field}.n", f"{message.n}; 1 to {MAX_COUNT}")
    by = _COUNT_BY.get(message.by)
    if by is None:
        raise invalid(f"{field}.by", "one of COUNT_BY_WAITPOINTS, COUNT_BY_SIGNALS, COUNT_BY_SOURCES")
    at = [
        _known(name, f"{field}.waitpoints[{number}]", place) for number, name in enumerate(message.waitpoints)
    ]
    if len(set(at)) < len(at):
        raise invalid(f"{field}.waitpoints", "each once")
    if not place.waitpoints:
        raise invalid(f"{field}.waitpoints", "the suspension has none")
    if by == "waitpoints" and message.n > len(at or place.waitpoints):
        raise invalid(f"{field}.n", f"{message.n} of {len(at or place.waitpoints)} waitpoints")
    node: Node = {"op": "count", "n": message.n, "by": by}
    if at:
        node["at"] = at
    match = _matcher(message.match, f"{field}.match")
    if match:
        node["match"] = match
    return node


def _known(name: str, field: str, place: _Place) -> str:
    if name not in place.waitpoints:
        raise invalid(field, f"{name[:80]!r} is no waitpoint of this suspension")
    return name


def _matcher(message: pb.Matcher, field: str) -> Node:
    found: Node = {}
    if len(message.names) > MAX_NAMES:
        raise invalid(f"{field}.names", f"{len(message.names)} names; at most {MAX_NAMES}")
    if message.names:
        found["names"] = [
            names.name(name, f"{field}.names[{number}]") for number, name in enumerate(message.names)
        ]
    if message.category:
        found["category"] = names.name(message.category, f"{field}.category")
    if message.source:
        found["source"] = names.text(message.source, f"{field}.source", MAX_TEXT)
    return found


_KINDS: dict[str, Callable[[Any, str, int, _Place], Node]] = {
    "signal": _signal,
    "operator": _operator,
    "timer": _timer,
    "all_of": _all_of,
    "any_of": _any_of,
    "count": _count,
}


def show(node: Node) -> pb.Condition:
    """A condition as it was asked for."""
    op = node["op"]
    if op == "signal":
        return pb.Condition(signal=pb.SignalMatch(waitpoint=node["at"], match=_show_matcher(node)))
    if op == "operator":
        return pb.Condition(operator=pb.Operator())
    if op == "timeout":
        return pb.Condition(timer=pb.Timer())
    if op == "all":
        return pb.Condition(all_of=pb.AllOf(conditions=[show(each) for each in node["of"]]))
    if op == "any":
        return pb.Condition(any_of=pb.AnyOf(conditions=[show(each) for each in node["of"]]))
    return pb.Condition(
        count=pb.Count(
            n=int(node["n"]),
            by=_COUNT_NUMBER[node["by"]],
            waitpoints=node.get("at") or [],
            match=_show_matcher(node.get("match") or {}),
        )
    )


def _show_matcher(match: Node) -> pb.Matcher | None:
    if not any(match.get(field) for field in ("names", "category", "source")):
        return None
    return pb.Matcher(
        names=match.get("names") or [], category=match.get("category", ""), source=match.get("source", "")
    )
