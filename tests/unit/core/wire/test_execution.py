"""Submissions are checked field by field, and what was stored is shown as it was submitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from ff_core.errors import EngineError, ErrorCode
from ff_core.execution import ExecutionRecord, NewExecution
from ff_core.ids import partition_of_execution, partition_of_key
from ff_core.journal import JournalEntry, StepFailure
from ff_core.suspension import SuspensionRecord
from ff_core.wire.execution import (
    DAY_MS,
    SUMMARY_BYTES,
    Limits,
    execution_message,
    kept_journal,
    new_execution,
    new_policy,
)
from ff_core.wire.time import duration
from flowfabric_api.execution.v1 import execution_pb2 as pb

LIMITS = Limits(max_payload_bytes=100, retention_ms=DAY_MS)
Change = Callable[[pb.CreateExecutionRequest], object]


def request(**spec: object) -> pb.CreateExecutionRequest:
    return pb.CreateExecutionRequest(spec=pb.ExecutionSpec(kind="k", **spec))  # type: ignore[arg-type]


def stored(item: NewExecution, **fields: object) -> ExecutionRecord:
    """The record that `execution_create` makes of an item."""
    core: dict[str, Any] = {
        "state": "waiting", "reason": "waiting_for_worker", "attempt_state": "pending_first_attempt",
        "queue": item.queue, "kind": item.kind, "priority": item.priority, "created_at": 1000,
        "attempt": 0, "epoch": 0,
    }  # fmt: skip
    if item.policy:
        core["policy"] = item.policy
    if item.deadline_ms is not None:
        core["deadline_ms"] = item.deadline_ms
    if item.attempt_timeout_ms is not None:
        core["attempt_timeout_ms"] = item.attempt_timeout_ms
    if item.traceparent:
        core["traceparent"] = item.traceparent
    return ExecutionRecord(item.execution_id, core | fields, item.payload, item.tags, [])


def show(record: ExecutionRecord, *, capable: bool = True) -> pb.Execution:
    return execution_message(record, lambda _queue: capable)


HOSTILE: list[tuple[str, Change]] = [
    ("spec.kind", lambda r: r.spec.ClearField("kind")),
    ("spec.kind", lambda r: setattr(r.spec, "kind", "a/b")),
    ("spec.lane", lambda r: setattr(r.spec, "lane", "a/b")),
    ("spec.namespace", lambda r: setattr(r.spec, "namespace", "a b")),
    ("spec.priority", lambda r: setattr(r.spec, "priority", -1)),
    ("spec.priority", lambda r: setattr(r.spec, "priority", 9001)),
    ("spec.payload", lambda r: setattr(r.spec, "payload", b"x" * 101)),
    ("spec.required_capabilities", lambda r: r.spec.required_capabilities.append("a,b")),
    ("spec.tags", lambda r: r.spec.tags.update({"Bad": "x"})),
    ("spec.start_time", lambda r: setattr(r.spec.start_time, "seconds", -1)),
    ("spec.start_delay", lambda r: setattr(r.spec.start_delay, "seconds", -1)),
    ("spec.deadline", lambda r: r.spec.deadline.CopyFrom(duration(0))),
    ("spec.deadline", lambda r: setattr(r.spec.deadline, "seconds", 1 << 40)),
    ("spec.traceparent", lambda r: setattr(r.spec, "traceparent", "x" * 257)),
    ("spec.policy.max_attempts", lambda r: setattr(r.spec.policy, "max_attempts", 0)),
    ("spec.policy.max_attempts", lambda r: setattr(r.spec.policy, "max_attempts", 1001)),
    ("spec.policy.max_reclaims", lambda r: setattr(r.spec.policy, "max_reclaims", -1)),
    ("spec.policy.max_replays", lambda r: setattr(r.spec.policy, "max_replays", -1)),
    ("spec.policy.output_max_frames", lambda r: setattr(r.spec.policy, "output_max_frames", 0)),
    ("spec.policy.output_max_bytes", lambda r: setattr(r.spec.policy, "output_max_bytes", 1 << 33)),
    ("spec.policy.summary_max_bytes", lambda r: setattr(r.spec.policy, "summary_max_bytes", 1)),
    ("spec.policy.summary_max_bytes", lambda r: setattr(r.spec.policy, "summary_max_bytes", 1 << 21)),
    ("spec.policy.best_effort_ttl", lambda r: r.spec.policy.best_effort_ttl.CopyFrom(duration(0))),
    ("spec.policy.best_effort_ttl", lambda r: r.spec.policy.best_effort_ttl.CopyFrom(duration(DAY_MS + 1))),
    ("spec.policy.reclaim_delay", lambda r: setattr(r.spec.policy.reclaim_delay, "seconds", -1)),
    ("spec.policy.retention", lambda r: setattr(r.spec.policy.retention, "seconds", -1)),
    ("spec.policy.attempt_timeout", lambda r: r.spec.policy.attempt_timeout.CopyFrom(duration(0))),
    ("spec.policy.retryable_categories", lambda r: r.spec.policy.retryable_categories.append("a b")),
    ("spec.policy.retryable_categories", lambda r: r.spec.policy.retryable_categories.extend(["a"] * 33)),
    ("spec.policy.non_retryable_categories", lambda r: r.spec.policy.non_retryable_categories.append("")),
    ("spec.policy.backoff.initial", lambda r: setattr(r.spec.policy.backoff.initial, "seconds", -1)),
    ("spec.policy.backoff.max", lambda r: setattr(r.spec.policy.backoff.max, "seconds", -1)),
    ("spec.policy.backoff.multiplier", lambda r: setattr(r.spec.policy.backoff, "multiplier", 0.5)),
    ("spec.policy.backoff.multiplier", lambda r: setattr(r.spec.policy.backoff, "multiplier", float("nan"))),
    ("spec.policy.backoff.multiplier", lambda r: setattr(r.spec.policy.backoff, "multiplier", float("inf"))),
    ("spec.policy.backoff.jitter", lambda r: setattr(r.spec.policy.backoff, "jitter", 1.5)),
    ("spec.policy.backoff.jitter", lambda r: setattr(r.spec.policy.backoff, "jitter", float("nan"))),
    ("idempotency_key", lambda r: setattr(r, "idempotency_key", "a b")),
    ("idempotency_key", lambda r: setattr(r, "idempotency_key", "x" * 257)),
    ("idempotency_ttl", lambda r: r.idempotency_ttl.CopyFrom(duration(0))),
    ("idempotency_ttl", lambda r: r.idempotency_ttl.CopyFrom(duration(30 * DAY_MS + 1))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "spoil"), HOSTILE, ids=[f"{n}-{field}" for n, (field, _) in enumerate(HOSTILE)]
)
def test_a_bad_field_is_refused_by_name(field: str, spoil: Change) -> None:
    bad = request()
    spoil(bad)

    with pytest.raises(EngineError) as refused:
        new_execution(bad, LIMITS, 64)

    code = ErrorCode.PAYLOAD_TOO_LARGE if field == "spec.payload" else ErrorCode.INVALID_ARGUMENT
    assert (refused.value.code, refused.value.field) == (code, field)
    assert field in str(refused.value)


def test_only_a_kind_is_required() -> None:
    item = new_execution(request(), LIMITS, 64)

    assert (item.namespace, item.lane, item.kind, item.class_name) == ("default", "default", "k", "")
    assert (item.payload, item.priority, item.tags, item.policy) == (b"", 0, {}, {})
    assert (item.delay_until_ms, item.deadline_ms, item.attempt_timeout_ms) == (0, None, None)
    assert 0 <= partition_of_execution(item.execution_id, 64) < 64


def test_limits_are_allowed() -> None:
    item = new_execution(request(payload=b"x" * 100, priority=9000), LIMITS, 64)

    assert (len(item.payload), item.priority) == (100, 9000)


def test_an_idempotency_key_fixes_the_partition() -> None:
    keyed = request(namespace="team")
    keyed.idempotency_key = "order-1"

    item = new_execution(keyed, LIMITS, 64)

    assert partition_of_execution(item.execution_id, 64) == partition_of_key("team", "order-1", 64)
    assert item.idempotency_ttl_ms == DAY_MS


def test_a_retention_of_the_gateway_is_stored_unless_it_is_the_default() -> None:
    assert new_execution(request(), Limits(1, 5), 64).policy == {"retention_ms": 5}
    assert new_execution(request(), LIMITS, 64).policy == {}


def test_the_largest_summary_of_the_gateway_is_stored_unless_it_is_the_default() -> None:
    limits = Limits(100, DAY_MS, max_summary_bytes=1000)

    assert new_execution(request(), limits, 64).policy == {"summary_max_bytes": 1000}
    own = request(policy=pb.Policy(summary_max_bytes=SUMMARY_BYTES))
    assert new_execution(own, limits, 64).policy == {}
    assert show(stored(new_execution(request(), limits, 64))).spec.policy.summary_max_bytes == 1000


def test_the_repeat_of_a_submission_has_its_fingerprint() -> None:
    spec = {"payload": b"a", "tags": {"a.b": "c"}, "required_capabilities": ["x", "y"]}
    again = spec | {"required_capabilities": ["y", "x", "y"], "traceparent": "another"}

    first, second = (new_execution(request(**one), LIMITS, 64) for one in (spec, again))

    assert first.fingerprint() == second.fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        {"payload": b"b"}, {"priority": 1}, {"lane": "l"}, {"tags": {"a.b": "c"}}, {"deadline": duration(1)},
        {"required_capabilities": ["x"]}, {"policy": pb.Policy(max_attempts=1)},
        {"policy": pb.Policy(attempt_timeout=duration(1))},
    ],
    ids=str,
)  # fmt: skip
def test_other_content_has_another_fingerprint(other: dict[str, object]) -> None:
    first, second = (new_execution(request(**one), LIMITS, 64) for one in ({}, other))

    assert first.fingerprint() != second.fingerprint()


SPAN = st.integers(0, 10**12).map(duration)
WORDS = st.lists(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), max_size=4, unique=True).map(sorted)


@st.composite
def policies(draw: st.DrawFn) -> pb.Policy:
    """Any policy that is allowed."""
    policy = pb.Policy(retryable_categories=draw(WORDS), non_retryable_categories=draw(WORDS))
    for field, values in (
        ("max_attempts", st.integers(1, 1000)),
        ("max_reclaims", st.integers(0, 1_000_000)),
        ("max_replays", st.integers(0, 1_000_000)),
        ("output_max_frames", st.integers(1, 1_000_000)),
        ("output_max_bytes", st.integers(1, 1 << 32)),
        ("summary_max_bytes", st.integers(2, SUMMARY_BYTES - 1)),
    ):
        if draw(st.booleans()):
            setattr(policy, field, draw(values))
    for field in ("reclaim_delay", "retention"):
        if draw(st.booleans()):
            getattr(policy, field).CopyFrom(draw(SPAN))
    if draw(st.booleans()):
        policy.best_effort_ttl.CopyFrom(duration(draw(st.integers(1, DAY_MS))))
    if draw(st.booleans()):
        policy.attempt_timeout.CopyFrom(duration(draw(st.integers(1, 10**12))))
    if draw(st.booleans()):
        policy.backoff.multiplier = draw(st.floats(1, 100))
    if draw(st.booleans()):
        policy.backoff.jitter = draw(st.floats(0, 1))
    for field in ("initial", "max"):
        if draw(st.booleans()):
            getattr(policy.backoff, field).CopyFrom(draw(SPAN))
    return policy


@given(policies())
def test_a_policy_is_shown_as_it_was_submitted(policy: pb.Policy) -> None:
    item = new_execution(request(policy=policy), LIMITS, 64)

    shown = show(stored(item)).spec.policy

    if policy.retention == Duration(seconds=DAY_MS // 1000):
        shown.retention.CopyFrom(policy.retention)  # the default is not stored
    assert shown == policy


@given(policies())
def test_a_stored_policy_has_only_names_that_the_rules_know(policy: pb.Policy) -> None:
    assert set(new_policy(policy)) <= {
        "max_attempts", "backoff_initial_ms", "backoff_multiplier", "backoff_max_ms", "backoff_jitter",
        "max_reclaims", "reclaim_delay_ms", "max_replays", "retention_ms", "output_max_frames",
        "output_max_bytes", "retryable_categories", "non_retryable_categories", "summary_max_bytes",
        "best_effort_ttl_ms",
    }  # fmt: skip


NAME = st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)


@st.composite
def specs(draw: st.DrawFn) -> pb.ExecutionSpec:
    """Any submission that is allowed, policies apart."""
    tokens = draw(st.lists(st.from_regex(r"[a-z0-9/=]{1,8}", fullmatch=True), max_size=5))
    return pb.ExecutionSpec(
        namespace=draw(NAME),
        lane=draw(NAME),
        kind=draw(NAME),
        payload=draw(st.binary(max_size=100)),
        priority=draw(st.integers(0, 9000)),
        required_capabilities=sorted(set(tokens)),
        tags=draw(st.dictionaries(st.sampled_from(["a.b", "a.c"]), st.text(min_size=1, max_size=20))),
        traceparent=draw(st.text(max_size=50)),
        deadline=duration(draw(st.integers(1, 10**12))),
    )


@given(specs())
def test_a_submission_is_shown_as_it_was(spec: pb.ExecutionSpec) -> None:
    item = new_execution(pb.CreateExecutionRequest(spec=spec), LIMITS, 64)

    assert show(stored(item)).spec == spec


def test_what_nobody_can_run_is_shown_so() -> None:
    item = new_execution(request(), LIMITS, 64)

    assert show(stored(item), capable=False).state_vector.blocking_reason == "waiting_for_capable_worker"
    assert show(stored(item)).state_vector.blocking_reason == "waiting_for_worker"


def test_an_active_execution_shows_its_lease() -> None:
    record = stored(new_execution(request(), LIMITS, 64), state="active", worker="w1", granted_at=2000)
    record.core |= {"confirmed": True, "epoch": 3, "expires_at": 32_000}

    lease = show(record).lease

    assert (lease.worker_id, lease.epoch, lease.confirmed) == ("w1", 3, True)
    assert (lease.grant_time.ToMilliseconds(), lease.expire_time.ToMilliseconds()) == (2000, 32_000)


def test_only_a_delayed_execution_is_due_and_only_a_terminal_one_has_ended() -> None:
    item = new_execution(request(), LIMITS, 64)
    times = {"due_at": 5000, "ended_at": 6000}

    assert show(stored(item, **times)).HasField("due_time") is False
    assert show(stored(item, state="delayed", **times)).due_time.ToMilliseconds() == 5000
    assert show(stored(item, **times)).HasField("end_time") is False
    assert show(stored(item, state="failed", **times)).end_time.ToMilliseconds() == 6000


def test_progress_failure_cancel_and_history_are_shown() -> None:
    record = stored(
        new_execution(request(), LIMITS, 64), state="failed",
        progress={"percent": 12.5, "message": "half", "at": 7000},
        failure={"type": "T", "message": "m", "category": "permanent"},
        cancel_at=8000, cancel_reason="why",
    )  # fmt: skip
    ended: dict[str, object] = {
        "attempt": 1,
        "worker": "w",
        "granted_at": 1,
        "ended_at": 2,
        "ending": "failed",
    }
    failure = {"type": "T", "message": "m", "category": "c"}
    record.history = [(1, ended | {"failure": failure}), (2, ended | {"attempt": 2})]

    message = show(record)

    assert (message.progress.percent, message.progress.message) == (12.5, "half")
    assert message.progress.update_time.ToMilliseconds() == 7000
    assert (message.failure.type, message.failure.message, message.failure.category) == (
        "T",
        "m",
        "permanent",
    )
    assert (message.cancel.reason, message.cancel.request_time.ToMilliseconds()) == ("why", 8000)
    assert [(one.epoch, one.attempt, one.failure.category) for one in message.history] == [
        (1, 1, "c"),
        (2, 2, ""),
    ]


def test_a_suspended_execution_shows_what_it_waits_for() -> None:
    record = stored(new_execution(request(), LIMITS, 64), state="suspended", reason="waiting_for_approval")
    wait = {"name": "approval", "node": {"op": "signal", "at": "a"}, "due_at": 9000, "on_timeout": "fail"}
    core = {"number": 2, "reason_code": "waiting_for_approval", "state": "open", "at": 1000, "waits": [wait]}

    message = execution_message(record, lambda _queue: True, SuspensionRecord(core, [], []))

    assert message.state == pb.PUBLIC_STATE_SUSPENDED
    assert message.state_vector.lifecycle_phase == "suspended"
    assert message.state_vector.blocking_reason == "waiting_for_approval"
    assert (message.suspension.number, message.suspension.state) == (2, "open")
    assert message.suspension.due_time.ToMilliseconds() == 9000
    assert message.suspension.waits[0].condition.signal.waitpoint == "a"
    assert not show(record).HasField("suspension")


def test_steps_and_the_version_of_the_summary_are_shown() -> None:
    record = stored(new_execution(request(), LIMITS, 64), summary_version=4)
    failure = StepFailure("Declined", "no funds", "permanent")
    record.steps = [
        JournalEntry("1", "step", "plan", "done", runs=2, started_ms=1000, ended_ms=2000, data_bytes=9),
        JournalEntry("2", "step", "charge", "failed", failure=failure, started_ms=3000, ended_ms=3001),
        JournalEntry("3", "sleep", "sleep", "waiting", started_ms=3002, due_ms=9000),
    ]
    record.steps_total = 300

    message = show(record)

    assert (message.summary_version, message.steps_total) == (4, 300)
    assert [(one.key, one.name) for one in message.steps] == [("1", "plan"), ("2", "charge"), ("3", "sleep")]
    assert (message.steps[0].runs, message.steps[0].data_bytes) == (2, 9)
    assert message.steps[1].failure.type == "Declined"
    assert message.steps[2].due_time.ToMilliseconds() == 9000
    assert not message.steps[2].HasField("end_time")


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ({}, ("fresh", "")),
        ({"keep_journal": False}, ("fresh", "")),
        ({"keep_journal": True}, ("all", "")),
        ({"keep_journal_through": "plan"}, ("through", "plan")),
    ],
    ids=str,
)
def test_a_replay_says_what_it_keeps(keep: dict[str, Any], kept: tuple[str, str]) -> None:
    assert kept_journal(pb.ReplayExecutionRequest(**keep)) == kept


@pytest.mark.parametrize("step", ["", "a b", "x" * 257])
def test_a_replay_through_what_is_no_step_is_refused(step: str) -> None:
    with pytest.raises(EngineError) as refused:
        kept_journal(pb.ReplayExecutionRequest(keep_journal_through=step))

    assert refused.value.field == "keep_journal_through"


def test_a_start_time_and_a_delay_are_not_both_taken() -> None:
    both = request()
    both.spec.start_time.FromMilliseconds(1000)
    assert new_execution(both, LIMITS, 64).delay_until_ms == 1000
    both.spec.start_delay.FromMilliseconds(500)

    with pytest.raises(EngineError) as refused:
        new_execution(both, LIMITS, 64)
    assert refused.value.field == "spec.start_delay"

    both.spec.ClearField("start_time")
    assert (new_execution(both, LIMITS, 64).delay_until_ms, new_execution(both, LIMITS, 64).delay_ms) == (
        0,
        500,
    )
