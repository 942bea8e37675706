"""Running a terminal execution again, and forgetting it."""

from __future__ import annotations

import json

import pytest

from .harness.scenario import TERMINAL, Scenario

RETENTION_MS = 86_400_000


def ended(scenario: Scenario, state: str) -> str:
    """The id of an execution that ended so, after one attempt."""
    grant = scenario.hold(deadline_ms=1000, tags={"team": "blue"}, attempt_timeout_ms=500)
    scenario.call("output_append", grant.lease, 1, 1, "log", "x")
    match state:
        case "completed":
            scenario.complete(grant.lease)
        case "failed":
            scenario.fail(grant.lease, final=True)
        case "cancelled":
            scenario.finish(grant.lease, "stop")
        case _:
            scenario.engine.advance(1000)
            scenario.call("deadline_expire", 1)
    assert scenario.state(grant.id) == state
    return grant.id


@pytest.mark.parametrize("state", TERMINAL)
def test_a_terminal_execution_runs_again_with_fresh_counters(scenario: Scenario, state: str) -> None:
    id = ended(scenario, state)

    assert scenario.call("execution_replay", id) == [b"OK", b"waiting"]

    core = scenario.core(id)
    assert (core["replays"], core["attempt_state"]) == (1, "pending_replay_attempt")
    assert not {"failures", "reclaims", "ended_at", "failure", "cancel_at", "result_bytes"} & set(core)
    assert scenario.value("result", id) is None
    assert scenario.score("deadline", id) == scenario.engine.now_ms + 1000
    assert scenario.events(id)[-1] == "replayed"
    scenario.assert_sound()
    again = scenario.reclaim(id)
    assert (again.attempt, again.epoch) == (2, 2)


def test_the_lease_before_a_replay_is_in_the_history(scenario: Scenario) -> None:
    id = ended(scenario, "failed")
    scenario.call("execution_replay", id)

    record = json.loads(scenario.history(id)["1"])

    assert (record["ending"], record["answer"]) == ("failed", "failed")
    assert record["failure"]["type"] == "SomeError"


def test_a_lease_that_completed_has_no_failure_of_an_earlier_one_in_the_history(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.fail(grant.lease, retry_delay_ms=0)
    scenario.complete(scenario.reclaim(grant.id).lease)

    scenario.call("execution_replay", grant.id)

    record = json.loads(scenario.history(grant.id)["2"])
    assert record["ending"] == "completed"
    assert "failure" not in record


def test_a_replay_keeps_the_failure_of_an_earlier_attempt(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.fail(grant.lease)
    scenario.call("execution_cancel", "why", 0, grant.id)

    scenario.call("execution_replay", grant.id)

    assert json.loads(scenario.history(grant.id)["1"])["failure"]["type"] == "SomeError"


@pytest.mark.parametrize("hold", [False, True])
def test_what_has_not_ended_cannot_be_replayed(scenario: Scenario, hold: bool) -> None:
    id = scenario.hold().id if hold else scenario.create()

    assert scenario.call("execution_replay", id) == [b"EXECUTION_NOT_TERMINAL"]
    assert scenario.call("execution_replay", "0-ff") == [b"EXECUTION_NOT_FOUND"]


def test_replays_are_counted_against_the_policy(scenario: Scenario) -> None:
    id = scenario.create(policy={"max_replays": 1})
    replies = []
    for _ in range(2):
        scenario.call("execution_cancel", "why", 0, id)
        replies.append(scenario.call("execution_replay", id))

    assert replies == [[b"OK", b"waiting"], [b"REPLAYS_EXHAUSTED", 1]]
    scenario.assert_sound()


def test_a_late_outcome_from_before_the_replay_gets_its_first_answer(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.complete(grant.lease)
    scenario.call("execution_replay", grant.id)
    scenario.reclaim(grant.id)

    assert scenario.complete(grant.lease) == [b"OK", b"completed"]
    assert scenario.state(grant.id) == "active"


@pytest.mark.parametrize("state", TERMINAL)
def test_retention_deletes_everything_an_execution_owns(scenario: Scenario, state: str) -> None:
    id = ended(scenario, state)
    assert scenario.keys_of(id)
    assert scenario.call("retention_purge", 10) == [0, scenario.engine.now_ms + RETENTION_MS]
    scenario.engine.advance(RETENTION_MS)

    assert scenario.call("retention_purge", 10) == [1, b""]

    assert scenario.keys_of(id) == []
    assert scenario.indexes_of(id) == []
    assert set(scenario.names()) <= {"events", "lanes"}


def test_retention_deletes_what_a_replayed_and_retried_execution_left(scenario: Scenario) -> None:
    id = ended(scenario, "failed")
    scenario.call("execution_replay", id)
    scenario.fail(scenario.reclaim(id).lease, retry_delay_ms=0)
    scenario.complete(scenario.reclaim(id).lease)
    scenario.engine.advance(RETENTION_MS)

    scenario.call("retention_purge", 10)

    assert set(scenario.names()) <= {"events", "lanes"}


def test_retention_is_the_stored_policys_and_bounded_by_the_limit(scenario: Scenario) -> None:
    for _ in range(3):
        scenario.complete(scenario.hold(policy={"retention_ms": 10}).lease)
    scenario.engine.advance(10)

    assert [scenario.call("retention_purge", 2)[0] for _ in range(3)] == [2, 1, 0]


def test_a_replayed_execution_is_not_forgotten(scenario: Scenario) -> None:
    id = ended(scenario, "completed")
    scenario.call("execution_replay", id)
    scenario.engine.advance(RETENTION_MS)

    assert scenario.call("retention_purge", 10) == [0, b""]
    assert scenario.state(id) == "waiting"


def test_retention_spares_what_only_a_wrong_index_says_has_ended(scenario: Scenario) -> None:
    id = scenario.create()
    scenario.engine.command("ZADD", scenario.prefix + "completed", 5, id)

    assert scenario.call("retention_purge", 10) == [0, b""]

    assert scenario.state(id) == "waiting"
    scenario.assert_sound()
