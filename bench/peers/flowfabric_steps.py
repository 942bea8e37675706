"""FlowFabric's three steps: one worker process, a client that submits and waits for the result."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.peers.flowfabric_system import LANE, FlowFabric
from bench.server import Server
from bench.stepping import Stepper, Stepping, timed
from bench.system import lined_up

SLOTS = 64


class FlowFabricSteps(Stepping):
    """Its services and one worker with 64 slots, on the Valkey of the run."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Stepper]:
        system = FlowFabric(self.server, slots=SLOTS, kind="three")
        async with lined_up(system, {}) as line:
            line.gate.open()

            async def run() -> None:
                submission = await system.client.submit("three", lane=LANE)
                await system.client.result(submission.execution_id)

            yield Stepper(timed(run), line.roles)
