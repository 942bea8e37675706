"""Builds the gateway and runs it until told to stop."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp.web import Application
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import generate_latest

from ff_core import ids, rpc
from ff_core.errors import EngineError
from ff_core.journal import JournalLimits
from ff_core.lifecycle import Supervisor
from ff_core.membership import Membership
from ff_core.principal import Principals
from ff_core.signal import SignalLimits
from ff_core.store.backend import ValkeyBackend, open_backend
from ff_core.suspension import SuspensionLimits
from ff_core.worker import Member
from ff_gateway.api.execution import ExecutionServicer
from ff_gateway.api.operator import OperatorServicer
from ff_gateway.api.output import OutputServicer
from ff_gateway.api.subscription import SubscriptionServicer
from ff_gateway.api.suspension import SuspensionServicer
from ff_gateway.api.worker import WorkerServicer
from ff_gateway.claims import Claims
from ff_gateway.demand import DemandBook
from ff_gateway.http.options import HttpOptions, body_bytes_for
from ff_gateway.http.server import HttpServer, build_app
from ff_gateway.keyring import KeyRingKeeper
from ff_gateway.policy import Policy
from ff_gateway.schedulers import Schedulers
from ff_gateway.services import served_by
from ff_gateway.sessions import Sessions
from ff_gateway.settings import GatewaySettings
from ff_gateway.subscription import Subscriptions
from ff_gateway.tokens import Tokens
from ff_gateway.watch import Watches
from ff_gateway.workforce import Workforce

log = structlog.get_logger()

#: A bulk of 1,000 items; single payloads are bounded by their own setting, whose maximum is half of this.
MAX_MESSAGE_BYTES = 64 << 20


async def serve(settings: GatewaySettings, stopping: asyncio.Event) -> None:
    """Starts everything, says it is ready, waits, and drains."""
    gateway = await Gateway.start(settings)
    await stopping.wait()
    await gateway.stop(settings.shutdown_grace_ms / 1000)


class Gateway:
    """The parts of a running gateway."""

    def __init__(self, settings: GatewaySettings, backend: ValkeyBackend) -> None:
        self.gateway_id = settings.replica_id or ids.new_process_id("gateway")
        self.backend = backend
        self.supervisor = Supervisor()
        journal = JournalLimits(
            settings.max_journal_entries, settings.max_journal_bytes, settings.max_payload_bytes
        )
        policy = Policy(
            lease_ttl_ms=settings.lease_ttl_ms,
            worker_ttl_ms=settings.worker_ttl_ms,
            cancel_grace_ms=settings.cancel_grace_ms,
            max_payload_bytes=settings.max_payload_bytes,
            max_output_frame_bytes=settings.max_output_frame_bytes,
            retention_ms=settings.retention_ms,
            signals=SignalLimits(
                settings.max_signal_bytes,
                settings.max_signals,
                settings.max_signals_bytes,
                settings.signal_idempotency_ttl_ms,
            ),
            suspensions=SuspensionLimits(settings.waitpoint_ttl_ms, settings.max_suspension_ms, journal),
            journal=journal,
            max_summary_bytes=settings.max_summary_bytes,
        )
        token = settings.api_token.get_secret_value()
        self.book = DemandBook(self._release)
        self.sessions = Sessions(
            backend,
            self.gateway_id,
            settings.worker_ttl_ms,
            max_age_ms=settings.session_max_age_ms,
            grace_ms=settings.shutdown_grace_ms,
        )
        self.watches = Watches(backend, settings.max_concurrent_stream_ops)
        self.subscriptions = Subscriptions(backend, settings.max_concurrent_stream_ops)
        self.workforce = Workforce(backend, self.watches)
        self.keyring = KeyRingKeeper(backend, settings.waitpoint_secrets())
        self.tokens = Tokens(self.keyring, settings.public_url)
        self.schedulers = Schedulers(
            backend,
            self.book,
            Claims(backend, self.book, self.gateway_id, settings.lease_ttl_ms),
            api_token=token,
            static=[address for address in settings.schedulers.split(",") if address],
            every_s=settings.member_ttl_ms / 3000,
        )
        self.executions = ExecutionServicer(backend, self.workforce, self.watches, policy)
        self.outputs = OutputServicer(backend, self.watches)
        self.events = SubscriptionServicer(self.subscriptions, backend.partitions)
        self.operators = OperatorServicer(
            backend, self.workforce, self.keyring, settings.waitpoint_key_grace_ms
        )
        self.workers = WorkerServicer(
            backend, self.book, self.sessions, policy, tokens=self.tokens, gateway_id=self.gateway_id
        )
        self.suspensions = SuspensionServicer(backend, self.tokens, policy)
        self.served = served_by(
            (self.executions, self.outputs, self.events, self.operators, self.workers, self.suspensions)
        )
        self.health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        principals = Principals(token, settings.named_tokens())
        self.server = rpc.new_server(principals, MAX_MESSAGE_BYTES)
        self._register()
        self.http = HttpServer(self._web(settings, principals))

    def _web(self, settings: GatewaySettings, principals: Principals) -> Application:
        largest = max(settings.max_payload_bytes, settings.max_output_frame_bytes, settings.max_signal_bytes)
        return build_app(
            [(service.descriptor, servicer) for service, servicer in self.served],
            options=HttpOptions(
                principals=principals,
                cors_origins=settings.origins(),
                max_body_bytes_large=body_bytes_for(largest),
                max_body_bytes_callback=settings.max_signal_bytes,
            ),
            readiness=self.readiness,
            metrics=generate_latest,
        )

    def _register(self) -> None:
        for service, servicer in self.served:
            service.register(servicer, self.server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        names = [service.descriptor.full_name for service, _ in self.served]
        reflection.enable_server_reflection(
            [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self.server
        )

    @classmethod
    async def start(cls, settings: GatewaySettings) -> Gateway:
        """Connects, listens and joins the others. Raises EngineError or OSError."""
        backend = await open_backend(settings)
        gateway = cls(settings, backend)
        try:
            await gateway.keyring.open()
        except EngineError:
            await backend.close()
            raise
        grpc_address = rpc.listen(gateway.server, settings.grpc_addr)
        await gateway.sessions.listen()
        await gateway.workforce.listen()
        await gateway.server.start()
        http_address = await gateway.http.start(settings.listen_addr)
        gateway.membership = Membership(
            backend, "gateway", Member(gateway.gateway_id, grpc_address), settings.member_ttl_ms
        )
        await gateway.membership.beat()
        gateway.supervisor.start("membership", gateway.membership.run)
        gateway.supervisor.start("keyring", gateway.keyring.run)
        gateway.supervisor.start("schedulers", gateway.schedulers.run)
        gateway.supervisor.start("sessions", gateway.sessions.run)
        gateway.supervisor.start("workforce", gateway.workforce.run)
        await gateway.health.set("", health_pb2.HealthCheckResponse.SERVING)
        log.info("ready", replica=gateway.gateway_id, grpc=grpc_address, http=http_address)
        return gateway

    membership: Membership

    async def stop(self, grace_s: float) -> None:
        """Stops to be found, sends the workers elsewhere, finishes what is under way, and closes."""
        await self.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        await self.membership.leave()
        await self.sessions.drain(grace_s)
        await self.schedulers.stop()
        self.watches.close()
        self.subscriptions.close()
        await self.http.stop(1.0)
        await self.server.stop(1.0)
        await self.supervisor.stop()
        await self.backend.close()

    async def readiness(self) -> dict[str, str]:
        """For /readyz."""
        try:
            await self.backend.ping()
            store = "ok"
        except EngineError as error:
            store = error.detail
        return {"store": store, "scheduler": "ok" if self.book.has_scheduler else "none connected"}

    def _release(self, leases: list[bytes]) -> None:
        async def release() -> None:
            try:
                await self.backend.lease_release(leases)
            except EngineError as error:  # they return by themselves when their offer runs out
                log.warning("release_failed", code=error.code.name, leases=len(leases))

        self.supervisor.start("release", release)
