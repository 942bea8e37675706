"""A client of every method by its descriptor, over gRPC and over REST."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote, urlencode

import aiohttp
import grpc
import grpc.aio
from google.api import annotations_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from ff_gateway.app import Gateway
from ff_gateway.services import SERVICES
from flowfabric.testing import AnyValkey
from flowfabric_api.execution.v1 import execution_pb2_grpc
from flowfabric_api.worker.v1 import worker_pb2_grpc

METHODS: dict[str, MethodDescriptor] = {
    method.name: method for service in SERVICES for method in service.methods()
}


class Refused(Exception):
    """What a refusal says to programs."""

    def __init__(self, reason: str, fields: tuple[str, ...], status: str) -> None:
        super().__init__(reason, fields, status)
        self.reason = reason
        self.fields = fields
        self.status = status


def refusal_of(error: grpc.aio.AioRpcError) -> Refused:
    """Reason and fields of a failed call."""
    status = status_pb2.Status()
    for key, value in cast("list[tuple[str, bytes]]", error.trailing_metadata() or []):
        if key == "grpc-status-details-bin":
            status.MergeFromString(value)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    fields = tuple(violation.field for violation in bad.field_violations)
    return Refused(info.reason, fields, error.code().name)


def reason_of(status: status_pb2.Status) -> str:
    """ErrorInfo.reason of a status within an answer."""
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


class Door:
    """A running gateway and its Valkey."""

    def __init__(self, gateway: Gateway, valkey: AnyValkey, address: str, http: str) -> None:
        self.gateway = gateway
        self.valkey = valkey
        self.http = f"http://{http}"
        self.channel = grpc.aio.insecure_channel(address, options=[("grpc.max_send_message_length", -1)])
        self.executions = execution_pb2_grpc.ExecutionServiceStub(self.channel)
        self.workers = worker_pb2_grpc.WorkerServiceStub(self.channel)
        self.web = aiohttp.ClientSession()

    async def close(self) -> None:
        await self.web.close()
        await self.channel.close(None)

    async def ask(self, request: Message, name: str) -> list[Any]:
        """All answers of a method to one request. Raises Refused."""
        method = METHODS[name]
        serve = f"/{method.containing_service.full_name}/{name}"
        read = GetMessageClass(method.output_type).FromString
        write = type(request).SerializeToString
        try:
            if method.client_streaming:
                call = self.channel.stream_stream(serve, write, read)(iter([request]))
                return [answer async for answer in call]
            if method.server_streaming:
                return [answer async for answer in self.channel.unary_stream(serve, write, read)(request)]
            return [await self.channel.unary_unary(serve, write, read)(request)]
        except grpc.aio.AioRpcError as error:
            raise refusal_of(error) from error

    async def fetch(self, request: Message, name: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON body of the same request over REST."""
        rule = METHODS[name].GetOptions().Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        assert verb is not None
        fields = json_format.MessageToDict(request, preserving_proto_field_name=True)
        path = getattr(rule, verb)
        for field in request.DESCRIPTOR.fields_by_name:
            if f"{{{field}}}" in path:
                path = path.replace(f"{{{field}}}", quote(str(fields.pop(field, "")), safe=""))
        if rule.body:
            asked = self.web.request(verb, self.http + path, json=fields)
        else:
            asked = self.web.request(verb, f"{self.http}{path}?{urlencode(fields, doseq=True)}")
        async with asked as response:
            return response.status, await response.json()

    def raw(self, name: str) -> Any:
        """A method between two streams that takes and gives bytes as they are."""
        path = f"/{METHODS[name].containing_service.full_name}/{name}"
        return self.channel.stream_stream(path, None, None)

    def snapshot(self) -> dict[bytes, Any]:
        """Every key with its content, but for the heartbeats of the engine's own processes."""
        names = self.valkey.call("KEYS", "*")
        assert isinstance(names, list)
        kept = [name for name in names if isinstance(name, bytes) and b"{m}" not in name]
        return {name: self.valkey.call("DUMP", name.decode()) for name in kept}
