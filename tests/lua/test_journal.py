"""The journal: recorded under the fence, once, whole, within its limits; read in order and in pages."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from .harness.journal import entries_of, entry, keys, read, record, record_many, totals
from .harness.scenario import LEASE_TTL_MS, QUEUE, WORKER, Scenario
from .harness.waits import OPERATOR, TIMER, spec, wait

BYTES = bytes(range(256))


def grant_row(scenario: Scenario) -> list[Any]:
    """The one grant of a claim, as it is answered."""
    reply = cast("list[Any]", scenario.call("execution_claim", QUEUE, 1, 5000, "n", "g"))
    return cast("list[Any]", reply[2])


def claim_again(scenario: Scenario, id: str) -> list[Any]:
    scenario.call("lease_revoke", id, "")
    return grant_row(scenario)


def test_entries_are_kept_in_order_byte_for_byte(scenario: Scenario) -> None:
    grant = scenario.hold()
    at = scenario.engine.now_ms

    assert record(scenario, grant.lease, entry("1", "plan", data=BYTES, r=2)) == [b"OK"]
    assert record(scenario, grant.lease, entry("=apply:x", "apply", f="abc")) == [b"OK"]

    [first, second], end = read(scenario, grant.id)
    assert (first.key, first.data, first.header) == (
        "1",
        BYTES,
        {"k": "step", "n": "plan", "s": "done", "r": 2, "q": 1, "at": at, "end": at, "b": 256},
    )
    assert (second.key, second.data, second.header["q"], end) == ("=apply:x", b"", 2, 0)
    assert totals(scenario, grant.id)[1:] == (2, 2)
    scenario.assert_sound()


def test_a_repeat_is_answered_ok_and_the_first_stays(scenario: Scenario) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, entry("1", data=b"first"))
    before = read(scenario, grant.id)
    scenario.engine.advance(5)

    assert record(scenario, grant.lease, entry("1", data=b"first")) == [b"OK"]
    assert record(scenario, grant.lease, entry("1", data=b"second")) == [b"OK"]
    assert record(scenario, grant.lease, entry("1", state="running")) == [b"OK"]

    assert read(scenario, grant.id) == before


def test_what_runs_becomes_final_in_its_place(scenario: Scenario) -> None:
    grant = scenario.hold()
    at = scenario.engine.now_ms
    record(scenario, grant.lease, entry("1", state="running", data=b"so far"))
    record(scenario, grant.lease, entry("2"))
    scenario.engine.advance(300)

    failure = {"type": "E", "message": 'it "broke"', "category": "transient"}
    assert record(scenario, grant.lease, entry("1", state="failed", r=1, e=failure)) == [b"OK"]

    [first, _], _ = read(scenario, grant.id)
    assert (first.state, first.data, first.header["e"]) == ("failed", b"", failure)
    assert (first.header["q"], first.header["at"], first.header["end"]) == (1, at, at + 300)
    totals(scenario, grant.id)


def test_what_becomes_final_later_has_a_place_for_that_too(scenario: Scenario) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, entry("1", state="running"), entry("2", v=1))
    record(scenario, grant.lease, entry("1", state="running", r=2))
    record(scenario, grant.lease, entry("1", v=2), entry("3", v=3))
    record(scenario, grant.lease, entry("1", v=9), entry("4"))

    found, _ = read(scenario, grant.id)

    assert [(each.key, each.header["q"], each.header.get("z"), each.header.get("v")) for each in found] == [
        ("1", 1, 3, 2),
        ("2", 2, None, 1),
        ("3", 4, None, 3),
        ("4", 5, None, None),
    ]
    assert totals(scenario, grant.id)[1:] == (4, 5)


def test_a_write_that_is_refused_takes_no_place(scenario: Scenario) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, entry("1", state="running"), entry("2"))

    assert record(scenario, grant.lease, entry("1"), entry("2", "other"))[0] == b"STEP_MISMATCH"

    record(scenario, grant.lease, entry("1"))
    assert read(scenario, grant.id)[0][0].header["z"] == 3


@pytest.mark.parametrize(
    "other",
    [
        entry("2", "apply"),
        entry("2", "plan", kind="value"),
        entry("2", "plan", f="b"),
    ],
    ids=["name", "kind", "fingerprint"],
)
def test_another_step_at_a_recorded_key_is_told_and_nothing_is_written(
    scenario: Scenario, other: list[Any]
) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, entry("2", "plan", f="a", data=b"x"))

    assert record(scenario, grant.lease, entry("1"), other, entry("3")) == [
        b"STEP_MISMATCH",
        b"2",
        b"step plan",
    ]

    assert keys(scenario, grant.id) == ["2"]
    assert totals(scenario, grant.id)[1] == 1


def test_fingerprints_are_compared_only_where_there_are_two(scenario: Scenario) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, entry("1", f="a"), entry("2"))

    assert record(scenario, grant.lease, entry("1"), entry("2", f="b")) == [b"OK"]


def test_a_key_comes_once_in_a_write(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert record(scenario, grant.lease, entry("1"), entry("1")) == [b"INVALID_ARGUMENT", b"1"]
    assert keys(scenario, grant.id) == []


def test_only_the_lease_in_force_may_write(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.call("lease_revoke", grant.id, "")
    again = scenario.reclaim(grant.id)

    assert record_many(
        scenario,
        (grant.lease, entry("1")),
        (again.lease + "x", entry("1")),
        ("nonsense", entry("1")),
        ("0-ff:1:1:n", entry("1")),
        (again.lease, entry("2")),
    ) == [[b"LEASE_REVOKED"], [b"LEASE_STALE"], [b"INVALID_ARGUMENT"], [b"EXECUTION_NOT_FOUND"], [b"OK"]]
    scenario.engine.advance(LEASE_TTL_MS)
    assert record(scenario, again.lease, entry("3")) == [b"LEASE_EXPIRED"]
    assert keys(scenario, grant.id) == ["2"]


def test_writes_of_many_leases_and_of_one_share_a_call(scenario: Scenario) -> None:
    one, two = scenario.hold(), scenario.hold()

    replies = record_many(
        scenario,
        (one.lease, entry("1")),
        (two.lease, entry("1"), entry("2")),
        (one.lease, entry("2"), entry("1")),
    )

    assert replies == [[b"OK"]] * 3
    assert (keys(scenario, one.id), keys(scenario, two.id)) == (["1", "2"], ["1", "2"])
    assert scenario.published("news")[-1] == f"~{one.id} ~{two.id}".encode()


def test_the_first_record_confirms_a_grant_and_later_ones_leave_the_core_alone(scenario: Scenario) -> None:
    id = scenario.create()
    [grant] = scenario.claim()

    record(scenario, grant.lease, entry("1"))
    core = scenario.value("execution", id)

    assert scenario.core(id)["confirmed"] is True
    assert scenario.score("leased", id) == scenario.core(id)["expires_at"]
    assert scenario.events(id)[-1] == "confirmed"
    record(scenario, grant.lease, entry("2", data=b"x"), entry("3", state="running"))
    record(scenario, grant.lease, entry("3"))
    assert scenario.value("execution", id) == core
    scenario.assert_sound()


def test_who_watches_is_told_of_every_record_that_says_something(scenario: Scenario) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, entry("1"))
    told = len(scenario.published("news"))

    record(scenario, grant.lease, entry("2"))
    assert scenario.published("news")[told:] == [f"~{grant.id}".encode()]
    record(scenario, grant.lease, entry("2"))
    assert len(scenario.published("news")) == told + 1


# Limits.


def test_a_full_journal_takes_nothing_new(scenario: Scenario) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, entry("1", state="running"), entry("2"))

    assert record(scenario, grant.lease, entry("3"), entry("4"), max_entries=3) == [b"JOURNAL_FULL", b"3"]
    assert keys(scenario, grant.id) == ["1", "2"]
    assert record(scenario, grant.lease, entry("1"), entry("2"), max_entries=2) == [b"OK"]
    assert record(scenario, grant.lease, entry("3"), max_entries=3) == [b"OK"]


def test_bytes_are_counted_with_their_headers(scenario: Scenario) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, entry("1", data=b"x" * 1000))
    bytes_kept, _, _ = totals(scenario, grant.id)

    assert bytes_kept > 1000
    assert record(scenario, grant.lease, entry("2"), max_bytes=bytes_kept) == [b"JOURNAL_FULL", b"2"]
    assert record(scenario, grant.lease, entry("1"), max_bytes=bytes_kept) == [b"OK"]


# Reading.


def test_pages_go_on_where_the_last_ended(scenario: Scenario) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, *(entry(str(number), data=b"x" * 1000) for number in range(1, 6)))

    page, after = read(scenario, grant.id, max_bytes=2500)
    assert ([each.key for each in page], after) == (["1", "2"], 2)
    page, after = read(scenario, grant.id, after, max_bytes=10)
    assert ([each.key for each in page], after) == (["3"], 3)
    page, after = read(scenario, grant.id, after, max_bytes=2500)
    assert ([each.key for each in page], after) == (["4", "5"], 0)
    assert read(scenario, grant.id, 5) == ([], 0)


def test_a_long_journal_is_read_in_pages_of_entries_too(scenario: Scenario) -> None:
    grant = scenario.hold()
    for first in range(1, 521, 130):
        record(
            scenario,
            grant.lease,
            *(entry(str(number)) for number in range(first, first + 130)),
            max_entries=1000,
        )

    page, after = read(scenario, grant.id, data=False)

    assert (len(page), after) == (256, 256)
    assert keys(scenario, grant.id) == [str(number) for number in range(1, 521)]


def test_headers_can_be_read_alone(scenario: Scenario) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, entry("1", data=b"x" * 10))

    [found], _ = read(scenario, grant.id, data=False)

    assert (found.data, found.header["b"]) == (b"", 10)
    assert scenario.call("journal_read", "0-ff", 0, 100, 1) == [b"EXECUTION_NOT_FOUND"]
    assert read(scenario, scenario.create()) == ([], 0)


# Grants.


def test_the_next_holder_gets_the_journal_with_its_grant(scenario: Scenario) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, entry("1", data=BYTES), entry("2", "send", state="running"))

    row = claim_again(scenario, grant.id)

    assert [(each.key, each.state, each.data) for each in entries_of(row[6])] == [
        ("1", "done", BYTES),
        ("2", "running", b""),
    ]
    assert b"j" in row[8]


def test_a_retry_gets_it_and_a_first_run_gets_none(scenario: Scenario) -> None:
    id = scenario.create(policy={"backoff_initial_ms": 0})
    row = grant_row(scenario)
    assert len(row) == 6
    lease = row[0].decode()
    record(scenario, lease, entry("1"))

    scenario.fail(lease)

    assert [each.key for each in entries_of(grant_row(scenario)[6])] == ["1"]
    assert scenario.core(id)["attempt"] == 2


@pytest.mark.parametrize("entries", [1, 257])
def test_a_large_journal_is_left_to_be_read(scenario: Scenario, entries: int) -> None:
    grant = scenario.hold()
    data = b"x" * 70_000 if entries == 1 else b""
    for first in range(0, entries, 200):
        record(
            scenario,
            grant.lease,
            *(entry(str(number), data=data) for number in range(first, min(first + 200, entries))),
            max_entries=1000,
        )

    row = claim_again(scenario, grant.id)

    assert (row[6], row[8]) in [(b"", b"j"), (b"", b"rj")]
    assert len(keys(scenario, grant.id)) == entries


def test_a_description_shows_the_newest_steps(scenario: Scenario) -> None:
    grant = scenario.hold()
    for first in range(0, 250, 125):
        record(
            scenario,
            grant.lease,
            *(entry(str(number), data=b"x") for number in range(first, first + 125)),
            max_entries=1000,
        )

    [reply] = cast("list[list[Any]]", scenario.call("execution_describe", 0, 1, grant.id))
    shown = entries_of(reply[5][1:])

    assert reply[5][0] == 250
    assert [each.key for each in shown] == [str(number) for number in range(50, 250)]
    assert {each.data for each in shown} == {b""}
    [bare] = cast("list[list[Any]]", scenario.call("execution_describe", 0, 0, grant.id))
    assert bare[5] == []


def test_the_journal_goes_with_its_execution(scenario: Scenario) -> None:
    grant = scenario.hold(policy={"retention_ms": 1000})
    record(scenario, grant.lease, entry("1", data=b"x"))
    scenario.finish(grant.lease, "complete", WORKER)
    scenario.engine.advance(1000)

    scenario.call("retention_purge", 100)

    assert scenario.keys_of(grant.id) == []


# Waits, which the engine records itself.


def test_a_wait_is_recorded_when_it_begins_and_when_it_ends(scenario: Scenario) -> None:
    grant = scenario.hold()
    asked = wait(OPERATOR, entry="2", name="approval", timeout_ms=60_000)
    due_at = scenario.engine.now_ms + 60_000
    record(scenario, grant.lease, entry("1"))

    assert scenario.finish(grant.lease, "suspend", spec(asked), "k1")[:2] == [b"OK", b"suspended"]
    waiting = read(scenario, grant.id)[0][1]
    assert (waiting.key, waiting.state, waiting.header["due"], waiting.header["q"]) == (
        "2",
        "waiting",
        due_at,
        2,
    )
    scenario.engine.advance(5)
    scenario.call("suspension_resume", grant.id, "user:ann", 0, "go on", "n")

    done = read(scenario, grant.id)[0][1]
    assert (done.state, done.header["at"], done.header["end"]) == (
        "done",
        scenario.engine.now_ms - 5,
        scenario.engine.now_ms,
    )
    headers, _, payloads = done.data.partition(b"\n")
    assert ([each["source"] for each in json.loads(headers)], payloads) == (["user:ann"], b"go on")
    totals(scenario, grant.id)


@pytest.mark.parametrize(
    ("recorded", "code"),
    [
        (entry("2", "approval", kind="wait", state="running"), b"OK"),
        (entry("2", "approval", kind="step"), b"STEP_MISMATCH"),
        (entry("2", "review", kind="wait"), b"STEP_MISMATCH"),
    ],
)
def test_a_wait_cannot_take_the_entry_of_something_else(
    scenario: Scenario, recorded: list[Any], code: bytes
) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, recorded)
    before = scenario.core(grant.id)

    reply = scenario.finish(grant.lease, "suspend", spec(wait(OPERATOR, entry="2", name="approval")), "k1")

    assert reply[0] == code
    if code != b"OK":
        assert reply[1].startswith(b"waits[0].entry: 2 was recorded as ")
        assert scenario.core(grant.id) == before
        assert scenario.complete(grant.lease) == [b"OK", b"completed"]


def test_the_end_of_a_wait_comes_before_what_the_next_run_records(scenario: Scenario) -> None:
    grant = scenario.hold()
    record(scenario, grant.lease, entry("1", v=0))
    waits = [
        wait(OPERATOR, entry="2", name="approval", seen=1),
        wait(TIMER, entry="3", name="nap", timeout_ms=5),
    ]
    assert scenario.finish(grant.lease, "suspend", spec(*waits), "k1")[:2] == [b"OK", b"suspended"]
    scenario.engine.advance(5)
    scenario.call("suspension_lapse", 10)
    again = scenario.reclaim(grant.id)
    record(scenario, again.lease, entry("4", v=4))

    found, _ = read(scenario, grant.id)

    assert [(each.key, each.header["q"], each.header.get("z"), each.header.get("v")) for each in found] == [
        ("1", 1, None, 0),
        ("2", 2, None, 1),
        ("3", 3, 4, None),
        ("4", 5, None, 4),
    ]
    assert [each.state for each in found] == ["done", "waiting", "done", "done"]


def test_a_wait_that_goes_on_says_what_its_last_run_knew(scenario: Scenario) -> None:
    grant = scenario.hold()
    asked = wait(OPERATOR, entry="1", name="approval", seen=0)
    scenario.finish(grant.lease, "suspend", spec(asked, wait(TIMER, entry="2", timeout_ms=5)), "k1")
    scenario.engine.advance(5)
    scenario.call("suspension_lapse", 10)
    again = scenario.reclaim(grant.id)

    assert scenario.finish(again.lease, "suspend", spec(asked | {"seen": 3}), "k1")[0] == b"OK"
    scenario.call("suspension_resume", grant.id, "user:ann", 0, "go on", "n")

    header = read(scenario, grant.id)[0][0].header
    assert (header["q"], header["v"], header["z"]) == (1, 3, 4)


def test_two_waits_have_two_entries(scenario: Scenario) -> None:
    grant = scenario.hold()
    same = wait(OPERATOR, entry="2", name="approval")

    reply = scenario.finish(grant.lease, "suspend", spec(same, same), "k1")

    assert reply[0] == b"INVALID_ARGUMENT"
    assert reply[1].startswith(b"waits[1].entry")
    assert scenario.state(grant.id) == "active"
