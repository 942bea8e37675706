"""A gateway and a scheduler in this process, one pair for each module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
import structlog

from ff_gateway.app import Gateway
from ff_gateway.settings import GatewaySettings
from ff_scheduler.app import serve
from ff_scheduler.settings import SchedulerSettings
from flowfabric.testing import AnyValkey

from ..engine import PARTITIONS, eventually
from .door import Door
from .worker_stream import Stream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(engine_valkey: AnyValkey) -> AsyncIterator[Door]:
    """The gateway's doors, with a scheduler behind them."""
    engine_valkey.call("FLUSHALL")
    shared: dict[str, object] = {
        "host": engine_valkey.host,
        "port": engine_valkey.port,
        "partitions": PARTITIONS,
        "member_ttl_ms": 60_000,  # none of them dies: a busy machine does not make it look so
    }
    stopping = asyncio.Event()
    scheduler = asyncio.ensure_future(serve(SchedulerSettings.model_validate(shared), stopping))
    addresses = {"grpc_addr": "127.0.0.1:0", "listen_addr": "127.0.0.1:0", "max_payload_bytes": 4096}
    with structlog.testing.capture_logs() as lines:
        gateway = await Gateway.start(GatewaySettings.model_validate(shared | addresses))
    [ready] = [line for line in lines if line["event"] == "ready" and "grpc" in line]

    async def has_scheduler() -> bool:
        return gateway.book.has_scheduler

    await eventually(has_scheduler)
    opened = Door(gateway, engine_valkey, ready["grpc"], ready["http"])
    yield opened
    await opened.close()
    await gateway.stop(1.0)
    stopping.set()
    await scheduler


@pytest_asyncio.fixture(loop_scope="module")
async def stream(door: Door) -> AsyncIterator[Stream]:
    """The session of a worker. Nothing is left of it when the next test looks at what is stored."""
    opened = Stream(door)
    yield opened
    opened.drop()

    async def is_forgotten() -> bool:
        return door.valkey.call("KEYS", "ff:{w}:*") == []

    await eventually(is_forgotten)
