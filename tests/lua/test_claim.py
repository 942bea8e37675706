"""Claiming executions, and giving back what nobody took."""

from __future__ import annotations

from typing import cast

from .harness.scenario import OFFER_TTL_MS, QUEUE, Scenario


def test_a_claim_gives_the_whole_grant(scenario: Scenario) -> None:
    id = scenario.create(payload=b"\0\xff", kind="resize", traceparent="00-ab-cd-01", attempt_timeout_ms=9000)

    [grant] = scenario.claim()

    assert (grant.id, grant.attempt, grant.epoch) == (id, 1, 1)
    assert (grant.kind, grant.payload, grant.traceparent) == (b"resize", b"\0\xff", b"00-ab-cd-01")
    assert grant.attempt_deadline_at == scenario.engine.now_ms + 9000
    assert scenario.state(id) == "active"
    assert scenario.score("offered", id) == scenario.engine.now_ms + OFFER_TTL_MS
    assert scenario.events(id) == ["created", "claimed"]
    scenario.assert_sound()


def test_a_claim_takes_at_most_what_was_asked_and_names_the_next_head(scenario: Scenario) -> None:
    ids = [scenario.create(priority=priority) for priority in (3, 2, 1)]

    reply = scenario.call("execution_claim", QUEUE, 2, OFFER_TTL_MS, "n", "g")

    assert [row[0].split(b":")[0].decode() for row in reply[2:]] == ids[:2]
    assert float(reply[1]) == scenario.score("ready", QUEUE)
    scenario.assert_sound()


def test_a_claim_of_everything_leaves_no_ready_entry(scenario: Scenario) -> None:
    scenario.create()

    assert scenario.call("execution_claim", QUEUE, 5, OFFER_TTL_MS, "n", "g")[1] == b""
    assert scenario.claim() == []
    assert scenario.members("ready") == []


def test_leases_of_one_call_differ(scenario: Scenario) -> None:
    for _ in range(20):
        scenario.create()

    assert len({grant.lease.split(":")[3] for grant in scenario.claim(count=20)}) == 20


def test_a_claim_skips_entries_without_their_execution(scenario: Scenario) -> None:
    scenario.engine.command("ZADD", f"{scenario.prefix}queue:{QUEUE}", -9e15, "0-dead")
    id = scenario.create()

    assert [grant.id for grant in scenario.claim(count=2)] == [id]
    scenario.assert_sound()


def test_a_claim_sees_only_its_queue(scenario: Scenario) -> None:
    scenario.create(queue="default/main/gpu")

    assert scenario.claim() == []
    assert len(scenario.claim("default/main/gpu")) == 1


def test_a_released_grant_returns_to_its_place_and_costs_no_attempt(scenario: Scenario) -> None:
    id = scenario.create(attempt_timeout_ms=9000)
    scenario.engine.advance(5)
    scenario.create()
    [grant] = scenario.claim()

    assert scenario.call("lease_release", grant.lease) == [b"OK"]

    assert scenario.core(id)["attempt"] == 0
    assert scenario.core(id)["attempt_state"] == "pending_first_attempt"
    assert scenario.members(f"queue:{QUEUE}")[0] == id
    assert scenario.events(id)[-1] == "released"
    scenario.assert_sound()
    [second] = scenario.claim()
    assert (second.attempt, second.epoch) == (1, 2)


def test_a_confirmed_lease_that_is_given_back_has_spent_its_attempt(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert scenario.call("lease_release", grant.lease) == [b"OK"]

    assert scenario.core(grant.id)["attempt"] == 1
    assert scenario.core(grant.id)["attempt_state"] == "pending_reclaim_attempt"
    scenario.assert_sound()
    [second] = scenario.claim()
    assert (second.attempt, second.epoch) == (2, 2)


def test_a_release_under_an_old_lease_changes_nothing(scenario: Scenario) -> None:
    scenario.create()
    [old] = scenario.claim()
    scenario.call("lease_release", old.lease)
    [new] = scenario.claim()

    assert scenario.call("lease_release", old.lease, "nonsense", "0-ff:1:1:n") == [
        b"LEASE_STALE", b"INVALID_ARGUMENT", b"EXECUTION_NOT_FOUND",
    ]  # fmt: skip
    assert scenario.renew(new.lease) == [b"OK"]


def test_a_grant_that_nobody_confirms_goes_back(scenario: Scenario) -> None:
    id = scenario.create()
    scenario.claim()
    assert scenario.call("offer_expire", 10) == [0, scenario.engine.now_ms + OFFER_TTL_MS]

    scenario.engine.advance(OFFER_TTL_MS)

    assert scenario.call("offer_expire", 10) == [1, b""]
    assert (scenario.state(id), scenario.core(id)["attempt"]) == ("waiting", 0)
    assert scenario.published("ff:gateway:gateway-1")[-1].startswith(b"lost ")
    scenario.assert_sound()


def test_a_confirmed_grant_is_not_taken_back_with_the_offers(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.engine.advance(OFFER_TTL_MS)

    assert scenario.call("offer_expire", 10) == [0, b""]
    assert scenario.state(grant.id) == "active"


def test_an_interrupted_attempt_goes_on_as_the_same_attempt(scenario: Scenario) -> None:
    grant = scenario.hold()
    assert scenario.finish(grant.lease, "delay", 1000) == [b"OK", b"delayed"]
    scenario.engine.advance(1000)
    scenario.call("delayed_promote", 10)

    again = scenario.reclaim(grant.id)

    assert (again.attempt, again.epoch) == (1, 2)


def test_a_released_interrupted_attempt_is_still_interrupted(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.finish(grant.lease, "delay", 1000)
    scenario.engine.advance(1000)
    scenario.call("delayed_promote", 10)
    [offer] = scenario.claim()

    scenario.call("lease_release", offer.lease)

    assert scenario.core(grant.id)["attempt_state"] == "attempt_interrupted"
    assert scenario.reclaim(grant.id).attempt == 1


def test_one_reply_carries_a_megabyte_of_journals_at_most(scenario: Scenario) -> None:
    header = '{"k":"step","n":"plan","s":"done"}'
    for _ in range(20):
        lease = scenario.hold().lease
        reply = scenario.call("journal_record", 10, 1 << 20, lease, 1, "1", header, b"x" * 60_000, 1)
        assert reply == [[b"OK"]]
        scenario.finish(lease, "delay", 1)
    scenario.engine.advance(1)
    scenario.call("delayed_promote", 100)

    grants = scenario.claim(count=20)

    assert [grant.flags for grant in grants] == [b"j"] * 20
    inline = [grant.journal for grant in grants if grant.journal]
    assert len(inline) == 17
    assert all(journal[::2] == [b"1", b"x" * 60_000] for journal in inline)


def test_a_grant_of_what_never_ran_has_no_past(scenario: Scenario) -> None:
    """The hot path carries nothing of suspensions and journals."""
    scenario.create()

    reply = scenario.call("execution_claim", "default/main/any", 1, 5000, "n", "g")

    assert len(cast("list[bytes]", reply[2])) == 6
