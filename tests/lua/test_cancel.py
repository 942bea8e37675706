"""Cancelling, and changing what is not yet done."""

from __future__ import annotations

from .harness.scenario import LEASE_TTL_MS, QUEUE, Grant, Scenario

GRACE_MS = 5_000


def cancel(scenario: Scenario, *ids: str, grace_ms: int = GRACE_MS) -> object:
    return scenario.call("execution_cancel", "not needed", grace_ms, *ids)


def stopping(scenario: Scenario, **over: object) -> Grant:
    """A held execution whose worker was asked to stop."""
    grant = scenario.hold(**over)
    assert cancel(scenario, grant.id) == [[b"OK", b"active"]]
    return grant


def test_what_nobody_holds_is_cancelled_at_once(scenario: Scenario) -> None:
    waiting = scenario.create(deadline_ms=9000)
    delayed = scenario.create(delay_until_ms=scenario.engine.now_ms + 1000)

    assert cancel(scenario, waiting, delayed, "0-ff") == [
        [b"OK", b"cancelled"], [b"OK", b"cancelled"], [b"EXECUTION_NOT_FOUND"],
    ]  # fmt: skip
    assert scenario.events(waiting) == ["created", "cancelled"]
    assert scenario.event_entries()[-2] == {
        "event": "cancelled", "execution": waiting, "state": "cancelled", "attempt": "0", "epoch": "0",
        "lane": "default/main", "kind": "test", "detail": "not needed",
    }  # fmt: skip
    scenario.assert_sound()


def test_cancelling_again_says_how_it_ended(scenario: Scenario) -> None:
    id = scenario.create()
    grant = scenario.hold(queue="default/main/other")
    scenario.complete(grant.lease)

    assert cancel(scenario, id, id, grant.id) == [
        [b"OK", b"cancelled"], [b"OK", b"cancelled"], [b"OK", b"completed"],
    ]  # fmt: skip
    assert scenario.events(id) == ["created", "cancelled"]


def test_the_worker_of_an_active_execution_is_asked_to_stop(scenario: Scenario) -> None:
    grant = stopping(scenario)

    stop_at = scenario.engine.now_ms + GRACE_MS
    assert scenario.renew(grant.lease) == [f"CANCEL {stop_at} not needed".encode()]
    assert scenario.published("ff:gateway:gateway-1")[-1].startswith(f"cancel {grant.lease} ".encode())
    assert scenario.events(grant.id)[-1] == "cancel_requested"
    scenario.assert_sound()


def test_a_worker_that_stops_ends_the_execution_as_cancelled(scenario: Scenario) -> None:
    grant = stopping(scenario)

    assert scenario.finish(grant.lease, "stop") == [b"OK", b"cancelled"]
    scenario.assert_sound()


def test_a_worker_that_finishes_in_the_grace_completes(scenario: Scenario) -> None:
    grant = stopping(scenario)

    assert scenario.complete(grant.lease) == [b"OK", b"completed"]
    scenario.assert_sound()


def test_a_worker_that_fails_or_delays_in_the_grace_ends_as_cancelled(scenario: Scenario) -> None:
    failing, delaying = stopping(scenario), stopping(scenario)

    assert scenario.fail(failing.lease) == [b"OK", b"cancelled"]
    assert scenario.finish(delaying.lease, "delay", 10) == [b"OK", b"cancelled"]
    scenario.assert_sound()


def test_after_the_grace_the_execution_is_cancelled_and_the_lease_gone(scenario: Scenario) -> None:
    grant = stopping(scenario)
    scenario.engine.advance(GRACE_MS)

    assert scenario.call("deadline_expire", 10) == [1, b""]

    assert scenario.state(grant.id) == "cancelled"
    assert scenario.renew(grant.lease) == [b"LEASE_REVOKED"]
    scenario.assert_sound()


def test_a_lost_lease_of_a_stopping_execution_cancels_it(scenario: Scenario) -> None:
    grant = stopping(scenario)
    scenario.engine.advance(LEASE_TTL_MS)

    scenario.call("lease_expire", 10)

    assert scenario.state(grant.id) == "cancelled"
    scenario.assert_sound()


def test_an_unconfirmed_offer_of_a_stopping_execution_is_cancelled_on_release(scenario: Scenario) -> None:
    id = scenario.create()
    [grant] = scenario.claim()
    cancel(scenario, id)

    scenario.call("lease_release", grant.lease)

    assert scenario.state(id) == "cancelled"
    scenario.assert_sound()


def test_without_grace_the_lease_is_revoked_at_once(scenario: Scenario) -> None:
    grant = scenario.hold(attempt_timeout_ms=9000)

    assert cancel(scenario, grant.id, grace_ms=0) == [[b"OK", b"cancelled"]]
    assert scenario.complete(grant.lease) == [b"LEASE_REVOKED"]
    scenario.assert_sound()


def test_a_second_cancel_does_not_move_the_stop_later(scenario: Scenario) -> None:
    grant = stopping(scenario)
    stop_at = scenario.score("deadline", grant.id)
    scenario.engine.advance(1000)

    assert cancel(scenario, grant.id) == [[b"OK", b"active"]]

    assert scenario.score("deadline", grant.id) == stop_at
    assert scenario.events(grant.id).count("cancel_requested") == 1


def test_priority_moves_a_queued_execution(scenario: Scenario) -> None:
    first, second = scenario.create(), scenario.create()

    assert scenario.call("execution_reprioritize", second, 9) == [b"OK", 0, 9]

    assert scenario.members(f"queue:{QUEUE}") == [second, first]
    assert len(scenario.published("wake")) == 2
    scenario.assert_sound()


def test_priority_changes_in_any_live_state_and_holds_later(scenario: Scenario) -> None:
    grant = scenario.hold()
    delayed = scenario.create(delay_until_ms=scenario.engine.now_ms + 1000)

    scenario.call("execution_reprioritize", grant.id, 5)
    scenario.call("execution_reprioritize", delayed, 6)

    scenario.call("lease_revoke", grant.id, "")
    scenario.engine.advance(1000)
    scenario.call("delayed_promote", 10)
    assert scenario.members(f"queue:{QUEUE}") == [delayed, grant.id]
    scenario.assert_sound()


def test_priority_of_what_has_ended_is_refused(scenario: Scenario) -> None:
    id = scenario.create()
    cancel(scenario, id)

    assert scenario.call("execution_reprioritize", id, 5) == [b"EXECUTION_TERMINAL"]
    assert scenario.call("execution_reprioritize", "0-ff", 5) == [b"EXECUTION_NOT_FOUND"]


def test_tags_are_set_replaced_and_removed_with_their_indexes(scenario: Scenario) -> None:
    id = scenario.create(tags={"team": "blue", "old": "1"})

    scenario.call("execution_tag", id, 10, "team", "red", "old", "", "new", "2")

    assert scenario.tags(id) == {"team": "red", "new": "2"}
    assert sorted(index for index in scenario.indexes_of(id) if index.startswith("tag:")) == [
        "tag:default/new=2", "tag:default/team=red",
    ]  # fmt: skip
    scenario.assert_sound()


def test_too_many_tags_change_nothing(scenario: Scenario) -> None:
    id = scenario.create(tags={"team": "blue"})

    reply = scenario.call("execution_tag", id, 1, "a", "1")

    assert reply == [b"INVALID_ARGUMENT", b"tags: at most 1"]
    assert scenario.tags(id) == {"team": "blue"}
    assert scenario.call("execution_tag", "0-ff", 1, "a", "1") == [b"EXECUTION_NOT_FOUND"]
