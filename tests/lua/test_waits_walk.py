"""Random walks through suspensions: signals early, twice and late, and every way out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ff_lua import assemble

from .harness.engines import LuaEngine
from .harness.scenario import Scenario
from .harness.waits import (
    OPERATOR,
    TIMER,
    all_of,
    any_of,
    assert_waits,
    count,
    deliver,
    item,
    record,
    signal,
    spec,
    wait,
    waitpoints,
)

CONDITIONS = (
    signal("a"),
    signal("a", "yes"),
    signal("b", "yes"),
    all_of(signal("a"), signal("b")),
    all_of(any_of(signal("a", "no"), count(2, "waitpoints")), count(2, "signals", "a")),
    any_of(count(2, "sources"), TIMER),
    OPERATOR,
    TIMER,
)
BEHAVIOURS = ("fail", "cancel", "expire", "resume", "escalate")
MAX_SIGNALS = 12
TTL_MS = 50_000


class Walk(RuleBasedStateMachine):
    """One execution that suspends again and again. `lease` is the one in force, or the last."""

    engine: LuaEngine

    @initialize(timeout_ms=st.sampled_from((None, 5_000)), deadline_ms=st.sampled_from(("", 90_000)))
    def begin(self, timeout_ms: int | None, deadline_ms: int | str) -> None:
        self.engine.reset()
        self.scenario = Scenario(self.engine)
        fields = {} if timeout_ms is None else {"attempt_timeout_ms": timeout_ms}
        policy = {"max_replays": 50, "backoff_initial_ms": 1}
        self.id = self.scenario.create(deadline_ms=deadline_ms, policy=policy, **fields)
        self.lease = ""
        self.run()

    def run(self) -> None:
        """Has it held by a worker, whatever it is in."""
        self.scenario.call("execution_replay", self.id, "fresh", "")
        self.scenario.call("delayed_promote", 1)
        for grant in self.scenario.claim():
            numbers = record(self.scenario, self.id).get("resumed_by") or []
            told = len(grant.resumption) - 2 if grant.resumption else 0
            assert told in (0, len(numbers)), "the holder sees all that resumed it"
            self.lease = grant.lease

    @rule(
        nodes=st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=2),
        timeout_ms=st.sampled_from((700, 40_000)),
        on_timeout=st.sampled_from(BEHAVIOURS),
        entry=st.sampled_from(("", "1")),
    )
    def suspend_twice(self, nodes: list[Any], timeout_ms: int, on_timeout: str, entry: str) -> None:
        self.run()
        known = waitpoints(self.scenario, self.id).values()
        open_ones = [each for each in known if each["state"] == "pending"]
        kept = {each["name"]: {"name": each["name"], "number": each["number"]} for each in open_ones}
        made = {
            name: {"name": name, "uses": uses, "ttl_ms": TTL_MS}
            for name, uses in (("a", "multi"), ("b", "single"))
        }
        waits = [
            wait(
                node, timeout_ms=timeout_ms * place, on_timeout=on_timeout, entry=entry and f"{entry}{place}"
            )
            for place, node in enumerate(nodes, 1)
        ]
        details = spec(*waits, waitpoints=list((made | kept).values()))
        first, again = (self.scenario.finish(self.lease, "suspend", details, "k1") for _ in range(2))
        assert first[:2] == again[:2], "a repeat gets the first answer"

    @rule(name=st.sampled_from(("a", "b")))
    def make_waitpoint(self, name: str) -> None:
        self.scenario.call("waitpoint_create", self.lease, name, "multi", "", TTL_MS, "k1", "")

    @rule(
        place=st.integers(-3, -1),
        by_name=st.booleans(),
        name=st.sampled_from(("yes", "no")),
        source=st.sampled_from(("user:alice", "user:bob")),
        key=st.sampled_from(("", "once")),
        delay_ms=st.sampled_from((0, 0, 700)),
    )
    def deliver_twice(
        self, *, place: int, by_name: bool, name: str, source: str, key: str, delay_ms: int
    ) -> None:
        known = list(waitpoints(self.scenario, self.id).values())
        at = "a" if by_name or not known else known[max(place, -len(known))]
        before = self.scenario.core(self.id)
        fields = {"source": source, "key": key, "delay_ms": delay_ms}
        first, again = (
            deliver(self.scenario, self.id, at, name, most=MAX_SIGNALS, **fields) for _ in range(2)
        )
        if key and first[0] == b"OK":
            assert again[:3] == first[:3], "a repeat gets the first answer"
            assert again[3] == 1
        if first[0] == b"OK" and first[2] == b"resumed" and not first[3]:
            assert before["state"] == "suspended"
            assert first[4] == (b"delayed" if delay_ms else b"waiting")

    @rule(delay_ms=st.sampled_from((0, 700)))
    def resume(self, delay_ms: int) -> None:
        state = self.scenario.state(self.id)
        nonce = f"{self.engine.now_ms} {len(self.scenario.event_entries())}"
        reply = self.scenario.call("suspension_resume", self.id, "operator:default", delay_ms, "why", nonce)
        assert (reply[0] == b"OK") == (state == "suspended")

    @rule(
        pause=st.sampled_from((1, 700, 1400, 40_000)),
        scan=st.sampled_from(("suspension_lapse", "suspension_lapse", "deadline_expire")),
    )
    def wait(self, pause: int, scan: str) -> None:
        self.engine.advance(pause)
        self.scenario.call(scan, 10)
        self.run()

    @rule()
    def run_again(self) -> None:
        self.run()

    @rule(outcome=st.sampled_from(("fail", "delay", "revoke", "cancel", "complete")))
    def end(self, outcome: str) -> None:
        match outcome:
            case "revoke":
                self.scenario.call("lease_revoke", self.id, "")
            case "cancel":
                self.scenario.call("execution_cancel", "why", 0, self.id)
            case "fail":
                self.scenario.fail(self.lease)
            case _:
                self.scenario.finish(self.lease, outcome, 700)

    @rule(names=st.lists(st.sampled_from("ab"), min_size=2, max_size=4))
    def deliver_in_bulk(self, names: list[str]) -> None:
        items = [item(self.id, at, payload=b"x" * place) for place, at in enumerate(names)]
        arguments = [argument for each in items for argument in each]
        self.scenario.call("signal_deliver", MAX_SIGNALS, 10_000, *arguments)

    @invariant()
    def waits_are_sound(self) -> None:
        self.scenario.assert_sound()
        assert_waits(self.scenario, self.id)
        for before, event in pairwise(self.scenario.event_entries()):
            if (event["event"], event["detail"]) == ("resumed", "signal"):
                assert before["event"] in ("signal", "suspended"), "a cause comes before its effect"


@pytest.mark.timeout(300)
def test_every_walk_keeps_the_invariants() -> None:
    engine = LuaEngine(assemble())

    class Loaded(Walk):
        pass

    Loaded.engine = engine
    run_state_machine_as_test(
        Loaded,
        settings=settings(
            max_examples=80,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
