"""The worker protocol between the wire and the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer as Messages

from ff_core import ids
from ff_core.capabilities import class_of
from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.lease import Answer, CancelNotice, Grant, Outcome, Verdict
from ff_core.suspension import Resumption, SuspensionLimits
from ff_core.waitpoint import WaitpointRecord
from ff_core.wire import names
from ff_core.wire.journal import add_entries
from ff_core.wire.status import status_of, status_of_code
from ff_core.wire.suspension import placed, signal_message, suspend_spec
from ff_core.wire.time import point, span_ms
from ff_core.worker import Pool
from flowfabric_api.suspension.v1 import suspension_pb2
from flowfabric_api.worker.v1 import worker_pb2 as pb

MAX_POOLS = 16
MAX_SLOTS = 100_000
MAX_KINDS = 1000
MAX_DELAY_MS = 366 * 86_400_000


def pools(messages: Sequence[pb.Pool]) -> tuple[Pool, ...]:
    """Checks the pools of a Hello."""
    if not 1 <= len(messages) <= MAX_POOLS:
        raise invalid("hello.pools", f"{len(messages)} pools; 1 to {MAX_POOLS}")
    return tuple(pool(message, f"hello.pools[{place}]") for place, message in enumerate(messages))


def pool(message: pb.Pool, field: str) -> Pool:
    """Checks one pool."""
    if not 1 <= message.slots <= MAX_SLOTS:
        raise invalid(f"{field}.slots", f"{message.slots}; 1 to {MAX_SLOTS}")
    return Pool(
        lanes(message.lanes, f"{field}.lanes"),
        capabilities(message.capabilities, f"{field}.capabilities"),
        message.slots,
    )


def lanes(values: Sequence[str], field: str) -> tuple[str, ...]:
    """Checks the lanes of a pool."""
    if not 1 <= len(values) <= 64:
        raise invalid(field, f"{len(values)} lanes; 1 to 64")
    return tuple(dict.fromkeys(names.name(lane, field) for lane in values))


def capabilities(values: Iterable[str], field: str) -> frozenset[str]:
    """Checks the capabilities of a pool."""
    class_name = class_of(values, field)
    return frozenset(class_name.split(",")) if class_name else frozenset()


def kinds(values: Sequence[str]) -> tuple[str, ...]:
    """Checks the kinds of a Hello."""
    if len(values) > MAX_KINDS:
        raise invalid("hello.kinds", f"{len(values)} kinds; at most {MAX_KINDS}")
    return tuple(sorted({names.name(kind, "hello.kinds") for kind in values}))


def add_grant(messages: Messages[pb.Grant], grant: Grant, pool_index: int, number: int) -> None:
    """Appends a grant to a repeated field."""
    # Set one by one: half the cost of passing them to `add`, and this is where every grant goes through.
    message = messages.add()
    message.pool = pool_index
    message.number = number
    message.lease = grant.lease
    message.execution_id = ids.execution_of_lease(grant.lease)
    message.kind = grant.kind
    message.attempt = int(grant.lease.split(b":", 2)[1])
    message.payload = grant.payload
    if grant.traceparent:
        message.traceparent = grant.traceparent
    if grant.deadline_ms:
        message.deadline.CopyFrom(point(grant.deadline_ms))
    if grant.attempt_deadline_ms:
        message.attempt_deadline.CopyFrom(point(grant.attempt_deadline_ms))
    if grant.journal:
        add_entries(message.journal, grant.journal)
    if grant.journal_is_partial:
        message.journal_is_partial = True
    if grant.resumption is not None:
        message.resumption.CopyFrom(resumption_message(grant.resumption))
    if grant.recovered:
        message.recovered = True


def resumption_message(resumption: Resumption) -> suspension_pb2.Resumption:
    """Why an execution runs again, as its worker sees it."""
    return suspension_pb2.Resumption(
        suspension=resumption.suspension,
        ending=resumption.ending,
        signals=[signal_message(signal) for signal in resumption.signals],
        is_partial=resumption.is_partial,
    )


def outcome(message: pb.Outcome, max_result_bytes: int, suspensions: SuspensionLimits, kid: str) -> Outcome:
    """Checks an outcome; `kid` is the key for waitpoints that it makes.

    Raises INVALID_ARGUMENT or PAYLOAD_TOO_LARGE.
    """
    kind = message.WhichOneof("result")
    if kind == "completed":
        result = message.completed.result
        if len(result) > max_result_bytes:
            raise EngineError(
                ErrorCode.PAYLOAD_TOO_LARGE,
                f"result: {len(result)} bytes; at most {max_result_bytes}",
                field="result",
            )
        return Outcome(message.lease, "complete", (result,))
    if kind == "failed":
        return Outcome(message.lease, "fail", _failure(message.failed))
    if kind == "delayed":
        return Outcome(message.lease, "delay", (span_ms(message.delayed.delay, "delay", most=MAX_DELAY_MS),))
    if kind == "cancelled":
        return Outcome(message.lease, "stop")
    if kind == "suspended":
        spec = suspend_spec(message.suspended, message.lease, "suspended", suspensions)
        return Outcome(message.lease, "suspend", (spec.document(), kid))
    raise invalid("outcome.result", "one of completed, failed, delayed, cancelled, suspended")


def _failure(failed: pb.Failed) -> tuple[bytes | str | int, ...]:
    category = names.name(failed.category, "failed.category", "transient")
    delay: str | int = ""
    if failed.HasField("retry_delay"):
        delay = span_ms(failed.retry_delay, "failed.retry_delay", most=MAX_DELAY_MS)
    return (
        names.text(failed.type, "failed.type", 256) or "error",
        failed.message.encode()[:4096].decode("utf-8", "ignore"),
        category,
        1 if failed.non_retryable else 0,
        delay,
    )


def answer(
    message: pb.OutcomeResult,
    lease: bytes,
    verdict: Answer,
    told: Callable[[WaitpointRecord], suspension_pb2.Waitpoint],
) -> None:
    """Fills the answer to an outcome; a status that is not set is OK. `told` shows a waitpoint it made."""
    message.lease = lease
    if isinstance(verdict, str):  # nearly always
        message.answer = verdict
    elif isinstance(verdict, ErrorCode):
        message.status.CopyFrom(status_of_code(verdict))
    elif isinstance(verdict, EngineError):
        message.status.CopyFrom(status_of(placed(verdict, "suspended")))
    else:
        message.answer, message.suspension = verdict.answer, verdict.number
        message.waitpoints.extend(told(waitpoint) for waitpoint in verdict.waitpoints)


def progress(message: pb.ProgressReport) -> tuple[bytes, float | None, str | None]:
    """Checks a progress report."""
    percent = message.percent if message.HasField("percent") else None
    if percent is not None and not (math.isfinite(percent) and 0 <= percent <= 100):
        raise invalid("progress.percent", f"{percent}; 0 to 100")
    text = names.text(message.message, "progress.message", 1024) if message.HasField("message") else None
    return message.lease, percent, text


def add_verdict(
    lease: bytes, verdict: Verdict, lost: Messages[pb.LeaseException], cancels: Messages[pb.CancelRequested]
) -> None:
    """Sorts the verdict of a renewal into the lists of an answer; nothing for a lease that is simply held."""
    if isinstance(verdict, CancelNotice):
        cancel = cancels.add(lease=lease, reason=verdict.reason)
        cancel.deadline.CopyFrom(point(verdict.stop_at_ms))
    elif verdict is not None:
        lost.add(lease=lease, status=status_of_code(verdict))
