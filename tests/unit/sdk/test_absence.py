"""How long a worker waits between sessions, and what it says meanwhile."""

from __future__ import annotations

import logging

import pytest

from flowfabric import EngineError
from flowfabric._absence import GOOD_S, LONGEST_PAUSE_S, Absence

GOING = EngineError("SHUTTING_DOWN", "it goes", retryable=True, retry_after=0.1)
AWAY = EngineError("UNAVAILABLE", "nobody listens", retryable=True)
NOW, LEASE_S = 1000.0, 30.0


@pytest.fixture
def absence() -> Absence:
    return Absence()


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _low, _high: 1.0)


def test_the_first_retry_is_made_at_once_and_each_further_one_later(absence: Absence) -> None:
    pauses = [absence.pause(AWAY, NOW) for _ in range(10)]

    assert pauses == [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_a_server_that_asks_for_less_than_the_pause_does_not_shorten_it(absence: Absence) -> None:
    pauses = [absence.pause(GOING, NOW) for _ in range(6)]

    assert pauses == [0, 0.1, 0.1, 0.2, 0.4, 0.8]


def test_pauses_are_spread(monkeypatch: pytest.MonkeyPatch, absence: Absence) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: (low, high) == (0.75, 1.25) and 1.25)
    absence.pause(AWAY, NOW)

    assert absence.pause(AWAY, NOW) == 0.0625


def test_after_a_session_that_held_all_begins_anew(absence: Absence) -> None:
    for _ in range(5):
        absence.pause(AWAY, NOW)
    absence.end(NOW, LEASE_S)

    assert [absence.pause(AWAY, NOW + GOOD_S) for _ in range(2)] == [0, 0.05]


def test_sessions_that_end_as_soon_as_they_are_welcome_make_no_hot_loop(absence: Absence) -> None:
    pauses = []
    for _ in range(6):
        absence.end(NOW, LEASE_S)
        pauses.append(absence.pause(None, NOW + 1))

    assert pauses == [0, 0.05, 0.1, 0.2, 0.4, 0.8]


def test_no_pause_lets_a_lease_run_out(absence: Absence) -> None:
    for _ in range(10):
        absence.pause(AWAY, NOW)
    absence.end(NOW, 1.5)

    assert absence.pause(AWAY, NOW + 1) == 0.5


def test_a_line_is_written_when_something_changes_and_not_for_every_try(
    absence: Absence, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    absence.end(NOW, LEASE_S)
    for error in (GOING, GOING, AWAY, AWAY, GOING, AWAY):
        absence.pause(error, NOW)
    absence.end(NOW, LEASE_S)
    absence.pause(None, NOW)

    assert caplog.messages == [
        "no_session reason=SHUTTING_DOWN: it goes next_try_s=0.00 longest_pause_s=5",
        "no_session reason=UNAVAILABLE: nobody listens next_try_s=0.10 longest_pause_s=5",
        "session_back tries=6",
        "no_session reason=the gateway closed it next_try_s=1.60 longest_pause_s=5",
    ]
