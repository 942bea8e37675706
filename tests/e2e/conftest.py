"""What the tests of the whole engine share: one stack an xdist worker, a namespace a test."""

from __future__ import annotations

import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from flowfabric import Client, SessionSuperseded, Task, Worker
from flowfabric._stack import Stack
from flowfabric._valkey import wait_until

StartWorker = Callable[..., Awaitable[Worker]]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here starts real processes."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.processes)


@pytest.fixture(scope="session")
def flowfabric_stack(flowfabric_stack: Stack) -> Stack:
    """The stack once its gateway has found the scheduler: a raw claim before that is refused."""
    wait_until(lambda: is_ready(flowfabric_stack.http), 30, lambda: "the gateway is not ready")
    return flowfabric_stack


def is_ready(http: str) -> bool:
    """Whether a gateway says that all it needs is there."""
    try:
        with urllib.request.urlopen(f"http://{http}/readyz", timeout=10) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False


@pytest.fixture
def namespace() -> str:
    """A namespace of the test's own, so that tests share a stack and nothing else."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest_asyncio.fixture
async def client(flowfabric_stack: Stack, namespace: str) -> AsyncIterator[Client]:
    """A client of the test's namespace."""
    async with Client(flowfabric_stack.address, namespace=namespace) as client:
        yield client


@pytest_asyncio.fixture
async def start_worker(flowfabric_stack: Stack, namespace: str) -> AsyncIterator[StartWorker]:
    """Starts workers in this process, in the test's namespace; they are stopped after the test."""
    workers: list[Worker] = []

    async def start(*tasks: Task[..., Any], **options: Any) -> Worker:
        worker = Worker(tasks, **{"address": flowfabric_stack.address, "namespace": namespace} | options)
        await worker.start()
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        with suppress(SessionSuperseded):  # what a worker ended with, its `stop` says again
            await worker.stop()
