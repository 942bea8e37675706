"""The journal against a dictionary: any writes, repeats, crashes and replays, in any order."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ff_lua import assemble

from .harness.engines import LuaEngine
from .harness.journal import entry, keys, read, record, totals
from .harness.scenario import Scenario

KEYS = ("1", "2", "3", "=a:b", "2c1.1")
NAMES = ("plan", "apply")
STATES = ("running", "done")


@dataclass
class Kept:
    """What the model expects of one entry."""

    name: str
    state: str
    data: bytes


WRITES = st.lists(
    st.tuples(
        st.sampled_from(KEYS),
        st.sampled_from(NAMES),
        st.sampled_from(STATES),
        st.sampled_from((b"", b"x", b"yy")),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda write: write[0],
)


class Journal(RuleBasedStateMachine):
    """One execution and a dictionary in the order of first writing."""

    engine: LuaEngine

    @initialize()
    def begin(self) -> None:
        self.engine.reset()
        self.scenario = Scenario(self.engine)
        grant = self.scenario.hold(policy={"max_replays": 1000, "max_reclaims": 1000})
        self.id, self.lease = grant.id, grant.lease
        self.stale: list[str] = []
        self.kept: dict[str, Kept] = {}

    @rule(writes=WRITES, max_entries=st.sampled_from((3, 100)))
    def write(self, writes: list[tuple[str, str, str, bytes]], max_entries: int) -> None:
        after = dict(self.kept)
        expected = b"OK"
        for key, name, state, data in writes:
            before = after.get(key)
            if before and before.name != name:
                expected = b"STEP_MISMATCH"
                break
            if not before or before.state != "done":
                after[key] = Kept(name, state, data)
        if expected == b"OK" and len(after) > max(max_entries, len(self.kept)):
            expected = b"JOURNAL_FULL"

        reply = record(
            self.scenario,
            self.lease,
            *(entry(key, name, state=state, data=data) for key, name, state, data in writes),
            max_entries=max_entries,
        )

        assert reply[0] == expected
        if expected == b"OK":
            self.kept = after

    @rule(number=st.integers(0, 20))
    def write_with_an_old_lease(self, number: int) -> None:
        if self.stale:
            lease = self.stale[number % len(self.stale)]
            assert record(self.scenario, lease, entry("9", "late")) != [b"OK"]

    @rule()
    def crash(self) -> None:
        self.scenario.call("lease_revoke", self.id, "")
        self.hold_again()

    @rule(mode=st.sampled_from(("fresh", "all", "through")), step=st.sampled_from((*KEYS, *NAMES)))
    def replay(self, mode: str, step: str) -> None:
        places = list(self.kept)
        through = places.index(step) if step in self.kept else -1
        for place, key in enumerate(places):
            if step not in self.kept and self.kept[key].name == step:
                through = place
        self.scenario.fail(self.lease, final=True)
        if mode == "through" and through < 0:
            assert self.scenario.call("execution_replay", self.id, mode, step) == [b"STEP_NOT_FOUND"]
            mode = "all"
        assert self.scenario.call("execution_replay", self.id, mode, step) == [b"OK", b"waiting"]
        last = {"fresh": -1, "all": len(places), "through": through}[mode]
        self.kept = {
            key: self.kept[key]
            for place, key in enumerate(places)
            if place <= last and self.kept[key].state == "done"
        }
        self.hold_again()

    def hold_again(self) -> None:
        self.stale.append(self.lease)
        grant = self.scenario.reclaim(self.id)
        self.lease = grant.lease

    @invariant()
    def is_as_expected(self) -> None:
        page, end = read(self.scenario, self.id)
        assert end == 0
        assert [(each.key, each.header["n"], each.state, each.data) for each in page] == [
            (key, kept.name, kept.state, kept.data) for key, kept in self.kept.items()
        ]
        assert keys(self.scenario, self.id) == list(self.kept)
        _, count, last = totals(self.scenario, self.id)
        assert count == len(self.kept)
        places = [each.header[place] for each in page for place in "qz" if place in each.header]
        assert len(set(places)) == len(places)
        assert max(places, default=0) <= last


def test_the_journal_is_what_the_dictionary_says() -> None:
    engine = LuaEngine(assemble())

    class Loaded(Journal):
        pass

    Loaded.engine = engine
    run_state_machine_as_test(
        Loaded,
        settings=settings(
            max_examples=30,
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
