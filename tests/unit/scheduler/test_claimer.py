"""The claim cycle: what is ordered while a part of the store is away, gateways are silent, or it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from ff_core import clock
from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode
from ff_scheduler.board import Demand
from ff_scheduler.claimer import PATIENCE_S, Claimer
from ff_scheduler.link import GatewayLink
from flowfabric_api.dispatch.v1 import dispatch_pb2 as pb

QUEUE = "default/main/"


class Hints:
    """Nobody says anything."""

    async def listen(self, channel: str, listener: object) -> None:
        pass

    def on_gap(self, listener: Callable[[], None]) -> None:
        pass


class Store:
    """Partitions whose one queue never ends; those that are away answer with an error."""

    def __init__(self, *away: int) -> None:
        self.hints = Hints()
        self.away = set(away)

    async def queue_ready(self, partition: int) -> dict[str, float]:
        if partition in self.away:
            raise EngineError(ErrorCode.STORE_UNAVAILABLE)
        return {QUEUE: 1.0}


class Gateway:
    """The other end of a link: has what is ordered."""

    def __init__(self, subject: Claimer, *limits: int) -> None:
        self.subject = subject
        self.link = GatewayLink()
        self.demands = [
            Demand(number, "default", frozenset({"main"}), frozenset(), limit)
            for number, limit in enumerate(limits, 1)
        ]
        self.orders: list[pb.ClaimOrder] = []
        for demand in self.demands:
            subject.open_demand(self.link, demand)
        self.reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for message in self.link.messages():
            self.orders += message.orders

    def answer(self, order: pb.ClaimOrder, granted: int = 1, **fields: object) -> None:
        result = pb.ClaimResult(order_id=order.order_id, asked=order.count, granted=granted, next_score=1.0)
        for name, value in fields.items():
            setattr(result, name, value)
        self.subject.settle(self.link, result)
        self.subject.plan_soon()

    def leave(self) -> None:
        self.link.close()
        self.subject.close_link(self.link, self.demands)
        self.reader.cancel()


def claimer(store: Store) -> Claimer:
    return Claimer(cast("EngineBackend", store), claim_batch=1, ready_sweep_ms=60_000)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_partitions_that_answer_are_served_while_others_do_not() -> None:
    subject = claimer(Store(0))
    gateway = Gateway(subject, 1)

    with pytest.raises(EngineError):
        await subject.own(frozenset({0, 1}))
    await turns()

    assert [(order.partition, order.queue, order.count) for order in gateway.orders] == [(1, QUEUE, 1)]
    gateway.leave()


async def test_the_cycle_turns_with_each_result() -> None:
    subject = claimer(Store())
    gateway = Gateway(subject, 2)
    await subject.own(frozenset({0}))
    await turns()

    gateway.answer(gateway.orders[0])
    await turns()

    assert [order.order_id for order in gateway.orders] == [1, 2]
    gateway.answer(gateway.orders[1])
    await turns()
    [wants] = gateway.demands
    assert (wants.granted, wants.in_flight, len(gateway.orders)) == (2, 0, 2)
    gateway.leave()


async def test_a_scheduler_that_stops_orders_no_more() -> None:
    subject = claimer(Store())
    gateway = Gateway(subject, 1000)
    await subject.own(frozenset({0}))
    await turns()

    subject.stop()
    gateway.answer(gateway.orders[0])
    await turns()

    assert len(gateway.orders) == 1
    gateway.leave()


async def test_what_a_gateway_left_behind_is_claimed_by_another() -> None:
    subject = claimer(Store())
    gone = Gateway(subject, 1)
    running = asyncio.ensure_future(subject.run())
    await subject.own(frozenset({0}))
    await turns()
    assert len(gone.orders) == 1
    stays = Gateway(subject, 1)

    gone.leave()
    await turns()

    assert [order.partition for order in stays.orders] == [0]
    running.cancel()
    stays.leave()


async def test_a_claim_that_failed_is_looked_at_again() -> None:
    subject = claimer(Store())
    gateway = Gateway(subject, 1)
    running = asyncio.ensure_future(subject.run())
    await subject.own(frozenset({0}))
    await turns()

    gateway.answer(gateway.orders[0], granted=0, failed=True)
    await turns()

    assert len(gateway.orders) == 2
    assert gateway.demands[0].in_flight == 1
    running.cancel()
    gateway.leave()


async def test_a_silent_gateway_stops_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = claimer(Store())
    silent = Gateway(subject, 1)
    running = asyncio.ensure_future(subject.run())
    await subject.own(frozenset({0}))
    await turns()
    other = Gateway(subject, 1)
    subject.plan_soon()
    await turns()
    assert other.orders == []

    now = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: now + 2 * PATIENCE_S)
    subject.overtake()
    await turns()

    assert [order.partition for order in other.orders] == [0]
    assert silent.demands[0].in_flight == 1, "its slots stay booked until it answers"
    running.cancel()
    silent.leave()
    other.leave()


async def test_a_result_nobody_waits_for_changes_nothing() -> None:
    subject = claimer(Store())
    gateway = Gateway(subject, 1)

    gateway.answer(pb.ClaimOrder(order_id=7, count=1))

    assert (gateway.demands[0].granted, gateway.demands[0].in_flight) == (0, 0)
    gateway.leave()
