"""The same engine over HTTP and JSON."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest_asyncio

from flowfabric import Client, Context, State, task
from flowfabric._stack import Stack
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import until_state


@pytest_asyncio.fixture
async def http(flowfabric_stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(f"http://{flowfabric_stack.http}", timeout=timeout) as session:
        yield session


def text_of(data: bytes) -> str:
    """Bytes as JSON carries them."""
    return base64.b64encode(data).decode()


async def ask(http: aiohttp.ClientSession, method: str, path: str, body: object = None) -> Any:
    """The JSON of an answer that is well."""
    async with http.request(method, path, json=body) as response:
        assert response.status in (200, 201), await response.text()
        return await response.json()


async def create(http: aiohttp.ClientSession, namespace: str, **spec: object) -> str:
    """Id of a new execution."""
    body = {"spec": {"namespace": namespace, "kind": "by.http"} | spec}
    return str((await ask(http, "POST", "/v1/executions", body))["execution_id"])


async def claim(http: aiohttp.ClientSession, namespace: str) -> dict[str, Any]:
    """The one grant there is."""
    body = {"namespace": namespace, "max_grants": 1, "wait_time": "30s"}
    [grant] = (await ask(http, "POST", "/v1/workers/curl/claim", body))["grants"]
    return dict(grant)


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """Name and data of each server-sent event."""
    name = ""
    async for raw in response.content:
        field, _, value = raw.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


async def test_the_whole_way_of_an_execution_over_http(http: aiohttp.ClientSession, namespace: str) -> None:
    data = bytes(range(256))
    execution_id = await create(http, namespace, payload=text_of(data), tags={"order.id": "7"})
    grant = await claim(http, namespace)
    assert grant["execution_id"] == execution_id
    assert base64.b64decode(grant["payload"]) == data
    lease = grant["lease"]
    frame = {"number": "1", "kind": "FRAME_KIND_STDOUT", "data": text_of(b"hello")}
    await ask(http, "POST", "/v1/leases/output", {"lease": lease, "frames": [frame]})
    await ask(http, "POST", "/v1/leases/progress", {"progress": {"lease": lease, "percent": 50}})
    renewed = await ask(http, "POST", "/v1/workers/curl/renew", {"leases": [lease]})
    assert renewed["exceptions"] == []

    done = await ask(http, "POST", "/v1/leases/complete", {"lease": lease, "result": text_of(data[::-1])})

    assert done["answer"] == "completed"
    execution = await ask(http, "GET", f"/v1/executions/{execution_id}")
    assert (execution["state"], execution["attempt"]) == ("PUBLIC_STATE_COMPLETED", 1)
    assert (execution["progress"]["percent"], execution["spec"]["tags"]) == (50, {"order.id": "7"})
    async with http.get(f"/v1/executions/{execution_id}/result") as response:
        assert (response.status, response.content_type) == (200, "application/octet-stream")
        assert await response.read() == data[::-1]
    assert await ask(http, "GET", f"/v1/executions/{execution_id}/state") == "PUBLIC_STATE_COMPLETED"
    output = await ask(http, "GET", f"/v1/executions/{execution_id}/output")
    assert [base64.b64decode(one["data"]) for one in output["frames"]] == [b"hello"]
    assert output["close"]["reason"] == "completed"
    assert await ask(http, "GET", f"/v1/executions/{execution_id}/attempts/1/stream") == output
    assert (await ask(http, "GET", f"/v1/executions/{execution_id}/attempts/2/stream"))["frames"] == []


async def test_a_tail_by_server_sent_events_is_live_and_ends(
    http: aiohttp.ClientSession, namespace: str, start_worker: StartWorker
) -> None:
    turns = [asyncio.Event() for _ in range(3)]

    @task(kind="by.http")
    async def speak_in_turn(context: Context) -> None:
        for number, turn in enumerate(turns):
            await turn.wait()
            await context.emit(b"word %d" % number)

    await start_worker(speak_in_turn)
    execution_id = await create(http, namespace)
    heard: list[bytes] = []
    names: list[str] = []
    cursor = ""
    turns[0].set()
    async with http.get(f"/v1/executions/{execution_id}/output/tail") as response:
        assert response.content_type == "text/event-stream"
        async for name, message in events(response):
            names.append(name)
            for frame in message.get("frames", []):
                cursor = cursor or frame["cursor"]
                heard.append(base64.b64decode(frame["data"]))
                if len(heard) < len(turns):
                    turns[len(heard)].set()

    assert heard == [b"word 0", b"word 1", b"word 2"]
    assert names[-1] == "end"
    resumed = {"Last-Event-ID": cursor}
    async with http.get(f"/v1/executions/{execution_id}/output/tail", headers=resumed) as response:
        rest = [frame async for _, message in events(response) for frame in message.get("frames", [])]
    assert [base64.b64decode(frame["data"]) for frame in rest] == [b"word 1", b"word 2"]


async def test_a_watch_by_server_sent_events_shows_the_stages(
    http: aiohttp.ClientSession, namespace: str
) -> None:
    execution_id = await create(http, namespace)
    states = []
    async with http.get(f"/v1/executions/{execution_id}/watch") as response:
        async for name, message in events(response):
            if name != "message":
                continue
            states.append(message["execution"]["state"].removeprefix("PUBLIC_STATE_"))
            if states == ["WAITING"]:
                lease = (await claim(http, namespace))["lease"]
            if states[-1] == "ACTIVE" and states.count("ACTIVE") == 1:
                failure = {"type": "Broken", "non_retryable": True}
                await ask(http, "POST", "/v1/leases/fail", {"lease": lease, "failure": failure})
    assert list(dict.fromkeys(states)) == ["WAITING", "ACTIVE", "FAILED"]


async def test_steering_over_http(http: aiohttp.ClientSession, namespace: str, client: Client) -> None:
    execution_id = await create(http, namespace, priority=5)
    path = f"/v1/executions/{execution_id}"

    changed = await ask(http, "PUT", f"{path}/priority", {"priority": 9})
    assert (changed["old_priority"], changed["priority"]) == (5, 9)
    assert (await ask(http, "POST", f"{path}/cancel", {"reason": "no"}))["state"] == "PUBLIC_STATE_CANCELLED"
    assert (await ask(http, "POST", f"{path}/replay", {}))["state"] == "PUBLIC_STATE_WAITING"
    lease = (await claim(http, namespace))["lease"]
    assert (await ask(http, "POST", f"{path}/revoke-lease", {}))["revoked"] is True
    async with http.post("/v1/leases/complete", json={"lease": lease}) as response:
        refused = await response.json()
        assert (response.status, refused["kind"], refused["retryable"]) == (409, "LEASE_REVOKED", False)
    await until_state(client, execution_id, State.WAITING)
    listed = await ask(http, "GET", f"/v1/executions?namespace={namespace}&state=waiting")
    assert [one["execution_id"] for one in listed["executions"]] == [execution_id]


async def test_many_at_once_over_http(http: aiohttp.ClientSession, namespace: str) -> None:
    requests = [{"spec": {"namespace": namespace, "kind": kind}} for kind in ("a", "no such kind!", "c")]
    created = (await ask(http, "POST", "/v1/executions:bulkCreate", {"requests": requests}))["results"]
    assert [one["status"]["code"] != 0 for one in created] == [False, True, False]

    ids = [created[0]["execution_id"], created[2]["execution_id"]]
    cancelled = (await ask(http, "POST", "/v1/executions:bulkCancel", {"execution_ids": ids}))["results"]
    assert [one["state"] for one in cancelled] == ["PUBLIC_STATE_CANCELLED"] * 2


async def test_errors_have_a_status_and_a_kind(http: aiohttp.ClientSession, namespace: str) -> None:
    waiting = await create(http, namespace)
    unknown = "0-00000000-0000-7000-8000-000000000000"
    for path, status, kind in (
        (f"/v1/executions/{unknown}", 404, "EXECUTION_NOT_FOUND"),
        (f"/v1/executions/{waiting}/result", 404, "RESULT_NOT_READY"),
        ("/v1/executions?state=sideways", 400, "INVALID_ARGUMENT"),
        ("/v1/nowhere", 404, "UNIMPLEMENTED"),
    ):
        async with http.get(path) as response:
            assert (response.status, (await response.json())["kind"]) == (status, kind), path


async def test_probes_metrics_and_description_are_served(http: aiohttp.ClientSession) -> None:
    for path in ("/healthz", "/readyz"):
        async with http.get(path) as response:
            assert response.status == 200, await response.text()
    async with http.get("/metrics") as response:
        assert "ff_sessions" in await response.text()
    described = await ask(http, "GET", "/openapi.json")
    assert "/v1/workers/{worker_id}/claim" in described["paths"]
