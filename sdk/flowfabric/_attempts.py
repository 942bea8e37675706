"""Runs handlers: one asyncio task an attempt, a thread beside it when the handler blocks.

What can end an attempt, and what becomes of it:

    no slot comes free in time         given back, before its handler has begun
    the handler returns                Completed, also when it was asked to stop
    the handler raises                 Failed, Delayed, or Cancelled when it was asked to stop
    nothing of it can go on by itself  it is unwound like a cancelled one, and Suspended
    cancel is requested                an async handler gets CancelledError, a thread sees is_cancelled
    the lease is lost or runs out      the same, and nobody hears the outcome
    the worker stops                   the same; what waits for a slot is given back
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import ValidationError

from flowfabric._calls import Calls
from flowfabric._connection import Connection
from flowfabric._context import Context
from flowfabric._durable import Durable
from flowfabric._errors import EngineError, FlowFabricError, LeaseLost, PayloadTooLarge, StepFailed
from flowfabric._frame import Frame
from flowfabric._journal import Journal
from flowfabric._leases import NEVER, Leases
from flowfabric._outcome import (
    Cancelled,
    Completed,
    Delay,
    Fail,
    Failed,
    Outcome,
    Retry,
    Suspended,
    clean,
    outcome_of,
)
from flowfabric._output import Output
from flowfabric._output_stream import OutputStream
from flowfabric._slots import PATIENCE_S, Slots
from flowfabric._task import Task
from flowfabric_api.suspension.v1 import suspension_pb2 as suspension_pb
from flowfabric_api.worker.v1 import worker_pb2 as pb

logger = logging.getLogger(__name__)


def keep_writable(record: logging.LogRecord) -> bool:
    """Gives a handler's exception a text that every log can hold.

    An exception may quote a file name or a decoded line with surrogates, which no UTF-8 file and no
    pipe takes: the line would be lost, or whoever writes it would fail. Formatters take `exc_text`
    where it is set.
    """
    if record.exc_info:
        text = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
        if (cleaned := clean(text)) != text:
            record.exc_text = cleaned
    return True


logger.addFilter(keep_writable)

# No engine takes a larger one, and a message far above it would break the session instead of being refused.
MAX_RESULT_BYTES = 32 * 1024 * 1024


class Attempt:
    """One handler that runs, or waits for its slot."""

    __slots__ = (
        "accepted_at",
        "context",
        "grant",
        "in_handler",
        "is_lost",
        "lease",
        "pool",
        "runner",
        "stop_requested",
        "task",
    )

    def __init__(
        self, grant: pb.Grant, task: Task[..., Any] | None, context: Context, accepted_at: float
    ) -> None:
        self.grant = grant
        # Fields of a message cost at every look.
        self.lease = grant.lease
        self.pool = grant.pool
        self.task = task
        self.context = context
        self.accepted_at = accepted_at
        self.in_handler = False
        self.stop_requested = False
        self.is_lost = False
        self.runner: asyncio.Task[None] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it has no slot yet."""
        return self.runner is None

    def stop(self, *, lost: bool = False) -> None:
        """Asks the handler to stop; with a lost lease nobody wants to hear what becomes of it."""
        self.stop_requested = True
        self.is_lost = self.is_lost or lost
        self.context.mark_cancelled()
        # Outside of the handler the runner is not to be disturbed: it still has to settle things.
        if self.in_handler and self.runner is not None and self.task and self.task.handler.is_async:
            self.runner.cancel()


class Attempts:
    """All handlers of a worker."""

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        leases: Leases,
        slots: Sequence[Slots],
        wake: Callable[[], None],
        short_wait: float = 1.0,
    ) -> None:
        """`wake` is told that there may be something to send."""
        self._tasks = tasks
        self._leases = leases
        self._slots = slots
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._accepted: dict[bytes, Attempt] = {}
        self._waiting: list[deque[Attempt]] = [deque() for _ in slots]
        """Of each pool, what was accepted and has no slot yet."""
        self._patience: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._guard: asyncio.TimerHandle | None = None
        self._guard_at = NEVER
        self.threads = ThreadPoolExecutor(sum(pool.total for pool in slots), "flowfabric-task")
        self.output = OutputStream(self.lose)
        self.short_wait = short_wait
        self.max_output_frame_bytes = 0
        self.max_entry_bytes = 0
        self._calls = Calls()

    def follow(self, connection: Connection | None) -> None:
        """Goes on over this session; None: there is none now."""
        if connection is not None:
            self.max_output_frame_bytes = connection.session.max_output_frame_bytes
            self.max_entry_bytes = connection.session.max_journal_entry_bytes
        self.output.follow(connection)
        self._calls.follow(connection)

    # What the session says

    def accept(self, grant: pb.Grant) -> None:
        """Runs the handler for a grant, once it has a slot."""
        context = Context(grant, self, self._loop)
        attempt = Attempt(grant, self._tasks.get(grant.kind), context, self._loop.time())
        self._accepted[attempt.lease] = attempt
        self._idle.clear()
        slots = self._slots[attempt.pool]
        if slots.is_full:
            slots.crowd(attempt.accepted_at)
            self._leases.wait(attempt.lease, attempt.pool, grant.number)
            self._waiting[attempt.pool].append(attempt)
            if self._patience is None:
                self._patience = self._loop.call_later(PATIENCE_S, self._lose_patience)
        else:
            self._begin(attempt)
        self.guard()

    def cancel(self, lease: bytes) -> None:
        """Asks a handler to stop; what waits for a slot need not wait on."""
        attempt = self._accepted.get(lease)
        if attempt is None:
            return
        if attempt.is_waiting:
            self._leases.end(lease, Cancelled(), self._loop.time())
            self._take_out(attempt)
        else:
            attempt.stop()

    def lose(self, lease: bytes, error: EngineError) -> None:
        """Stops the handler of a lease that is not held any more."""
        self._leases.drop(lease)
        attempt = self._accepted.get(lease)
        if attempt is None or attempt.is_lost:
            return
        grant = attempt.grant
        logger.warning(
            "lease_lost execution=%s attempt=%s reason=%s", grant.execution_id, grant.attempt, error
        )
        if attempt.is_waiting:
            self._take_out(attempt)
        else:
            self._fail_reports(lease, error)
            attempt.stop(lost=True)

    def _fail_reports(self, lease: bytes, error: EngineError) -> None:
        self.output.open(lease).fail(error)
        if (durable := self._accepted[lease].context.durable) is not None:
            durable.journal.fail(error)

    def stop(self, error: EngineError) -> None:
        """Stops every handler, unheard. Each lease is held until its handler has really ended."""
        self.decline_waiting("the worker stops")
        for lease, attempt in self._accepted.items():
            self._fail_reports(lease, error)
            attempt.stop(lost=True)

    def decline_waiting(self, reason: str, accepted_until: float = NEVER) -> None:
        """Gives back what has no slot yet and was accepted by then."""
        for waiting in self._waiting:
            while waiting and waiting[0].accepted_at <= accepted_until:
                attempt = waiting.popleft()
                self._leases.decline(attempt.lease, reason)
                self._forget(attempt)
        self._wake()

    def _take_out(self, attempt: Attempt) -> None:
        """Lets somebody else wait for the slot."""
        self._waiting[attempt.pool].remove(attempt)
        self._forget(attempt)
        self._wake()

    def _lose_patience(self) -> None:
        """Another worker may be free for what waits here too long."""
        self._patience = None
        too_long = self._loop.time() - PATIENCE_S
        for slots, waiting in zip(self._slots, self._waiting, strict=True):
            if waiting and waiting[0].accepted_at <= too_long:
                slots.slow_down()
        self.decline_waiting("no slot came free", too_long)
        oldest = min((waiting[0].accepted_at for waiting in self._waiting if waiting), default=NEVER)
        if oldest < NEVER:
            self._patience = self._loop.call_at(oldest + PATIENCE_S, self._lose_patience)

    def guard(self) -> None:
        """Has the clock look after the leases again; they, or their times, changed."""
        if self._leases.next_expiry >= self._guard_at:
            return  # the ring that is set comes first, and sets the next
        if self._guard is not None:
            self._guard.cancel()
        self._guard_at = self._leases.next_expiry
        self._guard = self._loop.call_at(self._guard_at, self._check_leases)

    def _check_leases(self) -> None:
        self._guard, self._guard_at = None, NEVER
        for lease in self._leases.expired(self._loop.time()):
            self.lose(lease, LeaseLost("LEASE_EXPIRED", "no renewal was answered in time"))
        self.guard()

    async def idle(self) -> None:
        """Waits until no handler runs, and none is to."""
        await self._idle.wait()

    def close(self) -> None:
        """Lets go of the threads and the clock."""
        if self._guard is not None:
            self._guard.cancel()
        if self._patience is not None:
            self._patience.cancel()
        self.threads.shutdown(wait=False, cancel_futures=True)

    # What contexts say

    async def emit(self, lease: bytes, frame: Frame) -> None:
        """Sends a frame of a running attempt."""
        if lease not in self._accepted:
            raise LeaseLost("LEASE_STALE", "the attempt is over")
        if len(frame.data) > self.max_output_frame_bytes > 0:
            raise PayloadTooLarge(
                "PAYLOAD_TOO_LARGE",
                f"a frame of {len(frame.data)} bytes; the engine takes {self.max_output_frame_bytes}; "
                "cut it up",
            )
        await self.output.open(lease).emit(frame)

    def report_progress(self, lease: bytes, percent: float | None, message: str | None) -> None:
        """Sends the progress of a running attempt with the next message."""
        self._leases.report_progress(lease, percent, message)
        self._wake()

    def open_journal(self, grant: pb.Grant) -> Journal:
        """The journal of a running attempt."""
        return self._leases.open_journal(grant.lease, grant.journal, self._wake)

    def unwind(self, lease: bytes) -> None:
        """Cancels a handler that is to be suspended."""
        attempt = self._accepted.get(lease)
        if attempt is not None and attempt.in_handler and attempt.runner is not None:
            attempt.runner.cancel()

    async def create_waitpoint(
        self, request: suspension_pb.CreateWaitpointRequest
    ) -> suspension_pb.Waitpoint:
        """Makes a waitpoint of a running attempt."""
        return await self._calls.create_waitpoint(request)

    # One attempt

    def _begin(self, attempt: Attempt) -> None:
        self._leases.begin(attempt.lease)
        self._slots[attempt.pool].busy += 1
        attempt.runner = self._loop.create_task(self._run(attempt))
        attempt.context.runner = attempt.runner

    async def _run(self, attempt: Attempt) -> None:
        lease, slots = attempt.lease, self._slots[attempt.pool]
        began_at = self._loop.time()
        try:
            outcome = await self._outcome(attempt)
            if attempt.context.durable is None and isinstance(outcome, Completed) and attempt.grant.journal:
                attempt.context.durable = Durable(attempt.grant, self, self._loop, attempt.runner)
            if (durable := attempt.context.durable) is not None:
                outcome = await self._durable_outcome(attempt, durable, outcome)
            if (output := self.output.find(lease)) is not None:
                outcome = await self._flushed(output, outcome)
            if not attempt.is_lost:
                self._leases.end(lease, outcome, self._loop.time())
        finally:
            if attempt.is_lost:
                self._leases.drop(lease)
            self.output.close(lease)
            slots.busy -= 1
            slots.measure(self._loop.time() - began_at)
            self._forget(attempt)
            if waiting := self._waiting[attempt.pool]:
                self._begin(waiting.popleft())
            self._wake()

    def _forget(self, attempt: Attempt) -> None:
        del self._accepted[attempt.lease]
        self._slots[attempt.pool].granted -= 1
        if not self._accepted:
            self._idle.set()

    async def _outcome(self, attempt: Attempt) -> Outcome:
        if attempt.task is None:
            return Failed("unknown_task", f"this worker has no task {attempt.grant.kind}")
        if attempt.stop_requested:
            return Cancelled()
        attempt.in_handler = True
        try:
            if attempt.grant.journal_is_partial:
                entries = await self._calls.read_journal(attempt.grant.execution_id)
                del attempt.grant.journal[:]
                attempt.grant.journal.extend(entries)
            if attempt.grant.HasField("resumption") and attempt.grant.resumption.is_partial:
                signals = await self._calls.read_resumption(attempt.grant.execution_id)
                attempt.grant.resumption.signals.extend(signals)
                attempt.grant.resumption.is_partial = False
            result = await self._call(attempt.task, attempt.grant.payload, attempt.context)
            attempt.in_handler = False
            encoded = attempt.task.handler.encode(result)
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            attempt.in_handler = False
            return self._outcome_of(attempt, error)
        if len(encoded) > MAX_RESULT_BYTES:
            return Failed(
                "result_too_large",
                f"{len(encoded)} bytes; return a reference",
                "permanent",
                non_retryable=True,
            )
        return Completed(encoded)

    async def _call(self, task: Task[..., Any], payload: bytes, context: Context) -> Any:
        handler = task.handler
        try:
            arguments = handler.arguments(payload, context)
        except ValidationError as error:
            raise Fail(str(error), type="invalid_input") from error
        if handler.is_async:
            return await task.function(*arguments)
        run = contextvars.copy_context().run
        return await self._loop.run_in_executor(self.threads, run, task.function, *arguments)

    async def _durable_outcome(self, attempt: Attempt, durable: Durable, outcome: Outcome) -> Outcome:
        """What the outcome of a handler with durable calls is in truth."""
        await durable.close()
        if attempt.stop_requested:
            return outcome
        if isinstance(outcome, Completed):
            attempt.context.check_end()
        if durable.refusal is not None:
            return outcome_of(durable.refusal)
        if durable.suspension is None:
            return outcome
        while attempt.runner is not None and attempt.runner.cancelling():
            attempt.runner.uncancel()
        return Suspended(durable.suspension)

    async def _flushed(self, output: Output, outcome: Outcome) -> Outcome:
        """The outcome once the output is stored: no success while some of it was refused unheard."""
        try:
            await output.flush()
        except FlowFabricError as error:
            if isinstance(outcome, Completed | Suspended):
                return Failed("output_refused", str(error))
        return outcome

    def _outcome_of(self, attempt: Attempt, error: BaseException) -> Outcome:
        grant = attempt.grant
        if isinstance(error, StepFailed) and isinstance(error.__cause__, Exception):
            error = error.__cause__
        if not isinstance(error, Retry | Fail | Delay | FlowFabricError | asyncio.CancelledError):
            logger.warning(
                "attempt_failed execution=%s attempt=%s kind=%s",
                *(grant.execution_id, grant.attempt, grant.kind),
                exc_info=error,
            )
        return Cancelled() if attempt.stop_requested else outcome_of(error)
