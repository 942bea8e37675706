"""How long a suspension may last, by Valkey's clock."""

from __future__ import annotations

from typing import Any

from .harness.scenario import Scenario
from .harness.waits import DAY_MS, TIMER, signal, spec, suspend, wait, waitpoint


def test_a_point_in_time_is_no_further_than_the_gateway_allows(scenario: Scenario) -> None:
    lease, now = scenario.hold().lease, scenario.engine.now_ms

    def until(due_at: int, **fields: Any) -> list[bytes]:
        reply: list[bytes] = scenario.finish(
            lease, "suspend", spec(wait(TIMER, due_at=due_at), **fields), "k1"
        )
        return reply

    assert until(now + 90_001, longest_ms=90_000)[:2] == [
        b"INVALID_ARGUMENT", b"waits[0].timeout: at most 90000 ms",
    ]  # fmt: skip
    assert until(now + 400 * DAY_MS + 1, longest_ms=401 * DAY_MS)[0] == b"INVALID_ARGUMENT"
    assert until(now + 400 * DAY_MS + 1)[0] == b"INVALID_ARGUMENT"
    assert until(now + 90_000, longest_ms=90_000)[:2] == [b"OK", b"suspended"]


def test_a_handler_that_sleeps_for_ever_is_told_when_its_journal_is_full(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    id = lease.split(":", maxsplit=1)[0]

    def sleep(entry: str, **limits: int) -> list[bytes]:
        nap = wait(TIMER, entry=entry, name="sleep", timeout_ms=10, on_timeout="resume")
        reply: list[bytes] = scenario.finish(lease, "suspend", spec(nap, **limits), "k1")
        return reply

    for number in range(3):
        assert sleep(f"{number}", most_entries=3)[:2] == [b"OK", b"suspended"]
        scenario.engine.advance(10)
        scenario.call("suspension_lapse", 1)
        lease = scenario.reclaim(id).lease
    before = scenario.core(id)

    assert sleep("3", most_entries=3)[0] == b"JOURNAL_FULL"
    assert sleep("3", most_bytes=10)[0] == b"JOURNAL_FULL"
    assert scenario.core(id) == before
    assert scenario.renew(lease) == [b"OK"]
    assert sleep("", most_entries=3)[:2] == [b"OK", b"suspended"]


def test_a_wait_that_is_recorded_already_needs_no_room(scenario: Scenario) -> None:
    waits = (
        wait(signal("a"), entry="1", name="a"),
        wait(TIMER, entry="2", name="sleep", timeout_ms=10, on_timeout="resume"),
    )
    waiting = suspend(scenario, scenario.hold().lease, *waits, at=("a",), most_entries=2)
    scenario.engine.advance(10)
    scenario.call("suspension_lapse", 1)

    lease = scenario.reclaim(waiting.id).lease
    again = suspend(scenario, lease, waits[0], at=(waitpoint("a", number=1),), most_entries=2)

    assert again.answer == "suspended"
