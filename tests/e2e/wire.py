"""The engine without its SDK: a raw channel, and what an error says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from flowfabric_api.execution.v1.execution_pb2_grpc import ExecutionServiceStub
from flowfabric_api.output.v1.output_pb2_grpc import OutputServiceStub
from flowfabric_api.worker.v1.worker_pb2_grpc import WorkerServiceStub


@dataclass(frozen=True)
class Stubs:
    """The services by gRPC, as generated."""

    channel: grpc.aio.Channel
    executions: Any
    output: Any
    worker: Any


@asynccontextmanager
async def open_stubs(address: str) -> AsyncIterator[Stubs]:
    """Raw gRPC to a gateway."""
    async with grpc.aio.insecure_channel(address) as channel:
        yield Stubs(
            channel, ExecutionServiceStub(channel), OutputServiceStub(channel), WorkerServiceStub(channel)
        )


def reason_of(status: status_pb2.Status) -> str:
    """ErrorInfo.reason, of the engine's domain."""
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info) and info.domain == "flowfabric":
            return str(info.reason)
    return ""


@asynccontextmanager
async def refusal(code: grpc.StatusCode, reason: str) -> AsyncIterator[None]:
    """The call in the block is refused with this code and this reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    details: dict[str, Any] = dict(caught.value.trailing_metadata() or ())  # type: ignore[arg-type]
    status = status_pb2.Status.FromString(details["grpc-status-details-bin"])
    assert (caught.value.code(), reason_of(status)) == (code, reason)
