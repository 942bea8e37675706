"""OperatorService: who works, what waits where, and the keys of waitpoint tokens."""

from __future__ import annotations

import re
from typing import Any

from ff_core import keys
from ff_core.backend import EngineBackend
from ff_core.capabilities import required_by
from ff_core.errors import invalid
from ff_core.wire import names
from ff_core.wire.suspension import MAX_TTL_MS
from ff_core.wire.time import span_ms, timestamp
from ff_core.worker import WorkerRecord
from ff_gateway.keyring import KeyRingKeeper
from ff_gateway.workforce import Workforce
from flowfabric_api.operator.v1 import operator_pb2 as pb
from flowfabric_api.operator.v1 import operator_pb2_grpc

MAX_PAGE = 1000
_KID = re.compile(r"[A-Za-z0-9_-]{1,32}")
MAX_SECRET = 1024


class OperatorServicer(operator_pb2_grpc.OperatorServiceServicer):
    """For people who run the engine."""

    def __init__(
        self, backend: EngineBackend, workforce: Workforce, keyring: KeyRingKeeper, key_grace_ms: int
    ) -> None:
        self._backend = backend
        self._workforce = workforce
        self._keyring = keyring
        self._key_grace_ms = key_grace_ms

    async def ListWorkers(self, request: pb.ListWorkersRequest, _context: Any) -> pb.ListWorkersResponse:
        namespace = names.name(request.namespace, "namespace", names.DEFAULT)
        if request.page_size < 0:
            raise invalid("page_size", f"{request.page_size}; at least 0")
        size = min(request.page_size or 50, MAX_PAGE)
        after = request.page_token and names.identifier(request.page_token, "page_token")
        reply = pb.ListWorkersResponse()
        for worker in await self._workforce.workers():
            if worker.namespace != namespace or worker.worker_id <= after:
                continue
            if len(reply.workers) == size:
                reply.next_page_token = reply.workers[-1].worker_id
                break
            _add(reply, worker)
        return reply

    async def ListLanes(self, request: pb.ListLanesRequest, _context: Any) -> pb.ListLanesResponse:
        namespace = names.name(request.namespace, "namespace", names.DEFAULT)
        workers = [one for one in await self._workforce.workers() if one.namespace == namespace]
        known, depths = await self._backend.queue_stats()
        lanes: dict[str, pb.Lane] = {}

        def lane_of(name: str) -> pb.Lane:
            return lanes.setdefault(name, pb.Lane(lane=name))

        for path in known:
            owner, _, lane_name = path.partition("/")
            if owner == namespace:
                lane_of(lane_name)
        for depth in depths:
            owner, lane_name, class_name = keys.parse_queue(depth.queue)
            if owner == namespace:
                lane = lane_of(lane_name)
                lane.waiting += depth.waiting
                lane.queues.add(
                    required_capabilities=sorted(required_by(class_name)),
                    waiting=depth.waiting,
                    has_capable_worker=self._workforce.has_capable_worker(depth.queue),
                )
        for worker in workers:
            for pool, held in zip(worker.pools, worker.held, strict=False):
                for lane_name in pool.lanes:
                    lane = lane_of(lane_name)
                    lane.workers += 1
                    lane.slots += pool.slots
                    lane.held += held
        return pb.ListLanesResponse(lanes=[lanes[name] for name in sorted(lanes)])

    async def RotateWaitpointKey(
        self, request: pb.RotateWaitpointKeyRequest, _context: Any
    ) -> pb.RotateWaitpointKeyResponse:
        if request.kid and not _KID.fullmatch(request.kid):
            raise invalid("kid", f"{request.kid[:40]!r}: 1 to 32 of letters, digits and _ -")
        if len(request.secret) > MAX_SECRET:
            raise invalid("secret", f"{len(request.secret)} bytes; at most {MAX_SECRET}")
        grace_ms = self._key_grace_ms
        if request.HasField("grace"):
            grace_ms = span_ms(request.grace, "grace", most=MAX_TTL_MS)
        rotated = await self._keyring.rotate(request.kid, request.secret, grace_ms)
        return pb.RotateWaitpointKeyResponse(
            kid=rotated.kid, previous_kid=rotated.previous, changed=rotated.changed, dropped=rotated.dropped
        )

    async def ListWaitpointKeys(
        self, _request: pb.ListWaitpointKeysRequest, _context: Any
    ) -> pb.ListWaitpointKeysResponse:
        now_ms, ring = (await self._keyring.refresh()).now_ms, self._keyring.ring
        good = [key for key in ring.keys.values() if key.is_good(now_ms)]
        return pb.ListWaitpointKeysResponse(
            keys=[
                pb.WaitpointKey(
                    kid=key.kid,
                    current=key.kid == ring.current,
                    create_time=timestamp(key.created_ms),
                    expire_time=timestamp(key.expires_ms),
                )
                for key in sorted(good, key=lambda key: (key.kid != ring.current, -key.created_ms))
            ]
        )


def _add(reply: pb.ListWorkersResponse, worker: WorkerRecord) -> None:
    message = reply.workers.add(
        worker_id=worker.worker_id,
        identity=worker.identity,
        namespace=worker.namespace,
        session_id=worker.session_id,
        gateway_id=worker.gateway_id,
        sdk=worker.sdk,
        connect_time=timestamp(worker.opened_at_ms),
        expire_time=timestamp(worker.expires_at_ms),
        draining=worker.draining,
        kinds=worker.kinds,
    )
    for place, pool in enumerate(worker.pools):
        message.pools.add(
            lanes=pool.lanes,
            capabilities=sorted(pool.capabilities),
            slots=pool.slots,
            held=worker.held[place] if place < len(worker.held) else 0,
        )
