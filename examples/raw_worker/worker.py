"""A worker against the bare wire: grpcio and the generated messages, no SDK.

It does what docs/reference/worker-protocol.md asks of a worker in any language, with one pool. What outlives
a stream is in `Worker`; what goes with it is in `Conversation`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import grpc
import grpc.aio

from flowfabric_api.output.v1.output_pb2 import FRAME_KIND_STDOUT
from flowfabric_api.worker.v1 import worker_pb2 as pb
from flowfabric_api.worker.v1.worker_pb2_grpc import WorkerServiceStub

SLOTS = 4
RECONNECT_S = 0.2
#: Every gateway would answer these; after all others the worker says hello again.
FINAL = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.ABORTED)
#: Grants carry payloads. A gateway that leaves a ping unanswered for five seconds is gone.
OPTIONS = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)
Emit = Callable[[bytes], Awaitable[None]]


async def shout(payload: bytes, emit: Emit) -> bytes:
    """Says each word loudly: as output on the way, all together as the result."""
    words = payload.upper().split()
    for word in words:
        await emit(word)
    return b" ".join(words)


async def wait(_payload: bytes, emit: Emit) -> bytes:
    """Goes on until it is asked to stop."""
    await emit(b"waiting")
    await asyncio.Event().wait()
    return b""


HANDLERS = {"shout": shout, "wait": wait}


@dataclass
class Held:
    """A lease, from its grant to the answer to its outcome."""

    task: asyncio.Task[bytes]
    expiry: asyncio.TimerHandle
    outcome: pb.Outcome | None = None
    is_said: bool = False


@dataclass
class Conversation:
    """One Session stream."""

    welcome: asyncio.Future[pb.Welcome]
    seen: int = 0
    limit: int = 0
    renewals: list[tuple[float, list[bytes]]] = field(default_factory=list)
    is_ending: bool = False


class Worker:
    """Runs handlers for grants, over one conversation after the other."""

    def __init__(self, address: str, token: str) -> None:
        self.stub = WorkerServiceStub(grpc.aio.insecure_channel(address, options=OPTIONS))
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self.worker_id = f"raw-{uuid.uuid4().hex}"  # the same in every conversation
        self.loop = asyncio.get_running_loop()
        self.held: dict[bytes, Held] = {}
        self.is_draining = False
        self.news = asyncio.Event()

    async def run(self) -> None:
        """Works until drained. Raises AioRpcError when no gateway will have this worker."""
        while self.held or not self.is_draining:
            talk = Conversation(self.loop.create_future())
            for held in self.held.values():
                held.is_said = False  # this conversation has heard of no outcome
            try:
                async for message in self.stub.Session(self.speak(talk), metadata=self.metadata):
                    self.hear(message, talk)
            except grpc.aio.AioRpcError as error:
                if error.code() in FINAL:
                    raise
            await asyncio.sleep(RECONNECT_S)

    def drain(self) -> None:
        """Takes no more work; `run` returns once every outcome is answered."""
        self.is_draining = True
        self.news.set()

    async def speak(self, talk: Conversation) -> AsyncIterator[pb.SessionRequest]:
        """Hello, then whatever is ready at a moment in one message. Returning closes our side."""
        hello = pb.Hello(worker_id=self.worker_id, sdk_name="raw", held_leases=self.held, kinds=HANDLERS)
        hello.pools.add(lanes=["default"], slots=SLOTS)
        yield pb.SessionRequest(hello=hello)
        interval, renew_at = seconds((await talk.welcome).renew_interval), self.loop.time()
        said_drain = False
        while True:
            self.news.clear()
            message = pb.SessionRequest()
            limit = talk.seen + max(0, SLOTS - len(self.held))
            if limit > talk.limit and not (self.is_draining or talk.is_ending):
                talk.limit = limit
                message.credits.add(pool=0, limit=limit)
            if self.loop.time() >= renew_at or talk.is_ending:
                renew_at = self.loop.time() + interval
                talk.renewals.append((self.loop.time(), list(self.held)))
                message.renew.sequence = len(talk.renewals)
                message.renew.leases.extend(self.held)  # all of them; an empty list is a heartbeat too
                message.renew.seen_grant_numbers.append(talk.seen)
            for held in self.held.values():
                if held.outcome is not None and not held.is_said:
                    held.is_said = True
                    message.outcomes.append(held.outcome)
            if self.is_draining and not said_drain:
                said_drain = True
                message.drain.reason = "the process was asked to end"
            if message.ListFields():
                yield message
            if talk.is_ending or (self.is_draining and not self.held):
                return
            try:
                await asyncio.wait_for(self.news.wait(), renew_at - self.loop.time())
            except TimeoutError:
                continue

    def hear(self, message: pb.SessionResponse, talk: Conversation) -> None:
        """Does what a message says."""
        if message.HasField("welcome"):
            self.lose(message.welcome.lease_exceptions)
            talk.welcome.set_result(message.welcome)
        for grant in message.grants:
            talk.seen = max(talk.seen, grant.number)
            if grant.lease not in self.held:
                self.start(grant, seconds(talk.welcome.result().offer_ttl))
        if message.HasField("renew_result"):
            self.lose(message.renew_result.exceptions)
            sent_at, leases = talk.renewals[message.renew_result.sequence - 1]
            for lease in leases:
                if (held := self.held.get(lease)) and held.outcome is None:
                    held.expiry.cancel()  # counted from our sending, so that we always stop first
                    until = sent_at + seconds(message.renew_result.ttl)
                    held.expiry = self.loop.call_at(until, self.stop, lease)
        for result in message.outcome_results:
            self.held.pop(result.lease, None)
        self.lose(message.lost)
        for cancel in message.cancels:
            if held := self.held.get(cancel.lease):
                held.task.cancel()
        if message.HasField("go_away"):
            talk.is_ending = True  # leases outlive the stream: end it, and say hello to another gateway
        self.news.set()

    def start(self, grant: pb.Grant, offer_s: float) -> None:
        """Runs the handler for a grant."""
        handler = HANDLERS.get(grant.kind, wait)
        task = self.loop.create_task(handler(grant.payload, Output(self, grant.lease).emit))
        self.held[grant.lease] = Held(task, self.loop.call_later(offer_s, self.stop, grant.lease))
        task.add_done_callback(lambda task: self.finish(grant.lease, task))

    def finish(self, lease: bytes, task: asyncio.Task[bytes]) -> None:
        """Leaves the outcome of a handler to be said, unless its lease is gone."""
        error = None if task.cancelled() else task.exception()
        if (held := self.held.get(lease)) is None:
            return
        held.expiry.cancel()
        held.outcome = pb.Outcome(lease=lease)
        if task.cancelled():
            held.outcome.cancelled.SetInParent()
        elif error is not None:
            held.outcome.failed.type, held.outcome.failed.message = type(error).__name__, str(error)
        else:
            held.outcome.completed.result = task.result()
        self.news.set()

    def lose(self, exceptions: Iterable[pb.LeaseException]) -> None:
        """Stops what the engine says is no longer ours."""
        for exception in exceptions:
            self.stop(exception.lease)

    def stop(self, lease: bytes) -> None:
        """Forgets a lease and stops its handler; nobody wants the outcome."""
        if held := self.held.pop(lease, None):
            held.expiry.cancel()
            held.task.cancel()


class Output:
    """The frames of one lease, on a stream of their own, sent again until they are stored."""

    def __init__(self, worker: Worker, lease: bytes) -> None:
        self.worker, self.lease, self.number = worker, lease, 0
        self.call: grpc.aio.StreamStreamCall[pb.StreamOutputRequest, pb.StreamOutputResponse] | None = None

    async def emit(self, data: bytes) -> None:
        """Sends a frame and waits until it is stored. Raises when the lease takes no more."""
        self.number += 1
        request = pb.StreamOutputRequest(lease=self.lease)
        request.frames.add(number=self.number, kind=FRAME_KIND_STDOUT, data=data)
        while True:
            try:
                self.call = self.call or self.worker.stub.StreamOutput(metadata=self.worker.metadata)
                await self.call.write(request)
                answer = await self.call.read()
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                answer = None  # broken; so is a stream that ends
            if isinstance(answer, pb.StreamOutputResponse):
                if answer.HasField("error"):
                    raise RuntimeError(f"output refused: {answer.error.message}")
                return
            self.call = None
            await asyncio.sleep(RECONNECT_S)


def seconds(duration: object) -> float:
    """A wire duration as a number."""
    return float(duration.ToMilliseconds()) / 1000  # type: ignore[attr-defined]


async def main() -> None:
    """Runs until SIGTERM, then drains."""
    worker = Worker(os.environ.get("FF_ADDR", "127.0.0.1:7433"), os.environ.get("FF_API_TOKEN", ""))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
