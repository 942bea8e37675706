"""Work that waits, from submit to result: signals, decisions, conditions, time, and who may resume it."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from flowfabric import (
    Client,
    Context,
    EngineError,
    ExecutionCancelled,
    ExecutionEnded,
    ExecutionExpired,
    ExecutionFailed,
    SignalEffect,
    SignalSpec,
    State,
    Suspension,
    TokenInvalid,
    Waitpoint,
    WaitTimedOut,
    WrongState,
    all_of,
    any_of,
    count,
    operator,
    signal,
    task,
)
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import eventually, until, until_state

#: Far longer than any test: what does not end by itself is ended by what the test does.
LONG = timedelta(hours=1)
SOON = timedelta(milliseconds=50)

Told = asyncio.Queue[Waitpoint]


def waiting(condition: Any = None, **options: Any) -> Any:
    """A task that waits at "go" and tells what ended it."""

    @task(kind="wait")
    async def wait(context: Context) -> list[list[str]]:
        try:
            resumed = await context.wait_for("go", condition, **{"timeout": LONG} | options)
        except WaitTimedOut:
            return [["gave up", "", ""]]
        return [[each.name, each.source, each.payload.decode()] for each in resumed.signals]

    return wait


def telling(told: Told, **options: Any) -> Any:
    """A task that makes the waitpoint "go" first, as others are to be told of it."""

    @task(kind="tell")
    async def tell(context: Context) -> list[str]:
        waitpoint = await context.waitpoint("go", **options)
        if context.resumption is None:
            await told.put(waitpoint)
        resumed = await context.wait_for(waitpoint, timeout=LONG)
        return [f"{each.name}={each.payload.decode()}" for each in resumed.signals]

    return tell


async def suspended(client: Client, kind: str = "wait", **options: Any) -> str:
    """Id of a new execution, once it is suspended."""
    execution_id = (await client.submit(kind, **options)).execution_id
    await until_state(client, execution_id, State.SUSPENDED)
    return execution_id


async def seen(client: Client, execution_id: str) -> Suspension:
    """Its suspension."""
    suspension = await client.suspension(execution_id)
    assert suspension is not None
    return suspension


# From waiting to going on


async def test_an_approval_by_name_resumes_the_same_attempt(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(waiting())
    execution_id = await suspended(client)
    before = await client.get(execution_id)
    suspension = await seen(client, execution_id)

    delivery = await client.approve(execution_id, "go", {"note": "fine"})

    assert (delivery.effect, delivery.duplicate) == (SignalEffect.RESUMED, False)
    found: list[Any] = await client.result(execution_id, list)
    assert found == [["approved", "operator:default", '{"note":"fine"}']]
    after = await client.get(execution_id)
    assert (before.lease, before.attempt, after.attempt) == (None, 1, 1)
    assert (suspension.state, suspension.reason_code) == ("open", "waiting_for_signal")
    ended = await seen(client, execution_id)
    assert (ended.number, ended.state, ended.ending) == (suspension.number, "closed", "signal")


async def test_waiting_holds_no_slot(client: Client, start_worker: StartWorker) -> None:
    await start_worker(waiting(), slots=1)

    ids = [await suspended(client) for _ in range(20)]

    await asyncio.gather(*(client.approve(execution_id, "go") for execution_id in ids))
    results = await asyncio.gather(*(client.result(execution_id, list) for execution_id in ids))
    assert {result[0][0] for result in results} == {"approved"}


async def test_work_goes_on_with_another_worker(client: Client, start_worker: StartWorker) -> None:
    first = await start_worker(waiting(), worker_id="first")
    execution_id = await suspended(client)
    await first.stop()
    await client.approve(execution_id, "go")
    assert (await client.get(execution_id)).state is State.WAITING

    await start_worker(waiting(), worker_id="second")

    assert (await client.result(execution_id, list))[0][0] == "approved"


async def test_waitpoints_are_listed_without_their_tokens(client: Client, start_worker: StartWorker) -> None:
    told: Told = asyncio.Queue()
    await start_worker(telling(told, recipient="ann"))
    execution_id = await suspended(client, "tell")

    [listed] = await client.waitpoints(execution_id)

    mine = await told.get()
    assert (listed.waitpoint_id, listed.name, listed.recipient) == (mine.waitpoint_id, "go", "ann")
    assert (listed.state, listed.single_use) == ("bound", True)
    assert (listed.token, listed.callback_path, listed.fingerprint) == ("", "", "")
    assert mine.token != ""
    await client.signal(mine, "now")
    await client.result(execution_id)
    assert await client.waitpoints(execution_id) == []
    [closed] = await client.waitpoints(execution_id, include_closed=True)
    assert (closed.state, closed.signals) == ("closed", 1)


# Signals that come early, twice, late, or all at once


async def test_signals_that_come_before_the_wait_count(client: Client, start_worker: StartWorker) -> None:
    told: Told = asyncio.Queue()
    heard = asyncio.Event()

    @task
    async def slow(context: Context) -> list[str]:
        waitpoints = [await context.waitpoint(name, recipient=name) for name in ("ann", "ben")]
        for waitpoint in waitpoints:
            if context.resumption is None:
                await told.put(waitpoint)
        await heard.wait()
        resumed = await context.wait_for(
            waitpoints[0], count(2, by="sources", at=["ann", "ben"]), timeout=LONG
        )
        return sorted(each.source for each in resumed.signals)

    await start_worker(slow)
    execution_id = (await client.submit(slow)).execution_id
    early = [await client.signal(await told.get(), "yes") for _ in range(2)]
    assert [each.effect for each in early] == [SignalEffect.BUFFERED] * 2

    heard.set()

    assert await client.result(execution_id, list) == ["user:ann", "user:ben"]


async def test_a_repeat_gets_the_first_answer_even_when_all_is_over(
    client: Client, start_worker: StartWorker
) -> None:
    told: Told = asyncio.Queue()
    await start_worker(telling(told, single_use=False))
    execution_id = await suspended(client, "tell")
    mine = await told.get()

    first = await client.signal(mine, "paid", b"1", idempotency_key="k")
    assert await client.result(execution_id, list) == ["paid=1"]
    again = await client.signal(mine, "paid", b"1", idempotency_key="k")

    assert (first.effect, first.duplicate) == (SignalEffect.RESUMED, False)
    assert (again.number, again.effect, again.duplicate) == (first.number, SignalEffect.RESUMED, True)
    with pytest.raises(EngineError, match="IDEMPOTENCY_CONFLICT"):
        await client.signal(mine, "paid", b"2", idempotency_key="k")


async def test_what_comes_too_late_is_refused(client: Client, start_worker: StartWorker) -> None:
    told: Told = asyncio.Queue()
    await start_worker(telling(told, single_use=False))
    execution_id = await suspended(client, "tell")
    mine = await told.get()
    await client.signal(mine, "paid")
    await client.result(execution_id)

    with pytest.raises(WrongState):
        await client.signal(mine, "again")


async def test_of_fifty_signals_at_once_one_resumes(client: Client, start_worker: StartWorker) -> None:
    told: Told = asyncio.Queue()
    await start_worker(telling(told, single_use=False))
    execution_id = await suspended(client, "tell")
    mine = await told.get()

    answers = await asyncio.gather(
        *(client.signal(mine, f"s{number}") for number in range(50)), return_exceptions=True
    )

    effects = Counter(
        answer.reason if isinstance(answer, EngineError) else answer.effect.value for answer in answers
    )
    assert effects["resumed"] == 1
    assert set(effects) <= {"resumed", "buffered", "EXECUTION_TERMINAL"}
    assert len(await client.result(execution_id, list)) == 1


async def test_many_signals_have_a_verdict_each(client: Client, start_worker: StartWorker) -> None:
    told: Told = asyncio.Queue()
    await start_worker(telling(told), slots=8)
    ids = [await suspended(client, "tell") for _ in range(3)]
    mine = [await told.get() for _ in ids]
    good = [SignalSpec(each.waitpoint_id, "go", token=each.token) for each in mine]
    bad = SignalSpec(mine[0].waitpoint_id, "go", token=mine[1].token)

    first, wrong, *others = await client.signal_many([good[0], bad, *good[1:]])

    assert isinstance(wrong, TokenInvalid)
    assert all(not isinstance(each, EngineError) for each in (first, *others))
    assert [await client.result(each, list) for each in ids] == [["go="]] * 3


async def test_one_waitpoint_takes_a_conversation(client: Client, start_worker: StartWorker) -> None:
    told: Told = asyncio.Queue()

    @task(kind="chat")
    async def chat(context: Context) -> list[str]:
        waitpoint = await context.waitpoint("chat", single_use=False)
        if context.resumption is None:
            await told.put(waitpoint)
        said: list[str] = []
        while "bye" not in said:
            said.append((await context.wait_for(waitpoint, timeout=LONG)).signal.name)
        return said

    await start_worker(chat)
    execution_id = await suspended(client, "chat")
    at = await told.get()

    words = ["hello", "there", "again", "bye"]
    for word in words:
        await client.signal(at.waitpoint_id, word, token=at.token)

    assert await client.result(execution_id, list) == words


# Who may


async def test_a_token_opens_its_own_waitpoint_and_nothing_else(
    client: Client, start_worker: StartWorker
) -> None:
    told: Told = asyncio.Queue()
    await start_worker(telling(told), slots=4)
    mine_id, other_id = await suspended(client, "tell"), await suspended(client, "tell")
    mine, other = await told.get(), await told.get()
    if mine_id not in mine.waitpoint_id:
        mine, other = other, mine
    version, kid, mac = mine.token.split(".")
    swapped = mac[:-2] + ("AA" if mac[-2:] != "AA" else "BB")
    unborn = mine.waitpoint_id.replace(mine_id, mine_id[:-1] + ("0" if mine_id[-1] != "0" else "1"))
    forged = [
        (mine.waitpoint_id, other.token),
        (other.waitpoint_id, mine.token),
        (mine.waitpoint_id, f"{version}.{kid}.{swapped}"),
        (mine.waitpoint_id, f"{version}.k999.{mac}"),
        (mine.waitpoint_id, ""),
        (unborn, mine.token),
        ("nonsense", mine.token),
    ]

    refusals = []
    for waitpoint_id, token in forged:
        with pytest.raises(TokenInvalid) as caught:
            await client.signal(waitpoint_id, "go", token=token)
        refusals.append(str(caught.value))

    assert len(set(refusals)) == 1  # the answer tells nothing
    assert (await client.get(mine_id)).state is State.SUSPENDED
    for waitpoint, execution_id in ((mine, mine_id), (other, other_id)):
        await client.signal(waitpoint, "go")
        assert await client.result(execution_id, list) == ["go="]


async def test_a_single_use_token_cannot_be_replayed(client: Client, start_worker: StartWorker) -> None:
    told: Told = asyncio.Queue()

    @task
    async def twice(context: Context) -> list[str]:
        waitpoint = await context.waitpoint("go")
        if context.resumption is None:
            await told.put(waitpoint)
        first = await context.wait_for(waitpoint, timeout=LONG)
        second = await context.wait_for("more", timeout=LONG)
        return [first.signal.name, second.signal.name]

    await start_worker(twice)
    execution_id = await suspended(client, twice.kind)
    mine = await told.get()
    await client.signal(mine, "one")
    second = await until(
        client,
        execution_id,
        lambda each: (
            each.suspension is not None and each.suspension.state == "open" and each.suspension.number == 2
        ),
    )

    with pytest.raises(WrongState, match="WAITPOINT_CLOSED"):
        await client.signal(mine, "two")

    assert second.state is State.SUSPENDED
    await client.approve(execution_id, "more")
    assert await client.result(execution_id, list) == ["one", "approved"]


async def test_tokens_outlive_a_rotation_by_its_grace(client: Client, start_worker: StartWorker) -> None:
    told: Told = asyncio.Queue()
    await start_worker(telling(told), slots=4)
    first_id = await suspended(client, "tell")
    before = await told.get()

    rotation = await client.rotate_key(grace=LONG)

    second_id = await suspended(client, "tell")
    after = await told.get()
    assert rotation.changed
    assert (before.kid, after.kid) == (rotation.previous_kid, rotation.kid)
    keys = {key.kid: key for key in await client.keys()}
    assert (keys[before.kid].current, keys[after.kid].current) == (False, True)
    await client.signal(before, "old")
    await client.signal(after, "new")
    assert await client.result(first_id, list) == ["old="]
    assert await client.result(second_id, list) == ["new="]


async def test_a_token_ends_with_its_time(client: Client, start_worker: StartWorker) -> None:
    told: Told = asyncio.Queue()

    @task
    async def brief(context: Context) -> str:
        await told.put(await context.waitpoint("brief", ttl=0.001, single_use=False))
        return (await context.wait_for("go", timeout=LONG)).signal.name

    await start_worker(brief)
    execution_id = await suspended(client, brief.kind)

    mine = await told.get()

    async def is_over() -> bool:
        try:
            await client.signal(mine, "early")
        except TokenInvalid:
            return True
        return False

    await eventually(is_over)  # by the clock of the gateway, which may be a moment behind
    with pytest.raises(TokenInvalid):
        await client.signal(mine, "late")
    await client.approve(execution_id, "go")
    assert await client.result(execution_id, str) == "approved"


# Conditions


async def test_two_people_are_two_sources_however_often_one_of_them_says_yes(
    client: Client, start_worker: StartWorker
) -> None:
    told: Told = asyncio.Queue()

    @task
    async def release(context: Context) -> list[str]:
        for name in ("ann", "ben"):
            waitpoint = await context.waitpoint(name, recipient=name, single_use=False)
            if context.resumption is None:
                await told.put(waitpoint)
        condition = any_of(
            count(2, by="sources", at=["ann", "ben"], names=["yes"]),
            signal("no", at="ann"),
            signal("no", at="ben"),
        )
        resumed = await context.wait_for("ann", condition, timeout=LONG)
        return [each.source for each in resumed.signals]

    await start_worker(release)
    execution_id = await suspended(client, release.kind)
    waitpoints = [await told.get() for _ in range(2)]
    ann, ben = sorted(waitpoints, key=lambda each: each.recipient)

    effects = [(await client.signal(each, name)).effect.value for each, name in (
        (ann, "yes"), (ann, "yes"), (ben, "perhaps"), (ben, "yes"),
    )]  # fmt: skip

    assert effects == ["counted", "repeated", "unmatched", "resumed"]
    assert sorted(await client.result(execution_id, list)) == ["user:ann", "user:ben"]


async def test_conditions_nest(client: Client, start_worker: StartWorker) -> None:
    condition = all_of(any_of(signal("a"), signal("b")), any_of(signal("c"), operator()))
    told: Told = asyncio.Queue()

    @task
    async def nested(context: Context) -> list[str]:
        waitpoint = await context.waitpoint("go", single_use=False)
        if context.resumption is None:
            await told.put(waitpoint)
        resumed = await context.wait_for(waitpoint, condition, timeout=LONG)
        return [each.name for each in resumed.signals]

    await start_worker(nested)
    execution_id = await suspended(client, nested.kind)
    mine = await told.get()
    assert (await client.signal(mine, "c")).effect is SignalEffect.COUNTED
    assert (await client.signal(mine, "b")).effect is SignalEffect.RESUMED
    assert sorted(await client.result(execution_id, list)) == ["b", "c"]


async def test_an_operator_resumes_what_waits_for_nothing_else(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(waiting(operator()))
    execution_id = await suspended(client)

    assert await client.resume(execution_id, "looked at it") is State.WAITING

    [[_, source, _]] = await client.result(execution_id, list)
    assert source == "operator:default"
    assert (await seen(client, execution_id)).ending == "operator"
    with pytest.raises(WrongState, match="EXECUTION_NOT_SUSPENDED"):
        await client.resume(execution_id)


async def test_a_condition_that_cannot_be_is_refused_with_its_path(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(waiting(all_of(signal("a"), count(0))))
    execution_id = (await client.submit("wait")).execution_id

    with pytest.raises(ExecutionFailed, match=r"waits\[0\]\.condition\.all_of\.conditions\[1\]\.count\.n"):
        await client.result(execution_id)


# Time


@pytest.mark.parametrize(
    ("on_timeout", "ending"),
    [("fail", ExecutionFailed), ("cancel", ExecutionCancelled), ("expire", ExecutionExpired)],
)
async def test_when_time_is_up_the_execution_ends_as_it_was_told_to(
    client: Client, start_worker: StartWorker, on_timeout: str, ending: type[ExecutionEnded]
) -> None:
    await start_worker(waiting(timeout=SOON, on_timeout=on_timeout))
    execution_id = (await client.submit("wait")).execution_id

    with pytest.raises(ending) as caught:
        await client.result(execution_id)

    failure = caught.value.execution.failure
    assert failure is not None
    assert (failure.type, failure.category) == ("suspension_timeout", "timeout")


async def test_when_time_is_up_the_handler_can_go_on(client: Client, start_worker: StartWorker) -> None:
    await start_worker(waiting(timeout=SOON))
    execution_id = (await client.submit("wait")).execution_id

    assert await client.result(execution_id, list) == [["gave up", "", ""]]
    assert (await seen(client, execution_id)).ending == "timeout"


async def test_the_end_of_the_time_is_a_signal_like_any_other(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(waiting(timeout=SOON, on_timeout="resume"))
    execution_id = (await client.submit("wait")).execution_id

    assert await client.result(execution_id, list) == [["timeout", "engine", ""]]


async def test_an_escalation_calls_an_operator_and_goes_on_waiting(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(waiting(timeout=SOON, on_timeout="escalate"))
    execution_id = await suspended(client)

    escalated = await until(
        client, execution_id, lambda each: each.state_vector.blocking_reason == "paused_by_operator"
    )

    assert escalated.suspension is not None
    assert escalated.suspension.waits[0].escalated
    await client.approve(execution_id, "go")
    assert (await client.result(execution_id, list))[0][0] == "approved"


async def test_a_signal_may_resume_later(client: Client, start_worker: StartWorker) -> None:
    told: Told = asyncio.Queue()
    await start_worker(telling(told))
    execution_id = await suspended(client, "tell")

    await client.signal(await told.get(), "later", resume_delay=0.2)

    delayed = await until(client, execution_id, lambda each: each.state is not State.SUSPENDED)
    assert delayed.state in (State.DELAYED, State.WAITING, State.ACTIVE, State.COMPLETED)
    assert await client.result(execution_id, list) == ["later="]


async def test_a_suspended_execution_is_cancelled_at_once(client: Client, start_worker: StartWorker) -> None:
    told: Told = asyncio.Queue()
    await start_worker(telling(told))
    execution_id = await suspended(client, "tell")

    assert await client.cancel(execution_id, grace=3600) is State.CANCELLED

    assert (await seen(client, execution_id)).ending == "cancelled"
    with pytest.raises(WrongState):
        await client.signal(await told.get(), "late")


async def test_a_deadline_ends_what_waits(client: Client, start_worker: StartWorker) -> None:
    await start_worker(waiting())
    # Long enough for it to be suspended by then, wherever it runs.
    execution_id = (await client.submit("wait", deadline=5.0)).execution_id

    with pytest.raises(ExecutionExpired):
        await client.result(execution_id)

    [waitpoint] = await client.waitpoints(execution_id, include_closed=True)
    assert waitpoint.state == "closed"
