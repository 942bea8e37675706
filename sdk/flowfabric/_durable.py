"""What durable calls of one run of a handler share: positions, the journal, and when to suspend.

A handler suspends when nothing of it can go on by itself: something waits, no step runs, and a few turns
of the loop have brought no other durable call. Then it is unwound by cancelling it, and its lease ends
with all that waits at that moment. What the handler does outside of durable calls does not count.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf
from typing import NoReturn, Protocol

from flowfabric._errors import FlowFabricError, LeaseLost, StepMismatch
from flowfabric._journal import FINAL, Journal
from flowfabric._knowledge import InOrder, Knowledge
from flowfabric._outcome import Fail
from flowfabric._positions import Positions, Runner
from flowfabric._wire import put_duration, read_seconds
from flowfabric_api.journal.v1 import journal_pb2 as pb
from flowfabric_api.suspension.v1 import suspension_pb2 as suspension_pb
from flowfabric_api.worker.v1 import worker_pb2 as worker_pb

# Turns of the loop in which a task that was woken by a finished step has made its next call, however many
# gathers and groups are between them.
SETTLE_TURNS = 12

# What one suspension may wait for.
MOST_WAITS = 16

# A suspension within this time is at once: its waits begin when it does.
AT_ONCE_S = 0.05

# How often a handler that swallows its cancellation is cancelled again.
UNWIND_AGAIN_S = 1.0

NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-")
LONGEST_KEY = 128

KINDS = {
    pb.ENTRY_KIND_STEP: "step",
    pb.ENTRY_KIND_WAIT: "wait",
    pb.ENTRY_KIND_SLEEP: "sleep",
    pb.ENTRY_KIND_VALUE: "value",
    pb.ENTRY_KIND_WAITPOINT: "waitpoint",
}

# Data of a step that has begun: its function has raised since, so that nothing about it is unknown.
RAISED = b"raised"

WAITS = {pb.ENTRY_KIND_WAIT, pb.ENTRY_KIND_SLEEP}

IN_STEP: ContextVar[str] = ContextVar("flowfabric_step", default="")
"""Name of the step that runs here."""


class Host(Protocol):
    """What runs handlers, as their durable calls see it: the worker, or a test's stand-in."""

    @property
    def threads(self) -> Executor | None:
        """Where steps that block run; None for the loop's own."""

    @property
    def short_wait(self) -> float:
        """Waits up to so many seconds stay in memory."""

    @property
    def max_entry_bytes(self) -> int:
        """Most data of one entry; 0 while unknown."""

    def open_journal(self, grant: worker_pb.Grant) -> Journal:
        """The journal of a grant."""

    def unwind(self, lease: bytes) -> None:
        """Cancels the handler, which is to be suspended."""

    async def create_waitpoint(
        self, request: suspension_pb.CreateWaitpointRequest
    ) -> suspension_pb.Waitpoint:
        """Makes a waitpoint, or gives the one that was made for the same entry."""


@dataclass(slots=True)
class Call:
    """A durable call: where it stands, and what was recorded there."""

    key: str
    scope: str
    kind: pb.EntryKind
    name: str
    fingerprint: str
    entry: pb.Entry | None
    uncertain: bool
    """It may have been begun by a worker that vanished."""
    seen: int
    """What the handler knew when it made it: all that is recorded up to this place."""
    before: tuple[asyncio.Future[None], ...] = ()
    """Records that were under way when it was made: what it does may tell of them."""

    @property
    def final(self) -> pb.Entry | None:
        """What was recorded, when that is the last word."""
        return self.entry if self.entry is not None and self.entry.state in FINAL else None

    def new_entry(self, state: pb.EntryState, data: bytes = b"") -> pb.Entry:
        """An entry for this call."""
        return pb.Entry(
            key=self.key,
            kind=self.kind,
            name=self.name,
            state=state,
            data=data,
            fingerprint=self.fingerprint,
            seen=self.seen,
        )


@dataclass(slots=True, eq=False)
class Parked:
    """A coroutine that waits for what may take long."""

    wait: suspension_pb.Wait
    waitpoints: list[suspension_pb.WaitpointSpec]
    reason: str
    since: float
    """By the loop's clock."""
    future: asyncio.Future[None]
    """Done only when its time is over before the handler is suspended."""

    @property
    def is_timer(self) -> bool:
        """Whether it waits for nothing but time."""
        return bool(self.wait.condition.WhichOneof("kind") == "timer")

    @property
    def due(self) -> float:
        """When its time is over, in Unix time."""
        if self.wait.HasField("timeout_time"):
            return float(self.wait.timeout_time.ToNanoseconds() / 1e9)
        if self.wait.HasField("timeout"):
            elapsed = self.future.get_loop().time() - self.since
            return time.time() + read_seconds(self.wait.timeout) - elapsed
        return inf

    def left_entry(self, recorded: pb.Entry | None) -> pb.Entry | None:
        """What is to be recorded when the handler is suspended without it: its time goes on."""
        if self.due == inf or (recorded is not None and recorded.HasField("due_time")):
            return None
        entry = pb.Entry(key=self.wait.entry, name=self.wait.name, state=pb.ENTRY_STATE_WAITING)
        entry.seen = self.wait.seen
        entry.kind = pb.ENTRY_KIND_SLEEP if self.is_timer else pb.ENTRY_KIND_WAIT
        entry.due_time.FromNanoseconds(round(self.due * 1e9))
        if recorded is not None:
            entry.waitpoint_id = recorded.waitpoint_id
        return entry

    def put(self, spec: suspension_pb.SuspendSpec, now: float) -> None:
        """Adds the wait to a suspension."""
        wait = spec.waits.add()
        wait.CopyFrom(self.wait)
        elapsed = now - self.since
        if wait.HasField("timeout") and elapsed > AT_ONCE_S:  # it counts from the call
            put_duration(wait.timeout, max(0.0, read_seconds(wait.timeout) - elapsed))
        names = {waitpoint.name for waitpoint in spec.waitpoints}
        spec.waitpoints.extend(each for each in self.waitpoints if each.name not in names)


def chosen_of(parked: list[Parked]) -> list[Parked]:
    """As many as one suspension may wait for. The next run comes to the others.

    The first timer stands for all, and what has a time goes before what has none, so that no time is missed.
    """
    if len(parked) <= MOST_WAITS:
        return parked
    by_due = sorted(parked, key=lambda each: each.due)
    timers = [each for each in by_due if each.is_timer][:1]
    others = [each for each in by_due if not each.is_timer]
    return timers + others[: MOST_WAITS - len(timers)]


class Durable:
    """The durable side of one run."""

    def __init__(
        self, grant: worker_pb.Grant, host: Host, loop: asyncio.AbstractEventLoop, runner: Runner | None
    ) -> None:
        """`runner` is the task of the handler itself; None when it runs in a thread."""
        self.host = host
        self.loop = loop
        self.journal = host.open_journal(grant)
        self.suspension: suspension_pb.SuspendSpec | None = None
        """How to suspend, once the handler is to be unwound."""
        self.refusal: FlowFabricError | None = None
        """The handler does not do what it did, or a record of its was refused: nothing of this run counts,
        whatever it makes of it."""
        self.waitpoints: dict[str, str] = {}
        """Ids of the waitpoints that the handler has made and not used up, by name."""
        self._lease = grant.lease
        self._recovered = grant.recovered
        self._positions = Positions(runner, loop)
        self._named: set[str] = set()
        self._progressed: set[str] = set()
        """Scopes that have done something new."""
        self._knowledge = Knowledge(self.journal)
        self._runner = runner
        self._failures: dict[str, tuple[str, pb.Entry]] = {}
        """Failed steps that are not recorded, with their scopes."""
        self._unsettled: set[asyncio.Future[None]] = set()
        self._in_order = InOrder(loop)
        """Waitpoints, which every run has to ask for, come to the handler in the same order in every run."""
        self._busy = 0
        self._steps: set[asyncio.Task[object]] = set()
        self._parked: list[Parked] = []
        self._asked: dict[str, str] = {}
        """Ids of waitpoints that were waited for in this run, by name. A wait that was dropped leaves its
        own, with the signals it has, to the next one of that name."""
        self._served: set[str] = set()
        """Ids of those that satisfied their waits."""
        self._turns = 0
        self._settling: asyncio.Handle | None = None
        self._again: asyncio.TimerHandle | None = None
        self._is_closed = False

    # Calls

    def call(
        self,
        kind: pb.EntryKind,
        name: str,
        key: str | None = None,
        fingerprint: str = "",
        *,
        at_root: bool = False,
    ) -> Call:
        """Takes the position of a call that is made now, here; or in the handler itself, in its thread.

        Raises:
            StepMismatch: something else was recorded there.
        """
        if self.refusal is not None:
            raise self.refusal
        if self.suspension is not None:
            raise asyncio.CancelledError("the handler is suspended")
        if self._is_closed:
            raise LeaseLost("LEASE_STALE", "the attempt is over")
        if outer := IN_STEP.get():
            raise RuntimeError(f"step {outer} makes a durable call; make it in the handler")
        if not 0 < len(name) <= 64 or not NAME_CHARACTERS.issuperset(name):
            raise ValueError(f"{name!r} is no name: 1 to 64 of A-Z a-z 0-9 . _ : -")
        self._turns = SETTLE_TURNS
        if key is None:
            position, scope = self._positions.next(at_root=at_root)
        else:
            position, scope = self._key(name, key), "" if at_root else self._positions.scope()
            fingerprint = ""
        self._record_failures(scope)
        self._knowledge.make(position)
        entry, before = self.journal.find(position), tuple(self._unsettled)
        seen = self._knowledge.seen
        call = Call(position, scope, kind, name, fingerprint, entry, False, seen, before)
        if call.entry is not None:
            self._compare(call, call.entry)
        call.uncertain = self._is_uncertain(call)
        return call

    def _key(self, name: str, key: str) -> str:
        if not 0 < len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError(f"{key!r} is no key: 1 to {LONGEST_KEY} printable ASCII characters, no blanks")
        full = f"={name}:{key}"
        if full in self._named:
            raise ValueError(f"key {key!r} of {name!r} is used twice in one run")
        self._named.add(full)
        return full

    def _compare(self, call: Call, entry: pb.Entry) -> None:
        # A sleep is a wait for nothing but time, and recorded as what it is.
        is_same_kind = entry.kind == call.kind or {entry.kind, call.kind} == WAITS
        if not is_same_kind or entry.name != call.name:
            self._refuse(
                f"step {call.key} is {KINDS.get(call.kind)} {call.name!r} now, but "
                f"{KINDS.get(entry.kind)} {entry.name!r} was recorded there"
            )
        if not call.fingerprint or not entry.fingerprint:
            return
        (old_args, _, old_function), (args, _, function) = (
            each.fingerprint.partition(".") for each in (entry, call)
        )
        if args and old_args and args != old_args:
            self._refuse(f"step {call.key}, {call.name!r}, was recorded with other arguments")
        if function and old_function and function != old_function:
            # Perhaps it has a new name. But if that is one of another step, then the two have changed places.
            for other in self.journal.entries:
                if other.name == call.name and other.fingerprint.partition(".")[2] == function:
                    self._refuse(
                        f"step {call.key}, {call.name!r}, was recorded with another function, "
                        f"and this function at step {other.key}"
                    )
        call.fingerprint = entry.fingerprint

    def _refuse(self, message: str) -> NoReturn:
        advice = "if the order of steps differs between runs, give them a key"
        self.refusal = StepMismatch("STEP_MISMATCH", f"{message}; {advice}")
        raise self.refusal

    def find_again(self, entry: pb.Entry) -> None:
        """Goes on with what an earlier run recorded."""
        if entry.waitpoint_id and entry.kind in WAITS:
            self._served.add(entry.waitpoint_id)
        is_beside = asyncio.current_task(self.loop) is not self._runner
        self._knowledge.find(entry, is_beside=is_beside)

    def check_end(self) -> None:
        """The handler has returned. Notes a mismatch when it had to make other calls first."""
        if self._failures or self.refusal is not None or self.suspension is not None:
            return
        if (entry := self._knowledge.vanished()) is not None:
            self.refusal = StepMismatch(
                "STEP_MISMATCH",
                f"the handler returned before step {entry.key}, {KINDS.get(entry.kind)} {entry.name!r}, "
                "which was recorded; to end it there, replay the execution without its journal",
            )

    def _is_uncertain(self, call: Call) -> bool:
        if call.entry is not None:
            return call.entry.state == pb.ENTRY_STATE_RUNNING and call.entry.data != RAISED
        # Behind something new of its own task it cannot have been begun before.
        return self._recovered and call.scope not in self._progressed

    # Recording

    def record(self, call: Call, entry: pb.Entry) -> None:
        """Records what came of a call. Whatever is seen outside of the handler has to wait for `settle`."""
        self._progressed.add(call.scope)
        self._knowledge.is_new = True
        self._record(entry)

    async def keep(self, call: Call, entry: pb.Entry) -> None:
        """Records what came of a step, which the handler learns when that is durable: what it has seen must
        not come out otherwise in its next run."""
        self.record(call, entry)
        place = self._knowledge.hide()
        await self.settle()
        self._knowledge.reveal(place)  # not to a handler that was cancelled meanwhile

    def _record(self, entry: pb.Entry) -> None:
        self._check_size(entry)
        future = self.journal.record(entry)
        self._unsettled.add(future)
        future.add_done_callback(self._settled)

    def note(self, entry: pb.Entry) -> None:
        """Records what is only for people to see."""
        self.journal.record(entry).add_done_callback(lambda future: future.cancelled() or future.exception())

    def fail_later(self, call: Call, entry: pb.Entry) -> None:
        """Records a failure only if the handler goes on after it; else its next run tries again."""
        self._failures[call.key] = call.scope, entry

    async def settle(self, call: Call | None = None) -> None:
        """Waits until all that was recorded before a call, or by now, is durable."""
        if records := self._unsettled.copy() if call is None else call.before:
            self.journal.flush()
            await asyncio.wait(records)
        if self.refusal is not None:
            raise self.refusal

    def _settled(self, future: asyncio.Future[None]) -> None:
        self._unsettled.discard(future)
        error = None if future.cancelled() else future.exception()
        if isinstance(error, FlowFabricError):
            self.refusal = self.refusal or error

    def _record_failures(self, scope: str) -> None:
        """The task of a failed step, or one above it, goes on: the failure has become part of its story."""
        for key, (failed_scope, entry) in list(self._failures.items()):
            if failed_scope.startswith(scope):
                del self._failures[key]
                self._record(entry)

    def _check_size(self, entry: pb.Entry) -> None:
        if len(entry.data) > self.host.max_entry_bytes > 0:
            raise Fail(
                f"{entry.name!r} gave {len(entry.data)} bytes; the journal takes "
                f"{self.host.max_entry_bytes}, return a reference",
                type="result_too_large",
            )

    async def create_waitpoint(
        self, spec: suspension_pb.WaitpointSpec, entry: str
    ) -> suspension_pb.Waitpoint:
        """Makes a waitpoint, or gives the one that was made for the same entry."""
        request = suspension_pb.CreateWaitpointRequest(lease=self._lease, spec=spec, entry=entry)
        return await self._in_order.tell(self.host.create_waitpoint(request))

    # Working and waiting

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """The handler is not to be suspended meanwhile."""
        self._busy += 1
        try:
            yield
        except asyncio.CancelledError:
            self._knowledge.is_new = True  # a clock of the handler's own, or another task, said so
            raise
        finally:
            self._busy -= 1
            if not self._busy and self._parked:
                self._settle_soon()

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A step runs in this task; if the handler ends meanwhile, it is cancelled."""
        task = asyncio.current_task(self.loop)
        assert task is not None
        self._steps.add(task)
        self._knowledge.is_new = True
        token = IN_STEP.set(name)
        try:
            yield
        finally:
            IN_STEP.reset(token)
            self._steps.discard(task)

    async def park(
        self, wait: suspension_pb.Wait, waitpoints: list[suspension_pb.WaitpointSpec], reason: str
    ) -> NoReturn:
        """Waits until the handler is unwound."""
        await self._park(wait, waitpoints, reason)
        raise asyncio.CancelledError("the handler is suspended")

    async def sleep(self, wait: suspension_pb.Wait, seconds: float) -> None:
        """Waits until the handler is unwound, or so long where it has other things to do meanwhile."""
        await self._park(wait, [], "waiting_for_timer", max(0.0, seconds))

    async def _park(
        self,
        wait: suspension_pb.Wait,
        waitpoints: list[suspension_pb.WaitpointSpec],
        reason: str,
        seconds: float | None = None,
    ) -> None:
        # One whose task was cancelled is over, though that task has not heard of it yet.
        waiting = [each for each in self._parked if not each.future.done()]
        others = {spec.name: spec.waitpoint_id for each in waiting for spec in each.waitpoints}
        for spec in waitpoints:
            if spec.name in others and not others[spec.name] == spec.waitpoint_id != "":
                raise ValueError(f"there is a wait at another waitpoint {spec.name!r} already")
            if not spec.waitpoint_id and (left := self._asked.get(spec.name)) not in self._served:
                spec.waitpoint_id = left or ""
            self._asked[spec.name] = spec.waitpoint_id
        parked = Parked(wait, waitpoints, reason, self.loop.time(), self.loop.create_future())
        timer = None if seconds is None else self.loop.call_later(seconds, self._wake, parked)
        self._parked.append(parked)
        self._settle_soon()
        try:
            await parked.future
        finally:
            self._parked.remove(parked)
            if timer is not None:
                timer.cancel()

    def _wake(self, parked: Parked) -> None:
        if self.suspension is None and not parked.future.done():
            self._turns = SETTLE_TURNS
            parked.future.set_result(None)

    def _settle_soon(self) -> None:
        self._turns = SETTLE_TURNS
        if self._settling is None and self.suspension is None:
            self._settling = self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._settling = None
        if self._busy or not self._parked or self._is_closed:
            return
        if self._turns > 0:
            self._turns -= 1
            self._settling = self.loop.call_soon(self._turn)
        else:
            self._unwind()

    def _unwind(self) -> None:
        waiting = [each for each in self._parked if not each.future.done()]
        if not waiting:
            return
        spec = suspension_pb.SuspendSpec(reason_code=waiting[0].reason)
        chosen = chosen_of(waiting)
        for parked in waiting:
            if parked in chosen:
                parked.put(spec, self.loop.time())
            elif (entry := parked.left_entry(self.journal.find(parked.wait.entry))) is not None:
                self._record(entry)
        self.suspension = spec
        self._cancel()

    def _cancel(self) -> None:
        self.host.unwind(self._lease)
        for parked in self._parked:  # in tasks that nobody waits for
            self.loop.call_soon(parked.future.cancel)
        self._again = self.loop.call_later(UNWIND_AGAIN_S, self._cancel)

    # The end

    async def close(self) -> None:
        """Ends what the handler has left behind: steps in tasks that nobody waits for."""
        self._is_closed = True
        if self._again is not None:
            self._again.cancel()
        if self._settling is not None:
            self._settling.cancel()
        left = {task for task in self._steps if task is not asyncio.current_task()}
        for task in left:
            task.cancel()
        for parked in self._parked:
            parked.future.cancel()
        if left:
            await asyncio.wait(left)
