"""Requests become messages and answers become bodies."""

from __future__ import annotations

import base64
import io
import json

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2

from ff_core.errors import EngineError, ErrorCode
from ff_gateway.http.binding import bindings_of
from flowfabric_api.execution.v1 import execution_pb2 as pb
from flowfabric_api.operator.v1 import operator_pb2
from flowfabric_api.output.v1 import output_pb2
from flowfabric_api.worker.v1 import worker_pb2

STRING, MESSAGE, REPEATED = 9, 11, 3


async def test_a_body_becomes_the_request_and_the_answer_becomes_json(client, engine):
    engine.answers["CreateExecution"] = pb.CreateExecutionResponse(execution_id="1-a")

    body = {
        "spec": {
            "kind": "index",
            "payload": base64.b64encode(b"\x00\xff").decode(),
            "start_time": "2030-01-02T03:04:05Z",
            "deadline": "1.5s",
            "requiredCapabilities": ["gpu"],
            "tags": {"a.b": "c"},
        },
        "idempotency_key": "k",
    }
    response = await client.post("/v1/executions", json=body)

    assert response.status == 201
    assert response.content_type == "application/json"
    assert await response.json() == {"execution_id": "1-a", "duplicate": False}
    spec = engine.request.spec
    assert (spec.kind, spec.payload, spec.deadline.nanos) == ("index", b"\x00\xff", 500_000_000)
    assert spec.start_time.ToJsonString() == "2030-01-02T03:04:05Z"
    assert list(spec.required_capabilities) == ["gpu"]
    assert dict(spec.tags) == {"a.b": "c"}


async def test_a_duplicate_is_answered_with_200(client, engine):
    engine.answers["CreateExecution"] = pb.CreateExecutionResponse(execution_id="1-a", duplicate=True)

    response = await client.post("/v1/executions", json={})

    assert response.status == 200
    assert (await response.json())["duplicate"] is True


async def test_a_claim_without_work_is_answered_with_204_and_one_with_work_with_200(client, engine):
    engine.answers["Claim"] = worker_pb2.ClaimResponse()
    assert (await client.post("/v1/workers/w1/claim", json={"wait_time": "2s"})).status == 204
    assert (engine.request.worker_id, engine.request.wait_time.seconds) == ("w1", 2)

    engine.answers["Claim"].grants.add(execution_id="1-a", lease=b"\x01")
    response = await client.post("/v1/workers/w1/claim", json={})
    assert response.status == 200
    assert (await response.json())["grants"][0]["lease"] == "AQ=="


async def test_query_parameters_have_both_spellings_repeat_and_name_enums_with_or_without_prefix(
    client, engine
):
    engine.answers["ListExecutions"] = pb.ListExecutionsResponse()

    for query in (
        "page_size=7&state=ACTIVE&tags=a=1&tags=b=2",
        "pageSize=7&state=PUBLIC_STATE_ACTIVE&tags=a=1&tags=b=2",
        "pageSize=7&state=active&tags=a%3D1&tags=b%3D2",
    ):
        assert (await client.get(f"/v1/executions?{query}")).status == 200

    assert (
        engine.requests
        == [pb.ListExecutionsRequest(page_size=7, state=pb.PUBLIC_STATE_ACTIVE, tags=["a=1", "b=2"])] * 3
    )


async def test_a_result_is_answered_as_its_raw_bytes(client, engine):
    engine.answers["GetResult"] = pb.GetResultResponse(data=b"\x00\xfe\r\n")

    response = await client.get("/v1/executions/1-a/result")

    assert response.content_type == "application/octet-stream"
    assert await response.read() == b"\x00\xfe\r\n"


async def test_the_state_alone_is_answered_as_a_json_string(client, engine):
    engine.answers["GetExecution"] = pb.Execution(execution_id="1-a", state=pb.PUBLIC_STATE_ACTIVE)

    response = await client.get("/v1/executions/1-a/state")

    assert response.content_type == "application/json"
    assert await response.json() == "PUBLIC_STATE_ACTIVE"
    assert engine.request == pb.GetExecutionRequest(execution_id="1-a")


async def test_the_output_of_one_attempt_has_a_path_of_its_own(client, engine):
    async def tail(_):
        yield output_pb2.TailOutputResponse(close=output_pb2.OutputClose(cursor="6-0", reason="completed"))

    engine.answers["ReadOutput"] = output_pb2.ReadOutputResponse(next="5-0")
    engine.streams["TailOutput"] = tail

    read = await client.get("/v1/executions/1-a/attempts/2/stream?page_size=7")
    followed = await client.get("/v1/executions/1-a/attempts/2/stream/tail", headers={"Last-Event-ID": "5-0"})
    malformed = await client.get("/v1/executions/1-a/attempts/last/stream")

    assert (await read.json())["next"] == "5-0"
    assert "id: 6-0" in await followed.text()
    assert (malformed.status, (await malformed.json())["field"]) == (400, "attempt")
    assert engine.requests == [
        output_pb2.ReadOutputRequest(execution_id="1-a", attempt=2, page_size=7),
        output_pb2.TailOutputRequest(execution_id="1-a", attempt=2, after="5-0"),
    ]


async def test_a_post_without_a_body_is_an_empty_message(client, engine):
    engine.answers["ReplayExecution"] = pb.ReplayExecutionResponse(state=pb.PUBLIC_STATE_WAITING)

    response = await client.post("/v1/executions/1-a/replay")

    assert await response.json() == {"state": "PUBLIC_STATE_WAITING"}
    assert engine.request.execution_id == "1-a"


async def test_a_body_may_repeat_what_the_path_says_but_not_contradict_it(client, engine):
    engine.answers["ChangePriority"] = pb.ChangePriorityResponse(priority=5)

    same = await client.put("/v1/executions/1-a/priority", json={"execution_id": "1-a", "priority": 5})
    other = await client.put("/v1/executions/1-a/priority", json={"execution_id": "1-b", "priority": 5})

    assert same.status == 200
    assert other.status == 400
    assert (await other.json())["field"] == "execution_id"
    assert len(engine.requests) == 1


async def test_a_literal_suffix_and_an_id_of_the_same_depth_are_told_apart(client, engine):
    engine.answers["BulkCancelExecutions"] = pb.BulkCancelExecutionsResponse()

    response = await client.post("/v1/executions:bulkCancel", json={"execution_ids": ["1-a"]})

    assert response.status == 200
    assert list(engine.request.execution_ids) == ["1-a"]


async def test_a_status_inside_an_answer_shows_its_details(client, engine):
    answer = pb.BulkCreateExecutionsResponse()
    status = answer.results.add().status
    status.code = 3
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="INVALID_ARGUMENT", domain="flowfabric"))
    engine.answers["BulkCreateExecutions"] = answer

    response = await client.post("/v1/executions:bulkCreate", json={"requests": [{}]})

    (result,) = (await response.json())["results"]
    assert result["status"]["details"][0]["reason"] == "INVALID_ARGUMENT"


async def test_a_large_body_is_read_like_a_small_one(client, engine):
    engine.answers["CreateExecution"] = pb.CreateExecutionResponse()
    payload = bytes(range(256)) * 4096

    body = json.dumps({"spec": {"payload": base64.b64encode(payload).decode()}}).encode()
    response = await client.post(
        "/v1/executions", data=io.BytesIO(body), headers={"Content-Type": "application/json"}
    )

    assert response.status == 201
    assert engine.request.spec.payload == payload


async def test_an_engine_error_is_json_with_its_status_and_what_is_known(client, engine):
    engine.answers["GetExecution"] = EngineError(
        ErrorCode.STORE_UNAVAILABLE, field="x", retry_after_ms=1500, metadata={"node": "a"}
    )

    response = await client.get("/v1/executions/1-a")

    assert response.status == 503
    assert response.headers["Retry-After"] == "2"
    assert await response.json() == {
        "error": ErrorCode.STORE_UNAVAILABLE.sentence,
        "kind": "STORE_UNAVAILABLE",
        "retryable": True,
        "field": "x",
        "metadata": {"node": "a"},
        "retry_after_ms": 1500,
    }


@pytest.mark.parametrize("code", ErrorCode)
async def test_every_code_has_the_status_of_the_table(client, engine, code):
    engine.answers["ListWorkers"] = EngineError(code)

    response = await client.get("/v1/workers")

    assert response.status == code.http
    assert (await response.json())["kind"] == code.name


async def test_an_unexpected_exception_is_500_and_tells_nothing(client, engine):
    engine.answers["ListLanes"] = RuntimeError("secret")

    response = await client.get("/v1/lanes")

    assert response.status == 500
    assert (await response.json())["kind"] == "INTERNAL"
    assert "secret" not in await response.text()


async def test_an_unknown_path_is_404_and_a_wrong_method_405_in_the_same_shape(client):
    unknown = await client.get("/v1/nothing")
    wrong = await client.delete("/v1/executions")

    assert (unknown.status, wrong.status) == (404, 405)
    for response in (unknown, wrong):
        body = await response.json()
        assert (body["kind"], body["retryable"]) == ("UNIMPLEMENTED", False)
    assert wrong.headers["Allow"] == "GET, POST"


async def test_a_bare_list_of_lanes_prints_its_empty_fields(client, engine):
    engine.answers["ListLanes"] = operator_pb2.ListLanesResponse()

    assert await (await client.get("/v1/lanes")).json() == {"lanes": []}


def describe_service(**rule: object) -> ServiceDescriptor:
    """A service with one method and this annotation: Call(Ask{name, item, list, parts}) returns Ask."""
    file = descriptor_pb2.FileDescriptorProto(name="odd.proto", package="odd", syntax="proto3")
    file.dependency.append("google/api/annotations.proto")
    ask = file.message_type.add(name="Ask")
    item = {"label": 1, "type": MESSAGE, "type_name": ".odd.Item"}
    ask.field.add(name="name", number=1, label=1, type=STRING)
    ask.field.add(name="item", number=2, **item)
    ask.field.add(name="words", number=3, label=REPEATED, type=STRING)
    ask.field.add(name="count", number=4, label=1, type=3)
    ask.field.add(name="flag", number=5, label=1, type=8)
    ask.field.add(name="data", number=6, label=1, type=12)
    file.message_type.add(name="Item").field.add(name="text", number=1, label=1, type=STRING)
    method = file.service.add(name="Odd").method.add(
        name="Call", input_type=".odd.Ask", output_type=".odd.Ask"
    )
    json_format.ParseDict(rule, method.options.Extensions[annotations_pb2.http])
    pool = descriptor_pool.DescriptorPool()
    for needed in (
        "google/protobuf/descriptor.proto",
        "google/api/http.proto",
        "google/api/annotations.proto",
    ):
        pool.AddSerializedFile(descriptor_pool.Default().FindFileByName(needed).serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName("odd.Odd")


async def test_a_body_may_be_one_field_with_the_rest_in_the_query(connect, engine):
    service = describe_service(put="/v1/odd/{name}", body="item")
    message = GetMessageClass(service.methods[0].output_type)
    engine.answers["Call"] = message(name="n")
    client = await connect(service)

    response = await client.put("/v1/odd/n?words=a&words=b&count=-3&flag=true&data=-_8", json={"text": "t"})

    assert response.status == 200
    expected = message(name="n", words=["a", "b"], count=-3, flag=True, data=b"\xfb\xff")
    expected.item.text = "t"
    assert engine.request == expected


async def test_additional_bindings_are_routes_too(connect, engine):
    service = describe_service(
        get="/v1/odd/{name}", additional_bindings=[{"post": "/v1/odd:call", "body": "*"}]
    )
    engine.answers["Call"] = GetMessageClass(service.methods[0].output_type)()
    client = await connect(service)

    assert (await client.get("/v1/odd/n")).status == 200
    assert (await client.post("/v1/odd:call", json={"name": "m"})).status == 200
    assert [request.name for request in engine.requests] == ["n", "m"]


async def test_a_response_body_that_is_not_bytes_is_the_json_of_that_field(connect, engine):
    service = describe_service(get="/v1/odd", response_body="words")
    engine.answers["Call"] = GetMessageClass(service.methods[0].output_type)(words=["a"])
    client = await connect(service)

    assert await (await client.get("/v1/odd")).json() == ["a"]


@pytest.mark.parametrize(
    "rule",
    [
        {"get": "/v1/{nobody}"},
        {"get": "/v1/{item}"},
        {"get": "/v1/{words}"},
        {"get": "/v1/{name=**}"},
        {"post": "/v1/odd", "body": "nobody"},
        {"get": "/v1/odd", "response_body": "nobody"},
        {"selector": "no path"},
    ],
)
def test_an_annotation_that_cannot_be_served_is_refused_at_start(rule):
    with pytest.raises(ValueError, match=r"odd\.Odd\.Call"):
        list(bindings_of(describe_service(**rule)))


def test_a_client_stream_has_no_route():
    session = worker_pb2.DESCRIPTOR.services_by_name["WorkerService"].methods_by_name["Session"]

    assert session.client_streaming
    assert "Session" not in {each.method.name for each in bindings_of(session.containing_service)}
