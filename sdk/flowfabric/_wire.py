"""Translates between the wire's messages and the SDK's values. Nothing else knows both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration as DurationMessage
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from flowfabric import _codec
from flowfabric._condition import condition_from
from flowfabric._event import Event, EventFamily, EventPage
from flowfabric._execution import (
    Backoff,
    CancelRequest,
    Duration,
    Execution,
    Failure,
    FrameClass,
    FrameKind,
    Lease,
    LeaseRecord,
    OutputFrame,
    OutputPage,
    Policy,
    Progress,
    Spec,
    State,
    StateVector,
    Step,
    Summary,
)
from flowfabric._operator import KeyRotation, LaneInfo, PoolInfo, QueueInfo, WaitpointKey, WorkerInfo
from flowfabric._signal import Delivery, Signal, SignalEffect, SignalSpec
from flowfabric._suspension import Resumption, Suspension, Wait, Waitpoint
from flowfabric_api.execution.v1 import execution_pb2 as pb
from flowfabric_api.journal.v1 import journal_pb2 as journal_pb
from flowfabric_api.operator.v1 import operator_pb2 as operator_pb
from flowfabric_api.output.v1 import output_pb2 as output_pb
from flowfabric_api.subscription.v1 import subscription_pb2 as subscription_pb
from flowfabric_api.suspension.v1 import suspension_pb2 as suspension_pb

STATES = {getattr(pb, f"PUBLIC_STATE_{state.name}"): state for state in State}
KINDS: dict[int, FrameKind] = {kind.value: kind for kind in FrameKind}
CLASSES: dict[int, FrameClass] = {each.value: each for each in FrameClass}
FAMILIES: dict[int, EventFamily] = {family.value: family for family in EventFamily}
STATE_NUMBERS = {state: number for number, state in STATES.items()}
EFFECTS = {getattr(suspension_pb, f"SIGNAL_EFFECT_{effect.name}"): effect for effect in SignalEffect}
ON_TIMEOUT: dict[int, str] = {
    suspension_pb.TIMEOUT_BEHAVIOUR_FAIL: "fail",
    suspension_pb.TIMEOUT_BEHAVIOUR_CANCEL: "cancel",
    suspension_pb.TIMEOUT_BEHAVIOUR_EXPIRE: "expire",
    suspension_pb.TIMEOUT_BEHAVIOUR_AUTO_RESUME: "resume",
    suspension_pb.TIMEOUT_BEHAVIOUR_ESCALATE: "escalate",
}
ENTRY_KINDS: dict[int, str] = {
    getattr(journal_pb, f"ENTRY_KIND_{word.upper()}"): word
    for word in ("step", "wait", "sleep", "value", "waitpoint")
}
ENTRY_STATES: dict[int, str] = {
    getattr(journal_pb, f"ENTRY_STATE_{word.upper()}"): word
    for word in ("running", "waiting", "done", "failed")
}
NUMBERS_OF_A_POLICY = (
    "max_attempts",
    "max_reclaims",
    "max_replays",
    "output_max_frames",
    "output_max_bytes",
    "summary_max_bytes",
)


def seconds(duration: Duration) -> float:
    """A length of time in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


def put_duration(message: DurationMessage, duration: Duration | None) -> None:
    """Writes a length of time, unless it is None: an unwritten field means the engine's default."""
    if duration is not None:
        message.SetInParent()  # zero is a value of its own
        message.FromNanoseconds(round(seconds(duration) * 1e9))


def read_seconds(message: DurationMessage) -> float:
    """A length of time in seconds."""
    return float(message.seconds + message.nanos / 1e9)


def read_time(message: Message, field: str) -> datetime | None:
    """A point in time; None when the field is not set."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return datetime.fromtimestamp(stamp.seconds, UTC) + timedelta(microseconds=stamp.nanos // 1000)


def state_from(number: int) -> State:
    """The state; one of a newer engine counts as waiting, as it is not terminal."""
    return STATES.get(number, State.WAITING)


def put_spec(request: pb.CreateExecutionRequest, spec: Spec, namespace: str) -> None:
    """Writes everything a client decides about an execution."""
    target = request.spec
    target.namespace = namespace
    target.lane = spec.lane
    target.kind = spec.kind
    target.payload = _codec.encode(spec.input)
    target.priority = spec.priority
    target.required_capabilities.extend(spec.requires)
    target.traceparent = spec.traceparent
    if spec.tags:
        target.tags.update(spec.tags)
    put_start_time(target, spec)
    put_duration(target.deadline, spec.deadline)
    if spec.policy is not None:
        put_policy(target.policy, spec.policy)
    request.idempotency_key = spec.idempotency_key
    put_duration(request.idempotency_ttl, spec.idempotency_ttl)


def put_start_time(target: pb.ExecutionSpec, spec: Spec) -> None:
    """Writes when the execution may start; a delay counts from when the engine takes it."""
    if spec.start_at is not None and spec.delay is not None:
        raise ValueError("give start_at or delay, not both")
    if spec.start_at is not None:
        if spec.start_at.tzinfo is None:
            raise ValueError("start_at must know its time zone, as datetime.now(UTC) does")
        target.start_time.FromDatetime(spec.start_at.astimezone(UTC))
    elif spec.delay is not None:
        put_duration(target.start_delay, spec.delay)


def put_policy(target: pb.Policy, policy: Policy) -> None:
    """Writes what the policy names and leaves the rest to the engine."""
    for name in NUMBERS_OF_A_POLICY:
        if (value := getattr(policy, name)) is not None:
            setattr(target, name, value)
    for name in ("attempt_timeout", "reclaim_delay", "retention", "best_effort_ttl"):
        put_duration(getattr(target, name), getattr(policy, name))
    target.retryable_categories.extend(policy.retryable_categories)
    target.non_retryable_categories.extend(policy.non_retryable_categories)
    if policy.backoff is not None:
        target.backoff.SetInParent()
        put_backoff(target.backoff, policy.backoff)


def put_backoff(target: pb.Backoff, backoff: Backoff) -> None:
    """Writes what the back-off names."""
    put_duration(target.initial, backoff.initial)
    put_duration(target.max, backoff.max)
    if backoff.multiplier is not None:
        target.multiplier = backoff.multiplier
    if backoff.jitter is not None:
        target.jitter = backoff.jitter


def policy_from(message: pb.Policy) -> Policy:
    """The policy; what is unset is None."""

    def number(name: str) -> int | None:
        return getattr(message, name) if message.HasField(name) else None

    def length(name: str) -> timedelta | None:
        return getattr(message, name).ToTimedelta() if message.HasField(name) else None

    return Policy(
        max_attempts=number("max_attempts"),
        backoff=backoff_from(message.backoff) if message.HasField("backoff") else None,
        retryable_categories=tuple(message.retryable_categories),
        non_retryable_categories=tuple(message.non_retryable_categories),
        attempt_timeout=length("attempt_timeout"),
        max_reclaims=number("max_reclaims"),
        reclaim_delay=length("reclaim_delay"),
        max_replays=number("max_replays"),
        retention=length("retention"),
        output_max_frames=number("output_max_frames"),
        output_max_bytes=number("output_max_bytes"),
        summary_max_bytes=number("summary_max_bytes"),
        best_effort_ttl=length("best_effort_ttl"),
    )


def backoff_from(message: pb.Backoff) -> Backoff:
    """The back-off; what is unset is None."""
    return Backoff(
        initial=message.initial.ToTimedelta() if message.HasField("initial") else None,
        multiplier=message.multiplier if message.HasField("multiplier") else None,
        max=message.max.ToTimedelta() if message.HasField("max") else None,
        jitter=message.jitter if message.HasField("jitter") else None,
    )


def failure_from(message: Message) -> Failure | None:
    """The failure of a message that may have one."""
    if not message.HasField("failure"):
        return None
    failure: pb.Failure = message.failure  # type: ignore[attr-defined]
    return Failure(failure.type, failure.message, failure.category)


def execution_from(message: pb.Execution) -> Execution:
    """An execution."""
    spec, vector = message.spec, message.state_vector
    return Execution(
        execution_id=message.execution_id,
        state=state_from(message.state),
        namespace=spec.namespace,
        lane=spec.lane,
        kind=spec.kind,
        payload=spec.payload,
        priority=spec.priority,
        requires=tuple(spec.required_capabilities),
        tags=dict(spec.tags),
        policy=policy_from(spec.policy),
        deadline=spec.deadline.ToTimedelta() if spec.HasField("deadline") else None,
        traceparent=spec.traceparent,
        state_vector=StateVector(
            vector.lifecycle_phase,
            vector.ownership_state,
            vector.eligibility_state,
            vector.blocking_reason,
            vector.terminal_outcome,
            vector.attempt_state,
        ),
        create_time=read_time(message, "create_time"),
        start_time=read_time(message, "start_time"),
        end_time=read_time(message, "end_time"),
        due_time=read_time(message, "due_time"),
        deadline_time=read_time(message, "deadline_time"),
        attempt=message.attempt,
        failed_attempts=message.failed_attempts,
        reclaims=message.reclaims,
        replays=message.replays,
        lease=lease_from(message.lease) if message.HasField("lease") else None,
        history=tuple(map(record_from, message.history)),
        progress=progress_from(message.progress) if message.HasField("progress") else None,
        failure=failure_from(message),
        cancel=cancel_from(message.cancel) if message.HasField("cancel") else None,
        result_bytes=message.result_bytes,
        output_frames=message.output_frames,
        suspension=suspension_from(message.suspension),
        steps=tuple(map(step_from, message.steps)),
        steps_total=message.steps_total,
        summary_version=message.summary_version,
    )


def lease_from(message: pb.Lease) -> Lease:
    """The lease in force."""
    return Lease(
        message.worker_id,
        message.epoch,
        read_time(message, "grant_time"),
        read_time(message, "expire_time"),
        message.confirmed,
    )


def record_from(message: pb.LeaseRecord) -> LeaseRecord:
    """An earlier lease."""
    return LeaseRecord(
        message.epoch,
        message.attempt,
        message.worker_id,
        read_time(message, "grant_time"),
        read_time(message, "end_time"),
        message.ending,
        failure_from(message),
    )


def progress_from(message: pb.Progress) -> Progress:
    """What the task last said of itself."""
    return Progress(message.percent, message.message, read_time(message, "update_time"))


def cancel_from(message: pb.CancelRequest) -> CancelRequest:
    """A wish that the execution stops."""
    return CancelRequest(message.reason, read_time(message, "request_time"))


def frame_from(message: output_pb.OutputFrame) -> OutputFrame:
    """A frame; one of an unknown kind counts as an event."""
    kind = KINDS.get(message.kind, FrameKind.EVENT)
    return OutputFrame(
        message.cursor,
        message.attempt,
        message.number,
        kind,
        message.data,
        read_time(message, "time"),
        CLASSES.get(message.frame_class, FrameClass.DURABLE),
        message.version,
    )


def output_page_from(message: output_pb.ReadOutputResponse) -> OutputPage:
    """Some frames, and whether they are the last."""
    return OutputPage(tuple(map(frame_from, message.frames)), message.next, message.close.reason)


def worker_from(message: operator_pb.Worker) -> WorkerInfo:
    """A worker with a live session."""
    return WorkerInfo(
        message.worker_id,
        message.identity,
        message.namespace,
        message.session_id,
        message.gateway_id,
        message.sdk,
        tuple(PoolInfo(tuple(p.lanes), tuple(p.capabilities), p.slots, p.held) for p in message.pools),
        read_time(message, "connect_time"),
        read_time(message, "expire_time"),
        message.draining,
        tuple(message.kinds),
    )


def lane_from(message: operator_pb.Lane) -> LaneInfo:
    """A lane."""
    queues = (
        QueueInfo(tuple(q.required_capabilities), q.waiting, q.has_capable_worker) for q in message.queues
    )
    return LaneInfo(
        message.lane, tuple(queues), message.waiting, message.workers, message.slots, message.held
    )


def put_signal(request: suspension_pb.DeliverSignalRequest, spec: SignalSpec) -> None:
    """Writes everything a sender decides about a signal."""
    request.waitpoint_id = spec.waitpoint_id
    request.token = spec.token
    request.name = spec.name
    request.payload = _codec.encode(spec.payload)
    request.category = spec.category
    request.correlation_id = spec.correlation_id
    request.idempotency_key = spec.idempotency_key
    put_duration(request.idempotency_ttl, spec.idempotency_ttl)
    put_duration(request.resume_delay, spec.resume_delay)


def delivery_from(message: suspension_pb.DeliverSignalResponse) -> Delivery:
    """The answer to a signal; an effect of a newer engine counts as kept."""
    effect = EFFECTS.get(message.effect, SignalEffect.UNMATCHED)
    return Delivery(message.number, effect, message.duplicate)


def signal_from(message: suspension_pb.Signal) -> Signal:
    """A signal that was delivered."""
    return Signal(
        message.number,
        message.waitpoint,
        message.name,
        message.category,
        message.source,
        message.correlation_id,
        message.payload,
        read_time(message, "time"),
    )


def waitpoint_from(message: suspension_pb.Waitpoint) -> Waitpoint:
    """A waitpoint."""
    return Waitpoint(
        waitpoint_id=message.waitpoint_id,
        name=message.name,
        single_use=message.use == suspension_pb.WAITPOINT_USE_SINGLE,
        state=message.state,
        recipient=message.recipient,
        token=message.token,
        callback_path=message.callback_path,
        callback_url=message.callback_url,
        kid=message.kid,
        create_time=read_time(message, "create_time"),
        expire_time=read_time(message, "expire_time"),
        signals=message.signals,
        fingerprint=message.fingerprint,
    )


def suspension_from(message: suspension_pb.Suspension) -> Suspension | None:
    """A suspension; None for the one of an execution that never suspended."""
    if not message.number:
        return None
    return Suspension(
        message.number,
        message.reason_code,
        message.state,
        message.ending,
        read_time(message, "suspend_time"),
        read_time(message, "due_time"),
        tuple(map(wait_from, message.waits)),
        tuple(map(waitpoint_from, message.waitpoints)),
    )


def wait_from(message: suspension_pb.WaitState) -> Wait:
    """A wait and how far it is."""
    return Wait(
        message.name,
        condition_from(message.condition),
        message.satisfied,
        tuple(message.signals),
        read_time(message, "due_time"),
        ON_TIMEOUT.get(message.on_timeout, "fail"),
        message.escalated,
    )


def resumption_from(message: suspension_pb.Resumption) -> Resumption:
    """Why the holder of a lease runs again."""
    return Resumption(message.suspension, message.ending, tuple(map(signal_from, message.signals)))


def step_from(message: journal_pb.Step) -> Step:
    """Something that a handler has recorded."""
    failure = message.failure
    return Step(
        message.key,
        ENTRY_KINDS.get(message.kind, "step"),
        message.name,
        ENTRY_STATES.get(message.state, "running"),
        message.runs,
        message.uncertain,
        Failure(failure.type, failure.message, failure.category) if message.HasField("failure") else None,
        read_time(message, "start_time"),
        read_time(message, "end_time"),
        read_time(message, "due_time"),
        message.data_bytes,
    )


def summary_from(message: output_pb.Summary) -> Summary | None:
    """A summary; None when there is none."""
    if not message.version:
        return None
    return Summary(message.document, message.version, message.cursor, read_time(message, "update_time"))


def event_page_from(message: subscription_pb.SubscribeResponse) -> EventPage:
    """Some events, and where to go on."""
    return EventPage(
        tuple(map(event_from, message.events)),
        message.cursor.cursor,
        message.fell_off,
        tuple(message.partitions_fell_off),
    )


def event_from(message: subscription_pb.Event) -> Event:
    """An event."""
    return Event(
        message.event_id,
        FAMILIES.get(message.family, EventFamily.LIFECYCLE),
        message.name,
        message.execution_id,
        message.state,
        message.attempt,
        message.epoch,
        message.namespace,
        message.lane,
        message.kind,
        message.detail,
        read_time(message, "time"),
    )


def key_from(message: operator_pb.WaitpointKey) -> WaitpointKey:
    """A key, never its secret."""
    return WaitpointKey(
        message.kid, message.current, read_time(message, "create_time"), read_time(message, "expire_time")
    )


def rotation_from(message: operator_pb.RotateWaitpointKeyResponse) -> KeyRotation:
    """What came of a rotation."""
    return KeyRotation(message.kid, message.previous_kid, message.changed, message.dropped)
