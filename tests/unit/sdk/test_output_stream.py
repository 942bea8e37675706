"""Output of handlers on its way to a gateway that does what the test tells it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.rpc import code_pb2

from flowfabric import Context, EngineError, FrameKind, PayloadTooLarge, task

from .fake_gateway import FakeGateway, status
from .work import Start


async def test_frames_go_over_their_own_stream_and_the_outcome_after_their_acknowledgement(
    gateway: FakeGateway, start: Start
) -> None:
    @task
    async def talk(context: Context) -> bytes:
        await context.emit("text")
        await context.emit(b"\xff")
        await context.emit({"a": 1})
        return b"end"

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    frames = await output.frames(3)
    assert [(f.number, f.data) for f in frames] == [(1, b"text"), (2, b"\xff"), (3, b'{"a":1}')]
    assert not any(request.outcomes for request in session.history)

    await output.acknowledge(b"L", 3)

    assert (await session.outcome()).completed.result == b"end"


async def test_blocking_handlers_emit_and_report_too(gateway: FakeGateway, start: Start) -> None:
    @task
    def talk(context: Context) -> None:
        context.progress_sync(10, "started")
        context.emit_sync("from a thread")

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()

    assert (await output.frames(1))[0].data == b"from a thread"
    await output.acknowledge(b"L", 1)
    await session.outcome()
    progress = [report for request in session.history for report in request.progress]
    assert [report.message for report in progress] == ["started"]


@pytest.mark.parametrize(
    ("call", "kind"),
    [("summary_sync", FrameKind.SUMMARY), ("summary_replace_sync", FrameKind.SUMMARY_REPLACE)],
)
async def test_blocking_handlers_change_the_summary_too(
    gateway: FakeGateway, start: Start, call: str, kind: FrameKind
) -> None:
    @task
    def count(context: Context) -> None:
        getattr(context, call)({"done": 1})

    _, session = await start(count)
    await session.grant(b"L", 1, kind="count")
    output = await gateway.worker.outputs.get()

    [frame] = await output.frames(1)
    assert (frame.kind, frame.data) == (kind, b'{"done":1}')
    await output.acknowledge(b"L", 1)
    await session.outcome()


@pytest.mark.parametrize("call", ["emit", "summary", "summary_replace"])
async def test_the_sync_variants_refuse_the_loop_thread(start: Start, call: str) -> None:
    @task
    async def wrong(context: Context) -> None:
        getattr(context, f"{call}_sync")({"would": "wait for itself"})

    _, session = await start(wrong)
    await session.grant(b"L", 1, kind="wrong")

    assert f"await context.{call}(" in (await session.outcome()).failed.message


async def test_a_frame_over_the_limit_is_refused_where_it_is_made(start: Start) -> None:
    raised: list[Exception] = []

    @task
    async def shout(context: Context) -> None:
        try:
            await context.emit(bytes(65537))
        except PayloadTooLarge as error:
            raised.append(error)

    _, session = await start(shout)
    await session.grant(b"L", 1, kind="shout")
    await session.outcome()

    assert len(raised) == 1


async def test_unacknowledged_frames_are_sent_again_after_a_break(gateway: FakeGateway, start: Start) -> None:
    @task
    async def talk(context: Context) -> None:
        for data in (b"1", b"2", b"3"):
            await context.emit(data)

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(3)
    await output.acknowledge(b"L", 1)

    output.end()
    again = await gateway.worker.outputs.get()

    frames = await again.frames(2)
    assert frames[-1].number == 3
    await again.acknowledge(b"L", 3)
    await session.outcome()


async def test_output_follows_the_session(gateway: FakeGateway, start: Start) -> None:
    @task
    async def talk(context: Context) -> None:
        await context.emit(b"1")

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(1)

    session.end(status(code_pb2.UNAVAILABLE, "SHUTTING_DOWN"))
    session = await gateway.session()
    again = await gateway.worker.outputs.get()
    assert [frame.number for frame in await again.frames(1)] == [1]
    await again.acknowledge(b"L", 1)

    assert (await session.outcome()).lease == b"L"


async def test_output_that_is_refused_for_good_stops_and_says_so(gateway: FakeGateway, start: Start) -> None:
    go_on = asyncio.Event()
    raised: list[str] = []

    @task
    async def talk(context: Context) -> None:
        await context.emit(b"1")
        await go_on.wait()
        try:
            await context.emit(b"2")
        except EngineError as error:
            raised.append(error.reason)

    @task
    async def mark(context: Context) -> None:
        await context.emit(b"mark")

    _, session = await start(talk, mark)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(1)
    await output.refuse(b"L", status(code_pb2.FAILED_PRECONDITION, "OUTPUT_CLOSED"))
    await session.grant(b"marker", 2, kind="mark")  # ends only after the refusal was heard
    await output.frames(1)
    await output.acknowledge(b"marker", 1)
    await session.outcome()
    go_on.set()
    await session.outcome()

    assert raised == ["OUTPUT_CLOSED"]


async def test_output_that_says_the_lease_is_gone_stops_the_handler(
    gateway: FakeGateway, start: Start
) -> None:
    cancelled = asyncio.Event()

    @task
    async def talk(context: Context) -> None:
        await context.emit(b"1")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(1)

    await output.refuse(b"L", status(code_pb2.FAILED_PRECONDITION, "LEASE_STALE"))

    await cancelled.wait()


@pytest.mark.parametrize(
    "refusal",
    [status(code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE"), status(code_pb2.OUT_OF_RANGE, "OUTPUT_GAP")],
)
async def test_output_that_is_refused_for_now_is_sent_again(
    gateway: FakeGateway, start: Start, refusal: Any
) -> None:
    @task
    async def talk(context: Context) -> None:
        await context.emit(b"1")
        await context.emit(b"2")

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(2)

    await output.refuse(b"L", refusal, through=1)
    assert [frame.number for frame in await output.frames(1)] == [2]
    await output.acknowledge(b"L", 2)

    assert (await session.outcome()).WhichOneof("result") == "completed"


async def test_a_summary_that_grew_too_large_is_told_to_the_next_change_and_stops_no_frame(
    gateway: FakeGateway, start: Start
) -> None:
    go_on = asyncio.Event()

    @task
    async def talk(context: Context) -> str:
        await context.summary({"a": "too much"})
        await context.emit(b"behind it")
        await go_on.wait()
        try:
            await context.summary({"b": 1})
        except PayloadTooLarge:
            await context.summary({"b": 2})
            return "told once"
        return "never told"

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(2)

    await output.refuse(b"L", status(code_pb2.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE"))
    again = await output.frames(2)
    go_on.set()
    [last] = await output.frames(1)
    await output.acknowledge(b"L", 3)

    assert [(frame.number, frame.data) for frame in again] == [(1, b"{}"), (2, b"behind it")]
    assert (last.number, last.data) == (3, b'{"b":2}')
    assert (await session.outcome()).completed.result == b'"told once"'


@pytest.mark.parametrize("reason", ["PAYLOAD_TOO_LARGE", "INVALID_ARGUMENT"])
async def test_a_last_change_that_is_refused_is_no_success(
    gateway: FakeGateway, start: Start, reason: str
) -> None:
    @task
    async def talk(context: Context) -> None:
        await context.emit(b"before")
        await context.summary({"a": "bad"})
        await context.emit(b"behind")

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(3)

    await output.refuse(b"L", status(code_pb2.INVALID_ARGUMENT, reason), through=1)
    again = await output.frames(2)
    await output.acknowledge(b"L", 3)

    assert [(frame.number, frame.data) for frame in again] == [(2, b"{}"), (3, b"behind")]
    failure = (await session.outcome()).failed
    assert failure.type == "output_refused"
    assert reason in failure.message


async def test_output_that_is_refused_unheard_is_no_success(gateway: FakeGateway, start: Start) -> None:
    @task
    async def talk(context: Context) -> None:
        await context.emit(b"1")

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(1)

    await output.refuse(b"L", status(code_pb2.INVALID_ARGUMENT, "INVALID_ARGUMENT"))

    assert (await session.outcome()).failed.type == "output_refused"


async def test_a_change_of_the_summary_is_no_frame_of_another_class(start: Start) -> None:
    refused = asyncio.get_running_loop().create_future()

    @task
    async def talk(context: Context) -> None:
        try:
            await context.emit({}, FrameKind.SUMMARY)
        except ValueError as error:
            refused.set_result(str(error))

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")

    assert "summary(...)" in await refused
