"""Conditions: what is written for them, and what is read back."""

from __future__ import annotations

import pytest

from flowfabric._condition import (
    Condition,
    Count,
    Matcher,
    SignalMatch,
    all_of,
    any_of,
    condition_from,
    count,
    operator,
    signal,
    timer,
)
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

EVERYTHING = all_of(
    any_of(signal("approved", "waived", at="legal", category="approval"), operator(), timer()),
    count(2, by="sources", at=["ann", "ben"], names=["approved"]),
    signal(at="go", source="user:ann"),
)


def written(condition: Condition, waitpoint: str = "here") -> pb.Condition:
    message = pb.Condition()
    condition.put(message, waitpoint)
    return message


def test_what_is_written_is_read_back() -> None:
    assert condition_from(written(EVERYTHING)) == EVERYTHING


def test_a_condition_without_a_waitpoint_means_the_one_that_is_waited_for() -> None:
    assert condition_from(written(signal("paid"))) == SignalMatch(Matcher(("paid",)), "here")
    assert condition_from(written(count(2))) == Count(2, "signals", ("here",))


def test_a_condition_tells_the_waitpoints_it_is_about() -> None:
    assert list(EVERYTHING.waitpoints("here")) == ["legal", "ann", "ben", "go"]
    assert list(any_of(signal("a"), count(3), operator()).waitpoints("here")) == ["here", "here"]


@pytest.mark.parametrize("condition", [operator(), timer(), all_of(), any_of()])
def test_a_condition_without_fields_is_written_all_the_same(condition: Condition) -> None:
    assert written(condition).WhichOneof("kind") is not None


def test_nothing_else_can_be_counted() -> None:
    with pytest.raises(ValueError, match="not by 'people'"):
        count(2, by="people")  # type: ignore[arg-type]


def test_a_condition_of_a_newer_engine_is_left_out() -> None:
    message = written(any_of(signal("a")))
    message.any_of.conditions.add()

    assert condition_from(message) == any_of(signal("a", at="here"))
    assert condition_from(pb.Condition()) is None


def test_a_condition_reads_as_a_sentence() -> None:
    assert str(EVERYTHING) == (
        "((approved or waived of category approval at legal or an operator or the time) and "
        "2 sources of approved at ann, ben and any signal from user:ann at go)"
    )
    assert (str(signal()), str(count(2))) == ("any signal", "2 signals of any signal")
