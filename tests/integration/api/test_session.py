"""The Session stream against workers that break its rules, and against two that share a name."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
import grpc.aio
import pytest

from flowfabric_api.execution.v1 import execution_pb2 as ex
from flowfabric_api.worker.v1 import worker_pb2 as wk

from .door import Door, Refused, reason_of, refusal_of
from .worker_stream import Stream, create, hello, state_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRANGE = b"0-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b:1:1:abc0"


# Before the session is open.


@pytest.mark.parametrize(
    "first",
    [
        wk.SessionRequest(),
        wk.SessionRequest(credits=[wk.Credit(limit=1)]),
        wk.SessionRequest(renew=wk.Renew(sequence=1)),
    ],
    ids=["nothing", "credit", "renew"],
)
async def test_a_session_without_hello_is_refused(door: Door, first: wk.SessionRequest) -> None:
    before = door.snapshot()

    with pytest.raises(Refused) as refused:
        await door.ask(first, "Session")

    assert (refused.value.reason, refused.value.fields) == ("INVALID_ARGUMENT", ("hello",))
    assert door.snapshot() == before


async def test_a_session_that_says_nothing_at_all_is_refused(door: Door) -> None:
    def nothing() -> Iterable[wk.SessionRequest]:
        return ()

    with pytest.raises(grpc.aio.AioRpcError) as error:
        async for _ in door.workers.Session(iter(nothing())):
            pass

    assert refusal_of(error.value).fields == ("hello",)


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"worker_id": ""}, "hello.worker_id"),
        ({"worker_id": "a b"}, "hello.worker_id"),
        ({"worker_id": "w\n"}, "hello.worker_id"),
        ({"namespace": "a b"}, "hello.namespace"),
        ({"pools": []}, "hello.pools"),
        ({"pools": [wk.Pool(lanes=["a"], slots=0)]}, "hello.pools[0].slots"),
        ({"pools": [wk.Pool(lanes=[], slots=1)]}, "hello.pools[0].lanes"),
        ({"pools": [wk.Pool(lanes=["a"], slots=1, capabilities=["a,b"])]}, "hello.pools[0].capabilities"),
        ({"identity": "x" * 257}, "hello.identity"),
        ({"kinds": ["a,b"]}, "hello.kinds"),
        ({"kinds": ["k"] * 1001}, "hello.kinds"),
        ({"sdk_name": "x" * 257}, "hello.sdk_name"),
    ],
)
async def test_a_malformed_hello_is_refused(door: Door, over: dict[str, object], field: str) -> None:
    before = door.snapshot()

    with pytest.raises(Refused) as refused:
        await door.ask(wk.SessionRequest(hello=hello(**over)), "Session")  # type: ignore[arg-type]

    assert (refused.value.reason, refused.value.fields) == ("INVALID_ARGUMENT", (field,))
    assert door.snapshot() == before


async def test_leases_that_are_not_held_are_told_in_the_welcome(stream: Stream) -> None:
    welcome = await stream.open(held_leases=[STRANGE, b"nonsense", STRANGE])

    exceptions = {one.lease: reason_of(one.status) for one in welcome.lease_exceptions}
    assert exceptions == {STRANGE: "EXECUTION_NOT_FOUND", b"nonsense": "INVALID_ARGUMENT"}


# While it is open.


@pytest.mark.parametrize("pool", [-1, 1, 2**31 - 1])
async def test_credit_for_a_pool_that_is_not_there_ends_the_session(stream: Stream, pool: int) -> None:
    await stream.open()

    await stream.say(credits=[wk.Credit(pool=pool, limit=1)])

    with pytest.raises(Refused) as refused:
        await stream.hear()
    assert (refused.value.reason, refused.value.fields) == ("INVALID_ARGUMENT", ("credits.pool",))


async def test_an_impossible_percentage_ends_the_session(stream: Stream) -> None:
    await stream.open()

    await stream.say(progress=[wk.ProgressReport(lease=STRANGE, percent=-1)])

    with pytest.raises(Refused) as refused:
        await stream.hear()
    assert refused.value.fields == ("progress.percent",)


async def test_unknown_leases_are_exceptions_and_harm_nothing(stream: Stream) -> None:
    await stream.open()

    await stream.say(renew=wk.Renew(sequence=1, leases=[STRANGE, b"", b"\xff" * 100]))

    result = (await stream.hear_of("renew_result")).renew_result
    reasons = {one.lease: reason_of(one.status) for one in result.exceptions}
    assert reasons == {
        STRANGE: "EXECUTION_NOT_FOUND",
        b"": "INVALID_ARGUMENT",
        b"\xff" * 100: "INVALID_ARGUMENT",
    }


async def test_outcomes_of_unknown_leases_are_refused_one_by_one(stream: Stream) -> None:
    await stream.open()

    await stream.say(
        outcomes=[
            wk.Outcome(lease=STRANGE, cancelled=wk.Cancelled()),
            wk.Outcome(lease=b"nonsense", completed=wk.Completed()),
            wk.Outcome(lease=STRANGE + b"0"),
            wk.Outcome(lease=STRANGE + b"1", completed=wk.Completed(result=b"x" * 4097)),
        ]
    )

    reasons: dict[bytes, str] = {}
    while len(reasons) < 4:
        message = await stream.hear_of("outcome_results")
        reasons |= {one.lease: reason_of(one.status) for one in message.outcome_results}
    assert reasons == {
        STRANGE: "EXECUTION_NOT_FOUND",
        b"nonsense": "INVALID_ARGUMENT",
        STRANGE + b"0": "INVALID_ARGUMENT",
        STRANGE + b"1": "PAYLOAD_TOO_LARGE",
    }


async def test_a_refusal_of_a_lease_that_was_never_granted_is_ignored(stream: Stream) -> None:
    await stream.open()

    await stream.say(
        renew=wk.Renew(sequence=5, refusals=[wk.Refusal(lease=STRANGE)], seen_grant_numbers=[9, 9, 9, -1])
    )

    assert (await stream.hear_of("renew_result")).renew_result.sequence == 5


async def test_never_more_grants_than_credit(door: Door, stream: Stream) -> None:
    await stream.open()
    for _ in range(5):
        await create(door)

    await stream.say(credits=[wk.Credit(limit=2), wk.Credit(limit=1)])
    numbers: list[int] = []
    while len(numbers) < 2:
        numbers += [grant.number for grant in (await stream.hear_of("grants")).grants]
    await stream.say(credits=[wk.Credit(limit=2)], renew=wk.Renew(sequence=1))

    answer = await stream.hear()
    assert (numbers, len(answer.grants)) == ([1, 2], 0)

    await stream.say(drain=wk.Drain(), renew=wk.Renew(sequence=2, seen_grant_numbers=[2]))
    await stream.hear_of("renew_result")
    await stream.end()
    waiting = ex.ListExecutionsRequest(lane="session", state=ex.PUBLIC_STATE_WAITING)
    [page] = await door.ask(waiting, "ListExecutions")
    assert [execution.attempt for execution in page.executions] == [0] * 5, "both grants went back"
    ids = [execution.execution_id for execution in page.executions]
    await door.ask(ex.BulkCancelExecutionsRequest(execution_ids=ids), "BulkCancelExecutions")


async def test_a_newer_session_of_the_worker_wins(door: Door, stream: Stream) -> None:
    await stream.open(worker_id="twin")
    execution_id = await create(door)
    await stream.say(credits=[wk.Credit(limit=1)])
    [grant] = (await stream.hear_of("grants")).grants

    newer = Stream(door)
    welcome = await newer.open(worker_id="twin", held_leases=[grant.lease])

    assert len(welcome.lease_exceptions) == 0
    with pytest.raises(Refused) as refused:
        await stream.hear()
    assert (refused.value.reason, refused.value.status) == ("SESSION_SUPERSEDED", "ABORTED")
    await newer.say(outcomes=[wk.Outcome(lease=grant.lease, completed=wk.Completed())])
    assert (await newer.hear_of("outcome_results")).outcome_results[0].answer == "completed"
    assert await state_of(door, execution_id) == "COMPLETED"
    await newer.end()


async def test_a_grant_that_the_newer_session_does_not_hold_goes_back(door: Door, stream: Stream) -> None:
    await stream.open(worker_id="twin")
    execution_id = await create(door)
    await stream.say(credits=[wk.Credit(limit=1)])
    [grant] = (await stream.hear_of("grants")).grants

    newer = Stream(door)
    await newer.open(worker_id="twin")
    await newer.say(credits=[wk.Credit(limit=1)])
    [again] = (await newer.hear_of("grants")).grants

    assert (again.execution_id, again.attempt) == (execution_id, grant.attempt)
    assert again.lease != grant.lease
    await newer.say(outcomes=[wk.Outcome(lease=grant.lease, completed=wk.Completed())])
    [stale] = (await newer.hear_of("outcome_results")).outcome_results
    assert reason_of(stale.status) == "LEASE_STALE"
    await newer.say(outcomes=[wk.Outcome(lease=again.lease, completed=wk.Completed())])
    await newer.hear_of("outcome_results")
    await newer.end()


@pytest.mark.parametrize("is_confirmed", [True, False])
async def test_work_that_fells_a_worker_of_a_fixed_name_fails_at_its_cap(
    door: Door, is_confirmed: bool
) -> None:
    policy = ex.Policy(max_reclaims=1)
    execution_id = await create(door, lane=f"pill-{is_confirmed}", policy=policy)
    pools = [wk.Pool(lanes=[f"pill-{is_confirmed}"], slots=1)]
    fallen: list[Stream] = []
    for _ in range(2):
        again = Stream(door)  # the gateway has not heard yet that the one before is gone
        await again.open(worker_id="fixed", pools=pools)
        fallen.append(again)
        await again.say(credits=[wk.Credit(limit=1)])
        [grant] = (await again.hear_of("grants")).grants
        assert grant.execution_id == execution_id
        if is_confirmed:
            await again.say(renew=wk.Renew(sequence=1, leases=[grant.lease], seen_grant_numbers=[1]))
            await again.hear_of("renew_result")

    last = Stream(door)
    await last.open(worker_id="fixed", pools=pools)

    [execution] = await door.ask(ex.GetExecutionRequest(execution_id=execution_id), "GetExecution")
    assert (execution.state, execution.failure.type) == (ex.PUBLIC_STATE_FAILED, "max_reclaims")
    await last.end()
    for one in fallen:
        one.drop()


async def test_a_worker_that_closes_its_side_gets_its_answers_first(door: Door, stream: Stream) -> None:
    await stream.open()
    execution_id = await create(door)
    await stream.say(credits=[wk.Credit(limit=1)])
    [grant] = (await stream.hear_of("grants")).grants

    await stream.say(outcomes=[wk.Outcome(lease=grant.lease, completed=wk.Completed(result=b"r"))])
    await stream.end()

    assert await state_of(door, execution_id) == "COMPLETED"


async def test_a_message_beyond_every_limit_is_refused_before_it_is_read(door: Door) -> None:
    before = door.snapshot()
    giant = wk.SessionRequest(hello=hello(), outcomes=[wk.Outcome(lease=b"x" * (65 << 20))])

    with pytest.raises(grpc.aio.AioRpcError) as error:
        async for _ in door.workers.Session(iter([giant])):
            pass

    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert door.snapshot() == before


async def test_bytes_that_are_no_message_are_refused(door: Door) -> None:
    before = door.snapshot()
    raw = door.raw("Session")

    with pytest.raises(grpc.aio.AioRpcError):
        async for _ in raw(iter([b"\xff\xff\xff\xff"])):
            pass

    assert door.snapshot() == before
