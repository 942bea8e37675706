"""Suspensions against the model of conditions: signals that come before and after, and what they do."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_lua import assemble
from tests.unit.core.condition_model import (
    WAITPOINTS,
    Node,
    Seen,
    conditions,
    deliveries,
    noted,
    satisfied,
    satisfiers,
    takes,
)

from .harness.engines import LuaEngine
from .harness.journal import read
from .harness.scenario import Scenario
from .harness.waits import assert_waits, deliver, pending, record, suspend, wait, waitpoint

#: One or two waits, each with a condition of its own.
NODES = st.lists(conditions(3), min_size=1, max_size=2)
SIGNALS = deliveries().map(lambda drawn: [each for each in drawn if each.kind == "signal"])


def renumbered(signals: list[Seen]) -> list[Seen]:
    """As the engine numbers them: in the order they come."""
    return [
        Seen(number, each.waitpoint, each.name, each.category, each.source)
        for number, each in enumerate(signals, start=1)
    ]


def effect_of(nodes: list[Node], before: list[Seen], signal: Seen) -> str:
    """What the model says of a signal that comes to an open suspension."""
    after = [*before, signal]
    if any(satisfied(node, after) for node in nodes):
        return "resumed"
    if any(noted(node, after) != noted(node, before) for node in nodes):
        return "counted"
    return "repeated" if any(takes(node, signal) for node in nodes) else "unmatched"


@pytest.fixture(scope="module")
def rules() -> LuaEngine:
    return LuaEngine(assemble())


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(nodes=NODES, drawn=SIGNALS, early=st.integers(0, 6))
def test_signals_do_what_the_model_says(
    rules: LuaEngine, nodes: list[Node], drawn: list[Seen], early: int
) -> None:
    rules.reset()
    scenario, signals = Scenario(rules), renumbered(drawn)
    grant = scenario.hold()
    points = {name: pending(scenario, grant.lease, name) for name in WAITPOINTS}
    assert {name: point["number"] for name, point in points.items()} == WAITPOINTS

    def send(signal: Seen) -> list[Any]:
        point = points[signal.waitpoint]
        return deliver(scenario, grant.id, point, signal.name, category=signal.category, source=signal.source)

    for signal in signals[:early]:
        assert send(signal) == [b"OK", signal.number, b"buffered", 0, b"active"]
    seen = signals[:early]
    waits = [
        wait(node, entry=str(place), name=f"wait{place}", timeout_ms=60_000)
        for place, node in enumerate(nodes, start=4)
    ]
    bound = tuple(waitpoint(name, number=number) for name, number in WAITPOINTS.items())
    waiting = suspend(scenario, grant.lease, *waits, at=bound)

    is_over = any(satisfied(node, seen) for node in nodes)
    assert waiting.answer == ("resumed" if is_over else "suspended")
    for signal in signals[early:]:
        if is_over:
            break
        expected = effect_of(nodes, seen, signal)
        assert send(signal)[:3] == [b"OK", signal.number, expected.encode()]
        seen = [*seen, signal]
        is_over = expected == "resumed"

    assert scenario.state(grant.id) == ("waiting" if is_over else "suspended")
    assert_waits(scenario, grant.id)
    scenario.assert_sound()
    if is_over:
        assert_resumed_by(scenario, grant.id, nodes, seen)


def needed(node: Node, seen: list[Seen]) -> list[Seen]:
    """The signals up to the one that satisfied the condition: a satisfied wait takes no more."""
    return next(seen[:size] for size in range(len(seen) + 1) if satisfied(node, seen[:size]))


def assert_resumed_by(scenario: Scenario, id: str, nodes: list[Node], seen: list[Seen]) -> None:
    """The next holder gets the signals that did it; the journal entry of a wait has those of its own."""
    by = [sorted(satisfiers(node, needed(node, seen))) for node in nodes if satisfied(node, seen)]
    assert record(scenario, id)["resumed_by"] == sorted({number for each in by for number in each})
    entries, _ = read(scenario, id)
    done = [
        [header["number"] for header in cast("list[Any]", json.loads(entry.data.partition(b"\n")[0]))]
        for entry in entries
        if entry.state == "done"
    ]
    assert done == by
    assert [entry.state == "done" for entry in entries] == [satisfied(node, seen) for node in nodes]
