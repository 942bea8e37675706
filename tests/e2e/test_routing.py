"""Work goes to who can do it, and waits for nobody else."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from flowfabric import Client, Context, Execution, Pool, Spec, State, Submission, task
from flowfabric._stack import Stack
from flowfabric_api.worker.v1 import worker_pb2 as pb
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import PATIENCE_S, eventually, until
from tests.e2e.wire import open_stubs

WAITING_FOR_CAPABLE = "waiting_for_capable_worker"


@task
async def work(data: bytes) -> bytes:
    return data


async def submit_all(client: Client, specs: list[Spec]) -> list[str]:
    """Ids of the submitted, all of which are taken."""
    verdicts = await client.submit_many(specs)
    return [verdict.execution_id for verdict in verdicts if isinstance(verdict, Submission)]


async def test_it_says_that_nobody_can_do_it_and_starts_when_somebody_can(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(work)
    submission = await client.submit(work, b"x", requires=["gpu", "cuda-12"])
    waiting = await client.get(submission.execution_id)
    assert (waiting.state, waiting.state_vector.blocking_reason) == (State.WAITING, WAITING_FOR_CAPABLE)
    await start_worker(work, capabilities=["gpu"])
    assert (await client.get(submission.execution_id)).state_vector.blocking_reason == WAITING_FOR_CAPABLE

    await start_worker(work, capabilities=["gpu", "cuda-12", "avx"], worker_id=f"{client.namespace}-able")

    assert await client.result(submission.execution_id, timeout=30) == b"x"
    execution = await client.get(submission.execution_id)
    assert (execution.attempt, execution.history) == (1, ())


async def test_nothing_waits_behind_what_nobody_can_do(client: Client, start_worker: StartWorker) -> None:
    blocked = await submit_all(client, [Spec("work", requires=["quantum"], priority=9000)] * 200)
    possible = await submit_all(client, [Spec("work", b"%d" % number) for number in range(50)])
    assert len(blocked) == 200

    await start_worker(work, slots=1)

    for number, execution_id in enumerate(possible):
        assert await client.result(execution_id, timeout=30) == b"%d" % number
    [lane] = await client.lanes()
    assert lane.waiting == 200
    assert [(queue.requires, queue.has_capable_worker) for queue in lane.queues] == [(("quantum",), False)]


async def test_each_worker_gets_only_what_it_can_do(client: Client, start_worker: StartWorker) -> None:
    done_by: dict[str, set[str]] = {}

    def worker_of(name: str, capabilities: list[str]) -> object:
        @task(kind="work")
        async def note(context: Context) -> None:
            done_by.setdefault(name, set()).add(context.execution_id)

        return start_worker(note, capabilities=capabilities, slots=2)

    able = {"plain": [], "red": ["red"], "blue": ["blue"], "both": ["red", "blue"]}
    needs: dict[str, set[str]] = {}
    for needed in ([], ["red"], ["blue"], ["red", "blue"]):
        for execution_id in await submit_all(client, [Spec("work", requires=needed)] * 25):
            needs[execution_id] = set(needed)
    for name, capabilities in able.items():
        await worker_of(name, capabilities)  # type: ignore[misc]

    async def are_done() -> bool:
        return sum(map(len, done_by.values())) == len(needs)

    await eventually(are_done)
    for name, executions in done_by.items():
        assert all(needs[execution_id] <= set(able[name]) for execution_id in executions)


async def test_a_worker_serves_the_lanes_of_its_pools_only(client: Client, start_worker: StartWorker) -> None:
    ids = await submit_all(client, [Spec("work", lane.encode(), lane=lane) for lane in ("a", "b", "c")])
    await start_worker(work, pools=[Pool(["a"], slots=1), Pool(["b"], ["red"], slots=1)])

    assert await client.result(ids[0], timeout=30) == b"a"
    assert await client.result(ids[1], timeout=30) == b"b"
    waiting = await client.get(ids[2])
    assert (waiting.state, waiting.state_vector.blocking_reason) == (State.WAITING, WAITING_FOR_CAPABLE)


async def test_a_watch_shows_that_the_first_capable_worker_comes_and_the_last_goes(
    flowfabric_stack: Stack, client: Client, namespace: str
) -> None:
    submission = await client.submit(work, b"x", requires=["rare"])

    def reason(execution: Execution) -> str:
        return execution.state_vector.blocking_reason

    async with (
        asyncio.timeout(PATIENCE_S),
        aclosing(client.watch(submission.execution_id)) as changes,
        open_stubs(flowfabric_stack.address) as stubs,
    ):
        assert reason(await anext(changes)) == WAITING_FOR_CAPABLE

        # Without credit it gets no work, so the execution itself stays as it is.
        hello = pb.Hello(
            worker_id="able",
            namespace=namespace,
            pools=[pb.Pool(lanes=["default"], capabilities=["rare"], slots=1)],
        )
        session = stubs.worker.Session()
        await session.write(pb.SessionRequest(hello=hello))
        assert reason(await anext(changes)) == "waiting_for_worker"

        await session.done_writing()
        assert reason(await anext(changes)) == WAITING_FOR_CAPABLE


async def test_it_waits_for_a_worker_when_the_capable_are_busy(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(work, lanes=["other"], capabilities=["red"])
    submission = await client.submit(work, lane="other", requires=["red"], delay=3600)
    delayed = await client.get(submission.execution_id)
    assert delayed.state_vector.blocking_reason == "waiting_for_delay"
    await until(client, submission.execution_id, lambda one: one.state is State.DELAYED)
