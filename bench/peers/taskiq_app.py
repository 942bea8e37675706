"""The module that Taskiq's worker processes import."""

from __future__ import annotations

import asyncio
import os

from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import RedisStreamBroker

from bench.gate import Entrant
from bench.system import VALKEY_VARIABLE

entrant = Entrant()
broker = RedisStreamBroker(os.environ[VALKEY_VARIABLE])


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def wait_at_gate(state: TaskiqState) -> None:
    """Holds each process at the gate before it listens."""
    await asyncio.to_thread(entrant.wait)


@broker.task(task_name="noop")
async def noop(payload: str) -> None:
    """The task."""
    entrant.count(entrant.moment())
