"""The clients' door: submit work, look at it, steer it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from flowfabric import _codec, _submit, _wire
from flowfabric._channel import Gateway, resolve_namespace
from flowfabric._doors import Doors
from flowfabric._errors import (
    EngineError,
    ExecutionCancelled,
    ExecutionEnded,
    ExecutionExpired,
    ExecutionFailed,
    ResultNotReady,
    error_from_status,
)
from flowfabric._execution import (
    Duration,
    Execution,
    ExecutionPage,
    FrameClass,
    FrameKind,
    OutputFrame,
    OutputPage,
    Policy,
    Revocation,
    Spec,
    State,
    Submission,
    Summary,
)
from flowfabric._feed import feed, is_break
from flowfabric._operator import LaneInfo, WorkerInfo
from flowfabric._suspend_client import SuspendClient
from flowfabric._task import Task
from flowfabric_api.execution.v1 import execution_pb2 as pb
from flowfabric_api.operator.v1 import operator_pb2 as operator_pb
from flowfabric_api.output.v1 import output_pb2 as output_pb

T = TypeVar("T")

AS_IT_IS: Any = bytes

Verdicts = list[Submission | EngineError]
CancelVerdicts = list[State | EngineError]
Workers = list[WorkerInfo]
Lanes = list[LaneInfo]

ENDINGS: dict[State, type[ExecutionEnded]] = {
    State.CANCELLED: ExecutionCancelled,
    State.EXPIRED: ExecutionExpired,
    State.FAILED: ExecutionFailed,
}


class Client(SuspendClient):
    """A connection to the engine; an async context manager.

    Every method raises `EngineError` for the engine's refusals. Calls are repeated for a few seconds
    while nobody answers.
    """

    def __init__(
        self, address: str | None = None, *, token: str | None = None, namespace: str | None = None
    ) -> None:
        """Prepares a client; the first call connects.

        Args:
            address: The gateway, else FF_ADDR, else this machine.
            token: What to show it, else FF_API_TOKEN.
            namespace: Whose executions and workers it deals with, else FF_NAMESPACE, else "default".
        """
        self.namespace = resolve_namespace(namespace)
        self._doors = Doors(Gateway(address, token))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the calls that are open."""
        await self._doors.close()

    # Submit

    async def submit(
        self,
        kind: str | Task[..., Any],
        input: object = None,
        *,
        lane: str | None = None,
        priority: int = 0,
        requires: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        idempotency_key: str = "",
        idempotency_ttl: Duration | None = None,
        start_at: datetime | None = None,
        delay: Duration | None = None,
        deadline: Duration | None = None,
        policy: Policy | None = None,
        traceparent: str = "",
        retry_safe: bool = False,
    ) -> Submission:
        """Submits one execution.

        Without an idempotency key it is sent only once, because a lost reply may stand for success;
        `retry_safe` makes up a key, which the engine then has to remember.
        """
        if isinstance(kind, Task):
            lane = kind.lane if lane is None else lane
            kind = kind.kind
        spec = Spec(
            kind,
            input,
            lane="default" if lane is None else lane,
            priority=priority,
            requires=requires,
            tags=tags,
            idempotency_key=idempotency_key,
            idempotency_ttl=idempotency_ttl,
            start_at=start_at,
            delay=delay,
            deadline=deadline,
            policy=policy,
            traceparent=traceparent,
        )
        request = _submit.create_request(spec, self.namespace, retry_safe=retry_safe)
        answer = await self._doors.call(
            self._doors.executions.CreateExecution, request, retry_safe=bool(request.idempotency_key)
        )
        return Submission(answer.execution_id, answer.duplicate)

    async def submit_many(self, specs: Sequence[Spec], *, retry_safe: bool = False) -> Verdicts:
        """Submits many executions; the verdicts are in the order of the specs.

        One refused spec harms no other. A failure of the whole call is raised, unless something was
        submitted before it: then the specs that were not have that error for their verdict.
        """
        requests = [_submit.create_request(spec, self.namespace, retry_safe=retry_safe) for spec in specs]
        return await _submit.submit_chunks(
            self._doors.call, self._doors.executions.BulkCreateExecutions, requests
        )

    # Look

    async def get(self, execution_id: str, include_payload: bool = False) -> Execution:
        """The execution as it is now."""
        request = pb.GetExecutionRequest(execution_id=execution_id, include_payload=include_payload)
        return _wire.execution_from(await self._doors.call(self._doors.executions.GetExecution, request))

    async def list_page(
        self,
        *,
        state: State | None = None,
        lane: str = "",
        kind: str = "",
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> ExecutionPage:
        """Some executions of the namespace, newest first; `next_page_token` asks for more."""
        request = pb.ListExecutionsRequest(
            namespace=self.namespace,
            lane=lane,
            kind=kind,
            state=cast("Any", _wire.STATE_NUMBERS[state] if state else 0),
            tags=[f"{key}={value}" for key, value in (tags or {}).items()],
            page_size=page_size,
            page_token=page_token,
        )
        answer = await self._doors.call(self._doors.executions.ListExecutions, request)
        return ExecutionPage(tuple(map(_wire.execution_from, answer.executions)), answer.next_page_token)

    async def list(
        self,
        *,
        state: State | None = None,
        lane: str = "",
        kind: str = "",
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
    ) -> AsyncGenerator[Execution, None]:
        """All executions that match, fetched page by page."""
        token = ""
        while True:
            page = await self.list_page(
                state=state, lane=lane, kind=kind, tags=tags, page_size=page_size, page_token=token
            )
            for execution in page.executions:
                yield execution
            token = page.next_page_token
            if not token:
                return

    async def watch(self, execution_id: str) -> AsyncGenerator[Execution, None]:
        """The execution now and after each change, through broken connections, until it is terminal."""
        last: Execution | None = None
        async with aclosing(self._changes(execution_id)) as changes:
            async for message in changes:
                execution = _wire.execution_from(message)
                if execution != last:  # a reopened watch begins with what is already known
                    yield execution
                last = execution

    async def _changes(
        self, execution_id: str, *, only_end: bool = False
    ) -> AsyncGenerator[pb.Execution, None]:
        request = pb.WatchExecutionRequest(execution_id=execution_id, only_end=only_end)
        async with aclosing(
            feed(lambda: self._doors.executions.WatchExecution(request, metadata=self._doors.metadata))
        ) as responses:
            async for response in responses:
                yield response.execution
                if _wire.state_from(response.execution.state).is_terminal:
                    return

    async def result(
        self, execution_id: str, as_type: type[T] = AS_IT_IS, *, timeout: Duration | None = None
    ) -> T:
        """The result, once there is one; with a timeout of 0 only if there is one now.

        Raises:
            ExecutionEnded: it failed, expired or was cancelled; the subclass says which.
            TimeoutError: it did not end within the timeout.
        """
        patience = None if timeout is None else _wire.seconds(timeout)
        if patience is not None and patience <= 0:
            return _codec.decode(await self._result_now(execution_id), as_type)
        async with asyncio.timeout(patience):
            execution = await self._final(execution_id)
            if execution.state is not State.COMPLETED:
                raise ENDINGS[execution.state](execution)
            data = await self._get_result(execution_id)
        return _codec.decode(data, as_type)

    async def _result_now(self, execution_id: str) -> bytes:
        try:
            return await self._get_result(execution_id)
        except ResultNotReady:
            execution = await self.get(execution_id)
        if execution.state in ENDINGS:
            raise ENDINGS[execution.state](execution)
        raise TimeoutError(f"execution {execution_id} has not ended")

    async def _get_result(self, execution_id: str) -> bytes:
        request = pb.GetResultRequest(execution_id=execution_id)
        answer = await self._doors.call(self._doors.executions.GetResult, request)
        return bytes(answer.data)

    async def _final(self, execution_id: str) -> Execution:
        while True:
            try:
                async with aclosing(self._changes(execution_id, only_end=True)) as changes:
                    async for message in changes:
                        if _wire.state_from(message.state).is_terminal:
                            return _wire.execution_from(message)
            except EngineError as error:
                if not is_break(error):
                    raise
            # What says nothing before the end may break many times until then. It is given up only when the
            # engine does not answer otherwise either.
            execution = await self.get(execution_id)
            if execution.state.is_terminal:
                return execution

    async def read_output(
        self,
        execution_id: str,
        after: str = "",
        attempt: int = 0,
        page_size: int = 0,
        until: str = "",
        *,
        classes: Iterable[FrameClass] = (),
        kinds: Iterable[FrameKind] = (),
    ) -> OutputPage:
        """Frames after a cursor, up to another, of one attempt or of all (0), without waiting for more.

        Only those of some classes or kinds, unless that is left open.
        """
        request = output_pb.ReadOutputRequest(
            execution_id=execution_id, after=after, attempt=attempt, page_size=page_size, until=until
        )
        put_filter(request, classes, kinds)
        return _wire.output_page_from(await self._doors.call(self._doors.output.ReadOutput, request))

    async def tail(
        self,
        execution_id: str,
        after: str = "",
        attempt: int = 0,
        *,
        classes: Iterable[FrameClass] = (),
        kinds: Iterable[FrameKind] = (),
    ) -> AsyncGenerator[OutputFrame, None]:
        """Frames after a cursor, then new ones as they come, through broken connections, to the last."""
        request = output_pb.TailOutputRequest(execution_id=execution_id, after=after, attempt=attempt)
        put_filter(request, classes, kinds)
        async with aclosing(
            feed(lambda: self._doors.output.TailOutput(request, metadata=self._doors.metadata))
        ) as responses:
            async for response in responses:
                for message in response.frames:
                    request.after = message.cursor
                    yield _wire.frame_from(message)
                if response.HasField("close"):
                    return

    async def summary(self, execution_id: str) -> Summary | None:
        """The rolling document that the execution has made of itself; None when there is none."""
        request = output_pb.GetSummaryRequest(execution_id=execution_id)
        return _wire.summary_from(await self._doors.call(self._doors.output.GetSummary, request))

    # Steer

    async def cancel(self, execution_id: str, reason: str = "", grace: Duration | None = None) -> State:
        """Cancels; ACTIVE means that its worker is being asked and has the grace to stop."""
        request = pb.CancelExecutionRequest(execution_id=execution_id, reason=reason)
        _wire.put_duration(request.grace, grace)
        return _wire.state_from(
            (await self._doors.call(self._doors.executions.CancelExecution, request)).state
        )

    async def cancel_many(
        self, execution_ids: Sequence[str], reason: str = "", grace: Duration | None = None
    ) -> CancelVerdicts:
        """Cancels many; one verdict each, in their order."""
        verdicts: CancelVerdicts = []
        for start in range(0, len(execution_ids), _submit.MAX_ITEMS):
            ids = execution_ids[start : start + _submit.MAX_ITEMS]
            request = pb.BulkCancelExecutionsRequest(execution_ids=ids, reason=reason)
            _wire.put_duration(request.grace, grace)
            answer = await self._doors.call(self._doors.executions.BulkCancelExecutions, request)
            for result in answer.results:
                error = error_from_status(result.status) if result.status.code else None
                verdicts.append(error or _wire.state_from(result.state))
        return verdicts

    async def change_priority(self, execution_id: str, priority: int) -> int:
        """Changes the priority in any non-terminal state; returns the old one."""
        request = pb.ChangePriorityRequest(execution_id=execution_id, priority=priority)
        return int((await self._doors.call(self._doors.executions.ChangePriority, request)).old_priority)

    async def replay(self, execution_id: str, *, keep_journal: bool = False, through: str = "") -> State:
        """Runs a terminal execution again, with fresh counters.

        Args:
            execution_id: The execution.
            keep_journal: Whether it skips all steps that it has finished; else it begins afresh.
            through: The last step to keep, by key or by name; those after it run again.

        Raises:
            NotFound: there is no such step.
        """
        request = pb.ReplayExecutionRequest(execution_id=execution_id)
        if through:
            request.keep_journal_through = through
        elif keep_journal:
            request.keep_journal = True
        return _wire.state_from(
            (await self._doors.call(self._doors.executions.ReplayExecution, request)).state
        )

    async def revoke_lease(self, execution_id: str, reason: str = "") -> Revocation:
        """Takes the lease from its holder and puts the execution back in its queue."""
        request = pb.RevokeLeaseRequest(execution_id=execution_id, reason=reason)
        answer = await self._doors.call(self._doors.executions.RevokeLease, request)
        return Revocation(answer.revoked, answer.epoch, _wire.state_from(answer.state))

    async def get_tags(self, execution_id: str) -> dict[str, str]:
        """The tags."""
        request = pb.GetTagsRequest(execution_id=execution_id)
        return dict((await self._doors.call(self._doors.executions.GetTags, request)).tags)

    async def set_tags(self, execution_id: str, tags: Mapping[str, str]) -> dict[str, str]:
        """Sets the named tags, removes those with an empty value, and returns all."""
        request = pb.SetTagsRequest(execution_id=execution_id, tags=dict(tags))
        return dict((await self._doors.call(self._doors.executions.SetTags, request)).tags)

    # Operate

    async def workers(self) -> Workers:
        """Workers of the namespace with a live session."""
        found: Workers = []
        request = operator_pb.ListWorkersRequest(namespace=self.namespace, page_size=1000)
        while True:
            answer = await self._doors.call(self._doors.operator.ListWorkers, request)
            found += map(_wire.worker_from, answer.workers)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return found

    async def lanes(self) -> Lanes:
        """Lanes of the namespace: what waits in each and who serves it."""
        request = operator_pb.ListLanesRequest(namespace=self.namespace)
        answer = await self._doors.call(self._doors.operator.ListLanes, request)
        return list_of_lanes(answer)


def list_of_lanes(answer: operator_pb.ListLanesResponse) -> Lanes:
    """The lanes of an answer; outside the class, where `list` is the builtin."""
    return list(map(_wire.lane_from, answer.lanes))


def put_filter(
    request: output_pb.ReadOutputRequest | output_pb.TailOutputRequest,
    classes: Iterable[FrameClass],
    kinds: Iterable[FrameKind],
) -> None:
    """Writes which frames are wanted; none means all."""
    request.classes.extend(cast("Iterable[output_pb.FrameClass]", classes))
    request.kinds.extend(cast("Iterable[output_pb.FrameKind]", kinds))
