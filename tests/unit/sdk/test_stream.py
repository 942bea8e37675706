"""The pump of one call, where gRPC makes it hard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
import pytest
from google.rpc import code_pb2

from flowfabric._errors import SessionSuperseded
from flowfabric._stream import Stream
from flowfabric_api.worker.v1 import worker_pb2 as pb
from flowfabric_api.worker.v1.worker_pb2_grpc import WorkerServiceStub

from .fake_gateway import FakeGateway, status

Pump = Stream[pb.SessionRequest, pb.SessionResponse]


def pump(
    channel: grpc.aio.Channel,
    requests: list[pb.SessionRequest],
    incoming: Callable[[pb.SessionResponse], None] = lambda message: None,
) -> Pump:
    return Stream(
        WorkerServiceStub(channel).Session(), lambda: requests.pop(0) if requests else None, incoming
    )


async def test_a_stream_cancelled_before_it_began_ends(gateway: FakeGateway) -> None:
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stream = pump(channel, [pb.SessionRequest()])
        running = asyncio.create_task(stream.run())
        stream.cancel()

        await running


async def test_a_stream_whose_pump_is_cancelled_ends(gateway: FakeGateway) -> None:
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        running = asyncio.create_task(pump(channel, [pb.SessionRequest()]).run())
        session = await gateway.worker.sessions.get()

        running.cancel()
        await asyncio.wait({running})

        assert running.cancelled()
        await session.ended.wait()


async def test_the_status_of_the_stream_is_raised(gateway: FakeGateway) -> None:
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        running = asyncio.create_task(pump(channel, [pb.SessionRequest()]).run())
        session = await gateway.worker.sessions.get()

        session.end(status(code_pb2.ABORTED, "SESSION_SUPERSEDED"))

        with pytest.raises(SessionSuperseded):
            await running


async def test_a_mistake_in_what_is_said_or_heard_is_not_swallowed(gateway: FakeGateway) -> None:
    def stumble(message: object = None) -> None:
        raise ZeroDivisionError

    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = WorkerServiceStub(channel)
        with pytest.raises(ZeroDivisionError):
            await Stream(stub.Session(), stumble, stumble).run()

        running = asyncio.create_task(pump(channel, [pb.SessionRequest()], stumble).run())
        await (await gateway.worker.sessions.get()).welcome()
        with pytest.raises(ZeroDivisionError):
            await running


async def test_finishing_closes_this_side_after_the_last_word(gateway: FakeGateway) -> None:
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stream = pump(channel, [pb.SessionRequest(), pb.SessionRequest(drain=pb.Drain(reason="last"))])
        stream.finish()
        running = asyncio.create_task(stream.run())
        session = await gateway.worker.sessions.get()
        await session.ended.wait()
        await running

        assert session.history[-1].drain.reason == "last"
