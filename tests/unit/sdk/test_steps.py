"""What a handler with durable steps does in its first run, and in every run after that."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import threading
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
    StepMismatch,
    StepRetry,
    StepUnknown,
    Waitpoint,
    task,
)
from flowfabric._steps import arguments_digest as fingerprint
from flowfabric.testing import MemoryJournal


class Ledger:
    """Counts effects."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def write(self, line: str) -> str:
        self.lines.append(line)
        return f"did {line}"

    def write_in_thread(self, line: str) -> str:
        assert threading.current_thread() is not threading.main_thread()
        self.lines.append(line)
        return line


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def three_steps(ledger: Ledger) -> Any:
    @task
    async def handler(context: Context) -> list[str]:
        return [await context.step(name, ledger.write, name) for name in ("a", "b", "c")]

    return handler


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


@pytest.mark.parametrize(
    ("change", "named"), [("name", "step 2 is step 'x' now, but step 'b' was"), ("args", "'b', was recorded")]
)
async def test_another_step_at_a_recorded_place_is_a_mismatch_that_names_it(
    ledger: Ledger, change: str, named: str
) -> None:
    changed = False

    @task
    async def handler(context: Context) -> Any:
        await context.step("a", ledger.write, "a")
        name = "x" if changed and change == "name" else "b"
        return await context.step(name, ledger.write, "x" if changed and change == "args" else "b")

    memory = MemoryJournal(handler)
    await memory.run()
    changed = True
    run = await memory.run()

    assert run.failure is not None
    assert (run.failure.type, run.failure.non_retryable) == ("STEP_MISMATCH", True)
    assert named in run.failure.message
    assert ledger.lines == ["a", "b"]


async def test_functions_that_changed_places_under_one_name_are_a_mismatch() -> None:
    places = [add, double]

    @task
    async def handler(context: Context) -> list[int]:
        results = [await context.step("sum", function, 3) for function in places]
        await context.step("fail", fail_once)
        return results

    failing = True

    def fail_once() -> None:
        if failing:
            raise LookupError

    memory = MemoryJournal(handler)
    assert (await memory.run()).ending == "failed"
    failing = False
    places.reverse()
    run = await memory.run()
    assert run.failure is not None
    assert run.failure.type == "STEP_MISMATCH"
    assert (
        "step 1, 'sum', was recorded with another function, and this function at step 2"
        in run.failure.message
    )


async def test_a_function_may_get_another_name() -> None:
    functions = [add, double]

    @task
    async def handler(context: Context) -> list[int]:
        return [await context.step("sum", function, 3) for function in functions]

    memory = MemoryJournal(handler)
    assert (await memory.run(crash_after=1)).ending == "crashed"
    functions[0] = renamed
    assert (await memory.run()).result == [4, 6]


def add(number: int) -> int:
    return number + 1


def double(number: int) -> int:
    return number * 2


def renamed(_number: int) -> int:
    raise AssertionError("it has run already")


async def test_a_token_made_with_another_key_is_the_same_argument(ledger: Ledger) -> None:
    kid = "k1"

    @task
    async def handler(context: Context) -> str:
        mac = ("a" if kid == "k1" else "b") * 43
        return await context.step("mail", ledger.write, f"https://x/v1/callbacks/w1.{kid}.{mac}.id")

    memory = MemoryJournal(handler)
    await memory.run()
    kid = "k2"
    assert (await memory.run()).ending == "completed"


def test_a_waitpoint_is_the_same_argument_whatever_has_come_to_it() -> None:
    made = Waitpoint(waitpoint_id="a~1", name="go", state="pending", kid="k1", fingerprint="1")
    later = Waitpoint(waitpoint_id="a~1", name="go", state="bound", kid="k2", fingerprint="2", signals=1)
    other = Waitpoint(waitpoint_id="a~2", name="go", state="pending", kid="k1", fingerprint="1")

    assert fingerprint((made,)) == fingerprint((later,)) != fingerprint((other,))
    assert fingerprint(([made],)) == fingerprint(([later],))


@pytest.mark.parametrize(
    "arguments",
    [({3, 1, 2},), (b"\xff",), (timedelta(days=1),), (Backoff(initial=3),), ({"b": 1, "a": {"x"}},)],
    ids=repr,
)
def test_arguments_have_a_fingerprint_that_is_the_same_in_every_process(arguments: tuple[Any, ...]) -> None:
    found = fingerprint(arguments)
    assert len(found) == 16
    assert found == fingerprint(copy.deepcopy(arguments))
    assert found != fingerprint((*arguments, 1))


def test_arguments_that_cannot_be_told_have_none() -> None:
    assert fingerprint((object(),)) == fingerprint(()) == ""


async def test_a_mismatch_cannot_be_caught_away(ledger: Ledger) -> None:
    name = "a"

    @task
    async def handler(context: Context) -> str:
        with contextlib.suppress(StepMismatch):
            await context.step(name, ledger.write, "a")
        with pytest.raises(StepMismatch):
            context.step("b", ledger.write, "b")
        return "went on"

    memory = MemoryJournal(three_steps(ledger))
    await memory.run()
    name = "z"
    memory._task = handler
    assert (await memory.run()).ending == "failed"


async def test_a_wait_where_a_step_was_is_a_mismatch(ledger: Ledger) -> None:
    @task
    async def handler(context: Context) -> None:
        await context.sleep(60)

    memory = MemoryJournal(three_steps(ledger))
    await memory.run()
    memory._task = handler
    run = await memory.run()
    assert run.failure is not None
    assert "is sleep 'sleep' now, but step 'a' was recorded" in run.failure.message


@pytest.mark.parametrize("left", [0, 1, 2])
async def test_a_handler_that_returns_before_a_recorded_step_is_a_mismatch_that_names_it(
    ledger: Ledger, left: int
) -> None:
    steps = 3

    @task
    async def handler(context: Context) -> str:
        for name in ("a", "b", "c")[:steps]:
            await context.step(name, ledger.write, name)
        if steps == 3:
            await context.sleep(60)
        return "ended"

    memory = MemoryJournal(handler)
    assert (await memory.run()).ending == "suspended"
    memory.time_out("sleep")
    steps = left
    run = await memory.run()
    assert run.failure is not None
    assert (run.failure.type, run.failure.non_retryable) == ("STEP_MISMATCH", True)
    assert f"before step {left + 1}, step {'abc'[left]!r}" in run.failure.message
    steps = 3
    assert (await memory.run()).result == "ended"


async def test_steps_side_by_side_before_those_that_vanished_hide_nothing(ledger: Ledger) -> None:
    is_short = False

    @task
    async def handler(context: Context) -> None:
        await asyncio.gather(*(context.step(name, ledger.write, name) for name in "ab"))
        if not is_short:
            await context.step("c", ledger.write, "c")

    memory = MemoryJournal(handler)
    await memory.run()
    is_short = True
    run = await memory.run()
    assert run.failure is not None
    assert "before step 3, step 'c'" in run.failure.message


async def test_a_handler_that_ends_early_for_what_came_later_is_no_mismatch(ledger: Ledger) -> None:
    @task
    async def handler(context: Context) -> str:
        stop = asyncio.ensure_future(context.wait_for("stop"))
        while True:
            message = asyncio.ensure_future(context.wait_for("message"))
            done, _ = await asyncio.wait((stop, message), return_when=asyncio.FIRST_COMPLETED)
            if stop in done:
                return "stopped"
            await context.step("handle", ledger.write, "message")

    memory = MemoryJournal(handler)
    for _ in range(2):
        assert (await memory.run()).waits == ("stop", "message")
        memory.satisfy("message")
    await memory.run()
    memory.satisfy("stop")
    assert (await memory.run()).result == "stopped"
    assert len(ledger.lines) == 2


async def test_a_branch_that_was_dropped_is_no_mismatch(ledger: Ledger) -> None:
    @task
    async def handler(context: Context) -> str:
        async def work() -> str:
            for name in "abc":
                await context.step(name, ledger.write, name)
                await context.sleep(60)
            return "worked"

        async def late() -> str:
            await context.wait_for("late")
            return "late"

        branches = [asyncio.create_task(late()), asyncio.create_task(work())]
        done, pending = await asyncio.wait(branches, return_when=asyncio.FIRST_COMPLETED)
        for each in pending:
            each.cancel()
        return done.pop().result()

    memory = MemoryJournal(handler)
    await memory.run()
    memory.time_out("sleep")
    assert (await memory.run()).waits == ("late", "sleep")
    memory.satisfy("late")
    assert (await memory.run()).result == "late"


async def test_keys_that_this_run_has_no_use_for_are_no_mismatch(ledger: Ledger) -> None:
    items = ["a", "b"]

    @task
    async def handler(context: Context) -> int:
        for item in items:
            await context.step("item", ledger.write, item, key=item)
        return len(items)

    memory = MemoryJournal(handler)
    await memory.run()
    items.pop()
    assert (await memory.run()).result == 1


async def test_a_handler_that_does_something_new_before_it_ends_early_is_no_mismatch(ledger: Ledger) -> None:
    is_found = False

    @task
    async def handler(context: Context) -> str:
        if is_found:  # of what a replay runs again
            return str(await context.step("look", ledger.write, "look", key="look"))
        await context.step("a", ledger.write, "a")
        return "went on"

    memory = MemoryJournal(handler)
    await memory.run()
    is_found = True
    assert (await memory.run()).result == "did look"


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
