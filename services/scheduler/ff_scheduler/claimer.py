"""The claim-grant cycle: demand and wake-ups in, function calls out, grants to the gateways."""

from __future__ import annotations

import asyncio

import structlog
from prometheus_client import Counter, Gauge, Histogram

from ff_core import keys
from ff_core.backend import EngineBackend
from ff_core.errors import EngineError
from ff_core.lease import Grant
from ff_scheduler.board import Board, Claim, Demand
from ff_scheduler.link import GatewayLink

log = structlog.get_logger()

CLAIMS = Counter("ff_claims_total", "Claim calls")
GRANTS = Counter("ff_grants_total", "Leases granted")
BATCH = Histogram(
    "ff_claim_batch_size", "Grants a claim call brought", buckets=(0, 1, 2, 4, 8, 16, 32, 64, 128)
)
OWNED = Gauge("ff_scheduler_owned_partitions", "Partitions this scheduler claims from")


class Claimer:
    """Owns the board. Everything happens on one loop, so its steps need no locks."""

    def __init__(
        self, backend: EngineBackend, *, claim_batch: int, offer_ttl_ms: int, ready_sweep_ms: int
    ) -> None:
        self._backend = backend
        self._board = Board(claim_batch)
        self._offer_ttl_ms = offer_ttl_ms
        self._sweep_s = ready_sweep_ms / 1000
        self._owned: frozenset[int] = frozenset()
        self._listeners: dict[int, WakeListener] = {}
        self._links: dict[Demand, GatewayLink] = {}
        self._claims: set[asyncio.Task[None]] = set()
        self._planned = False
        self._stopping = False
        self._look = asyncio.Event()

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
        self._board.add_demand(demand)

    def close_link(self, demands: list[Demand]) -> None:
        """A gateway's stream ended."""
        self._board.remove_demands(demands)
        for demand in demands:
            self._links.pop(demand, None)

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
            task = asyncio.get_running_loop().create_task(self._claim(claim))
            self._claims.add(task)
            task.add_done_callback(self._claims.discard)

    async def _claim(self, claim: Claim) -> None:
        try:
            claimed = await self._backend.execution_claim(
                claim.partition, claim.queue.name, claim.count, self._offer_ttl_ms, claim.demand.gateway_id
            )
        except EngineError as error:
            self._board.abandon(claim)
            log.warning("claim_failed", code=error.code.name, detail=error.detail, partition=claim.partition)
            self._look.set()
            return
        CLAIMS.inc()
        GRANTS.inc(len(claimed.grants))
        BATCH.observe(len(claimed.grants))
        self._board.settle(claim, len(claimed.grants), claimed.next_score)
        if claimed.grants:
            await self._deliver(claim.demand, claimed.grants)
        self.plan_soon()

    async def _deliver(self, demand: Demand, grants: list[Grant]) -> None:
        link = self._links.get(demand)
        if link is not None:
            link.send(demand.demand_id, grants)
        else:  # the gateway went away while we claimed for it
            try:
                await self._backend.lease_release([grant.lease for grant in grants])
            except EngineError as error:  # they return by themselves when their offer runs out
                log.warning("release_failed", code=error.code.name, leases=len(grants))

    async def stop(self) -> None:
        """Claims no more, and waits for the claims under way: their grants are delivered or given back."""
        self._stopping = True
        await asyncio.gather(*self._claims, return_exceptions=True)


class WakeListener:
    """Passes the wake-ups of one partition to the claimer."""

    def __init__(self, claimer: Claimer, partition: int) -> None:
        self._claimer = claimer
        self._partition = partition

    def __call__(self, message: bytes) -> None:
        score, _, queue = message.decode().partition(" ")
        self._claimer.wake(self._partition, queue, float(score))
