"""Output while it comes about: followed live, read again, closed at the end."""

from __future__ import annotations

import asyncio
import os

from flowfabric import Backoff, Client, Context, FrameKind, OutputFrame, Policy, Spec, Submission, task
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import until_terminal

CLOSED_IN_S = 90


async def tail(client: Client, execution_id: str, after: str = "") -> list[OutputFrame]:
    """All frames of a tail, which ends by itself."""
    async with asyncio.timeout(CLOSED_IN_S):
        return [frame async for frame in client.tail(execution_id, after)]


@task
async def count(total: int, context: Context) -> int:
    for number in range(1, total + 1):
        await context.emit(b"%d" % number, FrameKind.STDOUT)
    return total


async def test_frames_come_live_and_the_tail_ends_with_the_execution(
    client: Client, start_worker: StartWorker
) -> None:
    turns = [asyncio.Event() for _ in range(3)]

    @task
    async def speak_in_turn(context: Context) -> None:
        for number, turn in enumerate(turns):
            await turn.wait()
            await context.emit(b"word %d" % number)

    await start_worker(speak_in_turn)
    submission = await client.submit(speak_in_turn)

    heard: list[bytes] = []
    async with asyncio.timeout(CLOSED_IN_S):
        turns[0].set()
        async for frame in client.tail(submission.execution_id):
            heard.append(frame.data)
            if len(heard) < len(turns):
                turns[len(heard)].set()  # the next word is only said once this one was heard

    assert heard == [b"word 0", b"word 1", b"word 2"]


async def test_any_bytes_pass_in_order_with_number_and_kind(
    client: Client, start_worker: StartWorker
) -> None:
    frames = [b"", bytes(range(256)), b"\r\n\x00", os.urandom(64 << 10), "żółw".encode()]

    @task
    async def emit_all(context: Context) -> None:
        for frame in frames:
            await context.emit(frame, FrameKind.STDERR)

    await start_worker(emit_all)
    submission = await client.submit(emit_all)

    heard = await tail(client, submission.execution_id)

    assert [frame.data for frame in heard] == frames
    assert [(frame.attempt, frame.number) for frame in heard] == [(1, number) for number in range(1, 6)]
    assert {frame.kind for frame in heard} == {FrameKind.STDERR}


async def test_from_a_cursor_nothing_is_heard_twice_and_nothing_missed(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(count)
    submission = await client.submit(count, 500)
    everything = await tail(client, submission.execution_id)
    assert [int(frame.data) for frame in everything] == list(range(1, 501))

    for place in (0, 249, 499):
        rest = await tail(client, submission.execution_id, everything[place].cursor)
        assert rest == everything[place + 1 :]

    read: list[OutputFrame] = []
    page = await client.read_output(submission.execution_id, page_size=100)
    while not page.close_reason:
        read += page.frames
        page = await client.read_output(submission.execution_id, after=page.next, page_size=100)
    assert read + list(page.frames) == everything
    assert page.close_reason == "completed"


async def test_many_tails_of_one_execution_hear_the_same(client: Client, start_worker: StartWorker) -> None:
    submission = await client.submit(count, 100)
    tails = [asyncio.create_task(tail(client, submission.execution_id)) for _ in range(20)]

    await start_worker(count)

    first, *others = await asyncio.gather(*tails)
    assert [int(frame.data) for frame in first] == list(range(1, 101))
    assert all(other == first for other in others)


async def test_output_of_many_executions_does_not_mix(client: Client, start_worker: StartWorker) -> None:
    @task
    async def say_own_name(context: Context) -> None:
        for _ in range(20):
            await context.emit(context.execution_id)

    await start_worker(say_own_name, slots=32)
    verdicts = await client.submit_many([Spec("say_own_name")] * 50)
    ids = [verdict.execution_id for verdict in verdicts if isinstance(verdict, Submission)]

    for execution_id, heard in zip(
        ids, await asyncio.gather(*(tail(client, execution_id) for execution_id in ids)), strict=True
    ):
        assert [frame.data.decode() for frame in heard] == [execution_id] * 20
        assert [frame.number for frame in heard] == list(range(1, 21))


async def test_a_tail_goes_on_over_attempts(client: Client, start_worker: StartWorker) -> None:
    @task
    async def twice(context: Context) -> None:
        await context.emit(f"attempt {context.attempt}")
        if context.attempt == 1:
            raise RuntimeError("once more")

    await start_worker(twice)
    submission = await client.submit(twice, policy=Policy(backoff=Backoff(initial=0.01)))

    heard = await tail(client, submission.execution_id)

    assert [(frame.attempt, frame.number, frame.data) for frame in heard] == [
        (1, 1, b"attempt 1"),
        (2, 1, b"attempt 2"),
    ]
    second = await client.read_output(submission.execution_id, attempt=2)
    assert [frame.data for frame in second.frames] == [b"attempt 2"]


async def test_the_tail_of_silent_work_ends_too(client: Client, start_worker: StartWorker) -> None:
    await start_worker(count)
    submission = await client.submit(count, 0)
    following = asyncio.create_task(tail(client, submission.execution_id))
    await until_terminal(client, submission.execution_id)
    assert await following == []


async def test_cancelling_what_waits_ends_its_tail(client: Client) -> None:
    submission = await client.submit("nobody")
    following = asyncio.create_task(tail(client, submission.execution_id))
    await client.cancel(submission.execution_id)
    assert await following == []


async def test_only_as_many_frames_are_kept_as_the_policy_says(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(count)
    submission = await client.submit(count, 1000, policy=Policy(output_max_frames=100))
    ended = await until_terminal(client, submission.execution_id)
    assert ended.output_frames == 1000

    kept = [int(frame.data) for frame in await tail(client, submission.execution_id)]

    assert len(kept) < 1000
    assert kept == list(range(1001 - len(kept), 1001))
