"""Output of all classes, from the handler's words to who reads along."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest_asyncio

from flowfabric import NULL, Client, Context, FrameClass, FrameKind, OutputFrame, State, task
from flowfabric._stack import Stack
from tests.e2e.conftest import StartWorker
from tests.e2e.test_output import CLOSED_IN_S, tail
from tests.e2e.waiting import until_state, until_terminal

DURABLE, SUMMARY, BEST_EFFORT = FrameClass.DURABLE, FrameClass.SUMMARY, FrameClass.BEST_EFFORT


@task
async def speak(context: Context) -> None:
    await context.emit("begun")
    await context.emit("a token", cls=BEST_EFFORT)
    await context.summary({"done": 1, "of": 2, "files": {"a": "new", "b": "old"}})
    await context.emit("warned", FrameKind.STDERR)
    await context.summary({"done": 2, "of": None, "files": {"a": NULL}})


def said(frames: list[OutputFrame] | tuple[OutputFrame, ...]) -> list[tuple[FrameClass, bytes]]:
    return [(frame.frame_class, frame.data) for frame in frames]


async def test_a_handler_says_frames_of_all_classes(client: Client, start_worker: StartWorker) -> None:
    await start_worker(speak)
    submission = await client.submit(speak)

    await until_terminal(client, submission.execution_id)

    summary = await client.summary(submission.execution_id)
    assert summary is not None
    assert json.loads(summary.document) == {"done": 2, "files": {"a": None, "b": "old"}}
    assert said(await tail(client, submission.execution_id)) == [
        (DURABLE, b"begun"),
        (BEST_EFFORT, b"a token"),
        (DURABLE, b"warned"),
        (SUMMARY, summary.document),
    ]
    assert (await client.get(submission.execution_id)).summary_version == summary.version


async def test_a_bad_change_of_the_summary_raises_and_costs_no_frame(
    client: Client, start_worker: StartWorker
) -> None:
    @task
    async def measure(context: Context) -> str:
        await context.emit("before")
        try:
            await context.summary({"speed": float("nan")})
        except ValueError as error:
            await context.emit("behind")
            return str(error)
        return "never told"

    await start_worker(measure)
    execution = await until_terminal(client, (await client.submit(measure)).execution_id)

    assert execution.state is State.COMPLETED
    frames = await client.read_output(execution.execution_id)
    assert said(frames.frames) == [(DURABLE, b"before"), (DURABLE, b"behind")]


async def test_readers_choose_classes_and_kinds(client: Client, start_worker: StartWorker) -> None:
    await start_worker(speak)
    id = (await client.submit(speak)).execution_id
    await until_terminal(client, id)

    durable = await client.read_output(id, classes=[DURABLE])
    warnings = await client.read_output(id, kinds=[FrameKind.STDERR], page_size=1)

    assert said(durable.frames) == [(DURABLE, b"begun"), (DURABLE, b"warned")]
    assert said(warnings.frames) == [(DURABLE, b"warned")]
    assert durable.close_reason == "completed"


async def test_a_tail_goes_on_over_a_suspension_and_ends_with_the_execution(
    client: Client, start_worker: StartWorker
) -> None:
    """D7: the end of a lease that waits is no end of the output; the end of the execution is, at once."""

    @task
    async def ask_first(context: Context) -> None:
        await context.step("ask", lambda: None)
        await context.emit("asked" if context.resumption is None else "going on")
        await context.wait_for("answer")
        await context.emit("answered", cls=BEST_EFFORT)
        await context.summary({"answered": True})

    await start_worker(ask_first)
    id = (await client.submit(ask_first)).execution_id
    heard: list[bytes] = []
    async with asyncio.timeout(CLOSED_IN_S):
        async for frame in client.tail(id):
            heard.append(frame.data)
            if frame.data == b"asked":
                await until_state(client, id, State.SUSPENDED)
                await client.resume(id)

    assert heard == [b"asked", b"going on", b"answered", b'{"answered":true}']


@pytest_asyncio.fixture
async def http(flowfabric_stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(f"http://{flowfabric_stack.http}", timeout=timeout) as session:
        yield session


async def test_a_browser_follows_output_and_comes_back_with_the_last_id_it_saw(
    client: Client, start_worker: StartWorker, http: aiohttp.ClientSession
) -> None:
    go_on = asyncio.Event()

    @task
    async def in_two_parts(context: Context) -> None:
        await context.emit("one")
        await go_on.wait()
        await context.emit("two", cls=BEST_EFFORT)

    await start_worker(in_two_parts)
    id = (await client.submit(in_two_parts)).execution_id
    headers = {"Accept": "text/event-stream"}

    async with http.get(f"/v1/executions/{id}/output", headers=headers) as response:
        first = await next_event(response)
    go_on.set()
    headers["Last-Event-ID"] = first["id"]
    async with http.get(f"/v1/executions/{id}/output", headers=headers) as response:
        second = await next_event(response)
        while "close" not in second["data"]:
            assert words(second) == ["two"]
            second = await next_event(response)

    assert words(first) == ["one"]
    assert second["data"]["close"]["reason"] == "completed"


async def next_event(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The next event; its connection may be closed after it."""
    assert response.content_type == "text/event-stream"
    found: dict[str, Any] = {}
    async for raw in response.content:
        name, _, value = raw.decode().rstrip("\n").partition(": ")
        if name == "data":
            found["data"] = json.loads(value)
        elif name:
            found[name] = value
        elif "data" in found:
            return found
    raise AssertionError("the stream ended")


def words(event: dict[str, Any]) -> list[str]:
    return [base64.b64decode(frame["data"]).decode() for frame in event["data"].get("frames", [])]


async def test_a_reader_who_does_not_read_holds_up_nobody(client: Client, start_worker: StartWorker) -> None:
    @task
    async def flood(context: Context) -> None:
        for _ in range(2000):
            await context.emit(bytes(16_384), cls=BEST_EFFORT)
        await context.emit("the end")

    await start_worker(flood)
    id = (await client.submit(flood)).execution_id
    stuck, reading = client.tail(id), client.tail(id)
    await anext(stuck)  # and never again, while 32 MiB go by

    async with asyncio.timeout(CLOSED_IN_S):
        last = [frame async for frame in reading][-1]

    assert last.data == b"the end"
    assert (await client.get(id)).state is State.COMPLETED
    await stuck.aclose()
