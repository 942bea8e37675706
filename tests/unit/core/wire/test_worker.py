"""What workers say is checked before it reaches the rules."""

from __future__ import annotations

import json

import pytest
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.journal import JournalEntry
from ff_core.lease import Answer, CancelNotice, Grant, Outcome
from ff_core.signal import StoredSignal
from ff_core.suspension import Resumption, Suspended, SuspensionLimits
from ff_core.waitpoint import WaitpointRecord, WaitpointRef
from ff_core.wire import worker as wire
from ff_core.wire.time import duration
from flowfabric_api.suspension.v1 import suspension_pb2 as sp
from flowfabric_api.worker.v1 import worker_pb2 as pb

LEASE = b"7-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b:2:3:abc0"


def refusal(error: pytest.ExceptionInfo[EngineError]) -> tuple[str, str]:
    return error.value.code.name, error.value.field


def pool(**over: object) -> pb.Pool:
    return pb.Pool(**({"lanes": ["a"], "capabilities": ["gpu"], "slots": 1} | over))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pools", "field"),
    [
        ([], "hello.pools"),
        ([pool()] * 17, "hello.pools"),
        ([pool(), pool(slots=0)], "hello.pools[1].slots"),
        ([pool(slots=-1)], "hello.pools[0].slots"),
        ([pool(slots=100_001)], "hello.pools[0].slots"),
        ([pool(lanes=[])], "hello.pools[0].lanes"),
        ([pool(lanes=["a"] * 65)], "hello.pools[0].lanes"),
        ([pool(lanes=["a/b"])], "hello.pools[0].lanes"),
        ([pool(lanes=[""])], "hello.pools[0].lanes"),
        ([pool(capabilities=["a,b"])], "hello.pools[0].capabilities"),
        ([pool(capabilities=[""])], "hello.pools[0].capabilities"),
    ],
)
def test_bad_pools_are_refused_by_name(pools: list[pb.Pool], field: str) -> None:
    with pytest.raises(EngineError) as refused:
        wire.pools(pools)

    assert refusal(refused) == ("INVALID_ARGUMENT", field)


def test_repeated_lanes_and_capabilities_count_once() -> None:
    [read] = wire.pools([pool(lanes=["b", "a", "b"], capabilities=["x", "x"], slots=5)])

    assert (read.lanes, read.capabilities, read.slots) == (("b", "a"), frozenset({"x"}), 5)


def test_a_pool_without_capabilities_is_fine() -> None:
    assert wire.pools([pool(capabilities=[])])[0].capabilities == frozenset()


def outcome(**result: object) -> pb.Outcome:
    return pb.Outcome(lease=LEASE, **result)  # type: ignore[arg-type]


def read(message: pb.Outcome, max_result_bytes: int = 10) -> Outcome:
    return wire.outcome(message, max_result_bytes, SuspensionLimits(), "k1")


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        (outcome(), "INVALID_ARGUMENT", "outcome.result"),
        (outcome(completed=pb.Completed(result=b"x" * 11)), "PAYLOAD_TOO_LARGE", "result"),
        (outcome(delayed=pb.Delayed(delay=duration(wire.MAX_DELAY_MS + 1))), "INVALID_ARGUMENT", "delay"),
        (outcome(suspended=sp.SuspendSpec()), "INVALID_ARGUMENT", "suspended.waits"),
        (outcome(failed=pb.Failed(category="a b")), "INVALID_ARGUMENT", "failed.category"),
        (outcome(failed=pb.Failed(type="x" * 257)), "INVALID_ARGUMENT", "failed.type"),
        (
            outcome(failed=pb.Failed(retry_delay=duration(wire.MAX_DELAY_MS + 1))),
            "INVALID_ARGUMENT",
            "failed.retry_delay",
        ),
    ],
)
def test_a_bad_outcome_is_refused_by_name(message: pb.Outcome, code: str, field: str) -> None:
    with pytest.raises(EngineError) as refused:
        read(message)

    assert refusal(refused) == (code, field)


@given(st.binary(max_size=10))
def test_a_result_is_kept_byte_by_byte(result: bytes) -> None:
    assert read(outcome(completed=pb.Completed(result=result))) == Outcome(LEASE, "complete", (result,))


def test_an_empty_failure_is_a_transient_error() -> None:
    assert read(outcome(failed=pb.Failed())).details == ("error", "", "transient", 0, "")


def test_a_failure_carries_what_the_worker_says() -> None:
    failed = pb.Failed(type="T", message="m", category="c", non_retryable=True, retry_delay=duration(1500))

    assert read(outcome(failed=failed)).details == ("T", "m", "c", 1, 1500)


def test_a_retry_delay_of_zero_is_not_none() -> None:
    assert read(outcome(failed=pb.Failed(retry_delay=duration(0)))).details[4] == 0


@given(st.text(max_size=3000))
def test_a_long_message_is_cut_between_characters(message: str) -> None:
    cut = read(outcome(failed=pb.Failed(message=message * 3))).details[1]

    assert isinstance(cut, str)
    assert len(cut.encode()) <= 4096
    assert (message * 3).startswith(cut)


def test_delays_and_stops_are_read() -> None:
    assert read(outcome(delayed=pb.Delayed(delay=duration(7)))) == Outcome(LEASE, "delay", (7,))
    assert read(outcome(cancelled=pb.Cancelled())) == Outcome(LEASE, "stop")


def test_an_outcome_that_suspends_names_the_key_for_its_waitpoints() -> None:
    waiting = outcome(
        suspended=sp.SuspendSpec(
            waitpoints=[sp.WaitpointSpec(name="approval")],
            waits=[sp.Wait(condition=sp.Condition(signal=sp.SignalMatch(waitpoint="approval")))],
        )
    )

    suspend = read(waiting)

    spec, kid = suspend.details
    assert (suspend.lease, suspend.operation, kid) == (LEASE, "suspend", "k1")
    assert json.loads(spec)["waits"][0]["node"] == {"op": "signal", "at": "approval"}


def waitpoint(name: str) -> WaitpointRecord:
    ref = WaitpointRef("default", "7-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "s1", 1, 9000)
    return WaitpointRecord(ref, name, "multi", "bound", "", "k1", "", 1000, "", 0)


def told(record: WaitpointRecord) -> sp.Waitpoint:
    return sp.Waitpoint(name=record.name, token="t")


def answered(answer: Answer) -> pb.OutcomeResult:
    message = pb.OutcomeResult()
    wire.answer(message, LEASE, answer, told)
    return message


def test_the_answer_to_a_suspension_has_its_number_and_waitpoints_with_their_tokens() -> None:
    message = answered(Suspended("suspended", 3, [waitpoint("a"), waitpoint("b")]))

    assert (message.lease, message.status.code, message.answer, message.suspension) == (
        LEASE, 0, "suspended", 3,
    )  # fmt: skip
    assert [(one.name, one.token) for one in message.waitpoints] == [("a", "t"), ("b", "t")]


def test_a_refused_outcome_says_where_it_is_wrong() -> None:
    message = answered(invalid("suspended.waits[0].condition", "none"))

    bad = error_details_pb2.BadRequest()
    assert message.status.details[1].Unpack(bad)
    assert bad.field_violations[0].field == "suspended.waits[0].condition"
    assert message.answer == ""


def test_a_grant_tells_what_was_recorded_and_why_it_runs_again() -> None:
    signal = StoredSignal(4, "approval", "approved", "", "user:ann", "", b"yes", 1000)
    grant = Grant(
        LEASE, "k", b"p", 0, 0, "",
        journal=[JournalEntry("1", "step", "plan", "done", b"result", sequence=1)],
        journal_is_partial=True,
        resumption=Resumption(2, "signal", [signal]),
        recovered=True,
    )  # fmt: skip
    response = pb.SessionResponse()

    wire.add_grant(response.grants, grant, 0, 1)

    [shown] = response.grants
    assert [(one.key, one.data, one.sequence) for one in shown.journal] == [("1", b"result", 1)]
    assert (shown.journal_is_partial, shown.recovered) == (True, True)
    assert (shown.resumption.suspension, shown.resumption.ending) == (2, "signal")
    assert [(one.source, one.payload) for one in shown.resumption.signals] == [("user:ann", b"yes")]


def test_a_first_grant_tells_nothing_of_it() -> None:
    response = pb.SessionResponse()

    wire.add_grant(response.grants, Grant(LEASE, "k", b"p", 0, 0, ""), 0, 1)

    assert [field.name for field, _ in response.grants[0].ListFields()] == [
        "number", "lease", "execution_id", "kind", "attempt", "payload",
    ]  # fmt: skip


@pytest.mark.parametrize("percent", [-0.1, 100.1, float("nan"), float("inf"), float("-inf")])
def test_an_impossible_percentage_is_refused(percent: float) -> None:
    with pytest.raises(EngineError) as refused:
        wire.progress(pb.ProgressReport(lease=LEASE, percent=percent))

    assert refusal(refused) == ("INVALID_ARGUMENT", "progress.percent")


def test_a_long_progress_message_is_refused() -> None:
    with pytest.raises(EngineError) as refused:
        wire.progress(pb.ProgressReport(lease=LEASE, message="é" * 513))

    assert refusal(refused) == ("INVALID_ARGUMENT", "progress.message")


def test_absent_progress_is_told_apart_from_zero_and_empty() -> None:
    assert wire.progress(pb.ProgressReport(lease=LEASE)) == (LEASE, None, None)
    assert wire.progress(pb.ProgressReport(lease=LEASE, percent=0, message="")) == (LEASE, 0, "")


def test_a_grant_shows_what_its_lease_names() -> None:
    response = pb.SessionResponse()

    wire.add_grant(response.grants, Grant(LEASE, "k", b"p", 5000, 0, "trace"), 1, 9)

    [grant] = response.grants
    assert (grant.pool, grant.number, grant.attempt) == (1, 9, 2)
    assert grant.execution_id == LEASE.split(b":")[0].decode()
    assert grant.deadline.ToMilliseconds() == 5000
    assert not grant.HasField("attempt_deadline")


def test_verdicts_are_sorted_into_lost_and_cancelled() -> None:
    response = pb.RenewLeasesResponse()

    for verdict in (None, ErrorCode.LEASE_EXPIRED, CancelNotice(9000, "why")):
        wire.add_verdict(LEASE, verdict, response.exceptions, response.cancels)

    assert len(response.exceptions) == len(response.cancels) == 1
    assert response.exceptions[0].status.message.startswith(ErrorCode.LEASE_EXPIRED.sentence)
    assert (response.cancels[0].reason, response.cancels[0].deadline.ToMilliseconds()) == ("why", 9000)
