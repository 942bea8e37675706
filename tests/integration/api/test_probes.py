"""Health, reflection, metrics and page tokens of a running gateway."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ff_gateway.services import SERVICES
from flowfabric_api.execution.v1 import execution_pb2 as ex

from .door import Door, Refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

METRICS_PAGE = Path(__file__).parents[3] / "docs/reference/metrics.md"
METRIC = re.compile(r"^\| `(ff_\w+)` \| (\w+) \|.*\| ([\w, ]+) \|", re.MULTILINE)


async def test_health_says_serving_and_needs_no_token(door: Door) -> None:
    health = health_pb2_grpc.HealthStub(door.channel)

    reply = await health.Check(health_pb2.HealthCheckRequest())

    assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_names_every_service_and_describes_every_method(door: Door) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(door.channel)
    services = {service.descriptor.full_name for service in SERVICES}
    asked = [reflection_pb2.ServerReflectionRequest(list_services="")] + [
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=one) for one in sorted(services)
    ]

    listed, *files = [answer async for answer in stub.ServerReflectionInfo(iter(asked))]

    names = {service.name for service in listed.list_services_response.service}
    assert names >= services | {"grpc.health.v1.Health"}
    described: set[str] = set()
    for answer in files:
        for raw in answer.file_descriptor_response.file_descriptor_proto:
            file = FileDescriptorProto.FromString(raw)
            for service in file.service:
                described.update(f"{file.package}.{service.name}.{method.name}" for method in service.method)
    assert described >= {method.full_name for each in SERVICES for method in each.descriptor.methods}


async def test_it_is_healthy_and_ready(door: Door) -> None:
    async with door.web.get(f"{door.http}/healthz") as alive:
        assert alive.status == 200
    async with door.web.get(f"{door.http}/readyz") as ready:
        assert ready.status == 200
        assert (await ready.json())["status"] == "ok"


async def test_every_documented_metric_of_the_gateway_is_exposed(door: Door) -> None:
    await door.ask(ex.ListExecutionsRequest(), "ListExecutions")
    documented = {
        name: kind
        for name, kind, services in METRIC.findall(METRICS_PAGE.read_text())
        if {"gateway", "all"} & set(services.split(", "))
    }

    async with door.web.get(f"{door.http}/metrics") as response:
        exposition = await response.text()

    exposed = dict(re.findall(r"^# TYPE (ff_\w+) (\w+)$", exposition, re.MULTILINE))
    assert documented
    assert {name: exposed.get(name) for name in documented} == documented
    assert 'ff_rpcs_total{code="OK",method="/flowfabric.execution.v1.ExecutionService/ListExecutions"}' in (
        exposition
    )


async def test_a_page_token_of_another_question_is_refused(door: Door) -> None:
    spec = ex.ExecutionSpec(kind="k", lane="paged")
    request = ex.CreateExecutionRequest(spec=spec)
    bulk = ex.BulkCreateExecutionsRequest(requests=[request] * 3)
    await door.ask(bulk, "BulkCreateExecutions")
    [first] = await door.ask(ex.ListExecutionsRequest(lane="paged", page_size=2), "ListExecutions")
    token = first.next_page_token

    [second] = await door.ask(
        ex.ListExecutionsRequest(lane="paged", page_size=9, page_token=token), "ListExecutions"
    )
    assert len(first.executions) + len(second.executions) == 3

    for other in (
        ex.ListExecutionsRequest(page_token=token),
        ex.ListExecutionsRequest(lane="paged", kind="k", page_token=token),
        ex.ListExecutionsRequest(lane="paged", namespace="other", page_token=token),
        ex.ListExecutionsRequest(lane="paged", state=ex.PUBLIC_STATE_WAITING, page_token=token),
        ex.ListExecutionsRequest(lane="paged", tags=["a.b=c"], page_token=token),
    ):
        with pytest.raises(Refused, match="page_token"):
            await door.ask(other, "ListExecutions")
