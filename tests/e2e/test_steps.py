"""Handlers that survive: steps, waits and sleeps of a handler, and the whole engine behind them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flowfabric import Backoff, Client, Context, Execution, Policy, State, StepFailed, StepRetry, Worker, task
from flowfabric._condition import count
from tests.e2e.conftest import StartWorker
from tests.e2e.load import open_load
from tests.e2e.waiting import eventually, until, until_state, until_terminal


class Work:
    """What the steps of a test did."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def do(self, name: str) -> str:
        self.done.append(name)
        return f"did {name}"


async def test_a_handler_waits_without_a_worker_and_another_goes_on_where_it_was(
    client: Client, start_worker: StartWorker
) -> None:
    work = Work()

    @task
    async def deploy(context: Context) -> Any:
        plan = await context.step("plan", work.do, "plan")
        approval = await context.wait_for("approval", timeout=60, reason="waiting_for_approval")
        return [plan, approval.signal.name, await context.step("apply", work.do, "apply")]

    first = await start_worker(deploy, slots=1)
    submission = await client.submit(deploy)
    suspended = await until_state(client, submission.execution_id, State.SUSPENDED)
    assert suspended.state_vector.blocking_reason == "waiting_for_approval"
    assert (suspended.attempt, suspended.lease) == (1, None)
    await first.stop()
    await start_worker(deploy)
    await client.approve(submission.execution_id, "approval")

    assert await client.result(submission.execution_id, list, timeout=30) == [
        "did plan",
        "approved",
        "did apply",
    ]
    assert work.done == ["plan", "apply"]
    execution = await client.get(submission.execution_id)
    assert (execution.attempt, execution.failed_attempts, execution.reclaims) == (1, 0, 0)
    assert [(step.key, step.kind, step.name, step.state) for step in execution.steps] == [
        ("1", "step", "plan", "done"),
        ("2", "wait", "approval", "done"),
        ("3", "step", "apply", "done"),
    ]


async def test_a_token_made_before_the_wait_lets_a_signal_come_early(
    client: Client, start_worker: StartWorker
) -> None:
    sent = asyncio.Event()

    @task
    async def ask(context: Context) -> str:
        waitpoint = await context.waitpoint("answer")

        async def mail(token: str) -> None:
            await client.signal(waitpoint.waitpoint_id, "answered", "early", token=token)
            sent.set()

        await context.step("mail", mail, waitpoint.token)
        resumed = await context.wait_for(waitpoint, timeout=60)
        await context.sleep(0.01)  # so that it runs once more, with a waitpoint that is used
        return resumed.value(str)

    await start_worker(ask, short_wait=0)
    submission = await client.submit(ask)
    assert await client.result(submission.execution_id, str, timeout=30) == "early"
    assert sent.is_set()


async def test_several_waits_share_one_suspension_and_each_keeps_what_it_has(
    client: Client, start_worker: StartWorker
) -> None:
    work = Work()

    async def approval(context: Context, name: str) -> list[str]:
        await context.step(f"ask-{name}", work.do, f"ask-{name}")
        resumed = await context.wait_for(name, count(2, by="signals"), timeout=60)
        return [signal.name for signal in resumed.signals]

    @task
    async def gate(context: Context) -> Any:
        return await asyncio.gather(approval(context, "a"), approval(context, "b"), context.sleep(0.01))

    await start_worker(gate)
    execution_id = (await client.submit(gate)).execution_id
    await until_state(client, execution_id, State.SUSPENDED)
    await client.approve(execution_id, "a")
    await client.approve(execution_id, "b")
    await client.approve(execution_id, "b")
    resumed = await until_suspension(client, execution_id, 2)
    assert [wait.name for wait in resumed.waits] == ["a"]
    assert len(resumed.waits[0].signals) == 1, "the half that had come for it still counts"
    await client.approve(execution_id, "a")

    assert await client.result(execution_id, list, timeout=30) == [["approved"] * 2, ["approved"] * 2, None]
    assert sorted(work.done) == ["ask-a", "ask-b"]


async def test_sleeps_hold_no_worker_and_end_by_the_clock_of_the_engine(
    client: Client, start_worker: StartWorker
) -> None:
    @task
    async def nap(context: Context, seconds: float) -> str:
        began = await context.now()
        await context.sleep(seconds)
        await context.sleep_until(began + timedelta(seconds=2 * seconds))
        return began.isoformat()

    await start_worker(nap, short_wait=0)
    long_id = (await client.submit(nap, 3600.0)).execution_id
    asleep = await until_state(client, long_id, State.SUSPENDED)
    assert asleep.state_vector.blocking_reason == "waiting_for_timer"
    execution_id = (await client.submit(nap, 0.2)).execution_id
    began = datetime.fromisoformat(await client.result(execution_id, str, timeout=30))
    assert datetime.now(UTC) - began >= timedelta(seconds=0.4)
    steps = (await client.get(execution_id)).steps
    assert [(step.kind, step.state) for step in steps] == [
        ("value", "done"),
        ("sleep", "done"),
        ("sleep", "done"),
    ]


async def test_more_than_one_suspension_holds_is_waited_for_in_turns(
    client: Client, start_worker: StartWorker
) -> None:
    names = [f"w{n}" for n in range(20)]
    outages = iter(range(20))

    async def call() -> None:
        if next(outages, None) is not None:
            raise ConnectionError

    @task
    async def gate(context: Context) -> list[str]:
        retry = StepRetry(max_attempts=21, backoff=Backoff(initial=0.1))
        await asyncio.gather(*(context.step("call", call, retry=retry) for _ in range(20)))
        await asyncio.gather(*(context.sleep(0.3) for _ in range(40)))
        answers = await asyncio.gather(*(context.wait_for(name, timeout=60) for name in names))
        return [each.signal.name for each in answers]

    await start_worker(gate, short_wait=0)
    execution_id = (await client.submit(gate)).execution_id
    for name in names:
        assert len(await until_asked(client, execution_id, name)) <= 16
        await client.approve(execution_id, name)

    assert await client.result(execution_id, list, timeout=30) == ["approved"] * 20
    execution = await client.get(execution_id)
    assert (execution.attempt, execution.failed_attempts) == (1, 0)


async def test_a_name_that_is_used_up_or_was_dropped_is_waited_for_again(
    client: Client, start_worker: StartWorker
) -> None:
    @task
    async def handler(context: Context) -> list[str]:
        first = await context.wait_for(await context.waitpoint("go"))
        waits = [asyncio.ensure_future(context.wait_for(name)) for name in ("go", "other")]
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in pending:
            each.cancel()
        last = await context.wait_for("other")
        return [first.signal.name, *(each.result().signal.name for each in done), last.signal.name]

    await start_worker(handler)
    execution_id = (await client.submit(handler)).execution_id
    for number, name in enumerate(("go", "go", "other"), 1):
        await until_suspension(client, execution_id, number)
        await client.approve(execution_id, name)
    assert await client.result(execution_id, list, timeout=30) == ["approved"] * 3


async def test_a_wait_out_of_time_goes_on_with_that(client: Client, start_worker: StartWorker) -> None:
    @task
    async def ask(context: Context) -> bool:
        return (await context.wait_for("answer", timeout=0.05, on_timeout="resume")).timed_out

    await start_worker(ask)
    submission = await client.submit(ask)
    assert await client.result(submission.execution_id, bool, timeout=30) is True


async def test_an_operator_resumes_whatever_is_waited_for(client: Client, start_worker: StartWorker) -> None:
    @task
    async def ask(context: Context) -> bool:
        return (await context.wait_for("answer")).by_operator

    await start_worker(ask)
    execution_id = (await client.submit(ask)).execution_id
    await until_state(client, execution_id, State.SUSPENDED)
    await client.resume(execution_id, "enough")
    assert await client.result(execution_id, bool, timeout=30) is True


async def test_a_retry_finds_the_steps_of_the_attempt_before(
    client: Client, start_worker: StartWorker
) -> None:
    work = Work()

    async def fail_once() -> str:
        work.done.append("call")
        if work.done.count("call") == 1:
            raise ConnectionError("not now")
        return "called"

    @task
    async def pay(context: Context) -> list[str]:
        return [await context.step("reserve", work.do, "reserve"), await context.step("call", fail_once)]

    await start_worker(pay)
    submission = await client.submit(pay, policy=Policy(backoff=Backoff(initial=0.01)))
    assert await client.result(submission.execution_id, list, timeout=30) == ["did reserve", "called"]
    assert work.done == ["reserve", "call", "call"]
    execution = await client.get(submission.execution_id)
    assert (execution.attempt, execution.failed_attempts) == (2, 1)
    assert not any(step.uncertain for step in execution.steps)


async def test_a_step_with_a_retry_sleeps_between_tries_and_fails_for_good(
    client: Client, start_worker: StartWorker
) -> None:
    work = Work()

    async def fail() -> None:
        work.done.append("call")
        raise ConnectionError("never")

    @task
    async def call(context: Context) -> str:
        # Long enough for the handler to be suspended before it is over.
        retry = StepRetry(max_attempts=2, backoff=Backoff(initial=2, jitter=0))
        try:
            await context.step("call", fail, retry=retry)
        except StepFailed as error:
            return error.failure.type
        return "no"

    await start_worker(call, short_wait=0)
    execution_id = (await client.submit(call)).execution_id
    assert await client.result(execution_id, str, timeout=30) == "ConnectionError"
    assert work.done == ["call", "call"]
    execution = await client.get(execution_id)
    assert execution.suspension is not None
    assert (execution.attempt, execution.suspension.number) == (1, 1)
    assert [(step.key, step.state, step.runs) for step in execution.steps] == [
        ("1", "failed", 2),
        ("1~1", "done", 0),
    ]


async def test_a_handler_that_changed_its_steps_fails_and_says_which(
    client: Client, start_worker: StartWorker
) -> None:
    work = Work()

    @task(kind="deploy")
    async def old(context: Context) -> None:
        await context.step("plan", work.do, "plan")
        await context.wait_for("approval")

    @task(kind="deploy")
    async def new(context: Context) -> None:
        await context.step("build", work.do, "build")

    first = await start_worker(old)
    execution_id = (await client.submit(old)).execution_id
    await until_state(client, execution_id, State.SUSPENDED)
    await first.stop()
    await start_worker(new)
    await client.approve(execution_id, "approval")

    failed = await until_terminal(client, execution_id)
    assert failed.failure is not None
    assert (failed.state, failed.failure.type) == (State.FAILED, "STEP_MISMATCH")
    assert "step 1 is step 'build' now, but step 'plan' was recorded there" in failed.failure.message
    assert work.done == ["plan"]


async def test_a_replay_goes_on_from_a_step_or_begins_afresh(
    client: Client, start_worker: StartWorker
) -> None:
    work = Work()

    @task
    async def build(context: Context) -> list[str]:
        return [await context.step(name, work.do, name) for name in ("a", "b", "c")]

    await start_worker(build)
    execution_id = (await client.submit(build)).execution_id
    await client.result(execution_id, list, timeout=30)
    expected = ["a", "b", "c"]
    for through, keep, ran in [("a", False, ["b", "c"]), ("", True, []), ("", False, ["a", "b", "c"])]:
        await client.replay(execution_id, keep_journal=keep, through=through)
        assert await client.result(execution_id, list, timeout=30) == ["did a", "did b", "did c"]
        expected += ran
        assert work.done == expected


async def test_a_journal_too_large_for_a_grant_is_read_before_the_handler_starts(
    client: Client, start_worker: StartWorker
) -> None:
    work = Work()

    @task
    async def many(context: Context) -> int:
        sizes = [len(await context.step("blob", lambda: "x" * 1000)) for _ in range(300)]
        await context.wait_for("go")
        await context.step("last", work.do, "last")
        return sum(sizes)

    await start_worker(many)
    execution_id = (await client.submit(many)).execution_id
    await until_state(client, execution_id, State.SUSPENDED)
    await client.approve(execution_id, "go")
    assert await client.result(execution_id, int, timeout=30) == 300_000
    execution = await client.get(execution_id)
    assert (execution.steps_total, len(execution.steps), work.done) == (302, 200, ["last"])
    assert {step.runs for step in execution.steps if step.kind == "step"} == {1}


async def test_handlers_in_threads_have_steps_too(client: Client, start_worker: StartWorker) -> None:
    done: list[str] = []

    def do(name: str) -> int:
        done.append(name)
        return len(done)

    @task
    def build(context: Context) -> list[int]:
        return [context.step_sync(name, do, name) for name in "ab"]

    await start_worker(build)
    submission = await client.submit(build)
    assert await client.result(submission.execution_id, list, timeout=30) == [1, 2]


async def test_a_condition_that_cannot_be_fails_the_execution_and_says_why(
    client: Client, start_worker: StartWorker
) -> None:
    @task
    async def ask(context: Context) -> None:
        await context.wait_for("answer", count(0))

    await start_worker(ask)
    failed = await until_terminal(client, (await client.submit(ask)).execution_id)
    assert failed.failure is not None
    assert failed.failure.type == "suspend_refused"
    assert "waits[0].condition.count.n" in failed.failure.message


async def test_a_handler_that_records_too_much_fails_with_the_limit_that_it_hit(tmp_path: Path) -> None:
    work = Work()

    @task
    async def many(context: Context) -> None:
        for number in range(9):
            await context.step("item", work.do, str(number))

    limits = {"FF_MAX_JOURNAL_ENTRIES": "3"}
    async with open_load(tmp_path, env=limits) as load:
        worker = Worker([many], address=load.stack.address, namespace=load.client.namespace)
        await worker.start()
        failed = await until_terminal(load.client, (await load.client.submit(many)).execution_id)
        await worker.stop()

    assert failed.failure is not None
    assert (failed.state, failed.failure.type, failed.failure.category) == (
        State.FAILED,
        "JOURNAL_FULL",
        "permanent",
    )
    assert (failed.attempt, work.done) == (1, ["0", "1", "2", "3"])


async def test_a_cancelled_handler_that_waits_is_cancelled_at_once(
    client: Client, start_worker: StartWorker
) -> None:
    @task
    async def ask(context: Context) -> None:
        await context.wait_for("answer")

    await start_worker(ask)
    execution_id = (await client.submit(ask)).execution_id
    await until_state(client, execution_id, State.SUSPENDED)
    await client.cancel(execution_id, "enough")
    assert (await until_terminal(client, execution_id)).state is State.CANCELLED


async def test_suspended_executions_hold_no_slot_and_nothing_in_the_worker(
    client: Client, start_worker: StartWorker
) -> None:
    @task
    async def ask(context: Context) -> str:
        return (await context.wait_for("answer")).signal.name

    worker = await start_worker(ask, slots=2)
    ids = [(await client.submit(ask)).execution_id for _ in range(20)]
    for execution_id in ids:
        await until_state(client, execution_id, State.SUSPENDED)

    async def is_rid_of_them() -> bool:  # the answer to the worker may come behind the news
        return (worker._slots[0].busy, worker._leases.held, worker._leases.journals) == (0, {}, {})

    await eventually(is_rid_of_them)
    await asyncio.gather(*(client.approve(execution_id, "answer") for execution_id in ids))
    results = await asyncio.gather(*(client.result(execution_id, str, timeout=30) for execution_id in ids))
    assert set(results) == {"approved"}


def names_of(execution: Execution) -> list[str]:
    """What a suspended execution waits for."""
    if execution.state is not State.SUSPENDED or execution.suspension is None:
        return []
    return [wait.name for wait in execution.suspension.waits]


async def until_asked(client: Client, execution_id: str, name: str) -> list[str]:
    """What is waited for, once this is among it."""
    return names_of(await until(client, execution_id, lambda one: name in names_of(one)))


async def until_suspension(client: Client, execution_id: str, number: int) -> Any:
    """The suspension of this number, once there is one."""
    found = await until(
        client,
        execution_id,
        lambda one: (
            one.state is State.SUSPENDED and one.suspension is not None and one.suspension.number >= number
        ),
    )
    return found.suspension
