"""The example worker without the SDK, as a process of its own, on the real engine."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from flowfabric import Client, ExecutionCancelled, State
from flowfabric._stack import Stack

WORKER = Path(__file__).resolve().parents[2] / "examples" / "raw_worker" / "worker.py"

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("raw_worker")]


@asynccontextmanager
async def raw_worker(stack: Stack) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(WORKER), env=os.environ | {"FF_ADDR": stack.address}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def first_frame(client: Client, execution_id: str) -> bytes:
    async for frame in client.tail(execution_id):
        return frame.data
    raise AssertionError("the execution ended without output")


async def test_it_runs_what_it_is_granted_and_streams_output(
    flowfabric_stack: Stack, flowfabric_client: Client
) -> None:
    async with raw_worker(flowfabric_stack):
        # More than it has slots, so that credit must be raised again and again.
        submitted = [await flowfabric_client.submit("shout", b"to be or not") for _ in range(12)]
        results = [await flowfabric_client.result(one.execution_id) for one in submitted]
        frames = [frame.data async for frame in flowfabric_client.tail(submitted[0].execution_id)]

    assert results == [b"TO BE OR NOT"] * 12
    assert frames == [b"TO", b"BE", b"OR", b"NOT"]


async def test_it_stops_when_it_is_asked_to(flowfabric_stack: Stack, flowfabric_client: Client) -> None:
    async with raw_worker(flowfabric_stack):
        submitted = await flowfabric_client.submit("wait")
        assert await first_frame(flowfabric_client, submitted.execution_id) == b"waiting"

        asked = await flowfabric_client.cancel(submitted.execution_id, "enough", grace=600)
        with pytest.raises(ExecutionCancelled):
            await flowfabric_client.result(submitted.execution_id, timeout=60)

    assert asked is State.ACTIVE, "its worker was asked, and answered within the grace"


async def test_it_ends_on_sigterm_when_its_work_is_done(
    flowfabric_stack: Stack, flowfabric_client: Client
) -> None:
    async with raw_worker(flowfabric_stack) as process:
        submitted = await flowfabric_client.submit("wait")
        await first_frame(flowfabric_client, submitted.execution_id)

        process.send_signal(signal.SIGTERM)
        await flowfabric_client.cancel(submitted.execution_id, grace=600)
        status = await process.wait()

        execution = await flowfabric_client.get(submitted.execution_id)
    assert status == 0
    assert execution.state is State.CANCELLED


async def test_a_restart_of_the_gateway_loses_no_lease_and_no_outcome() -> None:
    async with Stack() as stack, Client(stack.address) as client, raw_worker(stack):
        submitted = await client.submit("wait")
        await first_frame(client, submitted.execution_id)

        await stack.processes["gateway-0"].restart()
        await client.cancel(submitted.execution_id, grace=600)
        with pytest.raises(ExecutionCancelled) as ended:
            await client.result(submitted.execution_id, timeout=60)

    execution = ended.value.execution
    assert (execution.attempt, execution.reclaims) == (1, 0)


async def test_the_work_of_a_killed_worker_is_taken_over() -> None:
    async with Stack(env={"FF_LEASE_TTL_MS": "4000"}) as stack, Client(stack.address) as client:
        submitted = await client.submit("wait")
        async with raw_worker(stack) as first:
            await first_frame(client, submitted.execution_id)
            first.kill()
        async with raw_worker(stack):
            waiting = 0
            async for _ in client.tail(submitted.execution_id):
                waiting += 1
                if waiting == 2:
                    break
            execution = await client.get(submitted.execution_id)

    # Killed before its first renewal was in, it had only an offer, whose loss costs no attempt.
    assert [record.ending for record in execution.history] in (["lease_expired"], ["released"])
    assert execution.lease is not None
    assert execution.lease.epoch == 2
