"""Subscriptions that come back later than the feed remembers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import aiohttp
import pytest_asyncio

from flowfabric import Client, EventPage
from flowfabric._stack import Stack
from tests.e2e.waiting import PATIENCE_S

KEPT = 100
#: Entries go by whole nodes of the stream, which hold 100 at most.
MANY = 2 * KEPT + 50


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[Stack]:
    """An engine with one feed, which is short."""
    async with Stack(env={"FF_PARTITIONS": "1", "FF_EVENTS_KEPT": str(KEPT)}) as stack:
        yield stack


async def submit(client: Client, count: int) -> list[str]:
    """Ids of so many new executions, each an entry of the feed."""
    return [(await client.submit("nobody.does.this", b"")).execution_id for _ in range(count)]


async def heard(client: Client, after: str, last: str) -> list[EventPage]:
    """Pages of a subscription, up to the one with the events of `last`; empty ones left out."""
    pages: list[EventPage] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(client.subscribe(after)) as following:
        async for page in following:
            if page.events or page.fell_off:
                pages.append(page)
            if page.events and page.events[-1].execution_id == last:
                return pages
    raise AssertionError("the subscription ended")


async def told(http: str, after: str, last: str) -> tuple[list[str], list[bool], str]:
    """The same as an EventSource hears it: executions, which messages say that some are missing, last id."""
    ids: list[str] = []
    flags: list[bool] = []
    headers = {"Accept": "text/event-stream", "Last-Event-ID": after}
    async with (
        asyncio.timeout(PATIENCE_S),
        aiohttp.ClientSession() as session,
        session.get(f"http://{http}/v1/events", headers=headers) as response,
    ):
        async for raw in response.content:
            field, _, value = raw.decode().rstrip("\n").partition(": ")
            if field == "id":
                after = value
            elif field == "data":
                message = json.loads(value)
                ids += [event["execution_id"] for event in message.get("events", ())]
                flags.append(message.get("fell_off", False))
                assert message.get("partitions_fell_off", []) == [0] * flags[-1]
            if not field and ids and ids[-1] == last:  # the blank line that ends an event
                return ids, flags, after
    raise AssertionError("the stream ended")


async def test_who_comes_too_late_is_told_once_and_goes_on(stack: Stack) -> None:
    async with Client(stack.address) as client:
        [first] = await submit(client, 1)
        cursor = (await client.read_events(from_first=True)).cursor
        ids = await submit(client, MANY)

        pages = await heard(client, cursor, ids[-1])
        seen = [event.execution_id for page in pages for event in page.events]
        assert [page.fell_off for page in pages] == [True] + [False] * (len(pages) - 1)
        assert pages[0].partitions_fell_off == (0,)
        assert KEPT <= len(seen) < MANY
        assert seen == ids[-len(seen) :]

        by_http, flags, last_id = await told(stack.http, cursor, ids[-1])
        assert by_http == seen
        assert flags.count(True) == 1

        # Whoever has read everything has missed nothing, by the cursor of either way.
        [new] = await submit(client, 1)
        for after in (pages[-1].cursor, last_id):
            [page] = await heard(client, after, new)
            assert ([event.execution_id for event in page.events], page.fell_off) == ([new], False)
        assert (await told(stack.http, last_id, new))[:2] == ([new], [False, False])
        assert first not in seen
