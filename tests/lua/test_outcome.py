"""How attempts end, and what follows."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from .harness.scenario import Grant, Scenario

BYTES = bytes(range(256))


def test_a_completed_execution_keeps_its_result_byte_for_byte(scenario: Scenario) -> None:
    grant = scenario.hold(attempt_timeout_ms=9000, deadline_ms=60_000)

    assert scenario.complete(grant.lease, BYTES) == [b"OK", b"completed"]

    assert scenario.call("execution_result", grant.id) == [b"OK", BYTES]
    assert scenario.core(grant.id)["attempt_state"] == "attempt_terminal"
    assert scenario.events(grant.id) == ["created", "claimed", "confirmed", "completed"]
    scenario.assert_sound()


def test_there_is_no_result_before_the_end(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert scenario.call("execution_result", grant.id) == [b"RESULT_NOT_READY", b"active"]
    assert scenario.call("execution_result", "0-ff") == [b"EXECUTION_NOT_FOUND"]


def test_an_empty_result_is_a_result(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.complete(grant.lease, b"")

    assert scenario.call("execution_result", grant.id) == [b"OK", b""]


OUTCOMES: list[tuple[Callable[[Scenario, Grant], list[bytes]], bytes]] = [
    (lambda scenario, grant: scenario.complete(grant.lease), b"completed"),
    (lambda scenario, grant: scenario.fail(grant.lease), b"retry_scheduled"),
    (lambda scenario, grant: scenario.fail(grant.lease, final=True), b"failed"),
    (lambda scenario, grant: scenario.finish(grant.lease, "delay", 1000), b"delayed"),
    (lambda scenario, grant: scenario.finish(grant.lease, "stop"), b"cancelled"),
]


@pytest.mark.parametrize(("outcome", "answer"), OUTCOMES)
def test_repeating_an_outcome_gives_the_first_answer(
    scenario: Scenario, outcome: Callable[[Scenario, Grant], list[bytes]], answer: bytes
) -> None:
    grant = scenario.hold()

    answers = [outcome(scenario, grant), outcome(scenario, grant), scenario.complete(grant.lease)]

    assert answers == [[b"OK", answer]] * 3
    assert len(scenario.events(grant.id)) == 4
    scenario.assert_sound()


@pytest.mark.parametrize(("outcome", "answer"), OUTCOMES[1:2] + OUTCOMES[3:4])
def test_a_late_repeat_gets_the_first_answer_while_a_later_lease_runs(
    scenario: Scenario, outcome: Callable[[Scenario, Grant], list[bytes]], answer: bytes
) -> None:
    grant = scenario.hold()
    outcome(scenario, grant)
    scenario.engine.advance(10_000)
    scenario.call("delayed_promote", 10)
    later = scenario.reclaim(grant.id)

    assert outcome(scenario, grant) == [b"OK", answer]
    assert scenario.renew(later.lease) == [b"OK"]


def test_a_failure_is_retried_after_its_back_off(scenario: Scenario) -> None:
    grant = scenario.hold(
        policy={"backoff_initial_ms": 100, "backoff_multiplier": 3, "backoff_jitter": 0, "max_attempts": 3}
    )
    pauses = []
    for _ in range(2):
        scenario.fail(grant.lease)
        due_at = scenario.score("delayed", grant.id) or 0
        pauses.append(due_at - scenario.engine.now_ms)
        scenario.engine.advance(int(pauses[-1]))
        scenario.call("delayed_promote", 10)
        grant = scenario.reclaim(grant.id)

    assert pauses == [100, 300]
    assert scenario.fail(grant.lease) == [b"OK", b"failed"]
    assert scenario.core(grant.id)["failures"] == 3
    assert scenario.events(grant.id)[-1] == "failed"
    scenario.assert_sound()


def test_the_pause_stays_within_its_jitter_and_its_maximum(scenario: Scenario) -> None:
    policy: dict[str, object] = {"backoff_initial_ms": 10000, "backoff_max_ms": 1000, "backoff_jitter": 0.1}
    for _ in range(20):
        grant = scenario.hold(policy=policy)
        scenario.fail(grant.lease)
        pause = (scenario.score("delayed", grant.id) or 0) - scenario.engine.now_ms
        assert 900 <= pause <= 1100


def test_a_pause_is_whole_differs_and_is_the_same_when_it_is_asked_again(scenario: Scenario) -> None:
    """A22: no fraction of a millisecond, a draw for each failure, the same draw for a repeat of the call."""
    policy: dict[str, object] = {"backoff_initial_ms": 3333, "backoff_multiplier": 1.7, "backoff_jitter": 0.1}

    def pauses() -> list[float]:
        found = []
        for number in range(5):
            grant = scenario.hold(id=f"0-{number:08x}", policy=policy)
            for _ in range(2):
                scenario.fail(grant.lease)
                due_at = scenario.score("delayed", grant.id) or 0
                assert due_at == scenario.core(grant.id)["due_at"] == int(due_at)
                found.append(due_at - scenario.engine.now_ms)
                scenario.engine.advance(int(found[-1]))
                assert scenario.call("delayed_promote", 10) == [1, b""]
                grant = scenario.reclaim(grant.id)
            scenario.complete(grant.lease)
            scenario.engine.command("DEL", f"{scenario.prefix}execution:{grant.id}")  # to be made once more
        return found

    first = pauses()
    assert len(set(first)) == len(first)
    assert pauses() == first


@pytest.mark.parametrize(
    ("policy", "category", "answer"),
    [
        ({}, "permanent", b"failed"),
        ({}, "transient", b"retry_scheduled"),
        ({"retryable_categories": ["timeout"]}, "transient", b"failed"),
        ({"retryable_categories": ["timeout"]}, "timeout", b"retry_scheduled"),
        ({"non_retryable_categories": ["timeout"]}, "timeout", b"failed"),
        ({"non_retryable_categories": ["timeout"]}, "permanent", b"retry_scheduled"),
        ({"retryable_categories": []}, "transient", b"retry_scheduled"),
        ({"max_attempts": 1}, "transient", b"failed"),
    ],
)
def test_the_stored_policy_decides_whether_a_category_is_retried(
    scenario: Scenario, policy: dict[str, object], category: str, answer: bytes
) -> None:
    grant = scenario.hold(policy=policy)

    assert scenario.fail(grant.lease, category) == [b"OK", answer]
    scenario.assert_sound()


def test_a_failure_may_name_its_own_pause(scenario: Scenario) -> None:
    patient, eager = scenario.hold(), scenario.hold()

    scenario.fail(patient.lease, retry_delay_ms=77)
    scenario.fail(eager.lease, retry_delay_ms=0)

    assert scenario.score("delayed", patient.id) == scenario.engine.now_ms + 77
    assert scenario.state(eager.id) == "waiting"
    scenario.assert_sound()


def test_a_failed_attempt_is_remembered_in_the_history(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.fail(grant.lease)

    record = json.loads(scenario.history(grant.id)["1"])

    assert record["failure"] == {"type": "SomeError", "message": "it broke", "category": "transient"}
    assert (record["attempt"], record["worker"], record["answer"]) == (1, "worker-1", "retry_scheduled")


def test_outcomes_of_one_call_stand_alone(scenario: Scenario) -> None:
    done, failed = scenario.hold(), scenario.hold()

    replies = scenario.call(
        "lease_finish",
        done.lease, "w", "complete", 1, "r",
        "nonsense", "w", "stop", 0,
        failed.lease, "w", "fail", 5, "T", "m", "permanent", 0, "",
        "0-ff:1:1:n", "w", "complete", 1, "r",
    )  # fmt: skip

    assert replies == [
        [b"OK", b"completed"], [b"INVALID_ARGUMENT"], [b"OK", b"failed"], [b"EXECUTION_NOT_FOUND"],
    ]  # fmt: skip
    scenario.assert_sound()


def test_an_offer_may_be_finished_without_a_renewal(scenario: Scenario) -> None:
    scenario.create()
    [grant] = scenario.claim()

    assert scenario.complete(grant.lease) == [b"OK", b"completed"]
    assert scenario.core(grant.id)["worker"] == "worker-1"


def test_an_attempt_that_takes_too_long_is_retried(scenario: Scenario) -> None:
    grant = scenario.hold(attempt_timeout_ms=1000)
    assert scenario.call("attempt_expire", 10) == [0, scenario.engine.now_ms + 1000]
    scenario.engine.advance(1000)

    assert scenario.call("attempt_expire", 10) == [1, b""]

    assert scenario.state(grant.id) == "delayed"
    assert scenario.core(grant.id)["failure"]["type"] == "attempt_timeout"
    assert scenario.renew(grant.lease) == [b"LEASE_REVOKED"]
    scenario.assert_sound()


@pytest.mark.parametrize("state", ["waiting", "delayed", "active"])
def test_the_deadline_ends_an_execution_in_any_live_state(scenario: Scenario, state: str) -> None:
    delay_until_ms = scenario.engine.now_ms + 99_000 if state == "delayed" else 0
    id = scenario.create(deadline_ms=1000, delay_until_ms=delay_until_ms, attempt_timeout_ms=9000)
    if state == "active":
        scenario.reclaim(id)
    assert scenario.state(id) == state
    scenario.engine.advance(1000)

    assert scenario.call("deadline_expire", 10) == [1, b""]

    assert scenario.state(id) == "expired"
    assert scenario.events(id)[-1] == "expired"
    scenario.assert_sound()
