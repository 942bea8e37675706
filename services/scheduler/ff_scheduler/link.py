"""One gateway's stream, seen from the scheduler: orders go down, and are kept until their result comes up."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

from ff_core import clock
from ff_scheduler.board import Claim
from flowfabric_api.dispatch.v1 import dispatch_pb2 as pb


class GatewayLink:
    """The way down to one gateway."""

    def __init__(self) -> None:
        self._orders: dict[int, tuple[Claim, float]] = {}
        """Under way, oldest first, each with the time it was sent."""
        self._last = 0
        self._message = pb.DispatchResponse()
        self._some = asyncio.Event()
        self._closed = False

    def order(self, demand_id: int, claim: Claim) -> None:
        """Has the gateway make a claim; what is ordered in one turn leaves as one message."""
        self._last += 1
        self._orders[self._last] = (claim, clock.monotonic())
        self._message.orders.add(
            order_id=self._last,
            demand_id=demand_id,
            partition=claim.partition,
            queue=claim.queue.name,
            count=claim.count,
            has_more=claim.has_more,
        )
        self._some.set()

    def answered(self, order_id: int) -> Claim | None:
        """The claim of an order that has its result; None for one that is not under way."""
        order = self._orders.pop(order_id, None)
        return order and order[0]

    @property
    def has_orders(self) -> bool:
        """Whether a result is still to come."""
        return bool(self._orders)

    def late(self, patience_s: float) -> list[Claim]:
        """Claims whose gateway has been silent about them for longer; each is named once."""
        latest = clock.monotonic() - patience_s
        late = [order_id for order_id, (_, sent_at) in self._orders.items() if sent_at < latest]
        for order_id in late:
            self._orders[order_id] = (self._orders[order_id][0], math.inf)
        return [self._orders[order_id][0] for order_id in late]

    def abandon(self) -> list[Claim]:
        """All claims under way, of which nothing will be heard."""
        claims = [claim for claim, _ in self._orders.values()]
        self._orders.clear()
        return claims

    def close(self) -> None:
        """Ends `messages`."""
        self._closed = True
        self._some.set()

    async def messages(self) -> AsyncIterator[pb.DispatchResponse]:
        """Messages as they become ready, until closed."""
        while not self._closed:
            await self._some.wait()
            self._some.clear()
            if self._message.orders:
                message, self._message = self._message, pb.DispatchResponse()
                yield message
