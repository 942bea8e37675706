"""The board: which queue is claimed from next, in which partitions, and for whom."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ff_scheduler.board import MAX_SPREAD, Board, Claim, Demand

BATCH = 8
PLAIN, GPU = "default/main/", "default/main/gpu"


def demand(limit: int, *capabilities: str, lanes: tuple[str, ...] = ("main",), number: int = 1) -> Demand:
    return Demand(number, "default", frozenset(lanes), frozenset(capabilities), limit)


def board(*demands: Demand) -> Board:
    made = Board(BATCH)
    for one in demands:
        made.add_demand(one)
    return made


def plan(subject: Board) -> list[tuple[str, int, int]]:
    """Queue, partition and size of the claims that follow."""
    return [(claim.queue.name, claim.partition, claim.count) for claim in subject.plan()]


# What is claimed at all.


def test_nothing_waits_nothing_is_claimed() -> None:
    assert board(demand(5)).plan() == []


def test_nobody_wants_nothing_is_claimed() -> None:
    subject = board(demand(0))
    subject.mark_ready(0, PLAIN, 1.0)

    assert subject.plan() == []


def test_one_waits_one_is_wanted() -> None:
    wants = demand(1)
    subject = board(wants)
    subject.mark_ready(3, PLAIN, 1.0)

    [claim] = subject.plan()

    assert (claim.queue.name, claim.partition, claim.count) == (PLAIN, 3, 1)
    assert claim.demand is wants
    assert (wants.in_flight, wants.free) == (1, 0)


def test_a_partition_is_claimed_from_once_at_a_time() -> None:
    subject = board(demand(100))
    subject.mark_ready(0, PLAIN, 1.0)
    subject.plan()
    subject.mark_ready(0, PLAIN, 0.5)

    assert subject.plan() == []


def test_a_wake_up_during_a_claim_is_looked_at_after_it() -> None:
    subject = board(demand(100))
    subject.mark_ready(0, PLAIN, 1.0)
    [claim] = subject.plan()
    subject.mark_ready(0, PLAIN, 2.0)

    subject.settle(claim, claim.count, claim.count, None)

    assert [partition for _, partition, _ in plan(subject)] == [0]


def test_what_is_left_in_a_queue_is_claimed_next() -> None:
    subject = board(demand(100))
    subject.mark_ready(0, PLAIN, 1.0)
    [claim] = subject.plan()

    subject.settle(claim, claim.count, claim.count, 5.0)

    assert plan(subject) == [(PLAIN, 0, BATCH)]


def test_an_empty_queue_is_forgotten() -> None:
    subject = board(demand(100))
    subject.mark_ready(0, PLAIN, 1.0)
    [claim] = subject.plan()

    subject.settle(claim, claim.count, 0, None)

    assert subject.plan() == []


def test_a_failed_claim_gives_the_slots_back() -> None:
    wants = demand(3)
    subject = board(wants)
    subject.mark_ready(0, PLAIN, 1.0)
    [claim] = subject.plan()

    subject.abandon(claim)
    subject.mark_ready(0, PLAIN, 1.0)

    assert wants.free == 3
    assert plan(subject) == [(PLAIN, 0, 3)]


def test_a_claim_that_found_no_free_slot_leaves_the_queue_as_it_was() -> None:
    subject = board(demand(3))
    subject.mark_ready(0, PLAIN, 1.0)
    [claim] = subject.plan()

    subject.settle(claim, 0, 0, None)

    assert plan(subject) == [(PLAIN, 0, 3)]


def test_a_late_claim_keeps_its_slots_and_lets_others_claim() -> None:
    late, other = demand(3), demand(2, number=2)
    subject = board(late, other)
    subject.mark_ready(0, PLAIN, 1.0)
    [claim] = subject.plan()
    subject.mark_ready(0, PLAIN, 1.0)
    assert subject.plan() == []

    subject.overtake(claim)

    [second] = subject.plan()
    assert (claim.demand, second.demand) == (late, other)
    assert (late.in_flight, late.free) == (3, 0)
    subject.settle(claim, 3, 1, None)
    assert (late.in_flight, late.free) == (0, 2)


def test_a_late_claim_of_a_queue_that_was_forgotten_brings_it_back() -> None:
    subject = board(demand(5))
    subject.mark_ready(0, PLAIN, 1.0)
    [claim] = subject.plan()
    subject.overtake(claim)
    subject.mark_ready(1, PLAIN, 2.0)

    subject.settle(claim, 5, 1, 3.0)

    assert sorted(partition for _, partition, _ in plan(subject)) == [0, 1]


def test_a_partition_that_is_no_longer_owned_is_not_claimed_from() -> None:
    subject = board(demand(5))
    subject.mark_ready(0, PLAIN, 1.0)
    subject.mark_ready(1, PLAIN, 2.0)

    subject.keep_partitions(frozenset({1}))

    assert [partition for _, partition, _ in plan(subject)] == [1]


# Who can do what.


def test_another_namespace_lane_or_requirement_is_not_served() -> None:
    subject = board(demand(5, "cpu"))
    for queue in ("other/main/", "default/side/", GPU):
        subject.mark_ready(0, queue, 1.0)

    assert subject.plan() == []


def test_work_that_nobody_can_do_blocks_nothing() -> None:
    subject = board(demand(1))
    subject.mark_ready(0, GPU, -9000.0)
    subject.mark_ready(0, PLAIN, 1.0)

    assert plan(subject) == [(PLAIN, 0, 1)]


def test_waiting_work_starts_when_a_capable_demand_appears() -> None:
    subject = board(demand(1))
    subject.mark_ready(0, GPU, 1.0)
    assert subject.plan() == []

    subject.add_demand(demand(1, "gpu", number=2))

    assert plan(subject) == [(GPU, 0, 1)]


def test_a_demand_that_goes_is_claimed_for_no_more() -> None:
    wants = demand(5)
    subject = board(wants)
    subject.mark_ready(0, PLAIN, 1.0)
    subject.remove_demands([wants])

    assert subject.plan() == []


def test_the_poorest_capable_demand_goes_first() -> None:
    rich, poor = demand(5, "gpu", "ssd"), demand(5, number=2)
    subject = board(rich, poor)
    subject.mark_ready(0, PLAIN, 1.0)

    [claim] = subject.plan()

    assert claim.demand is poor


def test_a_rich_demand_stays_free_for_what_only_it_can_do() -> None:
    rich, poor = demand(1, "gpu"), demand(1, number=2)
    subject = board(rich, poor)
    subject.mark_ready(0, PLAIN, 1.0)
    subject.mark_ready(0, GPU, 2.0)

    claims = {claim.queue.name: claim.demand for claim in subject.plan()}

    assert claims == {PLAIN: poor, GPU: rich}


def test_a_rich_demand_helps_out_when_the_poor_are_busy() -> None:
    rich, poor = demand(1, "gpu"), demand(0, number=2)
    subject = board(rich, poor)
    subject.mark_ready(0, PLAIN, 1.0)

    [claim] = subject.plan()

    assert claim.demand is rich


def test_of_equals_the_one_with_most_free_slots_goes_first() -> None:
    few, many = demand(2), demand(6, number=2)
    subject = board(few, many)
    subject.mark_ready(0, PLAIN, 1.0)

    [claim] = subject.plan()

    assert claim.demand is many


# Order and spread.


def test_the_queue_with_the_best_head_goes_first() -> None:
    subject = board(demand(1, lanes=("main", "side")))
    subject.mark_ready(0, "default/side/", 5.0)
    subject.mark_ready(0, PLAIN, 4.0)

    assert plan(subject) == [(PLAIN, 0, 1)]


def test_within_a_queue_the_best_partition_goes_first() -> None:
    subject = board(demand(1))
    for partition, score in enumerate([3.0, 1.0, 2.0]):
        subject.mark_ready(partition, PLAIN, score)

    assert plan(subject) == [(PLAIN, 1, 1)]


def test_a_better_head_replaces_a_worse_one() -> None:
    subject = board(demand(1))
    subject.mark_ready(0, PLAIN, 2.0)
    subject.mark_ready(1, PLAIN, 3.0)
    subject.mark_ready(1, PLAIN, 1.0)

    assert plan(subject) == [(PLAIN, 1, 1)]


def test_demand_is_spread_over_several_partitions_at_once() -> None:
    subject = board(demand(8))
    for partition in range(20):
        subject.mark_ready(partition, PLAIN, float(partition))

    assert plan(subject)[:4] == [(PLAIN, partition, 2) for partition in range(4)]


def test_a_claim_is_never_larger_than_the_batch() -> None:
    subject = board(demand(1000))
    for partition in range(3):
        subject.mark_ready(partition, PLAIN, 1.0)

    assert {count for _, _, count in plan(subject)} == {BATCH}


def test_demand_beyond_a_batch_is_claimed_in_full_batches_at_once() -> None:
    wants = demand(3 * BATCH + 1)
    subject = board(wants)
    for partition in range(9):
        subject.mark_ready(partition, PLAIN, float(partition))
    subject._queues[PLAIN].spread = 1

    counts = [count for _, _, count in plan(subject)]

    assert (counts, wants.free) == ([BATCH] * 3, 1)


@pytest.mark.parametrize(("partitions", "has_more"), [(2, False), (4, False), (5, True)])
def test_claims_say_whether_more_of_the_queue_waits_elsewhere(partitions: int, has_more: bool) -> None:
    subject = board(demand(4))
    for partition in range(partitions):
        subject.mark_ready(partition, PLAIN, float(partition))

    assert {claim.has_more for claim in subject.plan()} == {has_more}


def test_full_claims_narrow_and_short_ones_widen_the_spread() -> None:
    subject = board(demand(10_000))
    queue = None
    for granted, spreads in ((BATCH, [2, 1, 1]), (1, [2, 4, 8, 16, MAX_SPREAD])):
        for spread in spreads:
            subject.mark_ready(0, PLAIN, 1.0)
            [claim] = subject.plan()
            queue = claim.queue
            subject.settle(claim, claim.count, granted, 1.0)
            subject.mark_ready(1, PLAIN, 9.0)
            assert queue.spread == spread
            subject.keep_partitions(frozenset({0}))


class AnyBoard(RuleBasedStateMachine):
    """Whatever happens in whatever order, a gateway is never sent more than it asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.subject = Board(BATCH)
        self.demands: list[Demand] = []
        self.claims: list[Claim] = []
        self.granted: dict[int, int] = {}

    @rule(limit=st.integers(0, 20), capabilities=st.sets(st.sampled_from(["gpu", "ssd"])))
    def open_demand(self, limit: int, capabilities: set[str]) -> None:
        one = demand(limit, *capabilities, number=len(self.demands))
        self.demands.append(one)
        self.granted[id(one)] = 0
        self.subject.add_demand(one)

    @precondition(lambda self: self.demands)
    @rule(data=st.data())
    def close_demand(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.demands))
        self.demands.remove(one)
        self.subject.remove_demands([one])

    @precondition(lambda self: self.demands)
    @rule(data=st.data(), change=st.integers(-5, 20))
    def change_limit(self, data: st.DataObject, change: int) -> None:
        data.draw(st.sampled_from(self.demands)).limit += change

    @rule(
        partition=st.integers(0, 7),
        queue=st.sampled_from([PLAIN, GPU, "default/main/gpu,ssd", "default/other/"]),
        score=st.floats(-9e15, 9e15),
    )
    def wake(self, partition: int, queue: str, score: float) -> None:
        self.subject.mark_ready(partition, queue, score)

    @rule(partitions=st.frozensets(st.integers(0, 7)))
    def own(self, partitions: frozenset[int]) -> None:
        self.subject.keep_partitions(partitions)

    @rule()
    def plan(self) -> None:
        before = {id(one): one.free for one in self.demands}
        claims = self.subject.plan()
        self.claims += claims
        for claim in claims:
            assert claim.demand in self.demands
            assert claim.queue.required <= claim.demand.capabilities
            assert 1 <= claim.count <= BATCH
        for one in self.demands:
            assert sum(claim.count for claim in claims if claim.demand is one) <= max(0, before[id(one)])
        assert self.subject.plan() == [], "a plan leaves nothing to plan"

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), more=st.none() | st.floats(0, 9e15))
    def settle(self, data: st.DataObject, more: float | None) -> None:
        claim = self.claims.pop(data.draw(st.integers(0, len(self.claims) - 1)))
        asked = data.draw(st.integers(0, claim.count))
        granted = data.draw(st.integers(0, asked))
        self.granted[id(claim.demand)] += granted
        self.subject.settle(claim, asked, granted, more)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        claim = self.claims.pop(data.draw(st.integers(0, len(self.claims) - 1)))
        self.subject.abandon(claim)

    @invariant()
    def what_is_under_way_is_counted(self) -> None:
        for one in self.demands:
            under_way = sum(claim.count for claim in self.claims if claim.demand is one)
            assert one.in_flight == under_way
            assert one.granted == self.granted[id(one)]

    @invariant()
    def only_what_is_wanted_or_waits_is_remembered(self) -> None:
        assert self.subject._demands == set(self.demands)
        assert all(queue.heads or queue.claimed for queue in self.subject._queues.values())
        assert set(self.subject._matches) <= set(self.subject._queues)

    @invariant()
    def a_partition_of_a_queue_has_one_claim(self) -> None:
        places = [(claim.queue.name, claim.partition) for claim in self.claims]
        assert len(places) == len(set(places))


TestAnyBoard = AnyBoard.TestCase
TestAnyBoard.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
