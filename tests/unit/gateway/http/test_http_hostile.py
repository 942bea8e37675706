"""Input that is wrong, or means harm, is refused with a reason and never reaches the engine."""

from __future__ import annotations

import asyncio
import gzip
import json
import re

import pytest
from yarl import URL

from ff_core.errors import EngineError, ErrorCode, invalid
from flowfabric_api.execution.v1 import execution_pb2 as pb

DEEP = "[" * 20_000


async def refusal(response):
    """The error of an INVALID_ARGUMENT answer."""
    body = await response.json()
    assert (response.status, body["kind"], body["retryable"]) == (400, "INVALID_ARGUMENT", False)
    assert len(body["error"]) < 500
    return body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{", "body"),
        ("[]", "body"),
        ("null", "body"),
        ('"text"', "body"),
        ("\ufeff{}", "body"),
        (b"\xff\xfe", "body"),
        ("{} {}", "body"),
        ("{'a': 1}", "body"),
        (DEEP, "body"),
        ('{"spec":' * 5_000, "body"),
        ('{"idempotency_key": "a", "idempotency_key": "b"}', "body"),
        ('{"idempotency_key": "a", "idempotencyKey": "b"}', "idempotency_key"),
        ('{"nonsense": 1}', ""),
        ('{"spec": {"nonsense": 1}}', "spec"),
        ('{"spec": []}', "spec"),
        ('{"spec": "text"}', "spec"),
        ('{"spec": {"policy": []}}', "spec.policy"),
        ('{"spec": {"payload": "!!!!"}}', "spec.payload"),
        ('{"spec": {"payload": "a"}}', "spec.payload"),
        ('{"spec": {"payload": "+_+_"}}', "spec.payload"),
        ('{"spec": {"payload": "YQ==YQ=="}}', "spec.payload"),
        ('{"spec": {"payload": 12}}', "spec.payload"),
        ('{"spec": {"priority": 99999999999}}', "spec.priority"),
        ('{"spec": {"priority": 1.5}}', "spec.priority"),
        ('{"spec": {"priority": 1e400}}', "spec.priority"),
        ('{"spec": {"priority": true}}', "spec.priority"),
        ('{"spec": {"priority": {}}}', ""),
        ('{"spec": {"priority": %s}}' % ("9" * 5_000), "body"),
        ('{"spec": {"kind": 1}}', "spec.kind"),
        ('{"spec": {"kind": "\\ud800"}}', "spec.kind"),
        ('{"spec": {"required_capabilities": "gpu"}}', ""),
        ('{"spec": {"required_capabilities": [null]}}', ""),
        ('{"spec": {"tags": {"a": 1}}}', ""),
        ('{"spec": {"tags": []}}', ""),
        ('{"spec": {"start_time": "yesterday"}}', ""),
        ('{"spec": {"start_time": "9999999-01-01T00:00:00Z"}}', ""),
        ('{"spec": {"deadline": "forever"}}', ""),
        ('{"spec": {"deadline": "999999999999999s"}}', ""),
        ('{"spec": {"policy": {"backoff": {"jitter": NaN}}}}', ""),
    ],
)
async def test_a_malformed_body_is_refused_and_named(client, engine, body, field):
    response = await client.post("/v1/executions", data=body, headers={"Content-Type": "application/json"})

    found = await refusal(response)
    assert found.get("field", "").startswith(field)
    assert not engine.requests


async def test_bad_base64_is_found_in_lists_too(client, engine):
    response = await client.post("/v1/workers/w/renew", json={"leases": ["AQ==", "***"]})

    assert (await refusal(response))["field"] == "leases"
    assert not engine.requests


async def test_an_unknown_enum_name_in_a_body_is_refused(client, engine):
    response = await client.post("/v1/leases/output", json={"frames": [{"kind": "LOUD"}]})

    await refusal(response)
    assert not engine.requests


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=HAPPY", "state"),
        ("state=3", "state"),
        ("state=", "state"),
        ("page_size=many", "page_size"),
        ("page_size=1.0", "page_size"),
        ("page_size=1_0", "page_size"),
        ("page_size=%D9%A1", "page_size"),
        ("page_size=99999999999", "page_size"),
        (f"page_size={'9' * 5_000}", "page_size"),
        ("page_size=1&page_size=1", "page_size"),
        ("page_size=1&pageSize=1", "page_size"),
        ("nonsense=1", "nonsense"),
        ("spec.kind=a", "spec.kind"),
    ],
)
async def test_a_malformed_query_is_refused_and_named(client, engine, query, field):
    response = await client.get(URL(f"/v1/executions?{query}", encoded=True))

    assert (await refusal(response))["field"] == field
    assert not engine.requests


@pytest.mark.parametrize("query", ["execution_id=1-b", "include_payload=yes", "include_payload=1"])
async def test_a_query_neither_overrides_the_path_nor_guesses_booleans(client, engine, query):
    await refusal(await client.get(f"/v1/executions/1-a?{query}"))
    assert not engine.requests


async def test_a_route_whose_body_is_the_message_takes_no_query(client, engine):
    await refusal(await client.post("/v1/executions/1-a/cancel?reason=x", json={}))
    assert not engine.requests


async def test_a_get_with_a_body_is_refused(client, engine):
    await refusal(await client.request("GET", "/v1/executions/1-a", json={"execution_id": "1-b"}))
    assert not engine.requests


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""]
)
async def test_a_body_that_does_not_say_it_is_json_is_refused(client, engine, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    response = await client.post(
        "/v1/executions", data=b"{}", headers=headers, skip_auto_headers=("Content-Type",)
    )

    await refusal(response)
    assert not engine.requests


async def test_a_json_content_type_may_have_parameters(client, engine):
    engine.answers["CreateExecution"] = pb.CreateExecutionResponse()

    response = await client.post(
        "/v1/executions", data=b"{}", headers={"Content-Type": "application/json; charset=utf-8"}
    )

    assert response.status == 201


@pytest.mark.parametrize(
    ("path", "execution_id"),
    [("a%2Fb", "a/b"), ("a%00b", "a\0b"), ("..%2Fb", "../b"), ("%252F", "%2F"), ("a:b", "a:b")],
)
async def test_an_odd_id_in_the_path_reaches_the_engine_unchanged_and_its_refusal_the_client(
    client, engine, path, execution_id
):
    engine.answers["GetExecution"] = invalid("execution_id", "malformed")

    response = await client.get(URL(f"/v1/executions/{path}", encoded=True))

    await refusal(response)
    assert engine.request.execution_id == execution_id


@pytest.mark.parametrize("path", ["/v1/executions/%FF%FE", "/v1/executions/%ED%A0%80"])
async def test_a_path_that_is_not_utf8_breaks_nothing(client, engine, path):
    engine.answers["GetExecution"] = EngineError(ErrorCode.EXECUTION_NOT_FOUND)

    response = await client.get(URL(path, encoded=True))

    assert response.status in (400, 404)
    assert "kind" in await response.json()


async def test_a_query_that_is_not_utf8_breaks_nothing(client, engine):
    engine.answers["ListExecutions"] = pb.ListExecutionsResponse()

    assert (await client.get(URL("/v1/executions?kind=%FF", encoded=True))).status in (200, 400)


@pytest.mark.parametrize("path", ["/v1/executions/", "/v1/executions//tags", "/v1//executions"])
async def test_an_empty_segment_is_no_id(client, engine, path):
    response = await client.get(URL(path, encoded=True))

    assert response.status == 404
    assert not engine.requests


async def test_an_announced_body_over_the_limit_is_refused_before_it_is_read(client, engine):
    response = await client.post("/v1/executions/1-a/cancel", json={"reason": "x" * 65_536})

    assert response.status == 413
    body = await response.json()
    assert (body["kind"], body["retryable"]) == ("PAYLOAD_TOO_LARGE", False)
    assert (body["limit_bytes"], body["route"]) == (65_536, "/v1/executions/{execution_id}/cancel")
    assert not engine.requests


async def test_an_unannounced_body_over_the_limit_is_refused_while_it_is_read(client, engine):
    async def chunks():
        for _ in range(20):
            yield b" " * 4096

    response = await client.post(
        "/v1/executions/1-a/cancel", data=chunks(), headers={"Content-Type": "application/json"}
    )

    assert response.status == 413
    assert (await response.json())["limit_bytes"] == 65_536
    assert not engine.requests


async def test_a_body_is_measured_unpacked(client, engine):
    bomb = gzip.compress(b" " * 10_000_000)
    assert len(bomb) < 65_536

    response = await client.post(
        "/v1/executions/1-a/cancel",
        data=bomb,
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )

    assert response.status == 413
    assert not engine.requests


@pytest.mark.parametrize(
    ("path", "limit_bytes"),
    [
        ("/v1/executions", 1000),
        ("/v1/executions:bulkCreate", 2000),
        ("/v1/leases/complete", 1000),
        ("/v1/workers/w/outcomes", 2000),
        ("/v1/executions:bulkCancel", 500),
    ],
)
async def test_each_kind_of_route_has_its_limit(connect, engine, path, limit_bytes):
    client = await connect(max_body_bytes_large=1000, max_body_bytes_bulk=2000, max_body_bytes_control=500)

    response = await client.post(path, data=b" " * (limit_bytes + 1))
    assert (response.status, (await response.json())["limit_bytes"]) == (413, limit_bytes)
    within = await client.post(path, data=b" " * limit_bytes)
    assert within.status == 400


async def test_many_may_be_as_large_as_one(connect):
    client = await connect(max_body_bytes_large=3000, max_body_bytes_bulk=2000)

    assert (await client.post("/v1/executions:bulkCreate", data=b" " * 3000)).status == 400


@pytest.mark.parametrize(
    ("announced", "answer"),
    [(100_000, b"HTTP/1.1 413 Request Entity Too Large\r\n"), (2, b"HTTP/1.1 100 Continue\r\n")],
)
async def test_a_body_that_waits_to_be_asked_for_is_asked_for_only_within_the_limit(
    client, announced, answer
):
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        b"POST /v1/executions/1-a/cancel HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % announced
    )

    assert await reader.readline() == answer
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_was_asked_for_is_read(client, engine):
    engine.answers["CancelExecution"] = pb.CancelExecutionResponse()

    response = await client.post("/v1/executions/1-a/cancel", json={"reason": "x"}, expect100=True)

    assert response.status == 200
    assert engine.request.reason == "x"


async def test_every_method_refuses_a_body_of_the_wrong_shape(client, engine):
    paths = json.loads(await (await client.get("/openapi.json")).read())["paths"]

    for path, operations in paths.items():
        for verb, operation in operations.items():
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                url = re.sub(r"\{\w+\}", "x", path)
                for body in ("[1]", '{"no_such_field": 1}', "{"):
                    await refusal(
                        await client.request(
                            verb, url, data=body, headers={"Content-Type": "application/json"}
                        )
                    )
    assert not engine.requests
