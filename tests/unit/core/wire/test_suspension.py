"""Suspensions, waitpoints and signals of requests: what is taken, the path of what is not, what is shown."""

from __future__ import annotations

import json

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ff_core.errors import EngineError, ErrorCode
from ff_core.signal import Delivered, SignalLimits, StoredSignal
from ff_core.suspension import SuspendSpec, SuspensionLimits, SuspensionRecord
from ff_core.waitpoint import WaitpointRecord, WaitpointRef
from ff_core.wire.suspension import (
    decision,
    delivered,
    new_signal,
    new_waitpoint,
    placed,
    signal_message,
    suspend_spec,
    suspension_message,
    waitpoint_message,
)
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

EXECUTION = "7-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
LEASE = f"{EXECUTION}:1:1:abc".encode()
REF = WaitpointRef("acme", EXECUTION, "p3", 3, 9_000_000)
LIMITS = SuspensionLimits(waitpoint_ttl_ms=5000, max_suspension_ms=60_000)
LEAF = pb.Condition(signal=pb.SignalMatch(waitpoint="approval"))
WAIT = pb.Wait(condition=LEAF)
APPROVAL = pb.WaitpointSpec(name="approval")
SECOND = Duration(seconds=1)


def spec(**fields: object) -> pb.SuspendSpec:
    return pb.SuspendSpec(**({"waitpoints": [APPROVAL], "waits": [WAIT]} | fields))  # type: ignore[arg-type]


def read(message: pb.SuspendSpec) -> SuspendSpec:
    return suspend_spec(message, LEASE, "suspend", LIMITS)


def wait(**fields: object) -> pb.SuspendSpec:
    return spec(waits=[WAIT, pb.Wait(**({"condition": LEAF} | fields))])  # type: ignore[arg-type]


def waitpoint(**fields: object) -> pb.SuspendSpec:
    return spec(waitpoints=[APPROVAL, pb.WaitpointSpec(**({"name": "other"} | fields))])  # type: ignore[arg-type]


def unknown_behaviour() -> pb.SuspendSpec:
    message = wait()
    message.waits[1].on_timeout = 9  # type: ignore[assignment]
    return message


def unknown_use() -> pb.SuspendSpec:
    message = waitpoint()
    message.waitpoints[1].use = 9  # type: ignore[assignment]
    return message


def test_what_is_not_said_has_a_default() -> None:
    found = read(spec())

    assert (found.reason_code, found.requested_by) == ("waiting_for_signal", "worker")
    assert found.longest_ms == 60_000
    [made] = found.waitpoints
    assert (made.name, made.uses, made.recipient, made.ttl_ms, made.number) == (
        "approval",
        "multi",
        "",
        5000,
        None,
    )
    [waited] = found.waits
    assert (waited.timeout_ms, waited.due_ms, waited.on_timeout) == (60_000, None, "fail")
    assert waited.node == {"op": "signal", "at": "approval"}


def test_all_that_is_said_is_kept() -> None:
    found = read(
        spec(
            reason_code="waiting_for_approval",
            waitpoints=[
                pb.WaitpointSpec(
                    name="approval", use=pb.WAITPOINT_USE_SINGLE, recipient="ada@example.com", ttl=SECOND
                ),
                pb.WaitpointSpec(name="early", waitpoint_id=REF.render()),
            ],
            waits=[
                pb.Wait(
                    entry="=a:b",
                    name="approval of ä",
                    condition=LEAF,
                    timeout=SECOND,
                    on_timeout=pb.TIMEOUT_BEHAVIOUR_ESCALATE,
                    seen=4,
                ),
                pb.Wait(
                    condition=pb.Condition(timer=pb.Timer()),
                    timeout_time=Timestamp(seconds=5),
                    on_timeout=pb.TIMEOUT_BEHAVIOUR_AUTO_RESUME,
                ),
            ],
        )
    )

    made, bound = found.waitpoints
    assert (made.uses, made.recipient, made.ttl_ms) == ("single", "ada@example.com", 1000)
    assert (bound.name, bound.number) == ("early", 3)
    first, second = found.waits
    assert (first.entry, first.name, first.timeout_ms, first.on_timeout) == (
        "=a:b", "approval of ä", 1000, "escalate",
    )  # fmt: skip
    assert (second.timeout_ms, second.due_ms, second.on_timeout) == (None, 5000, "resume")
    stored = json.loads(found.document())["waits"]
    assert (stored[0]["seen"], stored[1]["due_at"], "seen" in stored[1]) == (4, 5000, False)


def test_equal_requests_have_one_fingerprint() -> None:
    assert read(spec()).fingerprint == read(spec()).fingerprint
    assert read(spec()).fingerprint != read(spec(reason_code="manual_pause")).fingerprint
    assert read(spec()).fingerprint != read(wait()).fingerprint


OTHER = WaitpointRef("acme", EXECUTION[:-1] + "0", "p3", 3, 9_000_000)
REFUSED = [
    (spec(reason_code="bored"), "reason_code"),
    (spec(waits=[]), "waits"),
    (spec(waits=[WAIT] * 17), "waits"),
    (spec(waitpoints=[pb.WaitpointSpec(name=f"w{number}") for number in range(65)]), "waitpoints"),
    (waitpoint(name=""), "waitpoints[1].name"),
    (waitpoint(name="a/b"), "waitpoints[1].name"),
    (waitpoint(name="approval"), "waitpoints[1].name"),
    (unknown_use(), "waitpoints[1].use"),
    (waitpoint(recipient="a b"), "waitpoints[1].recipient"),
    (waitpoint(recipient="x" * 129), "waitpoints[1].recipient"),
    (waitpoint(ttl=Duration()), "waitpoints[1].ttl"),
    (waitpoint(ttl=Duration(seconds=401 * 86_400)), "waitpoints[1].ttl"),
    (waitpoint(waitpoint_id="nonsense"), "waitpoints[1].waitpoint_id"),
    (waitpoint(waitpoint_id=OTHER.render()), "waitpoints[1].waitpoint_id"),
    (wait(entry="a b"), "waits[1].entry"),
    (wait(name="x" * 257), "waits[1].name"),
    (wait(timeout=Duration(seconds=-1)), "waits[1].timeout"),
    (wait(timeout=Duration(seconds=61)), "waits[1].timeout"),
    (wait(timeout_time=Timestamp(seconds=1 << 60)), "waits[1].timeout_time"),
    (unknown_behaviour(), "waits[1].on_timeout"),
    (wait(seen=-1), "waits[1].seen"),
    (wait(condition=None), "waits[1].condition"),
    (wait(condition=pb.Condition(timer=pb.Timer())), "waits[1].condition.timer"),
    (
        wait(condition=pb.Condition(signal=pb.SignalMatch(waitpoint="none"))),
        "waits[1].condition.signal.waitpoint",
    ),
]


@pytest.mark.parametrize(
    ("message", "path"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_refusal_names_the_path(message: pb.SuspendSpec, path: str) -> None:
    with pytest.raises(EngineError) as refused:
        read(message)

    assert (refused.value.code, refused.value.field) == (ErrorCode.INVALID_ARGUMENT, f"suspend.{path}")


@pytest.mark.parametrize("lease", [b"", b"\xff\xfe:1:1:a", b"nonsense", EXECUTION.encode()[:-1]])
def test_a_waitpoint_is_bound_by_the_lease_of_its_execution_only(lease: bytes) -> None:
    with pytest.raises(EngineError) as refused:
        suspend_spec(waitpoint(waitpoint_id=REF.render()), lease, "suspend", LIMITS)

    assert refused.value.field == "suspend.waitpoints[1].waitpoint_id"


def test_what_the_rules_refuse_is_placed_in_the_request() -> None:
    refused = [
        placed(EngineError(code, detail, field=field), "suspend")
        for code, detail, field in (
            (ErrorCode.INVALID_ARGUMENT, "waits[0].condition.signal.waitpoint: unknown", ""),
            (ErrorCode.INVALID_ARGUMENT, "suspend: 40000 bytes", ""),
            (ErrorCode.INVALID_ARGUMENT, "lease", ""),
            (ErrorCode.INVALID_ARGUMENT, "result: too long", "result"),
            (ErrorCode.WAITPOINTS_FULL, "too many: are open", ""),
        )
    ]

    assert [error.field for error in refused] == [
        "suspend.waits[0].condition.signal.waitpoint", "suspend", "", "result", "",
    ]  # fmt: skip
    assert refused[0].detail == "suspend.waits[0].condition.signal.waitpoint: unknown"


def test_a_waitpoint_that_is_made_is_not_one_that_was() -> None:
    with pytest.raises(EngineError) as refused:
        new_waitpoint(pb.WaitpointSpec(name="a", waitpoint_id=REF.render()), "spec", LIMITS)

    assert refused.value.field == "spec.waitpoint_id"


def signal(**fields: object) -> pb.DeliverSignalRequest:
    return pb.DeliverSignalRequest(**({"name": "approved"} | fields))  # type: ignore[arg-type]


def test_a_signal_is_what_its_waitpoint_its_sender_and_its_request_say() -> None:
    found = new_signal(
        signal(payload=b"\0", category="c", correlation_id="ä b", idempotency_key="k", resume_delay=SECOND),
        REF,
        "user:ada",
        SignalLimits(),
    )

    assert (found.execution_id, found.scope, found.number, found.expires_ms) == (
        EXECUTION,
        "p3",
        3,
        9_000_000,
    )
    assert (found.name, found.category, found.source) == ("approved", "c", "user:ada")
    assert (found.payload, found.correlation_id, found.idempotency_key) == (b"\0", "ä b", "k")
    assert (found.idempotency_ttl_ms, found.resume_delay_ms) == (86_400_000, 1000)


def test_a_delivery_without_a_key_is_told_from_its_repeats_for_a_while() -> None:
    first, second = (new_signal(signal(), REF, "", SignalLimits()) for _ in range(2))

    assert first.idempotency_key != second.idempotency_key
    assert first.fingerprint() == second.fingerprint()
    assert first.idempotency_ttl_ms == second.idempotency_ttl_ms == 60_000


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (signal(name=""), "name"),
        (signal(name="a b"), "name"),
        (signal(category="a b"), "category"),
        (signal(correlation_id="x" * 257), "correlation_id"),
        (signal(idempotency_key="a b"), "idempotency_key"),
        (signal(idempotency_ttl=Duration()), "idempotency_ttl"),
        (signal(idempotency_ttl=Duration(seconds=31 * 86_400)), "idempotency_ttl"),
        (signal(resume_delay=Duration(seconds=-1)), "resume_delay"),
        (signal(resume_delay=Duration(seconds=401 * 86_400)), "resume_delay"),
    ],
)
def test_a_malformed_signal_is_refused_by_field(message: pb.DeliverSignalRequest, field: str) -> None:
    with pytest.raises(EngineError) as refused:
        new_signal(message, REF, "", SignalLimits())

    assert (refused.value.code, refused.value.field) == (ErrorCode.INVALID_ARGUMENT, field)


def test_a_payload_has_a_limit() -> None:
    limits = SignalLimits(max_payload_bytes=4)
    assert new_signal(signal(payload=b"1234"), REF, "", limits).payload == b"1234"

    with pytest.raises(EngineError) as refused:
        new_signal(signal(payload=b"12345"), REF, "", limits)

    assert refused.value.code is ErrorCode.PAYLOAD_TOO_LARGE


def test_a_decision_is_a_signal_by_name() -> None:
    request = pb.DecideWaitpointRequest(execution_id=EXECUTION, name="approval", decision=pb.DECISION_REJECT)

    found = decision(request, "operator:default", SignalLimits())

    assert (found.waitpoint_name, found.number, found.scope, found.expires_ms) == ("approval", None, "", 0)
    assert (found.name, found.category, found.source) == ("rejected", "approval", "operator:default")


def record(state: str = "bound") -> WaitpointRecord:
    return WaitpointRecord(REF, "approval", "single", state, "ada", "k1", "", 1000, "", 2)  # type: ignore[arg-type]


def test_a_waitpoint_is_shown_without_token() -> None:
    message = waitpoint_message(record())

    assert message == pb.Waitpoint(
        waitpoint_id=REF.render(),
        name="approval",
        use=pb.WAITPOINT_USE_SINGLE,
        state="bound",
        recipient="ada",
        kid="k1",
        create_time=Timestamp(seconds=1),
        expire_time=Timestamp(seconds=9000),
        signals=2,
    )


def test_every_effect_has_a_number() -> None:
    effects = ("resumed", "counted", "repeated", "unmatched", "buffered")

    numbers = [delivered(Delivered(1, effect, False, "suspended")).effect for effect in effects]  # type: ignore[arg-type]

    assert numbers == [1, 2, 3, 4, 5]


def test_a_signal_is_shown() -> None:
    stored = StoredSignal(4, "approval", "approved", "approval", "user:ada", "c", b"\0", 1500)

    assert signal_message(stored) == pb.Signal(
        number=4, waitpoint="approval", name="approved", category="approval", source="user:ada",
        correlation_id="c", payload=b"\0", time=Timestamp(seconds=1, nanos=500_000_000),
    )  # fmt: skip


def test_an_execution_that_never_suspended_has_number_zero() -> None:
    assert suspension_message(None) == pb.Suspension()


def test_a_suspension_is_shown_with_the_state_of_its_conditions() -> None:
    count = {"op": "count", "n": 2, "by": "sources", "seen": {"@user:bob": 5}, "ok": False}
    leaf = {"op": "signal", "at": "approval", "by": 3, "ok": True}
    core = {
        "number": 2, "reason_code": "waiting_for_approval", "at": 1000, "state": "open", "waitpoints": [1],
        "waits": [
            {"name": "a", "node": {"op": "all", "of": [leaf, count]}, "due_at": 5000, "on_timeout": "expire"},
            {"name": "b", "node": {"op": "operator"}, "on_timeout": "escalate", "escalated_at": 900},
            {"name": "c", "node": {"op": "timeout"}, "due_at": 4000, "on_timeout": "resume", "by": []},
        ],
    }  # fmt: skip

    message = suspension_message(SuspensionRecord(core, [], [record()]))

    assert (message.number, message.state, message.ending) == (2, "open", "")
    assert message.due_time == Timestamp(seconds=4)
    assert [list(wait.signals) for wait in message.waits] == [[3, 5], [], []]
    assert [wait.escalated for wait in message.waits] == [False, True, False]
    assert message.waits[0].condition.all_of.conditions[1].count.n == 2
    assert [wait.on_timeout for wait in message.waits] == [3, 5, 4]
    assert message.waitpoints[0].token == ""


def test_a_closed_suspension_is_due_no_more() -> None:
    wait = {
        "name": "",
        "node": {"op": "timeout"},
        "due_at": 4000,
        "on_timeout": "resume",
        "satisfied_at": 4001,
    }
    core = {
        "number": 1, "reason_code": "waiting_for_timer", "at": 1000, "state": "closed", "ending": "timeout",
        "waits": [wait],
    }  # fmt: skip

    message = suspension_message(SuspensionRecord(core, [], []))

    assert not message.HasField("due_time")
    assert (message.ending, message.waits[0].satisfied) == ("timeout", True)
