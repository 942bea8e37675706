"""Conditions: each node on its own, whole trees against the model, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings

from ff_lua import Library, assemble
from tests.unit.core.condition_model import (
    WAITPOINTS,
    Node,
    Seen,
    conditions,
    deliveries,
    satisfied,
    satisfiers,
    takes,
)

from .harness.engines import LuaEngine, ValkeyEngine

#: Shows signals to a condition, which is stored and read again between any two, as it is between calls.
PROBE = """
do
  local function probe(_, args)
    local node, reply = cjson.decode(args[1]), {}
    for i = 2, #args do
      local took, changed = ff.condition_take(node, cjson.decode(args[i]))
      node = cjson.decode(cjson.encode(node))
      reply[#reply + 1] = { took and 1 or 0, changed and 1 or 0, ff.condition_ok(node) and 1 or 0 }
    end
    return { ff.condition_by(node, {}), cjson.encode(node), reply }
  end

  local function problem(_, args)
    local names = {}
    for i = 3, #args do
      names[args[i]] = true
    end
    local path, sentence = ff.condition_problem(cjson.decode(args[1]), names, args[2] == '1')
    return path and { path, sentence } or {}
  end

  register('probe', probe)
  register('problem', problem)
end
"""


class Probe:
    """The functions of condition.lua, which no other function shows alone."""

    def __init__(self, engine: LuaEngine | ValkeyEngine, library: Library) -> None:
        self._engine, self._library = engine, library

    def call(self, function: str, *args: str) -> list[Any]:
        if isinstance(self._engine, LuaEngine):
            return cast("list[Any]", self._engine.call(function, ["ff:{p:0}:executions"], args))
        name = self._library.function(function)
        return cast("list[Any]", self._engine.command("FCALL", name, 1, "ff:{p:0}:executions", *args))

    def show(self, node: Node, signals: Sequence[Seen]) -> tuple[list[tuple[bool, bool, bool]], list[int]]:
        """For each signal whether it was taken, changed anything, was enough; and what satisfied the tree."""
        by, _, verdicts = self.call(
            "probe", json.dumps(node), *(json.dumps(signal.document()) for signal in signals)
        )
        return [cast("tuple[bool, bool, bool]", tuple(map(bool, verdict))) for verdict in verdicts], by

    def problem(self, node: object, *, has_due: bool = True) -> list[str]:
        found = self.call("problem", json.dumps(node), "1" if has_due else "0", *WAITPOINTS)
        return [part.decode() for part in found]


@pytest.fixture(scope="module")
def probe(loaded_engine: LuaEngine | ValkeyEngine) -> Iterator[Probe]:
    library = assemble()
    name = "ff_probe"
    code = library.code.replace(library.name, name) + PROBE
    library = replace(library, name=name, code=code, functions=(*library.functions, "probe", "problem"))
    if isinstance(loaded_engine, ValkeyEngine):
        loaded_engine.command("FUNCTION", "LOAD", "REPLACE", code)
        yield Probe(loaded_engine, library)
        loaded_engine.command("FUNCTION", "DELETE", name)
    else:
        engine = LuaEngine(library)
        yield Probe(engine, library)
        engine.close()


def signal(number: int = 1, waitpoint: str = "a", name: str = "approved", source: str = "user:ann") -> Seen:
    return Seen(number, waitpoint, name, "approval", source)


def leaf(at: str = "a", **match: object) -> Node:
    return {"op": "signal", "at": at, **match}


# Node by node.


def test_a_signal_satisfies_a_leaf_of_its_waitpoint_and_name(probe: Probe) -> None:
    node = leaf(names=["approved"])

    assert probe.show(node, [signal(waitpoint="b"), signal(2, name="note"), signal(3)]) == (
        [(False, False, False), (False, False, False), (True, True, True)],
        [3],
    )


def test_a_leaf_remembers_its_first_signal(probe: Probe) -> None:
    assert probe.show(leaf(), [signal(4), signal(5)]) == ([(True, True, True), (True, False, True)], [4])


@pytest.mark.parametrize("kind", ["operator", "timeout"])
def test_only_the_engine_satisfies_an_operator_or_timeout_leaf(probe: Probe, kind: Any) -> None:
    forged = Seen(1, "a", kind, kind, kind)
    real = Seen(2, "", kind, kind, "engine", kind)

    assert probe.show({"op": kind}, [forged, real]) == ([(False, False, False), (True, True, True)], [2])
    assert probe.show(leaf(), [real])[0] == [(False, False, False)]


def test_parents_are_judged_after_all_of_their_children(probe: Probe) -> None:
    # A4: one signal satisfies a part twice nested, and the root hears of it in the same call.
    node = {"op": "all", "of": [{"op": "any", "of": [leaf("b"), {"op": "all", "of": [leaf("a")]}]}]}

    assert probe.show(node, [signal()])[0] == [(True, True, True)]


def test_a_count_deep_within_is_heard_of_at_the_root(probe: Probe) -> None:
    # A4 as it was: all of all of a count.
    two = {"op": "count", "n": 2, "by": "sources"}
    node = {"op": "all", "of": [{"op": "all", "of": [two, {"op": "all", "of": [leaf("b")]}]}]}

    verdicts, numbers = probe.show(node, [signal(1), signal(2, "b"), signal(3, source="user:bob")])

    assert [ok for _, _, ok in verdicts] == [False, False, True]
    assert numbers == [1, 2, 3]


def test_a_satisfied_child_is_not_forgotten(probe: Probe) -> None:
    node = {"op": "all", "of": [leaf("a"), leaf("b")]}

    assert probe.show(node, [signal(1, "b"), signal(2, "c"), signal(3, "a")]) == (
        [(True, True, False), (False, False, False), (True, True, True)],
        [1, 3],
    )


@pytest.mark.parametrize(
    ("by", "second", "enough"),
    [
        ("sources", signal(2, "b"), False),
        ("sources", signal(2, source="user:bob"), True),
        ("waitpoints", signal(2, "a", source="user:bob"), False),
        ("waitpoints", signal(2, "b"), True),
        ("signals", signal(2), True),
    ],
)
def test_a_count_counts_distinct_things(probe: Probe, by: str, second: Seen, enough: bool) -> None:
    # A11, A12: what counts is the source, the waitpoint or the signal, and the node keeps what it counted.
    node = {"op": "count", "n": 2, "by": by}

    verdicts, numbers = probe.show(node, [signal(), second])

    assert verdicts[1] == (True, enough, enough)
    assert numbers == ([1, 2] if enough else [])


def test_a_count_in_a_tree_keeps_its_own_count(probe: Probe) -> None:
    # A12: two counts under one parent, fed one after the other.
    two = {"op": "count", "n": 2, "by": "sources", "at": ["a"]}
    node = {"op": "all", "of": [two, {**two, "at": ["b"]}]}
    signals = [signal(1, "a"), signal(2, "b"), signal(3, "b", source="user:bob"), signal(4, "b", source="x")]

    verdicts, _ = probe.show(node, [*signals, signal(5, "a", source="x")])

    assert [ok for _, _, ok in verdicts] == [False, False, False, False, True]


def test_a_count_takes_only_what_matches(probe: Probe) -> None:
    node = {"op": "count", "n": 1, "by": "sources", "at": ["a", "b"], "match": {"names": ["approved"]}}

    verdicts, _ = probe.show(node, [signal(1, "c"), signal(2, "b", "rejected"), signal(3, "b")])

    assert [took for took, _, _ in verdicts] == [False, False, True]


def test_a_count_never_grows_beyond_its_number(probe: Probe) -> None:
    signals = [signal(number) for number in range(1, 21)]

    stored = probe.call(
        "probe",
        json.dumps({"op": "count", "n": 3, "by": "signals"}),
        *(json.dumps(each.document()) for each in signals),
    )[1]

    assert json.loads(stored)["seen"] == {"#1": 1, "#2": 2, "#3": 3}


# Whole trees.


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(node=conditions(), signals=deliveries())
def test_a_tree_is_worth_what_the_model_says(probe: Probe, node: Node, signals: list[Seen]) -> None:
    assert probe.problem(node) == []

    verdicts, numbers = probe.show(node, signals)

    assert [ok for _, _, ok in verdicts] == [
        satisfied(node, signals[: count + 1]) for count in range(len(signals))
    ]
    assert [took for took, _, _ in verdicts] == [takes(node, each) for each in signals]
    assert numbers == sorted(satisfiers(node, signals))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(node=conditions(), signals=deliveries())
def test_what_changes_nothing_may_be_repeated(probe: Probe, node: Node, signals: list[Seen]) -> None:
    twice = [each for signal in signals for each in (signal, signal)]

    verdicts, numbers = probe.show(node, twice)

    assert all(changed is False for _, changed, _ in verdicts[1::2])
    assert (verdicts[::2], numbers) == probe.show(node, signals)


# What is refused.


def deep(levels: int) -> Node:
    node = leaf()
    for _ in range(levels - 1):
        node = {"op": "all", "of": [node]}
    return node


@pytest.mark.parametrize(
    ("node", "path"),
    [
        ({"op": "never"}, ""),
        ("signal", ""),
        ({"op": "all", "of": []}, ".all_of.conditions"),
        ({"op": "any", "of": [leaf()] * 33}, ".any_of.conditions"),
        ({"op": "any", "of": "a"}, ".any_of.conditions"),
        (deep(5), ".all_of.conditions[0]" * 4),
        ({"op": "all", "of": [deep(2)] * 32}, ".all_of.conditions[31].all_of.conditions[0]"),
        (leaf("nowhere"), ".signal.waitpoint"),
        (leaf(names=["x"] * 17), ".signal.match.names"),
        (leaf(names=["approved", "x" * 65]), ".signal.match.names[1]"),
        (leaf(category=""), ".signal.match.category"),
        (leaf(source="x" * 257), ".signal.match.source"),
        (
            {"op": "all", "of": [leaf(), {"op": "count", "n": 0, "by": "signals"}]},
            ".all_of.conditions[1].count.n",
        ),
        ({"op": "count", "n": 101, "by": "signals"}, ".count.n"),
        ({"op": "count", "n": 1.5, "by": "signals"}, ".count.n"),
        ({"op": "count", "n": 4, "by": "waitpoints"}, ".count.n"),
        ({"op": "count", "n": 2, "by": "waitpoints", "at": ["a"]}, ".count.n"),
        ({"op": "count", "n": 1, "by": "people"}, ".count.by"),
        ({"op": "count", "n": 1, "by": "signals", "at": ["a", "z"]}, ".count.waitpoints[1]"),
        ({"op": "count", "n": 1, "by": "signals", "at": ["a", "a"]}, ".count.waitpoints[1]"),
        ({"op": "count", "n": 1, "by": "signals", "match": {"source": ""}}, ".count.match.source"),
    ],
)
def test_the_path_of_what_is_wrong_is_named(probe: Probe, node: object, path: str) -> None:
    found, sentence = probe.problem(node)

    assert found == path
    assert sentence


def test_a_timer_needs_a_wait_that_ends(probe: Probe) -> None:
    node = {"op": "any", "of": [leaf(), {"op": "timeout"}]}

    assert probe.problem(node) == []
    assert probe.problem(node, has_due=False)[0] == ".any_of.conditions[1].timer"


def test_as_deep_and_as_many_as_may_be(probe: Probe) -> None:
    assert probe.problem(deep(4)) == []
    assert probe.problem({"op": "all", "of": [*[deep(2)] * 31, leaf()]}) == []
