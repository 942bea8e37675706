"""What a handler with durable steps does in its first run, and in every run after that."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from flowfabric import (
    Backoff,
    Context,
    Fail,
    Retry,
    StepFailed,
    StepRetry,
    StepUnknown,
    task,
)
from flowfabric.testing import MemoryJournal

from .ledger import Ledger, three_steps

# Once


async def test_finished_steps_return_what_they_returned_and_do_not_run_again(ledger: Ledger) -> None:
    memory = MemoryJournal(three_steps(ledger))

    first, second = await memory.run(), await memory.run()

    assert first.result == second.result == ["did a", "did b", "did c"]
    assert ledger.lines == ["a", "b", "c"]
    assert [(step.key, step.name, step.state, step.runs) for step in memory.steps] == [
        ("1", "a", "done", 1),
        ("2", "b", "done", 1),
        ("3", "c", "done", 1),
    ]


@pytest.mark.parametrize("crash_after", range(3))
async def test_a_crash_costs_at_most_the_step_that_was_not_recorded_and_that_one_is_uncertain(
    ledger: Ledger, crash_after: int
) -> None:
    memory = MemoryJournal(three_steps(ledger))

    assert (await memory.run(crash_after=crash_after)).ending == "crashed"
    assert (await memory.run()).result == ["did a", "did b", "did c"]

    repeated = "abc"[crash_after]
    assert sorted(ledger.lines) == sorted("abc" + repeated)
    assert [step.name for step in memory.steps if step.uncertain] == [repeated]


async def test_a_step_that_blocks_runs_in_a_thread(ledger: Ledger) -> None:
    @task
    async def handler(context: Context) -> str:
        return await context.step("a", ledger.write_in_thread, "a")

    memory = MemoryJournal(handler)
    assert (await memory.run()).result == (await memory.run()).result == "a"
    assert ledger.lines == ["a"]


async def test_a_handler_in_a_thread_has_steps_too(ledger: Ledger) -> None:
    @task
    def handler(context: Context) -> list[str]:
        return [context.step_sync(name, ledger.write_in_thread, name) for name in ("a", "b")]

    memory = MemoryJournal(handler)
    assert (await memory.run(crash_after=1)).ending == "crashed"
    assert (await memory.run()).result == ["a", "b"]
    assert [step.key for step in memory.steps] == ["1", "2"]


async def test_a_handler_in_a_thread_cannot_wait(ledger: Ledger) -> None:
    for call in ("wait_for", "waitpoint", "sleep", "step", "uuid"):

        @task
        def handler(context: Context, call: str) -> None:
            arguments = {"sleep": (10,), "uuid": (), "step": ("name", ledger.write, "a")}
            getattr(context, call)(*arguments.get(call, ("name",)))

        run = await MemoryJournal(handler, call).run()
        assert run.failure is not None
        assert (run.failure.type, run.failure.non_retryable) == ("handler_not_async", True)
        assert "step_sync" in run.failure.message


async def test_a_step_returns_what_its_record_says_the_first_time_too() -> None:
    @task
    async def handler(context: Context) -> Any:
        return type(await context.step("pair", lambda: (1, 2))).__name__

    memory = MemoryJournal(handler)
    assert [(await memory.run()).result, (await memory.run()).result] == ["list", "list"]


async def test_a_result_is_read_back_by_the_annotation_of_the_function() -> None:
    async def length(text: str) -> timedelta:
        return timedelta(seconds=len(text))

    async def raw() -> bytes:
        return b"\x00\xff"

    @task
    async def handler(context: Context) -> Any:
        return await context.step("length", length, "abc"), await context.step("raw", raw)

    memory = MemoryJournal(handler)
    assert (await memory.run()).result == (await memory.run()).result == (timedelta(seconds=3), b"\x00\xff")


async def test_a_type_that_cannot_be_found_is_refused_before_the_step_runs(ledger: Ledger) -> None:
    class Local:
        pass

    async def make() -> Local:
        ledger.lines.append("made")
        return Local()

    @task
    async def handler(context: Context) -> None:
        await context.step("make", make)

    failure = (await MemoryJournal(handler).run()).failure
    assert failure is not None
    assert "give the step as_type=" in failure.message
    assert ledger.lines == []


async def test_bytes_without_an_annotation_are_refused_with_advice() -> None:
    @task
    async def handler(context: Context) -> Any:
        return await context.step("raw", lambda: b"raw")

    run = await MemoryJournal(handler).run()
    assert run.failure is not None
    assert (run.failure.type, run.failure.non_retryable) == ("step_result", True)
    assert "as_type=bytes" in run.failure.message


async def test_a_result_beyond_the_limit_fails_for_good() -> None:
    @task
    async def handler(context: Context) -> Any:
        return await context.step("large", lambda: "x" * 100)

    memory = MemoryJournal(handler)
    memory.max_entry_bytes = 50
    run = await memory.run()
    assert run.failure is not None
    assert (run.failure.type, run.failure.non_retryable) == ("result_too_large", True)


async def test_time_and_chance_are_the_same_in_every_run() -> None:
    seen: list[Any] = []

    @task
    async def handler(context: Context) -> None:
        seen.append([await context.now(), await context.random(), await context.uuid()])
        await context.step("a", lambda: None)

    memory = MemoryJournal(handler)
    await memory.run()
    await memory.run()

    assert seen[0] == seen[1]
    assert isinstance(seen[0][2], UUID)
    assert 0 <= seen[0][1] < 1
    assert seen[0][0].tzinfo is not None


async def test_a_step_begins_only_when_the_values_before_it_are_durable() -> None:
    durable: list[list[str]] = []

    @task
    async def handler(context: Context) -> None:
        await context.uuid()
        await context.step("use", lambda: durable.append([step.name for step in memory.steps]))

    memory = MemoryJournal(handler)
    await memory.run()
    assert durable == [["uuid"]]


# Positions


async def test_steps_in_parallel_are_told_apart_by_the_order_of_their_calls(ledger: Ledger) -> None:
    release = asyncio.Event()

    async def slow() -> str:
        await release.wait()
        return "slow"

    async def fast() -> str:
        release.set()
        return "fast"

    @task
    async def handler(context: Context) -> Any:
        return await asyncio.gather(context.step("work", slow), context.step("work", fast))

    memory = MemoryJournal(handler)
    assert (await memory.run()).result == (await memory.run()).result == ["slow", "fast"]


async def test_branches_count_by_themselves_wherever_their_parent_is_by_then(ledger: Ledger) -> None:
    async def branch(context: Context, name: str) -> list[str]:
        return [await context.step(f"{name}{n}", ledger.write, f"{name}{n}") for n in range(3)]

    @task
    async def handler(context: Context) -> Any:
        await context.step("first", ledger.write, "first")
        beside = asyncio.create_task(branch(context, "x"))
        await context.step("second", ledger.write, "second")
        both = await asyncio.gather(branch(context, "y"), branch(context, "z"))
        return await beside, both

    whole = MemoryJournal(handler)
    expected = (await whole.run()).result
    keys = {step.name: step.key for step in whole.steps}
    assert (keys["x0"], keys["y0"], keys["z2"]) == ("1c1.1", "2c1.1", "2c2.3")
    for crash_after in range(len(keys)):
        ledger.lines.clear()
        memory = MemoryJournal(handler)
        await memory.run(crash_after=crash_after)
        again = await memory.run()
        assert again.result == expected
        assert {step.name: step.key for step in memory.steps} == keys
        twice = {line for line in ledger.lines if ledger.lines.count(line) > 1}
        assert twice <= {step.name for step in memory.steps if step.uncertain}


async def test_a_key_finds_a_step_wherever_it_stands(ledger: Ledger) -> None:
    order = ["a", "b", "c"]

    @task
    async def handler(context: Context) -> list[str]:
        return [await context.step("item", ledger.write, name, key=name) for name in order]

    memory = MemoryJournal(handler)
    await memory.run()
    order.reverse()
    assert (await memory.run()).result == ["did c", "did b", "did a"]
    assert ledger.lines == ["a", "b", "c"]


async def test_a_key_is_used_once_a_run(ledger: Ledger) -> None:
    @task
    async def handler(context: Context) -> None:
        await context.step("item", ledger.write, "a", key="k")
        await context.step("item", ledger.write, "a", key="k")

    run = await MemoryJournal(handler).run()
    assert run.failure is not None
    assert "used twice" in run.failure.message


async def test_a_step_in_a_step_is_refused(ledger: Ledger) -> None:
    @task
    async def handler(context: Context) -> None:
        async def outer() -> None:
            await context.step("inner", ledger.write, "inner")

        await context.step("outer", outer)

    run = await MemoryJournal(handler).run()
    assert run.failure is not None
    assert "step outer makes a durable call" in run.failure.message


# Failures


class Flaky:
    """Fails so many times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.runs = 0

    async def __call__(self) -> str:
        self.runs += 1
        if self.runs <= self.failures:
            raise ConnectionError(f"run {self.runs}")
        return f"run {self.runs}"


async def test_without_a_retry_the_attempt_fails_as_the_function_did_and_the_next_tries_again() -> None:
    flaky = Flaky(1)

    @task
    async def handler(context: Context) -> str:
        return await context.step("call", flaky.__call__)

    memory = MemoryJournal(handler)
    first = await memory.run()
    assert first.failure is not None
    assert (first.failure.type, first.failure.message) == ("ConnectionError", "run 1")
    assert not first.failure.non_retryable
    assert memory.steps == []
    assert (await memory.run()).result == "run 2"


async def test_a_failure_that_the_handler_went_on_from_stays_one() -> None:
    flaky = Flaky(1)

    @task
    async def handler(context: Context) -> str:
        try:
            return await context.step("call", flaky.__call__)
        except StepFailed as error:
            reason = error.failure.type
            return await context.step("instead", lambda: f"after {reason}")

    memory = MemoryJournal(handler)
    await memory.run(crash_after=1)
    assert (await memory.run()).result == "after ConnectionError"
    assert flaky.runs == 1


async def test_a_branch_that_goes_on_does_not_settle_the_failure_of_another() -> None:
    flaky, failed, done = Flaky(1), asyncio.Event(), asyncio.Event()

    async def failing(context: Context) -> None:
        try:
            await context.step("call", flaky.__call__)
        except StepFailed:
            failed.set()
            await done.wait()
            raise

    async def other(context: Context) -> None:
        await failed.wait()
        await context.step("beside", lambda: None)
        done.set()

    @task
    async def handler(context: Context) -> None:
        await asyncio.gather(failing(context), other(context))

    memory = MemoryJournal(handler)
    await memory.run()
    assert [step.name for step in memory.steps] == ["beside"]


async def test_branches_with_keys_do_not_settle_the_failures_of_each_other() -> None:
    flaky, failed, done = Flaky(1), asyncio.Event(), asyncio.Event()

    async def failing(context: Context) -> None:
        try:
            await context.step("call", flaky.__call__, key="1")
        except StepFailed:
            failed.set()
            await done.wait()
            raise

    async def other(context: Context) -> None:
        await failed.wait()
        await context.step("call", lambda: None, key="2")
        done.set()

    @task
    async def handler(context: Context) -> None:
        await asyncio.gather(failing(context), other(context))

    memory = MemoryJournal(handler)
    await memory.run()
    assert [step.key for step in memory.steps] == ["=call:2"]


async def test_a_step_is_tried_again_as_its_retry_says() -> None:
    flaky = Flaky(2)

    @task
    async def handler(context: Context) -> str:
        return await context.step("call", flaky.__call__, retry=StepRetry(backoff=Backoff(initial=0)))

    memory = MemoryJournal(handler)
    assert (await memory.run()).result == "run 3"
    assert [(step.runs, step.state) for step in memory.steps] == [(3, "done")]


async def test_a_step_out_of_tries_has_failed_for_good() -> None:
    flaky = Flaky(9)

    @task
    async def handler(context: Context) -> str:
        return await context.step("call", flaky.__call__, retry=StepRetry(backoff=Backoff(initial=0)))

    memory = MemoryJournal(handler)
    for _ in range(2):
        run = await memory.run()
        assert run.failure is not None
        assert (run.failure.type, run.failure.non_retryable) == ("ConnectionError", True)
    assert flaky.runs == 3
    assert [(step.runs, step.state) for step in memory.steps] == [(3, "failed")]


async def test_what_is_not_worth_another_try_gets_none() -> None:
    flaky = Flaky(1)

    @task
    async def handler(context: Context) -> str:
        return await context.step("call", flaky.__call__, retry=StepRetry(never=(ConnectionError,)))

    assert (await MemoryJournal(handler).run()).ending == "failed"
    assert flaky.runs == 1


async def test_a_long_pause_between_tries_suspends() -> None:
    flaky = Flaky(2)

    @task
    async def handler(context: Context) -> str:
        retry = StepRetry(backoff=Backoff(initial=60))
        return await context.step("call", flaky.__call__, retry=retry, on_unknown="raise")

    memory = MemoryJournal(handler)
    for _ in range(2):
        assert (await memory.run()).waits == ("call",)
        assert (await memory.run()).waits == ("call",), "resumed for another reason it goes on waiting"
        memory.time_out("call")
    assert (await memory.run()).result == "run 3"
    assert flaky.runs == 3
    assert [(step.key, step.kind, step.runs) for step in memory.steps] == [
        ("1", "step", 3),
        ("1~1", "sleep", 0),
        ("1~2", "sleep", 0),
    ]


async def test_what_is_about_the_attempt_passes_through_a_step() -> None:
    errors: list[Exception] = [Fail("no", type="refused"), Retry(5, "later")]

    async def raise_next() -> None:
        raise errors.pop(0)

    @task
    async def handler(context: Context) -> None:
        await context.step("call", raise_next, retry=StepRetry())

    memory = MemoryJournal(handler)
    first, second = (await memory.run()).failure, (await memory.run()).failure
    assert first is not None and (first.type, first.non_retryable) == ("refused", True)  # noqa: PT018
    assert second is not None and second.retry_delay == 5  # noqa: PT018


async def test_a_step_has_a_timeout() -> None:
    @task
    async def handler(context: Context) -> None:
        await context.step("hang", asyncio.Event().wait, timeout=0, retry=StepRetry(max_attempts=1))

    memory = MemoryJournal(handler)
    run = await memory.run()
    assert run.failure is not None
    assert (run.failure.type, run.failure.category) == ("TimeoutError", "timeout")


async def test_a_step_that_may_not_run_twice_raises_when_nobody_knows(ledger: Ledger) -> None:
    @task
    async def handler(context: Context) -> str:
        try:
            return await context.step("pay", ledger.write, "pay", on_unknown="raise")
        except StepUnknown:
            return await context.step("look", lambda: "looked it up")

    memory = MemoryJournal(handler)
    assert (await memory.run(crash_after=1)).ending == "crashed"
    assert [(step.name, step.state) for step in memory.steps] == [("pay", "running")]
    assert (await memory.run()).result == (await memory.run()).result == "looked it up"
    assert ledger.lines == ["pay"]


async def test_a_step_that_may_not_run_twice_in_doubt_runs_again_when_it_raised() -> None:
    flaky = Flaky(1)

    @task
    async def handler(context: Context) -> str:
        return await context.step("pay", flaky.__call__, on_unknown="raise")

    memory = MemoryJournal(handler)
    assert (await memory.run()).ending == "failed"
    assert (await memory.run()).result == "run 2"
    assert [(step.state, step.runs, step.uncertain) for step in memory.steps] == [("done", 2, False)]


async def test_steps_that_nobody_waits_for_any_more_are_stopped_with_the_handler() -> None:
    stopped = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def fail() -> None:
        raise ValueError

    @task
    async def handler(context: Context) -> None:
        await asyncio.gather(context.step("hang", hang), context.step("fail", fail))

    memory = MemoryJournal(handler)
    assert (await memory.run()).ending == "failed"
    assert stopped.is_set()
    assert [(step.name, step.state) for step in memory.steps] == [("hang", "running")]
