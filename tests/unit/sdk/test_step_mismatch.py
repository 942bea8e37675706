"""Handlers that make another call where one was recorded; those that return early: test_early_return.py."""

from __future__ import annotations

import contextlib
import copy
from datetime import timedelta
from typing import Any

import pytest

from flowfabric import Backoff, Context, StepMismatch, Waitpoint, task
from flowfabric._steps import arguments_digest
from flowfabric.testing import MemoryJournal

from .ledger import Ledger, three_steps


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

    assert arguments_digest((made,)) == arguments_digest((later,)) != arguments_digest((other,))
    assert arguments_digest(([made],)) == arguments_digest(([later],))


@pytest.mark.parametrize(
    "arguments",
    [({3, 1, 2},), (b"\xff",), (timedelta(days=1),), (Backoff(initial=3),), ({"b": 1, "a": {"x"}},)],
    ids=repr,
)
def test_arguments_have_a_fingerprint_that_is_the_same_in_every_process(arguments: tuple[Any, ...]) -> None:
    found = arguments_digest(arguments)
    assert len(found) == 16
    assert found == arguments_digest(copy.deepcopy(arguments))
    assert found != arguments_digest((*arguments, 1))


def test_arguments_that_cannot_be_told_have_none() -> None:
    assert arguments_digest((object(),)) == arguments_digest(()) == ""


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
