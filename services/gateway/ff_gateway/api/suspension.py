"""SuspensionService: waitpoints made and listed, executions suspended and resumed, signals delivered."""

from __future__ import annotations

import re
from typing import Any, Protocol

from ff_core import ids
from ff_core.backend import SignalBackend, SuspensionBackend
from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.lease import Answer, Outcome
from ff_core.principal import CALLER, DEFAULT_NAME
from ff_core.signal import Delivered, NewSignal
from ff_core.suspension import Suspended
from ff_core.wire import names
from ff_core.wire import suspension as wire
from ff_core.wire.status import ok, status_of
from ff_core.wire.time import span_ms
from ff_gateway.api.worker import UNARY_WORKER
from ff_gateway.policy import Policy
from ff_gateway.tokens import Tokens
from flowfabric_api.suspension.v1 import suspension_pb2 as pb
from flowfabric_api.suspension.v1 import suspension_pb2_grpc

MAX_BULK = 1000
MAX_PAGE = 200
_PAGE_TOKEN = re.compile(r"[1-9][0-9]{0,8}")


class SuspensionStore(SuspensionBackend, SignalBackend, Protocol):
    """What this door asks of the store."""

    partitions: int

    def partition_of(self, execution_id: str) -> int: ...
    async def lease_finish(self, outcomes: list[Outcome], worker_id: str) -> list[Answer]: ...


class SuspensionServicer(suspension_pb2_grpc.SuspensionServiceServicer):
    """The door for signals, and for workers without a session that suspend."""

    def __init__(self, backend: SuspensionStore, tokens: Tokens, policy: Policy) -> None:
        self._backend = backend
        self._tokens = tokens
        self._signals = policy.signals
        self._suspensions = policy.suspensions

    async def CreateWaitpoint(self, request: pb.CreateWaitpointRequest, _context: Any) -> pb.Waitpoint:
        new = wire.new_waitpoint(request.spec, "spec", self._suspensions)
        entry = request.entry and names.identifier(request.entry, "entry")
        self._check_lease(request.lease)
        record = await self._backend.waitpoint_create(request.lease, new, self._tokens.kid, entry)
        return self._tokens.told(record)

    async def Suspend(self, request: pb.SuspendRequest, _context: Any) -> pb.SuspendResponse:
        spec = wire.suspend_spec(request.suspend, request.lease, "suspend", self._suspensions)
        self._check_lease(request.lease)
        outcome = Outcome(request.lease, "suspend", (spec.document(), self._tokens.kid))
        [answer] = await self._backend.lease_finish([outcome], UNARY_WORKER)
        if isinstance(answer, ErrorCode):
            raise EngineError(answer)
        if isinstance(answer, EngineError):
            raise wire.placed(answer, "suspend")
        if not isinstance(answer, Suspended):
            return pb.SuspendResponse(answer=answer)
        return pb.SuspendResponse(
            answer=answer.answer,
            suspension=answer.number,
            waitpoints=[self._tokens.told(record) for record in answer.waitpoints],
        )

    async def DeliverSignal(
        self, request: pb.DeliverSignalRequest, _context: Any
    ) -> pb.DeliverSignalResponse:
        [answer] = await self._deliver([await self._admitted(request)])
        if isinstance(answer, EngineError):
            raise answer
        return wire.delivered(answer)

    async def BulkDeliverSignals(
        self, request: pb.BulkDeliverSignalsRequest, _context: Any
    ) -> pb.BulkDeliverSignalsResponse:
        if not 1 <= len(request.requests) <= MAX_BULK:
            raise invalid("requests", f"{len(request.requests)} signals; 1 to {MAX_BULK}")
        admitted = [await self._admitted_or_not(each) for each in request.requests]
        answers = iter(await self._deliver([one for one in admitted if isinstance(one, NewSignal)]))
        reply = pb.BulkDeliverSignalsResponse()
        for one in admitted:
            answer = next(answers) if isinstance(one, NewSignal) else one
            if isinstance(answer, EngineError):
                reply.results.add(status=status_of(answer))
            else:
                reply.results.add(status=ok(), signal=wire.delivered(answer))
        return reply

    async def DecideWaitpoint(
        self, request: pb.DecideWaitpointRequest, _context: Any
    ) -> pb.DeliverSignalResponse:
        signal = wire.decision(request, user_or(f"operator:{DEFAULT_NAME}"), self._signals)
        self._backend.partition_of(request.execution_id)
        [answer] = await self._deliver([signal])
        if isinstance(answer, EngineError):
            raise answer
        return wire.delivered(answer)

    async def ListWaitpoints(
        self, request: pb.ListWaitpointsRequest, _context: Any
    ) -> pb.ListWaitpointsResponse:
        if request.page_size < 0:
            raise invalid("page_size", f"{request.page_size}; at least 0")
        if request.page_token and not _PAGE_TOKEN.fullmatch(request.page_token):
            raise invalid("page_token", f"{request.page_token[:40]!r} is not ours")
        size, after = min(request.page_size or 50, MAX_PAGE), int(request.page_token or 0)
        found = await self._backend.waitpoint_list(
            request.execution_id, after, size + 1, closed=request.include_closed
        )
        page = found[:size]
        return pb.ListWaitpointsResponse(
            waitpoints=[wire.waitpoint_message(record) for record in page],
            next_page_token=str(page[-1].ref.number) if len(found) > size else "",
        )

    async def ResumeExecution(
        self, request: pb.ResumeExecutionRequest, _context: Any
    ) -> pb.ResumeExecutionResponse:
        reason = names.text(request.reason, "reason", 1024)
        delay_ms = span_ms(request.delay, "delay", most=wire.MAX_TTL_MS)
        source = f"operator:{CALLER.get() or DEFAULT_NAME}"
        state = await self._backend.suspension_resume(request.execution_id, source, delay_ms, reason)
        return pb.ResumeExecutionResponse(state=state.value)

    async def GetSuspension(self, request: pb.GetSuspensionRequest, _context: Any) -> pb.Suspension:
        return wire.suspension_message(await self._backend.suspension_describe(request.execution_id))

    def _check_lease(self, lease: bytes) -> None:
        if ids.partition_of_lease(lease, self._backend.partitions) is None:
            raise invalid("lease", "not a lease")

    async def _admitted(self, request: pb.DeliverSignalRequest) -> NewSignal:
        """A signal whose token opens its waitpoint. The token is looked at before anything else."""
        ref = await self._tokens.verify(request.waitpoint_id, request.token)
        return wire.new_signal(request, ref, user_or(""), self._signals)

    async def _admitted_or_not(self, request: pb.DeliverSignalRequest) -> NewSignal | EngineError:
        try:
            return await self._admitted(request)
        except EngineError as error:
            if error.code.retryable:
                raise
            return error

    async def _deliver(self, signals: list[NewSignal]) -> list[Delivered | EngineError]:
        answers = await self._backend.signal_deliver(
            signals, self._signals.max_signals, self._signals.max_signals_bytes
        )
        return [
            self._tokens.outdated(signal.expires_ms) if _is_refused(answer) else answer
            for signal, answer in zip(signals, answers, strict=True)
        ]


def _is_refused(answer: Delivered | EngineError) -> bool:
    return isinstance(answer, EngineError) and answer.code is ErrorCode.TOKEN_INVALID


def user_or(nobody: str) -> str:
    """The source of what the caller sends: the name of its API token, if that is one person's."""
    caller = CALLER.get()
    return f"user:{caller}" if caller not in ("", DEFAULT_NAME) else nobody
