"""What the gateway lets through of a condition, the rules take, and it is shown as it was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_core.errors import EngineError, ErrorCode
from ff_core.wire.condition import condition, show
from ff_lua import assemble
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

from .harness.engines import LuaEngine

PROBLEM = """
register('problem', function(_, args)
  local path, sentence = ff.condition_problem(cjson.decode(args[1]), { a = true, b = true }, args[2] == '1')
  return path and { path, sentence } or {}
end)
"""
#: Mostly what is let through: a tree is as good as its worst node.
WORDS = st.sampled_from(["", "a", "approved", "x" * 64] * 6 + ["a b", "x" * 65, "x" * 257, "é"])
WAITPOINTS = st.sampled_from(["a", "b"] * 12 + ["", "c"])
MATCHERS = st.builds(
    lambda names, category, source: pb.Matcher(names=names, category=category, source=source),
    st.lists(WORDS.filter(bool), max_size=2) | st.just(["a"] * 17),
    WORDS,
    WORDS | st.just("user:ada"),
)
LEAVES = st.one_of(
    st.builds(
        lambda at, match: pb.Condition(signal=pb.SignalMatch(waitpoint=at, match=match)), WAITPOINTS, MATCHERS
    ),
    st.just(pb.Condition(operator=pb.Operator())),
    st.just(pb.Condition(timer=pb.Timer())),
    st.builds(
        lambda n, by, at, match: pb.Condition(count=pb.Count(n=n, by=by, waitpoints=at, match=match)),
        st.sampled_from([1, 1, 2, 2, 100, 0, 101]),
        st.sampled_from([*pb.CountBy.values(), *pb.CountBy.values()[1:] * 3]),
        st.lists(WAITPOINTS, max_size=2),
        MATCHERS,
    ),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda of: pb.Condition(all_of=pb.AllOf(conditions=of)), st.lists(inner, min_size=1, max_size=4)
        ),
        st.builds(
            lambda of: pb.Condition(any_of=pb.AnyOf(conditions=of)), st.lists(inner, min_size=1, max_size=4)
        ),
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def rules() -> Iterator[LuaEngine]:
    library = assemble()
    library = replace(library, code=library.code + PROBLEM, functions=(*library.functions, "problem"))
    engine = LuaEngine(library)
    yield engine
    engine.close()


@given(message=CONDITIONS, has_time=st.booleans())
@settings(max_examples=300, deadline=None)
def test_what_is_let_through_is_taken_and_shown_as_it_was(
    rules: LuaEngine, message: pb.Condition, has_time: bool
) -> None:
    refused: EngineError | None = None
    try:
        node = condition(message, "waits[0].condition", ["a", "b"], has_time=has_time)
    except EngineError as error:
        refused = error
    if refused is not None:
        assert refused.code is ErrorCode.INVALID_ARGUMENT
        assert refused.field.startswith("waits[0].condition")
        return

    args = [json.dumps(node), "1" if has_time else "0"]
    assert cast("list[Any]", rules.call("problem", ["ff:{p:0}:executions"], args)) == []
    expected = pb.Condition.FromString(message.SerializeToString())
    assert without_empty_matchers(show(node)) == without_empty_matchers(expected)


def without_empty_matchers(message: pb.Condition) -> pb.Condition:
    """An empty matcher says the same as none."""
    for child in (*message.all_of.conditions, *message.any_of.conditions):
        without_empty_matchers(child)
    for holder in (message.signal, message.count):
        if holder.HasField("match") and holder.match == pb.Matcher():
            holder.ClearField("match")
    return message
