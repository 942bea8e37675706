"""The Dispatch stream: translates demand into the claimer's words and its grants into messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import structlog

from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, invalid
from ff_scheduler.board import Demand
from ff_scheduler.claimer import Claimer
from ff_scheduler.link import GatewayLink
from flowfabric_api.dispatch.v1 import dispatch_pb2 as pb
from flowfabric_api.dispatch.v1 import dispatch_pb2_grpc

log = structlog.get_logger()


class DispatchServicer(dispatch_pb2_grpc.DispatchServiceServicer):
    """One method, one stream a gateway."""

    def __init__(self, backend: EngineBackend, claimer: Claimer, scheduler_id: str) -> None:
        self._backend = backend
        self._claimer = claimer
        self._scheduler_id = scheduler_id
        self._links: set[GatewayLink] = set()

    async def Dispatch(
        self, requests: AsyncIterator[pb.DispatchRequest], _context: Any
    ) -> AsyncIterator[pb.DispatchResponse]:
        """Demand up, grants down, until either side goes."""
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
            self._claimer.close_link(list(demands.values()))
            leases = link.undelivered()
            if leases:
                await self._give_back(leases)

    def close(self) -> None:
        """Ends every stream; gateways come back to whoever is there."""
        for link in self._links:
            link.close()

    async def _give_back(self, leases: list[bytes]) -> None:
        try:
            await self._backend.lease_release(leases)
        except EngineError as error:  # they return by themselves when their offer runs out
            log.warning("release_failed", code=error.code.name, leases=len(leases))

    async def _read(
        self, requests: AsyncIterator[pb.DispatchRequest], link: GatewayLink, demands: dict[int, Demand]
    ) -> None:
        gateway_id = ""
        try:
            async for request in requests:
                gateway_id = gateway_id or request.gateway_id
                for message in request.demands:
                    demand = demands.get(message.demand_id)
                    if demand is None:
                        demand = demands[message.demand_id] = _demand(gateway_id, message)
                        self._claimer.open_demand(link, demand)
                    demand.limit = message.limit
                self._claimer.plan_soon()
        finally:
            link.close()


def _demand(gateway_id: str, message: pb.Demand) -> Demand:
    if not message.HasField("profile"):
        raise invalid("demands.profile", f"demand {message.demand_id} was not described")
    profile = message.profile
    return Demand(
        gateway_id,
        message.demand_id,
        profile.namespace,
        frozenset(profile.lanes),
        frozenset(profile.capabilities),
    )
