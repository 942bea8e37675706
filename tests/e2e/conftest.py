"""What the tests of the whole engine share: one stack an xdist worker, a namespace a test."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from flowfabric import Client, SessionSuperseded, Task, Worker
from flowfabric._stack import Stack
from flowfabric._valkey import wait_until
from flowfabric.testing import open_stack
from tests.e2e.waiting import PATIENCE_S, is_ready

StartWorker = Callable[..., Awaitable[Worker]]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here starts real processes."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.processes)


@pytest.fixture(scope="session")
def flowfabric_stack() -> Iterator[Stack]:
    """The stack once its gateway has found the scheduler: a raw claim before that is refused.

    Nobody dies here, so none of its processes is taken for dead because the machine is slow.
    """
    with ExitStack() as exits:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FF_MEMBER_TTL_MS", "60000")
            stack = exits.enter_context(open_stack())
        wait_until(lambda: is_ready(stack.http), PATIENCE_S, lambda: "the gateway is not ready")
        yield stack


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
