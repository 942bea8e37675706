"""The listening socket, the open paths, metrics and the description."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from google.api import annotations_pb2
from openapi_spec_validator import validate
from prometheus_client import REGISTRY

from ff_core.errors import EngineError, ErrorCode
from ff_core.principal import Principals
from ff_gateway.http.access import OPEN_PATHS
from ff_gateway.http.comments import proto_comments
from ff_gateway.http.options import HttpOptions
from ff_gateway.http.server import HttpServer, build_app
from flowfabric_api.execution.v1 import execution_pb2 as pb
from flowfabric_api.execution.v1 import execution_pb2_grpc
from flowfabric_api.output.v1 import output_pb2

SERVICE = pb.DESCRIPTOR.services_by_name["ExecutionService"]


def counted(route, method, status):
    labels = {"route": route, "method": method, "status": status}
    return REGISTRY.get_sample_value("ff_http_requests_total", labels) or 0


async def test_healthz_says_ok(client):
    response = await client.get("/healthz")

    assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_readyz_shows_its_parts_and_is_503_when_one_is_not_ok(client, engine):
    ready = await client.get("/readyz")
    engine.parts = {"store": "ok", "scheduler": "unreachable"}
    unready = await client.get("/readyz")

    assert (ready.status, await ready.json()) == (200, {"status": "ok", "parts": {"store": "ok"}})
    assert unready.status == 503
    assert (await unready.json())["parts"] == {"store": "ok", "scheduler": "unreachable"}


async def test_metrics_are_prometheus_text(client):
    response = await client.get("/metrics")

    assert response.content_type == "text/plain"
    assert await response.text() == "ff_up 1\n"


async def test_requests_are_counted_by_template_and_made_up_ones_share_a_label(client, engine):
    engine.answers["GetExecution"] = EngineError(ErrorCode.EXECUTION_NOT_FOUND)
    template = "/v1/executions/{execution_id}"
    before = [
        counted(template, "GET", "404"),
        counted("unmatched", "GET", "404"),
        counted("unmatched", "OTHER", "405"),
    ]

    await client.get("/v1/executions/1-a")
    await client.get("/v1/executions/1-b")
    await client.get("/v1/made-up")
    await client.request("PROPFIND", "/v1/executions")

    after = [
        counted(template, "GET", "404"),
        counted("unmatched", "GET", "404"),
        counted("unmatched", "OTHER", "405"),
    ]
    assert [late - early for late, early in zip(after, before, strict=True)] == [2, 1, 1]
    seconds = {"route": template, "method": "GET"}
    assert REGISTRY.get_sample_value("ff_http_request_seconds_count", seconds) >= 2


async def test_the_description_is_valid_openapi(client):
    document = await (await client.get("/openapi.json")).json()

    validate(document)
    assert document["openapi"] == "3.1.0"


async def test_the_description_has_every_annotated_method_and_its_comments(client):
    document = await (await client.get("/openapi.json")).json()
    operations = {
        operation["operationId"]: (path, verb, operation)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    }

    annotated = {
        method.name for method in SERVICE.methods if method.GetOptions().HasExtension(annotations_pb2.http)
    }
    assert annotated <= operations.keys()
    assert "Session" not in operations
    path, verb, cancel = operations["CancelExecution"]
    assert (path, verb) == ("/v1/executions/{execution_id}/cancel", "post")
    assert (
        cancel["description"] == proto_comments()["flowfabric.execution.v1.ExecutionService.CancelExecution"]
    )
    assert cancel["description"].startswith("Cancels. Without a lease,")
    assert [each["name"] for each in cancel["parameters"]] == ["execution_id"]
    assert operations["CreateExecution"][2]["responses"].keys() == {"200", "201", "default"}
    assert operations["Claim"][2]["responses"].keys() == {"200", "204", "default"}
    assert "application/octet-stream" in operations["GetResult"][2]["responses"]["200"]["content"]
    assert "text/event-stream" in operations["TailOutput"][2]["responses"]["200"]["content"]
    assert "Last-Event-ID" in {each["name"] for each in operations["TailOutput"][2]["parameters"]}


async def test_the_description_has_a_schema_for_every_message_and_enum_with_comments(client):
    schemas = (await (await client.get("/openapi.json")).json())["components"]["schemas"]

    spec = schemas["flowfabric.execution.v1.ExecutionSpec"]["properties"]
    assert spec["payload"]["contentEncoding"] == "base64"
    assert spec["priority"]["description"] == "0 to 9000, higher first."
    assert spec["tags"]["additionalProperties"] == {"type": "string"}
    assert spec["start_time"]["format"] == "date-time"
    assert "PUBLIC_STATE_ACTIVE" in schemas["flowfabric.execution.v1.PublicState"]["enum"]
    assert "A worker holds its lease." in schemas["flowfabric.execution.v1.PublicState"]["description"]
    assert set(schemas["Error"]["properties"]["kind"]["enum"]) == {code.name for code in ErrorCode}


@pytest.mark.parametrize(("token", "security"), [("", []), ("right", [{"bearer": []}])])
async def test_the_description_asks_for_a_token_when_the_gateway_does(connect, token, security):
    client = await connect(principals=Principals(token))

    assert (await (await client.get("/openapi.json")).json())["security"] == security


def test_a_servicer_without_a_method_of_its_service_is_refused_at_start(engine):
    with pytest.raises(AttributeError, match="CreateExecution"):
        build_app(
            [(SERVICE, object())], options=HttpOptions(), readiness=engine.readiness, metrics=lambda: b""
        )


def test_a_method_that_only_the_generated_class_has_is_no_route(engine):
    servicer = execution_pb2_grpc.ExecutionServiceServicer()

    app = build_app(
        [(SERVICE, servicer)], options=HttpOptions(), readiness=engine.readiness, metrics=lambda: b""
    )

    assert {resource.canonical for resource in app.router.resources()} == OPEN_PATHS


@pytest.fixture
async def server(engine):
    services = [(SERVICE, engine), (output_pb2.DESCRIPTOR.services_by_name["OutputService"], engine)]
    server = HttpServer(
        build_app(services, options=HttpOptions(), readiness=engine.readiness, metrics=lambda: b"")
    )
    yield server
    await server.stop(0)


async def test_a_server_tells_the_address_it_got_and_stops_listening_when_stopped(server):
    address = await server.start("127.0.0.1:0")

    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://{address}/healthz") as response:
            assert response.status == 200
        await server.stop(1)
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://{address}/healthz")


async def test_a_stopping_server_finishes_what_it_began_and_cuts_streams(server, engine):
    began, release = asyncio.Event(), asyncio.Event()

    async def slow(request):
        began.set()
        await release.wait()
        return pb.Execution(execution_id=request.execution_id)

    async def tail(_):
        yield output_pb2.TailOutputResponse()
        await asyncio.Event().wait()

    engine.answers["GetExecution"] = slow
    engine.streams["TailOutput"] = tail
    address = await server.start("127.0.0.1:0")
    async with aiohttp.ClientSession(f"http://{address}") as session:
        stream = await session.get("/v1/executions/1-a/output/tail")
        await stream.content.readuntil(b"\n\n")
        request = asyncio.create_task(session.get("/v1/executions/1-a"))
        await began.wait()

        stopping = asyncio.create_task(server.stop(60))
        assert await stream.content.read() == b""
        release.set()
        assert (await (await request).json())["execution_id"] == "1-a"
        await stopping


async def test_a_server_gives_up_on_requests_after_the_grace(server, engine):
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def stuck(_):
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    engine.answers["GetExecution"] = stuck
    address = await server.start("127.0.0.1:0")
    async with aiohttp.ClientSession(f"http://{address}") as session:
        request = asyncio.create_task(session.get("/v1/executions/1-a"))
        await began.wait()
        await server.stop(0.01)
        await cancelled.wait()
        with pytest.raises(aiohttp.ClientError):
            await request


async def test_a_server_may_be_stopped_before_it_started_and_twice(server):
    await server.stop(1)
    await server.start("127.0.0.1:0")
    await server.stop(1)
    await server.stop(1)


async def test_a_server_listens_on_ipv6_written_with_brackets(server):
    assert (await server.start("[::1]:0")).startswith("[::1]:")
