"""Submitting work and looking at it."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pytest

from flowfabric import (
    Client,
    Context,
    EngineError,
    Execution,
    ExecutionExpired,
    IdempotencyConflict,
    InvalidArgument,
    NotFound,
    PayloadTooLarge,
    Policy,
    Spec,
    State,
    Submission,
    WrongState,
    task,
)
from flowfabric._stack import Stack
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import PATIENCE_S, eventually, until_terminal


@task
async def reverse(data: bytes) -> bytes:
    return data[::-1]


@task
async def wait_for_cancel(context: Context) -> None:
    await context.cancelled.wait()


async def test_any_bytes_go_in_and_come_out_as_they_were(client: Client, start_worker: StartWorker) -> None:
    await start_worker(reverse)
    inputs = [b"", bytes(range(256)), b"\x00", b"\xff\xfe\r\n$-1\r\n", os.urandom(1 << 20)]

    submissions = [await client.submit(reverse, data) for data in inputs]

    for data, submission in zip(inputs, submissions, strict=True):
        assert await client.result(submission.execution_id, timeout=30) == data[::-1]
        execution = await client.get(submission.execution_id, include_payload=True)
        assert (execution.state, execution.attempt, execution.failed_attempts) == (State.COMPLETED, 1, 0)
        assert execution.payload == data
        assert execution.result_bytes == len(data)


async def test_a_payload_over_the_limit_is_refused(client: Client) -> None:
    with pytest.raises(PayloadTooLarge):
        await client.submit("reverse", bytes((1 << 20) + 1))


async def test_an_idle_worker_gets_new_work_without_asking(client: Client, start_worker: StartWorker) -> None:
    """The worker's credit was given once, before there was any work."""
    await start_worker(reverse, slots=1)
    await eventually(client.workers)
    for number in range(20):
        data = b"%d" % number
        submission = await client.submit(reverse, data)
        assert await client.result(submission.execution_id, timeout=30) == data[::-1]


async def test_one_bad_item_of_a_thousand_harms_no_other(client: Client, start_worker: StartWorker) -> None:
    await start_worker(reverse, slots=64)
    specs = [Spec("reverse", b"%d" % number) for number in range(1000)]
    specs[500] = Spec("reverse", b"", priority=9001)

    verdicts = await client.submit_many(specs)

    assert len(verdicts) == 1000
    bad = verdicts.pop(500)
    assert isinstance(bad, InvalidArgument)
    assert "priority" in bad.message
    submitted = [verdict for verdict in verdicts if isinstance(verdict, Submission)]
    assert len(submitted) == len({one.execution_id for one in submitted}) == 999

    async def are_completed() -> bool:
        return len([one async for one in client.list(state=State.COMPLETED, page_size=1000)]) == 999

    await eventually(are_completed)
    assert await client.result(submitted[-1].execution_id) == b"999"


async def test_a_repeat_with_the_same_key_is_the_first_execution(client: Client) -> None:
    first = await client.submit("reverse", b"a", idempotency_key="order-1")
    again = await client.submit("reverse", b"a", idempotency_key="order-1")
    [in_bulk] = await client.submit_many([Spec("reverse", b"a", idempotency_key="order-1")])

    assert not first.duplicate
    assert again == in_bulk == Submission(first.execution_id, duplicate=True)
    assert [one.execution_id async for one in client.list()] == [first.execution_id]


async def test_two_with_one_key_in_one_bulk_are_one_execution(client: Client) -> None:
    spec = Spec("reverse", b"a", idempotency_key="order-1")

    first, second = await client.submit_many([spec, spec])

    assert isinstance(first, Submission)
    assert second == Submission(first.execution_id, duplicate=True)


async def test_the_same_key_for_other_content_is_an_error_that_says_so(client: Client) -> None:
    await client.submit("reverse", b"a", idempotency_key="order-1")

    with pytest.raises(IdempotencyConflict, match="different content"):
        await client.submit("reverse", b"b", idempotency_key="order-1")
    [verdict] = await client.submit_many([Spec("reverse", b"c", idempotency_key="order-1")])
    assert isinstance(verdict, IdempotencyConflict)


async def test_a_key_means_nothing_in_another_namespace(flowfabric_stack: Stack, client: Client) -> None:
    first = await client.submit("reverse", b"a", idempotency_key="order-1")
    async with Client(flowfabric_stack.address, namespace=f"{client.namespace}-2") as other:
        second = await other.submit("reverse", b"b", idempotency_key="order-1")
    assert second.execution_id != first.execution_id
    assert not second.duplicate


async def test_a_delayed_start_waits_for_its_time(client: Client, start_worker: StartWorker) -> None:
    await start_worker(reverse)
    now = datetime.now(UTC).replace(microsecond=0)
    far, near = now + timedelta(hours=1), now + timedelta(seconds=2)

    late = await client.submit(reverse, b"ab", start_at=far)
    soon = await client.submit(reverse, b"ab", start_at=near)

    delayed = await client.get(late.execution_id)
    assert delayed.state is State.DELAYED
    assert delayed.state_vector.blocking_reason == "waiting_for_delay"
    assert delayed.due_time == far
    completed = await until_terminal(client, soon.execution_id)
    assert completed.start_time is not None
    assert completed.start_time >= near


@pytest.mark.parametrize("is_active", [False, True], ids=["waiting", "active"])
async def test_past_its_deadline_an_execution_expires(
    client: Client, start_worker: StartWorker, is_active: bool
) -> None:
    if is_active:
        await start_worker(wait_for_cancel)
    # One that is to be active needs the time to become it, wherever it runs.
    submission = await client.submit(wait_for_cancel, deadline=5 if is_active else 0.5)

    with pytest.raises(ExecutionExpired) as caught:
        await client.result(submission.execution_id, timeout=30)

    expired = caught.value.execution
    assert expired.failure is not None
    assert expired.failure.type == "execution_deadline"
    assert (expired.start_time is not None) == is_active


async def test_the_higher_priority_goes_first_also_when_it_changed_in_the_queue(
    client: Client, start_worker: StartWorker
) -> None:
    order: list[bytes] = []

    @task
    async def note(data: bytes) -> None:
        order.append(data)

    priorities = {b"low": 1, b"first of the middle": 5, b"second of the middle": 5, b"high": 9000, b"late": 0}
    ids = {
        name: (await client.submit(note, name, priority=number)).execution_id
        for name, number in priorities.items()
    }
    assert await client.change_priority(ids[b"late"], 7) == 0
    assert await client.change_priority(ids[b"high"], 6) == 9000

    await start_worker(note, slots=1)
    await asyncio.gather(*(client.result(id, timeout=30) for id in ids.values()))

    assert order == [b"late", b"high", b"first of the middle", b"second of the middle", b"low"]


async def test_a_terminal_execution_has_no_priority_to_change(client: Client) -> None:
    submission = await client.submit("reverse")
    await client.cancel(submission.execution_id)
    with pytest.raises(WrongState) as caught:
        await client.change_priority(submission.execution_id, 5)
    assert caught.value.reason == "EXECUTION_TERMINAL"


async def test_a_replay_runs_again_with_fresh_counters(client: Client, start_worker: StartWorker) -> None:
    fails = [True]

    @task
    async def recover(data: bytes) -> bytes:
        if fails:
            raise RuntimeError("not yet")
        return data

    await start_worker(recover)
    submission = await client.submit(recover, b"x", policy=Policy(max_attempts=1), deadline=600)
    failed = await until_terminal(client, submission.execution_id)
    assert (failed.state, failed.failed_attempts, failed.attempt) == (State.FAILED, 1, 1)
    fails.clear()

    assert await client.replay(submission.execution_id) is State.WAITING

    assert await client.result(submission.execution_id, timeout=30) == b"x"
    again = await client.get(submission.execution_id)
    assert (again.replays, again.failed_attempts, again.attempt, again.failure) == (1, 0, 2, None)
    assert [(record.attempt, record.ending) for record in again.history] == [(1, "failed")]
    assert again.deadline_time is not None
    assert failed.deadline_time is not None
    assert again.deadline_time > failed.deadline_time


async def test_only_a_terminal_execution_can_be_replayed(client: Client) -> None:
    submission = await client.submit("reverse")
    with pytest.raises(WrongState) as caught:
        await client.replay(submission.execution_id)
    assert caught.value.reason == "EXECUTION_NOT_TERMINAL"


async def test_tags_find_executions_and_may_change(client: Client) -> None:
    red = await client.submit("reverse", tags={"order.color": "red", "order.size": "1"})
    await client.submit("reverse", tags={"order.color": "blue"})

    async def found(**tags: str) -> list[str]:
        wanted = {f"order.{key}": value for key, value in tags.items()}
        return [one.execution_id async for one in client.list(tags=wanted)]

    assert await found(color="red") == [red.execution_id]
    assert await client.set_tags(red.execution_id, {"order.color": "green", "order.size": ""}) == {
        "order.color": "green"
    }
    assert await found(color="red") == []
    assert await found(color="green") == [red.execution_id]
    assert await client.get_tags(red.execution_id) == {"order.color": "green"}


async def test_lists_are_paged_and_filtered(client: Client, start_worker: StartWorker) -> None:
    await start_worker(reverse)
    done = await client.submit(reverse)
    await client.result(done.execution_id, timeout=30)
    elsewhere = {
        one.execution_id
        for one in await client.submit_many([Spec("other", lane="elsewhere") for _ in range(25)])
        if isinstance(one, Submission)
    }

    pages: list[tuple[Execution, ...]] = []
    token = ""
    while not pages or token:
        page = await client.list_page(lane="elsewhere", page_size=10, page_token=token)
        pages.append(page.executions)
        token = page.next_page_token
    assert {one.execution_id for page in pages for one in page} == elsewhere
    assert sum(map(len, pages)) == 25
    assert all(len(page) <= 10 for page in pages)
    assert [one.execution_id async for one in client.list(kind="reverse")] == [done.execution_id]
    assert [one.execution_id async for one in client.list(state=State.COMPLETED)] == [done.execution_id]
    assert len([one async for one in client.list(state=State.WAITING)]) == 25


async def test_a_watch_shows_every_stage_and_ends(client: Client, start_worker: StartWorker) -> None:
    go = asyncio.Event()

    @task
    async def wait_for_go(context: Context) -> None:
        await context.progress(40, "almost half")
        await go.wait()

    submission = await client.submit(wait_for_go)
    states: list[State] = []

    async with asyncio.timeout(PATIENCE_S):
        async for seen in client.watch(submission.execution_id):
            states.append(seen.state)
            if len(states) == 1:
                await start_worker(wait_for_go)
            if seen.progress is not None:
                assert (seen.progress.percent, seen.progress.message) == (40, "almost half")
                go.set()

    assert list(dict.fromkeys(states)) == [State.WAITING, State.ACTIVE, State.COMPLETED]


async def test_what_the_submitter_said_reaches_the_handler(client: Client, start_worker: StartWorker) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    seen: list[object] = []

    @task(kind="look.around")
    async def look(context: Context) -> None:
        seen.extend([context.kind, context.attempt, context.traceparent, context.deadline])

    await start_worker(look)
    submission = await client.submit(look, traceparent=trace, deadline=600)
    await client.result(submission.execution_id, timeout=30)

    execution = await client.get(submission.execution_id)
    assert seen == ["look.around", 1, trace, execution.deadline_time]


async def test_what_does_not_exist_is_not_found(client: Client) -> None:
    unknown = "0-00000000-0000-7000-8000-000000000000"
    for ask in (client.get, client.cancel, client.replay, client.revoke_lease, client.get_tags):
        with pytest.raises(NotFound):
            await ask(unknown)
    with pytest.raises(EngineError):
        await client.get("no id at all")
