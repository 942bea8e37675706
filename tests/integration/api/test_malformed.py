"""Every method refuses what is malformed: with a reason, with the field, and without changing anything."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ff_core.errors import ErrorCode
from flowfabric_api.execution.v1 import execution_pb2 as ex
from flowfabric_api.journal.v1 import journal_pb2 as jr
from flowfabric_api.operator.v1 import operator_pb2 as op
from flowfabric_api.output.v1 import output_pb2 as out
from flowfabric_api.subscription.v1 import subscription_pb2 as sub
from flowfabric_api.suspension.v1 import suspension_pb2 as su
from flowfabric_api.worker.v1 import worker_pb2 as wk

from .door import METHODS, Door, Refused, reason_of
from .worker_stream import claimed

pytestmark = pytest.mark.asyncio(loop_scope="module")

UUID = "0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
UNKNOWN = f"0-{UUID}"
LEASE = f"{UNKNOWN}:1:1:abc0".encode()
NAN, HUGE = float("nan"), Duration(seconds=1 << 40)


@dataclass(frozen=True)
class Case:
    """A request of a method, and the refusal it deserves."""

    method: str
    request: Message
    field: str = ""
    reason: str = "INVALID_ARGUMENT"
    over_rest: bool = True

    def __str__(self) -> str:
        return f"{self.method}-{self.field or self.reason}"


def spec(**fields: object) -> ex.CreateExecutionRequest:
    return ex.CreateExecutionRequest(spec=ex.ExecutionSpec(**({"kind": "k"} | fields)))  # type: ignore[arg-type]


def keyed(key: str, **fields: object) -> ex.CreateExecutionRequest:
    return ex.CreateExecutionRequest(spec=spec().spec, idempotency_key=key, **fields)  # type: ignore[arg-type]


def cancel(**fields: object) -> ex.CancelExecutionRequest:
    return ex.CancelExecutionRequest(execution_id=UNKNOWN, **fields)  # type: ignore[arg-type]


def page(page_token: str) -> ex.ListExecutionsRequest:
    return ex.ListExecutionsRequest(page_token=page_token)


def policy(**fields: object) -> ex.CreateExecutionRequest:
    return spec(policy=ex.Policy(**fields))  # type: ignore[arg-type]


def token(*parts: object, namespace: str = "") -> str:
    """A page token that is well-formed and not ours."""
    question = hashlib.sha256(json.dumps([namespace, "", "", 0]).encode()).hexdigest()[:8]
    return base64.urlsafe_b64encode(json.dumps([question, *parts]).encode()).decode().rstrip("=")


def failure(**fields: object) -> wk.FailRequest:
    return wk.FailRequest(lease=LEASE, failure=wk.Failed(**fields))  # type: ignore[arg-type]


def replay_through(step: str) -> ex.ReplayExecutionRequest:
    return ex.ReplayExecutionRequest(execution_id=UNKNOWN, keep_journal_through=step)


def record(*entries: dict[str, object], lease: bytes = LEASE) -> wk.RecordJournalRequest:
    """A write of steps that are as they should be but for what is said."""
    step = {"key": "1", "kind": jr.ENTRY_KIND_STEP, "name": "plan", "state": jr.ENTRY_STATE_DONE}
    return wk.RecordJournalRequest(
        lease=lease,
        entries=[jr.Entry(**(step | entry)) for entry in entries],  # type: ignore[arg-type]
    )


CREATE = [
    Case("CreateExecution", ex.CreateExecutionRequest(), "spec.kind"),
    Case("CreateExecution", spec(kind="a/b"), "spec.kind"),
    Case("CreateExecution", spec(kind="a\n"), "spec.kind"),
    Case("CreateExecution", spec(lane="a b"), "spec.lane"),
    Case("CreateExecution", spec(namespace="{p:0}"), "spec.namespace"),
    Case("CreateExecution", spec(priority=-1), "spec.priority"),
    Case("CreateExecution", spec(priority=9001), "spec.priority"),
    Case("CreateExecution", spec(payload=b"x" * 4097), "spec.payload", "PAYLOAD_TOO_LARGE"),
    Case("CreateExecution", spec(required_capabilities=["a,b"]), "spec.required_capabilities"),
    Case("CreateExecution", spec(required_capabilities=[""]), "spec.required_capabilities"),
    Case("CreateExecution", spec(required_capabilities=["x" * 4097]), "spec.required_capabilities"),
    Case("CreateExecution", spec(tags={"Big": "x"}), "spec.tags"),
    Case("CreateExecution", spec(tags={"a.b": "x" * 257}), "spec.tags.a.b"),
    Case("CreateExecution", spec(start_time=Timestamp(seconds=1 << 60)), "spec.start_time", over_rest=False),
    Case("CreateExecution", spec(deadline=Duration()), "spec.deadline"),
    Case("CreateExecution", spec(deadline=HUGE), "spec.deadline", over_rest=False),
    Case("CreateExecution", spec(traceparent="x" * 257), "spec.traceparent"),
    Case("CreateExecution", policy(max_attempts=0), "spec.policy.max_attempts"),
    Case("CreateExecution", policy(summary_max_bytes=1 << 21), "spec.policy.summary_max_bytes"),
    Case("CreateExecution", policy(best_effort_ttl=Duration()), "spec.policy.best_effort_ttl"),
    Case("CreateExecution", policy(backoff=ex.Backoff(jitter=NAN)), "spec.policy.backoff.jitter"),
    Case("CreateExecution", policy(backoff=ex.Backoff(multiplier=0)), "spec.policy.backoff.multiplier"),
    Case("CreateExecution", policy(retryable_categories=["a b"]), "spec.policy.retryable_categories"),
    Case("CreateExecution", policy(attempt_timeout=Duration()), "spec.policy.attempt_timeout"),
    Case("CreateExecution", keyed("a b"), "idempotency_key"),
    Case("CreateExecution", keyed("k" * 257), "idempotency_key"),
    Case("CreateExecution", keyed("k", idempotency_ttl=Duration()), "idempotency_ttl"),
    Case("BulkCreateExecutions", ex.BulkCreateExecutionsRequest(), "requests"),
    Case("BulkCreateExecutions", ex.BulkCreateExecutionsRequest(requests=[spec()] * 1001), "requests"),
]  # fmt: skip

BAD_IDS = ["x", f"0-{UUID}\n", f"00-{UUID}", "0-" + "x" * 5000]
BY_ID: list[tuple[str, type[Message], dict[str, object]]] = [
    ("GetExecution", ex.GetExecutionRequest, {}),
    ("WatchExecution", ex.WatchExecutionRequest, {}),
    ("GetResult", ex.GetResultRequest, {}),
    ("CancelExecution", ex.CancelExecutionRequest, {}),
    ("ChangePriority", ex.ChangePriorityRequest, {"priority": 1}),
    ("ReplayExecution", ex.ReplayExecutionRequest, {}),
    ("RevokeLease", ex.RevokeLeaseRequest, {}),
    ("GetTags", ex.GetTagsRequest, {}),
    ("SetTags", ex.SetTagsRequest, {"tags": {"a.b": "c"}}),
    ("ReadOutput", out.ReadOutputRequest, {}),
    ("TailOutput", out.TailOutputRequest, {}),
    ("ReadJournal", wk.ReadJournalRequest, {}),
    ("ReadResumption", wk.ReadResumptionRequest, {}),
    ("GetSummary", out.GetSummaryRequest, {}),
    ("DecideWaitpoint", su.DecideWaitpointRequest, {"name": "w", "decision": su.DECISION_APPROVE}),
    ("ListWaitpoints", su.ListWaitpointsRequest, {}),
    ("ResumeExecution", su.ResumeExecutionRequest, {}),
    ("GetSuspension", su.GetSuspensionRequest, {}),
]
ONE_EXECUTION = [
    Case(name, kind(execution_id=one, **more), "execution_id")
    for name, kind, more in BY_ID
    for one in BAD_IDS
] + [
    Case(name, kind(execution_id=one, **more), reason="EXECUTION_NOT_FOUND")
    for name, kind, more in BY_ID
    for one in (UNKNOWN, f"4095-{UUID}")
]

STEER = [
    Case("CancelExecution", cancel(reason="x" * 1025), "reason"),
    Case("CancelExecution", cancel(grace=Duration(seconds=-1)), "grace"),
    Case("CancelExecution", cancel(grace=Duration(seconds=86401)), "grace"),
    Case("BulkCancelExecutions", ex.BulkCancelExecutionsRequest(), "execution_ids"),
    Case("BulkCancelExecutions", ex.BulkCancelExecutionsRequest(execution_ids=["x"] * 1001), "execution_ids"),
    Case(
        "BulkCancelExecutions",
        ex.BulkCancelExecutionsRequest(execution_ids=["x"], reason="x" * 1025),
        "reason",
    ),
    Case("ChangePriority", ex.ChangePriorityRequest(execution_id=UNKNOWN, priority=9001), "priority"),
    Case("ChangePriority", ex.ChangePriorityRequest(execution_id=UNKNOWN, priority=-1), "priority"),
    Case("ReplayExecution", replay_through(""), "keep_journal_through"),
    Case("ReplayExecution", replay_through("a b"), "keep_journal_through"),
    Case("ReplayExecution", replay_through("1"), reason="EXECUTION_NOT_FOUND"),
    Case("RevokeLease", ex.RevokeLeaseRequest(execution_id=UNKNOWN, reason="x" * 1025), "reason"),
    Case("SetTags", ex.SetTagsRequest(execution_id=UNKNOWN), "tags"),
    Case("SetTags", ex.SetTagsRequest(execution_id=UNKNOWN, tags={"x": "y"}), "tags"),
    Case("SetTags", ex.SetTagsRequest(execution_id=UNKNOWN, tags={"a.b": "é" * 129}), "tags.a.b"),
]  # fmt: skip

CONFLICTING = op.RotateWaitpointKeyRequest(kid="k1", secret=b"x" * 32)
LOOK = [
    Case("ListExecutions", ex.ListExecutionsRequest(namespace="a b"), "namespace"),
    Case("ListExecutions", ex.ListExecutionsRequest(lane="a/b"), "lane"),
    Case("ListExecutions", ex.ListExecutionsRequest(kind="*"), "kind"),
    Case("ListExecutions", ex.ListExecutionsRequest(state=99), "state"),  # type: ignore[arg-type]
    Case("ListExecutions", ex.ListExecutionsRequest(tags=["a.b"]), "tags"),
    Case("ListExecutions", ex.ListExecutionsRequest(tags=["x=y"]), "tags"),
    Case("ListExecutions", ex.ListExecutionsRequest(page_size=-1), "page_size"),
    Case("ListExecutions", page("nonsense"), "page_token"),
    Case("ListExecutions", page("é"), "page_token"),
    Case("ListExecutions", page(token(1.0)), "page_token"),
    Case("ListExecutions", page(token(None, "x")), "page_token"),
    Case("ListExecutions", page(token(NAN, "x")), "page_token"),
    Case("ListExecutions", page(token(10**400, "x")), "page_token"),
    Case("ListExecutions", page(token(1.0, "\ud800")), "page_token"),
    Case("ListExecutions", page(token(1.0, "x", namespace="other")), "page_token"),
    Case("ReadOutput", out.ReadOutputRequest(execution_id=UNKNOWN, after="x"), "after"),
    Case("ReadOutput", out.ReadOutputRequest(execution_id=UNKNOWN, after="1-1\n"), "after"),
    Case("ReadOutput", out.ReadOutputRequest(execution_id=UNKNOWN, after="+"), "after"),
    Case("ReadOutput", out.ReadOutputRequest(execution_id=UNKNOWN, page_size=-1), "page_size"),
    Case("ReadOutput", out.ReadOutputRequest(execution_id=UNKNOWN, until="9"), "until"),
    Case("ReadOutput", out.ReadOutputRequest(execution_id=UNKNOWN, attempt=-1), "attempt"),
    Case("TailOutput", out.TailOutputRequest(execution_id=UNKNOWN, after="-"), "after"),
    Case("TailOutput", out.TailOutputRequest(execution_id=UNKNOWN, attempt=-1), "attempt"),
    Case("TailOutput", out.TailOutputRequest(execution_id=UNKNOWN, classes=[9]), "classes"),  # type: ignore[list-item]
    Case("ReadOutput", out.ReadOutputRequest(execution_id=UNKNOWN, kinds=[0]), "kinds"),  # type: ignore[list-item]
    Case("Subscribe", sub.SubscribeRequest(after="x"), "after"),
    Case("Subscribe", sub.SubscribeRequest(page_size=-1), "page_size"),
    Case("Subscribe", sub.SubscribeRequest(lane="a/b"), "lane"),
    Case("ReadEvents", sub.SubscribeRequest(after="eJxjZAAAAAIAAg", namespace="a b"), "after"),
    Case("ReadEvents", sub.SubscribeRequest(tags=["a.b=c", "a.b=d"]), "tags"),
    Case("ListWorkers", op.ListWorkersRequest(namespace="a b"), "namespace"),
    Case("ListWorkers", op.ListWorkersRequest(page_size=-1), "page_size"),
    Case("ListWorkers", op.ListWorkersRequest(page_token="a b"), "page_token"),
    Case("ListLanes", op.ListLanesRequest(namespace="a/b"), "namespace"),
    Case("RotateWaitpointKey", op.RotateWaitpointKeyRequest(kid="a.b"), "kid"),
    Case("RotateWaitpointKey", op.RotateWaitpointKeyRequest(kid="k" * 33), "kid"),
    Case("RotateWaitpointKey", op.RotateWaitpointKeyRequest(kid="k2\n"), "kid"),
    Case("RotateWaitpointKey", op.RotateWaitpointKeyRequest(kid="new", secret=b"x" * 31), "secret"),
    Case("RotateWaitpointKey", op.RotateWaitpointKeyRequest(kid="new", secret=b"x" * 1025), "secret"),
    Case("RotateWaitpointKey", op.RotateWaitpointKeyRequest(grace=Duration(seconds=-1)), "grace"),
    Case("RotateWaitpointKey", op.RotateWaitpointKeyRequest(grace=HUGE), "grace", over_rest=False),
    Case("RotateWaitpointKey", CONFLICTING, "kid", "KEY_CONFLICT"),
]  # fmt: skip

WORK = [
    Case("Claim", wk.ClaimRequest(worker_id="a b"), "worker_id"),
    Case("Claim", wk.ClaimRequest(worker_id="w", namespace="a b"), "namespace"),
    Case("Claim", wk.ClaimRequest(worker_id="w", lanes=["a/b"]), "lanes"),
    Case("Claim", wk.ClaimRequest(worker_id="w", lanes=["a"] * 65), "lanes"),
    Case("Claim", wk.ClaimRequest(worker_id="w", capabilities=["a,b"]), "capabilities"),
    Case("Claim", wk.ClaimRequest(worker_id="w", max_grants=-1), "max_grants"),
    Case("Claim", wk.ClaimRequest(worker_id="w", max_grants=257), "max_grants"),
    Case("Claim", wk.ClaimRequest(worker_id="w", wait_time=Duration(seconds=31)), "wait_time"),
    Case("Claim", wk.ClaimRequest(worker_id="w", wait_time=Duration(seconds=-1)), "wait_time"),
    Case("RenewLeases", wk.RenewLeasesRequest(worker_id="a b", leases=[LEASE]), "worker_id"),
    Case("ReportOutcomes", wk.ReportOutcomesRequest(worker_id="a b"), "worker_id"),
    Case("Complete", wk.CompleteRequest(lease=LEASE, result=b"x" * 4097), "result", "PAYLOAD_TOO_LARGE"),
    Case("Complete", wk.CompleteRequest(lease=b"nonsense"), "lease"),
    Case("Complete", wk.CompleteRequest(lease=LEASE), reason="EXECUTION_NOT_FOUND"),
    Case("Fail", failure(category="a b"), "failed.category"),
    Case("Fail", failure(type="x" * 257), "failed.type"),
    Case("Fail", failure(retry_delay=Duration(seconds=-1)), "failed.retry_delay"),
    Case("Fail", wk.FailRequest(lease=LEASE + b"\n"), "lease"),
    Case("Fail", failure(), reason="EXECUTION_NOT_FOUND"),
    Case("Delay", wk.DelayRequest(lease=LEASE, delay=Duration(seconds=-1)), "delay"),
    Case("Delay", wk.DelayRequest(lease=b""), "lease"),
    Case("Delay", wk.DelayRequest(lease=LEASE), reason="EXECUTION_NOT_FOUND"),
    Case(
        "UpdateProgress",
        wk.UpdateProgressRequest(progress=wk.ProgressReport(lease=LEASE, percent=NAN)),
        "progress.percent",
    ),
    Case("UpdateProgress", wk.UpdateProgressRequest(), "progress.lease"),
    Case(
        "UpdateProgress",
        wk.UpdateProgressRequest(progress=wk.ProgressReport(lease=LEASE, message="x" * 1025)),
        "progress.message",
    ),
    Case(
        "UpdateProgress",
        wk.UpdateProgressRequest(progress=wk.ProgressReport(lease=LEASE)),
        reason="EXECUTION_NOT_FOUND",
    ),
    Case("RecordJournal", wk.RecordJournalRequest(lease=LEASE), "entries"),
    Case("RecordJournal", record(*[{}] * 257), "entries"),
    Case("RecordJournal", record({"key": ""}), "entries[0].key"),
    Case("RecordJournal", record({}, {"key": "2", "name": "a b"}), "entries[1].name"),
    Case("RecordJournal", record({"kind": 0}), "entries[0].kind"),
    Case("RecordJournal", record({"kind": 9}), "entries[0].kind"),
    Case("RecordJournal", record({"state": 0}), "entries[0].state"),
    Case("RecordJournal", record({"fingerprint": "x" * 65}), "entries[0].fingerprint"),
    Case("RecordJournal", record({"data": b"x" * 4097}), "entries[0].data", "PAYLOAD_TOO_LARGE"),
    Case("RecordJournal", record({}, lease=b"nonsense"), "lease"),
    Case("RecordJournal", record({}), reason="EXECUTION_NOT_FOUND"),
    Case("ReadJournal", wk.ReadJournalRequest(execution_id=UNKNOWN, after=-1), "after"),
    Case("ReadJournal", wk.ReadJournalRequest(execution_id=UNKNOWN, page_bytes=-1), "page_bytes"),
    Case("ReadJournal", wk.ReadJournalRequest(execution_id=UNKNOWN, signals_after=-1), "signals_after"),
    Case("ReadResumption", wk.ReadResumptionRequest(execution_id=UNKNOWN, after=-1), "after"),
    Case("ReadResumption", wk.ReadResumptionRequest(execution_id=UNKNOWN, page_bytes=-1), "page_bytes"),
    Case("ReadJournal", wk.ReadJournalRequest(execution_id=UNKNOWN, page_bytes=(1 << 20) + 1), "page_bytes"),
    Case("AppendOutput", wk.AppendOutputRequest(lease=b"nonsense"), "lease"),
    Case("AppendOutput", wk.AppendOutputRequest(lease=LEASE, frames=[wk.Frame(number=0)]), "frames.number"),
    Case(
        "AppendOutput",
        wk.AppendOutputRequest(lease=LEASE, frames=[wk.Frame(number=1, kind=5, data=b"[1]")]),  # type: ignore[arg-type]
        "frames.data",
    ),
    Case(
        "AppendOutput",
        wk.AppendOutputRequest(lease=LEASE, frames=[wk.Frame(number=1), wk.Frame(number=3)]),
        "frames.number",
    ),
    Case(
        "AppendOutput",
        wk.AppendOutputRequest(lease=LEASE, frames=[wk.Frame(number=1, data=b"x" * 65_537)]),
        "frames.data",
        "PAYLOAD_TOO_LARGE",
    ),
    Case(
        "AppendOutput",
        wk.AppendOutputRequest(lease=LEASE, frames=[wk.Frame(number=1)]),
        reason="EXECUTION_NOT_FOUND",
    ),
]

DEEP = su.Condition(operator=su.Operator())
for _ in range(4):
    DEEP = su.Condition(all_of=su.AllOf(conditions=[DEEP]))
UNSATISFIABLE = su.Condition(count=su.Count(n=2, by=su.COUNT_BY_WAITPOINTS))
TIMELESS = su.Condition(timer=su.Timer())
NO_SIGNAL = su.DeliverSignalRequest(waitpoint_id=f"n~{UNKNOWN}~s1~1~9", token="w1.k1." + "A" * 43, name="a b")
UNKNOWN_KEY = su.DeliverSignalRequest(waitpoint_id=f"n~{UNKNOWN}~s1~1~9", token="w1.k9." + "A" * 43)


def waitpoint(lease: bytes = LEASE, entry: str = "", **fields: object) -> su.CreateWaitpointRequest:
    spec = su.WaitpointSpec(**({"name": "w"} | fields))  # type: ignore[arg-type]
    return su.CreateWaitpointRequest(lease=lease, entry=entry, spec=spec)


def suspend(lease: bytes = LEASE, condition: su.Condition = DEEP, **fields: object) -> su.SuspendRequest:
    asked = {"waitpoints": [su.WaitpointSpec(name="w")], "waits": [su.Wait(condition=condition)]}
    return su.SuspendRequest(lease=lease, suspend=su.SuspendSpec(**(asked | fields)))  # type: ignore[arg-type]


def decide(**fields: object) -> su.DecideWaitpointRequest:
    asked = {"execution_id": UNKNOWN, "name": "w", "decision": su.DECISION_APPROVE}
    return su.DecideWaitpointRequest(**(asked | fields))  # type: ignore[arg-type]


def unknown_decision() -> su.DecideWaitpointRequest:
    request = decide()
    request.decision = 9  # type: ignore[assignment]
    return request


def resume(**fields: object) -> su.ResumeExecutionRequest:
    return su.ResumeExecutionRequest(execution_id=UNKNOWN, **fields)  # type: ignore[arg-type]


CONDITION = "suspend.waits[0].condition"
INTERRUPT = [
    Case("CreateWaitpoint", waitpoint(lease=b"nonsense"), "lease"),
    Case("CreateWaitpoint", waitpoint(name=""), "spec.name"),
    Case("CreateWaitpoint", waitpoint(name="{p:0}"), "spec.name"),
    Case("CreateWaitpoint", waitpoint(recipient="a b"), "spec.recipient"),
    Case("CreateWaitpoint", waitpoint(ttl=Duration()), "spec.ttl"),
    Case("CreateWaitpoint", waitpoint(ttl=HUGE), "spec.ttl", over_rest=False),
    Case("CreateWaitpoint", waitpoint(waitpoint_id="x"), "spec.waitpoint_id"),
    Case("CreateWaitpoint", waitpoint(entry="a b"), "entry"),
    Case("CreateWaitpoint", waitpoint(), reason="EXECUTION_NOT_FOUND"),
    Case("Suspend", suspend(lease=b"\xff:1:1:x", condition=TIMELESS), f"{CONDITION}.timer"),
    Case("Suspend", suspend(lease=b"\xff:1:1:x", condition=su.Condition(operator=su.Operator())), "lease"),
    Case("Suspend", suspend(), f"{CONDITION}{'.all_of.conditions[0]' * 4}"),
    Case("Suspend", suspend(condition=su.Condition()), CONDITION),
    Case("Suspend", suspend(condition=UNSATISFIABLE), f"{CONDITION}.count.n"),
    Case("Suspend", suspend(waits=[]), "suspend.waits"),
    Case("Suspend", suspend(waitpoints=[su.WaitpointSpec(name="w")] * 2), "suspend.waitpoints[1].name"),
    Case("Suspend", suspend(reason_code="x"), "suspend.reason_code"),
    Case("Suspend", suspend(condition=su.Condition(operator=su.Operator())), reason="EXECUTION_NOT_FOUND"),
    Case("DeliverSignal", su.DeliverSignalRequest(), reason="TOKEN_INVALID"),
    Case("DeliverSignal", NO_SIGNAL, reason="TOKEN_INVALID"),
    Case("DeliverSignal", UNKNOWN_KEY, reason="TOKEN_INVALID"),
    Case("BulkDeliverSignals", su.BulkDeliverSignalsRequest(), "requests"),
    Case("BulkDeliverSignals", su.BulkDeliverSignalsRequest(requests=[NO_SIGNAL] * 1001), "requests"),
    Case("DecideWaitpoint", decide(name="a b"), "name"),
    Case("DecideWaitpoint", decide(decision=su.DECISION_UNSPECIFIED), "decision"),
    Case("DecideWaitpoint", unknown_decision(), "decision", over_rest=False),
    Case("DecideWaitpoint", decide(payload=b"x" * 65_537), "payload", "PAYLOAD_TOO_LARGE"),
    Case("DecideWaitpoint", decide(idempotency_key="a b"), "idempotency_key"),
    Case("ListWaitpoints", su.ListWaitpointsRequest(execution_id=UNKNOWN, page_size=-1), "page_size"),
    Case("ListWaitpoints", su.ListWaitpointsRequest(execution_id=UNKNOWN, page_token="0"), "page_token"),
    Case("ListWaitpoints", su.ListWaitpointsRequest(execution_id=UNKNOWN, page_token="1\n"), "page_token"),
    Case("ResumeExecution", resume(reason="x" * 1025), "reason"),
    Case("ResumeExecution", resume(delay=Duration(seconds=-1)), "delay"),
    Case("ResumeExecution", resume(delay=HUGE), "delay", over_rest=False),
]  # fmt: skip

CASES = [*CREATE, *ONE_EXECUTION, *STEER, *LOOK, *WORK, *INTERRUPT]
#: Their refusals are told within their answers; test_session.py and test_output_stream.py have them.
STREAMS = {"Session", "StreamOutput"}
#: Takes nothing, so that nothing can be wrong with it.
HARMLESS = {"ListWaitpointKeys"}


async def test_every_method_has_its_cases() -> None:
    assert {case.method for case in CASES} | STREAMS | HARMLESS == set(METHODS)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_malformed_call_is_refused_and_changes_nothing(door: Door, case: Case) -> None:
    before = door.snapshot()

    with pytest.raises(Refused) as refused:
        await door.ask(case.request, case.method)

    expected = (case.field,) if case.field else ()
    assert (refused.value.reason, refused.value.fields) == (case.reason, expected)
    assert refused.value.status == ErrorCode[case.reason].grpc.name
    assert door.snapshot() == before


@pytest.mark.parametrize("case", [case for case in CASES if case.over_rest], ids=str)
async def test_the_same_is_refused_over_rest(door: Door, case: Case) -> None:
    before = door.snapshot()

    status, body = await door.fetch(case.request, case.method)

    assert (body["kind"], body.get("field", "")) == (case.reason, case.field)
    assert status == ErrorCode[case.reason].http
    assert body["retryable"] is False
    assert door.snapshot() == before


async def test_one_bad_item_of_a_bulk_harms_no_other(door: Door) -> None:
    good = spec(lane="bulk")

    [answer] = await door.ask(
        ex.BulkCreateExecutionsRequest(requests=[good, spec(priority=-1), good]), "BulkCreateExecutions"
    )

    assert [result.status.code for result in answer.results] == [0, 3, 0]
    assert [bool(result.execution_id) for result in answer.results] == [True, False, True]


async def test_tags_over_the_number_an_execution_may_have_are_refused_by_name(door: Door) -> None:
    tags = {f"a.{number}": "x" for number in range(32)}
    [created] = await door.ask(spec(lane="tagged", tags=tags), "CreateExecution")

    with pytest.raises(Refused) as refused:
        await door.ask(ex.SetTagsRequest(execution_id=created.execution_id, tags={"b.c": "x"}), "SetTags")

    assert (refused.value.reason, refused.value.fields) == ("INVALID_ARGUMENT", ("tags",))


async def test_one_bad_outcome_harms_no_other(door: Door) -> None:
    execution = ex.CreateExecutionRequest(spec=ex.ExecutionSpec(kind="k", lane="reported"))
    await door.ask(execution, "CreateExecution")
    grant = await claimed(door, "reported")
    outcomes = [
        wk.Outcome(lease=LEASE),
        wk.Outcome(lease=LEASE, completed=wk.Completed(result=b"x" * 4097)),
        wk.Outcome(lease=b"nonsense", cancelled=wk.Cancelled()),
        wk.Outcome(lease=grant.lease, completed=wk.Completed()),
    ]

    [answer] = await door.ask(wk.ReportOutcomesRequest(worker_id="w", outcomes=outcomes), "ReportOutcomes")

    refused, done = answer.results[:3], answer.results[3]
    assert [reason_of(result.status) for result in refused] == [
        "INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE", "INVALID_ARGUMENT",
    ]  # fmt: skip
    assert (done.status.code, done.answer) == (0, "completed")
    assert [result.lease for result in answer.results] == [LEASE, LEASE, b"nonsense", grant.lease]


async def test_unknown_ids_of_a_bulk_cancel_are_told_one_by_one(door: Door) -> None:
    before = door.snapshot()

    [answer] = await door.ask(
        ex.BulkCancelExecutionsRequest(execution_ids=["nonsense", UNKNOWN]), "BulkCancelExecutions"
    )

    assert [result.execution_id for result in answer.results] == ["nonsense", UNKNOWN]
    assert [result.status.code for result in answer.results] == [5, 5]
    assert door.snapshot() == before
