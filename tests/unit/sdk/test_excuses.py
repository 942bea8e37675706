"""Handlers that return before calls that are recorded, as they may: they know what was unknown before."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowfabric import Context, task
from flowfabric._journal import Journal
from flowfabric.testing import MemoryJournal

from .changing import Changing, write
from .ledger import Ledger


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


async def test_a_sleep_in_memory_excuses_what_may_have_come_before_its_end() -> None:
    async def handler(context: Context, here: Changing) -> None:
        await asyncio.gather(context.step("a", write), context.sleep(0.001))
        if not here.changed:
            await context.step("after", write)

    here = Changing(handler, short_wait=1)
    assert (await here.memory.run()).ending == "completed"
    assert await here.vanished() == "", "it cannot be known"


async def race_of_waits(context: Context, here: Changing) -> str:
    """Goes on with a step when the quick wait is over before the slow one."""
    quick = asyncio.ensure_future(context.wait_for("quick"))
    slow = asyncio.ensure_future(context.wait_for("slow"))
    done, _ = await asyncio.wait((quick, slow), return_when=asyncio.FIRST_COMPLETED)
    if slow in done:
        return "slow"
    await context.step("meanwhile", write)
    await slow
    return "late"


async def test_a_race_of_waits_that_comes_out_otherwise_is_no_mismatch() -> None:
    here = Changing(race_of_waits)
    await here.suspend("quick", "slow")
    here.memory.satisfy("quick")
    await here.suspend("slow")
    here.memory.satisfy("slow")
    assert await here.vanished() == ""


async def race_of_steps(context: Context, goes_on: asyncio.Event) -> tuple[asyncio.Future[Any], bool]:
    """Begins a quick step and one that waits for the event; gives the slow one, and whether it is over when
    the first of both is."""
    quick = asyncio.ensure_future(context.step("quick", write))
    slow = asyncio.ensure_future(context.step("slow", goes_on.wait))
    done, _ = await asyncio.wait((quick, slow), return_when=asyncio.FIRST_COMPLETED)
    return slow, slow in done


async def test_a_race_of_steps_that_comes_out_otherwise_is_no_mismatch() -> None:
    goes_on = asyncio.Event()

    async def meanwhile() -> None:
        goes_on.set()
        await asyncio.sleep(0.01)  # so that it is recorded after the slow one, but was begun without it

    async def handler(context: Context, here: Changing) -> str:
        _, is_over = await race_of_steps(context, goes_on)
        if is_over:
            return "slow"
        await context.step("meanwhile", meanwhile)
        await context.wait_for("go")
        return "quick"

    here = Changing(handler)
    await here.suspend("go")
    assert [step.name for step in here.memory.steps] == ["quick", "slow", "meanwhile", "go"]
    here.memory.satisfy("go")
    assert await here.vanished() == ""


async def test_what_a_branch_did_before_it_knew_speaks_for_the_whole_handler() -> None:
    goes_on = asyncio.Event()

    async def race(context: Context) -> str:
        slow, is_over = await race_of_steps(context, goes_on)
        if is_over:
            return "slow"
        await context.step("meanwhile", write)
        goes_on.set()
        await slow
        return "quick"

    async def handler(context: Context, here: Changing) -> str:
        if await asyncio.create_task(race(context)) == "slow":
            return "slow"
        await context.step("after", write)
        await context.wait_for("go")
        return "quick"

    here = Changing(handler)
    await here.suspend("go")
    here.memory.satisfy("go")
    assert await here.vanished() == ""


async def test_a_result_that_the_handler_never_heard_of_was_not_known() -> None:
    goes_on = asyncio.Event()

    async def handler(context: Context, here: Changing) -> str:
        slow, is_over = await race_of_steps(context, goes_on)
        if is_over:
            return "slow"
        here.memory.is_held = True
        goes_on.set()
        await asyncio.sleep(0.01)
        slow.cancel()  # its record is on the way
        here.memory.is_held = False
        await context.step("after", write)
        await context.wait_for("go")
        return "quick"

    class Held(MemoryJournal):
        """Answers no writes while it is held."""

        is_held = False

        def _write(self, journal: Journal) -> None:
            if not self.is_held:
                super()._write(journal)

    here = Changing(handler, Held)
    await here.suspend("go")
    assert [(step.name, step.state) for step in here.memory.steps[:2]] == [
        ("quick", "done"),
        ("slow", "done"),
    ]
    here.memory.satisfy("go")
    assert await here.vanished() == ""


async def test_waitpoints_come_in_one_order_however_long_each_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = ""

    async def ask(context: Context, name: str) -> None:
        await context.wait_for(await context.waitpoint(name))

    async def handler(context: Context, here: Changing) -> str:
        branches = [asyncio.ensure_future(ask(context, name)) for name in "ab"]
        done, _ = await asyncio.wait(branches, return_when=asyncio.FIRST_COMPLETED)
        return " ".join(name for name, branch in zip("ab", branches, strict=True) if branch in done)

    here = Changing(handler)
    await here.suspend("a", "b")
    here.memory.satisfy("a")
    here.memory.satisfy("b")
    make = here.memory.create_waitpoint

    async def make_slowly(request: Any) -> Any:
        for _ in range(9 if request.spec.name == slow else 0):
            await asyncio.sleep(0)
        return await make(request)

    monkeypatch.setattr(here.memory, "create_waitpoint", make_slowly)
    for slow in "ab":  # noqa: B007
        assert (await here.memory.run()).result == "a b"


async def test_what_was_recorded_by_an_engine_that_notes_no_ends_is_no_mismatch() -> None:
    here = Changing(race_of_waits)
    await here.suspend("quick", "slow")
    here.memory.satisfy("quick")
    await here.suspend("slow")
    here.memory.satisfy("slow")
    for entry in here.memory._entries.values():
        entry.end_sequence = entry.seen = 0

    assert (await here.memory.run()).result == "slow"
