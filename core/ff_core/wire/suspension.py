"""Suspensions, waitpoints and signals between the wire and the engine."""

from __future__ import annotations

import hashlib
from typing import Any

from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.signal import Delivered, Effect, NewSignal, SignalLimits, StoredSignal
from ff_core.suspension import (
    LONGEST_MS,
    NewWait,
    OnTimeout,
    SuspendSpec,
    SuspensionLimits,
    SuspensionRecord,
)
from ff_core.waitpoint import NewWaitpoint, Uses, WaitpointRecord, WaitpointRef
from ff_core.wire import names
from ff_core.wire.condition import Node, condition, show
from ff_core.wire.time import point, point_ms, span_ms, timestamp
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

DAY_MS = 86_400_000
MAX_WAITS = 16
MAX_WAITPOINTS = 64
MAX_TTL_MS = LONGEST_MS
MAX_IDEMPOTENCY_MS = 30 * DAY_MS

REASON_CODES = frozenset(
    {
        "waiting_for_signal",
        "waiting_for_approval",
        "waiting_for_callback",
        "waiting_for_tool_result",
        "waiting_for_timer",
        "waiting_for_operator_review",
        "manual_pause",
        "paused_by_policy",
        "step_boundary",
    }
)

_ON_TIMEOUT: dict[int, OnTimeout] = {
    pb.TIMEOUT_BEHAVIOUR_UNSPECIFIED: "fail",
    pb.TIMEOUT_BEHAVIOUR_FAIL: "fail",
    pb.TIMEOUT_BEHAVIOUR_CANCEL: "cancel",
    pb.TIMEOUT_BEHAVIOUR_EXPIRE: "expire",
    pb.TIMEOUT_BEHAVIOUR_AUTO_RESUME: "resume",
    pb.TIMEOUT_BEHAVIOUR_ESCALATE: "escalate",
}
_BEHAVIOURS = {
    "fail": pb.TIMEOUT_BEHAVIOUR_FAIL,
    "cancel": pb.TIMEOUT_BEHAVIOUR_CANCEL,
    "expire": pb.TIMEOUT_BEHAVIOUR_EXPIRE,
    "resume": pb.TIMEOUT_BEHAVIOUR_AUTO_RESUME,
    "escalate": pb.TIMEOUT_BEHAVIOUR_ESCALATE,
}
_USES: dict[int, Uses] = {
    pb.WAITPOINT_USE_UNSPECIFIED: "multi",
    pb.WAITPOINT_USE_SINGLE: "single",
    pb.WAITPOINT_USE_MULTIPLE: "multi",
}
_USE_NUMBERS = {"single": pb.WAITPOINT_USE_SINGLE, "multi": pb.WAITPOINT_USE_MULTIPLE}
_EFFECTS: dict[Effect, pb.SignalEffect] = {
    "resumed": pb.SIGNAL_EFFECT_RESUMED,
    "counted": pb.SIGNAL_EFFECT_COUNTED,
    "repeated": pb.SIGNAL_EFFECT_REPEATED,
    "unmatched": pb.SIGNAL_EFFECT_UNMATCHED,
    "buffered": pb.SIGNAL_EFFECT_BUFFERED,
}


def suspend_spec(
    message: pb.SuspendSpec, lease: bytes, field: str, limits: SuspensionLimits, requested_by: str = "worker"
) -> SuspendSpec:
    """Checks how the holder of a lease suspends. Raises INVALID_ARGUMENT with the path of what is wrong."""
    reason = message.reason_code or "waiting_for_signal"
    if reason not in REASON_CODES:
        raise invalid(f"{field}.reason_code", f"{reason[:80]!r}; one of {', '.join(sorted(REASON_CODES))}")
    if len(message.waitpoints) > MAX_WAITPOINTS:
        raise invalid(
            f"{field}.waitpoints", f"{len(message.waitpoints)} waitpoints; at most {MAX_WAITPOINTS}"
        )
    if not 1 <= len(message.waits) <= MAX_WAITS:
        raise invalid(f"{field}.waits", f"{len(message.waits)} waits; 1 to {MAX_WAITS}")
    waitpoints: dict[str, NewWaitpoint] = {}
    for number, each in enumerate(message.waitpoints):
        path = f"{field}.waitpoints[{number}]"
        new = new_waitpoint(each, path, limits, lease)
        if new.name in waitpoints:
            raise invalid(f"{path}.name", f"{new.name!r} is another's too")
        waitpoints[new.name] = new
    content = message.SerializeToString(deterministic=True)
    return SuspendSpec(
        reason_code=reason,
        requested_by=requested_by,
        waitpoints=tuple(waitpoints.values()),
        waits=tuple(
            _wait(each, f"{field}.waits[{number}]", waitpoints, limits)
            for number, each in enumerate(message.waits)
        ),
        fingerprint=hashlib.sha256(content).hexdigest()[:32],
        longest_ms=limits.max_suspension_ms,
        journal=limits.journal,
    )


def placed(error: EngineError, field: str) -> EngineError:
    """What the rules refused of a suspension, as an error of the request's `field`: they begin with the path
    within it."""
    path, colon, why = error.detail.partition(": ")
    if error.code is not ErrorCode.INVALID_ARGUMENT or error.field or not colon:
        return error
    return invalid(f"{field}.{path}" if path != "suspend" else field, why)


def new_waitpoint(
    message: pb.WaitpointSpec, field: str, limits: SuspensionLimits, lease: bytes | None = None
) -> NewWaitpoint:
    """Checks a waitpoint that is made, or with `lease` one that is bound: it is of the lease's execution."""
    name = names.name(message.name, f"{field}.name")
    if message.waitpoint_id:
        ref = WaitpointRef.parse(message.waitpoint_id)
        if ref is None or lease is None or lease.partition(b":")[0] != ref.execution_id.encode():
            raise invalid(f"{field}.waitpoint_id", "not a waitpoint of this execution")
        return NewWaitpoint(name, number=ref.number)
    if message.use not in _USES:
        raise invalid(f"{field}.use", f"{message.use}; WAITPOINT_USE_SINGLE or WAITPOINT_USE_MULTIPLE")
    ttl_ms = limits.waitpoint_ttl_ms
    if message.HasField("ttl"):
        ttl_ms = span_ms(message.ttl, f"{field}.ttl", least=1, most=MAX_TTL_MS)
    return NewWaitpoint(name, _USES[message.use], _recipient(message.recipient, f"{field}.recipient"), ttl_ms)


def _recipient(value: str, field: str) -> str:
    """It becomes part of a source, which is bounded."""
    return value and names.identifier(names.text(value, field, 128), field)


def _wait(
    message: pb.Wait, field: str, waitpoints: dict[str, NewWaitpoint], limits: SuspensionLimits
) -> NewWait:
    timeout_ms = due_ms = None
    until = message.WhichOneof("until")
    if until == "timeout":
        timeout_ms = span_ms(message.timeout, f"{field}.timeout", most=limits.max_suspension_ms)
    elif until == "timeout_time":
        due_ms = point_ms(message.timeout_time, f"{field}.timeout_time")
    else:
        timeout_ms = limits.max_suspension_ms
    if message.on_timeout not in _ON_TIMEOUT:
        raise invalid(f"{field}.on_timeout", f"{message.on_timeout}; a TIMEOUT_BEHAVIOUR")
    if message.seen < 0:
        raise invalid(f"{field}.seen", f"{message.seen}; 0 or more")
    return NewWait(
        entry=message.entry and names.identifier(message.entry, f"{field}.entry"),
        name=names.text(message.name, f"{field}.name", 256),
        node=condition(message.condition, f"{field}.condition", waitpoints, has_time=until is not None),
        timeout_ms=timeout_ms,
        due_ms=due_ms,
        on_timeout=_ON_TIMEOUT[message.on_timeout],
        seen=message.seen or None,
    )


def waitpoint_message(
    record: WaitpointRecord, token: str = "", kid: str = "", callback_path: str = "", public_url: str = ""
) -> pb.Waitpoint:
    """A waitpoint as clients see it; with its token only for the worker that made it."""
    message = pb.Waitpoint(
        waitpoint_id=record.ref.render(),
        name=record.name,
        use=_USE_NUMBERS[record.uses],
        state=record.state,
        recipient=record.recipient,
        kid=kid or record.kid,
        create_time=timestamp(record.created_ms),
        expire_time=timestamp(record.ref.expires_ms),
        signals=record.signals,
    )
    if token:
        message.token = token
        message.callback_path = callback_path
        message.callback_url = public_url + callback_path if public_url else ""
        message.fingerprint = hashlib.sha256(token.encode()).hexdigest()[:16]
    return message


def new_signal(
    message: pb.DeliverSignalRequest, ref: WaitpointRef, source: str, limits: SignalLimits
) -> NewSignal:
    """Checks a signal for a waitpoint whose token was shown. Raises INVALID_ARGUMENT or PAYLOAD_TOO_LARGE."""
    ttl_ms = limits.idempotency_ttl_ms
    if message.HasField("idempotency_ttl"):
        ttl_ms = span_ms(message.idempotency_ttl, "idempotency_ttl", least=1, most=MAX_IDEMPOTENCY_MS)
    return NewSignal(
        execution_id=ref.execution_id,
        scope=ref.scope,
        number=ref.number,
        expires_ms=ref.expires_ms,
        waitpoint_name="",
        name=names.name(message.name, "name"),
        category=message.category and names.name(message.category, "category"),
        source=source,
        correlation_id=names.text(message.correlation_id, "correlation_id", 256),
        payload=checked_payload(message.payload, limits),
        idempotency_key=_key(message.idempotency_key),
        idempotency_ttl_ms=ttl_ms,
        resume_delay_ms=span_ms(message.resume_delay, "resume_delay", most=MAX_TTL_MS),
    )


def _key(key: str) -> str:
    return key and names.identifier(key, "idempotency_key")


def checked_payload(payload: bytes, limits: SignalLimits) -> bytes:
    """The payload of a signal. Raises PAYLOAD_TOO_LARGE."""
    if len(payload) > limits.max_payload_bytes:
        raise EngineError(
            ErrorCode.PAYLOAD_TOO_LARGE,
            f"payload: {len(payload)} bytes; at most {limits.max_payload_bytes}",
            field="payload",
        )
    return payload


_DECISIONS = {pb.DECISION_APPROVE: "approved", pb.DECISION_REJECT: "rejected"}


def decision(message: pb.DecideWaitpointRequest, source: str, limits: SignalLimits) -> NewSignal:
    """Checks a decision: a signal to a waitpoint by its name. Raises as new_signal."""
    if message.decision not in _DECISIONS:
        raise invalid("decision", "DECISION_APPROVE or DECISION_REJECT")
    return NewSignal(
        execution_id=message.execution_id,
        scope="",
        number=None,
        expires_ms=0,
        waitpoint_name=names.name(message.name, "name"),
        name=_DECISIONS[message.decision],
        category="approval",
        source=source,
        correlation_id="",
        payload=checked_payload(message.payload, limits),
        idempotency_key=_key(message.idempotency_key),
        idempotency_ttl_ms=limits.idempotency_ttl_ms,
        resume_delay_ms=0,
    )


def delivered(answer: Delivered) -> pb.DeliverSignalResponse:
    """What became of a signal."""
    return pb.DeliverSignalResponse(
        number=answer.number, effect=_EFFECTS[answer.effect], duplicate=answer.duplicate
    )


def signal_message(signal: StoredSignal) -> pb.Signal:
    """A signal as workers and clients see it."""
    return pb.Signal(
        number=signal.number,
        waitpoint=signal.waitpoint,
        name=signal.name,
        category=signal.category,
        source=signal.source,
        correlation_id=signal.correlation_id,
        payload=signal.payload,
        time=point(signal.at_ms),
    )


def suspension_message(record: SuspensionRecord | None) -> pb.Suspension:
    """A suspension as clients see it; number 0 when there never was one."""
    if record is None:
        return pb.Suspension()
    core = record.core
    message = pb.Suspension(
        number=int(core["number"]),
        reason_code=core["reason_code"],
        state=core["state"],
        ending=core.get("ending") or "",
        suspend_time=timestamp(int(core["at"])),
        waitpoints=[waitpoint_message(each) for each in record.waitpoints],
    )
    waits = core.get("waits") or []
    message.waits.extend(_wait_state(wait) for wait in waits)
    dues = [int(wait["due_at"]) for wait in waits if wait.get("due_at")]
    if core["state"] == "open" and dues:
        message.due_time.CopyFrom(point(min(dues)))
    return message


def _wait_state(wait: dict[str, Any]) -> pb.WaitState:
    return pb.WaitState(
        name=wait.get("name") or "",
        condition=show(wait["node"]),
        satisfied=bool(wait.get("satisfied_at")),
        signals=sorted(_counted(wait["node"])),
        due_time=timestamp(int(wait.get("due_at") or 0)),
        on_timeout=_BEHAVIOURS[wait["on_timeout"]],
        escalated=bool(wait.get("escalated_at")),
    )


def _counted(node: Node) -> set[int]:
    """Numbers of the signals that count in a condition so far, from the state within its nodes."""
    found = set(map(int, (node.get("seen") or {}).values()))
    if isinstance(node.get("by"), int | float):
        found.add(int(node["by"]))
    return found.union(*(_counted(child) for child in node.get("of") or ()))
