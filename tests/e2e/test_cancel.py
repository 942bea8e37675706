"""Stopping work, gently and at once."""

from __future__ import annotations

import asyncio

import pytest

from flowfabric import Client, Context, ExecutionCancelled, NotFound, State, task
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import until, until_state, until_terminal


class Stoppable:
    """A task that runs until it is told to stop, and how it was told."""

    def __init__(self, *, obeys: bool = True) -> None:
        self.started = asyncio.Event()
        self.told = asyncio.Event()
        self.let_go = asyncio.Event()

        @task
        async def stoppable(context: Context) -> bytes:
            self.started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                assert context.is_cancelled
                self.told.set()
                if obeys:
                    raise
            await self.let_go.wait()
            return b"finished all the same"

        self.task = stoppable


async def test_a_waiting_execution_is_cancelled_at_once(client: Client) -> None:
    submission = await client.submit("nobody")

    assert await client.cancel(submission.execution_id, "changed my mind") is State.CANCELLED
    assert await client.cancel(submission.execution_id, "again") is State.CANCELLED

    with pytest.raises(ExecutionCancelled) as caught:
        await client.result(submission.execution_id)
    assert caught.value.execution.cancel is not None
    assert caught.value.execution.cancel.reason == "changed my mind"
    assert caught.value.execution.attempt == 0


async def test_a_delayed_execution_is_cancelled_at_once(client: Client, start_worker: StartWorker) -> None:
    stoppable = Stoppable()
    await start_worker(stoppable.task)
    submission = await client.submit(stoppable.task, delay=3600)

    assert await client.cancel(submission.execution_id) is State.CANCELLED
    assert (await client.get(submission.execution_id)).attempt == 0


async def test_the_worker_of_an_active_execution_is_asked_to_stop(
    client: Client, start_worker: StartWorker
) -> None:
    stoppable = Stoppable()
    await start_worker(stoppable.task)
    submission = await client.submit(stoppable.task)
    await stoppable.started.wait()

    first = await client.cancel(submission.execution_id, "enough", grace=60)
    second = await client.cancel(submission.execution_id, "again", grace=60)

    assert first is State.ACTIVE
    assert second in (State.ACTIVE, State.CANCELLED)  # by now the worker may have stopped
    async with asyncio.timeout(30):
        await stoppable.told.wait()
    cancelled = await until_terminal(client, submission.execution_id)
    assert (cancelled.state, cancelled.attempt) == (State.CANCELLED, 1)
    assert cancelled.cancel is not None
    assert cancelled.cancel.reason == "enough"


async def test_a_second_cancel_answers_as_the_first(client: Client, start_worker: StartWorker) -> None:
    stoppable = Stoppable(obeys=False)
    await start_worker(stoppable.task)
    submission = await client.submit(stoppable.task)
    await stoppable.started.wait()

    answers = [await client.cancel(submission.execution_id, "enough", grace=60) for _ in range(3)]

    assert answers == [State.ACTIVE] * 3
    async with asyncio.timeout(30):
        await stoppable.told.wait()
    stoppable.let_go.set()


async def test_a_handler_that_finishes_within_the_grace_completes(
    client: Client, start_worker: StartWorker
) -> None:
    stoppable = Stoppable(obeys=False)
    await start_worker(stoppable.task)
    submission = await client.submit(stoppable.task)
    await stoppable.started.wait()

    await client.cancel(submission.execution_id, grace=60)
    async with asyncio.timeout(30):
        await stoppable.told.wait()
    stoppable.let_go.set()

    assert await client.result(submission.execution_id, timeout=30) == b"finished all the same"


async def test_after_the_grace_it_is_cancelled_whatever_the_handler_does(
    client: Client, start_worker: StartWorker
) -> None:
    stoppable = Stoppable(obeys=False)
    await start_worker(stoppable.task)
    submission = await client.submit(stoppable.task)
    await stoppable.started.wait()

    assert await client.cancel(submission.execution_id, grace=0.2) is State.ACTIVE

    cancelled = await until_terminal(client, submission.execution_id)
    assert cancelled.state is State.CANCELLED
    stoppable.let_go.set()
    assert (await client.get(submission.execution_id)).state is State.CANCELLED


async def test_without_grace_the_lease_is_taken_at_once(client: Client, start_worker: StartWorker) -> None:
    stoppable = Stoppable()
    await start_worker(stoppable.task)
    submission = await client.submit(stoppable.task)
    await stoppable.started.wait()

    assert await client.cancel(submission.execution_id, grace=0) is State.CANCELLED

    async with asyncio.timeout(30):
        await stoppable.told.wait()
    assert (await client.get(submission.execution_id)).state is State.CANCELLED


async def test_what_has_ended_keeps_its_end(client: Client, start_worker: StartWorker) -> None:
    @task
    async def nothing() -> None:
        pass

    await start_worker(nothing)
    submission = await client.submit(nothing)
    await until_state(client, submission.execution_id, State.COMPLETED)

    assert await client.cancel(submission.execution_id) is State.COMPLETED


async def test_many_are_cancelled_each_with_its_own_verdict(
    client: Client, start_worker: StartWorker
) -> None:
    stoppable = Stoppable()
    await start_worker(stoppable.task, slots=1)
    active = await client.submit(stoppable.task, priority=1)
    await until(client, active.execution_id, lambda one: one.state is State.ACTIVE)
    waiting = [await client.submit(stoppable.task) for _ in range(3)]
    unknown = "0-00000000-0000-7000-8000-000000000000"
    ids = [active.execution_id, unknown, *(one.execution_id for one in waiting)]

    verdicts = await client.cancel_many(ids, "all of them", grace=0)

    assert isinstance(verdicts[1], NotFound)
    assert [verdicts[0], *verdicts[2:]] == [State.CANCELLED] * 4
