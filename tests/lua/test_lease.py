"""The life of a lease: renewed, lost, taken back."""

from __future__ import annotations

import json

import pytest

from .harness.engines import Argument
from .harness.scenario import LEASE_TTL_MS, QUEUE, WORKER, Scenario


def test_a_renewal_extends_the_lease(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.engine.advance(LEASE_TTL_MS - 1)

    assert scenario.renew(grant.lease) == [b"OK"]

    assert scenario.score("leased", grant.id) == scenario.engine.now_ms + LEASE_TTL_MS
    scenario.assert_sound()


def test_the_first_renewal_confirms_and_records_the_worker(scenario: Scenario) -> None:
    id = scenario.create()
    [grant] = scenario.claim()
    assert ("confirmed" in scenario.core(id), scenario.core(id)["worker"]) == (False, "")

    scenario.renew(grant.lease)

    assert (scenario.core(id)["confirmed"], scenario.core(id)["worker"]) == (True, "worker-1")
    scenario.assert_one_index(id)


def test_renewals_are_answered_one_by_one(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert scenario.renew("nonsense", grant.lease, "0-ff:1:1:n", f"{grant.id}:1:1:other") == [
        b"INVALID_ARGUMENT", b"OK", b"EXECUTION_NOT_FOUND", b"LEASE_STALE",
    ]  # fmt: skip


def test_renewal_of_an_expired_lease_is_refused_before_any_scanner_came(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.engine.advance(LEASE_TTL_MS)

    assert scenario.renew(grant.lease) == [b"LEASE_EXPIRED"]
    assert scenario.complete(grant.lease) == [b"LEASE_EXPIRED"]
    assert scenario.state(grant.id) == "active"


def test_an_expired_lease_puts_the_execution_back_in_its_queue(scenario: Scenario) -> None:
    grant = scenario.hold(attempt_timeout_ms=90_000)
    scenario.engine.advance(LEASE_TTL_MS)

    assert scenario.call("lease_expire", 10) == [1, b""]

    core = scenario.core(grant.id)
    assert (core["state"], core["attempt_state"], core["reclaims"]) == (
        "waiting", "pending_reclaim_attempt", 1,
    )  # fmt: skip
    assert scenario.events(grant.id)[-1] == "lease_expired"
    assert json.loads(scenario.history(grant.id)["1"])["ending"] == "lease_expired"
    assert scenario.renew(grant.lease) == [b"LEASE_EXPIRED"]
    scenario.assert_sound()


def test_two_scanners_reclaim_a_lease_once(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.engine.advance(LEASE_TTL_MS)

    assert [scenario.call("lease_expire", 10) for _ in range(2)] == [[1, b""], [0, b""]]
    assert scenario.core(grant.id)["reclaims"] == 1


def test_the_holder_of_the_old_epoch_is_fenced(scenario: Scenario) -> None:
    old = scenario.hold()
    scenario.engine.advance(LEASE_TTL_MS)
    scenario.call("lease_expire", 10)
    new = scenario.reclaim(old.id)

    assert (new.attempt, new.epoch) == (2, 2)
    assert scenario.complete(old.lease) == [b"LEASE_EXPIRED"]
    assert scenario.renew(old.lease, new.lease) == [b"LEASE_EXPIRED", b"OK"]
    assert scenario.call("lease_progress", old.lease, "50", "") == [b"LEASE_EXPIRED"]
    assert scenario.call("output_append", old.lease, 1, 1, "log", "x") == [b"LEASE_EXPIRED", 0]
    assert scenario.state(old.id) == "active"


#: Every function that takes a lease, and the rest of its arguments.
WRITES: dict[str, tuple[Argument, ...]] = {
    "lease_renew": (),
    "lease_release": (),
    "lease_forfeit": (),
    "lease_finish": (WORKER, "complete", 1, "result"),
    "lease_progress": ("50", "half"),
    "output_append": (1, 1, 1, "frame"),
    "journal_record": (1, "1", '{"k":"step","n":"a","s":"done"}', "", 1),
    "waitpoint_create": ("approval", "multi", "", 1000, "k1", ""),
}
BEFORE: dict[str, tuple[Argument, ...]] = {
    "lease_renew": (LEASE_TTL_MS, WORKER, "g"),
    "journal_record": (9, 999),
}


@pytest.mark.parametrize("part", ["execution", "attempt", "epoch", "lease"])
@pytest.mark.parametrize("function", WRITES)
def test_each_part_of_the_fence_counts_in_every_write(scenario: Scenario, function: str, part: str) -> None:
    """A16."""
    grant, other = scenario.hold(), scenario.hold()
    id, attempt, epoch, lease = grant.lease.split(":")
    fields = {"execution": id, "attempt": attempt, "epoch": epoch, "lease": lease}
    fields[part] = {"execution": other.id, "attempt": "2", "epoch": "2", "lease": lease + "0"}[part]
    before = scenario.core(grant.id), scenario.core(other.id), scenario.names()

    reply = scenario.call(function, *BEFORE.get(function, ()), ":".join(fields.values()), *WRITES[function])

    while isinstance(reply, list):
        reply = reply[0]
    assert reply == b"LEASE_STALE"
    assert (scenario.core(grant.id), scenario.core(other.id), scenario.names()) == before
    assert scenario.renew(grant.lease, other.lease) == [b"OK", b"OK"]


def test_at_the_cap_of_reclaims_the_execution_fails_with_an_event(scenario: Scenario) -> None:
    id = scenario.create(policy={"max_reclaims": 1})
    for _ in range(2):
        scenario.reclaim(id)
        scenario.engine.advance(LEASE_TTL_MS)
        scenario.call("lease_expire", 10)

    assert scenario.state(id) == "failed"
    assert scenario.core(id)["failure"]["type"] == "max_reclaims"
    assert scenario.events(id)[-2:] == ["lease_expired", "failed"]
    scenario.assert_sound()


def test_a_reclaim_waits_as_long_as_its_policy_says(scenario: Scenario) -> None:
    grant = scenario.hold(policy={"reclaim_delay_ms": 500})
    scenario.engine.advance(LEASE_TTL_MS)

    scenario.call("lease_expire", 10)

    assert scenario.score("delayed", grant.id) == scenario.engine.now_ms + 500
    scenario.assert_sound()


def test_a_revoked_lease_goes_back_and_its_holder_is_told(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert scenario.call("lease_revoke", grant.id, "stuck") == [b"OK", 1, 1, b"waiting"]

    assert scenario.renew(grant.lease) == [b"LEASE_REVOKED"]
    assert scenario.published("ff:gateway:gateway-1") == [f"lost {grant.lease} LEASE_REVOKED".encode()]
    record = json.loads(scenario.history(grant.id)["1"])
    assert (record["ending"], record["failure"]["message"]) == ("lease_revoked", "stuck")
    scenario.assert_sound()


def test_revoking_what_nobody_holds_says_so(scenario: Scenario) -> None:
    id = scenario.create()

    assert scenario.call("lease_revoke", id, "") == [b"OK", 0, 0, b"waiting"]
    assert scenario.call("lease_revoke", "0-ff", "") == [b"EXECUTION_NOT_FOUND"]
    assert scenario.events(id) == ["created"]


@pytest.mark.parametrize("count", [0, 1, 200])
def test_many_leases_are_renewed_in_one_call(scenario: Scenario, count: int) -> None:
    for _ in range(count):
        scenario.create()
    leases = [grant.lease for grant in scenario.claim(QUEUE, count)]

    assert scenario.renew(*leases) == [b"OK"] * count


def test_reclaimed_work_keeps_its_place_before_younger_work(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.engine.advance(LEASE_TTL_MS)
    scenario.create()

    scenario.call("lease_expire", 10)

    assert scenario.members(f"queue:{QUEUE}")[0] == grant.id


def test_progress_is_recorded_under_the_lease(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert scenario.call("lease_progress", grant.lease, "40", "half", grant.lease, "", "more") == [
        b"OK",
        b"OK",
    ]

    assert scenario.core(grant.id)["progress"] == {
        "percent": 40, "message": "more", "at": scenario.engine.now_ms,
    }  # fmt: skip
    assert scenario.published("news")[-1] == f"~{grant.id}".encode()


def test_an_execution_remembers_its_newest_leases_only(scenario: Scenario) -> None:
    id = scenario.create()
    for _ in range(205):
        [grant] = scenario.claim()
        scenario.call("lease_release", grant.lease)

    assert sorted(map(int, scenario.history(id))) == list(range(6, 206))
    scenario.assert_sound()
