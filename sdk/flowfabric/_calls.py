"""Single calls of a worker beside its session: over the session's channel, and again over the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

from flowfabric._channel import Pause
from flowfabric._connection import Connection
from flowfabric._errors import error_from_call
from flowfabric_api.journal.v1 import journal_pb2 as journal_pb
from flowfabric_api.suspension.v1 import suspension_pb2 as suspension_pb
from flowfabric_api.suspension.v1.suspension_pb2_grpc import SuspensionServiceStub
from flowfabric_api.worker.v1 import worker_pb2 as pb

T = TypeVar("T")

# A call that takes longer is made again.
TIMEOUT_S = 10.0


class Calls:
    """Makes each call until it is answered, whatever becomes of sessions meanwhile."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._connected = asyncio.Event()

    def follow(self, connection: Connection | None) -> None:
        """Goes on over the channel of this session; None: there is no session now."""
        self._connection = connection
        if connection is None:
            self._connected.clear()
        else:
            self._connected.set()

    async def read_journal(self, execution_id: str) -> list[journal_pb.Entry]:
        """All that an execution has recorded."""
        entries: list[journal_pb.Entry] = []
        after = told = 0
        while True:
            request = pb.ReadJournalRequest(execution_id=execution_id, after=after, signals_after=told)
            page = await self._make(
                lambda connection, request=request: connection.stub.ReadJournal(  # type: ignore[misc]
                    request, metadata=connection.metadata, timeout=TIMEOUT_S
                )
            )
            rest = list(page.entries)
            if told and rest:
                entries[-1].signals.extend(rest.pop(0).signals)
            entries.extend(rest)
            after, told = page.next, page.next_signals
            if not after and not told:
                return entries

    async def read_resumption(self, execution_id: str) -> list[suspension_pb.Signal]:
        """The signals that a grant left out."""
        signals: list[suspension_pb.Signal] = []
        after = 0
        while True:
            request = pb.ReadResumptionRequest(execution_id=execution_id, after=after)
            page = await self._make(
                lambda connection, request=request: connection.stub.ReadResumption(  # type: ignore[misc]
                    request, metadata=connection.metadata, timeout=TIMEOUT_S
                )
            )
            signals.extend(page.signals)
            after = page.next
            if not after:
                return signals

    async def create_waitpoint(
        self, request: suspension_pb.CreateWaitpointRequest
    ) -> suspension_pb.Waitpoint:
        """Makes a waitpoint; a repeat gives the first one."""
        return await self._make(
            lambda connection: SuspensionServiceStub(connection.channel).CreateWaitpoint(
                request, metadata=connection.metadata, timeout=TIMEOUT_S
            )
        )

    async def _make(self, call: Callable[[Connection], Awaitable[T]]) -> T:
        pause = Pause()
        while True:
            await self._connected.wait()
            connection = self._connection
            assert connection is not None
            try:
                return await call(connection)
            except grpc.aio.AioRpcError as error:
                refusal = error_from_call(error)
                if not refusal.retryable and error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise refusal from None
            except (grpc.aio.UsageError, asyncio.CancelledError):
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # The channel was closed under the call.
            await asyncio.sleep(pause.next())
