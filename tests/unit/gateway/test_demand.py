"""The demand book: who wants work, who gets which grant, and what goes back.

The book tells schedulers at the end of a turn of the loop, so tests that look at that are coroutines.
"""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from ff_core.lease import Grant
from ff_gateway.demand import Demand, DemandBook, Profile

PROFILE = Profile("default", ("a",), frozenset())
OTHER = Profile("default", ("b",), frozenset({"gpu"}))


class Slots:
    """A claimant with some free slots; it takes grants ahead of them too."""

    def __init__(self, free: int, ahead: int = 0, busy: int = 0) -> None:
        self.free = free + ahead
        self.slots = max(free + busy, 1)
        self._ahead = ahead
        self.leases: list[bytes] = []

    @property
    def idle(self) -> int:
        return self.free - self._ahead

    @property
    def is_fast(self) -> bool:
        return self._ahead >= self.slots

    def accept(self, grant: Grant) -> None:
        assert self.free > 0, "granted beyond its slots"
        self.free -= 1
        self.leases.append(grant.lease)


class Scheduler:
    """What a scheduler is told."""

    def __init__(self) -> None:
        self.told: list[list[tuple[int, int]]] = []

        self.forgotten: list[int] = []

    def tell(self, demands: list[Demand]) -> None:
        self.told.append([(demand.demand_id, demand.free) for demand in demands])

    def forget(self, demands: list[Demand]) -> None:
        self.forgotten += [demand.demand_id for demand in demands]


class Book:
    """A book with its returned leases, and claimants ready made."""

    def __init__(self) -> None:
        self.returned: list[bytes] = []
        self.book = DemandBook(self.returned.extend, linger_s=0)

    def offer(
        self, free: int, profile: Profile = PROFILE, *, ahead: int = 0, busy: int = 0
    ) -> tuple[Demand, Slots]:
        claimant = Slots(free, ahead, busy)
        demand = self.book.join(profile, claimant)
        self.book.offered(demand, claimant, claimant.free)
        return demand, claimant

    def grant(self, demand: Demand, *leases: bytes, has_more: bool = False) -> None:
        grants = [Grant(lease, "k", b"", 0, 0, "") for lease in leases]
        self.book.hand_out(demand, grants, has_more=has_more)


async def end_of_turn() -> None:
    await asyncio.sleep(0)


async def a_moment() -> None:
    """Longer than the book remembers here."""
    for _ in range(3):
        await asyncio.sleep(0.001)


async def test_a_grant_goes_to_whoever_has_a_slot() -> None:
    book = Book()
    demand, claimant = book.offer(1)

    book.grant(demand, b"one")

    assert claimant.leases == [b"one"]
    assert demand.free == 0


async def test_claimants_are_served_in_turn() -> None:
    book = Book()
    demand, first = book.offer(3)
    _, second = book.offer(3)

    book.grant(demand, b"1", b"2", b"3", b"4")

    assert (first.leases, second.leases) == ([b"1", b"3"], [b"2", b"4"])


async def test_the_turn_is_kept_between_deliveries() -> None:
    book = Book()
    demand, first = book.offer(2)
    _, second = book.offer(2)

    for lease in (b"1", b"2", b"3", b"4"):
        book.grant(demand, lease)

    assert (first.leases, second.leases) == ([b"1", b"3"], [b"2", b"4"])


async def test_nobody_fetches_ahead_while_another_is_idle() -> None:
    book = Book()
    demand, busy = book.offer(0, ahead=16, busy=4)
    _, half_busy = book.offer(2, ahead=16, busy=2)
    _, idle = book.offer(4)

    book.grant(demand, *(b"%d" % number for number in range(6)))

    assert [len(one.leases) for one in (busy, half_busy, idle)] == [0, 2, 4]


async def test_what_is_fetched_ahead_is_shared_once_nobody_is_idle() -> None:
    book = Book()
    demand, first = book.offer(0, ahead=2, busy=4)
    _, second = book.offer(1, ahead=2, busy=3)

    book.grant(demand, b"1", b"2", b"3", b"4", b"5", b"6")

    assert (len(first.leases), len(second.leases), book.returned) == (2, 3, [b"6"])


async def test_few_grants_spread_over_workers_that_are_mostly_idle() -> None:
    book = Book()
    claimants = [book.offer(3, busy=1)[1] for _ in range(3)]
    book.offer(0, ahead=16, busy=4)
    [demand] = book.book.demands

    book.grant(demand, b"1", b"2", b"3")

    assert [len(one.leases) for one in claimants] == [1, 1, 1]


async def test_workers_that_are_mostly_busy_get_blocks() -> None:
    book = Book()
    demand, first = book.offer(3, busy=5)
    _, second = book.offer(3, busy=5)

    book.grant(demand, b"1", b"2", b"3", b"4")

    assert (first.leases, second.leases) == ([b"1", b"2", b"3"], [b"4"])


async def test_a_block_fills_idle_slots_and_nothing_ahead_of_them() -> None:
    book = Book()
    demand, first = book.offer(1, ahead=16, busy=7)
    _, second = book.offer(1, ahead=16, busy=7)

    book.grant(demand, b"1", b"2")

    assert (first.leases, second.leases) == ([b"1"], [b"2"])


async def test_many_idle_workers_are_not_taken_for_busy() -> None:
    book = Book()
    claimants = [book.offer(2, ahead=16)[1] for _ in range(200)]
    [demand] = book.book.demands

    book.grant(demand, *(b"%d" % number for number in range(64)))

    assert max(len(one.leases) for one in claimants) == 1


async def test_what_comes_in_a_rush_goes_to_fast_workers_in_blocks_although_they_are_idle() -> None:
    book = Book()
    demand, first = book.offer(8, ahead=24)
    _, second = book.offer(8, ahead=24)
    grants = [b"%d" % number for number in range(40)]

    book.grant(demand, *grants, has_more=True)

    assert (first.leases, second.leases) == (grants[:32], grants[32:])


@pytest.mark.parametrize(
    ("slots", "ahead", "freed", "is_urgent"),
    [
        (64, 384, 63, False),
        (64, 384, 64, True),
        (8, 48, 15, False),
        (8, 48, 16, True),
        (1, 16, 2, True),
        (8, 7, 2, True),
    ],
)
async def test_fast_workers_tell_of_their_slots_when_there_is_a_good_claim(
    slots: int, ahead: int, freed: int, is_urgent: bool
) -> None:
    book = Book()
    demand, _ = book.offer(slots, ahead=ahead)

    demand.untold = freed

    assert demand.is_urgent is is_urgent


async def test_in_a_rush_a_worker_is_filled_up_before_the_next_gets_any() -> None:
    book = Book()
    demand, roomy = book.offer(8, ahead=92)
    _, small = book.offer(8, ahead=24)
    _, fitting = book.offer(8, ahead=42)

    book.grant(demand, *(b"%d" % number for number in range(40)), has_more=True)

    assert [len(one.leases) for one in (roomy, small, fitting)] == [0, 0, 40]


async def test_a_rush_spreads_over_idle_workers_while_some_are_not_fast() -> None:
    book = Book()
    demand, first = book.offer(32, ahead=96)
    _, second = book.offer(32)

    book.grant(demand, *(b"%d" % number for number in range(40)), has_more=True)

    assert (len(first.leases), len(second.leases)) == (20, 20)


async def test_a_claimant_waits_in_line_once() -> None:
    book = Book()
    claimants = [book.offer(8)[1] for _ in range(100)]
    [demand] = book.book.demands

    for number in range(1000):
        book.grant(demand, b"%d" % number)
        [busy] = [one for one in claimants if one.free < 8]
        busy.free += 1
        book.book.offered(demand, busy, 1)

    assert len(demand.turns) == len(claimants)


async def test_who_leaves_ungranted_leaves_the_line() -> None:
    book = Book()
    for _ in range(3):
        demand, claimant = book.offer(1)
        book.book.leave(demand, claimant)

    assert (demand.free, len(demand.turns)) == (0, 0)


async def test_what_nobody_has_a_slot_for_is_given_back_in_one_call() -> None:
    book = Book()
    demand, claimant = book.offer(1)

    book.grant(demand, b"1", b"2", b"3")

    assert claimant.leases == [b"1"]
    assert book.returned == [b"2", b"3"]


async def test_a_grant_for_a_claimant_that_left_goes_to_another_or_back() -> None:
    book = Book()
    demand, gone = book.offer(1)
    _, stays = book.offer(1)
    book.book.leave(demand, gone)

    book.grant(demand, b"1", b"2")

    assert (gone.leases, stays.leases, book.returned) == ([], [b"1"], [b"2"])


async def test_leaving_twice_counts_once() -> None:
    book = Book()
    demand, gone = book.offer(2)
    book.offer(1)

    book.book.leave(demand, gone)
    book.book.leave(demand, gone)

    assert demand.free == 1


async def test_claimants_of_one_profile_form_one_demand() -> None:
    book = Book()
    first, _ = book.offer(1)
    again, _ = book.offer(2)
    other, _ = book.offer(1, OTHER)

    assert first is again
    assert first.free == 3
    assert other.demand_id != first.demand_id


async def test_a_profile_that_comes_back_soon_keeps_its_id() -> None:
    book = Book()
    demand, claimant = book.offer(1)
    book.book.leave(demand, claimant)

    again, _ = book.offer(1)
    await a_moment()

    assert again is demand
    assert book.book.find(demand.demand_id) is demand


async def test_a_profile_that_comes_back_late_gets_an_id_that_no_other_had() -> None:
    book = Book()
    scheduler = Scheduler()
    book.book.connect(scheduler)
    demand, claimant = book.offer(1)
    other, _ = book.offer(1, OTHER)

    book.book.leave(demand, claimant)
    await a_moment()
    again, _ = book.offer(1)

    assert scheduler.forgotten == [demand.demand_id]
    assert book.book.find(demand.demand_id) is None
    assert again.demand_id > other.demand_id > demand.demand_id


async def test_a_demand_is_kept_while_a_claim_for_it_is_under_way() -> None:
    book = Book()
    scheduler = Scheduler()
    book.book.connect(scheduler)
    demand, claimant = book.offer(1)
    demand.claiming += 1
    book.book.leave(demand, claimant)

    await a_moment()
    assert book.book.find(demand.demand_id) is demand

    demand.claiming -= 1
    await a_moment()
    assert scheduler.forgotten == [demand.demand_id]
    assert book.book.demands == []


async def test_schedulers_are_told_once_a_turn_with_the_newest_number() -> None:
    book = Book()
    scheduler = Scheduler()
    book.book.connect(scheduler)
    first, _ = book.offer(1)
    book.offer(4)
    other, _ = book.offer(2, OTHER)

    await end_of_turn()

    assert scheduler.told == [[], [(first.demand_id, 5), (other.demand_id, 2)]]


async def test_a_scheduler_that_connects_is_told_everything() -> None:
    book = Book()
    demand, _ = book.offer(3)
    await end_of_turn()
    assert not book.book.has_scheduler

    scheduler = Scheduler()
    book.book.connect(scheduler)

    assert book.book.has_scheduler
    assert scheduler.told == [[(demand.demand_id, 3)]]


async def test_a_scheduler_that_is_gone_is_told_nothing() -> None:
    book = Book()
    scheduler = Scheduler()
    book.book.connect(scheduler)
    book.book.disconnect(scheduler)
    book.offer(3)

    await end_of_turn()

    assert scheduler.told == [[]]
    assert not book.book.has_scheduler


async def test_every_scheduler_is_told_when_slots_go() -> None:
    book = Book()
    demand, claimant = book.offer(3)
    schedulers = [Scheduler(), Scheduler()]
    for scheduler in schedulers:
        book.book.connect(scheduler)
    await end_of_turn()

    book.book.leave(demand, claimant)
    await end_of_turn()

    assert [scheduler.told[-1] for scheduler in schedulers] == [[(demand.demand_id, 0)]] * 2


class AnyDemand(RuleBasedStateMachine):
    """Whatever claimants, credits and schedulers do, nobody gets too much and no grant is lost."""

    claimants = Bundle("claimants")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.subject = Book()
        self.live: list[tuple[Demand, Slots]] = []
        self.all: list[Slots] = []
        self.numbers = count()
        self.granted = 0
        self.scheduler = Scheduler()
        self.subject.book.connect(self.scheduler)
        self.ids: dict[int, Demand] = {}

    def _turn(self) -> None:
        self.loop.run_until_complete(end_of_turn())

    @rule(target=claimants, free=st.integers(0, 5), profile=st.sampled_from([PROFILE, OTHER]))
    def join(self, free: int, profile: Profile) -> tuple[Demand, Slots]:
        async def offer() -> tuple[Demand, Slots]:
            return self.subject.offer(free, profile)

        one = self.loop.run_until_complete(offer())
        assert self.ids.setdefault(one[0].demand_id, one[0]) is one[0], "an id was used again"
        self.live.append(one)
        self.all.append(one[1])
        return one

    @rule(one=claimants, more=st.integers(1, 3))
    def raise_credit(self, one: tuple[Demand, Slots], more: int) -> None:
        async def offer() -> None:
            one[1].free += more
            self.subject.book.offered(*one, more)

        self.loop.run_until_complete(offer())

    @rule(one=consumes(claimants))
    def leave(self, one: tuple[Demand, Slots]) -> None:
        async def leave() -> None:
            self.subject.book.leave(*one)

        self.loop.run_until_complete(leave())
        self.live.remove(one)
        one[1].free = 0  # `accept` fails from now on

    @rule()
    def wait_a_moment(self) -> None:
        self.loop.run_until_complete(a_moment())
        wanted = {demand.demand_id for demand, _ in self.live}
        claimed_for = {demand.demand_id for demand in self.ids.values() if demand.claiming}
        kept = {demand.demand_id for demand in self.subject.book.demands}
        assert kept == wanted | claimed_for
        assert set(self.scheduler.forgotten) == set(self.ids) - kept
        assert len(self.scheduler.forgotten) == len(set(self.scheduler.forgotten))

    @precondition(lambda self: self.subject.book.demands)
    @rule(data=st.data())
    def claim_begins(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.subject.book.demands)).claiming += 1

    @precondition(lambda self: any(demand.claiming for demand in self.ids.values()))
    @rule(data=st.data())
    def claim_ends(self, data: st.DataObject) -> None:
        under_way = [demand for demand in self.ids.values() if demand.claiming]
        data.draw(st.sampled_from(under_way)).claiming -= 1

    @precondition(lambda self: self.subject.book.demands)
    @rule(data=st.data(), size=st.integers(1, 8))
    def grant(self, data: st.DataObject, size: int) -> None:
        leases = [b"%d" % next(self.numbers) for _ in range(size)]
        demand = data.draw(st.sampled_from(self.subject.book.demands))
        free = demand.free
        before = len(self.subject.returned)

        self.subject.grant(demand, *leases)

        self.granted += size
        assert len(self.subject.returned) - before == max(0, size - free)

    @invariant()
    def free_slots_are_counted_right(self) -> None:
        for demand in self.subject.book.demands:
            assert demand.free == sum(one.free for its, one in self.live if its is demand)

    @invariant()
    def every_grant_is_with_one_claimant_or_given_back(self) -> None:
        leases = [lease for one in self.all for lease in one.leases] + self.subject.returned
        assert len(leases) == len(set(leases)) == self.granted

    def teardown(self) -> None:
        self._turn()
        self.loop.close()


TestAnyDemand = AnyDemand.TestCase
TestAnyDemand.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)
