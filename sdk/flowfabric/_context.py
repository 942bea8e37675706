"""What a running attempt knows of itself and can say while it runs.

What it does once and what it waits for is in `_steps` and `_waits`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

from flowfabric import _wire
from flowfabric._durable import Durable, Host
from flowfabric._execution import Duration
from flowfabric._frame import Frame
from flowfabric._outcome import Fail, clip
from flowfabric._positions import Runner
from flowfabric._steps import OnUnknown, StepRetry, Steps, Work, fingerprint, run_step
from flowfabric._suspension import Resumption
from flowfabric._voice import Voice
from flowfabric._waits import Waits
from flowfabric_api.journal.v1 import journal_pb2 as journal_pb
from flowfabric_api.worker.v1 import worker_pb2 as pb

R = TypeVar("R")

PROGRESS_BYTES = 1024


class Reporter(Host, Protocol):
    """Where a context takes what the attempt says; the worker, or a test's stand-in."""

    async def emit(self, lease: bytes, frame: Frame) -> None:
        """Sends a frame, after a pause when too many are not acknowledged yet."""

    def report_progress(self, lease: bytes, percent: float | None, message: str | None) -> None:
        """Sends the progress with the next message."""


class Context(Steps, Waits, Voice):
    """One attempt, as its handler sees it."""

    __slots__ = (
        "_asked_which_run",
        "_cancelled",
        "_grant",
        "_is_cancelled",
        "_loop",
        "_reporter",
        "_thread",
        "durable",
        "runner",
    )

    def __init__(self, grant: pb.Grant, reporter: Reporter, loop: asyncio.AbstractEventLoop) -> None:
        self._grant = grant
        self._reporter = reporter
        self._loop = loop
        self._thread = threading.get_ident()
        self._is_cancelled = False
        self._asked_which_run = False
        """It may do other things in this run than it did in others."""
        self._cancelled: asyncio.Event | None = None
        self.durable: Durable | None = None
        """What its durable calls share, once it has made one; for the worker and for tests."""
        self.runner: Runner | None = None
        """The task of the handler; for the worker and for tests."""

    @property
    def _durable(self) -> Durable:
        if not self._is_on_loop():
            message = "only async handlers can wait and be suspended; in a thread there is step_sync"
            raise Fail(message, type="handler_not_async")
        if self.durable is None:
            self.durable = Durable(self._grant, self._reporter, self._loop, self.runner)
        return self.durable

    def _is_on_loop(self) -> bool:
        return threading.get_ident() == self._thread

    @property
    def resumption(self) -> Resumption | None:
        """Why the execution runs again after a suspension; for handlers that make no use of `wait_for`."""
        self._asked_which_run = True
        if not self._grant.HasField("resumption"):
            return None
        return _wire.resumption_from(self._grant.resumption)

    @property
    def execution_id(self) -> str:
        """Name of the execution."""
        return self._grant.execution_id

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        self._asked_which_run = self._asked_which_run or self._grant.attempt > 1
        return self._grant.attempt

    @property
    def kind(self) -> str:
        """What is to be done."""
        return self._grant.kind

    @property
    def deadline(self) -> datetime | None:
        """When the execution expires."""
        return _wire.read_time(self._grant, "deadline")

    @property
    def attempt_deadline(self) -> datetime | None:
        """When this attempt is ended."""
        return _wire.read_time(self._grant, "attempt_deadline")

    @property
    def traceparent(self) -> str:
        """W3C trace context of the submitter."""
        return self._grant.traceparent

    @property
    def is_cancelled(self) -> bool:
        """Whether the attempt should stop: cancel was requested, or its lease is lost."""
        return self._is_cancelled

    @property
    def cancelled(self) -> asyncio.Event:
        """Set when the attempt should stop; for handlers that wait for it beside something else."""
        if self._cancelled is None:
            self._cancelled = asyncio.Event()
            if self._is_cancelled:
                self._cancelled.set()
        return self._cancelled

    def mark_cancelled(self) -> None:
        """Tells the handler to stop; for the worker and for tests."""
        self._is_cancelled = True
        if self._cancelled is not None:
            self._cancelled.set()

    def check_end(self) -> None:
        """The handler has returned; for the worker and for tests."""
        if self.durable is not None and not self._asked_which_run:
            self.durable.check_end()

    def step_sync(
        self,
        name: str,
        function: Callable[..., R],
        /,
        *args: Any,
        key: str | None = None,
        retry: StepRetry | None = None,
        timeout: Duration | None = None,
        on_unknown: OnUnknown = "retry",
        as_type: type[R] | None = None,
    ) -> R:
        """The same as `step` for handlers that run in a thread; the function runs in another."""
        self._refuse_loop_thread("step")
        seconds = None if timeout is None else _wire.seconds(timeout)
        work = Work(function, args, retry, seconds, on_unknown, as_type, may_suspend=False)

        async def run() -> R:
            told = fingerprint(args, function)
            call = self._durable.call(journal_pb.ENTRY_KIND_STEP, name, key, told, at_root=True)
            return cast("R", await run_step(self._durable, call, work))

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    async def _say(self, frame: Frame) -> None:
        if self.durable is None:
            await self._reporter.emit(self._grant.lease, frame)
            return
        with self.durable.busy():
            await self.durable.settle()  # it may tell what a step returned
            await self._reporter.emit(self._grant.lease, frame)

    async def progress(self, percent: float | None = None, message: str | None = None) -> None:
        """Says how far it is; None leaves what was said before. The latest word counts."""
        self._progress(percent, message, self._reporter.report_progress)

    def progress_sync(self, percent: float | None = None, message: str | None = None) -> None:
        """The same for handlers that run in a thread."""
        self._refuse_loop_thread("progress")

        def hand_over(lease: bytes, percent: float | None, message: str | None) -> None:
            self._loop.call_soon_threadsafe(self._reporter.report_progress, lease, percent, message)

        self._progress(percent, message, hand_over)

    def _progress(
        self,
        percent: float | None,
        message: str | None,
        report: Callable[[bytes, float | None, str | None], None],
    ) -> None:
        if percent is not None and not 0 <= percent <= 100:
            raise ValueError(f"percent must be 0 to 100, not {percent}")
        percent = None if percent is None else float(percent)
        report(self._grant.lease, percent, None if message is None else clip(message, PROGRESS_BYTES))

    def _refuse_loop_thread(self, name: str) -> None:
        if self._is_on_loop():
            raise RuntimeError(f"await context.{name}(...) here: {name}_sync is for handlers in threads")
