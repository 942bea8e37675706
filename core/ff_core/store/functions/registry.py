"""Wrappers of registry.lua: workers and the engine's own processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from ff_core import keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.scan import Scan
from ff_core.store.functions.base import Functions, number, pairs, text
from ff_core.worker import Beat, Member, Pool, WorkerRecord


class RegistryFunctions(Functions):
    """Who is alive."""

    async def worker_open(self, worker: WorkerRecord, ttl_ms: int) -> None:
        """Opens a session; an older one of the same worker loses, and its gateway is told."""
        pools = [[list(pool.lanes), sorted(pool.capabilities), pool.slots] for pool in worker.pools]
        await self.client.fcall(
            "worker_open", keys.WORKERS, worker.worker_id, worker.session_id, worker.gateway_id, ttl_ms,
            "namespace", worker.namespace, "identity", worker.identity, "sdk", worker.sdk,
            "pools", json.dumps(pools), "held", _held(worker.held, worker.draining),
            "kinds", ",".join(worker.kinds),
        )  # fmt: skip

    async def worker_beat(self, beats: Sequence[Beat], ttl_ms: int) -> list[bool]:
        """Keeps sessions alive; False for those a newer session replaced."""
        args = [
            part
            for beat in beats
            for part in (beat.worker_id, beat.session_id, _held(beat.held, beat.draining))
        ]
        reply = await self.client.fcall("worker_beat", keys.WORKERS, ttl_ms, *args)
        return [word == b"OK" for word in cast("list[bytes]", reply)]

    async def worker_close(self, worker_id: str, session_id: str) -> None:
        """Forgets a session that ended."""
        await self.client.fcall("worker_close", keys.WORKERS, worker_id, session_id)

    async def worker_list(self, after: str, limit: int) -> list[WorkerRecord]:
        """Live workers of all namespaces in the order of their ids."""
        reply = await self.client.fcall("worker_list", keys.WORKERS, after, limit)
        return [
            _worker(text(worker_id), number(expires_at), pairs(fields))
            for worker_id, expires_at, fields in cast("list[list[Any]]", reply)
        ]

    async def worker_sweep(self, limit: int) -> Scan:
        """Forgets workers that fell silent."""
        reply = cast("list[Any]", await self.client.fcall("worker_sweep", keys.WORKERS, limit))
        return Scan(reply[0], number(reply[1]))

    async def member_beat(self, service: str, member: Member, ttl_ms: int, library: str) -> list[Member]:
        """Says that a process is alive (ttl 0: that it leaves) and gives the live ones."""
        reply = await self.client.fcall(
            "member_beat", keys.members(service), member.member_id, ttl_ms, member.address, library
        )
        flat = cast("list[bytes]", reply)
        return [Member(text(flat[i]), text(flat[i + 1])) for i in range(0, len(flat), 2)]

    async def member_list(self, service: str) -> list[Member]:
        """The live processes of a service, seen from outside."""
        return await self.member_beat(service, Member("", ""), 0, "")

    async def partitions_fix(self, partitions: int) -> int:
        """The number of partitions in force, which the first start fixes."""
        return cast("int", await self.client.fcall("partitions_fix", keys.CONFIG, partitions))


def _held(held: Sequence[int], draining: bool) -> str:
    return ",".join(map(str, held)) + (" draining" if draining else "")


def _worker(worker_id: str, expires_at_ms: int, fields: dict[str, str]) -> WorkerRecord:
    try:
        pools = tuple(
            Pool(tuple(lanes), frozenset(capabilities), slots)
            for lanes, capabilities, slots in json.loads(fields["pools"])
        )
        held, _, draining = fields["held"].partition(" ")
        return WorkerRecord(
            worker_id=worker_id,
            session_id=fields["session"],
            gateway_id=fields["gateway"],
            namespace=fields["namespace"],
            identity=fields["identity"],
            sdk=fields["sdk"],
            pools=pools,
            held=tuple(int(part) for part in held.split(",") if part),
            opened_at_ms=int(fields["opened_at"]),
            expires_at_ms=expires_at_ms,
            draining=bool(draining),
            kinds=tuple(kind for kind in fields.get("kinds", "").split(",") if kind),
        )
    except KeyError as missing:
        raise EngineError(ErrorCode.INTERNAL, f"worker {worker_id} has no {missing}") from missing
