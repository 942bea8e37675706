"""Payloads above the 4 MiB that gRPC takes unless told otherwise, where a gateway's limit lets them in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from flowfabric import Client, Context, PayloadTooLarge, Worker, task
from flowfabric._stack import Stack
from flowfabric_api.execution.v1 import execution_pb2 as ex
from flowfabric_api.execution.v1.execution_pb2_grpc import ExecutionServiceStub
from flowfabric_api.worker.v1 import worker_pb2 as pb
from flowfabric_api.worker.v1.worker_pb2_grpc import WorkerServiceStub
from tests.e2e.waiting import PATIENCE_S, eventually, is_ready

LIMIT = 6 << 20
LARGE = b"\x00" + bytes(LIMIT - 2) + b"\xff"
#: As docs/reference/worker-protocol.md tells clients of their own.
OPTIONS = [("grpc.max_receive_message_length", LIMIT + (2 << 20)), ("grpc.max_send_message_length", -1)]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[Stack]:
    """A stack whose gateway takes 6 MiB."""
    async with Stack(env={"FF_MAX_PAYLOAD_BYTES": str(LIMIT)}) as stack:

        async def has_scheduler() -> bool:
            return await asyncio.to_thread(is_ready, stack.http)

        await eventually(has_scheduler)
        yield stack


async def test_the_sdk_carries_them_in_and_out_and_through_the_journal(stack: Stack) -> None:
    note = "x" * (LIMIT - 100)

    @task
    async def turn(context: Context, data: bytes) -> bytes:
        assert await context.step("note", lambda: note) == note
        await context.sleep(0.001)
        return data[::-1]

    async with Client(stack.address) as client, asyncio.timeout(PATIENCE_S):
        worker = Worker([turn], address=stack.address, slots=3, short_wait=0)
        await worker.start()
        submitted = [await client.submit(turn, LARGE) for _ in range(3)]

        for each in submitted:
            assert await client.result(each.execution_id, bytes) == LARGE[::-1]
            execution = await client.get(each.execution_id, include_payload=True)
            assert (execution.payload, execution.attempt) == (LARGE, 1)
        with pytest.raises(PayloadTooLarge):
            await client.submit(turn, LARGE + b"x")
        await worker.stop()


async def test_another_client_has_to_raise_its_own_limit(stack: Stack) -> None:
    asked = pb.ClaimRequest(worker_id="by-hand", lanes=["raw"], max_grants=2, wait_time=Duration(seconds=30))
    async with Client(stack.address) as client:
        submitted = [(await client.submit("raw", LARGE, lane="raw")).execution_id for _ in range(2)]

    async with grpc.aio.insecure_channel(stack.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="larger than max"):
            await ExecutionServiceStub(channel).GetExecution(
                ex.GetExecutionRequest(execution_id=submitted[0], include_payload=True)
            )
    async with grpc.aio.insecure_channel(stack.address, options=OPTIONS) as channel:
        workers = WorkerServiceStub(channel)
        for _ in range(2):
            [grant] = (await workers.Claim(asked)).grants  # the other would be too much for the message
            assert grant.payload == LARGE
            await workers.Complete(pb.CompleteRequest(lease=grant.lease, result=LARGE))
