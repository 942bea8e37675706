"""Makes the claims that schedulers order, and hands out what they bring.

The claim is made here and not by the scheduler: this process knows how many slots are free at that very
moment, so nothing is claimed that nobody has room for, and each payload travels once (ADR 14).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ff_core import clock
from ff_core.backend import EngineBackend
from ff_core.errors import EngineError
from ff_core.lease import Claimed
from ff_gateway.demand import Demand, DemandBook

log = structlog.get_logger()

Settle = Callable[[Claimed | None], None]
"""Hears what a claim brought; None when the store did not answer."""


class Claims:
    """All claims under way."""

    def __init__(self, backend: EngineBackend, book: DemandBook, gateway_id: str, offer_ttl_ms: int) -> None:
        self._backend = backend
        self._book = book
        self._gateway_id = gateway_id
        self._offer_ttl_ms = offer_ttl_ms
        self._under_way: set[asyncio.Task[None]] = set()

    def start(
        self,
        demand: Demand,
        partition: int,
        queue: str,
        count: int,
        settle: Settle,
        *,
        has_more: bool = False,
    ) -> None:
        """Claims up to `count` executions for a demand, books its slots meanwhile, and settles.

        `has_more` says that more of the queue waits in other partitions.
        """
        demand.claiming += count
        claim = self._claim(demand, partition, queue, count, settle, has_more=has_more)
        task = asyncio.get_running_loop().create_task(claim)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def finish(self) -> None:
        """Waits for the claims under way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _claim(
        self, demand: Demand, partition: int, queue: str, count: int, settle: Settle, *, has_more: bool
    ) -> None:
        claimed: Claimed | None = None
        started = clock.monotonic()
        try:
            claimed = await self._backend.execution_claim(
                partition, queue, count, self._offer_ttl_ms, self._gateway_id, expected=2 * demand.brought
            )
            demand.brought = max(1, len(claimed.grants))
        except EngineError as error:
            log.warning("claim_failed", code=error.code.name, detail=error.detail, partition=partition)
        finally:
            demand.claiming -= count
            if claimed is not None and (clock.monotonic() - started) * 1000 >= self._offer_ttl_ms:
                # This process was stopped meanwhile: the offers ran out, others may run these by now.
                log.warning("claim_too_old", partition=partition, grants=len(claimed.grants))
                self._book.give_back([grant.lease for grant in claimed.grants])
                claimed = None
            if claimed is not None and claimed.grants:
                has_more = has_more or claimed.next_score is not None
                self._book.hand_out(demand, claimed.grants, has_more=has_more)
            settle(claimed)
