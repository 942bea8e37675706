"""A gateway's HTTP face with a made-up engine behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import pytest
from aiohttp.test_utils import TestClient, TestServer
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from ff_gateway.http.options import HttpOptions
from ff_gateway.http.server import build_app
from flowfabric_api.execution.v1 import execution_pb2
from flowfabric_api.operator.v1 import operator_pb2
from flowfabric_api.output.v1 import output_pb2
from flowfabric_api.subscription.v1 import subscription_pb2
from flowfabric_api.suspension.v1 import suspension_pb2
from flowfabric_api.worker.v1 import worker_pb2

SERVICES = [
    each
    for module in (execution_pb2, operator_pb2, output_pb2, subscription_pb2, suspension_pb2, worker_pb2)
    for each in module.DESCRIPTOR.services_by_name.values()
]


Answer = Callable[[Message], Awaitable[Message]]


class Engine:
    """Serves every method: answers what the test put there, remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self.answers: dict[str, Message | Exception | Answer] = {}
        self.streams: dict[str, Callable[[Message], AsyncGenerator[Message, None]]] = {}
        self.parts = {"store": "ok"}

    @property
    def request(self) -> Message:
        """The only request so far."""
        (request,) = self.requests
        return request

    def __getattr__(self, name: str) -> Callable[[Message, None], object]:
        async def unary(request: Message, _: None) -> Message:
            self.requests.append(request)
            answer = self.answers[name]
            if isinstance(answer, Exception):
                raise answer
            return await answer(request) if callable(answer) else answer

        def streaming(request: Message, _: None) -> AsyncGenerator[Message, None]:
            self.requests.append(request)
            return self.streams[name](request)

        return streaming if name in ("Subscribe", "TailOutput", "WatchExecution") else unary

    async def readiness(self) -> dict[str, str]:
        return self.parts


Connect = Callable[..., Awaitable[TestClient]]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def connect(engine: Engine) -> AsyncIterator[Connect]:
    """Starts the application with these options and gives a client for it."""
    clients: list[TestClient] = []

    async def start(*services: ServiceDescriptor, **options: object) -> TestClient:
        app = build_app(
            [(service, engine) for service in services or SERVICES],
            options=HttpOptions(**options),
            readiness=engine.readiness,
            metrics=lambda: b"ff_up 1\n",
        )
        server = TestServer(app)  # cancels handlers of clients that are gone, as HttpServer does
        await server.start_server()
        clients.append(TestClient(server))
        return clients[-1]

    yield start
    for client in clients:
        await client.close()


@pytest.fixture
async def client(connect: Connect) -> TestClient:
    return await connect()
