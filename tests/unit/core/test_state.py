"""The state vector is derived, here and nowhere else, from what the rules store."""

from __future__ import annotations

import pytest

from ff_core.state import TERMINAL, State, StateVector, vector_of

#: state, stored reason, stored attempt state → the vector, in the order of its fields.
TABLE = [
    (
        State.WAITING, "waiting_for_worker", "pending_first_attempt",
        ("runnable", "unowned", "eligible_now", "waiting_for_worker", "none", "pending_first_attempt"),
    ),
    (
        State.WAITING, "waiting_for_worker", "pending_reclaim_attempt",
        ("runnable", "unowned", "eligible_now", "waiting_for_worker", "none", "pending_reclaim_attempt"),
    ),
    (
        State.DELAYED, "waiting_for_delay", "attempt_interrupted",
        (
            "runnable", "unowned", "not_eligible_until_time", "waiting_for_delay", "none",
            "attempt_interrupted",
        ),
    ),
    (
        State.DELAYED, "waiting_for_retry_backoff", "pending_retry_attempt",
        (
            "runnable", "unowned", "not_eligible_until_time", "waiting_for_retry_backoff", "none",
            "pending_retry_attempt",
        ),
    ),
    (
        State.ACTIVE, "none", "running_attempt",
        ("active", "leased", "not_applicable", "none", "none", "running_attempt"),
    ),
    (
        State.SUSPENDED, "waiting_for_approval", "attempt_interrupted",
        (
            "suspended", "unowned", "not_applicable", "waiting_for_approval", "none",
            "attempt_interrupted",
        ),
    ),
    (
        State.COMPLETED, "none", "attempt_terminal",
        ("terminal", "unowned", "not_applicable", "none", "success", "attempt_terminal"),
    ),
    (
        State.FAILED, "none", "attempt_terminal",
        ("terminal", "unowned", "not_applicable", "none", "failed", "attempt_terminal"),
    ),
    (
        State.CANCELLED, "none", "pending_first_attempt",
        ("terminal", "unowned", "not_applicable", "none", "cancelled", "pending_first_attempt"),
    ),
    (
        State.EXPIRED, "none", "attempt_terminal",
        ("terminal", "unowned", "not_applicable", "none", "expired", "attempt_terminal"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("state", "reason", "attempt_state", "vector"), TABLE)
def test_the_vector_follows_from_state_reason_and_attempt(
    state: State, reason: str, attempt_state: str, vector: tuple[str, ...]
) -> None:
    assert vector_of(state, reason, attempt_state) == StateVector(*vector)


def test_the_table_knows_every_state() -> None:
    assert {row[0] for row in TABLE} == set(State)


def test_what_nobody_can_run_says_so() -> None:
    vector = vector_of(State.WAITING, "waiting_for_worker", "pending_first_attempt", has_capable_worker=False)

    assert vector.blocking_reason == "waiting_for_capable_worker"
    assert vector.eligibility_state == "eligible_now"


@pytest.mark.parametrize("state", [state for state in State if state is not State.WAITING])
def test_only_what_waits_can_lack_a_worker(state: State) -> None:
    with_worker = vector_of(state, "reason", "attempt")

    assert vector_of(state, "reason", "attempt", has_capable_worker=False) == with_worker


@pytest.mark.parametrize("state", State)
def test_a_state_is_terminal_exactly_when_its_phase_is(state: State) -> None:
    assert state.is_terminal == (state in TERMINAL)
    assert state.is_terminal == (vector_of(state, "", "").lifecycle_phase == "terminal")
