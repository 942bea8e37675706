"""Who is let in, and what a gateway refuses to do without a token."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from flowfabric import Client, Unauthenticated, Worker, task
from flowfabric._stack import Stack
from flowfabric._valkey import ValkeyServer
from flowfabric_api.execution.v1 import execution_pb2 as pb
from tests.e2e.waiting import eventually
from tests.e2e.wire import open_stubs, refusal

TOKEN = "a-token-of-32-characters-or-so-!"


@task
async def reverse(data: bytes) -> bytes:
    return data[::-1]


@pytest_asyncio.fixture
async def guarded() -> AsyncIterator[Stack]:
    """A stack behind a token."""
    async with Stack(env={"FF_API_TOKEN": TOKEN}) as stack:
        yield stack


def status_of(url: str, token: str = "") -> int:
    """Status of a GET."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as answer:
        answer.close()
        return int(answer.code)


async def test_with_a_token_only_those_who_show_it_come_in(guarded: Stack) -> None:
    for token in (None, "wrong"):
        async with Client(guarded.address, token=token) as stranger:
            with pytest.raises(Unauthenticated):
                await stranger.submit(reverse, b"ab")
        with pytest.raises(Unauthenticated):
            await Worker([reverse], address=guarded.address, token=token).start()
    async with open_stubs(guarded.address) as stubs:
        async with refusal(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await stubs.executions.GetExecution(pb.GetExecutionRequest(execution_id="0-0"))
        async with refusal(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            async for _ in stubs.executions.WatchExecution(pb.WatchExecutionRequest(execution_id="0-0")):
                pass
    for path, status in (("/v1/executions", 401), ("/healthz", 200), ("/metrics", 200)):
        assert await asyncio.to_thread(status_of, f"http://{guarded.http}{path}") == status, path
    listing = f"http://{guarded.http}/v1/executions"
    assert await asyncio.to_thread(status_of, listing, "wrong") == 401
    assert await asyncio.to_thread(status_of, listing, TOKEN) == 200

    worker = Worker([reverse], address=guarded.address, token=TOKEN)
    await worker.start()
    async with Client(guarded.address, token=TOKEN) as client:
        await eventually(client.workers)
        submission = await client.submit(reverse, b"ab")
        assert await client.result(submission.execution_id, timeout=30) == b"ba"
    await worker.stop()


@pytest.mark.parametrize(
    ("module", "variable"),
    [
        ("ff_gateway", "FF_GRPC_ADDR"),
        ("ff_gateway", "FF_LISTEN_ADDR"),
        ("ff_scheduler", "FF_DISPATCH_ADDR"),
    ],
)
def test_without_a_token_no_service_listens_beyond_this_machine(module: str, variable: str) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", module],
        env=os.environ | {variable: "0.0.0.0:0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert refused.returncode == 2
    assert "refusing to listen on 0.0.0.0:0 without FF_API_TOKEN" in refused.stderr
    assert "FF_ALLOW_INSECURE" in refused.stderr


def test_a_token_is_not_printed_with_the_settings() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "ff_gateway", "--print-settings"],
        env=os.environ | {"FF_API_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert '"api_token"' in printed.stdout
    assert TOKEN not in printed.stdout + printed.stderr


async def test_a_number_of_partitions_other_than_the_first_refuses_to_start() -> None:
    with ValkeyServer() as valkey:
        async with Stack(scanners=0, schedulers=0, valkey=valkey.address):
            pass
        refused = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "ff_gateway"],
            env=os.environ
            | {"FF_PORT": str(valkey.port), "FF_PARTITIONS": "32", "FF_LOG_FORMAT": "json"}
            | dict.fromkeys(("FF_GRPC_ADDR", "FF_LISTEN_ADDR"), "127.0.0.1:0"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert refused.returncode == 1
    assert "64" in refused.stdout + refused.stderr
