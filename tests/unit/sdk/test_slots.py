"""How far ahead of its slots a pool fetches."""

from __future__ import annotations

import pytest

from flowfabric._slots import Slots


def slots_with_pace(total: int, seconds: float) -> Slots:
    """Slots whose handlers have taken so long for quite a while."""
    slots = Slots(total)
    for _ in range(200):
        slots.measure(seconds)
    return slots


@pytest.mark.parametrize("total", [1, 8, 1000])
def test_nothing_is_fetched_ahead_while_nothing_is_known_of_the_handlers(total: int) -> None:
    assert Slots(total).room == total


@pytest.mark.parametrize(
    ("total", "seconds", "ahead"),
    [
        (1, 1.0, 0),
        (1, 0.031, 0),
        (1, 0.007, 4),
        (8, 0.241, 0),
        (8, 0.090, 2),
        (1, 0.0001, 16),
        (8, 0.0, 48),
        (64, 0.0001, 384),
        (100, 3.1, 0),
        (100, 1.2, 2),
    ],
)
def test_as_many_wait_as_the_slots_get_through_in_a_moment(total: int, seconds: float, ahead: int) -> None:
    slots = slots_with_pace(total, seconds)

    assert slots.ahead == ahead
    assert slots.room == total + ahead


def test_what_runs_and_what_waits_takes_room() -> None:
    slots = slots_with_pace(2, 0.0001)
    slots.granted = 5
    assert slots.room == 13

    slots.granted = 18
    assert slots.room == 0

    slots.granted = 20  # it had asked for more when its handlers were shorter
    assert slots.room == 0


def test_slots_are_full_when_each_runs_something() -> None:
    slots = Slots(2)
    slots.granted = 2
    assert not slots.is_full

    slots.busy = 2

    assert slots.is_full


def test_a_few_short_handlers_are_no_pace_yet() -> None:
    slots = Slots(1)
    room = [slots.room]
    for _ in range(100):
        slots.measure(0.0001)
        room.append(slots.room)

    assert room[:9] == [1] * 8 + [17]
    assert set(room[9:]) == {17}


def test_the_first_pace_is_that_of_all_handlers_so_far() -> None:
    slots = Slots(1)
    slots.measure(0.8)
    for _ in range(7):
        slots.measure(0.0001)

    assert slots.room == 1


def test_outcomes_gather_for_a_moment_after_a_grant_had_to_wait_while_handlers_run() -> None:
    slots = slots_with_pace(1, 0.0001)
    slots.granted = 1
    assert not slots.gathers(10.0)

    slots.crowd(10.0)
    assert slots.gathers(10.0)
    assert not slots.gathers(10.1)

    slots.granted = 0
    assert not slots.gathers(10.0)


def test_one_long_handler_ends_the_fetching_ahead() -> None:
    slots = slots_with_pace(1, 0.0001)

    slots.measure(1.0)

    assert slots.ahead == 0


def test_nothing_is_fetched_ahead_after_something_waited_too_long_until_handlers_are_short_again() -> None:
    slots = slots_with_pace(1, 0.0001)

    slots.slow_down()
    assert slots.ahead == 0

    for _ in range(100):
        slots.measure(0.0001)
    assert slots.ahead == 16


def test_slowing_down_makes_no_slow_pace_faster() -> None:
    slots = slots_with_pace(1, 60.0)
    pace = slots.pace

    slots.slow_down()

    assert slots.pace == pace


def test_without_prefetch_there_are_never_more_grants_than_slots() -> None:
    slots = Slots(4, prefetch=False)
    for _ in range(200):
        slots.measure(0.0001)

    assert (slots.ahead, slots.room) == (0, 4)


def test_outcomes_do_not_wait_for_handlers_that_take_longer_than_the_wait() -> None:
    slots = slots_with_pace(1, 0.010)
    slots.granted = 2
    slots.crowd(10.0)

    assert not slots.gathers(10.0)


def test_the_first_pace_is_that_of_as_many_handlers_as_there_are_slots() -> None:
    slots = Slots(64)
    for _ in range(63):
        slots.measure(0.0001)
    assert slots.ahead == 0

    slots.measure(0.0001)

    assert slots.ahead == 384
