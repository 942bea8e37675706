"""Builds the scheduler and runs it until told to stop."""

from __future__ import annotations

import asyncio

import structlog

from ff_core import ids, rpc
from ff_core.errors import EngineError, invalid
from ff_core.lifecycle import Supervisor
from ff_core.membership import Membership, Ownership, parse_partitions
from ff_core.ops import OpsServer
from ff_core.principal import Principals
from ff_core.store.backend import ValkeyBackend, open_backend
from ff_core.worker import Member
from ff_scheduler.claimer import Claimer
from ff_scheduler.dispatch import DispatchServicer
from ff_scheduler.settings import SchedulerSettings
from flowfabric_api.dispatch.v1 import dispatch_pb2_grpc

log = structlog.get_logger()


async def serve(settings: SchedulerSettings, stopping: asyncio.Event) -> None:
    """Starts everything, says it is ready, waits, and stops in the opposite order."""
    try:
        static = parse_partitions(settings.partition_range, settings.partitions)
    except ValueError as error:
        raise invalid("FF_PARTITION_RANGE", str(error)) from error
    backend = await open_backend(settings)
    member_id = settings.replica_id or ids.new_process_id("scheduler")
    claimer = Claimer(backend, claim_batch=settings.claim_batch, ready_sweep_ms=settings.ready_sweep_ms)
    servicer = DispatchServicer(claimer, member_id)
    server = rpc.new_server(Principals(settings.api_token.get_secret_value()), max_message_bytes=4 << 20)
    dispatch_pb2_grpc.add_DispatchServiceServicer_to_server(servicer, server)
    address = rpc.listen(server, settings.dispatch_addr)
    await server.start()

    membership = Membership(
        backend,
        "scheduler",
        Member(member_id, settings.dispatch_advertise_addr or address),
        settings.member_ttl_ms,
    )
    ownership = Ownership(member_id, settings.partitions, static)
    changed = asyncio.Event()
    membership.on_change(ownership.update)
    membership.on_change(lambda _members: changed.set())
    await membership.beat()

    async def follow_ownership() -> None:
        while True:
            await changed.wait()
            changed.clear()
            await claimer.own(ownership.owned)

    supervisor = Supervisor()
    supervisor.start("membership", membership.run)
    supervisor.start("ownership", follow_ownership)
    supervisor.start("claimer", claimer.run)
    ops = OpsServer(lambda: _readiness(backend, ownership))
    ops_address = await ops.start(settings.ops_addr)
    log.info("ready", replica=member_id, dispatch=address, ops=ops_address)

    await stopping.wait()
    await membership.leave()
    await supervisor.stop()
    claimer.stop()
    servicer.close()
    await server.stop(settings.shutdown_grace_ms / 1000)
    await ops.stop()
    await backend.close()


async def _readiness(backend: ValkeyBackend, ownership: Ownership) -> dict[str, str]:
    try:
        await backend.ping()
        store = "ok"
    except EngineError as error:
        store = error.detail
    return {"store": store, "partitions": "ok" if ownership.owned else "none owned"}
