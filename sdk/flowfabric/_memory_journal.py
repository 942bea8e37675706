"""Runs a handler with durable steps without an engine, crash by crash."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flowfabric import _codec, _wire
from flowfabric._context import Context
from flowfabric._durable import Durable
from flowfabric._errors import LeaseLost
from flowfabric._execution import Step
from flowfabric._frame import Frame
from flowfabric._journal import FINAL, Journal
from flowfabric._outcome import Failed, outcome_of
from flowfabric._task import Task
from flowfabric_api.journal.v1 import journal_pb2 as pb
from flowfabric_api.suspension.v1 import suspension_pb2 as suspension_pb
from flowfabric_api.worker.v1 import worker_pb2 as worker_pb


@dataclass(frozen=True, slots=True)
class Run:
    """How one run of a handler ended."""

    ending: str
    """completed, suspended, crashed, or the name of an outcome that is none of these."""
    result: Any = None
    """Of one that completed."""
    failure: Failed | None = None
    waits: tuple[str, ...] = ()
    """Names of what it waits for, when it is suspended."""
    frames: tuple[bytes, ...] = ()
    """Its output."""


class MemoryJournal:
    """One execution of a task, with a journal in memory; every `run` is that of another worker.

        memory = MemoryJournal(deploy, Release("1.4"))
        assert (await memory.run(crash_after=1)).ending == "crashed"
        assert (await memory.run()).waits == ("approval",)
        memory.satisfy("approval", "approved")
        assert (await memory.run()).result == "deployed"

    What is said here takes the place of the engine: conditions are not evaluated, and time does not pass.
    """

    def __init__(self, task: Task[..., Any], input: object = None, *, short_wait: float = 0.0) -> None:
        """Prepares an execution; `short_wait` is the worker's."""
        self.short_wait = short_wait
        self.threads: Executor | None = None
        self.max_entry_bytes = 1024 * 1024
        self.recovered = False
        """Whether the next run finds that a worker has vanished."""
        self._task = task
        self._input = _codec.encode(input)
        self._entries: dict[str, pb.Entry] = {}
        self._places = 0
        """First writings and ends of entries so far."""
        self._suspended: suspension_pb.SuspendSpec | None = None
        self._runs = 0
        self._signals = 0
        self._waitpoints: dict[str, suspension_pb.Waitpoint] = {}
        self._frames: list[bytes] = []
        self._context: Context | None = None
        self._runner: asyncio.Task[Any] | None = None
        self._left: int | None = None
        """Records until the crash."""

    @property
    def steps(self) -> list[Step]:
        """What is recorded, in the order of first writing."""
        return [
            _wire.step_from(
                pb.Step(
                    key=entry.key,
                    kind=entry.kind,
                    name=entry.name,
                    state=entry.state,
                    runs=entry.runs,
                    uncertain=entry.uncertain,
                    failure=entry.failure if entry.HasField("failure") else None,
                    data_bytes=len(entry.data),
                )
            )
            for entry in self._entries.values()
        ]

    async def run(self, *, crash_after: int | None = None) -> Run:
        """Runs the handler once; with `crash_after` the worker vanishes before it can record any more."""
        loop = asyncio.get_running_loop()
        self._runs += 1
        self._frames = []
        self._left = crash_after
        grant = worker_pb.Grant(
            lease=str(self._runs).encode(),
            execution_id="in-memory",
            kind=self._task.kind,
            attempt=1,
            payload=self._input,
            journal=self._entries.values(),
            recovered=self.recovered,
        )
        self._context = context = Context(grant, self, loop)
        self._runner = context.runner = loop.create_task(self._call(context))
        self.recovered = False
        try:
            await asyncio.wait((self._runner,))
            if not self._runner.cancelled() and self._runner.exception() is None:
                context.durable = context.durable or Durable(grant, self, loop, self._runner)
                context.check_end()
        finally:
            self._runner.cancel()
            if context.durable is not None:
                await context.durable.close()
                self._write(context.durable.journal)
        return self._judge(self._runner, context)

    def satisfy(
        self, wait: str, *names: str, payload: object = None, source: str = "", category: str = ""
    ) -> None:
        """The wait of this name is satisfied, by signals with these names."""
        entry = self._open(wait)
        for waitpoint in self._waitpoints.values():
            if waitpoint.name == entry.name and waitpoint.use == suspension_pb.WAITPOINT_USE_SINGLE:
                waitpoint.state = "closed"
        for name in names or ("signal",):
            self._signals += 1
            entry.signals.add(
                number=self._signals,
                waitpoint=entry.name,
                name=name,
                category=category,
                source=source or "waitpoint:1",
                payload=_codec.encode(payload),
            )

    def time_out(self, wait: str) -> None:
        """The wait, or sleep, of this name has run out of time, and says to resume then."""
        self._signals += 1
        self._open(wait).signals.add(
            number=self._signals, name="timeout", category="timeout", source="engine"
        )

    def _open(self, wait: str) -> pb.Entry:
        for entry in self._entries.values():
            if entry.name == wait and entry.state == pb.ENTRY_STATE_WAITING:
                done = pb.Entry()
                done.CopyFrom(entry)
                done.state = pb.ENTRY_STATE_DONE
                return self._keep(done)
        raise LookupError(f"nothing waits for {wait!r}")

    def _judge(self, runner: asyncio.Task[Any], context: Context) -> Run:
        frames = tuple(self._frames)
        durable = context.durable
        if self.recovered:
            return Run("crashed", frames=frames)
        if durable is not None and durable.refusal is not None:
            return self._failed(durable.refusal, frames)
        if durable is not None and durable.suspension is not None:
            self._suspend(durable.suspension)
            return Run("suspended", waits=tuple(w.name for w in durable.suspension.waits), frames=frames)
        if runner.cancelled():
            return self._failed(asyncio.CancelledError(), frames)
        if (error := runner.exception()) is not None:
            return self._failed(error, frames)
        return Run("completed", runner.result(), frames=frames)

    @staticmethod
    def _failed(error: BaseException, frames: tuple[bytes, ...]) -> Run:
        outcome = outcome_of(error)
        failure = outcome if isinstance(outcome, Failed) else None
        return Run(type(outcome).__name__.lower(), failure=failure, frames=frames)

    def _suspend(self, spec: suspension_pb.SuspendSpec) -> None:
        for wait in spec.waits:
            is_sleep = wait.condition.WhichOneof("kind") == "timer"
            entry = pb.Entry(
                key=wait.entry,
                kind=pb.ENTRY_KIND_SLEEP if is_sleep else pb.ENTRY_KIND_WAIT,
                name=wait.name,
                state=pb.ENTRY_STATE_WAITING,
                seen=wait.seen,
            )
            if wait.HasField("timeout"):
                entry.due_time.FromDatetime(datetime.now(UTC) + wait.timeout.ToTimedelta())
            elif wait.HasField("timeout_time"):
                entry.due_time.CopyFrom(wait.timeout_time)
            self._keep(entry)

    def _keep(self, entry: pb.Entry) -> pb.Entry:
        """Writes an entry and counts its places, as the engine does."""
        before = self._entries.get(entry.key)
        if before is not None and before.state in FINAL:
            return before
        is_final = entry.state in FINAL
        if before is None or is_final:
            self._places += 1
        entry.sequence = self._places if before is None else before.sequence
        entry.end_sequence = self._places if is_final else 0
        self._entries[entry.key] = entry
        return entry

    async def _call(self, context: Context) -> Any:
        handler, function = self._task.handler, self._task.function
        arguments = handler.arguments(self._input, context)
        if handler.is_async:
            return await function(*arguments)
        return await asyncio.get_running_loop().run_in_executor(None, functools.partial(function, *arguments))

    # As the worker

    def open_journal(self, grant: worker_pb.Grant) -> Journal:
        """The journal of a run."""
        loop = asyncio.get_running_loop()
        return Journal(grant.lease, grant.journal, lambda journal: void(loop.call_soon(self._write, journal)))

    def unwind(self, lease: bytes) -> None:
        """Cancels the handler."""
        if self._runner is not None:
            self._runner.cancel()

    async def create_waitpoint(
        self, request: suspension_pb.CreateWaitpointRequest
    ) -> suspension_pb.Waitpoint:
        """Makes a waitpoint that nobody can reach."""
        number = len(self._waitpoints) + 1
        return self._waitpoints.setdefault(
            request.entry,
            suspension_pb.Waitpoint(
                waitpoint_id=f"default~in-memory~p{number}~{number}~0",
                name=request.spec.name,
                use=request.spec.use,
                state="pending",
                recipient=request.spec.recipient,
                token=f"token-{number}",
            ),
        )

    async def emit(self, lease: bytes, frame: Frame) -> None:
        """Keeps a frame."""
        self._frames.append(frame.data)

    def report_progress(self, lease: bytes, percent: float | None, message: str | None) -> None:
        """Progress is not kept."""

    def _write(self, journal: Journal) -> None:
        while (write := journal.take()) is not None:
            for entry in write.entries:
                if self._left is not None and self._left <= 0:
                    self.recovered = True
                    journal.fail(LeaseLost("LEASE_STALE", "the worker has crashed"))
                    self.unwind(b"")
                    return
                self._left = None if self._left is None else self._left - 1
                kept = pb.Entry()
                kept.CopyFrom(entry)
                self._keep(kept)
            journal.acknowledge(write.number)


def void(_: object) -> None:
    """Takes a value and gives none."""
