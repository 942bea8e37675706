"""Waiting without a worker: for signals, and for time.

A wait that may take long parks its coroutine; when nothing else of the handler can go on it is suspended
with all that is parked, and runs again from its top when one of the waits is satisfied.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from flowfabric import _wire
from flowfabric._condition import Condition, signal
from flowfabric._durable import Call, Durable
from flowfabric._errors import WaitTimedOut
from flowfabric._execution import Duration
from flowfabric._outcome import Fail, checked
from flowfabric._signal import AS_IT_IS, Signal
from flowfabric._sleep import sleep
from flowfabric._suspension import Waitpoint
from flowfabric_api.journal.v1 import journal_pb2 as pb
from flowfabric_api.suspension.v1 import suspension_pb2 as suspension_pb

T = TypeVar("T")

OnTimeout = Literal["raise", "resume", "fail", "cancel", "expire", "escalate"]
"""raise: WaitTimedOut. resume: return with `timed_out`. The others end the execution, or call an operator."""

BEHAVIOURS: dict[OnTimeout, suspension_pb.TimeoutBehaviour] = {
    "raise": suspension_pb.TIMEOUT_BEHAVIOUR_AUTO_RESUME,
    "resume": suspension_pb.TIMEOUT_BEHAVIOUR_AUTO_RESUME,
    "fail": suspension_pb.TIMEOUT_BEHAVIOUR_FAIL,
    "cancel": suspension_pb.TIMEOUT_BEHAVIOUR_CANCEL,
    "expire": suspension_pb.TIMEOUT_BEHAVIOUR_EXPIRE,
    "escalate": suspension_pb.TIMEOUT_BEHAVIOUR_ESCALATE,
}

# State of a waitpoint that no wait can ask for any more.
CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Resumed:
    """What ended a wait."""

    signals: tuple[Signal, ...]
    """Those that satisfied it, in the order they came."""
    timed_out: bool = False
    by_operator: bool = False
    """An operator resumed the execution, whether or not the wait was satisfied."""

    @property
    def signal(self) -> Signal:
        """The last signal."""
        return self.signals[-1]

    def value(self, as_type: type[T] = AS_IT_IS) -> T:
        """The payload of the last signal as a value of the type."""
        return self.signal.value(as_type)


class Waits:
    """The part of `Context` that waits."""

    __slots__ = ()

    @property
    def _durable(self) -> Durable:
        raise NotImplementedError

    def wait_for(
        self,
        waitpoint: str | Waitpoint,
        condition: Condition | None = None,
        *,
        timeout: Duration | None = None,
        on_timeout: OnTimeout = "raise",
        reason: str = "waiting_for_signal",
    ) -> Awaitable[Resumed]:
        """Waits for signals at a waitpoint; the execution is suspended and holds no worker meanwhile.

        Args:
            waitpoint: One made by `waitpoint`, or the name of a new one.
            condition: What has to come; any signal when not given.
            timeout: How long to wait.
            on_timeout: What happens then.
            reason: Why it waits, for people; one of the reason codes in docs/reference/states.md.

        Raises:
            WaitTimedOut: nothing satisfied it in time.
        """
        durable = self._durable
        if on_timeout not in BEHAVIOURS:
            raise ValueError(f"on_timeout is one of {', '.join(BEHAVIOURS)}, not {on_timeout!r}")
        name = waitpoint if isinstance(waitpoint, str) else waitpoint.name
        call = durable.call(pb.ENTRY_KIND_WAIT, name)
        if isinstance(waitpoint, Waitpoint):
            if waitpoint.state != CLOSED:
                durable.waitpoints[name] = waitpoint.waitpoint_id
            elif call.final is None:
                raise Fail(f"waitpoint {name!r} is used up; make another one", type="waitpoint_used_up")
        wait = suspension_pb.Wait(
            entry=call.key, name=name, on_timeout=BEHAVIOURS[on_timeout], seen=call.seen
        )
        if timeout is not None:
            _wire.put_duration(wait.timeout, checked(timeout))
        waiting = wait_for(durable, call, wait, condition or signal(), reason)
        if on_timeout == "raise":
            return or_raise(waiting, name)
        return waiting

    def waitpoint(
        self, name: str, *, single_use: bool = True, recipient: str = "", ttl: Duration | None = None
    ) -> Awaitable[Waitpoint]:
        """Makes a waitpoint before waiting for it, so that its token or URL can be sent out first.

        Signals that arrive before the wait are kept, and count.

        Args:
            name: What `wait_for` and conditions call it.
            single_use: Whether the first signal that counts uses it up.
            recipient: Whose answers its signals count as, unless their sender has a name of its own.
            ttl: How long the token is good.
        """
        durable = self._durable
        call = durable.call(pb.ENTRY_KIND_WAITPOINT, name)
        spec = suspension_pb.WaitpointSpec(name=name, recipient=recipient)
        spec.use = suspension_pb.WAITPOINT_USE_SINGLE if single_use else suspension_pb.WAITPOINT_USE_MULTIPLE
        _wire.put_duration(spec.ttl, ttl)
        return make_waitpoint(durable, call, spec)

    def sleep(self, duration: Duration) -> Awaitable[None]:
        """Waits for some time; the execution is suspended unless that is short."""
        seconds = checked(duration)
        return sleep(self._durable, self._durable.call(pb.ENTRY_KIND_SLEEP, "sleep"), seconds, None)

    def sleep_until(self, when: datetime) -> Awaitable[None]:
        """Waits until a point in time; the execution is suspended unless that is soon or past."""
        if when.tzinfo is None:
            raise ValueError("the time must know its time zone, as datetime.now(UTC) does")
        call = self._durable.call(pb.ENTRY_KIND_SLEEP, "sleep")
        return sleep(self._durable, call, when.timestamp() - time.time(), when)


async def wait_for(
    durable: Durable, call: Call, wait: suspension_pb.Wait, condition: Condition, reason: str
) -> Resumed:
    """The signals that satisfied the condition, in an earlier run; else parks."""
    if call.final is not None:
        durable.find_again(call.final)
        return resumed_from(call.final)
    condition.put(wait.condition, call.name)
    if call.entry is not None and call.entry.HasField("due_time"):
        wait.timeout_time.CopyFrom(call.entry.due_time)
    return await durable.park(wait, waitpoints_of(durable, call, condition), reason)


async def or_raise(waiting: Coroutine[Any, Any, Resumed], name: str) -> Resumed:
    """What ended the wait, unless that was time."""
    resumed = await waiting
    if resumed.timed_out:
        raise WaitTimedOut(name)
    return resumed


def waitpoints_of(durable: Durable, call: Call, condition: Condition) -> list[suspension_pb.WaitpointSpec]:
    """The waitpoints that a condition names, each to be bound or made."""
    names = dict.fromkeys(condition.waitpoints(call.name))
    specs = []
    for name in names:
        waitpoint_id = durable.waitpoints.get(name, "")
        if not waitpoint_id and len(names) > 1:
            raise ValueError(f"condition of {call.name!r}: make waitpoint {name!r} first, with waitpoint()")
        if not waitpoint_id and call.entry is not None:
            waitpoint_id = call.entry.waitpoint_id  # of an earlier suspension, with the signals it has
        specs.append(suspension_pb.WaitpointSpec(name=name, waitpoint_id=waitpoint_id))
    return specs


def resumed_from(entry: pb.Entry) -> Resumed:
    """What ended a wait; signals that the engine made itself came to no waitpoint."""
    signals = tuple(map(_wire.signal_from, entry.signals))
    own = [each for each in signals if not each.waitpoint]
    timed_out = any(each.category == "timeout" for each in own)
    return Resumed(signals, timed_out, any(each.category == "operator" for each in own))


async def make_waitpoint(durable: Durable, call: Call, spec: suspension_pb.WaitpointSpec) -> Waitpoint:
    """The waitpoint of this call. Its token is never recorded: the engine tells it to each holder anew."""
    with durable.busy():
        await durable.settle(call)
        made = await durable.create_waitpoint(spec, call.key)
    if call.final is None:
        entry = call.new_entry(pb.ENTRY_STATE_DONE)
        entry.waitpoint_id = made.waitpoint_id
        durable.record(call, entry)
    else:
        durable.find_again(call.final)
    if made.state != CLOSED:
        durable.waitpoints[call.name] = made.waitpoint_id
    return _wire.waitpoint_from(made)
