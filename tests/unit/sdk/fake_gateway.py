"""A gateway that does what a test tells it, over real gRPC on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from flowfabric_api.execution.v1 import execution_pb2 as execution_pb
from flowfabric_api.execution.v1 import execution_pb2_grpc as execution_grpc
from flowfabric_api.journal.v1 import journal_pb2 as journal_pb
from flowfabric_api.operator.v1 import operator_pb2 as operator_pb
from flowfabric_api.operator.v1 import operator_pb2_grpc as operator_grpc
from flowfabric_api.output.v1 import output_pb2 as output_pb
from flowfabric_api.output.v1 import output_pb2_grpc as output_grpc
from flowfabric_api.subscription.v1 import subscription_pb2 as subscription_pb
from flowfabric_api.subscription.v1 import subscription_pb2_grpc as subscription_grpc
from flowfabric_api.suspension.v1 import suspension_pb2 as suspension_pb
from flowfabric_api.suspension.v1 import suspension_pb2_grpc as suspension_grpc
from flowfabric_api.worker.v1 import worker_pb2 as pb
from flowfabric_api.worker.v1 import worker_pb2_grpc as worker_grpc


def status(code: int, reason: str, message: str = "told so") -> status_pb2.Status:
    """A status with the detail that programs switch on."""
    result = status_pb2.Status(code=code, message=message)
    info = error_details_pb2.ErrorInfo(domain="flowfabric", reason=reason)
    result.details.add().Pack(info)
    return result


async def abort(context: grpc.aio.ServicerContext, rich: status_pb2.Status) -> None:
    """Ends a call with a rich status."""
    plain = rpc_status.to_status(rich)
    await context.abort(plain.code, plain.details, plain.trailing_metadata)


async def next_request(context: grpc.aio.ServicerContext) -> Any:
    """The next request; None when the other end, or this one, has ended the call."""
    try:
        request = await context.read()
    except (grpc.aio.AbortError, grpc.aio.InternalError, asyncio.CancelledError):
        return None
    return None if request is grpc.aio.EOF else request


class SessionEnd:
    """The gateway's end of one Session call."""

    def __init__(self, context: grpc.aio.ServicerContext) -> None:
        self.context = context
        self.hello = pb.Hello()
        self.requests: asyncio.Queue[pb.SessionRequest] = asyncio.Queue()
        self.history: list[pb.SessionRequest] = []
        self.ended = asyncio.Event()
        self._ending: asyncio.Future[status_pb2.Status | None] = asyncio.get_running_loop().create_future()

    async def send(self, message: pb.SessionResponse) -> None:
        await self.context.write(message)

    async def welcome(self, **fields: Any) -> None:
        welcome = pb.Welcome(session_id="s", max_output_frame_bytes=65536)
        for name, milliseconds in {
            "lease_ttl": 30_000,
            "renew_interval": 10_000,
            "offer_ttl": 20_000,
        }.items():
            getattr(welcome, name).FromMilliseconds(fields.pop(name, milliseconds))
        welcome.MergeFrom(pb.Welcome(**fields))
        await self.send(pb.SessionResponse(welcome=welcome))

    async def grant(self, lease: bytes, number: int, **fields: Any) -> None:
        fields = {"execution_id": f"x-{lease.decode()}", "attempt": 1} | fields
        grant = pb.Grant(lease=lease, number=number, **fields)
        await self.send(pb.SessionResponse(grants=[grant]))

    async def until(self, wanted: Callable[[pb.SessionRequest], bool]) -> pb.SessionRequest:
        """The next request that is wanted; the others are passed over."""
        while True:
            request = await self.requests.get()
            if wanted(request):
                return request

    async def outcome(self) -> pb.Outcome:
        """The next outcome."""
        request = await self.until(lambda request: bool(request.outcomes))
        return request.outcomes[0]

    async def acknowledge(self, lease: bytes) -> None:
        result = pb.OutcomeResult(lease=lease, answer="completed")
        result.status.code = code_pb2.OK
        await self.send(pb.SessionResponse(outcome_results=[result]))

    async def refuse(self, lease: bytes, rich: status_pb2.Status) -> None:
        """Refuses an outcome."""
        result = pb.OutcomeResult(lease=lease, status=rich)
        await self.send(pb.SessionResponse(outcome_results=[result]))

    async def write(self) -> pb.JournalWrite:
        """The next writing of a journal, not answered yet."""
        request = await self.until(lambda request: bool(request.journal))
        return request.journal[0]

    async def wrote(self, write: pb.JournalWrite, rich: status_pb2.Status | None = None) -> None:
        """Answers a write: durable, or refused."""
        result = pb.JournalResult(lease=write.lease, number=write.number, status=rich)
        await self.send(pb.SessionResponse(journal_results=[result]))

    async def record(self) -> list[journal_pb.Entry]:
        """The next write of a journal, made durable."""
        write = await self.write()
        await self.wrote(write)
        return list(write.entries)

    def end(self, rich: status_pb2.Status | None = None) -> None:
        """Ends the stream, with a status or well."""
        if not self._ending.done():
            self._ending.set_result(rich)

    async def pump(self) -> None:
        reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait((reader, self._ending), return_when=asyncio.FIRST_COMPLETED)
        finally:  # gRPC cancels the handler of a call that was cancelled
            self.ended.set()
        if self._ending.done() and (rich := self._ending.result()) is not None:
            await abort(self.context, rich)

    async def _read(self) -> None:
        while (request := await next_request(self.context)) is not None:
            self.history.append(request)
            if request.journal and request.outcomes:  # heard one after the other, as they count
                outcomes = pb.SessionRequest(outcomes=request.outcomes)
                request = pb.SessionRequest.FromString(request.SerializeToString())
                del request.outcomes[:]
                self.requests.put_nowait(request)
                request = outcomes
            self.requests.put_nowait(request)


class OutputEnd:
    """The gateway's end of one StreamOutput call."""

    def __init__(self, context: grpc.aio.ServicerContext) -> None:
        self.context = context
        self.requests: asyncio.Queue[pb.StreamOutputRequest] = asyncio.Queue()
        self._ending = asyncio.Event()

    async def acknowledge(self, lease: bytes, through: int) -> None:
        await self.context.write(pb.StreamOutputResponse(lease=lease, acked_through=through))

    async def refuse(self, lease: bytes, rich: status_pb2.Status, through: int = 0) -> None:
        await self.context.write(pb.StreamOutputResponse(lease=lease, acked_through=through, error=rich))

    async def frames(self, count: int) -> list[pb.Frame]:
        """So many frames, from as many messages as they come in."""
        frames: list[pb.Frame] = []
        while len(frames) < count:
            frames.extend((await self.requests.get()).frames)
        return frames

    def end(self) -> None:
        self._ending.set()

    async def pump(self) -> None:
        reader = asyncio.create_task(self._read())
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait((reader, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()

    async def _read(self) -> None:
        while (request := await next_request(self.context)) is not None:
            self.requests.put_nowait(request)


class WorkerDoor(worker_grpc.WorkerServiceServicer):
    def __init__(self) -> None:
        self.sessions: asyncio.Queue[SessionEnd] = asyncio.Queue()
        self.outputs: asyncio.Queue[OutputEnd] = asyncio.Queue()
        self.acknowledges_output = False
        """Every frame at once, on whichever stream it comes; otherwise the test does it."""
        self.pages: list[pb.ReadJournalResponse | status_pb2.Status] = []
        """Answers to ReadJournal, in order."""
        self.reads: list[pb.ReadJournalRequest] = []
        self.resumptions: list[pb.ReadResumptionResponse] = []
        """Answers to ReadResumption, in order."""

    async def ReadResumption(self, _request: Any, _context: Any) -> Any:
        return self.resumptions.pop(0)

    async def ReadJournal(self, request: Any, context: Any) -> Any:
        self.reads.append(request)
        page = self.pages.pop(0)
        if isinstance(page, status_pb2.Status):
            await abort(context, page)
        return page

    async def Session(self, requests: Any, context: Any) -> None:
        end = SessionEnd(context)
        first = await context.read()
        end.hello = first.hello
        end.history.append(first)
        self.sessions.put_nowait(end)
        await end.pump()

    async def StreamOutput(self, requests: Any, context: Any) -> None:
        end = OutputEnd(context)
        self.outputs.put_nowait(end)
        if self.acknowledges_output:
            while (request := await next_request(context)) is not None:
                await end.acknowledge(request.lease, request.frames[-1].number)
        else:
            await end.pump()


class ClientDoor(
    execution_grpc.ExecutionServiceServicer,
    output_grpc.OutputServiceServicer,
    operator_grpc.OperatorServiceServicer,
    subscription_grpc.SubscriptionServiceServicer,
    suspension_grpc.SuspensionServiceServicer,
):
    """Answers each method from a script of messages, lists of messages for streams, and statuses."""

    def __init__(self) -> None:
        self.script: dict[str, list[Any]] = {}
        self.seen: list[tuple[str, Any]] = []
        self.metadata: list[dict[str, Any]] = []

    def requests(self, method: str) -> list[Any]:
        return [request for name, request in self.seen if name == method]


def unary(name: str) -> Any:
    async def answer(self: ClientDoor, request: Any, context: Any) -> Any:
        self.seen.append((name, request))
        self.metadata.append(dict(context.invocation_metadata()))
        step = self.script[name].pop(0)
        if isinstance(step, status_pb2.Status):
            await abort(context, step)
        return step

    return answer


def stream(name: str) -> Any:
    async def answer(self: ClientDoor, request: Any, context: Any) -> AsyncIterator[Any]:
        self.seen.append((name, request))
        for step in self.script[name].pop(0):
            if isinstance(step, status_pb2.Status):
                await abort(context, step)
            yield step

    return answer


for module in (execution_pb, operator_pb, output_pb, subscription_pb, suspension_pb):
    for service in module.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            answers = stream if method.server_streaming else unary
            setattr(ClientDoor, method.name, answers(method.name))


class FakeGateway:
    """Both doors on one port; can be closed and opened again."""

    def __init__(self) -> None:
        self.worker = WorkerDoor()
        self.client = ClientDoor()
        self.port = 0
        self._server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def open(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        worker_grpc.add_WorkerServiceServicer_to_server(self.worker, self._server)
        execution_grpc.add_ExecutionServiceServicer_to_server(self.client, self._server)
        output_grpc.add_OutputServiceServicer_to_server(self.client, self._server)
        operator_grpc.add_OperatorServiceServicer_to_server(self.client, self._server)
        subscription_grpc.add_SubscriptionServiceServicer_to_server(self.client, self._server)
        suspension_grpc.add_SuspensionServiceServicer_to_server(self.client, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def close(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def session(self, **welcome: Any) -> SessionEnd:
        """The next session, welcomed."""
        end = await self.worker.sessions.get()
        await end.welcome(**welcome)
        return end
