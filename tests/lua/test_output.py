"""Output streams: in order, fenced, bounded, closed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from .harness.scenario import Scenario

BYTES = bytes(range(256))


DURABLE, SUMMARY, BEST_EFFORT = 1, 2, 3
STDOUT, EVENT, PATCH = 1, 3, 5


def append(scenario: Scenario, lease: str, *frames: tuple[int, bytes]) -> object:
    """Durable frames of one kind."""
    return put(scenario, lease, *((number, DURABLE, STDOUT, data) for number, data in frames))


def put(scenario: Scenario, lease: str, *frames: tuple[int, int, int, bytes]) -> object:
    return scenario.call("output_append", lease, *(part for frame in frames for part in frame))


@dataclass(frozen=True)
class Page:
    state: bytes
    last: str
    more: bool
    closed_at: str
    frames: list[list[Any]]

    @property
    def data(self) -> list[bytes]:
        return [frame[5] for frame in self.frames]

    @property
    def ids(self) -> list[str]:
        return [frame[0].decode() for frame in self.frames]


def read(
    scenario: Scenario,
    id: str,
    after: str = "",
    count: int = 100,
    *,
    scan: int = 1000,
    attempt: int = 0,
    classes: str = "",
    kinds: str = "",
) -> Page:
    reply = scenario.call("output_read", id, after, count, scan, attempt, classes, kinds)
    assert reply[0] == b"OK"
    return Page(reply[1], reply[2].decode(), bool(reply[3]), reply[4].decode(), reply[5:])


def test_frames_are_stored_in_order_byte_for_byte(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert append(scenario, grant.lease, (1, BYTES), (2, b"")) == [b"OK", 2]

    page = read(scenario, grant.id)
    assert (page.state, page.more, page.closed_at) == (b"active", False, "")
    assert page.data == [BYTES, b""]
    assert scenario.published("news")[-1] == f"~{grant.id}".encode()


def test_a_repeated_frame_is_stored_once(scenario: Scenario) -> None:
    grant = scenario.hold()
    append(scenario, grant.lease, (1, b"a"), (2, b"b"))

    assert append(scenario, grant.lease, (2, b"b"), (3, b"c")) == [b"OK", 3]
    assert append(scenario, grant.lease, (1, b"a")) == [b"OK", 3]
    assert read(scenario, grant.id).data == [b"a", b"b", b"c"]


def test_the_first_frame_confirms_a_grant_so_that_no_two_leases_number_one_attempt(
    scenario: Scenario,
) -> None:
    id = scenario.create()
    [grant] = scenario.claim()
    expires_at = scenario.score("offered", id)

    append(scenario, grant.lease, (1, b"a"))

    assert scenario.core(id)["confirmed"] is True
    assert scenario.score("leased", id) == expires_at
    append(scenario, grant.lease, (2, b"b"))
    scenario.renew(grant.lease)
    assert scenario.events(id) == ["created", "claimed", "confirmed"]
    scenario.assert_one_index(id)


def test_a_gap_is_refused_after_what_came_before_it(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert append(scenario, grant.lease, (1, b"a"), (3, b"c")) == [b"OUTPUT_GAP", 1]
    assert read(scenario, grant.id).data == [b"a"]


def test_reading_goes_on_after_a_cursor(scenario: Scenario) -> None:
    grant = scenario.hold()
    append(scenario, grant.lease, (1, b"a"), (2, b"b"), (3, b"c"))

    first = read(scenario, grant.id, count=2)
    rest = read(scenario, grant.id, after=first.last)

    assert (first.data, first.more) == ([b"a", b"b"], True)
    assert (rest.data, rest.more) == ([b"c"], False)
    assert scenario.call("output_read", "0-ff", "", 1, 1, 0, "", "") == [b"EXECUTION_NOT_FOUND"]


def test_the_end_of_the_execution_closes_the_stream(scenario: Scenario) -> None:
    grant = scenario.hold()
    append(scenario, grant.lease, (1, b"a"))
    scenario.complete(grant.lease)

    page = read(scenario, grant.id)
    assert (page.state, page.data) == (b"completed", [b"a"])
    assert page.closed_at == page.last > page.ids[0]
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
    assert read(scenario, grant.id).data == [b"a", b"b"]


def test_the_oldest_frames_go_when_the_bytes_are_over(scenario: Scenario) -> None:
    grant = scenario.hold(policy={"output_max_bytes": 100})

    for number in range(1, 9):
        append(scenario, grant.lease, (number, b"%d" % number * 30))

    assert read(scenario, grant.id).data == [b"6" * 30, b"7" * 30, b"8" * 30]
    assert scenario.core(grant.id)["output_bytes"] == 90


def test_frames_that_went_for_their_number_do_not_count_for_the_bytes(scenario: Scenario) -> None:
    grant = scenario.hold(policy={"output_max_frames": 10, "output_max_bytes": 10_000})

    for first in range(1, 1001, 50):
        append(scenario, grant.lease, *((number, b"x" * 5) for number in range(first, first + 50)))

    kept = read(scenario, grant.id, count=1000).data
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
    assert read(scenario, grant.id).data == [b"a", b"b"]


def test_frames_of_all_classes_have_one_order_and_one_cursor(scenario: Scenario) -> None:
    grant = scenario.hold()
    put(scenario, grant.lease, (1, DURABLE, STDOUT, b"a"), (2, BEST_EFFORT, EVENT, b"b"))
    put(scenario, grant.lease, (3, SUMMARY, PATCH, b'{"done":1}'), (4, DURABLE, STDOUT, b"c"))

    pages = [read(scenario, grant.id, count=1)]
    while pages[-1].more:
        pages.append(read(scenario, grant.id, after=pages[-1].last, count=1))

    assert [page.data for page in pages] == [[b"a"], [b"b"], [b'{"done":1}'], [b"c"]]
    assert [page.frames[0][1] for page in pages] == [b"1", b"3", b"2", b"1"]
    assert read(scenario, grant.id, after=pages[1].last).data == [b'{"done":1}', b"c"]


def test_ids_keep_their_order_when_the_clock_of_a_new_primary_is_behind(scenario: Scenario) -> None:
    grant = scenario.hold()
    core = scenario.core(grant.id) | {"output_ms": scenario.engine.now_ms + 5000, "output_seq": 3}
    scenario.engine.command("SET", f"{scenario.prefix}execution:{grant.id}", msgpack.packb(core))

    append(scenario, grant.lease, (1, b"a"))

    assert read(scenario, grant.id).ids == [f"{core['output_ms']}-4"]


def test_output_of_the_release_before_goes_on_behind_its_last_frame(scenario: Scenario) -> None:
    grant = scenario.hold()
    append(scenario, grant.lease, (1, b"a"))
    last = f"{scenario.engine.now_ms + 5000}-7"
    old = ("attempt", 1, "number", 2, "kind", 1, "data", b"b")
    scenario.engine.command("XADD", f"{scenario.prefix}output:{grant.id}", last, *old)
    core = scenario.core(grant.id) | {"frame_number": 2}
    del core["output_ms"], core["output_seq"]
    scenario.engine.command("SET", f"{scenario.prefix}execution:{grant.id}", msgpack.packb(core))

    append(scenario, grant.lease, (3, b"c"))
    scenario.complete(grant.lease)

    page = read(scenario, grant.id)
    assert page.data == [b"a", b"b", b"c"]
    assert page.closed_at.endswith("-9")


def test_a_best_effort_flood_never_drops_a_durable_frame_or_the_summary(scenario: Scenario) -> None:
    """D16: each class is bounded by itself."""
    grant = scenario.hold(policy={"output_max_frames": 5})
    put(scenario, grant.lease, (1, DURABLE, STDOUT, b"kept"), (2, SUMMARY, PATCH, b'{"kept":true}'))

    for first in range(3, 2003, 500):
        numbers = range(first, first + 500)
        put(scenario, grant.lease, *((number, BEST_EFFORT, EVENT, b"x") for number in numbers))

    assert read(scenario, grant.id, classes=",1,").data == [b"kept"]
    assert read(scenario, grant.id, classes=",2,").data == [b'{"kept":true}']
    assert scenario.core(grant.id)["output_bytes"] == len(b"kept")


def best_effort_kept(scenario: Scenario, id: str) -> int:
    return int(scenario.engine.command("XLEN", f"{scenario.prefix}best_effort:{id}"))  # type: ignore[arg-type]


def test_as_many_best_effort_frames_are_kept_as_their_rate_asks_for(scenario: Scenario) -> None:
    """A slow stream keeps little; a fast one what came within its time, and some more."""
    slow, fast = scenario.hold(), scenario.hold()
    slow_numbers, fast_numbers = count(1), count(1)

    for _ in range(40):
        put(scenario, slow.lease, *((next(slow_numbers), BEST_EFFORT, EVENT, b"x") for _ in range(10)))
        put(scenario, fast.lease, *((next(fast_numbers), BEST_EFFORT, EVENT, b"x") for _ in range(10)))
        put(scenario, fast.lease, *((next(fast_numbers), BEST_EFFORT, EVENT, b"x") for _ in range(90)))
        scenario.engine.advance(10_000)
        scenario.renew(slow.lease, fast.lease)

    assert 64 <= best_effort_kept(scenario, slow.id) < 250
    assert 400 <= best_effort_kept(scenario, fast.id) < 1200


def test_best_effort_frames_go_by_themselves(scenario: Scenario) -> None:
    grant = scenario.hold(policy={"best_effort_ttl_ms": 1000})
    put(scenario, grant.lease, (1, BEST_EFFORT, EVENT, b"x"), (2, DURABLE, STDOUT, b"kept"))

    scenario.engine.advance(2001)

    assert read(scenario, grant.id).data == [b"kept"]


def test_a_frame_of_no_class_stores_nothing(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert put(scenario, grant.lease, (1, DURABLE, STDOUT, b"a"), (2, 9, 1, b"b")) == [b"INVALID_ARGUMENT", 0]
    assert read(scenario, grant.id).data == []


@pytest.mark.parametrize(
    ("only", "data"),
    [
        ({"classes": ",3,"}, [b"1c", b"2c"]),
        ({"classes": ",1,3,", "kinds": ",3,"}, [b"1b", b"1c", b"2b", b"2c"]),
        ({"kinds": ",6,"}, [b'{"at":2}']),
        ({"attempt": 1}, [b"1a", b"1b", b"1c"]),
        ({"attempt": 2, "classes": ",2,"}, [b'{"at":2}']),
        ({"attempt": 3}, []),
    ],
)
def test_readers_choose_class_kind_and_attempt(scenario: Scenario, only: Any, data: list[bytes]) -> None:
    grant = scenario.hold()
    for attempt in (1, 2):
        put(
            scenario,
            grant.lease,
            (1, DURABLE, STDOUT, b"%da" % attempt),
            (2, DURABLE, EVENT, b"%db" % attempt),
            (3, BEST_EFFORT, EVENT, b"%dc" % attempt),
            (4, SUMMARY, PATCH, b'{"at":%d}' % attempt),
        )
        if attempt == 1:
            scenario.fail(grant.lease, retry_delay_ms=0)
            scenario.engine.advance(1)
            scenario.call("delayed_promote", 10)
            grant = scenario.reclaim(grant.id)

    assert read(scenario, grant.id, **only).data == data


def test_a_filter_never_hides_what_follows(scenario: Scenario) -> None:
    grant = scenario.hold()
    append(scenario, grant.lease, *((number, b"x") for number in range(1, 101)))
    put(scenario, grant.lease, (101, DURABLE, EVENT, b"found"))

    first = read(scenario, grant.id, scan=70, kinds=",3,")
    second = read(scenario, grant.id, after=first.last, scan=70, kinds=",3,")

    assert (first.data, first.more) == ([], True)
    assert (second.data, second.more) == ([b"found"], False)


def test_a_page_holds_so_many_bytes_and_says_that_there_is_more(scenario: Scenario) -> None:
    grant = scenario.hold()
    for number in range(1, 8):
        append(scenario, grant.lease, (number, b"x" * (1 << 20)))

    first = read(scenario, grant.id)

    assert (len(first.data), first.more) == (2, True)
    assert len(read(scenario, grant.id, after=first.last).data) == 2


def test_the_end_is_told_whatever_the_filter(scenario: Scenario) -> None:
    grant = scenario.hold()
    put(scenario, grant.lease, (1, BEST_EFFORT, EVENT, b"x"), (2, DURABLE, STDOUT, b"y"))
    scenario.complete(grant.lease)
    everything = read(scenario, grant.id)

    page = read(scenario, grant.id, classes=",3,")

    assert (page.data, page.closed_at) == ([b"x"], everything.closed_at)
    assert everything.closed_at == everything.last


def test_a_stream_that_a_replay_opened_again_ends_anew(scenario: Scenario) -> None:
    """D7: the marker of an end ends it; the end before a replay does not."""
    grant = scenario.hold()
    append(scenario, grant.lease, (1, b"a"))
    scenario.complete(grant.lease)
    first = read(scenario, grant.id)
    scenario.call("execution_replay", grant.id)
    again = scenario.reclaim(grant.id)
    append(scenario, again.lease, (1, b"b"))

    reopened = read(scenario, grant.id, after=first.last)
    scenario.complete(again.lease)
    ended = read(scenario, grant.id, after=reopened.last)

    assert (reopened.data, reopened.closed_at) == ([b"b"], "")
    assert (ended.data, ended.closed_at > first.closed_at) == ([], True)
