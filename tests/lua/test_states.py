"""Random walks over the transition table: after every step the invariants hold."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ff_lua import assemble

from .harness.engines import LuaEngine
from .harness.scenario import TERMINAL, Grant, Scenario
from .harness.waits import TIMER, any_of, assert_waits, deliver, signal, spec, wait

QUEUES = ("default/main/any", "default/main/gpu")
SCANS = (
    "offer_expire",
    "lease_expire",
    "delayed_promote",
    "suspension_lapse",
    "attempt_expire",
    "deadline_expire",
    "retention_purge",
)
POLICY: dict[str, object] = {
    "max_attempts": 2,
    "max_reclaims": 1,
    "max_replays": 1,
    "reclaim_delay_ms": 700,
    "retention_ms": 60_000,
}
#: The latest leases are the ones in force, most of the time.
LEASES = st.sampled_from((0, 0, 0, 1, 1, 2, 3, 5))
#: Chosen to fall before, on and after the offer time, the deadline, the timeout and the lease time.
PAUSES = (1, 700, 1000, 5_000, 29_999, 30_000, 60_000)


class Walk(RuleBasedStateMachine):
    """A few executions, every operation in any order, and the leases that were ever granted."""

    engine: LuaEngine

    @initialize()
    def begin(self) -> None:
        self.engine.reset()
        self.scenario = Scenario(self.engine)
        self.ids: list[str] = []
        self.grants: list[Grant] = []
        self.epochs: dict[str, int] = {}
        for policy in (None, POLICY):
            self.ids.append(self.scenario.create(policy=policy, attempt_timeout_ms=5_000))
        self.claim(QUEUES[0], 2)

    def pick(self, number: int) -> str:
        return self.ids[number % len(self.ids)] if self.ids else "0-ff"

    def lease(self, number: int) -> str:
        """One of the leases, the low numbers name the latest."""
        return self.grants[-1 - number % len(self.grants)].lease

    @rule(
        queue=st.sampled_from(QUEUES),
        priority=st.integers(0, 2),
        delay_ms=st.sampled_from((0, 700)),
        deadline_ms=st.sampled_from(("", 1000, 40_000)),
        timeout_ms=st.sampled_from((None, 700)),
        policy=st.sampled_from((None, POLICY)),
        tag=st.booleans(),
    )
    def create(
        self,
        *,
        queue: str,
        priority: int,
        delay_ms: int,
        deadline_ms: int | str,
        timeout_ms: int | None,
        policy: dict[str, object] | None,
        tag: bool,
    ) -> None:
        if len(self.ids) < 4:
            fields = {} if timeout_ms is None else {"attempt_timeout_ms": timeout_ms}
            self.ids.append(
                self.scenario.create(
                    queue=queue,
                    priority=priority,
                    delay_until_ms=delay_ms and self.engine.now_ms + delay_ms,
                    deadline_ms=deadline_ms,
                    policy=policy,
                    tags={"team": "blue"} if tag else {},
                    **fields,
                )
            )

    @rule(queue=st.sampled_from(QUEUES), count=st.integers(1, 3))
    def claim(self, queue: str, count: int) -> None:
        for grant in self.scenario.claim(queue, count):
            assert grant.epoch > self.epochs.get(grant.id, 0), "epochs only grow"
            self.epochs[grant.id] = grant.epoch
            self.grants.append(grant)

    @rule(number=LEASES)
    def renew(self, number: int) -> None:
        self.scenario.renew(self.lease(number))

    @rule(number=LEASES)
    def release(self, number: int) -> None:
        self.scenario.call("lease_release", self.lease(number))

    @rule(number=LEASES, outcome=st.sampled_from(("complete", "fail", "delay", "stop")))
    def finish_twice(self, number: int, outcome: str) -> None:
        details = {"complete": (b"r",), "fail": ("T", "m", "transient", 0, ""), "delay": (700,), "stop": ()}
        answers = [self.scenario.finish(self.lease(number), outcome, *details[outcome]) for _ in range(2)]
        assert answers[0] == answers[1], "a repeat gets the first answer"

    @rule(number=LEASES, timeout_ms=st.sampled_from((700, 40_000)))
    def suspend_twice(self, number: int, timeout_ms: int) -> None:
        details = spec(wait(any_of(signal("a"), TIMER), timeout_ms=timeout_ms), at=("a",))
        answers = [self.scenario.finish(self.lease(number), "suspend", details, "k1")[:2] for _ in range(2)]
        assert answers[0] == answers[1], "a repeat gets the first answer"

    @rule(number=st.integers(0, 3))
    def signal(self, number: int) -> None:
        deliver(self.scenario, self.pick(number), "a")

    @rule(number=LEASES)
    def write_output(self, number: int) -> None:
        self.scenario.call("output_append", self.lease(number), 1, 1, "1", b"x")

    @rule(number=st.integers(0, 3), grace_ms=st.sampled_from((0, 700)))
    def cancel(self, number: int, grace_ms: int) -> None:
        self.scenario.call("execution_cancel", "why", grace_ms, self.pick(number))

    @rule(number=st.integers(0, 3))
    def revoke(self, number: int) -> None:
        self.scenario.call("lease_revoke", self.pick(number), "")

    @rule(number=st.integers(0, 3))
    def replay(self, number: int) -> None:
        self.scenario.call("execution_replay", self.pick(number), "fresh", "")

    @rule(number=st.integers(0, 3), priority=st.integers(0, 3))
    def reprioritize(self, number: int, priority: int) -> None:
        self.scenario.call("execution_reprioritize", self.pick(number), priority)

    @rule(pause=st.sampled_from(PAUSES))
    def wait(self, pause: int) -> None:
        self.engine.advance(pause)

    @rule(scan=st.sampled_from(SCANS), limit=st.integers(1, 3))
    def scan(self, scan: str, limit: int) -> None:
        self.scenario.call(scan, limit)
        self.ids = [id for id in self.ids if self.scenario.core(id)]

    @invariant()
    def state_is_sound(self) -> None:
        self.scenario.assert_sound()

    @invariant()
    def waits_are_sound(self) -> None:
        for id in self.ids:
            assert_waits(self.scenario, id)

    @invariant()
    def every_end_is_told_once_for_each_run(self) -> None:
        for id in self.ids:
            events, core = self.scenario.events(id), self.scenario.core(id)
            ends = sum(event in TERMINAL for event in events)
            runs = 1 + events.count("replayed")
            assert ends == runs - (core["state"] not in TERMINAL)


@pytest.mark.timeout(300)
def test_every_walk_keeps_the_invariants() -> None:
    engine = LuaEngine(assemble())

    class Loaded(Walk):
        pass

    Loaded.engine = engine
    run_state_machine_as_test(
        Loaded,
        settings=settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
