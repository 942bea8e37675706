"""Subscriptions through both doors: pages, streams, and a browser that comes back."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from flowfabric_api.execution.v1 import execution_pb2 as ex
from flowfabric_api.subscription.v1 import subscription_pb2 as sub
from flowfabric_api.worker.v1 import worker_pb2 as wk

from .door import Door
from .worker_stream import claimed

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def create(door: Door, lane: str, **fields: object) -> str:
    spec = ex.ExecutionSpec(kind="k", lane=lane, **fields)  # type: ignore[arg-type]
    [created] = await door.ask(ex.CreateExecutionRequest(spec=spec), "CreateExecution")
    return str(created.execution_id)


async def read(door: Door, **fields: object) -> sub.SubscribeResponse:
    [page] = await door.ask(sub.SubscribeRequest(**fields), "ReadEvents")  # type: ignore[arg-type]
    assert isinstance(page, sub.SubscribeResponse)
    return page


async def test_pages_go_on_where_the_cursor_says(door: Door) -> None:
    now = (await read(door)).cursor.cursor
    ids = [await create(door, "paged", tags={"app.name": str(number % 2)}) for number in range(6)]
    await create(door, "elsewhere")

    found: list[str] = []
    cursor = now
    while (page := await read(door, after=cursor, lane="paged", tags=["app.name=1"], page_size=1)).events:
        found += [event.execution_id for event in page.events]
        cursor = page.cursor.cursor

    assert sorted(found) == sorted(ids[1::2])


async def test_an_event_says_what_happened_to_what(door: Door) -> None:
    now = (await read(door)).cursor.cursor
    id = await create(door, "told", priority=3)
    grant = await claimed(door, "told")
    await door.ask(wk.CompleteRequest(lease=grant.lease), "Complete")

    events = (await read(door, after=now, lane="told")).events
    completions = (await read(door, after=now, lane="told", families=["EVENT_FAMILY_COMPLETION"])).events

    assert [event.name for event in events] == ["created", "claimed", "confirmed", "completed"]
    assert {event.execution_id for event in events} == {id}
    assert len({event.event_id for event in events}) == 4
    [done] = completions
    assert done == events[-1]
    assert (done.state, done.attempt, done.epoch, done.namespace, done.lane, done.kind) == (
        "completed", 1, 1, "default", "told", "k",
    )  # fmt: skip


async def next_event(response: aiohttp.ClientResponse) -> tuple[str, dict[str, Any]]:
    """Id and data of the next server-sent event."""
    fields: dict[str, str] = {}
    async for raw in response.content:
        name, _, value = raw.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            return fields["id"], json.loads(fields["data"])
    raise AssertionError("the stream ended")


async def test_a_browser_follows_and_comes_back_with_the_last_id(door: Door) -> None:
    url = f"{door.http}/v1/events?lane=followed"
    async with door.web.get(url) as response:
        assert response.content_type == "text/event-stream"
        start, first = await next_event(response)
        while_there = await create(door, "followed")
        _, heard = await next_event(response)
    away = await create(door, "followed")

    names: list[str] = []
    async with door.web.get(url, headers={"Last-Event-ID": start}) as response:
        while away not in names:
            _, data = await next_event(response)
            names += [event["execution_id"] for event in data.get("events", [])]

    assert first.get("events", []) == []
    assert [event["execution_id"] for event in heard["events"]] == [while_there]
    assert names == [while_there, away]
