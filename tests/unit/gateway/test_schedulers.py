"""A scheduler's link: what it is told, what is claimed on its orders, and what it hears of that."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from ff_core import clock
from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode
from ff_core.lease import Claimed, Grant
from ff_gateway import schedulers
from ff_gateway.claims import Claims
from ff_gateway.demand import Demand, DemandBook, Profile
from ff_gateway.schedulers import SchedulerLink
from flowfabric_api.dispatch.v1 import dispatch_pb2 as pb

QUEUE = "default/a/"
OFFER_TTL_MS = 60_000
PROFILE = Profile("default", ("a",), frozenset())


class Store:
    """Gives what is claimed, up to what it has, when the gate is open."""

    def __init__(self, has: int) -> None:
        self.has = has
        self.claims: list[tuple[int, str, int]] = []
        self.released: list[bytes] = []
        self.expected: list[int] = []
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def execution_claim(
        self, partition: int, queue: str, count: int, *_: object, expected: int
    ) -> Claimed:
        self.claims.append((partition, queue, count))
        self.expected.append(expected)
        await self.gate.wait()
        if self.is_away:
            raise EngineError(ErrorCode.STORE_UNAVAILABLE)
        given = min(count, self.has)
        self.has -= given
        grants = [Grant(b"lease-%d" % number, "k", b"", 0, 0, "") for number in range(given)]
        return Claimed(grants, 5.0 if self.has else None)


class Slots:
    """A claimant."""

    def __init__(self, slots: int) -> None:
        self.free = self.slots = slots
        self.leases: list[bytes] = []

    @property
    def idle(self) -> int:
        return self.free

    is_fast = False

    def accept(self, grant: Grant) -> None:
        self.free -= 1
        self.leases.append(grant.lease)


class Play:
    """A gateway with some free slots and links to schedulers."""

    def __init__(self, store: Store, slots: int, links: int = 1) -> None:
        self.store = store
        self.book = DemandBook(store.released.extend, linger_s=0)
        claims = Claims(cast("EngineBackend", store), self.book, "gateway-1", OFFER_TTL_MS)
        self.slots = Slots(slots)
        self.demand: Demand = self.book.join(PROFILE, self.slots)
        self.book.offered(self.demand, self.slots, slots)
        self.links = [SchedulerLink("", self.book, claims, ()) for _ in range(links)]
        for link in self.links:
            self.book.connect(link)

    def order(self, count: int, order_id: int = 1, link: int = 0, demand_id: int = 1) -> None:
        self.links[link].take(
            pb.ClaimOrder(order_id=order_id, demand_id=demand_id, partition=3, queue=QUEUE, count=count)
        )

    def come(self, capability: str) -> tuple[Demand, Slots]:
        """A worker with a capability of its own."""
        profile, slots = Profile("default", ("a",), frozenset({capability})), Slots(1)
        demand = self.book.join(profile, slots)
        self.book.offered(demand, slots, 1)
        return demand, slots

    def said(self, link: int = 0) -> pb.DispatchRequest:
        return self.links[link].outgoing()


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def a_moment() -> None:
    """Longer than the book remembers here."""
    for _ in range(3):
        await asyncio.sleep(0.001)


async def test_an_order_is_claimed_handed_out_and_answered() -> None:
    play = Play(Store(has=10), slots=4)
    [told] = play.said().demands
    assert (told.limit, list(told.profile.lanes)) == (4, ["a"])

    play.order(3)
    await turns()

    assert play.store.claims == [(3, QUEUE, 3)]
    assert len(play.slots.leases) == 3
    [result] = play.said().results
    assert (result.order_id, result.asked, result.granted, result.next_score) == (1, 3, 3, 5.0)


async def test_an_empty_queue_has_no_next_score() -> None:
    play = Play(Store(has=1), slots=4)

    play.order(3)
    await turns()

    [result] = play.said().results
    assert (result.asked, result.granted, result.HasField("next_score")) == (3, 1, False)


async def test_no_more_is_claimed_than_is_free() -> None:
    play = Play(Store(has=10), slots=2)

    play.order(5)
    await turns()

    assert play.store.claims == [(3, QUEUE, 2)]
    assert play.said().results[0].asked == 2


async def test_two_schedulers_never_claim_for_one_slot() -> None:
    store = Store(has=10)
    store.gate.clear()
    play = Play(store, slots=2, links=2)
    play.said(0), play.said(1)

    play.order(2, link=0)
    play.order(2, link=1)
    await turns()

    assert store.claims == [(3, QUEUE, 2)]
    refusal = play.said(1)
    assert (refusal.results[0].asked, refusal.demands[0].limit) == (0, 0)
    store.gate.set()
    await turns()
    assert (len(play.slots.leases), store.released) == (2, [])


async def test_a_claim_under_way_is_within_its_own_schedulers_limit() -> None:
    store = Store(has=10)
    store.gate.clear()
    play = Play(store, slots=2, links=2)
    assert [play.said(link).demands[0].limit for link in (0, 1)] == [2, 2]

    play.order(1)
    play.links[0].tell([play.demand])
    play.links[1].tell([play.demand])

    assert list(play.said(0).demands) == [], "one claimed for, one free: still two"
    assert play.said(1).demands[0].limit == 1


async def test_a_store_that_does_not_answer_is_reported_and_frees_the_slots() -> None:
    store = Store(has=10)
    store.is_away = True
    play = Play(store, slots=2)

    play.order(2)
    await turns()

    assert play.said().results[0].failed
    assert play.demand.unclaimed == 2


async def test_what_was_claimed_longer_ago_than_its_offer_lasts_is_handed_to_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store(has=10)
    store.gate.clear()
    play = Play(store, slots=2)
    play.order(2)
    await turns()

    now = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: now + OFFER_TTL_MS / 1000)
    store.gate.set()
    await turns()

    assert (play.slots.leases, store.released) == ([], [b"lease-0", b"lease-1"])
    assert play.said().results[0].failed
    assert play.demand.unclaimed == 2


async def test_what_nobody_has_a_slot_for_any_more_goes_back() -> None:
    store = Store(has=10)
    store.gate.clear()
    play = Play(store, slots=2)
    play.order(2)
    await turns()

    play.book.leave(play.demand, play.slots)
    store.gate.set()
    await turns()

    assert store.released == [b"lease-0", b"lease-1"]


async def test_an_order_for_a_demand_that_is_not_known_is_refused() -> None:
    play = Play(Store(has=1), slots=1)
    play.links[0].take(pb.ClaimOrder(order_id=1, demand_id=99, partition=0, queue=QUEUE, count=1))

    assert play.said().results[0].asked == 0
    assert play.store.claims == []


async def test_a_scheduler_hears_once_that_a_demand_is_gone() -> None:
    play = Play(Store(has=1), slots=1, links=2)
    play.said(0)

    play.book.leave(play.demand, play.slots)
    await a_moment()

    first, second = play.said(0), play.said(1)
    assert ([one.limit for one in first.demands], list(first.gone)) == ([0], [1])
    assert list(second.gone) == [1], "told and gone in one message"
    await a_moment()
    assert not play.said(0).ListFields()


async def test_a_scheduler_that_was_never_told_of_a_demand_hears_nothing_of_its_end() -> None:
    play = Play(Store(has=0), slots=0)

    play.book.leave(play.demand, play.slots)
    await a_moment()

    assert not play.said().ListFields()


async def test_an_order_that_was_on_its_way_for_a_demand_that_is_gone_claims_nothing() -> None:
    play = Play(Store(has=1), slots=1)
    play.book.leave(play.demand, play.slots)
    await a_moment()
    play.said()
    play.come("another")

    play.order(1)
    await turns()

    assert [(result.order_id, result.asked) for result in play.said().results] == [(1, 0)]
    assert play.store.claims == []


async def test_profiles_that_come_and_go_leave_nothing() -> None:
    play = Play(Store(has=10_000), slots=1)
    [link], ids = play.links, set()
    for number in range(10_000):
        demand, slots = play.come(f"pod-{number}")
        await turns()
        if number % 10 == 0:
            play.order(1, order_id=number, demand_id=demand.demand_id)
            await turns()
            assert len(slots.leases) == 1
        play.book.leave(demand, slots)
        if number % 100 == 99:
            await a_moment()
            said = play.said()
            ids |= set(said.gone)
            assert {one.demand_id for one in said.demands} - set(said.gone) <= {play.demand.demand_id}

    assert len(ids) == 10_000
    assert play.book.demands == [play.demand]
    assert set(link._told) == {play.demand.demand_id}
    assert set(link._granted) | set(link._claiming) <= {play.demand.demand_id}
    assert not play.book._left | play.book._leaving


def with_nothing_to_say(has: int) -> Play:
    """A gateway with 100 free slots that its scheduler knows of."""
    play = Play(Store(has), slots=100)
    play.said()
    play.links[0]._some.clear()
    return play


async def test_the_result_of_a_large_claim_that_was_filled_goes_with_the_next_demand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedulers, "GATHER_S", 60)
    play = with_nothing_to_say(has=1000)
    link = play.links[0]

    play.order(64)
    await turns()
    assert not link._some.is_set()

    play.slots.free += 64
    play.book.offered(play.demand, play.slots, 64)
    await turns()
    assert link._some.is_set()

    said = play.said()
    assert ([result.granted for result in said.results], len(said.demands)) == ([64], 1)


async def test_the_result_of_a_large_claim_waits_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedulers, "GATHER_S", 0)
    play = with_nothing_to_say(has=1000)
    link = play.links[0]

    play.order(64)

    await asyncio.wait_for(link._some.wait(), 5)
    assert len(play.said().results) == 1


@pytest.mark.parametrize(("has", "asked"), [(1000, 8), (40, 64)])
async def test_a_claim_that_was_small_or_came_back_short_is_told_at_once(has: int, asked: int) -> None:
    play = with_nothing_to_say(has)

    play.order(asked)
    await turns()

    assert play.links[0]._some.is_set()


async def test_a_claim_weighs_about_what_the_last_one_brought() -> None:
    play = Play(Store(has=41), slots=100)

    for order_id in range(1, 5):
        play.order(20, order_id)
        await turns()

    assert play.store.expected == [2, 40, 40, 2]
