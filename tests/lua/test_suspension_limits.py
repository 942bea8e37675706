"""How long a suspension may last, by Valkey's clock."""

from __future__ import annotations

from typing import Any

from .harness.scenario import Scenario
from .harness.waits import DAY_MS, TIMER, spec, wait


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
