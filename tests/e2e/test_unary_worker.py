"""A worker of single calls, by raw gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from flowfabric import Client, State
from flowfabric._stack import Stack
from flowfabric_api.execution.v1 import execution_pb2
from flowfabric_api.output.v1 import output_pb2
from flowfabric_api.worker.v1 import worker_pb2 as pb
from tests.e2e.waiting import until_state
from tests.e2e.wire import Stubs, open_stubs, reason_of, refusal

PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest_asyncio.fixture
async def stubs(flowfabric_stack: Stack) -> AsyncIterator[Stubs]:
    async with open_stubs(flowfabric_stack.address) as stubs:
        yield stubs


async def claim(stubs: Stubs, client: Client, wanted: int = 1, wait_s: int = 30) -> list[pb.Grant]:
    """Grants of the test's namespace."""
    request = pb.ClaimRequest(
        worker_id="by-hand",
        namespace=client.namespace,
        max_grants=wanted,
        wait_time=Duration(seconds=wait_s),
    )
    return list((await stubs.worker.Claim(request)).grants)


async def test_claim_output_progress_and_completion_one_call_each(stubs: Stubs, client: Client) -> None:
    submission = await client.submit("by.hand", b"\x00in\xff")

    [grant] = await claim(stubs, client)
    assert (grant.execution_id, grant.kind, grant.attempt, grant.payload) == (
        submission.execution_id,
        "by.hand",
        1,
        b"\x00in\xff",
    )
    frames = [pb.Frame(number=n, kind=output_pb2.FRAME_KIND_STDOUT, data=b"%d" % n) for n in (1, 2)]
    appended = await stubs.worker.AppendOutput(pb.AppendOutputRequest(lease=grant.lease, frames=frames))
    assert appended.acked_through == 2
    again = await stubs.worker.AppendOutput(pb.AppendOutputRequest(lease=grant.lease, frames=frames[1:]))
    assert again.acked_through == 2
    report = pb.ProgressReport(lease=grant.lease, percent=50, message="half")
    progress = await stubs.worker.UpdateProgress(pb.UpdateProgressRequest(progress=report))
    assert not progress.cancel_requested
    renewed = await stubs.worker.RenewLeases(
        pb.RenewLeasesRequest(worker_id="by-hand", leases=[grant.lease, b"no lease"])
    )
    assert [(one.lease, reason_of(one.status)) for one in renewed.exceptions] == [
        (b"no lease", "INVALID_ARGUMENT")
    ]
    done = pb.CompleteRequest(lease=grant.lease, result=b"\x00out\xff")

    first, second = await stubs.worker.Complete(done), await stubs.worker.Complete(done)

    assert first == second
    assert first.answer == "completed"
    assert await client.result(submission.execution_id) == b"\x00out\xff"
    assert [frame.data async for frame in client.tail(submission.execution_id)] == [b"1", b"2"]


async def test_the_first_outcome_stands_and_other_leases_are_stale(stubs: Stubs, client: Client) -> None:
    submission = await client.submit("by.hand")
    [grant] = await claim(stubs, client)
    await stubs.worker.Complete(pb.CompleteRequest(lease=grant.lease, result=b"first"))

    other = await stubs.worker.Fail(pb.FailRequest(lease=grant.lease, failure=pb.Failed(type="Late")))

    assert other.answer == "completed"
    assert await client.result(submission.execution_id) == b"first"
    forged = grant.lease.rpartition(b":")[0] + b":0123456789abcdef"
    async with refusal(PRECONDITION, "LEASE_STALE"):
        await stubs.worker.Complete(pb.CompleteRequest(lease=forged, result=b"forged"))
    async with refusal(PRECONDITION, "OUTPUT_CLOSED"):
        await stubs.worker.AppendOutput(
            pb.AppendOutputRequest(lease=grant.lease, frames=[pb.Frame(number=1, data=b"late")])
        )


async def test_after_a_revocation_the_holder_can_change_nothing(stubs: Stubs, client: Client) -> None:
    submission = await client.submit("by.hand")
    [grant] = await claim(stubs, client)
    await client.revoke_lease(submission.execution_id)

    for _ in range(2):
        async with refusal(PRECONDITION, "LEASE_REVOKED"):
            await stubs.worker.Complete(pb.CompleteRequest(lease=grant.lease, result=b"too late"))
        async with refusal(PRECONDITION, "LEASE_REVOKED"):
            await stubs.worker.AppendOutput(
                pb.AppendOutputRequest(lease=grant.lease, frames=[pb.Frame(number=1, data=b"late")])
            )

    [second] = await claim(stubs, client)
    assert (second.execution_id, second.attempt) == (grant.execution_id, 2)
    async with refusal(PRECONDITION, "LEASE_REVOKED"):
        await stubs.worker.Complete(pb.CompleteRequest(lease=grant.lease, result=b"too late"))
    await stubs.worker.Complete(pb.CompleteRequest(lease=second.lease, result=b"in time"))
    assert await client.result(submission.execution_id) == b"in time"


async def test_delay_and_fail_answer_what_became_of_it(stubs: Stubs, client: Client) -> None:
    submission = await client.submit("by.hand")
    [first] = await claim(stubs, client)
    delay = pb.DelayRequest(lease=first.lease, delay=Duration(nanos=50_000_000))
    assert (await stubs.worker.Delay(delay)).answer == "delayed"
    [second] = await claim(stubs, client)
    assert second.attempt == 1
    failure = pb.Failed(type="Flaky", retry_delay=Duration())
    assert (await stubs.worker.Fail(pb.FailRequest(lease=second.lease, failure=failure))).answer == (
        "retry_scheduled"
    )
    [third] = await claim(stubs, client)
    assert third.attempt == 2
    final = pb.Failed(type="Broken", non_retryable=True)
    assert (await stubs.worker.Fail(pb.FailRequest(lease=third.lease, failure=final))).answer == "failed"
    failed = await client.get(submission.execution_id)
    assert failed.failure is not None
    assert (failed.state, failed.failure.type) == (State.FAILED, "Broken")


async def test_a_claim_waits_for_work_and_takes_no_more_than_it_asked_for(
    stubs: Stubs, client: Client
) -> None:
    assert await claim(stubs, client, wait_s=0) == []
    waiting = asyncio.create_task(claim(stubs, client, wanted=2))
    for _ in range(3):
        await client.submit("by.hand")

    grants = await waiting
    while len(grants) < 3:
        more = await claim(stubs, client, wanted=2)
        assert 1 <= len(more) <= 2
        grants += more

    assert len({grant.execution_id for grant in grants}) == 3
    outcomes = [pb.Outcome(lease=grant.lease, completed=pb.Completed(result=b"x")) for grant in grants]
    report = await stubs.worker.ReportOutcomes(
        pb.ReportOutcomesRequest(worker_id="by-hand", outcomes=outcomes)
    )
    assert [result.answer for result in report.results] == ["completed"] * 3


async def test_a_claim_that_hangs_up_leaves_the_work_to_others(stubs: Stubs, client: Client) -> None:
    hung_up = asyncio.create_task(claim(stubs, client))
    await asyncio.wait({hung_up}, timeout=0)
    hung_up.cancel()
    await asyncio.wait({hung_up})
    submission = await client.submit("by.hand")

    [grant] = await claim(stubs, client)

    assert (grant.execution_id, grant.attempt) == (submission.execution_id, 1)


async def test_a_cancel_reaches_who_renews_and_who_reports(stubs: Stubs, client: Client) -> None:
    submission = await client.submit("by.hand")
    [grant] = await claim(stubs, client)
    assert await client.cancel(submission.execution_id, "enough", grace=60) is State.ACTIVE

    renewed = await stubs.worker.RenewLeases(pb.RenewLeasesRequest(worker_id="by-hand", leases=[grant.lease]))
    assert [(one.lease, one.reason) for one in renewed.cancels] == [(grant.lease, "enough")]
    report = pb.ProgressReport(lease=grant.lease, percent=1)
    assert (await stubs.worker.UpdateProgress(pb.UpdateProgressRequest(progress=report))).cancel_requested
    stopped = pb.Outcome(lease=grant.lease, cancelled=pb.Cancelled())
    reported = await stubs.worker.ReportOutcomes(
        pb.ReportOutcomesRequest(worker_id="by-hand", outcomes=[stopped])
    )
    assert [result.answer for result in reported.results] == ["cancelled"]
    await until_state(client, submission.execution_id, State.CANCELLED)


async def test_a_gap_in_the_frames_is_refused_and_says_from_where(stubs: Stubs, client: Client) -> None:
    await client.submit("by.hand")
    [grant] = await claim(stubs, client)
    async with refusal(grpc.StatusCode.OUT_OF_RANGE, "OUTPUT_GAP"):
        await stubs.worker.AppendOutput(
            pb.AppendOutputRequest(lease=grant.lease, frames=[pb.Frame(number=2, data=b"second")])
        )


async def test_there_is_no_result_before_completion(stubs: Stubs, client: Client) -> None:
    submission = await client.submit("by.hand")
    async with refusal(PRECONDITION, "RESULT_NOT_READY"):
        await stubs.executions.GetResult(execution_pb2.GetResultRequest(execution_id=submission.execution_id))
