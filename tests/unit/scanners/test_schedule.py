"""When partitions are scanned: seconds here start at 100, Valkey's milliseconds at 1,000,000."""

from __future__ import annotations

import pytest

from ff_scanners.scanner import ScanResult
from ff_scanners.schedule import VISIT_GRID_S, Schedule

START, START_MS = 100.0, 1_000_000
OWNED = frozenset({1, 2, 3})


def swept(interval_s: float = 1.0) -> Schedule:
    """A schedule that has just begun its first sweep."""
    schedule = Schedule(interval_s)
    assert schedule.take(OWNED, START) == [1, 2, 3]
    return schedule


def test_all_partitions_are_swept_once_an_interval() -> None:
    schedule = swept()
    for partition in OWNED:
        schedule.scanned(partition, ScanResult(), START, START_MS)

    assert schedule.take(OWNED, START + 0.5) == []
    assert schedule.next_at(OWNED) == START + 1.0
    assert schedule.take(OWNED, START + 1.0) == [1, 2, 3]


def test_a_partition_with_more_to_do_is_scanned_again_at_once() -> None:
    schedule = swept()
    schedule.scanned(2, ScanResult(100, START_MS - 1, more=True), START, START_MS)

    assert schedule.next_at(OWNED) == START
    assert schedule.take(OWNED, START) == [2]
    assert schedule.take(OWNED, START) == []


def test_what_comes_due_before_the_sweep_is_visited_then_and_alone() -> None:
    schedule = swept(interval_s=60.0)
    schedule.scanned(2, ScanResult(0, START_MS + 5_000), START, START_MS)

    due_at = schedule.next_at(OWNED)

    assert START + 5.0 < due_at <= START + 5.0 + 2 * VISIT_GRID_S
    assert schedule.take(OWNED, due_at) == [2]


def test_what_comes_due_after_the_sweep_is_left_to_it() -> None:
    schedule = swept()
    schedule.scanned(2, ScanResult(0, START_MS + 5_000), START, START_MS)

    assert schedule.next_at(OWNED) == START + 1.0


def test_entries_due_one_after_the_other_share_a_visit() -> None:
    schedule = swept()
    schedule.scanned(1, ScanResult(0, START_MS + 103), START, START_MS)
    schedule.scanned(2, ScanResult(0, START_MS + 112), START, START_MS)

    assert schedule.take(OWNED, schedule.next_at(OWNED)) == [1, 2]


def test_visits_that_come_too_early_become_rarer() -> None:
    schedule = swept(interval_s=60.0)
    now, pauses = START, []
    for _ in range(5):  # our clock is ahead of Valkey's, where this entry is not due yet
        schedule.scanned(1, ScanResult(0, START_MS - 500), now, START_MS)
        pauses.append(schedule.next_at(OWNED) - now)
        now = schedule.next_at(OWNED)
        assert schedule.take(OWNED, now) == [1]

    assert pauses == sorted(pauses)
    assert pauses[-1] >= 0.6
    schedule.scanned(1, ScanResult(1, START_MS - 500), now, START_MS)
    assert schedule.next_at(OWNED) - now <= VISIT_GRID_S + 1e-9


def test_a_partition_that_fails_is_left_alone_longer_each_time() -> None:
    schedule, owned = Schedule(1000.0), frozenset({2})
    now, pauses = START, []
    for _ in range(9):
        assert schedule.take(owned, now) == [2]
        schedule.failed(2, now)
        pauses.append(schedule.next_at(owned) - now)
        now = schedule.next_at(owned)

    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_the_others_are_swept_while_one_is_left_alone() -> None:
    schedule = swept()
    schedule.failed(2, START)
    schedule.failed(2, START)
    schedule.failed(2, START)

    assert schedule.take(OWNED, START + 1.0) == [1, 3]
    assert schedule.take(OWNED, START + 2.0) == [1, 2, 3]


def test_a_success_ends_the_back_off() -> None:
    schedule = swept()
    schedule.failed(2, START)
    schedule.failed(2, START)
    schedule.scanned(2, ScanResult(), START, START_MS)

    assert schedule.take(OWNED, START + 1.0) == [1, 2, 3]
    schedule.failed(2, START + 1.0)
    assert schedule.next_at(OWNED) == pytest.approx(START + 1.5)


def test_a_partition_that_is_no_longer_owned_wakes_nobody() -> None:
    schedule = swept()
    schedule.scanned(2, ScanResult(100, 0, more=True), START, START_MS)

    assert schedule.next_at(OWNED - {2}) == START + 1.0
    assert schedule.take(OWNED - {2}, START) == []


def test_nothing_owned_is_nothing_scanned() -> None:
    schedule = Schedule(1.0)

    assert schedule.take(frozenset(), START) == []
    assert schedule.next_at(frozenset()) == START + 1.0
