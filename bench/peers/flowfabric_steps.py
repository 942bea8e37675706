"""FlowFabric's three steps: one worker process, a client that submits and fetches the result."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.peers.flowfabric_ear import listening
from bench.peers.flowfabric_system import LANE, FlowFabric
from bench.server import Server
from bench.stepping import Stepper, Stepping, timed
from bench.system import lined_up
from flowfabric import EventFamily

SLOTS = 64


class FlowFabricSteps(Stepping):
    """Its services and one worker with 64 slots, on the Valkey of the run.

    The client hears of the ends of all executions through one subscription, as one that has many does,
    or waits for each result by itself (`Client.result`), which opens a watch.
    """

    def __init__(self, server: Server, *, watches: bool = False) -> None:
        self.server = server
        self.watches = watches

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Stepper]:
        system = FlowFabric(self.server, slots=SLOTS, kind="three")
        async with (
            lined_up(system, {}) as line,
            listening(system.client, EventFamily.COMPLETION) as ear,
        ):
            line.gate.open()
            client = system.client

            async def hear() -> None:
                submission = await client.submit("three", lane=LANE)
                await ear.hears(submission.execution_id, "completed")
                assert await client.result(submission.execution_id, int, timeout=0) == 3

            async def watch() -> None:
                submission = await client.submit("three", lane=LANE)
                assert await client.result(submission.execution_id, int) == 3

            yield Stepper(timed(watch if self.watches else hear), line.roles)
