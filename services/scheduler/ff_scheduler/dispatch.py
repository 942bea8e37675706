"""The Dispatch stream: translates a gateway's demand and results into the claimer's words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from ff_core.errors import invalid
from ff_scheduler.board import Demand
from ff_scheduler.claimer import Claimer
from ff_scheduler.link import GatewayLink
from flowfabric_api.dispatch.v1 import dispatch_pb2 as pb
from flowfabric_api.dispatch.v1 import dispatch_pb2_grpc


class DispatchServicer(dispatch_pb2_grpc.DispatchServiceServicer):
    """One method, one stream a gateway."""

    def __init__(self, claimer: Claimer, scheduler_id: str) -> None:
        self._claimer = claimer
        self._scheduler_id = scheduler_id
        self._links: set[GatewayLink] = set()

    async def Dispatch(
        self, requests: AsyncIterator[pb.DispatchRequest], _context: Any
    ) -> AsyncIterator[pb.DispatchResponse]:
        """Demand and results up, orders down, until either side goes."""
        link = GatewayLink()
        self._links.add(link)
        demands: dict[int, Demand] = {}
        reader = asyncio.ensure_future(self._read(requests, link, demands))
        try:
            yield pb.DispatchResponse(scheduler_id=self._scheduler_id)
            async for message in link.messages():
                yield message
            if reader.done():
                reader.result()
        finally:
            reader.cancel()
            self._links.discard(link)
            self._claimer.close_link(link, list(demands.values()))

    def close(self) -> None:
        """Ends every stream; gateways come back to whoever is there."""
        for link in self._links:
            link.close()

    async def _read(
        self, requests: AsyncIterator[pb.DispatchRequest], link: GatewayLink, demands: dict[int, Demand]
    ) -> None:
        try:
            async for request in requests:
                for message in request.demands:
                    demand = demands.get(message.demand_id)
                    if demand is None:
                        demand = demands[message.demand_id] = _demand(message)
                        self._claimer.open_demand(link, demand)
                    demand.limit = message.limit
                for result in request.results:
                    self._claimer.settle(link, result)
                gone = [demands.pop(demand_id) for demand_id in request.gone if demand_id in demands]
                if gone:
                    self._claimer.close_demands(gone)
                self._claimer.plan_soon()
        finally:
            link.close()


def _demand(message: pb.Demand) -> Demand:
    if not message.HasField("profile"):
        raise invalid("demands.profile", f"demand {message.demand_id} was not described")
    profile = message.profile
    return Demand(
        message.demand_id, profile.namespace, frozenset(profile.lanes), frozenset(profile.capabilities)
    )
