"""What happens to all executions, as it happens, from where one stopped reading."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from flowfabric import Client, Context, Event, EventFamily, InvalidArgument, State, task
from flowfabric._stack import Stack
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import PATIENCE_S, until_state


@task
async def echo(data: bytes) -> bytes:
    return data


@task
async def wait(context: Context) -> str:
    return (await context.wait_for("go", timeout=timedelta(hours=1))).signal.name


async def read(client: Client, wanted: int, after: str = "", **options: Any) -> tuple[list[Event], str]:
    """So many events after a cursor, and the cursor behind them."""
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(client.subscribe(after, **options)) as pages:
        async for page in pages:
            events += page.events
            after = page.cursor
            if len(events) >= wanted:
                break
    return events, after


async def now(client: Client, **options: Any) -> str:
    """The cursor of this moment."""
    return (await client.read_events(**options)).cursor


async def test_the_life_of_an_execution_is_told_in_order(client: Client, start_worker: StartWorker) -> None:
    await start_worker(wait)
    cursor = await now(client)
    execution_id = (await client.submit(wait)).execution_id
    await until_state(client, execution_id, State.SUSPENDED)
    await client.approve(execution_id, "go")
    await client.result(execution_id)

    told, seen = [], cursor
    while not told or told[-1].name != "completed":
        events, seen = await read(client, 1, seen)
        told += events

    names = [
        event.name
        for event in told
        if event.name in ("created", "claimed", "suspended", "signal", "resumed", "completed")
    ]
    assert names == ["created", "claimed", "suspended", "signal", "resumed", "claimed", "completed"]
    assert {event.execution_id for event in told} == {execution_id}
    assert {(event.namespace, event.lane, event.kind) for event in told} == {
        (client.namespace, "default", wait.kind)
    }
    last = told[-1]
    assert (last.family, last.state, last.attempt, last.epoch) == (EventFamily.COMPLETION, "completed", 1, 2)
    assert len({event.event_id for event in told}) == len(told)


async def test_a_reader_goes_on_where_it_stopped_and_misses_nothing(
    client: Client, start_worker: StartWorker
) -> None:
    await start_worker(echo, slots=8)
    cursor = await now(client)
    submitted = {(await client.submit(echo, b"")).execution_id for _ in range(20)}

    completed: list[str] = []
    while len(completed) < len(submitted):  # a new subscription for each page
        events, cursor = await read(client, 1, cursor, families=[EventFamily.COMPLETION], page_size=3)
        completed += [event.execution_id for event in events]

    assert sorted(completed) == sorted(submitted)


async def test_a_reader_is_told_what_it_asks_for(client: Client, start_worker: StartWorker) -> None:
    await start_worker(echo, wait, lanes=["fast", "slow"])
    cursor = await now(client)
    waiting = (await client.submit(wait, lane="slow", tags={"team.name": "blue"})).execution_id
    await client.result((await client.submit(echo, b"", lane="fast", tags={"team.name": "red"})).execution_id)
    await until_state(client, waiting, State.SUSPENDED)
    await client.approve(waiting, "go", b"")
    await client.result(waiting)

    async def told(**options: Any) -> set[str]:
        events, _ = await read(client, 1, cursor, **options)
        return {f"{event.kind}.{event.name}" for event in events}

    assert await told(families=[EventFamily.SIGNAL]) == {"wait.signal"}
    assert {each.partition(".")[0] for each in await told(lane="fast")} == {"echo"}
    assert {each.partition(".")[0] for each in await told(kind="wait")} == {"wait"}
    assert {each.partition(".")[0] for each in await told(tags={"team.name": "red"})} == {"echo"}
    assert await told(families=[EventFamily.COMPLETION], kind="echo") == {"echo.completed"}
    lease = await told(families=[EventFamily.LEASE], kind="wait")
    assert "wait.claimed" in lease
    assert "wait.created" not in lease


async def test_namespaces_hear_nothing_of_each_other(
    flowfabric_stack: Stack, client: Client, start_worker: StartWorker
) -> None:
    await start_worker(echo)
    async with Client(flowfabric_stack.address, namespace=f"{client.namespace}-other") as other:
        cursor = await now(other)
        execution_id = (await client.submit(echo, b"")).execution_id
        await client.result(execution_id)

        assert (await other.read_events(cursor)).events == ()
        everywhere = await other.read_events(cursor, all_namespaces=True)
        assert execution_id in {event.execution_id for event in everywhere.events}


async def test_what_is_no_cursor_is_refused(client: Client) -> None:
    with pytest.raises(InvalidArgument, match="after"):
        await client.read_events("nonsense")


# Server-sent events


@pytest_asyncio.fixture
async def http(flowfabric_stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(f"http://{flowfabric_stack.http}", timeout=timeout) as session:
        yield session


async def follow(
    http: aiohttp.ClientSession, namespace: str, last_id: str, wanted: int
) -> tuple[list[str], str]:
    """Ids of completed executions, as a browser's EventSource would hear of them."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": last_id}
    path = f"/v1/events?namespace={namespace}&families=EVENT_FAMILY_COMPLETION"
    heard: list[str] = []
    async with http.get(path, headers={k: v for k, v in headers.items() if v}) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        async for raw in response.content:
            field, _, value = raw.decode().rstrip("\n").partition(": ")
            if field == "id":
                last_id = value
            elif field == "data":
                heard += [event["execution_id"] for event in json.loads(value).get("events", ())]
            if not field and len(heard) >= wanted:  # the blank line that ends an event
                return heard, last_id
    raise AssertionError(f"the stream ended after {heard}")


async def test_an_event_source_goes_on_with_the_last_id_it_heard(
    client: Client, http: aiohttp.ClientSession, start_worker: StartWorker
) -> None:
    await start_worker(echo)
    _, start = await follow(http, client.namespace, "", 0)
    ids = []
    for _ in range(4):
        ids.append((await client.submit(echo, b"")).execution_id)
        await client.result(ids[-1])

    first, last_id = await follow(http, client.namespace, start, 1)
    rest, _ = await follow(http, client.namespace, last_id, len(ids) - len(first))

    assert sorted(first + rest) == sorted(ids)
