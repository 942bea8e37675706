"""Suspending: what a holder may ask for, and what becomes of its execution."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from .harness.scenario import TERMINAL, Scenario
from .harness.waits import (
    DAY_MS,
    OPERATOR,
    TIMER,
    all_of,
    assert_waits,
    count,
    deliver,
    pending,
    record,
    signal,
    spec,
    stored_signals,
    suspend,
    suspended,
    wait,
    waitpoint,
    waitpoints,
)


def test_a_suspended_execution_has_no_lease_and_costs_no_attempt(scenario: Scenario) -> None:
    grant = scenario.hold(attempt_timeout_ms=9000)

    waiting = suspend(scenario, grant.lease, wait(signal("approval")), at=("approval",))

    core = scenario.core(grant.id)
    assert (waiting.answer, waiting.number) == ("suspended", 1)
    assert (core["state"], core["reason"], core["attempt_state"]) == (
        "suspended", "waiting_for_signal", "attempt_interrupted",
    )  # fmt: skip
    assert scenario.renew(grant.lease) == [b"LEASE_STALE"]
    assert scenario.claim() == []
    assert scenario.events(grant.id)[-1] == "suspended"
    scenario.assert_sound()


def test_a_resumed_execution_keeps_its_attempt_and_sees_what_resumed_it(scenario: Scenario) -> None:
    waiting = suspended(scenario)

    assert waiting.deliver(payload=b"yes\n\0") == [b"OK", 1, b"resumed", 0, b"waiting"]

    [grant] = scenario.claim()
    assert (grant.id, grant.attempt, grant.epoch) == (waiting.id, 1, 2)
    number, ending, stored = cast("list[Any]", grant.resumption)
    header, _, payload = stored.partition(b"\n")
    assert (number, ending, payload) == (1, b"signal", b"yes\n\0")
    assert json.loads(header)["source"] == "user:alice"
    told = [(event["event"], event["state"]) for event in scenario.event_entries()]
    assert told[-3:] == [("signal", "suspended"), ("resumed", "waiting"), ("claimed", "active")]
    scenario.assert_sound()


def test_a_repeat_of_the_outcome_gets_the_first_answer(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    first = suspend(scenario, lease, wait(signal("approval")), at=("approval",))

    repeat = suspend(scenario, lease, wait(signal("other")), at=("other",))
    assert (repeat.answer, repeat.number, repeat.waitpoints) == ("suspended", 1, first.waitpoints)
    assert scenario.complete(lease)[:2] == [b"OK", b"suspended"]
    first.deliver()
    again = scenario.reclaim(first.id)
    assert suspend(scenario, lease, wait(signal("approval"))).number == 1
    assert scenario.renew(again.lease) == [b"OK"]
    suspend(scenario, again.lease, wait(signal("approval")), at=("approval",))
    late = suspend(scenario, lease, wait(signal("approval")))
    assert (late.answer, late.number) == ("suspended", 0)


def test_a_lease_that_suspended_does_not_suspend_otherwise(scenario: Scenario) -> None:
    lease, at = scenario.hold().lease, ("approval",)
    first = suspend(scenario, lease, wait(signal("approval")), at=at, fingerprint="one")
    other = spec(wait(signal("approval")), at=at, fingerprint="two")

    def answers() -> list[Any]:
        same = suspend(scenario, lease, wait(signal("approval")), at=at, fingerprint="one")
        return [same.answer, same.number, *scenario.finish(lease, "suspend", other, "k1")]

    conflict: list[Any] = [b"IDEMPOTENCY_CONFLICT", b"this lease suspended for something else"]
    before = scenario.core(first.id)
    assert answers() == ["suspended", 1, *conflict]
    assert scenario.finish(lease, "suspend", "{", "k1") == conflict
    assert scenario.core(first.id) == before
    first.deliver()
    assert answers() == ["suspended", 1, *conflict]
    again = scenario.reclaim(first.id)
    assert answers() == ["suspended", 1, *conflict]
    suspend(scenario, again.lease, wait(signal("approval")), at=at, fingerprint="three")
    assert answers() == ["suspended", 0, *conflict]
    scenario.call("execution_cancel", "", 0, first.id)
    assert answers() == ["suspended", 0, *conflict]
    scenario.call("execution_replay", first.id, "fresh", "")
    assert answers() == ["suspended", 0, *conflict]


def test_a_lease_that_suspends_twice_in_one_call_suspends_once(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    items: list[str | int] = []
    for fingerprint in ("one", "two", "one"):
        items += [lease, "w", "suspend", 2, spec(wait(OPERATOR), fingerprint=fingerprint), "k1"]

    answers = scenario.call("lease_finish", *items)

    assert [answer[:1] for answer in answers] == [[b"OK"], [b"IDEMPOTENCY_CONFLICT"], [b"OK"]]
    assert answers[0] == answers[2]


def test_a_lease_that_suspended_and_resumed_at_once_does_not_suspend_otherwise(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    made = pending(scenario, lease, "approval")
    deliver(scenario, lease.partition(":")[0], made)
    at = (waitpoint("approval", number=made["number"]),)
    first = suspend(scenario, lease, wait(signal("approval")), at=at, fingerprint="one")

    other = spec(wait(signal("approval")), at=at, fingerprint="two")

    assert first.answer == "resumed"
    assert scenario.finish(lease, "suspend", other, "k1")[0] == b"IDEMPOTENCY_CONFLICT"
    assert suspend(scenario, lease, wait(signal("approval")), at=at, fingerprint="one").answer == "resumed"


REASONS = {
    "waiting_for_signal": "waiting_for_signal",
    "waiting_for_approval": "waiting_for_approval",
    "waiting_for_callback": "waiting_for_callback",
    "waiting_for_tool_result": "waiting_for_tool_result",
    "waiting_for_timer": "waiting_for_timer",
    "waiting_for_operator_review": "paused_by_operator",
    "manual_pause": "paused_by_operator",
    "paused_by_policy": "paused_by_policy",
    "step_boundary": "waiting_for_signal",
}


@pytest.mark.parametrize(("code", "reason"), REASONS.items())
def test_the_vector_says_why_it_waits(scenario: Scenario, code: str, reason: str) -> None:
    waiting = suspend(
        scenario, scenario.hold().lease, wait(signal("approval")), at=("approval",), reason_code=code
    )

    assert scenario.core(waiting.id)["reason"] == reason
    assert scenario.event_entries()[-1]["detail"] == code
    assert waiting.record["reason_code"] == code


#: What is wrong, and the path that says where.
REFUSALS: list[tuple[str, dict[str, Any]]] = [
    ("waits: 1 to 16", {"waits": []}),
    ("waits: 1 to 16", {"waits": [wait(OPERATOR)] * 17}),
    ("waits[0].timeout", {"waits": [wait(TIMER, timeout_ms="soon")]}),
    ("waits[0].timeout", {"waits": [wait(TIMER, timeout_ms=401 * DAY_MS)]}),
    ("waits[0].timeout", {"waits": [wait(TIMER, timeout_ms=float("nan"))]}),
    ("waits[0].seen", {"waits": [wait(OPERATOR, seen="all")]}),
    ("waits[0].seen", {"waits": [wait(OPERATOR, seen=-1)]}),
    ("waits[0].seen", {"waits": [wait(OPERATOR, seen=float("nan"))]}),
    ("waits[0].condition", {"waits": [wait(TIMER)]}),
    ("waits[0].condition", {"waits": [{"on_timeout": "fail"}]}),
    ("waits[1].on_timeout", {"waits": [wait(OPERATOR), wait(OPERATOR, on_timeout="explode")]}),
    ("waits[0].condition.signal.waitpoint", {"waits": [wait(signal("unknown"))]}),
    (
        "waits[0].condition.all_of.conditions[1].count.n",
        {"waits": [wait(all_of(signal("a"), count(3, "waitpoints")))], "waitpoints": [waitpoint("a")]},
    ),
    ("waitpoints[1].name", {"waitpoints": [waitpoint("a"), waitpoint("a")]}),
    ("waitpoints[0].name", {"waitpoints": [waitpoint("")]}),
    ("waitpoints[0].waitpoint_id", {"waitpoints": [waitpoint("a", number=7)]}),
    ("waitpoints[0]: its use", {"waitpoints": [waitpoint("a", uses="thrice")]}),
    ("waitpoints: at most 64", {"waitpoints": [waitpoint(f"w{number}") for number in range(65)]}),
    ("suspend: ", {"reason_code": "x" * 40_000}),
    ("reason_code: ", {"reason_code": None}),
    ("waitpoints[0].recipient: ", {"waitpoints": [waitpoint("a", recipient=None)]}),
    ("waits[0].condition.count.match", {"waits": [wait(count(1, "signals") | {"match": None})]}),
    ("waits[0].condition: it holds", {"waits": [wait(OPERATOR | {"of": [OPERATOR]})]}),
    ("waits[0].condition: it holds", {"waits": [wait(OPERATOR | {"by": 1})]}),
    ("waits[0].condition: it holds", {"waits": [wait(count(1, "signals") | {"seen": {"#1": 1}})]}),
    ("waits[0].condition: it holds", {"waits": [wait(all_of(OPERATOR) | {"ok": True})]}),
]


@pytest.mark.parametrize(("path", "fields"), REFUSALS)
def test_what_is_wrong_is_named_and_nothing_is_written(
    scenario: Scenario, path: str, fields: dict[str, Any]
) -> None:
    """A15: no error after a write."""
    grant = scenario.hold()
    before = scenario.core(grant.id), scenario.names()

    details = spec(**{"waits": [wait(OPERATOR)]} | fields)
    code, problem = scenario.finish(grant.lease, "suspend", details, "k1")

    assert code == b"INVALID_ARGUMENT"
    assert problem.decode().startswith(path), problem
    assert (scenario.core(grant.id), scenario.names()) == before
    assert scenario.renew(grant.lease) == [b"OK"]


def test_what_is_no_json_is_refused_alone(scenario: Scenario) -> None:
    bad, good = scenario.hold(), scenario.hold()

    reply = scenario.call(
        "lease_finish", bad.lease, "w", "suspend", 2, "{", "k1", good.lease, "w", "complete", 1, b"r"
    )

    assert [verdict[0] for verdict in reply] == [b"INVALID_ARGUMENT", b"OK"]
    assert (scenario.state(bad.id), scenario.state(good.id)) == ("active", "completed")


def test_an_execution_has_128_open_waitpoints_at_most(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    for number in range(100):
        pending(scenario, lease, f"p{number}")
    names = [waitpoint(f"w{number}") for number in range(29)]

    reply = scenario.finish(lease, "suspend", spec(wait(OPERATOR), waitpoints=names), "k1")

    assert reply[0] == b"WAITPOINTS_FULL"
    assert suspend(scenario, lease, wait(OPERATOR), waitpoints=names[:28]).answer == "suspended"


def test_a_pending_waitpoint_is_bound_with_the_signals_it_has(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    made = pending(scenario, lease, "approval", uses="single")
    id = lease.split(":", maxsplit=1)[0]
    assert deliver(scenario, id, made)[2] == b"buffered"

    waiting = suspend(
        scenario, lease, wait(signal("approval")), at=(waitpoint("approval", number=made["number"]),)
    )

    assert (waiting.answer, scenario.state(id)) == ("resumed", "waiting")
    assert scenario.events(id)[-2:] == ["suspended", "resumed"]
    assert scenario.finish(lease, "suspend", spec(wait(OPERATOR)), "k1")[1] == b"resumed"
    assert waitpoints(scenario, id)[1]["state"] == "closed"
    assert scenario.reclaim(id).attempt == 1
    scenario.assert_sound()


def test_early_signals_count_in_composite_conditions_in_the_order_they_came(scenario: Scenario) -> None:
    """A14: three of four parts came early, over two waitpoints; the fourth resumes."""
    lease = scenario.hold().lease
    id = lease.split(":", maxsplit=1)[0]
    first, second = pending(scenario, lease, "first"), pending(scenario, lease, "second")
    for at, source in ((second, "user:a"), (first, "user:b"), (first, "user:c")):
        assert deliver(scenario, id, at, source=source)[2] == b"buffered"
    node = all_of(all_of(signal("second"), count(3, "sources", "first")), signal("first"))

    waiting = suspend(
        scenario,
        lease,
        wait(node),
        at=(waitpoint("first", number=1), waitpoint("second", number=2)),
    )

    assert waiting.answer == "suspended"
    assert deliver(scenario, id, first, source="user:c")[2] == b"repeated"
    assert deliver(scenario, id, first, source="user:d")[2] == b"resumed"
    assert waiting.record["resumed_by"] == [1, 2, 3, 5]


def test_only_the_waitpoints_of_satisfied_waits_are_closed(scenario: Scenario) -> None:
    waiting = suspend(
        scenario,
        scenario.hold().lease,
        wait(signal("a", "yes"), name="first"),
        wait(count(2, "sources", "b"), name="second"),
        at=("a", "b"),
    )
    assert waiting.deliver("b", source="user:x")[2] == b"counted"

    assert waiting.deliver("a", "yes")[2] == b"resumed"

    states = {each["name"]: each["state"] for each in waitpoints(scenario, waiting.id).values()}
    assert states == {"a": "closed", "b": "pending"}
    assert waiting.deliver("b", source="user:y")[2] == b"buffered"
    again = suspend(
        scenario,
        scenario.reclaim(waiting.id).lease,
        wait(count(2, "sources", "b")),
        at=(waitpoint("b", number=2),),
    )
    assert again.answer == "resumed"
    assert again.record["resumed_by"] == [1, 3]
    assert_waits(scenario, waiting.id)


def test_a_waitpoint_of_an_earlier_suspension_resumes_no_later_one(scenario: Scenario) -> None:
    """A8."""
    first = suspended(scenario)
    scenario.call("suspension_resume", first.id, "operator:default", 0, "", "n")
    second = suspend(scenario, scenario.reclaim(first.id).lease, wait(signal("approval")), at=("approval",))

    assert first.deliver() == [b"WAITPOINT_CLOSED"]
    assert scenario.state(first.id) == "suspended"
    assert second.deliver()[2] == b"resumed"


def test_whatever_resumes_closes_all_waitpoints_of_the_wait(scenario: Scenario) -> None:
    """A9: the signal comes at the second of three."""
    waiting = suspend(
        scenario, scenario.hold().lease, wait(count(1, "signals")), at=("primary", "second", "third")
    )

    waiting.deliver("second")

    assert {each["state"] for each in waitpoints(scenario, waiting.id).values()} == {"closed"}
    assert waiting.deliver("primary") == waiting.deliver("third") == [b"WAITPOINT_CLOSED"]


ENDS: dict[str, Any] = {
    "cancelled": lambda scenario, id: scenario.call("execution_cancel", "why", 5000, id),
    "expired": lambda scenario, id: (scenario.engine.advance(60_000), scenario.call("deadline_expire", 1)),
    "failed": lambda scenario, id: (scenario.engine.advance(50_000), scenario.call("suspension_lapse", 1)),
}


@pytest.mark.parametrize("state", ENDS)
def test_every_end_closes_the_suspension_and_every_waitpoint(scenario: Scenario, state: str) -> None:
    """A17: bound and pending ones."""
    lease = scenario.hold(deadline_ms=60_000).lease
    pending(scenario, lease, "later")
    waiting = suspend(scenario, lease, wait(signal("approval"), timeout_ms=50_000), at=("approval",))

    ENDS[state](scenario, waiting.id)

    assert scenario.state(waiting.id) == state
    assert (waiting.record["state"], waiting.record["ending"]) == ("closed", state)
    assert {each["ending"] for each in waitpoints(scenario, waiting.id).values()} == {state}
    assert waiting.deliver() == [b"EXECUTION_TERMINAL"]
    assert_waits(scenario, waiting.id)
    scenario.assert_sound()


def test_a_holder_that_was_asked_to_stop_cannot_suspend(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.call("execution_cancel", "why", 5000, grant.id)

    assert suspend(scenario, grant.lease, wait(OPERATOR)).answer == "cancelled"
    assert scenario.state(grant.id) == "cancelled"
    assert record(scenario, grant.id) == {}


def test_the_timeout_of_an_attempt_counts_only_while_it_runs(scenario: Scenario) -> None:
    waiting_since = scenario.hold(attempt_timeout_ms=9000)
    scenario.engine.advance(4000)
    waiting = suspend(scenario, waiting_since.lease, wait(signal("approval")), at=("approval",))
    assert scenario.score("attempt_timeout", waiting.id) is None
    scenario.engine.advance(60_000)
    waiting.deliver()

    grant = scenario.reclaim(waiting.id)

    assert grant.attempt_deadline_at == scenario.engine.now_ms + 5000
    scenario.engine.advance(1000)
    scenario.finish(grant.lease, "delay", 10)
    scenario.engine.advance(10)
    scenario.call("delayed_promote", 1)
    assert scenario.reclaim(waiting.id).attempt_deadline_at == scenario.engine.now_ms + 4000


def test_a_new_attempt_has_all_of_its_time(scenario: Scenario) -> None:
    grant = scenario.hold(attempt_timeout_ms=9000)
    scenario.engine.advance(4000)
    suspend(scenario, grant.lease, wait(signal("approval")), at=("approval",)).deliver()
    scenario.fail(scenario.reclaim(grant.id).lease, retry_delay_ms=0)

    assert scenario.reclaim(grant.id).attempt_deadline_at == scenario.engine.now_ms + 9000


def test_a_retry_does_not_see_what_resumed_the_attempt_before(scenario: Scenario) -> None:
    waiting = suspended(scenario)
    waiting.deliver()
    scenario.fail(scenario.reclaim(waiting.id).lease, retry_delay_ms=0)

    assert scenario.reclaim(waiting.id).resumption == b""


def test_after_a_lost_lease_the_next_holder_sees_it_again_and_is_told(scenario: Scenario) -> None:
    waiting = suspended(scenario)
    waiting.deliver()
    scenario.reclaim(waiting.id)
    scenario.call("lease_revoke", waiting.id, "")

    grant = scenario.reclaim(waiting.id)

    assert (grant.attempt, grant.resumption[:2], grant.flags) == (2, [1, b"signal"], b"r")
    again = suspend(scenario, grant.lease, wait(signal("approval")), at=("approval",))
    again.deliver()
    assert scenario.reclaim(waiting.id).flags == b""


def test_a_new_priority_counts_at_the_resume(scenario: Scenario) -> None:
    waiting = suspended(scenario)
    scenario.call("execution_reprioritize", waiting.id, 7)
    other = scenario.create(priority=5)

    waiting.deliver()

    assert [grant.id for grant in scenario.claim(count=2)] == [waiting.id, other]


def test_a_replay_starts_without_suspensions_and_old_waitpoints_stay_shut(scenario: Scenario) -> None:
    waiting = suspended(scenario)
    waiting.deliver(key="k")
    scenario.complete(scenario.reclaim(waiting.id).lease)
    scenario.call("execution_replay", waiting.id, "fresh", "")

    kinds = {name.partition(":")[0] for name in scenario.keys_of(waiting.id)}
    assert not kinds & {"suspension", "waitpoints", "signals", "deliveries", "delivery_expiry"}
    grant = scenario.reclaim(waiting.id)
    assert grant.resumption == b""
    again = suspend(scenario, grant.lease, wait(signal("approval")), at=("approval",))
    assert again.number == 2
    assert waiting.deliver() == [b"WAITPOINT_CLOSED"]
    assert again.deliver()[2] == b"resumed"
    assert_waits(scenario, waiting.id)


def test_retention_deletes_all_that_waited(scenario: Scenario) -> None:
    waiting = suspend(
        scenario,
        scenario.hold().lease,
        wait(signal("approval"), entry="1", name="approval"),
        at=("approval",),
    )
    waiting.deliver(key="k")
    scenario.complete(scenario.reclaim(waiting.id).lease)
    scenario.engine.advance(DAY_MS)

    scenario.call("retention_purge", 10)

    assert scenario.keys_of(waiting.id) == []
    scenario.assert_no_orphans()


def test_a_suspended_execution_is_put_back_where_it_belongs(scenario: Scenario) -> None:
    timed = suspend(scenario, scenario.hold().lease, wait(TIMER, timeout_ms=700))
    untimed = suspended(scenario)
    due_at = scenario.score("suspended", timed.id)
    scenario.engine.command("DEL", scenario.prefix + "suspended")

    assert scenario.call("index_reconcile", "executions", 0, 10, 1000) == [0, 2]

    assert scenario.score("suspended", timed.id) == due_at
    assert scenario.score("suspended", untimed.id) == 9e15
    scenario.assert_sound()


@pytest.mark.parametrize("state", TERMINAL)
def test_a_list_of_suspended_executions_has_the_next_due_first(scenario: Scenario, state: str) -> None:
    never = suspended(scenario)
    later = suspend(scenario, scenario.hold().lease, wait(TIMER, timeout_ms=900))
    soon = suspend(scenario, scenario.hold().lease, wait(TIMER, timeout_ms=100))

    reply = scenario.call(
        "execution_list", "suspended", "asc", "", "", 10, 100, "default", "", "", "suspended"
    )

    assert [entry[1][0].decode() for entry in reply[3:]] == [soon.id, later.id, never.id]
    assert scenario.members(state) == []


def test_a_null_in_a_policy_is_the_default(scenario: Scenario) -> None:
    """A22: nothing raises after the attempt was ended."""
    grant = scenario.hold(
        policy={"max_attempts": None, "backoff_initial_ms": None, "retryable_categories": None}
    )

    assert scenario.fail(grant.lease) == [b"OK", b"retry_scheduled"]
    assert scenario.state(grant.id) == "delayed"


def test_a_wait_is_in_the_journal_from_its_beginning_to_its_end(scenario: Scenario) -> None:
    waiting = suspend(
        scenario,
        scenario.hold().lease,
        wait(signal("approval"), entry="3", name="approval", timeout_ms=500),
        wait(TIMER, entry="4", name="nap", timeout_ms=700, on_timeout="resume"),
        at=("approval",),
    )
    began = journal(scenario, waiting.id)
    assert [(each["k"], each["n"], each["s"]) for each in began.values()] == [
        ("wait", "approval", "waiting"), ("sleep", "nap", "waiting"),
    ]  # fmt: skip
    assert began["4"]["due"] == scenario.engine.now_ms + 700
    at = waiting.waitpoints["approval"]
    assert began["3"]["w"] == f"default~{waiting.id}~s1~1~{at['expires_at']}"

    waiting.deliver(payload=b"yes\0")

    ended = journal(scenario, waiting.id)
    assert (ended["3"]["s"], ended["4"]["s"]) == ("done", "waiting")
    [grant] = scenario.claim()
    [data] = [grant.journal[i + 2] for i in range(0, len(grant.journal), 3) if grant.journal[i] == b"3"]
    headers, _, payload = cast("bytes", data).partition(b"\n")
    assert (json.loads(headers)[0]["name"], payload) == ("approved", b"yes\0")
    assert grant.flags == b"j"


def test_signals_that_served_are_dropped_by_the_next_suspension(scenario: Scenario) -> None:
    """A18: what counts against the limit is what is kept."""
    waiting = suspended(scenario)
    for number in range(1, 6):
        assert waiting.deliver(most=4, fingerprint=f"f{number}")[:3] == [b"OK", number, b"resumed"]
        assert set(stored_signals(scenario, waiting.id)) == {number}
        waiting = suspend(
            scenario, scenario.reclaim(waiting.id).lease, wait(signal("approval")), at=("approval",)
        )
    assert stored_signals(scenario, waiting.id) == {}
    assert_waits(scenario, waiting.id)


@pytest.mark.parametrize("part", range(4))
def test_only_the_lease_in_force_suspends(scenario: Scenario, part: int) -> None:
    """A16: each part of the fence counts."""
    grant = scenario.hold()
    parts = grant.lease.split(":")
    parts[part] = {0: "0-ff", 1: "2", 2: "7", 3: "other"}[part]

    reply = scenario.finish(":".join(parts), "suspend", spec(wait(OPERATOR)), "k1")

    assert reply == [b"EXECUTION_NOT_FOUND" if part == 0 else b"LEASE_STALE"]
    assert scenario.state(grant.id) == "active"
    assert record(scenario, grant.id) == {}


def test_a_lease_that_ran_out_suspends_nothing(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.engine.advance(30_000)

    assert scenario.finish(grant.lease, "suspend", spec(wait(OPERATOR)), "k1") == [b"LEASE_EXPIRED"]


def journal(scenario: Scenario, id: str) -> dict[str, dict[str, Any]]:
    """The headers of the journal by key."""
    flat = cast("list[bytes]", scenario.engine.command("HGETALL", f"{scenario.prefix}journal:{id}"))
    pairs = {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}
    return {key: json.loads(header) for key, header in sorted(pairs.items()) if key}


def test_a_wait_that_is_recorded_as_done_is_not_waited_for_again(scenario: Scenario) -> None:
    details = wait(signal("approval"), entry="1", name="approval")
    waiting = suspend(scenario, scenario.hold().lease, details, at=("approval",))
    waiting.deliver()

    lease = scenario.reclaim(waiting.id).lease
    reply = scenario.finish(lease, "suspend", spec(details, waitpoints=[waitpoint("approval")]), "k1")

    assert reply == [b"STEP_MISMATCH", b"waits[0].entry: 1 was recorded as done"]
    assert scenario.renew(lease) == [b"OK"]
