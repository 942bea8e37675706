"""Durable steps: what a handler does once, however often it runs.

The first run calls the function, records what it returned, and goes on when that is durable. Later runs
find the record. What a step returns is what the record says, in the first run too, so that a handler
cannot come to depend on more. Values that have no effect, like the time, are on their way while it goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import inspect
import json
import logging
import random
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints, overload
from weakref import WeakKeyDictionary

from pydantic_core import to_jsonable_python

from flowfabric import _codec, _wire
from flowfabric._durable import RAISED, Call, Durable
from flowfabric._errors import StepFailed, StepUnknown
from flowfabric._execution import Backoff, Duration, Failure
from flowfabric._outcome import MESSAGE_BYTES, TYPE_BYTES, Delay, Fail, Retry, checked, clip
from flowfabric._sleep import sleep_long
from flowfabric._suspension import Waitpoint
from flowfabric_api.journal.v1 import journal_pb2 as pb

logger = logging.getLogger(__name__)

R = TypeVar("R")

# A waitpoint's token changes with the key that it is made with, and is the same argument.
TOKEN = re.compile(r"w1\.[A-Za-z0-9_-]{1,32}\.[A-Za-z0-9_-]{43}")

# A step that has run so long is shown as running.
SHOWN_AFTER_S = 0.2


class Raised(Exception):
    """The function of a step raised."""

    def __init__(self, error: Exception) -> None:
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRetry:
    """How often a step is tried, within one attempt or over several suspensions."""

    max_attempts: int = 3
    """The first included."""
    backoff: Backoff = field(default_factory=Backoff)
    """Pauses. Those longer than the worker's `short_wait` suspend the execution."""
    only: tuple[type[Exception], ...] = (Exception,)
    """Worth another try."""
    never: tuple[type[Exception], ...] = ()
    """Of those, not worth one."""

    def takes(self, error: Exception) -> bool:
        """Whether this is worth another try."""
        return isinstance(error, self.only) and not isinstance(error, self.never)

    def pause(self, runs: int) -> float:
        """Seconds after so many runs."""
        initial = 1.0 if self.backoff.initial is None else checked(self.backoff.initial)
        longest = 60.0 if self.backoff.max is None else checked(self.backoff.max)
        multiplier = 2.0 if self.backoff.multiplier is None else self.backoff.multiplier
        jitter = 0.1 if self.backoff.jitter is None else self.backoff.jitter
        seconds = min(initial * multiplier ** min(runs - 1, 64), longest)
        return seconds * (1 + random.uniform(-jitter, jitter))


OnUnknown = Literal["retry", "raise"]


@dataclass(frozen=True, slots=True)
class Work:
    """A function with all that is to be known to run it as a step."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    retry: StepRetry | None
    timeout: float | None
    on_unknown: OnUnknown
    as_type: Any
    may_suspend: bool = True
    """False for handlers in threads, which cannot be unwound."""


class Steps:
    """The part of `Context` that does things once."""

    __slots__ = ()

    @property
    def _durable(self) -> Durable:
        raise NotImplementedError

    @overload
    def step(
        self,
        name: str,
        function: Callable[..., Awaitable[R]],
        /,
        *args: Any,
        key: str | None = ...,
        retry: StepRetry | None = ...,
        timeout: Duration | None = ...,
        on_unknown: OnUnknown = ...,
        as_type: type[R] | None = ...,
    ) -> Awaitable[R]: ...
    @overload
    def step(
        self,
        name: str,
        function: Callable[..., R],
        /,
        *args: Any,
        key: str | None = ...,
        retry: StepRetry | None = ...,
        timeout: Duration | None = ...,
        on_unknown: OnUnknown = ...,
        as_type: type[R] | None = ...,
    ) -> Awaitable[R]: ...
    def step(
        self,
        name: str,
        function: Callable[..., Any],
        /,
        *args: Any,
        key: str | None = None,
        retry: StepRetry | None = None,
        timeout: Duration | None = None,
        on_unknown: OnUnknown = "retry",
        as_type: Any = None,
    ) -> Awaitable[Any]:
        """Runs `function(*args)` once, and in later runs of the handler returns what it returned.

        A function that is not async runs in a thread. What it returns is read back by its return annotation.

        Args:
            name: What it is, for people; it may not change for a step that was recorded.
            function: What to do. It makes no durable calls of its own.
            args: Its arguments. When they differ from those of the recorded run, that is a StepMismatch.
            key: Says which step it is where the order of steps differs between runs; unique for the name.
            retry: Tries it again when it raises. Without, it raises, and the next attempt tries again.
            timeout: Longest time of one try. A thread cannot be stopped: what it returns late is dropped.
            on_unknown: "raise": when a worker vanished during it, StepUnknown instead of another run.
            as_type: What it returns, where that is not annotated.

        Raises:
            StepFailed: the function raised; `__cause__` is its exception when that was just now.
            StepMismatch: the handler takes other steps than an earlier run recorded.
        """
        call = self._durable.call(pb.ENTRY_KIND_STEP, name, key, fingerprint(args, function))
        seconds = None if timeout is None else _wire.seconds(timeout)
        work = Work(function, args, retry, seconds, on_unknown, as_type)
        return run_step(self._durable, call, work)

    def now(self) -> Awaitable[datetime]:
        """The time, the same in every run."""
        return self._value("now", lambda: datetime.now(UTC), datetime)

    def random(self) -> Awaitable[float]:
        """A random number from 0 to 1, the same in every run."""
        return self._value("random", random.random, float)

    def uuid(self) -> Awaitable[uuid.UUID]:
        """A random UUID, the same in every run; for idempotency keys, say."""
        return self._value("uuid", uuid.uuid4, uuid.UUID)

    def _value(self, name: str, make: Callable[[], R], as_type: type[R]) -> Awaitable[R]:
        durable = self._durable
        return make_value(durable, durable.call(pb.ENTRY_KIND_VALUE, name), make, as_type)


async def make_value(durable: Durable, call: Call, make: Callable[[], R], as_type: type[R]) -> R:
    """A value that is made once."""
    if (entry := call.final) is not None:
        durable.find_again(entry)
        return _codec.decode(entry.data, as_type)
    value = make()
    durable.record(call, call.new_entry(pb.ENTRY_STATE_DONE, _codec.encode(value)))
    return value


async def run_step(durable: Durable, call: Call, work: Work) -> Any:
    """What the step returned, now or in an earlier run."""
    as_type = return_type(work.function) if work.as_type is None else work.as_type
    if call.final is not None:
        durable.find_again(call.final)
        return replayed(call, call.final, as_type)
    runs = 0 if call.entry is None else call.entry.runs
    pause = durable.journal.find(f"{call.key}~{runs}")
    if pause is not None and pause.state != pb.ENTRY_STATE_DONE:
        await sleep_out(durable, call, runs, 0.0)  # the next try was to come later
    if work.on_unknown == "raise" and call.uncertain:
        if call.entry is not None:
            raise StepUnknown(call.name)
        call.uncertain = False  # its beginning would have been recorded
    while True:
        runs += 1
        with durable.busy():
            try:
                data = await try_once(durable, call, work, as_type, runs)
                return read_back(call, data, as_type)
            except Raised as raised:
                error = raised.error
            if work.retry is None:
                failed = failed_entry(call, runs, error)
                if durable.journal.find(call.key) is not None:
                    durable.note(raised_entry(call, runs))
                durable.fail_later(call, failed)
                raise StepFailed(call.name, failure_of(failed)) from error
            logger.warning("step_failed name=%s key=%s run=%s", call.name, call.key, runs, exc_info=error)
            if runs >= work.retry.max_attempts or not work.retry.takes(error):
                failed = failed_entry(call, runs, error)
                await durable.keep(call, failed)
                break
            seconds = work.retry.pause(runs)
            if seconds <= durable.host.short_wait or not work.may_suspend:
                await asyncio.sleep(seconds)
                continue
        durable.record(call, raised_entry(call, runs))
        await sleep_out(durable, call, runs, seconds)
    raise StepFailed(call.name, failure_of(failed))


async def try_once(durable: Durable, call: Call, work: Work, as_type: Any, runs: int) -> bytes:
    """Runs the function and records what it returned."""
    await durable.settle(call)
    running = call.new_entry(pb.ENTRY_STATE_RUNNING)
    running.runs, running.uncertain = runs, call.uncertain
    timer = None
    if work.on_unknown == "raise":
        durable.record(call, running)
        await durable.settle()
    else:
        timer = durable.loop.call_later(SHOWN_AFTER_S, durable.note, running)
    try:
        with durable.step(call.name):
            if work.timeout is None:
                value = await invoke(durable, work)
            else:
                async with asyncio.timeout(work.timeout):
                    value = await invoke(durable, work)
    except (Retry, Fail, Delay):
        raise  # about the attempt, not about the step
    except asyncio.CancelledError:
        durable.note(running)  # nobody knows what it has done; the next run says so
        raise
    except Exception as error:
        raise Raised(error) from error
    finally:
        if timer is not None:
            timer.cancel()
    data = encoded(call, value, as_type)
    entry = call.new_entry(pb.ENTRY_STATE_DONE, data)
    entry.runs, entry.uncertain = runs, call.uncertain
    await durable.keep(call, entry)
    return data


async def invoke(durable: Durable, work: Work) -> Any:
    """Calls the function, in a thread when it is not async."""
    if inspect.iscoroutinefunction(work.function):
        return await work.function(*work.args)
    run = contextvars.copy_context().run
    # A handler in a thread has one of the worker's already, and another may never come free.
    threads = durable.host.threads if work.may_suspend else None
    value = await durable.loop.run_in_executor(threads, run, work.function, *work.args)
    return await value if inspect.isawaitable(value) else value


async def sleep_out(durable: Durable, call: Call, runs: int, seconds: float) -> None:
    """Waits between two tries; an earlier suspension for the same pause goes on."""
    key = f"{call.key}~{runs}"
    entry = durable.journal.find(key)
    pause = Call(key, call.scope, pb.ENTRY_KIND_SLEEP, call.name, "", entry, False, call.seen)
    await sleep_long(durable, pause, seconds)


def replayed(call: Call, entry: pb.Entry, as_type: Any) -> Any:
    """What a step returned in an earlier run, or the exception that it ended with."""
    if entry.state == pb.ENTRY_STATE_FAILED:
        raise StepFailed(call.name, failure_of(entry))
    return read_back(call, entry.data, as_type)


def raised_entry(call: Call, runs: int) -> pb.Entry:
    """The record of a step that is to be tried again."""
    entry = call.new_entry(pb.ENTRY_STATE_RUNNING, RAISED)
    entry.runs, entry.uncertain = runs, call.uncertain
    return entry


def failed_entry(call: Call, runs: int, error: Exception) -> pb.Entry:
    """The record of a step that failed."""
    entry = call.new_entry(pb.ENTRY_STATE_FAILED)
    entry.runs, entry.uncertain = runs, call.uncertain
    message = str(error) or ("it took too long" if isinstance(error, TimeoutError) else "")
    entry.failure.type = clip(type(error).__name__, TYPE_BYTES)
    entry.failure.message = clip(message, MESSAGE_BYTES)
    entry.failure.category = "timeout" if isinstance(error, TimeoutError) else "permanent"
    return entry


def failure_of(entry: pb.Entry) -> Failure:
    """Why a step failed."""
    return Failure(entry.failure.type, entry.failure.message, entry.failure.category)


def encoded(call: Call, value: object, as_type: Any) -> bytes:
    """The bytes of a result; what cannot be recorded fails for good, as running again would not help."""
    if as_type is Any and isinstance(value, bytes | bytearray | memoryview):
        raise Fail(f"step {call.name} returns bytes: annotate it, or give as_type=bytes", type="step_result")
    try:
        return _codec.encoder(as_type)(value)
    except (TypeError, ValueError) as error:
        raise Fail(f"step {call.name} returns what is no JSON: {error}", type="step_result") from error


def read_back(call: Call, data: bytes, as_type: Any) -> Any:
    """The result in the bytes."""
    try:
        return _codec.decoder(as_type)(data)
    except ValueError as error:
        raise Fail(f"step {call.name} was recorded with another type: {error}", type="step_result") from error


TYPES: WeakKeyDictionary[Callable[..., Any], Any] = WeakKeyDictionary()


def return_type(function: Callable[..., Any]) -> Any:
    """What the annotation of a function says; Any without one."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(getattr(function, "__func__", function))
    hint = getattr(function, "__annotations__", {}).get("return", Any)
    if not isinstance(hint, str):
        return unwrapped(hint)
    if function not in TYPES:
        try:
            TYPES[function] = unwrapped(get_type_hints(function, include_extras=True)["return"])
        except NameError as error:
            raise TypeError(f"{function.__qualname__}: {error}; give the step as_type=") from error
    return TYPES[function]


def unwrapped(hint: Any) -> Any:
    """The result's type of a function that returns something to await."""
    origin = get_origin(hint)
    if isinstance(origin, type) and issubclass(origin, Awaitable):
        return get_args(hint)[-1]
    return Any if isinstance(hint, TypeVar) else hint


def fingerprint(args: tuple[Any, ...], function: Callable[..., Any]) -> str:
    """A few characters that differ when the arguments do, a dot, and some for the function's name."""
    return f"{arguments_digest(args)}.{digest(function_name(function))[:8]}"


def function_name(function: Callable[..., Any]) -> str:
    """The name of a function within its module."""
    while isinstance(function, partial):
        function = function.func
    name: str = getattr(function, "__qualname__", type(function).__qualname__)
    return name


def digest(text: str) -> str:
    """The same in every process."""
    return hashlib.sha256(text.encode()).hexdigest()


def arguments_digest(args: tuple[Any, ...]) -> str:
    """A few characters that differ when the arguments do; empty where they cannot be told."""
    if not args:
        return ""
    try:
        text = json.dumps(args, sort_keys=True, default=plain)
    except (TypeError, ValueError, RecursionError):
        return ""
    return digest(TOKEN.sub("w1", text))[:16]


def plain(value: Any) -> Any:
    """A value that JSON has no word for, said in the same way in every process."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Waitpoint):
        return value.waitpoint_id  # what has come to it since, and the key of its token, do not matter
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(each, sort_keys=True, default=plain) for each in value)
    fields = getattr(type(value), "model_fields", None) or getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        return {name: getattr(value, name) for name in fields}
    return to_jsonable_python(value)
