"""The nouns a client works with, as plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, IntEnum

from flowfabric._suspension import Suspension

Duration = timedelta | float
"""A length of time: a timedelta, or seconds."""


class State(Enum):
    """What people see of an execution's state."""

    WAITING = "waiting"
    """Ready to run, waiting for a worker."""
    DELAYED = "delayed"
    """Not before its start time, or between two attempts."""
    ACTIVE = "active"
    """A worker holds its lease."""
    SUSPENDED = "suspended"
    """Waiting for a signal, an operator or a time, without a worker."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Its deadline passed."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more happens unless the execution is replayed."""
        return self in TERMINAL


TERMINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED})


class FrameKind(IntEnum):
    """What a frame of output is; the numbers are those of the wire."""

    STDOUT = 1
    STDERR = 2
    EVENT = 3
    RESULT = 4
    SUMMARY = 5
    """A JSON merge patch of the summary."""
    SUMMARY_REPLACE = 6
    """The whole summary anew."""


class FrameClass(IntEnum):
    """How well a frame of output is kept; the numbers are those of the wire."""

    DURABLE = 1
    """As long as the policy allows."""
    SUMMARY = 2
    """Merged into one rolling document."""
    BEST_EFFORT = 3
    """For live readers, for a short time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The pause after failed attempt n: initial * multiplier^(n-1), at most max, give or take jitter."""

    initial: Duration | None = None
    """Default 1 s."""
    multiplier: float | None = None
    """1 makes the pause fixed. Default 2."""
    max: Duration | None = None
    """Default 60 s."""
    jitter: float | None = None
    """Share of the pause, 0 to 1. Default 0.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How an execution is retried and kept; None means the engine's default."""

    max_attempts: int | None = None
    """Attempts ended by a failure or an attempt timeout, the first included. Default 4."""
    backoff: Backoff | None = None
    """The pause between attempts."""
    retryable_categories: Sequence[str] = ()
    """Failure categories worth another attempt. Empty: all but those below."""
    non_retryable_categories: Sequence[str] = ()
    """Failure categories that end the execution at once."""
    attempt_timeout: Duration | None = None
    """An attempt that takes longer is ended and retried. Default: none."""
    max_reclaims: int | None = None
    """Lost leases survived before the execution fails. Default 100."""
    reclaim_delay: Duration | None = None
    """Pause before an execution whose lease was lost is queued again. Default: none."""
    max_replays: int | None = None
    """Default 10."""
    retention: Duration | None = None
    """How long a terminal execution is kept."""
    output_max_frames: int | None = None
    """Frames kept of the output, or up to a hundred more. Default 10,000."""
    output_max_bytes: int | None = None
    """Bytes kept of the output. Default 64 MiB."""
    summary_max_bytes: int | None = None
    """Largest summary. Default 64 KiB."""
    best_effort_ttl: Duration | None = None
    """How long best-effort frames are kept for readers, about. Default 30 s."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One execution to submit; see `Client.submit` for each field's default."""

    kind: str
    """What is to be done: the name of the worker's task."""
    input: object = None
    """Bytes as they are, None as nothing, everything else as JSON."""
    lane: str = "default"
    """Queue of work."""
    priority: int = 0
    """0 to 9000, higher first."""
    requires: Sequence[str] = ()
    """Capabilities a worker must all have."""
    tags: Mapping[str, str] | None = None
    """Keys as `area.name` in lower case."""
    idempotency_key: str = ""
    """A repeat with the same key returns the first execution."""
    idempotency_ttl: Duration | None = None
    """How long the key is remembered. Default 24 h."""
    start_at: datetime | None = None
    """Not started before this; must know its time zone."""
    delay: Duration | None = None
    """Not started before this has passed; instead of start_at."""
    deadline: Duration | None = None
    """Ends as expired when not terminal by then."""
    policy: Policy | None = None
    """How it is retried and kept."""
    traceparent: str = ""
    """W3C trace context, carried to the worker."""


@dataclass(frozen=True, slots=True)
class Submission:
    """The engine's answer to a submit."""

    execution_id: str
    """Name of the execution from now on."""
    duplicate: bool = False
    """Whether the idempotency key returned an earlier execution."""


@dataclass(frozen=True, slots=True)
class StateVector:
    """The six dimensions behind `State`; docs/reference/states.md lists the values."""

    lifecycle_phase: str = ""
    ownership_state: str = ""
    eligibility_state: str = ""
    blocking_reason: str = ""
    """Why it is not running, `waiting_for_capable_worker` for one."""
    terminal_outcome: str = ""
    attempt_state: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease in force."""

    worker_id: str
    epoch: int
    grant_time: datetime | None
    expire_time: datetime | None
    confirmed: bool
    """False until the worker has renewed it once."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed."""

    type: str
    """For programs: the task's error class, or `attempt_timeout` and the like."""
    message: str
    category: str
    """transient, permanent, infra_crash, timeout, or the task's own word."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A lease that ended without ending the execution."""

    epoch: int
    attempt: int
    worker_id: str
    grant_time: datetime | None
    end_time: datetime | None
    ending: str
    """failed, delayed, attempt_timeout, lease_expired, lease_revoked, released or replayed."""
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Step:
    """A durable step of a handler, or anything else that it has recorded."""

    key: str
    """Its place among the handler's steps."""
    kind: str
    """step, wait, sleep, value or waitpoint."""
    name: str
    state: str
    """running, waiting, done or failed."""
    runs: int
    """How often it was run."""
    uncertain: bool
    """It may have run once more than recorded: an earlier holder vanished."""
    failure: Failure | None
    start_time: datetime | None
    end_time: datetime | None
    due_time: datetime | None
    """Of a wait or sleep."""
    data_bytes: int
    """Size of what it returned."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the task last said of itself."""

    percent: float
    """0 to 100."""
    message: str
    update_time: datetime | None


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """That somebody asked for the execution to stop."""

    reason: str
    request_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution as the engine sees it."""

    execution_id: str
    state: State
    namespace: str = "default"
    lane: str = "default"
    kind: str = ""
    payload: bytes = b""
    """The input; only when `Client.get` was asked for it."""
    priority: int = 0
    requires: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = Policy()
    deadline: timedelta | None = None
    """As submitted; `deadline_time` is when it comes."""
    traceparent: str = ""
    state_vector: StateVector = StateVector()
    create_time: datetime | None = None
    start_time: datetime | None = None
    """First claimed."""
    end_time: datetime | None = None
    due_time: datetime | None = None
    """When a delayed execution is queued."""
    deadline_time: datetime | None = None
    attempt: int = 0
    """Number of the current or last attempt, from 1; 0 before the first."""
    failed_attempts: int = 0
    """Attempts that failed or timed out."""
    reclaims: int = 0
    """Leases lost so far."""
    replays: int = 0
    lease: Lease | None = None
    history: tuple[LeaseRecord, ...] = ()
    """Every earlier lease, oldest first; not in lists."""
    progress: Progress | None = None
    failure: Failure | None = None
    cancel: CancelRequest | None = None
    result_bytes: int = 0
    output_frames: int = 0
    suspension: Suspension | None = None
    """Set while suspended, and after it until the next suspension."""
    steps: tuple[Step, ...] = ()
    """What its handler has recorded, oldest first, the newest 200; not in lists."""
    steps_total: int = 0
    summary_version: int = 0
    """Of the summary; 0 when there is none."""

    def ending(self) -> str:
        """How it ended, as the end of a sentence."""
        if self.failure is not None:
            return f"{self.state.value}: {self.failure.type}: {self.failure.message}"
        if self.cancel is not None and self.cancel.reason:
            return f"{self.state.value}: {self.cancel.reason}"
        return self.state.value


@dataclass(frozen=True, slots=True)
class ExecutionPage:
    """Some of the executions that match."""

    executions: tuple[Execution, ...]
    next_page_token: str
    """Empty on the last page."""


@dataclass(frozen=True, slots=True)
class OutputFrame:
    """One piece of what running work says."""

    cursor: str
    """Place in the stream; pass it as `after` to go on from here."""
    attempt: int
    number: int
    """Number within the attempt, from 1."""
    kind: FrameKind
    data: bytes
    time: datetime | None
    frame_class: FrameClass = FrameClass.DURABLE
    version: int = 0
    """Of a summary: grows by one with each change."""


@dataclass(frozen=True, slots=True)
class OutputPage:
    """Some frames of the output."""

    frames: tuple[OutputFrame, ...]
    next: str
    """Pass as `after` to go on."""
    close_reason: str = ""
    """completed, failed, cancelled or expired once the stream is closed and read to its end."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """What became of a lease that was to be revoked."""

    revoked: bool
    """False when there was no lease."""
    epoch: int
    state: State


@dataclass(frozen=True, slots=True)
class Summary:
    """The rolling document that an execution has made of itself."""

    document: bytes
    """JSON."""
    version: int
    """Grows by one with each change."""
    cursor: str
    """Of the last change: a tail after it sends only what came later."""
    time: datetime | None
