"""ExecutionService: submit, look, steer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
from collections.abc import AsyncIterator
from typing import Any

from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.execution import Created, ExecutionRecord, ListQuery, NewExecution
from ff_core.news import Weight
from ff_core.state import State
from ff_core.suspension import SuspensionRecord
from ff_core.wire import names
from ff_core.wire.execution import (
    MAX_PRIORITY,
    PUBLIC_STATES,
    STATES,
    execution_message,
    kept_journal,
    new_execution,
)
from ff_core.wire.status import ok, status_of
from ff_core.wire.time import span_ms
from ff_gateway.policy import Policy
from ff_gateway.watch import Watches
from ff_gateway.workforce import Workforce
from flowfabric_api.execution.v1 import execution_pb2 as pb
from flowfabric_api.execution.v1 import execution_pb2_grpc

MAX_BULK = 1000
MAX_PAGE = 1000
#: An execution and its suspension are two readings; this often they are read again when they do not fit.
TRIES = 3


class ExecutionServicer(execution_pb2_grpc.ExecutionServiceServicer):
    """The clients' door."""

    def __init__(
        self, backend: EngineBackend, workforce: Workforce, watches: Watches, policy: Policy
    ) -> None:
        self._backend = backend
        self._workforce = workforce
        self._watches = watches
        self._policy = policy

    async def CreateExecution(
        self, request: pb.CreateExecutionRequest, _context: Any
    ) -> pb.CreateExecutionResponse:
        item = new_execution(request, self._policy.limits, self._backend.partitions)
        [created] = await self._backend.execution_create([item])
        if isinstance(created, EngineError):
            raise created
        return pb.CreateExecutionResponse(execution_id=created.execution_id, duplicate=created.duplicate)

    async def BulkCreateExecutions(
        self, request: pb.BulkCreateExecutionsRequest, _context: Any
    ) -> pb.BulkCreateExecutionsResponse:
        if not 1 <= len(request.requests) <= MAX_BULK:
            raise invalid("requests", f"{len(request.requests)} items; 1 to {MAX_BULK}")
        checked: list[NewExecution | EngineError] = []
        for one in request.requests:
            try:
                checked.append(new_execution(one, self._policy.limits, self._backend.partitions))
            except EngineError as error:
                checked.append(error)
        created = iter(
            await self._backend.execution_create([item for item in checked if isinstance(item, NewExecution)])
        )
        reply = pb.BulkCreateExecutionsResponse()
        for item in checked:
            _add_created(reply, next(created) if isinstance(item, NewExecution) else item)
        return reply

    async def GetExecution(self, request: pb.GetExecutionRequest, _context: Any) -> pb.Execution:
        return await self._shown(request.execution_id, payload=request.include_payload)

    async def _record(self, execution_id: str, *, payload: bool = False) -> ExecutionRecord:
        [record] = await self._backend.execution_describe([execution_id], payload=payload, history=True)
        if record is None:
            raise EngineError(ErrorCode.EXECUTION_NOT_FOUND, execution_id)
        return record

    async def _shown(self, execution_id: str, *, payload: bool = False) -> pb.Execution:
        await self._workforce.workers()
        for _ in range(TRIES):
            record = await self._record(execution_id, payload=payload)
            suspension = await self._suspension(record)
            if suspension is None or _is_of(record, suspension):
                break
        return execution_message(record, self._workforce.has_capable_worker, suspension)

    async def _suspension(self, record: ExecutionRecord) -> SuspensionRecord | None:
        """The current or last suspension; None also when the execution is purged meanwhile."""
        if not record.number("suspensions"):
            return None
        try:
            return await self._backend.suspension_describe(record.execution_id)
        except EngineError as error:
            if error.code is not ErrorCode.EXECUTION_NOT_FOUND:
                raise
            return None

    async def ListExecutions(
        self, request: pb.ListExecutionsRequest, _context: Any
    ) -> pb.ListExecutionsResponse:
        query = _query(request)
        page = await self._backend.execution_list(query)
        await self._workforce.workers()
        # Of those that are suspended only: what resumed the others may be large.
        suspended = [record for record in page.records if record.state is State.SUSPENDED]
        found = await asyncio.gather(*(self._suspension(record) for record in suspended))
        suspensions = {
            record.execution_id: one
            for record, one in zip(suspended, found, strict=True)
            if one is not None and _is_of(record, one)
        }
        reply = pb.ListExecutionsResponse()
        for record in page.records:
            suspension = suspensions.get(record.execution_id)
            reply.executions.append(execution_message(record, self._workforce.has_capable_worker, suspension))
        if page.next_position is not None:
            reply.next_page_token = _page_token(request, page.next_position)
        return reply

    async def WatchExecution(
        self, request: pb.WatchExecutionRequest, _context: Any
    ) -> AsyncIterator[pb.WatchExecutionResponse]:
        least = Weight.END if request.only_end else Weight.MINOR
        async with self._watches.watch(request.execution_id, least) as news:
            shown = None
            while True:
                message = await self._shown(request.execution_id)
                is_over = STATES[message.state].is_terminal
                if is_over or (message != shown and not request.only_end):
                    shown = message
                    yield pb.WatchExecutionResponse(execution=message)
                if is_over:
                    return
                await self._watches.next(news)

    async def GetResult(self, request: pb.GetResultRequest, _context: Any) -> pb.GetResultResponse:
        return pb.GetResultResponse(data=await self._backend.execution_result(request.execution_id))

    async def CancelExecution(
        self, request: pb.CancelExecutionRequest, _context: Any
    ) -> pb.CancelExecutionResponse:
        self._backend.partition_of(request.execution_id)  # a malformed id is told apart from an unknown one
        [state] = await self._backend.execution_cancel([request.execution_id], *self._cancel_terms(request))
        if isinstance(state, EngineError):
            raise state
        return pb.CancelExecutionResponse(state=PUBLIC_STATES[state])

    async def BulkCancelExecutions(
        self, request: pb.BulkCancelExecutionsRequest, _context: Any
    ) -> pb.BulkCancelExecutionsResponse:
        if not 1 <= len(request.execution_ids) <= MAX_BULK:
            raise invalid("execution_ids", f"{len(request.execution_ids)} ids; 1 to {MAX_BULK}")
        states = await self._backend.execution_cancel(request.execution_ids, *self._cancel_terms(request))
        reply = pb.BulkCancelExecutionsResponse()
        for execution_id, state in zip(request.execution_ids, states, strict=True):
            result = reply.results.add(execution_id=execution_id)
            if isinstance(state, EngineError):
                result.status.CopyFrom(status_of(state))
            else:
                result.status.CopyFrom(ok())
                result.state = PUBLIC_STATES[state]
        return reply

    def _cancel_terms(
        self, request: pb.CancelExecutionRequest | pb.BulkCancelExecutionsRequest
    ) -> tuple[str, int]:
        reason = names.text(request.reason, "reason", 1024)
        if not request.HasField("grace"):
            return reason, self._policy.cancel_grace_ms
        return reason, span_ms(request.grace, "grace", most=86_400_000)

    async def ChangePriority(
        self, request: pb.ChangePriorityRequest, _context: Any
    ) -> pb.ChangePriorityResponse:
        if not 0 <= request.priority <= MAX_PRIORITY:
            raise invalid("priority", f"{request.priority}; 0 to {MAX_PRIORITY}")
        old, new = await self._backend.execution_reprioritize(request.execution_id, request.priority)
        return pb.ChangePriorityResponse(old_priority=old, priority=new)

    async def ReplayExecution(
        self, request: pb.ReplayExecutionRequest, _context: Any
    ) -> pb.ReplayExecutionResponse:
        mode, through = kept_journal(request)
        state = await self._backend.execution_replay(request.execution_id, mode, through)
        return pb.ReplayExecutionResponse(state=PUBLIC_STATES[state])

    async def RevokeLease(self, request: pb.RevokeLeaseRequest, _context: Any) -> pb.RevokeLeaseResponse:
        reason = names.text(request.reason, "reason", 1024)
        revoked = await self._backend.lease_revoke(request.execution_id, reason)
        return pb.RevokeLeaseResponse(
            revoked=revoked.revoked, epoch=revoked.epoch, state=f"PUBLIC_STATE_{revoked.state.upper()}"
        )

    async def GetTags(self, request: pb.GetTagsRequest, _context: Any) -> pb.Tags:
        return pb.Tags(tags=(await self._record(request.execution_id)).tags)

    async def SetTags(self, request: pb.SetTagsRequest, _context: Any) -> pb.Tags:
        if not request.tags:
            raise invalid("tags", "empty")
        tags = names.tags(request.tags, "tags", removable=True)
        return pb.Tags(tags=await self._backend.execution_tag(request.execution_id, tags))


def _is_of(record: ExecutionRecord, suspension: SuspensionRecord) -> bool:
    """Whether nothing happened between the two readings."""
    is_open = suspension.core["state"] == "open"
    is_latest = int(suspension.core["number"]) == record.number("suspensions")
    return is_latest and is_open == (record.state is State.SUSPENDED)


def _add_created(reply: pb.BulkCreateExecutionsResponse, created: Created | EngineError) -> None:
    result = reply.results.add()
    if isinstance(created, EngineError):
        result.status.CopyFrom(status_of(created))
    else:
        result.status.CopyFrom(ok())
        result.execution_id = created.execution_id
        result.duplicate = created.duplicate


def _query(request: pb.ListExecutionsRequest) -> ListQuery:
    if request.page_size < 0:
        raise invalid("page_size", f"{request.page_size}; at least 0")
    state = None
    if request.state:
        state = STATES.get(request.state)
        if state is None:
            raise invalid("state", f"{request.state} is no state")
    return ListQuery(
        namespace=names.name(request.namespace, "namespace", names.DEFAULT),
        lane=request.lane and names.name(request.lane, "lane"),
        kind=request.kind and names.name(request.kind, "kind"),
        state=state,
        tags=names.tag_filter(request.tags, "tags"),
        page_size=min(request.page_size or 50, MAX_PAGE),
        position=_position(request),
    )


def _question(request: pb.ListExecutionsRequest) -> str:
    """Names the question, so that a token of another one is refused."""
    parts = [request.namespace, request.lane, request.kind, request.state, *sorted(request.tags)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


def _page_token(request: pb.ListExecutionsRequest, position: tuple[float, str]) -> str:
    token = json.dumps([_question(request), *position]).encode()
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _position(request: pb.ListExecutionsRequest) -> tuple[float, str] | None:
    if not request.page_token:
        return None
    try:
        raw = base64.urlsafe_b64decode(request.page_token + "=" * (-len(request.page_token) % 4))
        question, score, execution_id = json.loads(raw)
        position = float(score), str(execution_id).encode("ascii").decode()
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise invalid("page_token", "not one of ours") from error
    if question != _question(request):
        raise invalid("page_token", "it belongs to another question; start without a token")
    if not math.isfinite(position[0]):
        raise invalid("page_token", "not one of ours")
    return position
