"""What becomes of an attempt that did not end well."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from flowfabric import (
    Backoff,
    Client,
    Context,
    Delay,
    Execution,
    ExecutionFailed,
    Fail,
    LeaseRecord,
    Policy,
    Retry,
    State,
    task,
)
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import until, until_state, until_terminal

FAST = Backoff(initial=0.01, multiplier=1, jitter=0)


@task(kind="fail")
async def fail_always(context: Context) -> None:
    raise RuntimeError(f"attempt {context.attempt}")


async def failed(client: Client, execution_id: str) -> Execution:
    """The execution, which failed."""
    with pytest.raises(ExecutionFailed) as caught:
        await client.result(execution_id, timeout=30)
    return caught.value.execution


def pauses(execution: Execution) -> list[timedelta]:
    """The least time between the end of each lease and the grant of the next."""
    ended = [record.end_time for record in execution.history]
    granted = [record.grant_time for record in execution.history[1:]]
    return [after - before for before, after in zip(ended, granted, strict=False) if before and after]


def endings(history: Sequence[LeaseRecord]) -> list[tuple[int, str]]:
    """Attempt and ending of each earlier lease."""
    return [(record.attempt, record.ending) for record in history]


async def test_a_failure_is_retried_until_the_attempts_are_used_up(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(fail_always)
    submission = await client.submit(fail_always, policy=Policy(max_attempts=3, backoff=FAST))

    execution = await failed(client, submission.execution_id)

    assert (execution.attempt, execution.failed_attempts) == (3, 3)
    assert execution.failure is not None
    assert (execution.failure.type, execution.failure.message) == ("RuntimeError", "attempt 3")
    assert endings(execution.history) == [(1, "failed"), (2, "failed")]
    assert [record.failure and record.failure.message for record in execution.history] == [
        "attempt 1",
        "attempt 2",
    ]


async def test_an_attempt_that_succeeds_after_failures_completes(
    client: Client, start_worker: StartWorker
) -> None:
    @task
    async def third_time_lucky(context: Context) -> int:
        if context.attempt < 3:
            raise RuntimeError("not yet")
        return context.attempt

    await start_worker(third_time_lucky)
    submission = await client.submit(third_time_lucky, policy=Policy(backoff=FAST))

    assert await client.result(submission.execution_id, int, timeout=30) == 3


async def test_with_exponential_backoff_each_pause_is_longer(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(fail_always)
    backoff = Backoff(initial=0.05, multiplier=3, max=0.3, jitter=0)
    submission = await client.submit(fail_always, policy=Policy(max_attempts=5, backoff=backoff))

    execution = await failed(client, submission.execution_id)

    least = [timedelta(milliseconds=ms) for ms in (50, 150, 300)]  # and 300 before the attempt that ended it
    assert all(pause >= bound for pause, bound in zip(pauses(execution), least, strict=True))


async def test_between_attempts_an_execution_is_delayed_for_the_backoff(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(fail_always)
    backoff = Backoff(initial=60, jitter=0)
    submission = await client.submit(fail_always, policy=Policy(backoff=backoff))

    delayed = await until_state(client, submission.execution_id, State.DELAYED)

    assert delayed.state_vector.blocking_reason == "waiting_for_retry_backoff"
    [record] = delayed.history
    assert record.end_time is not None
    assert delayed.due_time == record.end_time + timedelta(seconds=60)


async def test_an_attempt_that_takes_too_long_is_retried_then_fails(
    client: Client, start_worker: StartWorker
) -> None:
    stopped: asyncio.Queue[int] = asyncio.Queue()

    @task
    async def hang(context: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.put_nowait(context.attempt)

    await start_worker(hang)
    # Long enough for the handler to have begun, wherever it runs.
    policy = Policy(max_attempts=2, backoff=FAST, attempt_timeout=2)
    submission = await client.submit(hang, policy=policy)

    execution = await failed(client, submission.execution_id)

    assert (execution.attempt, execution.failed_attempts) == (2, 2)
    assert execution.failure is not None
    assert (execution.failure.type, execution.failure.category) == ("attempt_timeout", "timeout")
    assert endings(execution.history) == [(1, "attempt_timeout")]
    assert await stopped.get() == 1


@pytest.mark.parametrize(
    ("policy", "attempts"),
    [
        (Policy(backoff=FAST, max_attempts=2), 1),
        (Policy(backoff=FAST, max_attempts=2, non_retryable_categories=["permanent", "odd"]), 1),
        (Policy(backoff=FAST, max_attempts=2, retryable_categories=["transient"]), 1),
    ],
    ids=["by default", "named as final", "not among the retryable"],
)
async def test_a_permanent_failure_is_not_retried(
    client: Client, start_worker: StartWorker, policy: Policy, attempts: int
) -> None:
    @task
    async def give_up() -> None:
        raise Retry(0, "the category decides", category="permanent")

    await start_worker(give_up)
    submission = await client.submit(give_up, policy=policy)

    execution = await failed(client, submission.execution_id)

    assert execution.failed_attempts == attempts
    assert execution.failure is not None
    assert execution.failure.category == "permanent"


async def test_a_category_named_as_retryable_is_retried(client: Client, start_worker: StartWorker) -> None:
    @task
    async def odd() -> None:
        raise Retry(0, category="odd")

    await start_worker(odd)
    policy = Policy(max_attempts=2, retryable_categories=["odd"])
    submission = await client.submit(odd, policy=policy)

    assert (await failed(client, submission.execution_id)).failed_attempts == 2


async def test_a_handler_that_says_fail_is_not_run_again(client: Client, start_worker: StartWorker) -> None:
    @task
    async def refuse() -> None:
        raise Fail("no such file", type="missing")

    await start_worker(refuse)
    submission = await client.submit(refuse)

    execution = await failed(client, submission.execution_id)

    assert execution.failure is not None
    assert (execution.attempt, execution.failure.type) == (1, "missing")


async def test_a_failure_may_name_its_own_pause(client: Client, start_worker: StartWorker) -> None:
    @task
    async def later(context: Context) -> int:
        if context.attempt == 1:
            raise Retry(0.05)
        return context.attempt

    await start_worker(later)
    submission = await client.submit(later, policy=Policy(backoff=Backoff(initial=3600)))

    assert await client.result(submission.execution_id, int, timeout=30) == 2


async def test_a_delay_keeps_the_attempt(client: Client, start_worker: StartWorker) -> None:
    calls: list[int] = []

    @task
    async def in_three_steps(context: Context) -> int:
        calls.append(context.attempt)
        if len(calls) < 3:
            raise Delay(0.05)
        return len(calls)

    await start_worker(in_three_steps)
    submission = await client.submit(in_three_steps, policy=Policy(max_attempts=1))

    assert await client.result(submission.execution_id, int, timeout=30) == 3
    execution = await client.get(submission.execution_id)
    assert calls == [1, 1, 1]
    assert (execution.attempt, execution.failed_attempts) == (1, 0)
    assert endings(execution.history) == [(1, "delayed"), (1, "delayed")]


async def test_an_unknown_kind_fails_by_policy(client: Client, start_worker: StartWorker) -> None:
    await start_worker(fail_always)
    submission = await client.submit("nobody.knows", policy=Policy(max_attempts=1))

    execution = await failed(client, submission.execution_id)

    assert execution.failure is not None
    assert execution.failure.type == "unknown_task"


async def test_input_that_does_not_fit_fails_at_once(client: Client, start_worker: StartWorker) -> None:
    @task
    async def double(number: int) -> int:
        return 2 * number

    await start_worker(double)
    good = await client.submit(double, 21)
    bad = await client.submit(double, "no number")

    assert await client.result(good.execution_id, int, timeout=30) == 42
    execution = await failed(client, bad.execution_id)
    assert execution.failure is not None
    assert (execution.attempt, execution.failure.type) == (1, "invalid_input")


async def test_a_blocking_handler_runs_beside_the_loop(client: Client, start_worker: StartWorker) -> None:
    @task
    def shout(text: str, context: Context) -> str:
        context.emit_sync("on my way")
        context.progress_sync(50, "half")
        return text.upper()

    await start_worker(shout)
    submission = await client.submit(shout, "hello")

    assert await client.result(submission.execution_id, str, timeout=30) == "HELLO"
    ended = await until_terminal(client, submission.execution_id)
    assert ended.progress is not None
    assert (ended.progress.percent, ended.output_frames) == (50, 1)
    await until(client, submission.execution_id, lambda one: one.state is State.COMPLETED)
