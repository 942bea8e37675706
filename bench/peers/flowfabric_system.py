"""FlowFabric: gateway, scheduler and scanners as processes of their own, used through its SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from signal import SIGKILL

from bench.processes import Command
from bench.server import Server
from bench.system import Submit, System, each_in_flight
from flowfabric import Client, EngineError, Spec, State
from flowfabric.stack import Stack

LANE = "bench"
#: Most that one bulk call takes.
BULK = 1_000
FILL_IN_FLIGHT = 3
SERVICES = ("gateway", "scheduler", "scanners")
#: Tells a worker process, as JSON, which workers to run: a list of WorkerShape.
WORKERS_VARIABLE = "BENCH_WORKERS"


@dataclass(frozen=True)
class WorkerShape:
    """One worker, with a session of its own."""

    slots: int
    capabilities: Sequence[str] = ()


class FlowFabric(System):
    """So many processes with so many workers with so many slots, or workers of given shapes by process."""

    #: What a sample leaves behind is thrown away, so nobody waits for a drain.
    stop_signal = SIGKILL

    def __init__(
        self,
        server: Server,
        processes: int = 1,
        workers: int = 1,
        slots: int = 1,
        *,
        shapes: Sequence[Sequence[WorkerShape]] | None = None,
        kind: str = "noop",
    ) -> None:
        super().__init__(server)
        self.shapes = shapes or [[WorkerShape(slots)] * workers] * processes
        self.processes = len(self.shapes)
        self.kind = kind
        self._stack: Stack | None = None
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """A client of the running services."""
        assert self._client is not None, "the services do not run"
        return self._client

    @asynccontextmanager
    async def services(self) -> AsyncIterator[Mapping[str, Sequence[int]]]:
        async with Stack(valkey=f"{self.server.host}:{self.server.port}") as stack:
            self._stack = stack
            try:
                async with Client(stack.address) as self._client:
                    yield {service: [stack.processes[f"{service}-0"].pid] for service in SERVICES}
            finally:
                for process in stack.processes.values():
                    process.kill(SIGKILL)

    def workers(self) -> Sequence[Command]:
        assert self._stack is not None, "the services do not run"
        return [
            Command(
                "bench.peers.flowfabric_app",
                environment={
                    "FF_ADDR": self._stack.address,
                    WORKERS_VARIABLE: json.dumps([asdict(shape) for shape in shapes]),
                },
            )
            for shapes in self.shapes
        ]

    @asynccontextmanager
    async def submitter(self) -> AsyncIterator[Submit]:
        async def submit(payload: bytes) -> object:
            return await self.client.submit(self.kind, payload, lane=LANE)

        yield submit

    async def submit_bulk(self, count: int, payload: bytes) -> None:
        """Submits up to 1,000 with one call of the SDK, which splits it when it is over 3 MiB."""
        verdicts = await self.client.submit_many([Spec(self.kind, payload, lane=LANE)] * count)
        for verdict in verdicts:
            if isinstance(verdict, EngineError):
                raise verdict

    async def fill(self, count: int, payload: bytes) -> None:
        sizes = [min(BULK, count - first) for first in range(0, count, BULK)]
        remaining = iter(sizes)

        async def bulk(data: bytes) -> None:
            await self.submit_bulk(next(remaining), data)

        await each_in_flight(bulk, [payload] * len(sizes), FILL_IN_FLIGHT)

    async def is_settled(self) -> bool:
        """No lease is held and nothing waits; asked of the engine, not of its keys."""
        for state in (State.ACTIVE, State.WAITING):
            if (await self.client.list_page(state=state, lane=LANE, page_size=1)).executions:
                return False
        return True
