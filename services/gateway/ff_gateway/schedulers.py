"""The gateway's streams to the schedulers: demand up, grants down."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import grpc
import grpc.aio
import structlog
from prometheus_client import Gauge

from ff_core.backend import EngineBackend
from ff_core.errors import EngineError
from ff_core.lease import Grant
from ff_core.lifecycle import Supervisor
from ff_gateway.demand import Demand, DemandBook
from flowfabric_api.dispatch.v1 import dispatch_pb2 as pb
from flowfabric_api.dispatch.v1 import dispatch_pb2_grpc

log = structlog.get_logger()

CONNECTED = Gauge("ff_gateway_schedulers", "Schedulers this gateway has a stream to")

LONELY_S = 0.1

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class SchedulerLink:
    """One stream to one scheduler. A broken stream ends; whoever made it makes another."""

    def __init__(self, address: str, book: DemandBook, gateway_id: str, api_token: str) -> None:
        self._address = address
        self._book = book
        self._gateway_id = gateway_id
        self._metadata = (("authorization", f"Bearer {api_token}"),) if api_token else ()
        self._received: dict[int, int] = {}
        self._told: dict[int, int] = {}
        self._outgoing = pb.DispatchRequest()
        self._some = asyncio.Event()

    def tell(self, demands: list[Demand]) -> None:
        """Queues the limits that changed; those of one turn leave in one message."""
        for demand in demands:
            limit = self._received.get(demand.demand_id, 0) + demand.free
            if self._told.get(demand.demand_id, 0) != limit:
                message = self._outgoing.demands.add(demand_id=demand.demand_id, limit=limit)
                if demand.demand_id not in self._told:
                    message.profile.namespace = demand.profile.namespace
                    message.profile.lanes.extend(demand.profile.lanes)
                    message.profile.capabilities.extend(sorted(demand.profile.capabilities))
                self._told[demand.demand_id] = limit
                self._some.set()

    async def run(self) -> None:
        """Holds the stream until it breaks. Raises grpc.aio.AioRpcError."""
        async with grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS) as channel:
            call = dispatch_pb2_grpc.DispatchServiceStub(channel).Dispatch(
                metadata=self._metadata, wait_for_ready=True
            )
            await call.write(pb.DispatchRequest(gateway_id=self._gateway_id))
            writer = asyncio.ensure_future(self._write(call))
            try:
                async for message in call:
                    if message.scheduler_id:
                        self._book.connect(self)
                        CONNECTED.set(self._book.schedulers)
                    self._receive(message)
            finally:
                writer.cancel()
                self._book.disconnect(self)
                CONNECTED.set(self._book.schedulers)

    def _receive(self, message: pb.DispatchResponse) -> None:
        grants = []
        for one in message.grants:
            demand_id = one.demand_id
            self._received[demand_id] = self._received.get(demand_id, 0) + 1
            grant = Grant(
                one.lease, one.kind, one.payload, one.deadline_ms, one.attempt_deadline_ms, one.traceparent
            )
            grants.append((demand_id, grant))
        if grants:
            self._book.distribute(grants)

    async def _write(self, call: Any) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            message, self._outgoing = self._outgoing, pb.DispatchRequest()
            await call.write(message)


class Schedulers:
    """Keeps a link to every live scheduler."""

    def __init__(
        self,
        backend: EngineBackend,
        book: DemandBook,
        *,
        gateway_id: str,
        api_token: str,
        static: list[str],
        every_s: float,
    ) -> None:
        self._backend = backend
        self._book = book
        self._gateway_id = gateway_id
        self._api_token = api_token
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
        """Ends every link."""
        await self._supervisor.stop()

    def _follow(self, addresses: set[str]) -> None:
        for address in addresses - set(self._links):
            self._links[address] = self._supervisor.start(
                f"scheduler {address}", partial(self._hold, address)
            )
        for address in set(self._links) - addresses:
            self._links.pop(address).cancel()

    async def _hold(self, address: str) -> None:
        while True:
            link = SchedulerLink(address, self._book, self._gateway_id, self._api_token)
            try:
                await link.run()
            except grpc.aio.AioRpcError as error:
                log.info("scheduler_link_lost", address=address, code=error.code().name)
            await asyncio.sleep(0.1)
