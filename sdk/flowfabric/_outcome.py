"""How an attempt ends: what handlers raise to say so, and what travels to the engine."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from flowfabric import _wire
from flowfabric._errors import EngineError, JournalFull, StepFailed, StepMismatch, StepUnknown, WaitTimedOut
from flowfabric._execution import Duration
from flowfabric_api.suspension.v1 import suspension_pb2 as suspension_pb
from flowfabric_api.worker.v1 import worker_pb2 as pb

TYPE_BYTES = 256
MESSAGE_BYTES = 4096
LONGEST_DELAY_S = 10 * 366 * 86400.0


class Retry(Exception):
    """Raised by a handler: this attempt failed, try again, after the delay if there is one."""

    def __init__(self, delay: Duration | None = None, message: str = "", *, category: str = "") -> None:
        super().__init__(message)
        self.delay = None if delay is None else checked(delay)
        self.category = category


class Fail(Exception):
    """Raised by a handler: this failed and will fail again, so the execution ends now."""

    def __init__(self, message: str = "", *, type: str = "Fail", category: str = "permanent") -> None:
        super().__init__(message)
        self.type = type
        self.category = category


class Delay(Exception):
    """Raised by a handler: not now; the same attempt is queued again after the delay."""

    def __init__(self, delay: Duration) -> None:
        super().__init__(f"delayed by {delay}")
        self.delay = checked(delay)


@dataclass(slots=True)
class Completed:
    """The attempt has a result."""

    result: bytes

    def put(self, outcome: pb.Outcome) -> None:
        """Writes this outcome."""
        outcome.completed.result = self.result

    def size(self) -> int:
        """Bytes on the wire, roughly."""
        return len(self.result)


@dataclass(slots=True)
class Failed:
    """The attempt failed; the stored policy decides whether there is another."""

    type: str
    message: str = ""
    category: str = ""
    non_retryable: bool = False
    retry_delay: float | None = None

    def put(self, outcome: pb.Outcome) -> None:
        """Writes this outcome."""
        failed = outcome.failed
        failed.type = clip(self.type, TYPE_BYTES)
        failed.message = clip(self.message, MESSAGE_BYTES)
        failed.category = clip(self.category, TYPE_BYTES)
        failed.non_retryable = self.non_retryable
        _wire.put_duration(failed.retry_delay, self.retry_delay)

    def size(self) -> int:
        """Bytes on the wire, at most."""
        return MESSAGE_BYTES + 2 * TYPE_BYTES


@dataclass(slots=True)
class Delayed:
    """The attempt goes on later."""

    delay: float

    def put(self, outcome: pb.Outcome) -> None:
        """Writes this outcome."""
        _wire.put_duration(outcome.delayed.delay, self.delay)

    def size(self) -> int:
        """Bytes on the wire, roughly."""
        return 16


@dataclass(slots=True)
class Cancelled:
    """The attempt stopped because it was asked to."""

    def put(self, outcome: pb.Outcome) -> None:
        """Writes this outcome."""
        outcome.cancelled.SetInParent()

    def size(self) -> int:
        """Bytes on the wire, roughly."""
        return 0


@dataclass(slots=True)
class Suspended:
    """The execution waits, without a worker."""

    spec: suspension_pb.SuspendSpec

    def put(self, outcome: pb.Outcome) -> None:
        """Writes this outcome."""
        outcome.suspended.CopyFrom(self.spec)

    def size(self) -> int:
        """Bytes on the wire, roughly."""
        return self.spec.ByteSize()


Outcome = Completed | Failed | Delayed | Cancelled | Suspended


def outcome_of(error: BaseException) -> Outcome:
    """What the exception that ended a handler means."""
    match error:
        case Delay():
            return Delayed(error.delay)
        case Retry():
            return Failed("Retry", str(error), error.category, retry_delay=error.delay)
        case Fail():
            return Failed(error.type, str(error), error.category, non_retryable=True)
        case StepFailed() if isinstance(error.__cause__, Exception):
            return outcome_of(error.__cause__)  # not recorded: another attempt tries again
        case StepFailed() | StepMismatch() | StepUnknown() | WaitTimedOut() | JournalFull():
            return recorded(error)
        case _:
            message = "".join(traceback.format_exception_only(error)).strip()
            return Failed(type(error).__name__, message.removeprefix(f"{type(error).__name__}: "))


def recorded(error: StepFailed | StepMismatch | StepUnknown | WaitTimedOut | JournalFull) -> Failed:
    """A failure that every further attempt would find in the journal."""
    type, message, category = error.__class__.__name__, str(error), "permanent"
    if isinstance(error, StepFailed):
        type, category = error.failure.type, error.failure.category or category
    elif isinstance(error, EngineError):
        type, message = error.reason, error.message
    elif isinstance(error, WaitTimedOut):
        category = "timeout"
    return Failed(type, message, category, non_retryable=True)


def checked(delay: Duration) -> float:
    """The delay in seconds, refused here where the handler can see it and not on its way."""
    seconds = _wire.seconds(delay)
    if not 0 <= seconds <= LONGEST_DELAY_S:
        raise ValueError(f"a delay must be 0 s to ten years, not {delay}")
    return seconds


def clean(text: str) -> str:
    """The text with a question mark for every surrogate, which UTF-8 has not."""
    return text.encode("utf-8", "replace").decode()


def clip(text: str, limit: int) -> str:
    """The text as the wire can carry it: valid UTF-8 of at most so many bytes."""
    return clean(text).encode()[:limit].decode("utf-8", "ignore")
