"""Who holds what: leases taken away, workers that share a name, namespaces."""

from __future__ import annotations

import asyncio

import pytest

from flowfabric import Client, Context, SessionSuperseded, State, task
from flowfabric._stack import Stack
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import eventually, until, until_state


async def test_a_revoked_lease_goes_to_another_and_the_first_handler_is_stopped(
    client: Client, start_worker: StartWorker
) -> None:
    started = asyncio.Event()
    stopped = asyncio.Event()

    @task
    async def stubborn_at_first(context: Context) -> int:
        if context.attempt == 1:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
        return context.attempt

    await start_worker(stubborn_at_first)
    submission = await client.submit(stubborn_at_first)
    await started.wait()

    revocation = await client.revoke_lease(submission.execution_id, "let another try")

    assert (revocation.revoked, revocation.epoch) == (True, 1)
    assert await client.result(submission.execution_id, int, timeout=30) == 2
    await stopped.wait()
    execution = await client.get(submission.execution_id)
    assert (execution.attempt, execution.reclaims, execution.failed_attempts) == (2, 1, 0)
    [record] = execution.history
    assert record.failure is not None
    assert (record.ending, record.failure.message) == ("lease_revoked", "let another try")


async def test_without_a_lease_a_revocation_changes_nothing(client: Client) -> None:
    submission = await client.submit("nobody")
    before = await client.get(submission.execution_id)

    revocation = await client.revoke_lease(submission.execution_id)

    assert (revocation.revoked, revocation.state) == (False, State.WAITING)
    assert await client.get(submission.execution_id) == before


async def test_of_two_workers_with_one_id_the_newer_wins(client: Client, start_worker: StartWorker) -> None:
    @task
    async def whoami() -> bytes:
        return b"older"

    older = await start_worker(whoami, worker_id=f"{client.namespace}-twin")

    @task(kind="whoami")
    async def newer_whoami() -> bytes:
        return b"newer"

    newer = await start_worker(newer_whoami, worker_id=older.worker_id)

    with pytest.raises(SessionSuperseded):
        async with asyncio.timeout(30):
            await older.wait()

    async def is_alone() -> bool:
        return [one.worker_id for one in await client.workers()] == [newer.worker_id]

    await eventually(is_alone)
    for _ in range(5):
        submission = await client.submit(whoami)
        assert await client.result(submission.execution_id, timeout=30) == b"newer"


async def test_namespaces_see_nothing_of_each_other(
    flowfabric_stack: Stack, client: Client, start_worker: StartWorker
) -> None:
    @task
    async def where(context: Context) -> bytes:
        return b"here"

    async with Client(flowfabric_stack.address, namespace=f"{client.namespace}-2") as other:
        theirs = await other.submit(where)
        await start_worker(where)
        ours = await client.submit(where)

        assert await client.result(ours.execution_id, timeout=30) == b"here"
        assert (await client.get(theirs.execution_id)).state is State.WAITING
        assert [one.execution_id async for one in client.list()] == [ours.execution_id]
        assert [one.execution_id async for one in other.list()] == [theirs.execution_id]
        assert await other.workers() == []
        assert [lane.waiting for lane in await client.lanes()] == [0]
        assert [lane.waiting for lane in await other.lanes()] == [1]


async def test_workers_and_lanes_tell_who_does_what(client: Client, start_worker: StartWorker) -> None:
    hold = asyncio.Event()

    @task(lane="slow")
    async def slow() -> None:
        await hold.wait()

    worker = await start_worker(slow, slots=2, capabilities=["gpu"], identity="the one in the corner")
    first = await client.submit(slow)
    await until_state(client, first.execution_id, State.ACTIVE)

    [info] = await client.workers()
    assert (info.worker_id, info.identity, info.kinds, info.draining) == (
        worker.worker_id,
        "the one in the corner",
        ("slow",),
        False,
    )
    [pool] = info.pools
    assert (pool.lanes, pool.capabilities, pool.slots) == (("slow",), ("gpu",), 2)
    [lane] = await client.lanes()
    assert (lane.lane, lane.workers, lane.slots) == ("slow", 1, 2)

    async def counts_the_lease() -> bool:
        return [pool.held for pool in (await client.workers())[0].pools] == [1]

    await eventually(counts_the_lease)
    hold.set()
    await until_state(client, first.execution_id, State.COMPLETED)


async def test_the_worker_of_a_lease_is_shown_once_it_has_confirmed_it(
    client: Client, start_worker: StartWorker
) -> None:
    hold = asyncio.Event()

    @task
    async def held() -> None:
        await hold.wait()

    await start_worker(held)
    submission = await client.submit(held)
    active = await until(client, submission.execution_id, lambda one: one.lease is not None)
    assert active.lease is not None
    assert (active.lease.epoch, active.state_vector.ownership_state) == (1, "leased")
    hold.set()
    await until_state(client, submission.execution_id, State.COMPLETED)
