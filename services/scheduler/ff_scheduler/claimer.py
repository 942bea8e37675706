"""The claim cycle: demand, wake-ups and results in, orders to the gateways out."""

from __future__ import annotations

import asyncio

import structlog
from prometheus_client import Counter, Gauge, Histogram

from ff_core import keys
from ff_core.backend import EngineBackend
from ff_scheduler.board import Board, Demand
from ff_scheduler.link import GatewayLink
from flowfabric_api.dispatch.v1 import dispatch_pb2 as pb

log = structlog.get_logger()

#: A gateway that says nothing of an order for so long may have stopped; others may claim in its place.
PATIENCE_S = 1.0

CLAIMS = Counter("ff_claims_total", "Claims made on an order")
GRANTS = Counter("ff_grants_total", "Leases granted")
BATCH = Histogram(
    "ff_claim_batch_size", "Grants a claim call brought", buckets=(0, 1, 2, 4, 8, 16, 32, 64, 128)
)
OWNED = Gauge("ff_scheduler_owned_partitions", "Partitions this scheduler claims from")


class Claimer:
    """Owns the board. Everything happens on one loop, so its steps need no locks."""

    def __init__(self, backend: EngineBackend, *, claim_batch: int, ready_sweep_ms: int) -> None:
        self._backend = backend
        self._board = Board(claim_batch)
        self._sweep_s = ready_sweep_ms / 1000
        self._owned: frozenset[int] = frozenset()
        self._listeners: dict[int, WakeListener] = {}
        self._links: dict[Demand, GatewayLink] = {}
        self._gateways: set[GatewayLink] = set()
        self._planned = False
        self._stopping = False
        self._look = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None

    async def own(self, partitions: frozenset[int]) -> None:
        """Takes over partitions and lets go of the others."""
        gone, new = self._owned - partitions, partitions - self._owned
        self._owned = partitions
        OWNED.set(len(partitions))
        self._board.keep_partitions(partitions)
        hints = self._backend.hints
        for partition in gone:
            hints.forget(keys.wake_channel(partition), self._listeners.pop(partition))
        for partition in new:
            self._listeners[partition] = WakeListener(self, partition)
        await asyncio.gather(*(hints.listen(keys.wake_channel(p), self._listeners[p]) for p in new))
        await self.sweep()

    async def run(self) -> None:
        """Looks at all owned queues now and then, and whenever wake-ups may have been missed."""
        self._backend.hints.on_gap(self._look.set)
        while True:
            self._look.clear()
            await self.sweep()
            try:
                await asyncio.wait_for(self._look.wait(), self._sweep_s)
            except TimeoutError:
                continue

    async def sweep(self) -> None:
        """Reads the heads of all queues of the owned partitions, in one write. What answers is served, though
        another may not: one node of a cluster that is away stops nothing on the others."""
        await asyncio.gather(*(self._look_at(partition) for partition in sorted(self._owned)))

    async def _look_at(self, partition: int) -> None:
        for name, score in (await self._backend.queue_ready(partition)).items():
            self._board.mark_ready(partition, name, score)
        self.plan_soon()

    def wake(self, partition: int, queue: str, score: float) -> None:
        """A queue's head became better."""
        self._board.mark_ready(partition, queue, score)
        self.plan_soon()

    def open_demand(self, link: GatewayLink, demand: Demand) -> None:
        """A gateway brings a new kind of demand."""
        self._links[demand] = link
        self._gateways.add(link)
        self._board.add_demand(demand)

    def close_demands(self, demands: list[Demand]) -> None:
        """A gateway has no workers of these kinds any more; it still answers what was ordered for them."""
        self._board.remove_demands(demands)
        for demand in demands:
            self._links.pop(demand, None)

    def close_link(self, link: GatewayLink, demands: list[Demand]) -> None:
        """A gateway's stream ended; what its claims left is for the others."""
        self.close_demands(demands)
        self._gateways.discard(link)
        for claim in link.abandon():
            self._board.abandon(claim)
            self._look.set()

    def settle(self, link: GatewayLink, result: pb.ClaimResult) -> None:
        """A gateway says what an order brought."""
        claim = link.answered(result.order_id)
        if claim is None:
            return
        if result.failed:
            self._board.abandon(claim)
            self._look.set()
            return
        if result.asked:
            CLAIMS.inc()
            GRANTS.inc(result.granted)
            BATCH.observe(result.granted)
        next_score = result.next_score if result.HasField("next_score") else None
        self._board.settle(claim, result.asked, result.granted, next_score)

    def plan_soon(self) -> None:
        """Plans once in this turn of the loop, however much changed."""
        if not self._planned and not self._stopping:
            self._planned = True
            asyncio.get_running_loop().call_soon(self._plan)

    def _plan(self) -> None:
        self._planned = False
        if self._stopping:
            return
        for claim in self._board.plan():
            self._links[claim.demand].order(claim.demand.demand_id, claim)
            if self._patience is None:
                self._patience = asyncio.get_running_loop().call_later(PATIENCE_S, self.overtake)

    def overtake(self) -> None:
        """Lets others claim where a gateway has been silent about its order for too long."""
        self._patience = None
        for link in self._gateways:
            for claim in link.late(PATIENCE_S):
                log.warning("claim_late", partition=claim.partition, queue=claim.queue.name)
                self._board.overtake(claim)
                self._look.set()
        if any(link.has_orders for link in self._gateways):
            self._patience = asyncio.get_running_loop().call_later(PATIENCE_S, self.overtake)

    def stop(self) -> None:
        """Orders no more claims; gateways finish those under way by themselves."""
        self._stopping = True
        if self._patience is not None:
            self._patience.cancel()


class WakeListener:
    """Passes the wake-ups of one partition to the claimer."""

    def __init__(self, claimer: Claimer, partition: int) -> None:
        self._claimer = claimer
        self._partition = partition

    def __call__(self, message: bytes) -> None:
        score, _, queue = message.decode().partition(" ")
        self._claimer.wake(self._partition, queue, float(score))
