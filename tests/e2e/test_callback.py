"""A waitpoint's URL: whoever has it can answer, with nothing but HTTP, and can do nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest_asyncio

from flowfabric import Client, Context, State, Waitpoint, task
from flowfabric._stack import Stack
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import until_state

LONG = timedelta(hours=1)
Told = asyncio.Queue[Waitpoint]


@pytest_asyncio.fixture
async def http(flowfabric_stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody who knows nothing of FlowFabric."""
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(f"http://{flowfabric_stack.http}", timeout=timeout) as session:
        yield session


@pytest_asyncio.fixture
async def told(start_worker: StartWorker) -> Told:
    """Where the task `order` says what it waits for."""
    told: Told = asyncio.Queue()

    @task
    async def order(context: Context) -> list[Any]:
        waitpoint = await context.waitpoint("payment")
        if context.resumption is None:
            await told.put(waitpoint)
        signal = (await context.wait_for(waitpoint, timeout=LONG)).signal
        return [signal.name, signal.payload.hex(), signal.correlation_id, signal.source]

    await start_worker(order)
    return told


async def ordered(client: Client, told: Told) -> tuple[str, str]:
    """A suspended execution, and the path of its callback."""
    execution_id = (await client.submit("order")).execution_id
    await until_state(client, execution_id, State.SUSPENDED)
    return execution_id, (await told.get()).callback_path


async def test_any_body_by_post_resumes(client: Client, http: aiohttp.ClientSession, told: Told) -> None:
    execution_id, path = await ordered(client, told)
    body = bytes(range(256))
    headers = {"Content-Type": "image/png", "X-Correlation-Id": "charge 7"}

    async with http.post(f"{path}?name=paid", data=body, headers=headers) as response:
        answer = await response.json()

    assert (response.status, answer["effect"], answer["duplicate"]) == (200, "SIGNAL_EFFECT_RESUMED", False)
    assert await client.result(execution_id, list) == ["paid", body.hex(), "charge 7", "waitpoint:1"]


async def test_a_callback_without_a_word_is_called_callback(
    client: Client, http: aiohttp.ClientSession, told: Told
) -> None:
    execution_id, path = await ordered(client, told)

    async with http.post(path) as response:
        assert response.status == 200

    assert await client.result(execution_id, list) == ["callback", "", "", "waitpoint:1"]


async def test_who_calls_again_gets_the_first_answer_and_who_says_something_else_is_refused(
    client: Client, http: aiohttp.ClientSession, told: Told
) -> None:
    execution_id, path = await ordered(client, told)

    async with http.post(path, data=b"1") as first, http.post(path, data=b"1") as again:
        assert (first.status, again.status) == (200, 200)
        answer, repeat = await first.json(), await again.json()
    async with http.post(path, data=b"2") as other:
        assert other.status == 409

    assert (answer["duplicate"], repeat["duplicate"]) == (False, True)
    assert answer["number"] == repeat["number"]
    assert (await client.result(execution_id, list))[1] == b"1".hex()


async def test_looking_at_the_url_changes_nothing(
    client: Client, http: aiohttp.ClientSession, told: Told
) -> None:
    execution_id, path = await ordered(client, told)

    async with http.get(path) as get, http.head(path) as head:
        assert (get.status, head.status) == (405, 405)

    assert (await client.get(execution_id)).state is State.SUSPENDED


async def test_a_url_that_was_changed_anywhere_opens_nothing_and_tells_nothing(
    client: Client, http: aiohttp.ClientSession, told: Told
) -> None:
    execution_id, path = await ordered(client, told)
    other_id, other_path = await ordered(client, told)
    token, _, waitpoint_id = path.rpartition("/")[2].partition(f".{client.namespace}")
    forged = [
        path.replace(execution_id, other_id),
        path.replace("/w1.", "/w2."),
        path.replace("~p1~", "~p2~"),
        path.replace("~p1~", "~s1~"),
        path[:-1] + str((int(path[-1]) + 1) % 10),
        f"/v1/callbacks/{token[:-1]}{'A' if token[-1] != 'A' else 'B'}.{client.namespace}{waitpoint_id}",
        "/v1/callbacks/nonsense",
    ]

    answers = set()
    for each in forged:
        assert each not in (path, other_path)
        async with http.post(each) as response:
            answers.add((response.status, await response.text()))

    assert len(answers) == 1
    assert answers.pop()[0] == 403
    assert (await client.get(execution_id)).state is State.SUSPENDED


async def test_a_body_over_the_limit_is_refused(
    client: Client, http: aiohttp.ClientSession, told: Told
) -> None:
    execution_id, path = await ordered(client, told)

    async with http.post(path, data=b"x" * (64 * 1024 + 1)) as response:
        assert response.status == 413

    assert (await client.get(execution_id)).state is State.SUSPENDED
