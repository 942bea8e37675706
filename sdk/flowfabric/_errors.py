"""Every exception a user of the SDK can meet.

FlowFabricError
  ├── EngineError               the engine's answer; switch on the class or on `reason`
  │     ├── IdempotencyConflict   the key was used for other content
  │     ├── InvalidArgument       a field is missing or malformed
  │     │     └── PayloadTooLarge
  │     ├── JournalFull           the handler has recorded more than an execution may
  │     ├── LeaseLost             expired, revoked or stale: stop the work
  │     ├── NotFound              no such execution, waitpoint or step
  │     ├── ResultNotReady        it is not completed
  │     ├── SessionSuperseded     another worker runs under this worker id
  │     ├── StepMismatch          the handler takes other steps than were recorded
  │     ├── TokenInvalid          the token does not open this waitpoint
  │     ├── TooManyRequests       back off
  │     ├── Unauthenticated       the token is missing or wrong
  │     ├── Unavailable           nobody answered; the same call may succeed later
  │     └── WrongState            the execution's state does not allow the call
  ├── ExecutionEnded            `Client.result` of an execution that did not complete
  │     ├── ExecutionCancelled
  │     ├── ExecutionExpired
  │     └── ExecutionFailed
  ├── StepFailed                a durable step failed for good; its handler may go on
  ├── StepUnknown               a durable step may have run, and is not to run twice
  └── WaitTimedOut              nothing came in time for `Context.wait_for`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

if TYPE_CHECKING:
    from flowfabric._execution import Execution, Failure

DOMAIN = "flowfabric"


class FlowFabricError(Exception):
    """Base of everything the SDK raises on purpose."""


class EngineError(FlowFabricError):
    """The engine refused or failed."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        """Name of the error, `EXECUTION_NOT_FOUND` for one; docs/reference/errors.md lists them."""
        self.message = message
        """The engine's sentence, for people."""
        self.retryable = retryable
        """Whether the same call may succeed later."""
        self.retry_after = retry_after
        """Seconds the engine asks to wait before that."""


class IdempotencyConflict(EngineError):
    """The idempotency key was used for different content."""


class InvalidArgument(EngineError):
    """A field of the request is missing or malformed; nothing was changed."""


class PayloadTooLarge(InvalidArgument):
    """The payload, result or frame is over its limit; pass a reference instead."""


class JournalFull(EngineError):
    """The handler has recorded more entries, or more bytes, than one execution may."""


class LeaseLost(EngineError):
    """The lease expired, was revoked or is not the current one; stop the work."""


class NotFound(EngineError):
    """No such execution, waitpoint or step: the name is wrong or its retention is over."""


class ResultNotReady(EngineError):
    """The execution is not completed, so there is no result."""


class SessionSuperseded(EngineError):
    """A newer session with this worker id exists; give each worker its own id."""


class StepMismatch(EngineError):
    """The handler takes other steps than an earlier run recorded; the message names the first."""


class TokenInvalid(EngineError):
    """The token does not open this waitpoint, or it has expired."""


class TooManyRequests(EngineError):
    """A limit of the engine is reached; back off."""


class Unauthenticated(EngineError):
    """The token is missing or wrong."""


class Unavailable(EngineError):
    """Nobody answered; the same call may succeed later."""


class WrongState(EngineError):
    """The state of the execution does not allow the call."""


class ExecutionEnded(FlowFabricError):
    """The execution ended without a result."""

    def __init__(self, execution: Execution) -> None:
        super().__init__(f"execution {execution.execution_id} {execution.ending()}")
        self.execution = execution
        """The execution as it ended."""


class ExecutionCancelled(ExecutionEnded):
    """The execution was cancelled."""


class ExecutionExpired(ExecutionEnded):
    """The deadline of the execution passed."""


class ExecutionFailed(ExecutionEnded):
    """The execution failed and its policy allows no further attempt."""


class StepFailed(FlowFabricError):
    """A durable step failed for good, in this run or an earlier one."""

    def __init__(self, step: str, failure: Failure) -> None:
        super().__init__(f"step {step} failed: {failure.type}: {failure.message}")
        self.step = step
        """Name of the step."""
        self.failure = failure
        """Why, as it was recorded."""


class StepUnknown(FlowFabricError):
    """A durable step was begun by a worker that vanished; whether it took effect is not known."""

    def __init__(self, step: str) -> None:
        super().__init__(f"step {step} was begun, and nobody knows how it ended")
        self.step = step
        """Name of the step."""


class WaitTimedOut(FlowFabricError):
    """Nothing came in time that would have satisfied the wait."""

    def __init__(self, wait: str) -> None:
        super().__init__(f"nothing satisfied {wait} in time")
        self.wait = wait
        """Name of the wait."""


BY_REASON: dict[str, type[EngineError]] = {
    "EXECUTION_NOT_FOUND": NotFound,
    "IDEMPOTENCY_CONFLICT": IdempotencyConflict,
    "JOURNAL_FULL": JournalFull,
    "LEASE_EXPIRED": LeaseLost,
    "LEASE_REVOKED": LeaseLost,
    "LEASE_STALE": LeaseLost,
    "PAYLOAD_TOO_LARGE": PayloadTooLarge,
    "RESULT_NOT_READY": ResultNotReady,
    "SESSION_SUPERSEDED": SessionSuperseded,
    "STEP_MISMATCH": StepMismatch,
    "TOKEN_INVALID": TokenInvalid,
}

BY_CODE: dict[int, type[EngineError]] = {
    code_pb2.FAILED_PRECONDITION: WrongState,
    code_pb2.INVALID_ARGUMENT: InvalidArgument,
    code_pb2.NOT_FOUND: NotFound,
    code_pb2.RESOURCE_EXHAUSTED: TooManyRequests,
    code_pb2.UNAUTHENTICATED: Unauthenticated,
    code_pb2.UNAVAILABLE: Unavailable,
}

RETRYABLE = frozenset({code_pb2.RESOURCE_EXHAUSTED, code_pb2.UNAVAILABLE})


def error_from_status(status: status_pb2.Status) -> EngineError:
    """The exception for a google.rpc.Status that is not OK."""
    reason = ""
    retryable = status.code in RETRYABLE
    retry_after: float | None = None
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo.FromString(detail.value)
            reason = info.reason if info.domain == DOMAIN else reason
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            pause = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
            retryable, retry_after = True, pause.seconds + pause.nanos / 1e9
    kind = BY_REASON.get(reason) or BY_CODE.get(status.code, EngineError)
    return kind(
        reason or code_name(status.code), status.message, retryable=retryable, retry_after=retry_after
    )


def error_from_call(error: grpc.aio.AioRpcError) -> EngineError:
    """The exception for a call that ended with a status."""
    try:
        rich = rpc_status.from_call(cast("grpc.Call", error))
    except ValueError:  # the details contradict the status: a proxy's answer, not the engine's
        rich = None
    code: int = error.code().value[0]
    return error_from_status(rich or status_pb2.Status(code=code, message=error.details() or ""))


def code_name(code: int) -> str:
    """The name of a canonical status code."""
    try:
        return str(code_pb2.Code.Name(code))
    except ValueError:
        return "UNKNOWN"
