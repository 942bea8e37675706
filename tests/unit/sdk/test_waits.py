"""How a handler waits: what it waits for, when it is suspended, and what it finds when it runs again."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flowfabric import Backoff, Context, Resumed, StepRetry, Waitpoint, WaitTimedOut, task
from flowfabric._condition import count, signal, timer
from flowfabric.testing import MemoryJournal
from flowfabric_api.journal.v1 import journal_pb2 as journal_pb
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

from .work import Advance


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that takes long to suspend a handler takes nothing off the times of its waits."""
    monkeypatch.setattr("flowfabric._durable.AT_ONCE_S", 5)


def spec_of(memory: MemoryJournal) -> pb.SuspendSpec:
    """What the last run suspended with."""
    context = memory._context
    assert context is not None
    assert context.durable is not None
    assert context.durable.suspension is not None
    return context.durable.suspension


# Signals


async def test_a_handler_waits_without_running_and_goes_on_with_the_signal() -> None:
    ran: list[str] = []

    def make_plan() -> str:
        ran.append("plan")
        return "plan"

    @task
    async def handler(context: Context) -> str:
        plan = await context.step("plan", make_plan)
        resumed = await context.wait_for("approval", timeout=60, reason="waiting_for_approval")
        return f"{plan}, {resumed.signal.name}: {resumed.value(str)}"

    memory = MemoryJournal(handler)
    run = await memory.run()
    assert (run.ending, run.waits) == ("suspended", ("approval",))
    spec = spec_of(memory)
    assert spec.reason_code == "waiting_for_approval"
    assert [(w.entry, w.name, w.timeout.seconds, w.on_timeout) for w in spec.waits] == [
        ("2", "approval", 60, pb.TIMEOUT_BEHAVIOUR_AUTO_RESUME)
    ]
    assert spec.waits[0].condition.signal.waitpoint == "approval"
    assert [(w.name, w.waitpoint_id) for w in spec.waitpoints] == [("approval", "")]

    memory.satisfy("approval", "approved", payload="go")
    assert (await memory.run()).result == (await memory.run()).result == "plan, approved: go"
    assert ran == ["plan"]


async def test_a_wait_out_of_time_raises_or_tells() -> None:
    @task
    async def handler(context: Context) -> str:
        resumed = await context.wait_for("soft", timeout=1, on_timeout="resume")
        assert resumed.timed_out
        try:
            await context.wait_for("hard", timeout=1)
        except WaitTimedOut as error:
            return error.wait
        return "no"

    memory = MemoryJournal(handler)
    await memory.run()
    memory.time_out("soft")
    await memory.run()
    memory.time_out("hard")
    assert (await memory.run()).result == "hard"


async def test_a_wait_out_of_time_that_nobody_catches_fails_for_good() -> None:
    @task
    async def handler(context: Context) -> None:
        await context.wait_for("hard", timeout=1)

    memory = MemoryJournal(handler)
    await memory.run()
    memory.time_out("hard")
    failure = (await memory.run()).failure
    assert failure is not None
    assert (failure.type, failure.category, failure.non_retryable) == ("WaitTimedOut", "timeout", True)


@pytest.mark.parametrize(
    ("behaviour", "number"),
    [
        ("fail", pb.TIMEOUT_BEHAVIOUR_FAIL),
        ("cancel", pb.TIMEOUT_BEHAVIOUR_CANCEL),
        ("expire", pb.TIMEOUT_BEHAVIOUR_EXPIRE),
        ("escalate", pb.TIMEOUT_BEHAVIOUR_ESCALATE),
    ],
)
async def test_the_engine_may_be_told_to_end_it_instead(behaviour: Any, number: int) -> None:
    @task
    async def handler(context: Context) -> None:
        await context.wait_for("w", timeout=1, on_timeout=behaviour)

    memory = MemoryJournal(handler)
    await memory.run()
    assert spec_of(memory).waits[0].on_timeout == number


async def test_a_waitpoint_is_made_once_and_bound_by_its_id() -> None:
    sent: list[str] = []

    @task
    async def handler(context: Context) -> Any:
        ada = await context.waitpoint("ada", recipient="ada")
        bob = await context.waitpoint("bob", recipient="bob")
        await context.step("mail", lambda: sent.extend([ada.token, bob.token]))
        both = count(2, by="sources", at=["ada", "bob"], names=["approved"])
        resumed = await context.wait_for(ada, both)
        return [signal.source for signal in resumed.signals]

    memory = MemoryJournal(handler)
    assert (await memory.run(crash_after=2)).ending == "crashed"
    assert (await memory.run()).waits == ("ada",)
    ids = {waitpoint.name: waitpoint.waitpoint_id for waitpoint in spec_of(memory).waitpoints}
    assert ids == {"ada": "default~in-memory~p1~1~0", "bob": "default~in-memory~p2~2~0"}
    assert sent == ["token-1", "token-2"] * 2
    memory.satisfy("ada", "approved", "approved", source="user:ada")
    assert (await memory.run()).result == ["user:ada", "user:ada"]


async def test_a_waitpoint_that_is_used_up_gives_its_name_free() -> None:
    @task
    async def handler(context: Context) -> str:
        await context.wait_for(await context.waitpoint("go"))
        return (await context.wait_for("go")).signal.name

    memory = MemoryJournal(handler)
    await memory.run()
    assert spec_of(memory).waitpoints[0].waitpoint_id == "default~in-memory~p1~1~0"
    memory.satisfy("go")
    assert (await memory.run()).waits == ("go",)
    assert [(w.name, w.waitpoint_id) for w in spec_of(memory).waitpoints] == [("go", "")]
    memory.satisfy("go", "again")
    assert (await memory.run()).result == "again"


async def test_a_waitpoint_for_many_signals_serves_every_wait() -> None:
    @task
    async def handler(context: Context) -> list[str]:
        chat = await context.waitpoint("chat", single_use=False)
        first = await context.wait_for(chat)
        return [first.signal.name, (await context.wait_for("chat")).signal.name]

    memory = MemoryJournal(handler)
    for said in ("one", "two"):
        await memory.run()
        assert spec_of(memory).waitpoints[0].waitpoint_id == "default~in-memory~p1~1~0"
        memory.satisfy("chat", said)
    assert (await memory.run()).result == ["one", "two"]


async def test_a_wait_at_a_waitpoint_that_is_used_up_fails_and_says_so() -> None:
    @task
    async def handler(context: Context) -> None:
        go = await context.waitpoint("go")
        for _ in range(2):
            await context.wait_for(go)

    memory = MemoryJournal(handler)
    await memory.run()
    memory.satisfy("go")
    failure = (await memory.run()).failure
    assert failure is not None
    assert (failure.type, failure.non_retryable) == ("waitpoint_used_up", True)
    assert "'go' is used up" in failure.message


async def test_of_two_waitpoints_with_one_name_the_one_that_is_given_is_waited_for() -> None:
    @task
    async def handler(context: Context) -> None:
        first = await context.waitpoint("go")
        await context.waitpoint("go")
        await context.wait_for(first)

    memory = MemoryJournal(handler)
    await memory.run()
    assert spec_of(memory).waitpoints[0].waitpoint_id == "default~in-memory~p1~1~0"


async def test_no_token_is_ever_recorded() -> None:
    @task
    async def handler(context: Context) -> str:
        waitpoint: Waitpoint = await context.waitpoint("w")
        assert "token-1" not in repr(waitpoint)
        await context.sleep(60)
        return waitpoint.token

    memory = MemoryJournal(handler)
    await memory.run()
    assert b"token-1" not in b"".join(entry.SerializeToString() for entry in memory._entries.values())
    memory.time_out("sleep")
    assert (await memory.run()).result == "token-1"


async def test_a_condition_names_only_waitpoints_that_were_made() -> None:
    @task
    async def handler(context: Context) -> None:
        await context.wait_for("a", count(2, at=["a", "b"]))

    failure = (await MemoryJournal(handler).run()).failure
    assert failure is not None
    assert "make waitpoint 'a' first" in failure.message


async def test_an_operator_is_told_from_a_signal() -> None:
    @task
    async def handler(context: Context) -> list[bool]:
        resumed = await context.wait_for("w", signal("approved"))
        return [resumed.by_operator, resumed.timed_out]

    memory = MemoryJournal(handler)
    await memory.run()
    memory._open("w").signals.add(number=1, name="resume", category="operator", source="operator:ada")
    assert (await memory.run()).result == [True, False]


# Time


async def test_a_long_sleep_suspends_and_a_short_one_stays_in_memory() -> None:
    @task
    async def handler(context: Context) -> str:
        await context.sleep(timedelta(milliseconds=1))
        await context.sleep_until(datetime(2020, 1, 1, tzinfo=UTC))
        await context.sleep(60)
        return "slept"

    memory = MemoryJournal(handler, short_wait=1)
    run = await memory.run()
    assert run.waits == ("sleep",)
    spec = spec_of(memory)
    assert (spec.reason_code, spec.waits[0].entry, spec.waits[0].timeout.seconds) == (
        "waiting_for_timer",
        "3",
        60,
    )
    assert spec.waits[0].condition.HasField("timer")
    memory.time_out("sleep")
    assert (await memory.run()).result == "slept"


async def test_a_sleep_in_memory_is_not_slept_again() -> None:
    @task
    async def handler(context: Context) -> None:
        await context.sleep(0.001)
        await context.step("s", lambda: None)

    memory = MemoryJournal(handler, short_wait=3600)
    await memory.run()
    memory._entries["1"].due_time.FromDatetime(datetime(2020, 1, 1, tzinfo=UTC))
    assert (await memory.run()).ending == "completed"


async def test_a_point_in_time_is_told_as_one() -> None:
    when = datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC)

    @task
    async def handler(context: Context) -> None:
        await context.sleep_until(when)

    memory = MemoryJournal(handler)
    await memory.run()
    assert spec_of(memory).waits[0].timeout_time.ToDatetime(UTC) == when


async def test_a_wait_for_nothing_but_time_is_recorded_as_a_sleep() -> None:
    @task
    async def handler(context: Context) -> bool:
        return (await context.wait_for("w", timer(), timeout=60, on_timeout="resume")).timed_out

    memory = MemoryJournal(handler)
    await memory.run()
    memory.time_out("w")
    assert [step.kind for step in memory.steps] == ["sleep"]
    assert (await memory.run()).result is True


async def test_a_sleep_beside_a_long_step_ends_in_time_without_a_suspension(advance: Advance) -> None:
    in_step, release = asyncio.Event(), asyncio.Event()

    async def long() -> None:
        in_step.set()
        await release.wait()

    @task
    async def handler(context: Context) -> None:
        async def beside() -> None:
            await context.sleep(60)
            release.set()

        await asyncio.gather(context.step("long", long), beside())

    memory = MemoryJournal(handler)
    running = asyncio.create_task(memory.run())
    await in_step.wait()
    advance(60)
    assert (await running).ending == "completed"
    assert {(step.name, step.state) for step in memory.steps} == {("sleep", "done"), ("long", "done")}
    assert (await memory.run()).ending == "completed"


async def test_a_timeout_counts_from_the_call_and_not_from_the_suspension(advance: Advance) -> None:
    in_step, release = asyncio.Event(), asyncio.Event()

    async def long() -> None:
        in_step.set()
        await release.wait()

    @task
    async def handler(context: Context) -> None:
        await asyncio.gather(context.wait_for("w", timeout=60), context.step("long", long))

    memory = MemoryJournal(handler)
    running = asyncio.create_task(memory.run())
    await in_step.wait()
    advance(40)
    release.set()
    assert (await running).ending == "suspended"
    assert 10 < spec_of(memory).waits[0].timeout.ToTimedelta().total_seconds() <= 20


# Several at once


async def test_one_suspension_holds_everything_that_waits_and_the_rest_waits_on() -> None:
    finished: list[str] = []

    async def branch(context: Context, name: str) -> str:
        await context.step(f"ask-{name}", lambda: None)
        resumed: Resumed = await context.wait_for(name, timeout=60)
        finished.append(name)
        return resumed.signal.name

    @task
    async def handler(context: Context) -> list[str]:
        return await asyncio.gather(*(branch(context, name) for name in "abc"))

    memory = MemoryJournal(handler)
    assert (await memory.run()).waits == ("a", "b", "c")
    entry = memory._entries["c2.2"]
    entry.waitpoint_id = "the-first-one"
    entry.due_time.FromSeconds(2_000_000_000)
    memory.satisfy("a", "yes")
    memory.satisfy("c", "no")
    assert (await memory.run()).waits == ("b",)
    spec = spec_of(memory)
    assert spec.waitpoints[0].waitpoint_id == "the-first-one"
    assert spec.waits[0].timeout_time.seconds == 2_000_000_000
    memory.satisfy("b", "perhaps")
    assert (await memory.run()).result == ["yes", "perhaps", "no"]


async def test_a_handler_is_not_suspended_while_a_step_runs_or_its_result_has_not_been_looked_at() -> None:
    release = asyncio.Event()

    async def work(context: Context) -> str:
        await context.step("slow", release.wait)
        return await context.step("after", lambda: "after")

    async def deep(context: Context) -> str:
        async with asyncio.TaskGroup() as group:
            inner = group.create_task(work(context))
        return inner.result()

    @task
    async def handler(context: Context) -> Any:
        async def let_go() -> None:
            release.set()

        return await asyncio.gather(context.wait_for("w"), deep(context), let_go())

    memory = MemoryJournal(handler)
    assert (await memory.run()).waits == ("w",)
    assert [step.name for step in memory.steps if step.state == "done"] == ["slow", "after"]


async def test_a_task_that_was_just_started_takes_its_first_step_before_the_suspension() -> None:
    @task
    async def handler(context: Context) -> str:
        async def beside() -> str:
            return await context.step("beside", lambda: "beside")

        running = asyncio.create_task(beside())
        await context.wait_for("w")
        return await running

    memory = MemoryJournal(handler)
    await memory.run()
    assert [(step.key, step.state) for step in memory.steps if step.name == "beside"] == [("c1.1", "done")]
    memory.satisfy("w")
    assert (await memory.run()).result == "beside"


async def test_a_wait_that_lost_and_was_cancelled_gives_its_name_free() -> None:
    @task
    async def handler(context: Context) -> list[str]:
        waits = [asyncio.ensure_future(context.wait_for(name)) for name in "ab"]
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in pending:
            each.cancel()
        first = [each.result().signal.name for each in done]
        first.append((await context.wait_for("b")).signal.name)
        await context.wait_for("b", on_timeout="resume")
        return first

    memory = MemoryJournal(handler)
    assert set((await memory.run()).waits) == {"a", "b"}
    memory._entries["2"].waitpoint_id = "the-first-one"
    memory.satisfy("a", "first")
    run = await memory.run()
    assert (run.failure, run.waits) == (None, ("b",))
    assert [wait.entry for wait in spec_of(memory).waits] == ["3"]
    assert spec_of(memory).waitpoints[0].waitpoint_id == "the-first-one", "with the signals it has"
    memory._entries["3"].waitpoint_id = "the-first-one"
    memory._entries["3"].state = journal_pb.ENTRY_STATE_DONE
    memory._entries["3"].signals.add(number=9, waitpoint="b", name="second")
    assert (await memory.run()).waits == ("b",)
    assert spec_of(memory).waitpoints[0].waitpoint_id == "", "that one has served"
    memory._entries["4"].state = journal_pb.ENTRY_STATE_DONE
    assert (await memory.run()).result == ["first", "second"]


async def test_a_wait_that_lost_gives_its_name_free_before_anything_else_is_done() -> None:
    @task
    async def handler(context: Context) -> None:
        loser = asyncio.ensure_future(context.wait_for("w"))
        await asyncio.sleep(0)
        loser.cancel()
        await context.wait_for("w")

    run = await MemoryJournal(handler).run()
    assert (run.failure, run.waits) == (None, ("w",))


async def test_two_waits_at_one_name_are_refused() -> None:
    @task
    async def handler(context: Context) -> None:
        await asyncio.gather(context.wait_for("w"), context.wait_for("w"))

    failure = (await MemoryJournal(handler).run()).failure
    assert failure is not None
    assert "there is a wait at another waitpoint 'w' already" in failure.message


async def test_of_many_timers_the_first_is_waited_for_and_the_others_keep_their_times() -> None:
    @task
    async def handler(context: Context) -> str:
        await asyncio.gather(*(context.sleep(3600 + n) for n in range(40, 0, -1)))
        return "slept"

    memory = MemoryJournal(handler)
    assert (await memory.run()).waits == ("sleep",)
    assert spec_of(memory).waits[0].entry == "40"
    due = {key: entry.due_time.ToDatetime(UTC) for key, entry in memory._entries.items()}
    assert len(due) == 40
    assert sorted(due, key=lambda key: due[key]) == [str(n) for n in range(40, 0, -1)]

    assert memory._entries["40"].state == journal_pb.ENTRY_STATE_WAITING
    memory._entries["40"].state = journal_pb.ENTRY_STATE_DONE
    assert (await memory.run()).waits == ("sleep",)
    assert spec_of(memory).waits[0].entry == "39"
    assert spec_of(memory).waits[0].timeout_time.ToDatetime(UTC) == due["39"]

    for entry in memory._entries.values():
        entry.due_time.FromDatetime(datetime(2020, 1, 1, tzinfo=UTC))
    assert (await memory.run()).result == "slept"


async def test_more_waits_than_one_suspension_holds_take_turns() -> None:
    @task
    async def handler(context: Context) -> list[str]:
        waits = (context.wait_for(f"w{n}", timeout=3600 if n >= 15 else None) for n in range(20))
        answers = await asyncio.gather(*waits, context.sleep(60))
        return [each.signal.name for each in answers if each is not None]

    memory = MemoryJournal(handler)
    run = await memory.run()
    assert run.waits == (*(f"w{n}" for n in range(10)), *(f"w{n}" for n in range(15, 20)), "sleep")
    memory.satisfy("w3", "yes")
    assert "w10" in (await memory.run()).waits
    memory.time_out("sleep")
    run = await memory.run()
    while run.ending == "suspended":
        assert len(run.waits) <= 16
        memory.satisfy(run.waits[0], "yes")
        run = await memory.run()
    assert run.result == ["yes"] * 20


async def test_the_time_of_a_wait_that_finds_no_room_goes_on() -> None:
    @task
    async def handler(context: Context) -> None:
        await asyncio.gather(*(context.wait_for(f"w{n}", timeout=60 + n) for n in range(17)))

    memory = MemoryJournal(handler)
    assert "w16" not in (await memory.run()).waits
    due = memory._entries["17"].due_time.ToDatetime(UTC)
    memory.satisfy("w0")
    assert "w16" in (await memory.run()).waits
    assert spec_of(memory).waits[-1].timeout_time.ToDatetime(UTC) == due


async def test_the_pauses_of_many_steps_side_by_side_are_one_suspension() -> None:
    is_up = False

    async def call() -> None:
        if not is_up:
            raise ConnectionError

    @task
    async def handler(context: Context) -> str:
        retry = StepRetry(backoff=Backoff(initial=3600))
        await asyncio.gather(*(context.step("call", call, retry=retry) for _ in range(20)))
        return "called"

    memory = MemoryJournal(handler)
    assert (await memory.run()).waits == ("call",)
    is_up = True
    for entry in memory._entries.values():
        if entry.kind == journal_pb.ENTRY_KIND_SLEEP:
            entry.due_time.FromDatetime(datetime(2020, 1, 1, tzinfo=UTC))
    assert (await memory.run()).result == "called"
    assert {step.runs for step in memory.steps if step.kind == "step"} == {2}


# Unwinding


async def test_finally_runs_and_makes_no_durable_call_any_more() -> None:
    said: list[str] = []

    @task
    async def handler(context: Context) -> str:
        try:
            await context.wait_for("w")
        finally:
            said.append("finally")
            await context.step("clean", lambda: said.append("cleaned"))
        return "done"

    memory = MemoryJournal(handler)
    assert (await memory.run()).waits == ("w",)
    assert said == ["finally"]
    memory.satisfy("w")
    assert (await memory.run()).result == "done"
    assert said == ["finally", "finally", "cleaned"]


async def test_a_handler_that_swallows_its_cancellation_is_suspended_all_the_same() -> None:
    @task
    async def handler(context: Context) -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await context.wait_for("w")
        return "went on"

    memory = MemoryJournal(handler)
    assert (await memory.run()).waits == ("w",)


async def test_a_handler_that_goes_on_waiting_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowfabric._durable.UNWIND_AGAIN_S", 0)

    @task
    async def handler(context: Context) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await context.wait_for("w")
        await asyncio.Event().wait()

    memory = MemoryJournal(handler)
    assert (await memory.run()).waits == ("w",)


async def test_a_wait_in_a_task_that_nobody_waits_for_leaves_nothing_behind() -> None:
    left: list[asyncio.Task[Any]] = []

    @task
    async def handler(context: Context) -> None:
        async def beside() -> None:
            await context.wait_for("beside")

        left.append(asyncio.create_task(beside()))
        await context.wait_for("w")

    memory = MemoryJournal(handler)
    assert set((await memory.run()).waits) == {"w", "beside"}
    await asyncio.wait(left)
    assert left[0].cancelled()


async def test_output_of_a_handler_with_steps_is_sent_as_ever() -> None:
    @task
    async def handler(context: Context) -> None:
        await context.step("a", lambda: None)
        await context.emit("text")

    assert (await MemoryJournal(handler).run()).frames == (b"text",)
