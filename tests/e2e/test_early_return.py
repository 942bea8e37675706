"""Handlers that return before calls that are recorded, with the whole engine behind them."""

from __future__ import annotations

import asyncio

from flowfabric import Client, Context, State, task
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import until, until_terminal


async def write(line: str) -> str:
    return line


async def ask(context: Context, name: str) -> str:
    waitpoint = await context.waitpoint(name)
    await context.step("mail", write, name)
    return (await context.wait_for(waitpoint)).signal.name


@task(kind="release")
async def release(context: Context) -> list[str]:
    answers = await asyncio.gather(*(ask(context, name) for name in ("ada", "bob")))
    await context.step("publish", write, "publish")
    await context.wait_for("announcement")
    return answers


@task(kind="release")
async def release_without_publishing(context: Context) -> list[str]:
    return await asyncio.gather(*(ask(context, name) for name in ("ada", "bob")))


@task
async def race(context: Context) -> str:
    quick, slow = (asyncio.ensure_future(context.wait_for(name)) for name in ("quick", "slow"))
    done, _ = await asyncio.wait((quick, slow), return_when=asyncio.FIRST_COMPLETED)
    if slow in done:
        return "slow"
    await context.step("meanwhile", write, "meanwhile")
    await slow
    return "late"


async def test_a_step_that_vanished_behind_waits_side_by_side_is_told(
    client: Client, start_worker: StartWorker
) -> None:
    first = await start_worker(release)
    execution_id = (await client.submit(release)).execution_id
    for number, name in enumerate(("ada", "bob"), 1):
        await until_suspended(client, execution_id, number)
        await client.approve(execution_id, name)
    await until_suspended(client, execution_id, 3)
    await first.stop()
    await start_worker(release_without_publishing)
    await client.approve(execution_id, "announcement")

    failed = await until_terminal(client, execution_id)
    assert failed.failure is not None
    assert (failed.state, failed.failure.type) == (State.FAILED, "STEP_MISMATCH")
    assert "before step 1, step 'publish', which was recorded" in failed.failure.message


async def test_a_handler_that_has_not_changed_may_return_early_for_a_wait_that_ended_later(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(race)
    execution_id = (await client.submit(race)).execution_id
    for number, name in enumerate(("quick", "slow"), 1):
        await until_suspended(client, execution_id, number)
        await client.approve(execution_id, name)

    assert await client.result(execution_id, str, timeout=30) == "slow"
    assert [(step.name, step.state) for step in (await client.get(execution_id)).steps] == [
        ("quick", "done"),
        ("slow", "done"),
        ("meanwhile", "done"),
    ]


async def until_suspended(client: Client, execution_id: str, number: int) -> None:
    """It is suspended for this time."""
    await until(
        client,
        execution_id,
        lambda one: (
            one.state is State.SUSPENDED and one.suspension is not None and one.suspension.number == number
        ),
    )
