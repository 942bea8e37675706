"""Suspending: what a holder may ask for, and what becomes of its execution."""

from __future__ import annotations

import json
from typing import Any, cast

from .harness.scenario import Scenario
from .harness.waits import (
    signal,
    suspend,
    suspended,
    wait,
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
    assert scenario.events(waiting.id)[-3:] == ["resumed", "signal", "claimed"]
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
