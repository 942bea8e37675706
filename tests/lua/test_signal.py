"""Delivering signals: once, to the right waitpoint, within limits."""

from __future__ import annotations

from typing import Any

import pytest

from .harness.scenario import Scenario
from .harness.waits import (
    DAY_MS,
    assert_waits,
    count,
    deliver,
    deliver_many,
    item,
    pending,
    record,
    signal,
    stored_signals,
    suspend,
    suspended,
    wait,
    waitpoint,
    waitpoints,
)


def test_a_signal_is_kept_with_all_it_says(scenario: Scenario) -> None:
    waiting = suspended(scenario, count(2, "signals"))

    reply = waiting.deliver(
        name="approved", category="approval", source="user:bob", correlation="c-1", payload=bytes(range(256))
    )

    assert reply == [b"OK", 1, b"counted", 0, b"suspended"]
    header, payload = stored_signals(scenario, waiting.id)[1]
    assert payload == bytes(range(256))
    assert header == {
        "number": 1, "waitpoint": "approval", "name": "approved", "category": "approval",
        "source": "user:bob", "correlation": "c-1", "at": scenario.engine.now_ms, "bytes": 256,
    }  # fmt: skip
    assert scenario.event_entries()[-1] == {
        "event": "signal", "execution": waiting.id, "state": "suspended", "attempt": "1", "epoch": "1",
        "lane": "default/main", "kind": "test", "detail": "1 approval counted user:bob",
    }  # fmt: skip


def test_the_effect_says_what_a_signal_did(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    later = pending(scenario, lease, "later")
    node = count(2, "sources", "approval", names=["approved"])
    waiting = suspend(scenario, lease, wait(node), at=("approval",))

    effects = [
        waiting.deliver(source="user:a"),
        waiting.deliver(source="user:a"),
        waiting.deliver(name="other", source="user:b"),
        deliver(scenario, waiting.id, later),
        waiting.deliver(source="user:b"),
    ]

    assert [reply[2] for reply in effects] == [b"counted", b"repeated", b"unmatched", b"buffered", b"resumed"]
    assert record(scenario, waiting.id)["resumed_by"] == [1, 5]


def test_a_repeat_is_answered_as_the_first_whatever_has_happened_since(scenario: Scenario) -> None:
    """A13: after the resume, after the end."""
    waiting = suspended(scenario)
    first = waiting.deliver(key="k")
    assert first == [b"OK", 1, b"resumed", 0, b"waiting"]

    assert waiting.deliver(key="k") == [b"OK", 1, b"resumed", 1, b"waiting"]
    grant = scenario.reclaim(waiting.id)
    scenario.complete(grant.lease)
    assert waiting.deliver(key="k") == [b"OK", 1, b"resumed", 1, b"completed"]
    assert len(stored_signals(scenario, waiting.id)) == 1


def test_one_key_is_one_signal(scenario: Scenario) -> None:
    waiting = suspended(scenario, count(5, "signals"))
    waiting.deliver(key="k")

    assert waiting.deliver(key="k", payload=b"other") == [b"IDEMPOTENCY_CONFLICT", 1]
    assert waiting.deliver(key="l", payload=b"other")[:2] == [b"OK", 2]


def test_a_key_is_a_waitpoints_own(scenario: Scenario) -> None:
    waiting = suspend(scenario, scenario.hold().lease, wait(count(5, "signals")), at=("a", "b"))

    assert waiting.deliver("a", key="k")[1:4] == [1, b"counted", 0]
    assert waiting.deliver("b", key="k")[1:4] == [2, b"counted", 0]
    assert deliver(scenario, waiting.id, "a", key="k")[1:4] == [3, b"counted", 0]


def test_a_key_is_forgotten_when_its_time_is_over(scenario: Scenario) -> None:
    waiting = suspended(scenario, count(50, "signals"))
    for number in range(5):
        waiting.deliver(key=f"k{number}", key_ttl_ms=700)
    scenario.engine.advance(700)

    assert waiting.deliver(key="k0")[1:4] == [6, b"counted", 0]
    assert len(scenario.members(f"delivery_expiry:{waiting.id}")) == 1


def test_an_execution_remembers_only_so_many_keys(scenario: Scenario) -> None:
    waiting = suspended(scenario, count(50, "signals"))
    key = f"{scenario.prefix}delivery_expiry:{waiting.id}"
    alive = [part for n in range(9_999) for part in (scenario.engine.now_ms + 700, f"key {n}")]
    scenario.engine.command("ZADD", key, *alive)

    replies = [waiting.deliver(key=f"k{number}") for number in range(2)]

    assert [reply[0] for reply in replies] == [b"OK", b"SIGNALS_FULL"]
    assert deliver(scenario, waiting.id, "approval", key="k")[0] == b"OK"
    assert waiting.deliver(key="k0")[3] == 1
    scenario.engine.advance(700)
    assert waiting.deliver(key="k1")[0] == b"OK"


def test_a_single_use_waitpoint_takes_one_signal(scenario: Scenario) -> None:
    waiting = suspend(
        scenario,
        scenario.hold().lease,
        wait(count(2, "waitpoints")),
        at=(waitpoint("once", uses="single"), "other"),
    )
    assert waiting.deliver("once") == [b"OK", 1, b"counted", 0, b"suspended"]

    assert waiting.deliver("once") == [b"OK", 1, b"counted", 1, b"suspended"]
    assert waiting.deliver("once", payload=b"other") == [b"WAITPOINT_CLOSED"]
    waiting.deliver("other")
    assert waiting.deliver("once") == [b"OK", 1, b"counted", 1, b"waiting"]
    assert deliver(scenario, waiting.id, "once") == [b"OK", 1, b"counted", 1, b"waiting"]


FOREIGN: list[tuple[dict[str, Any], list[bytes]]] = [
    ({"scope": "s2"}, [b"TOKEN_INVALID"]),
    ({"scope": "p1"}, [b"TOKEN_INVALID"]),
    ({"expires_at": 9_000_000_000_000}, [b"TOKEN_INVALID"]),
    ({"expires_at": 1}, [b"TOKEN_INVALID"]),
    ({"number": 2}, [b"TOKEN_INVALID"]),
]


@pytest.mark.parametrize(("address", "answer"), FOREIGN)
def test_a_token_opens_only_what_it_was_made_for(
    scenario: Scenario, address: dict[str, Any], answer: list[bytes]
) -> None:
    """A10: another suspension, another kind of waitpoint, another expiry, another waitpoint."""
    waiting = suspended(scenario)

    assert waiting.deliver(**address) == answer
    assert scenario.state(waiting.id) == "suspended"
    assert stored_signals(scenario, waiting.id) == {}


def test_a_token_of_one_execution_does_not_resume_another(scenario: Scenario) -> None:
    """A10: even with the same numbers, the expiry or the execution differs in what its token covers."""
    one = suspended(scenario)
    scenario.engine.advance(1)
    other = suspended(scenario)

    assert deliver(scenario, other.id, one.waitpoints["approval"]) == [b"TOKEN_INVALID"]
    assert scenario.state(other.id) == "suspended"


def test_an_expired_token_is_answered_before_anything_is_looked_up(scenario: Scenario) -> None:
    waiting = suspended(scenario)
    scenario.engine.advance(30 * DAY_MS)

    assert waiting.deliver() == [b"TOKEN_INVALID"]
    assert deliver(scenario, "0-ff", waiting.waitpoints["approval"]) == [b"TOKEN_INVALID"]
    assert deliver(scenario, waiting.id, "approval")[2] == b"resumed"


def test_by_name_the_newest_open_waitpoint_is_meant(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    id = lease.split(":", maxsplit=1)[0]
    assert deliver(scenario, id, "approval") == [b"WAITPOINT_NOT_FOUND"]
    pending(scenario, lease, "approval")
    waiting = suspend(scenario, lease, wait(signal("approval")), at=("approval",))

    assert deliver(scenario, id, "approval", key="k")[2] == b"resumed"
    assert deliver(scenario, id, "approval", key="k")[3] == 1
    assert deliver(scenario, id, "approval")[2] == b"buffered"
    assert {number: each["signals"] for number, each in waitpoints(scenario, id).items()} == {1: [2], 2: [1]}
    scenario.complete(scenario.reclaim(id).lease)
    assert deliver(scenario, id, "approval") == [b"EXECUTION_TERMINAL"]
    assert deliver(scenario, "0-ff", "approval") == [b"EXECUTION_NOT_FOUND"]
    assert waiting.deliver() == [b"EXECUTION_TERMINAL"]


def test_an_execution_keeps_only_so_many_signals(scenario: Scenario) -> None:
    """A quarter of the places, 64 at most, is for those who decide by name."""
    waiting = suspended(scenario, count(50, "signals"))
    replies = [waiting.deliver(fingerprint=f"f{number}", most=8) for number in range(7)]

    assert [reply[0] for reply in replies] == [b"OK"] * 6 + [b"SIGNALS_FULL"]
    assert deliver(scenario, waiting.id, "approval", most=8)[0] == b"OK"
    assert_waits(scenario, waiting.id)


def test_an_execution_keeps_only_so_many_bytes(scenario: Scenario) -> None:
    """With a token half of them at one waitpoint, seven eighths at all; by name, all."""
    waiting = suspend(scenario, scenario.hold().lease, wait(count(50, "signals")), at=("a", "b"))

    def send(at: str, size: int) -> Any:
        return waiting.deliver(at, payload=b"x" * size, most_bytes=80)[0]

    assert [send("a", 30), send("a", 11), send("a", 10)] == [b"OK", b"SIGNALS_FULL", b"OK"]
    assert [send("b", 31), send("b", 30)] == [b"SIGNALS_FULL", b"OK"]
    assert deliver(scenario, waiting.id, "a", payload=b"x" * 11, most_bytes=80) == [b"SIGNALS_FULL"]
    assert deliver(scenario, waiting.id, "a", payload=b"x" * 10, most_bytes=80)[0] == b"OK"


def test_a_flood_at_one_waitpoint_leaves_room_at_others(scenario: Scenario) -> None:
    waiting = suspend(scenario, scenario.hold().lease, wait(count(2, "waitpoints")), at=("flooded", "other"))
    flood = [item(waiting.id, waiting.waitpoints["flooded"]) for _ in range(300)]

    replies = deliver_many(scenario, *flood)

    assert [reply[0] for reply in replies].count(b"SIGNALS_FULL") == 44
    assert deliver(scenario, waiting.id, "flooded")[2] == b"repeated"
    assert waiting.deliver("other")[2] == b"resumed"


def test_the_limit_is_of_what_is_kept_not_of_a_lifetime(scenario: Scenario) -> None:
    """A18."""
    waiting = suspended(scenario)
    for round in range(1, 12):
        assert waiting.deliver(most=4)[:3] == [b"OK", round, b"resumed"]
        lease = scenario.reclaim(waiting.id).lease
        waiting = suspend(scenario, lease, wait(signal("approval")), at=("approval",))


def test_fifty_at_once_resume_once(scenario: Scenario) -> None:
    waiting = suspended(scenario)
    items = [item(waiting.id, waiting.waitpoints["approval"], source=f"user:{n}") for n in range(50)]

    replies = deliver_many(scenario, *items)

    assert replies[0][2] == b"resumed"
    assert {reply[0] for reply in replies[1:]} == {b"WAITPOINT_CLOSED"}
    assert scenario.events(waiting.id).count("resumed") == 1
    assert_waits(scenario, waiting.id)


def test_in_bulk_each_has_its_own_verdict(scenario: Scenario) -> None:
    one, two = suspended(scenario), suspended(scenario)

    replies = deliver_many(
        scenario,
        item(one.id, one.waitpoints["approval"]),
        item("0-ff", "approval"),
        item(two.id, "unknown"),
        item(two.id, two.waitpoints["approval"], delay_ms=700),
    )

    assert replies == [
        [b"OK", 1, b"resumed", 0, b"waiting"],
        [b"EXECUTION_NOT_FOUND"],
        [b"WAITPOINT_NOT_FOUND"],
        [b"OK", 1, b"resumed", 0, b"delayed"],
    ]
    assert len(scenario.published("news")) > 0
    scenario.assert_sound()


def test_a_source_counts_once_and_only_where_it_matches(scenario: Scenario) -> None:
    """A12 end to end: two counts in one tree, each with its own tokens."""
    node = {"op": "all", "of": [count(2, "sources", "a"), count(2, "sources", "b")]}
    waiting = suspend(scenario, scenario.hold().lease, wait(node), at=("a", "b"))

    effects = [
        waiting.deliver(at, source=source)[2]
        for at, source in (
            ("a", "user:x"),
            ("a", "user:y"),
            ("b", "user:x"),
            ("b", "user:x"),
            ("b", "user:y"),
        )
    ]

    assert effects == [b"counted", b"counted", b"counted", b"repeated", b"resumed"]
