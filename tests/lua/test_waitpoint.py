"""Waitpoints: made under the fence, once, bounded; listed in pages; closed for good."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from .harness.scenario import LEASE_TTL_MS, Scenario

DAY_MS = 86_400_000


def create(
    scenario: Scenario,
    lease: str,
    name: str = "approval",
    *,
    uses: str = "single",
    recipient: str = "",
    ttl_ms: int = DAY_MS,
    entry: str = "",
) -> list[Any]:
    return cast(
        "list[Any]", scenario.call("waitpoint_create", lease, name, uses, recipient, ttl_ms, "k1", entry)
    )


def made(scenario: Scenario, lease: str, name: str = "approval", **over: Any) -> dict[str, Any]:
    reply = create(scenario, lease, name, **over)
    assert reply[0] == b"OK"
    return cast("dict[str, Any]", json.loads(reply[1]))


def listed(
    scenario: Scenario, id: str, after: int = 0, limit: int = 50, *, closed: bool = False
) -> list[dict[str, Any]]:
    reply = cast("list[Any]", scenario.call("waitpoint_list", id, after, limit, int(closed)))
    assert reply[0] == b"OK"
    return [json.loads(record) for record in reply[1]]


def test_a_waitpoint_waits_to_be_bound(scenario: Scenario) -> None:
    grant = scenario.hold()
    at = scenario.engine.now_ms

    record = made(scenario, grant.lease, recipient="bob", entry="3")

    assert record == {
        "namespace": "default",
        "number": 1,
        "name": "approval",
        "scope": "p1",
        "state": "pending",
        "uses": "single",
        "recipient": "bob",
        "kid": "k1",
        "entry": "3",
        "created_at": at,
        "expires_at": at + DAY_MS,
        "signals": {},
    }
    assert listed(scenario, grant.id) == [record]
    assert scenario.events(grant.id)[-1] == "waitpoint_created"
    assert made(scenario, grant.lease, "review")["scope"] == "p2"
    scenario.assert_sound()


def test_the_record_holds_no_token_and_no_secret(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert not {"token", "mac", "secret"} & set(made(scenario, grant.lease))


@pytest.mark.parametrize("entry", ["", "3"])
def test_a_repeat_gets_the_first(scenario: Scenario, entry: str) -> None:
    grant = scenario.hold()
    first = made(scenario, grant.lease, entry=entry)

    reply = create(scenario, grant.lease, entry=entry)

    assert (json.loads(reply[1]), reply[2]) == (first, 1)
    assert len(listed(scenario, grant.id)) == 1
    assert scenario.events(grant.id).count("waitpoint_created") == 1


def test_a_later_holder_gets_the_waitpoint_that_its_journal_remembers(scenario: Scenario) -> None:
    grant = scenario.hold()
    first = made(scenario, grant.lease, entry="3")
    scenario.call("lease_revoke", grant.id, "")
    again = scenario.reclaim(grant.id)

    assert made(scenario, again.lease, entry="3") == first


def test_an_entry_remembers_one_waitpoint(scenario: Scenario) -> None:
    grant = scenario.hold()
    made(scenario, grant.lease, "approval", entry="3")

    assert create(scenario, grant.lease, "review", entry="3")[0] == b"INVALID_ARGUMENT"
    assert made(scenario, grant.lease, "approval", entry="4")["number"] == 2


def test_only_the_lease_in_force_may_make_one(scenario: Scenario) -> None:
    # A16: what anybody else says makes nothing.
    grant = scenario.hold()
    scenario.call("lease_revoke", grant.id, "")
    again = scenario.reclaim(grant.id)

    assert create(scenario, grant.lease) == [b"LEASE_REVOKED"]
    assert create(scenario, again.lease + "x") == [b"LEASE_STALE"]
    assert create(scenario, "nonsense") == [b"INVALID_ARGUMENT"]
    assert create(scenario, "0-ff:1:1:n") == [b"EXECUTION_NOT_FOUND"]
    scenario.engine.advance(LEASE_TTL_MS)
    assert create(scenario, again.lease) == [b"LEASE_EXPIRED"]
    assert listed(scenario, grant.id, closed=True) == []


def test_making_one_confirms_a_grant(scenario: Scenario) -> None:
    id = scenario.create()
    [grant] = scenario.claim()

    made(scenario, grant.lease)

    assert scenario.core(id)["confirmed"] is True
    assert scenario.events(id)[-2:] == ["confirmed", "waitpoint_created"]
    scenario.assert_one_index(id)


def test_so_many_may_be_open(scenario: Scenario) -> None:
    grant = scenario.hold()
    for number in range(128):
        made(scenario, grant.lease, f"w{number}", ttl_ms=1000 if number < 2 else DAY_MS)

    assert create(scenario, grant.lease, "more")[0] == b"WAITPOINTS_FULL"
    assert create(scenario, grant.lease, "w0")[2] == 1
    scenario.engine.advance(1000)
    assert made(scenario, grant.lease, "more")["number"] == 129


def test_one_that_ran_out_is_closed_and_its_name_is_free(scenario: Scenario) -> None:
    grant = scenario.hold()
    made(scenario, grant.lease, ttl_ms=1000)
    scenario.engine.advance(1000)

    assert listed(scenario, grant.id) == []
    [gone] = listed(scenario, grant.id, closed=True)
    assert (gone["state"], gone["ending"]) == ("closed", "expired")
    assert made(scenario, grant.lease)["number"] == 2


def test_the_oldest_closed_ones_are_forgotten(scenario: Scenario) -> None:
    grant = scenario.hold()
    for number in range(5):
        for _ in range(100):
            made(scenario, grant.lease, f"w{number}", ttl_ms=1)
            scenario.engine.advance(1)
    assert scenario.renew(grant.lease) == [b"OK"]

    kept = listed(scenario, grant.id, limit=1000, closed=True)

    assert [record["number"] for record in kept] == list(range(300, 501))


def test_the_list_is_paged(scenario: Scenario) -> None:
    grant = scenario.hold()
    for number in range(5):
        made(scenario, grant.lease, f"w{number}")

    assert [record["name"] for record in listed(scenario, grant.id, 0, 2)] == ["w0", "w1"]
    assert [record["name"] for record in listed(scenario, grant.id, 2, 2)] == ["w2", "w3"]
    assert [record["name"] for record in listed(scenario, grant.id, 4, 2)] == ["w4"]
    assert scenario.call("waitpoint_list", "0-ff", 0, 50, 0) == [b"EXECUTION_NOT_FOUND"]


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_every_end_closes_all(scenario: Scenario, state: str) -> None:
    # A9, A17: no way to end an execution leaves a waitpoint open.
    grant = scenario.hold()
    made(scenario, grant.lease, "a")
    made(scenario, grant.lease, "b")
    if state == "completed":
        scenario.complete(grant.lease)
    elif state == "failed":
        scenario.fail(grant.lease, final=True)
    else:
        scenario.call("execution_cancel", "why", 0, grant.id)

    assert scenario.state(grant.id) == state
    assert listed(scenario, grant.id) == []
    assert [(record["state"], record["ending"]) for record in listed(scenario, grant.id, closed=True)] == [
        ("closed", state)
    ] * 2
    scenario.assert_sound()


def test_an_attempt_that_fails_leaves_them_open_for_the_next(scenario: Scenario) -> None:
    grant = scenario.hold(policy={"backoff_initial_ms": 0})
    first = made(scenario, grant.lease, entry="1")
    scenario.fail(grant.lease)
    again = scenario.reclaim(grant.id)

    assert made(scenario, again.lease, entry="1") == first
    assert first["state"] == "pending"
