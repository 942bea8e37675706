"""Output streams: in order, fenced, bounded, closed."""

from __future__ import annotations

from typing import Any, cast

import pytest

from .harness.scenario import Scenario

BYTES = bytes(range(256))


def append(scenario: Scenario, lease: str, *frames: tuple[int, bytes]) -> object:
    arguments = [part for number, data in frames for part in (number, "1", data)]
    return scenario.call("output_append", lease, *arguments)


def read(scenario: Scenario, id: str, after: str = "", count: int = 100) -> list[Any]:
    return cast("list[Any]", scenario.call("output_read", id, after, count))


def data_of(reply: list[Any]) -> list[bytes]:
    return [fields[fields.index(b"data") + 1] for _, fields in reply[2:] if b"data" in fields]


def test_frames_are_stored_in_order_byte_for_byte(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert append(scenario, grant.lease, (1, BYTES), (2, b"")) == [b"OK", 2]

    reply = read(scenario, grant.id)
    assert reply[:2] == [b"OK", b"active"]
    assert data_of(reply) == [BYTES, b""]
    assert scenario.published("news")[-1] == grant.id.encode()


def test_a_repeated_frame_is_stored_once(scenario: Scenario) -> None:
    grant = scenario.hold()
    append(scenario, grant.lease, (1, b"a"), (2, b"b"))

    assert append(scenario, grant.lease, (2, b"b"), (3, b"c")) == [b"OK", 3]
    assert append(scenario, grant.lease, (1, b"a")) == [b"OK", 3]
    assert data_of(read(scenario, grant.id)) == [b"a", b"b", b"c"]


def test_the_first_frame_confirms_a_grant_so_that_no_two_leases_number_one_attempt(
    scenario: Scenario,
) -> None:
    id = scenario.create()
    [grant] = scenario.claim()
    expires_at = scenario.score("offered", id)

    append(scenario, grant.lease, (1, b"a"))

    assert scenario.core(id)["confirmed"] is True
    assert scenario.score("leased", id) == expires_at
    scenario.assert_one_index(id)


def test_a_gap_is_refused_after_what_came_before_it(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert append(scenario, grant.lease, (1, b"a"), (3, b"c")) == [b"OUTPUT_GAP", 1]
    assert data_of(read(scenario, grant.id)) == [b"a"]


def test_reading_goes_on_after_a_cursor(scenario: Scenario) -> None:
    grant = scenario.hold()
    append(scenario, grant.lease, (1, b"a"), (2, b"b"), (3, b"c"))

    first = read(scenario, grant.id, count=2)
    rest = read(scenario, grant.id, after=first[-1][0].decode())

    assert (data_of(first), data_of(rest)) == ([b"a", b"b"], [b"c"])
    assert read(scenario, "0-ff") == [b"EXECUTION_NOT_FOUND"]


def test_the_end_of_the_execution_closes_the_stream(scenario: Scenario) -> None:
    grant = scenario.hold()
    append(scenario, grant.lease, (1, b"a"))
    scenario.complete(grant.lease)

    assert read(scenario, grant.id)[-1][1] == [b"close", b"completed"]
    assert append(scenario, grant.lease, (2, b"b")) == [b"OUTPUT_CLOSED", 0]


def test_frames_of_a_stranger_are_refused(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert append(scenario, grant.lease + "x", (1, b"a")) == [b"LEASE_STALE", 0]
    assert append(scenario, "nonsense", (1, b"a")) == [b"INVALID_ARGUMENT", 0]
    assert append(scenario, "0-ff:1:1:n", (1, b"a")) == [b"EXECUTION_NOT_FOUND", 0]


def test_a_new_lease_counts_its_frames_from_one_and_the_stream_goes_on(scenario: Scenario) -> None:
    grant = scenario.hold()
    append(scenario, grant.lease, (1, b"a"))
    scenario.call("lease_revoke", grant.id, "")
    again = scenario.reclaim(grant.id)

    assert append(scenario, again.lease, (1, b"b")) == [b"OK", 1]
    assert data_of(read(scenario, grant.id)) == [b"a", b"b"]


def test_the_oldest_frames_go_when_the_bytes_are_over(scenario: Scenario) -> None:
    grant = scenario.hold(policy={"output_max_bytes": 100})

    for number in range(1, 9):
        append(scenario, grant.lease, (number, b"%d" % number * 30))

    assert data_of(read(scenario, grant.id)) == [b"6" * 30, b"7" * 30, b"8" * 30]
    assert scenario.core(grant.id)["output_bytes"] == 90


def test_frames_that_went_for_their_number_do_not_count_for_the_bytes(scenario: Scenario) -> None:
    grant = scenario.hold(policy={"output_max_frames": 10, "output_max_bytes": 10_000})

    for first in range(1, 1001, 50):
        append(scenario, grant.lease, *((number, b"x" * 5) for number in range(first, first + 50)))

    kept = data_of(read(scenario, grant.id, count=1000))
    assert 10 <= len(kept) < 200
    assert scenario.core(grant.id)["output_bytes"] == 5 * len(kept)


@pytest.mark.parametrize("state", ["completed", "failed"])
def test_a_replay_opens_the_stream_again(scenario: Scenario, state: str) -> None:
    grant = scenario.hold()
    append(scenario, grant.lease, (1, b"a"))
    if state == "completed":
        scenario.complete(grant.lease)
    else:
        scenario.fail(grant.lease, final=True)
    scenario.call("execution_replay", grant.id)
    again = scenario.reclaim(grant.id)

    assert append(scenario, again.lease, (1, b"b")) == [b"OK", 1]
    assert data_of(read(scenario, grant.id)) == [b"a", b"b"]
