"""Fixtures of the SDK's unit tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from flowfabric import EngineError, Task, Worker

from .fake_gateway import FakeGateway, SessionEnd
from .ledger import Ledger
from .work import Advance, Start


@pytest.fixture
def ledger() -> Ledger:
    """What the steps of the test did."""
    return Ledger()


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """A gateway on loopback that does what the test tells it."""
    fake = FakeGateway()
    await fake.open()
    yield fake
    await fake.close()


@pytest.fixture
async def advance() -> Advance:
    """Moves the clock of the test's loop forward, so that a test need not race a short timer."""
    loop = asyncio.get_running_loop()
    true_time, ahead = loop.time, 0.0

    def skip(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    loop.time = lambda: true_time() + ahead  # for good: the loop ends with the test
    return skip


@pytest.fixture
async def start(gateway: FakeGateway) -> AsyncIterator[Start]:
    """Starts a worker and welcomes its session; stops it when the test is over."""
    workers: list[Worker] = []

    async def start_worker(
        *tasks: Task[..., Any], welcome: dict[str, int] | None = None, **options: Any
    ) -> tuple[Worker, SessionEnd]:
        worker = Worker(tasks, address=gateway.address, **options)
        workers.append(worker)
        starting = asyncio.create_task(worker.start())
        session = await gateway.session(**(welcome or {}))
        await starting
        return worker, session

    yield start_worker
    for worker in workers:
        with suppress(EngineError):  # the test has seen it
            await worker.stop()
