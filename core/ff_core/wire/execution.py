"""Executions between the wire and the engine: submissions checked, records shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ff_core import ids, keys
from ff_core.capabilities import class_of, required_by
from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.execution import ExecutionRecord, NewExecution
from ff_core.journal import KeepMode
from ff_core.state import State, vector_of
from ff_core.suspension import SuspensionRecord
from ff_core.wire import names
from ff_core.wire.journal import step_message
from ff_core.wire.suspension import suspension_message
from ff_core.wire.time import duration, point, point_ms, span_ms, timestamp
from flowfabric_api.execution.v1 import execution_pb2 as pb

MAX_PRIORITY = 9000
DAY_MS = 86_400_000
#: What the rules take for the largest summary; anything else is stored.
SUMMARY_BYTES = 64 << 10
MAX_SUMMARY_BYTES = 1 << 20

PUBLIC_STATES = {state: getattr(pb, f"PUBLIC_STATE_{state.name}") for state in State}
STATES = {number: state for state, number in PUBLIC_STATES.items()}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a submission may ask for."""

    max_payload_bytes: int
    retention_ms: int
    """Kept this long when the policy does not say."""
    max_summary_bytes: int = SUMMARY_BYTES
    """Largest summary when the policy does not say."""


def new_execution(request: pb.CreateExecutionRequest, limits: Limits, partitions: int) -> NewExecution:
    """Checks a submission. Raises INVALID_ARGUMENT or PAYLOAD_TOO_LARGE naming the field."""
    spec = request.spec
    if len(spec.payload) > limits.max_payload_bytes:
        raise EngineError(
            ErrorCode.PAYLOAD_TOO_LARGE,
            f"spec.payload: {len(spec.payload)} bytes; at most {limits.max_payload_bytes}",
            field="spec.payload",
        )
    if not 0 <= spec.priority <= MAX_PRIORITY:
        raise invalid("spec.priority", f"{spec.priority}; 0 to {MAX_PRIORITY}")
    if spec.HasField("start_time") and spec.HasField("start_delay"):
        raise invalid("spec.start_delay", "start_time is given too; at most one of them")
    namespace = names.name(spec.namespace, "spec.namespace", names.DEFAULT)
    key = request.idempotency_key and names.identifier(request.idempotency_key, "idempotency_key")
    partition = ids.partition_of_key(namespace, key, partitions) if key else ids.random_partition(partitions)
    policy = new_policy(spec.policy)
    policy.setdefault("retention_ms", limits.retention_ms)
    if policy["retention_ms"] == DAY_MS:
        del policy["retention_ms"]
    policy.setdefault("summary_max_bytes", limits.max_summary_bytes)
    if policy["summary_max_bytes"] == SUMMARY_BYTES:
        del policy["summary_max_bytes"]
    return NewExecution(
        execution_id=ids.new_execution_id(partition),
        namespace=namespace,
        lane=names.name(spec.lane, "spec.lane", names.DEFAULT),
        kind=names.name(spec.kind, "spec.kind"),
        class_name=class_of(spec.required_capabilities, "spec.required_capabilities"),
        payload=spec.payload,
        priority=spec.priority,
        tags=names.tags(spec.tags, "spec.tags") if spec.tags else {},
        delay_until_ms=point_ms(spec.start_time, "spec.start_time") if spec.HasField("start_time") else 0,
        delay_ms=span_ms(spec.start_delay, "spec.start_delay") if spec.HasField("start_delay") else 0,
        deadline_ms=span_ms(spec.deadline, "spec.deadline", least=1) if spec.HasField("deadline") else None,
        attempt_timeout_ms=(
            span_ms(spec.policy.attempt_timeout, "spec.policy.attempt_timeout", least=1)
            if spec.policy.HasField("attempt_timeout")
            else None
        ),
        policy=policy,
        traceparent=names.text(spec.traceparent, "spec.traceparent", 256),
        idempotency_key=key,
        idempotency_ttl_ms=(
            span_ms(request.idempotency_ttl, "idempotency_ttl", least=1, most=30 * DAY_MS)
            if request.HasField("idempotency_ttl")
            else DAY_MS
        ),
    )


def new_policy(policy: pb.Policy) -> dict[str, object]:
    """What a policy sets, by the names of prelude.lua."""
    found: dict[str, object] = {}
    _whole(found, policy, "max_attempts", 1, 1000)
    _whole(found, policy, "max_reclaims", 0, 1_000_000)
    _whole(found, policy, "max_replays", 0, 1_000_000)
    _whole(found, policy, "output_max_frames", 1, 1_000_000)
    _whole(found, policy, "output_max_bytes", 1, 1 << 32)
    _whole(found, policy, "summary_max_bytes", 2, MAX_SUMMARY_BYTES)
    _span(found, policy, "best_effort_ttl", "best_effort_ttl_ms", "spec.policy.", least=1, most=DAY_MS)
    _span(found, policy, "reclaim_delay", "reclaim_delay_ms", "spec.policy.")
    _span(found, policy, "retention", "retention_ms", "spec.policy.")
    for field in ("retryable_categories", "non_retryable_categories"):
        categories = [names.name(word, f"spec.policy.{field}") for word in getattr(policy, field)]
        if len(categories) > 32:
            raise invalid(f"spec.policy.{field}", "at most 32")
        if categories:
            found[field] = sorted(categories)
    backoff = policy.backoff
    _span(found, backoff, "initial", "backoff_initial_ms", "spec.policy.backoff.")
    _span(found, backoff, "max", "backoff_max_ms", "spec.policy.backoff.")
    if backoff.HasField("multiplier"):
        if not (math.isfinite(backoff.multiplier) and 1 <= backoff.multiplier <= 100):
            raise invalid("spec.policy.backoff.multiplier", "1 to 100")
        found["backoff_multiplier"] = backoff.multiplier
    if backoff.HasField("jitter"):
        if not 0 <= backoff.jitter <= 1:
            raise invalid("spec.policy.backoff.jitter", "0 to 1")
        found["backoff_jitter"] = backoff.jitter
    return found


def _whole(found: dict[str, object], policy: pb.Policy, field: str, least: int, most: int) -> None:
    if policy.HasField(field):
        value = getattr(policy, field)
        if not least <= value <= most:
            raise invalid(f"spec.policy.{field}", f"{value}; {least} to {most}")
        found[field] = value


def _span(found: dict[str, object], holder: Any, field: str, stored: str, path: str, **bounds: int) -> None:
    if holder.HasField(field):
        found[stored] = span_ms(getattr(holder, field), path + field, **bounds)


def kept_journal(request: pb.ReplayExecutionRequest) -> tuple[KeepMode, str]:
    """What a replay keeps of the journal, and through which step. Raises INVALID_ARGUMENT."""
    if request.WhichOneof("keep") == "keep_journal_through":
        return "through", names.identifier(request.keep_journal_through, "keep_journal_through")
    return ("all" if request.keep_journal else "fresh"), ""


HasCapableWorker = Callable[[str], bool]
"""Whether a live worker could run what waits in a queue."""


def execution_message(
    record: ExecutionRecord, has_capable_worker: HasCapableWorker, suspension: SuspensionRecord | None = None
) -> pb.Execution:
    """A record as clients see it, with its current or last suspension."""
    state = record.state
    capable = state is not State.WAITING or has_capable_worker(record.text("queue"))
    vector = vector_of(state, record.text("reason"), record.text("attempt_state"), has_capable_worker=capable)
    message = pb.Execution(
        execution_id=record.execution_id,
        spec=_spec(record),
        state=PUBLIC_STATES[state],
        state_vector=pb.StateVector(
            lifecycle_phase=vector.lifecycle_phase,
            ownership_state=vector.ownership_state,
            eligibility_state=vector.eligibility_state,
            blocking_reason=vector.blocking_reason,
            terminal_outcome=vector.terminal_outcome,
            attempt_state=vector.attempt_state,
        ),
        create_time=timestamp(record.number("created_at")),
        start_time=timestamp(record.number("started_at")),
        end_time=timestamp(record.number("ended_at")) if state.is_terminal else None,
        due_time=timestamp(record.number("due_at")) if state is State.DELAYED else None,
        deadline_time=timestamp(record.number("deadline_at")),
        attempt=record.number("attempt"),
        failed_attempts=record.number("failures"),
        reclaims=record.number("reclaims"),
        replays=record.number("replays"),
        result_bytes=record.number("result_bytes"),
        output_frames=record.number("output_frames"),
        summary_version=record.number("summary_version"),
        steps=[step_message(entry) for entry in record.steps],
        steps_total=record.steps_total,
        suspension=suspension_message(suspension) if suspension is not None else None,
    )
    if state is State.ACTIVE:
        message.lease.CopyFrom(_lease(record))
    progress = record.core.get("progress")
    if progress:
        message.progress.percent = progress.get("percent", 0)
        message.progress.message = progress.get("message", "")
        message.progress.update_time.CopyFrom(point(int(progress["at"])))
    if record.core.get("failure"):
        message.failure.CopyFrom(pb.Failure(**record.core["failure"]))
    if record.text("cancel_at"):
        message.cancel.reason = record.text("cancel_reason")
        message.cancel.request_time.CopyFrom(point(record.number("cancel_at")))
    for epoch, ended in record.history:
        message.history.append(_history(epoch, ended))
    return message


def _spec(record: ExecutionRecord) -> pb.ExecutionSpec:
    namespace, lane, class_name = keys.parse_queue(record.text("queue"))
    spec = pb.ExecutionSpec(
        namespace=namespace,
        lane=lane,
        kind=record.text("kind"),
        payload=record.payload,
        priority=record.number("priority"),
        required_capabilities=sorted(required_by(class_name)),
        tags=record.tags,
        traceparent=record.text("traceparent"),
    )
    if record.text("deadline_ms"):
        spec.deadline.CopyFrom(duration(record.number("deadline_ms")))
    if record.text("attempt_timeout_ms"):
        spec.policy.attempt_timeout.CopyFrom(duration(record.number("attempt_timeout_ms")))
    _show_policy(spec.policy, record.core.get("policy", {}))
    return spec


_SPANS = {
    "reclaim_delay_ms": "reclaim_delay",
    "retention_ms": "retention",
    "best_effort_ttl_ms": "best_effort_ttl",
    "backoff_initial_ms": "initial",
    "backoff_max_ms": "max",
}
_SHARES = {"backoff_multiplier": "multiplier", "backoff_jitter": "jitter"}


def _show_policy(policy: pb.Policy, stored: dict[str, Any]) -> None:
    for name, value in stored.items():
        holder = policy.backoff if name.startswith("backoff_") else policy
        if name in _SPANS:
            getattr(holder, _SPANS[name]).CopyFrom(duration(value))
        elif name in _SHARES:
            setattr(holder, _SHARES[name], value)
        elif isinstance(value, list):
            getattr(holder, name).extend(value)
        else:
            setattr(holder, name, value)


def _lease(record: ExecutionRecord) -> pb.Lease:
    return pb.Lease(
        worker_id=record.text("worker"),
        epoch=record.number("epoch"),
        grant_time=timestamp(record.number("granted_at")),
        expire_time=timestamp(record.number("expires_at")),
        confirmed=bool(record.core.get("confirmed")),
    )


def _history(epoch: int, ended: dict[str, Any]) -> pb.LeaseRecord:
    message = pb.LeaseRecord(
        epoch=epoch,
        attempt=ended["attempt"],
        worker_id=ended["worker"],
        grant_time=timestamp(ended["granted_at"]),
        end_time=timestamp(ended["ended_at"]),
        ending=ended["ending"],
    )
    if ended.get("failure"):
        message.failure.CopyFrom(pb.Failure(**ended["failure"]))
    return message
