"""Workers fetch work ahead of their slots, but nothing waits behind a handler that another could run."""

from __future__ import annotations

import asyncio

from flowfabric import Client, Context, Spec, Submission, task
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import eventually

BEHIND = 12
"""More than one slot runs, less than it fetches ahead."""


async def submit(client: Client, count: int) -> list[str]:
    """Ids of so much new work."""
    verdicts = await client.submit_many([Spec("work")] * count)
    return [verdict.execution_id for verdict in verdicts if isinstance(verdict, Submission)]


async def test_what_was_fetched_behind_a_handler_that_turns_long_is_run_by_another(
    client: Client, start_worker: StartWorker
) -> None:
    ran: dict[str, str] = {}
    turns_long, is_long, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @task(kind="work")
    async def sometimes_long(context: Context) -> None:
        ran[context.execution_id] = "first"
        if turns_long.is_set() and not is_long.is_set():
            is_long.set()
            await may_end.wait()

    @task(kind="work")
    async def short(context: Context) -> None:
        ran[context.execution_id] = "second"

    first = await start_worker(sometimes_long, slots=1)
    while first._slots[0].ahead <= BEHIND:
        for execution_id in await submit(client, 50):
            await client.result(execution_id, timeout=30)

    turns_long.set()
    ids = await submit(client, 1 + BEHIND)
    await is_long.wait()
    [long] = [execution_id for execution_id in ids if execution_id in ran]
    behind = [execution_id for execution_id in ids if execution_id != long]

    async def is_one_given_back() -> bool:
        return any([(await client.get(execution_id)).history for execution_id in behind])

    await eventually(is_one_given_back)
    await start_worker(short)
    for execution_id in behind:
        await client.result(execution_id, timeout=30)
    assert {ran[execution_id] for execution_id in behind} == {"second"}

    may_end.set()
    await client.result(long, timeout=30)
    assert ran[long] == "first"
    for execution_id in ids:
        execution = await client.get(execution_id)
        assert (execution.attempt, execution.reclaims) == (1, 0)
        assert {record.ending for record in execution.history} <= {"released"}
