"""The scanners service put together: the only place that builds its parts."""

from __future__ import annotations

import asyncio

import structlog

from ff_core import ids
from ff_core.backend import EngineBackend
from ff_core.errors import EngineError
from ff_core.lifecycle import Supervisor
from ff_core.membership import Members, Membership, Ownership
from ff_core.ops import OpsServer
from ff_core.store.backend import open_backend
from ff_core.worker import Member
from ff_scanners.registry import SCANNERS
from ff_scanners.runner import Runner
from ff_scanners.settings import ScannerSettings

log = structlog.get_logger()

SERVICE = "scanners"
#: Probes and good-byes wait no longer than this for Valkey; the store would be patient for longer.
ANSWER_S = 2.0


class Replica:
    """One process's scanners, its share of the partitions, and its place among the other replicas."""

    def __init__(self, backend: EngineBackend, settings: ScannerSettings) -> None:
        names = settings.scanner_names()
        self.replica_id = settings.replica_id or ids.new_process_id(SERVICE)
        self.ownership = Ownership(self.replica_id, settings.partitions, settings.static_partitions())
        self.runners = tuple(
            Runner(
                scanner(backend, lease_ttl_ms=settings.lease_ttl_ms),
                settings.interval_s(scanner.name),
                self.ownership,
            )
            for scanner in SCANNERS
            if scanner.name in names
        )
        # Partitions are shared only with replicas that run the same scanners, so these take the place of an
        # address, which nobody calls.
        self._kind = ",".join(names)
        member = Member(self.replica_id, self._kind)
        self._membership = Membership(backend, SERVICE, member, settings.member_ttl_ms)
        self._membership.on_change(self._share)
        self._backend = backend
        self._grace_s = min(settings.shutdown_grace_ms / 1000, ANSWER_S)
        self._supervisor = Supervisor()

    async def start(self) -> None:
        """Joins the others and starts to scan. Raises EngineError."""
        await self._membership.beat()
        self._supervisor.start("membership", self._membership.run)
        for runner in self.runners:
            self._supervisor.start(f"scanner:{runner.scanner.name}", runner.run)

    async def stop(self) -> None:
        """Stops scanning, then leaves, so that the others take over at their next beat."""
        await self._supervisor.stop()
        try:
            async with asyncio.timeout(self._grace_s):
                await self._membership.leave()
        except TimeoutError:
            log.info("leave_failed", detail="no answer in time")

    async def readiness(self) -> dict[str, str]:
        """What /readyz says."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._backend.ping()
            store = "ok"
        except EngineError as error:
            store = error.code.name
        except TimeoutError:
            store = "no answer in time"
        is_member = any(member.member_id == self.replica_id for member in self._membership.members)
        return {"store": store, "membership": "ok" if is_member else "not heard yet"}

    def _share(self, members: Members) -> None:
        self.ownership.update([member for member in members if member.address == self._kind])


async def serve(settings: ScannerSettings, stopping: asyncio.Event) -> None:
    """Runs the service until `stopping`. Raises EngineError or OSError when it cannot start."""
    backend = await open_backend(settings)
    replica = Replica(backend, settings)
    ops = OpsServer(replica.readiness)
    try:
        address = await ops.start(settings.ops_addr)
        await replica.start()
        log.info("ready", service=SERVICE, replica=replica.replica_id, ops=address)
        await stopping.wait()
    finally:
        await replica.stop()
        await ops.stop()
        await backend.close()
