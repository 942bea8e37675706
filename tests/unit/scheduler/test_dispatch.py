"""The Dispatch stream on the scheduler's side: what it remembers of a gateway, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from ff_core import clock
from ff_core.backend import EngineBackend
from ff_scheduler.claimer import PATIENCE_S, Claimer
from ff_scheduler.dispatch import DispatchServicer
from flowfabric_api.dispatch.v1 import dispatch_pb2 as pb

QUEUE = "default/main/"


class Store:
    """Nothing waits until a test says so."""

    def __init__(self) -> None:
        self.hints = self

    async def listen(self, channel: str, listener: object) -> None:
        pass

    def on_gap(self, listener: Callable[[], None]) -> None:
        pass

    async def queue_ready(self, _partition: int) -> dict[str, float]:
        return {}


class Gateway:
    """The other end of a stream."""

    def __init__(self, claimer: Claimer) -> None:
        self.orders: list[pb.ClaimOrder] = []
        self._said: asyncio.Queue[pb.DispatchRequest | None] = asyncio.Queue()
        stream = DispatchServicer(claimer, "scheduler-1").Dispatch(self._requests(), None)
        self._reader = asyncio.ensure_future(self._read(stream))

    def say(self, message: pb.DispatchRequest) -> None:
        self._said.put_nowait(message)

    def want(self, demand_id: int, limit: int = 1) -> None:
        profile = pb.Profile(namespace="default", lanes=["main"], capabilities=[f"pod-{demand_id}"])
        self.say(pb.DispatchRequest(demands=[pb.Demand(demand_id=demand_id, profile=profile, limit=limit)]))

    async def leave(self) -> None:
        self._said.put_nowait(None)
        await self._reader

    async def _requests(self) -> AsyncIterator[pb.DispatchRequest]:
        while (message := await self._said.get()) is not None:
            yield message

    async def _read(self, stream: AsyncIterator[pb.DispatchResponse]) -> None:
        async for message in stream:
            self.orders += message.orders


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def claimer() -> Claimer:
    return Claimer(cast("EngineBackend", Store()), claim_batch=1, ready_sweep_ms=60_000)


async def test_nothing_is_ordered_for_a_demand_that_is_gone(claimer: Claimer) -> None:
    gateway = Gateway(claimer)
    gateway.want(1)
    gateway.say(pb.DispatchRequest(gone=[1, 7]))
    await turns()

    claimer.wake(0, QUEUE, 1.0)
    await turns()

    assert gateway.orders == []
    await gateway.leave()


async def test_what_was_ordered_for_a_demand_that_is_gone_is_for_the_others(claimer: Claimer) -> None:
    gateway = Gateway(claimer)
    gateway.want(1)
    claimer.wake(0, QUEUE, 1.0)
    await turns()
    [order] = gateway.orders

    gateway.say(pb.DispatchRequest(gone=[1]))
    gateway.want(2)
    gateway.say(pb.DispatchRequest(results=[pb.ClaimResult(order_id=order.order_id)]))
    await turns()

    assert [(one.demand_id, one.partition) for one in gateway.orders] == [(1, 0), (2, 0)]
    await gateway.leave()


async def test_a_silent_gateway_whose_demands_are_gone_stops_nobody_else(
    claimer: Claimer, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, other = Gateway(claimer), Gateway(claimer)
    silent.want(1)
    claimer.wake(0, QUEUE, 1.0)
    await turns()
    silent.say(pb.DispatchRequest(gone=[1]))
    other.want(2)
    claimer.wake(0, QUEUE, 1.0)
    await turns()
    assert (len(silent.orders), other.orders) == (1, [])

    now = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: now + 2 * PATIENCE_S)
    claimer.overtake()
    claimer.plan_soon()
    await turns()

    assert [order.partition for order in other.orders] == [0]
    claimer.stop()
    await silent.leave()
    await other.leave()


async def test_profiles_that_come_and_go_leave_nothing(claimer: Claimer) -> None:
    gateway = Gateway(claimer)
    for number in range(1, 10_001):
        gateway.want(number)
        if number % 10 == 0:
            claimer.wake(number % 8, f"{QUEUE}pod-{number}", 1.0)
            await turns()
            order = gateway.orders.pop()
            result = pb.ClaimResult(order_id=order.order_id, asked=1, granted=1)
            gateway.say(pb.DispatchRequest(results=[result]))
        gateway.say(pb.DispatchRequest(gone=[number]))
    while not gateway._said.empty():
        await turns()
    await turns()

    board = claimer._board
    assert not board._demands
    assert not board._queues
    assert not board._matches
    assert not claimer._links
    claimer.stop()
    await gateway.leave()
    assert not claimer._gateways
