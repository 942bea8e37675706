"""Conditions of requests: what is taken, and the path of what is not."""

from __future__ import annotations

import json

import pytest

from ff_core.errors import EngineError, ErrorCode
from ff_core.wire.condition import condition, show
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

WAITPOINTS = ["approval", "review"]


def leaf(waitpoint: str = "approval", **match: object) -> pb.Condition:
    return pb.Condition(
        signal=pb.SignalMatch(waitpoint=waitpoint, match=pb.Matcher(**match) if match else None)  # type: ignore[arg-type]
    )


def every(*conditions: pb.Condition) -> pb.Condition:
    return pb.Condition(all_of=pb.AllOf(conditions=conditions))


def some(*conditions: pb.Condition) -> pb.Condition:
    return pb.Condition(any_of=pb.AnyOf(conditions=conditions))


def count(n: int = 1, by: pb.CountBy = pb.COUNT_BY_SOURCES, **fields: object) -> pb.Condition:
    return pb.Condition(count=pb.Count(n=n, by=by, **fields))  # type: ignore[arg-type]


TIMER, OPERATOR = pb.Condition(timer=pb.Timer()), pb.Condition(operator=pb.Operator())
UNKNOWN_COUNT = pb.Condition(count=pb.Count(n=1))
UNKNOWN_COUNT.count.by = 9  # type: ignore[assignment]

TAKEN = [
    leaf(),
    leaf(names=["approved"], category="approval", source="user:alice"),
    OPERATOR,
    TIMER,
    every(leaf(), some(leaf("review"), OPERATOR)),
    count(2, waitpoints=["approval", "review"], match=pb.Matcher(names=["approved"])),
    count(100, pb.COUNT_BY_SIGNALS),
    count(2, pb.COUNT_BY_WAITPOINTS),
    every(some(every(leaf()))),
    every(*[leaf()] * 32),
]


@pytest.mark.parametrize("message", TAKEN, ids=str)
def test_a_condition_is_shown_as_it_was_asked_for(message: pb.Condition) -> None:
    node = condition(message, "condition", WAITPOINTS, has_time=True)

    assert show(json.loads(json.dumps(node))) == message


def test_the_state_within_a_condition_is_not_shown() -> None:
    message = every(leaf(), count())
    node = condition(message, "condition", WAITPOINTS, has_time=False)
    node["ok"], node["of"][0]["by"] = False, 7
    node["of"][1]["seen"] = {"@user:alice": 7}

    assert show(node) == message


REFUSED = [
    (pb.Condition(), ""),
    (leaf("other"), ".signal.waitpoint"),
    (leaf(""), ".signal.waitpoint"),
    (leaf(names=["a b"]), ".signal.match.names[0]"),
    (leaf(names=["a"] * 17), ".signal.match.names"),
    (leaf(category="a b"), ".signal.match.category"),
    (leaf(source="x" * 257), ".signal.match.source"),
    (pb.Condition(all_of=pb.AllOf()), ".all_of.conditions"),
    (some(*[leaf()] * 33), ".any_of.conditions"),
    (every(leaf(), some(leaf(), pb.Condition())), ".all_of.conditions[1].any_of.conditions[1]"),
    (
        every(leaf(), count(0)),
        ".all_of.conditions[1].count.n",
    ),
    (every(every(every(every(leaf())))), ".all_of.conditions[0]" * 4),
    (every(*[every(*[leaf()] * 31)] * 3), ".all_of.conditions[1].all_of.conditions[30]"),
    (count(101), ".count.n"),
    (count(3, pb.COUNT_BY_WAITPOINTS), ".count.n"),
    (count(2, pb.COUNT_BY_WAITPOINTS, waitpoints=["review"]), ".count.n"),
    (count(1, pb.COUNT_BY_UNSPECIFIED), ".count.by"),
    (UNKNOWN_COUNT, ".count.by"),
    (count(waitpoints=["approval", "other"]), ".count.waitpoints[1]"),
    (count(waitpoints=["approval", "approval"]), ".count.waitpoints"),
    (count(match=pb.Matcher(category="a b")), ".count.match.category"),
]


@pytest.mark.parametrize(("message", "path"), REFUSED)
def test_a_refusal_names_the_path_of_the_node(message: pb.Condition, path: str) -> None:
    with pytest.raises(EngineError) as refused:
        condition(message, "waits[0].condition", WAITPOINTS, has_time=True)

    assert refused.value.code is ErrorCode.INVALID_ARGUMENT
    assert refused.value.field == f"waits[0].condition{path}"


def test_a_timer_needs_time() -> None:
    with pytest.raises(EngineError) as refused:
        condition(some(leaf(), TIMER), "condition", WAITPOINTS, has_time=False)

    assert refused.value.field == "condition.any_of.conditions[1].timer"


def test_nothing_counts_without_a_waitpoint() -> None:
    with pytest.raises(EngineError) as refused:
        condition(count(), "condition", [], has_time=False)

    assert refused.value.field == "condition.count.waitpoints"
