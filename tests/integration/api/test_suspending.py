"""Workers that suspend what they hold, over the Session and by single calls, and what they get afterwards."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration

from flowfabric_api.execution.v1 import execution_pb2 as ex
from flowfabric_api.journal.v1 import journal_pb2 as jr
from flowfabric_api.suspension.v1 import suspension_pb2 as sp
from flowfabric_api.worker.v1 import worker_pb2 as wk

from .door import Door, Refused, reason_of
from .worker_stream import Stream, claimed, create, state_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


def approval(*names: str, **wait: object) -> sp.SuspendSpec:
    """Waits for one signal at a waitpoint named approval."""
    match = sp.SignalMatch(waitpoint="approval", match=sp.Matcher(names=names))
    return sp.SuspendSpec(
        reason_code="waiting_for_approval",
        waitpoints=[sp.WaitpointSpec(name="approval")],
        waits=[sp.Wait(condition=sp.Condition(signal=match), **wait)],  # type: ignore[arg-type]
    )


async def granted(door: Door, stream: Stream, lane: str, limit: int = 1) -> wk.Grant:
    """The grant of a new execution in a lane of its own."""
    await create(door, lane=lane)
    await stream.open(worker_id=lane, pools=[wk.Pool(lanes=[lane], slots=1)])
    await stream.say(credits=[wk.Credit(limit=limit)])
    [grant] = (await stream.hear_of("grants")).grants
    return grant


async def suspended(stream: Stream, lease: bytes, spec: sp.SuspendSpec) -> wk.OutcomeResult:
    await stream.say(outcomes=[wk.Outcome(lease=lease, suspended=spec)])
    [result] = (await stream.hear_of("outcome_results")).outcome_results
    return result


async def signal(door: Door, waitpoint: sp.Waitpoint, name: str = "approved", payload: bytes = b"") -> None:
    request = sp.DeliverSignalRequest(
        waitpoint_id=waitpoint.waitpoint_id, token=waitpoint.token, name=name, payload=payload
    )
    await door.ask(request, "DeliverSignal")


async def shown(door: Door, execution_id: str) -> ex.Execution:
    [execution] = await door.ask(ex.GetExecutionRequest(execution_id=execution_id), "GetExecution")
    return execution  # type: ignore[no-any-return]


async def test_a_suspension_is_answered_with_its_waitpoints_and_resumed_by_a_signal(
    door: Door, stream: Stream
) -> None:
    grant = await granted(door, stream, "approved")

    result = await suspended(stream, grant.lease, approval("approved"))

    assert (result.lease, result.status.code, result.answer, result.suspension) == (
        grant.lease, 0, "suspended", 1,
    )  # fmt: skip
    [waitpoint] = result.waitpoints
    assert (waitpoint.name, waitpoint.state) == ("approval", "bound")
    assert waitpoint.token.startswith("w1.")
    assert waitpoint.callback_path.endswith(waitpoint.waitpoint_id)
    assert await state_of(door, grant.execution_id) == "SUSPENDED"

    await stream.say(credits=[wk.Credit(limit=2)])
    await signal(door, waitpoint, payload=b"yes")

    [again] = (await stream.hear_of("grants")).grants
    assert (again.execution_id, again.attempt) == (grant.execution_id, grant.attempt)
    assert again.lease != grant.lease
    assert (again.resumption.suspension, again.resumption.ending) == (1, "signal")
    assert [(one.name, one.payload) for one in again.resumption.signals] == [("approved", b"yes")]
    assert not again.recovered


async def test_the_slot_is_free_in_the_message_that_suspends(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "freed")
    following = await create(door, lane="freed")

    outcome = wk.Outcome(lease=grant.lease, suspended=approval())
    await stream.say(outcomes=[outcome], credits=[wk.Credit(limit=2)])

    [next_grant] = (await stream.hear_of("grants")).grants
    assert next_grant.execution_id == following
    assert not next_grant.HasField("resumption")


async def test_a_repeat_gets_the_first_answer_with_the_same_tokens(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "repeated")

    first = await suspended(stream, grant.lease, approval())
    again = await suspended(stream, grant.lease, approval())

    assert first == again
    assert first.waitpoints[0].token


async def next_grant(stream: Stream, limit: int) -> wk.Grant:
    await stream.say(credits=[wk.Credit(limit=limit)])
    [grant] = (await stream.hear_of("grants")).grants
    return grant


async def test_a_repeat_that_comes_after_the_next_suspension_gets_the_answer_alone(
    door: Door, stream: Stream
) -> None:
    first = await granted(door, stream, "twice")
    [waitpoint] = (await suspended(stream, first.lease, approval())).waitpoints
    await signal(door, waitpoint)
    second = await next_grant(stream, 2)
    assert (await suspended(stream, second.lease, approval())).suspension == 2

    late = await suspended(stream, first.lease, approval())

    assert (late.answer, late.suspension, list(late.waitpoints)) == ("suspended", 0, [])


async def test_what_resumed_it_is_told_until_an_attempt_fails(door: Door, stream: Stream) -> None:
    first = await granted(door, stream, "told")
    [waitpoint] = (await suspended(stream, first.lease, approval())).waitpoints
    await signal(door, waitpoint, payload=b"yes")
    resumed = await next_grant(stream, 2)
    await stream.say(renew=wk.Renew(sequence=1, leases=[resumed.lease], seen_grant_numbers=[2]))
    await stream.hear_of("renew_result")

    await door.ask(ex.RevokeLeaseRequest(execution_id=first.execution_id), "RevokeLease")
    taken_over = await next_grant(stream, 3)
    failed = wk.Failed(type="Flaky", retry_delay=Duration())
    await stream.say(outcomes=[wk.Outcome(lease=taken_over.lease, failed=failed)])
    await stream.hear_of("outcome_results")
    retried = await next_grant(stream, 4)

    assert (taken_over.resumption, taken_over.recovered) == (resumed.resumption, True)
    assert not retried.HasField("resumption")


async def test_a_suspension_of_what_is_asked_to_stop_cancels_it(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "stopped")
    request = ex.CancelExecutionRequest(execution_id=grant.execution_id, grace=Duration(seconds=600))
    await door.ask(request, "CancelExecution")

    result = await suspended(stream, grant.lease, approval())

    assert (result.answer, list(result.waitpoints)) == ("cancelled", [])
    assert await state_of(door, grant.execution_id) == "CANCELLED"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (sp.SuspendSpec(), "suspended.waits"),
        (sp.SuspendSpec(reason_code="bored", waits=approval().waits), "suspended.reason_code"),
        (sp.SuspendSpec(waits=approval().waits), "suspended.waits[0].condition.signal.waitpoint"),
        (approval(timeout=Duration(seconds=-1)), "suspended.waits[0].timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_malformed_suspension_leaves_the_lease_with_its_worker(
    door: Door, stream: Stream, spec: sp.SuspendSpec, path: str
) -> None:
    grant = await granted(door, stream, "malformed-" + path.translate({ord("["): "-", ord("]"): "-"}))

    result = await suspended(stream, grant.lease, spec)

    assert reason_of(result.status) == "INVALID_ARGUMENT"
    assert path in result.status.message
    assert await state_of(door, grant.execution_id) == "ACTIVE"
    await stream.say(outcomes=[wk.Outcome(lease=grant.lease, failed=wk.Failed(non_retryable=True))])
    assert (await stream.hear_of("outcome_results")).outcome_results[0].answer == "failed"


async def test_a_suspension_that_the_engine_refuses_leaves_the_lease_with_its_worker(
    door: Door, stream: Stream
) -> None:
    grant = await granted(door, stream, "refused")
    other = sp.WaitpointSpec(name="approval", waitpoint_id=f"default~{grant.execution_id}~p9~9~9999999999999")

    result = await suspended(stream, grant.lease, sp.SuspendSpec(waitpoints=[other], waits=approval().waits))

    assert reason_of(result.status) == "INVALID_ARGUMENT"
    assert result.answer == ""
    await stream.say(renew=wk.Renew(sequence=1, leases=[grant.lease], seen_grant_numbers=[1]))
    assert not (await stream.hear_of("renew_result")).renew_result.exceptions
    assert (await suspended(stream, grant.lease, approval())).answer == "suspended"


async def test_a_wait_with_an_entry_is_found_done_in_the_journal(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "journalled")
    step = jr.Entry(key="1", kind=jr.ENTRY_KIND_STEP, name="plan", state=jr.ENTRY_STATE_DONE, data=b"planned")
    await stream.say(journal=[wk.JournalWrite(lease=grant.lease, number=1, entries=[step])])
    await stream.hear_of("journal_results")
    spec = approval(entry="2", name="approval")
    [waitpoint] = (await suspended(stream, grant.lease, spec)).waitpoints

    waiting = (await shown(door, grant.execution_id)).steps[1]
    assert (waiting.key, waiting.name, waiting.state) == ("2", "approval", jr.ENTRY_STATE_WAITING)

    await stream.say(credits=[wk.Credit(limit=2)])
    await signal(door, waitpoint, payload=b"yes")
    [again] = (await stream.hear_of("grants")).grants

    plan, wait = again.journal
    assert (plan.key, plan.data) == ("1", b"planned")
    assert (wait.key, wait.kind, wait.state) == ("2", jr.ENTRY_KIND_WAIT, jr.ENTRY_STATE_DONE)
    assert [one.payload for one in wait.signals] == [b"yes"]


async def test_get_and_list_show_the_suspension_and_never_a_token(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "listed")
    before = await shown(door, grant.execution_id)
    assert not before.HasField("suspension")
    spec = approval("approved", timeout=Duration(seconds=3600), on_timeout=sp.TIMEOUT_BEHAVIOUR_ESCALATE)
    [told] = (await suspended(stream, grant.lease, spec)).waitpoints

    execution = await shown(door, grant.execution_id)
    request = ex.ListExecutionsRequest(lane="listed", state=ex.PUBLIC_STATE_SUSPENDED)
    [page] = await door.ask(request, "ListExecutions")

    assert execution.state_vector.blocking_reason == "waiting_for_approval"
    assert (execution.suspension.number, execution.suspension.state) == (1, "open")
    [wait] = execution.suspension.waits
    assert list(wait.condition.signal.match.names) == ["approved"]
    assert wait.on_timeout == sp.TIMEOUT_BEHAVIOUR_ESCALATE
    assert execution.suspension.due_time == wait.due_time
    [waitpoint] = execution.suspension.waitpoints
    assert (waitpoint.waitpoint_id, waitpoint.token) == (told.waitpoint_id, "")
    assert [one.execution_id for one in page.executions] == [grant.execution_id]
    assert page.executions[0].suspension == execution.suspension

    await signal(door, told)
    resumed = (await shown(door, grant.execution_id)).suspension
    assert (resumed.state, resumed.ending, resumed.waits[0].satisfied) == ("closed", "signal", True)


async def test_a_watch_sees_a_condition_come_nearer(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "nearer")
    count = sp.Count(n=2, by=sp.COUNT_BY_SIGNALS)
    spec = sp.SuspendSpec(
        waitpoints=approval().waitpoints, waits=[sp.Wait(condition=sp.Condition(count=count))]
    )
    [waitpoint] = (await suspended(stream, grant.lease, spec)).waitpoints
    watch = door.executions.WatchExecution(ex.WatchExecutionRequest(execution_id=grant.execution_id))
    assert list((await watch.read()).execution.suspension.waits[0].signals) == []

    await signal(door, waitpoint)
    while not (wait := (await watch.read()).execution.suspension.waits[0]).signals:
        pass
    assert (list(wait.signals), wait.satisfied) == ([1], False)

    await signal(door, waitpoint)
    while (seen := (await watch.read()).execution).suspension.state == "open":
        pass
    assert (seen.suspension.waits[0].satisfied, seen.state) == (True, ex.PUBLIC_STATE_WAITING)
    watch.cancel()


async def test_a_replay_afresh_knows_of_no_suspension(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "afresh")
    [waitpoint] = (await suspended(stream, grant.lease, approval(entry="1", name="approval"))).waitpoints
    await door.ask(ex.CancelExecutionRequest(execution_id=grant.execution_id), "CancelExecution")
    ended = await shown(door, grant.execution_id)
    assert (ended.state, ended.suspension.ending) == (ex.PUBLIC_STATE_CANCELLED, "cancelled")

    await door.ask(ex.ReplayExecutionRequest(execution_id=grant.execution_id), "ReplayExecution")

    again = await shown(door, grant.execution_id)
    assert (again.HasField("suspension"), again.steps_total) == (False, 0)
    with pytest.raises(Refused):
        await signal(door, waitpoint)
    await stream.say(credits=[wk.Credit(limit=2)])
    [fresh] = (await stream.hear_of("grants")).grants
    assert (fresh.HasField("resumption"), list(fresh.journal)) == (False, [])


async def test_a_report_of_single_calls_may_suspend_too(door: Door) -> None:
    execution_id = await create(door, lane="reported")
    grant = await claimed(door, "reported")
    outcomes = [
        wk.Outcome(lease=grant.lease, suspended=sp.SuspendSpec()),
        wk.Outcome(lease=grant.lease, suspended=approval()),
    ]

    request = wk.ReportOutcomesRequest(worker_id="by-hand", outcomes=outcomes)
    [answer] = await door.ask(request, "ReportOutcomes")

    refused, done = answer.results
    assert reason_of(refused.status) == "INVALID_ARGUMENT"
    assert (done.answer, done.suspension, len(done.waitpoints)) == ("suspended", 1, 1)
    await signal(door, done.waitpoints[0])
    again = await claimed(door, "reported")
    assert (again.execution_id, again.attempt, again.resumption.ending) == (execution_id, 1, "signal")


async def test_signals_that_came_before_are_enough(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "early")
    made = sp.CreateWaitpointRequest(lease=grant.lease, spec=sp.WaitpointSpec(name="approval"))
    [waitpoint] = await door.ask(made, "CreateWaitpoint")
    await signal(door, waitpoint, payload=b"early")
    bound = sp.WaitpointSpec(name="approval", waitpoint_id=waitpoint.waitpoint_id)

    result = await suspended(stream, grant.lease, sp.SuspendSpec(waitpoints=[bound], waits=approval().waits))

    assert (result.answer, result.waitpoints[0].token) == ("resumed", waitpoint.token)
    await stream.say(credits=[wk.Credit(limit=2)])
    [again] = (await stream.hear_of("grants")).grants
    assert [one.payload for one in again.resumption.signals] == [b"early"]


async def test_a_lost_lease_suspends_nothing(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "lost")
    await door.ask(ex.RevokeLeaseRequest(execution_id=grant.execution_id), "RevokeLease")

    result = await suspended(stream, grant.lease, approval())

    assert reason_of(result.status) == "LEASE_REVOKED"
    with pytest.raises(Refused) as refused:
        await door.ask(sp.SuspendRequest(lease=grant.lease, suspend=approval()), "Suspend")
    assert refused.value.reason == "LEASE_REVOKED"
