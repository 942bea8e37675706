"""Every error the engine can answer with, in one table.

    EngineError                     raised by the store and the edges, caught by the interceptor
      └── code: ErrorCode           what programs switch on; the wire calls it ErrorInfo.reason
            ├── grpc                canonical status
            ├── http                status over REST
            ├── retryable           whether the same call may succeed later
            └── sentence            for people; docs/reference/errors.md is made from it

A code that Lua returns has the same name there. `tests/unit/core/test_errors.py` compares both.
"""

from __future__ import annotations

from enum import Enum

import grpc

DOMAIN = "flowfabric"


class ErrorCode(Enum):
    """Name, gRPC status, HTTP status, retryable, sentence."""

    EXECUTION_NOT_FOUND = (
        "NOT_FOUND", 404, False, "No such execution: the id is wrong or its retention is over."
    )
    EXECUTION_NOT_SUSPENDED = (
        "FAILED_PRECONDITION", 409, False, "Only a suspended execution can be resumed; this one is in another state."
    )
    EXECUTION_NOT_TERMINAL = (
        "FAILED_PRECONDITION", 409, False, "Only a terminal execution can be replayed; cancel it first."
    )
    EXECUTION_TERMINAL = (
        "FAILED_PRECONDITION", 409, False, "The execution has ended; replay it to run it again."
    )
    IDEMPOTENCY_CONFLICT = (
        "ALREADY_EXISTS", 409, False, "The idempotency key was used for different content; choose another key."
    )
    INTERNAL = ("INTERNAL", 500, False, "A bug in the engine; its log has the details.")
    INVALID_ARGUMENT = ("INVALID_ARGUMENT", 400, False, "A field is missing or malformed; nothing was changed.")
    JOURNAL_FULL = (
        "FAILED_PRECONDITION", 409, False, "The journal of the execution holds as many entries or bytes as it may."
    )
    KEY_CONFLICT = (
        "ALREADY_EXISTS", 409, False, "A key of this name has another secret; choose another name."
    )
    LEASE_EXPIRED = (
        "FAILED_PRECONDITION", 409, False, "The lease ran out before it was renewed; stop the work."
    )
    LEASE_REVOKED = ("FAILED_PRECONDITION", 409, False, "The lease was taken back; stop the work.")
    LEASE_STALE = (
        "FAILED_PRECONDITION", 409, False, "The lease is not the current one of its execution; stop the work."
    )
    OUTPUT_CLOSED = (
        "FAILED_PRECONDITION", 409, False, "The output stream is closed: the execution has ended."
    )
    OUTPUT_GAP = (
        "OUT_OF_RANGE", 409, False, "A frame number is not the one after the last stored; resend from there."
    )
    PAYLOAD_TOO_LARGE = (
        "INVALID_ARGUMENT", 413, False, "The payload, result or frame is over its limit; pass a reference instead."
    )
    REPLAYS_EXHAUSTED = (
        "FAILED_PRECONDITION", 409, False, "The execution was replayed as often as its policy allows."
    )
    RESULT_NOT_READY = (
        "FAILED_PRECONDITION", 404, False, "There is no result: the execution is not completed."
    )
    SCHEDULER_UNAVAILABLE = (
        "UNAVAILABLE", 503, True, "No scheduler is reachable, so no work can be claimed; try again."
    )
    SESSION_SUPERSEDED = (
        "ABORTED", 409, False, "A newer session with this worker id exists; give each worker its own id."
    )
    SHUTTING_DOWN = ("UNAVAILABLE", 503, True, "This process is shutting down; connect to another.")
    SIGNALS_FULL = (
        "RESOURCE_EXHAUSTED", 429, True, "As many signals as may wait are kept for this execution or waitpoint; try again later."
    )
    STEP_MISMATCH = (
        "FAILED_PRECONDITION", 409, False, "The handler does another step than was recorded in this place; restore the old order, or replay afresh."
    )
    STEP_NOT_FOUND = ("NOT_FOUND", 404, False, "The journal of the execution has no such step.")
    STORE_UNAVAILABLE = ("UNAVAILABLE", 503, True, "Valkey does not answer; try again.")
    TOKEN_INVALID = ("PERMISSION_DENIED", 403, False, "The token does not open this waitpoint.")
    TOO_MANY_STREAMS = (
        "RESOURCE_EXHAUSTED", 429, True, "As many watches and tails as this gateway allows are open; back off."
    )
    UNAUTHENTICATED = (
        "UNAUTHENTICATED", 401, False, "A valid `authorization: Bearer <token>` is required."
    )
    UNIMPLEMENTED = ("UNIMPLEMENTED", 501, False, "There is no such method or route.")
    WAITPOINTS_FULL = (
        "FAILED_PRECONDITION", 409, False, "The execution has as many open waitpoints as it may."
    )
    WAITPOINT_CLOSED = (
        "FAILED_PRECONDITION", 409, False, "The waitpoint takes no more signals: it was used, or what waited has gone on."
    )
    WAITPOINT_NOT_FOUND = ("NOT_FOUND", 404, False, "The execution has no open waitpoint of this name.")

    def __init__(self, grpc_name: str, http: int, retryable: bool, sentence: str) -> None:
        self.grpc: grpc.StatusCode = getattr(grpc.StatusCode, grpc_name)
        self.http = http
        self.retryable = retryable
        self.sentence = sentence


class EngineError(Exception):
    """A refusal or failure with a code; `detail` says what exactly, `field` where in the request."""

    def __init__(
        self,
        code: ErrorCode,
        detail: str = "",
        *,
        field: str = "",
        retry_after_ms: int = 0,
        metadata: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code.sentence} {detail}".rstrip())
        self.code = code
        self.detail = detail
        self.field = field
        self.retry_after_ms = retry_after_ms
        self.metadata = metadata or {}


def invalid(field: str, why: str) -> EngineError:
    """The error for a malformed request field."""
    return EngineError(ErrorCode.INVALID_ARGUMENT, f"{field}: {why}", field=field)
