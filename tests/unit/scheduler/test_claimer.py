"""The claim cycle: what is claimed while part of the store is away, and while the scheduler stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode
from ff_core.lease import Claimed, Grant
from ff_scheduler.board import Demand
from ff_scheduler.claimer import Claimer
from ff_scheduler.link import GatewayLink

QUEUE = "default/main/"


class Hints:
    """Nobody says anything."""

    def __init__(self) -> None:
        self.gap: list[Callable[[], None]] = []

    async def listen(self, channel: str, listener: object) -> None:
        pass

    def on_gap(self, listener: Callable[[], None]) -> None:
        self.gap.append(listener)


class Store:
    """Partitions whose one queue never ends; those that are away answer with an error."""

    def __init__(self, *away: int) -> None:
        self.hints = Hints()
        self.away = set(away)
        self.claims: list[int] = []
        self.released: list[bytes] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def queue_ready(self, partition: int) -> dict[str, float]:
        if partition in self.away:
            raise EngineError(ErrorCode.STORE_UNAVAILABLE)
        return {QUEUE: 1.0}

    async def execution_claim(self, partition: int, queue: str, count: int, *_: object) -> Claimed:
        self.claims.append(partition)
        lease = b"%d-lease:%d" % (partition, len(self.claims))
        await self.gate.wait()
        return Claimed([Grant(lease, "k", b"", 0, 0, "")], 1.0)

    async def lease_release(self, leases: Sequence[bytes]) -> list[None]:
        if "release" in self.away_calls:
            raise EngineError(ErrorCode.STORE_UNAVAILABLE)
        self.released += leases
        return [None] * len(leases)

    away_calls: frozenset[str] = frozenset()


def claimer(store: Store) -> Claimer:
    backend = cast("EngineBackend", store)
    return Claimer(backend, claim_batch=1, offer_ttl_ms=1000, ready_sweep_ms=60_000)


def demand(limit: int) -> Demand:
    return Demand("gateway-1", 1, "default", frozenset({"main"}), frozenset(), limit)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_partitions_that_answer_are_served_while_others_do_not() -> None:
    store = Store(0)
    subject = claimer(store)
    subject.open_demand(GatewayLink(), demand(1))

    with pytest.raises(EngineError):
        await subject.own(frozenset({0, 1}))
    await turns()

    assert store.claims == [1]


async def test_a_scheduler_that_stops_claims_no_more() -> None:
    store = Store()
    store.gate.clear()
    subject, wants = claimer(store), demand(1000)
    subject.open_demand(GatewayLink(), wants)
    await subject.own(frozenset({0}))
    await turns()
    under_way = len(store.claims)
    assert under_way == 1

    stopping = asyncio.ensure_future(subject.stop())
    await turns()
    store.gate.set()
    await stopping
    await turns()

    assert len(store.claims) == under_way
    assert (wants.sent, wants.in_flight) == (under_way, 0)


async def test_the_cycle_goes_on_when_grants_of_a_gateway_that_left_cannot_be_given_back() -> None:
    store = Store()
    store.away_calls = frozenset({"release"})
    store.gate.clear()
    subject, gone, stays = claimer(store), demand(1), demand(1)
    subject.open_demand(GatewayLink(), gone)
    await subject.own(frozenset({0}))
    await turns()
    subject.close_link([gone])
    subject.open_demand(GatewayLink(), stays)

    store.gate.set()
    await turns()

    assert (stays.sent, stays.in_flight) == (1, 0)
