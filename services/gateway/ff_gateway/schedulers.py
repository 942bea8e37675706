"""The gateway's streams to the schedulers: demand and results up, orders to claim down."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any

import grpc
import grpc.aio
import structlog
from prometheus_client import Gauge

from ff_core.backend import EngineBackend
from ff_core.errors import EngineError
from ff_core.lease import Claimed
from ff_core.lifecycle import Supervisor
from ff_gateway.claims import Claims
from ff_gateway.demand import GATHER_S, LARGE_CLAIM, Demand, DemandBook
from flowfabric_api.dispatch.v1 import dispatch_pb2 as pb
from flowfabric_api.dispatch.v1 import dispatch_pb2_grpc

log = structlog.get_logger()

CONNECTED = Gauge("ff_gateway_schedulers", "Schedulers this gateway has a stream to")

LONELY_S = 0.1

CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


Metadata = tuple[tuple[str, str], ...]


class SchedulerLink:
    """One stream to one scheduler. A broken stream ends; whoever made it makes another.

    A demand's limit counts from the start of the stream: grants made on this scheduler's orders, slots its
    orders are claiming for, and slots nobody claims for.
    """

    def __init__(self, address: str, book: DemandBook, claims: Claims, metadata: Metadata) -> None:
        self._address = address
        self._book = book
        self._claims = claims
        self._metadata = metadata
        self._granted: Counter[int] = Counter()
        self._claiming: Counter[int] = Counter()
        self._told: dict[int, int] = {}
        self._outgoing = pb.DispatchRequest()
        self._some = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, demands: list[Demand]) -> None:
        """Queues the limits that changed; those of one turn leave in one message."""
        for demand in demands:
            demand_id = demand.demand_id
            limit = self._granted[demand_id] + self._claiming[demand_id] + demand.unclaimed
            if self._told.get(demand_id, 0) != limit:
                message = self._outgoing.demands.add(demand_id=demand_id, limit=limit)
                if demand_id not in self._told:
                    message.profile.namespace = demand.profile.namespace
                    message.profile.lanes.extend(demand.profile.lanes)
                    message.profile.capabilities.extend(sorted(demand.profile.capabilities))
                self._told[demand_id] = limit
                self._some.set()

    def forget(self, demands: list[Demand]) -> None:
        """Forgets demands, and has the scheduler forget those that it was told of."""
        for demand_id in [demand.demand_id for demand in demands]:
            del self._granted[demand_id], self._claiming[demand_id]
            if self._told.pop(demand_id, None) is not None:
                self._outgoing.gone.append(demand_id)
                self._some.set()

    def outgoing(self) -> pb.DispatchRequest:
        """Everything there is to say, once."""
        message, self._outgoing = self._outgoing, pb.DispatchRequest()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return message

    async def run(self) -> None:
        """Holds the stream until it breaks. Raises grpc.aio.AioRpcError."""
        async with grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS) as channel:
            call = dispatch_pb2_grpc.DispatchServiceStub(channel).Dispatch(
                metadata=self._metadata, wait_for_ready=True
            )
            writer = asyncio.ensure_future(self._write(call))
            try:
                async for message in call:
                    if message.scheduler_id:
                        self._book.connect(self)
                        CONNECTED.set(self._book.schedulers)
                    for order in message.orders:
                        self.take(order)
            finally:
                writer.cancel()
                self._book.disconnect(self)
                CONNECTED.set(self._book.schedulers)

    def take(self, order: pb.ClaimOrder) -> None:
        """Has the claim made for the slots that are free now, or says that there are none."""
        demand = self._book.find(order.demand_id)
        asked = min(order.count, demand.unclaimed) if demand is not None else 0
        if demand is None or asked <= 0:
            self._answer(pb.ClaimResult(order_id=order.order_id))
            if demand is not None:
                self.tell([demand])
            return
        self._claiming[demand.demand_id] += asked
        settle = partial(self._settle, order, asked)
        self._claims.start(demand, order.partition, order.queue, asked, settle, has_more=order.has_more)

    def _settle(self, order: pb.ClaimOrder, asked: int, claimed: Claimed | None) -> None:
        self._claiming[order.demand_id] -= asked
        result = pb.ClaimResult(order_id=order.order_id, asked=asked, failed=claimed is None)
        if claimed is not None:
            self._granted[order.demand_id] += len(claimed.grants)
            result.granted = len(claimed.grants)
            if claimed.next_score is not None:
                result.next_score = claimed.next_score
        self._answer(result, is_urgent=result.granted < max(asked, LARGE_CLAIM))

    def _answer(self, result: pb.ClaimResult, *, is_urgent: bool = True) -> None:
        """Tells a result. One that is not urgent goes with the next demand, which the ends of its grants will
        bring, or GATHER_S later: no scheduler waits to hear that a large claim brought all it asked for."""
        self._outgoing.results.append(result)
        if is_urgent:
            self._some.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._some.set)

    async def _write(self, call: Any) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            await call.write(self.outgoing())


class Schedulers:
    """Keeps a link to every live scheduler."""

    def __init__(
        self,
        backend: EngineBackend,
        book: DemandBook,
        claims: Claims,
        *,
        api_token: str,
        static: list[str],
        every_s: float,
    ) -> None:
        self._backend = backend
        self._book = book
        self._claims = claims
        self._metadata: Metadata = (("authorization", f"Bearer {api_token}"),) if api_token else ()
        self._static = static
        self._every_s = every_s
        self._links: dict[str, asyncio.Task[None]] = {}
        self._supervisor = Supervisor()

    async def run(self) -> None:
        """Follows the membership of the schedulers."""
        while True:
            try:
                addresses = self._static or [
                    member.address for member in await self._backend.member_list("scheduler")
                ]
                self._follow(set(addresses))
            except EngineError as error:
                log.warning("schedulers_unknown", code=error.code.name)
            # Without a scheduler nothing runs, so the first one is looked for often.
            await asyncio.sleep(self._every_s if self._links else min(self._every_s, LONELY_S))

    async def stop(self) -> None:
        """Ends every link. Claims under way are finished: their grants are handed out or given back."""
        await self._supervisor.stop()
        await self._claims.finish()

    def _follow(self, addresses: set[str]) -> None:
        for address in addresses - set(self._links):
            self._links[address] = self._supervisor.start(
                f"scheduler {address}", partial(self._hold, address)
            )
        for address in set(self._links) - addresses:
            self._links.pop(address).cancel()

    async def _hold(self, address: str) -> None:
        while True:
            link = SchedulerLink(address, self._book, self._claims, self._metadata)
            try:
                await link.run()
            except grpc.aio.AioRpcError as error:
                log.info("scheduler_link_lost", address=address, code=error.code().name)
            await asyncio.sleep(0.1)
