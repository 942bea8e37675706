"""Handlers that return before calls that are recorded, and have no excuse."""

from __future__ import annotations

import asyncio

import pytest

from flowfabric import Backoff, Context, StepRetry, WaitTimedOut, task
from flowfabric.testing import MemoryJournal

from .changing import Changing, write
from .ledger import Ledger

# Of the handler's own task.


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


# Behind waits side by side.


async def test_a_step_behind_waits_side_by_side_is_missed() -> None:
    async def handler(context: Context, here: Changing) -> None:
        await asyncio.gather(context.wait_for("a"), context.wait_for("b"))
        if not here.changed:
            await context.step("after", write)
            await context.sleep(60)

    here = Changing(handler)
    await here.suspend("a", "b")
    here.memory.satisfy("a")
    await here.suspend("b")
    here.memory.satisfy("b")
    await here.suspend("sleep")
    here.memory.time_out("sleep")
    assert await here.vanished() == "step 3"


async def test_a_step_behind_branches_with_steps_and_waits_is_missed() -> None:
    async def ask(context: Context, name: str) -> None:
        waitpoint = await context.waitpoint(name)
        await context.step("mail", write, name)
        await context.now()
        await context.wait_for(waitpoint)
        await context.step("thank", write, name)

    async def handler(context: Context, here: Changing) -> None:
        await asyncio.gather(*(ask(context, name) for name in "ab"))
        if not here.changed:
            await context.step("after", write)

    here = Changing(handler)
    await here.suspend("a", "b")
    here.memory.satisfy("b")
    await here.suspend("a")
    here.memory.satisfy("a")
    assert (await here.memory.run()).ending == "completed"
    assert await here.vanished() == "step 1"


async def test_a_wait_that_vanished_is_named_too() -> None:
    async def handler(context: Context, here: Changing) -> None:
        await asyncio.gather(*(context.step(name, write) for name in "ab"))
        if not here.changed:
            await context.wait_for("approval")

    here = Changing(handler)
    await here.suspend("approval")
    here.memory.satisfy("approval")
    assert await here.vanished() == "step 3"


@pytest.mark.parametrize("ending", ["time_out", "satisfy"])
async def test_it_does_not_matter_how_the_waits_ended(ending: str) -> None:
    async def ask(context: Context, name: str) -> bool:
        try:
            await context.wait_for(name, timeout=60)
        except WaitTimedOut:
            return False
        return True

    async def handler(context: Context, here: Changing) -> None:
        await asyncio.gather(ask(context, "a"), context.sleep(60))
        if not here.changed:
            await context.step("after", write)

    here = Changing(handler)
    await here.suspend("a", "sleep")
    getattr(here.memory, ending)("a")
    await here.suspend("sleep")
    here.memory.time_out("sleep")
    assert (await here.memory.run(crash_after=1)).ending == "completed"
    assert await here.vanished() == "step 2"


async def test_a_step_that_took_several_tries_beside_others_excuses_nothing_later() -> None:
    tries = 0

    async def fail_once() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ConnectionError

    async def handler(context: Context, here: Changing) -> None:
        retry = StepRetry(backoff=Backoff(initial=60))
        await asyncio.gather(context.step("flaky", fail_once, retry=retry), context.step("b", write))
        if not here.changed:
            await context.step("after", write)

    here = Changing(handler)
    await here.suspend("flaky")
    here.memory.time_out("flaky")
    assert (await here.memory.run()).ending == "completed"
    assert await here.vanished() == "step 3"


async def test_steps_side_by_side_that_vanished_together_are_missed() -> None:
    async def handler(context: Context, here: Changing) -> None:
        await asyncio.gather(*(context.step(name, write) for name in "ab"))
        if not here.changed:
            await asyncio.gather(*(context.step(name, write) for name in "cd"))

    here = Changing(handler)
    assert (await here.memory.run(crash_after=4)).ending == "completed"
    assert await here.vanished() == "step 3"


async def test_a_wait_that_goes_on_beside_the_handler_hides_nothing() -> None:
    async def handler(context: Context, here: Changing) -> None:
        stop = asyncio.ensure_future(context.wait_for("stop"))
        await asyncio.gather(*(context.step(name, write) for name in "ab"))
        await context.sleep(60)
        if not here.changed:
            await context.step("after", write)
        stop.cancel()

    here = Changing(handler)
    await here.suspend("stop", "sleep")
    here.memory.time_out("sleep")
    assert (await here.memory.run()).ending == "completed"
    assert await here.vanished() == "step 5"


async def test_what_a_later_run_did_in_the_light_of_a_wait_tells_of_all_steps_before_it() -> None:
    async def handler(context: Context, here: Changing) -> bool:
        news = asyncio.ensure_future(context.wait_for("news"))
        await asyncio.sleep(0)
        if here.changed:
            return news.done()
        await context.step("a", write)
        await context.sleep(60)
        await context.step("b", write)
        return news.done()

    here = Changing(handler)
    await here.suspend("news", "sleep")
    here.memory.satisfy("news")
    await here.suspend("sleep")
    assert here.memory.steps[-1].name == "sleep"
    here.memory.time_out("sleep")
    assert (await here.memory.run()).ending == "completed"
    assert await here.vanished() == "step 2", "news was known to the run that made step b"


async def test_a_handler_in_a_thread_that_returns_early_is_told_too() -> None:
    is_changed = False

    @task
    def handler(context: Context) -> int:
        names = "a" if is_changed else "abc"
        return len([context.step_sync(name, len, name) for name in names])

    memory = MemoryJournal(handler)
    assert (await memory.run()).result == 3
    is_changed = True
    run = await memory.run()
    assert run.failure is not None
    assert "before step 2, step 'b'" in run.failure.message
