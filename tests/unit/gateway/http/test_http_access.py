"""Who may call, and from which pages."""

from __future__ import annotations

import pytest

from ff_core.principal import CALLER, Principals
from ff_gateway.http.options import HttpOptions, body_bytes_for
from flowfabric_api.execution.v1 import execution_pb2 as pb
from flowfabric_api.output.v1 import output_pb2

PAGE = "https://console.example"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic right",
        "right",
        "Bearer right x",
        "Bearer r\u00efght",
    ],
)
async def test_without_the_right_token_nothing_below_v1_is_answered(connect, engine, header):
    client = await connect(principals=Principals("right"))
    headers = {} if header is None else {"Authorization": header}

    for path in ("/v1/executions", "/v1/nothing", "/v1/executions/1-a/output/tail", "/v1%2Fexecutions"):
        response = await client.get(path, headers=headers)
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert (await response.json())["kind"] == "UNAUTHENTICATED"
    assert not engine.requests


@pytest.mark.parametrize("header", ["Bearer right", "bearer right", "Bearer  right "])
async def test_the_right_token_is_admitted(connect, engine, header):
    engine.answers["ListExecutions"] = pb.ListExecutionsResponse()
    client = await connect(principals=Principals("right"))

    assert (await client.get("/v1/executions", headers={"Authorization": header})).status == 200


async def test_a_token_with_letters_beyond_ascii_is_compared_too(connect, engine):
    engine.answers["ListExecutions"] = pb.ListExecutionsResponse()
    client = await connect(principals=Principals("schl\u00fcssel"))

    response = await client.get("/v1/executions", headers={"Authorization": "Bearer schl\u00fcssel"})

    assert response.status == 200


async def test_a_body_is_not_read_before_the_token_is_seen(connect):
    client = await connect(principals=Principals("right"))

    assert (await client.post("/v1/executions", data=b"x" * 100_000, expect100=True)).status == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
async def test_probes_scrapers_and_the_description_need_no_token(connect, path):
    client = await connect(principals=Principals("right"))

    assert (await client.get(path)).status == 200


async def test_a_path_outside_v1_that_does_not_exist_is_404_without_a_token(connect):
    client = await connect(principals=Principals("right"))

    assert (await client.get("/favicon.ico")).status == 404


async def test_the_token_is_not_in_the_printed_options():
    assert "right" not in repr(HttpOptions(principals=Principals("right")))


@pytest.mark.parametrize("token", ["", "right"])
async def test_a_preflight_names_the_methods_and_authorization_only_with_a_token(connect, token):
    client = await connect(principals=Principals(token), cors_origins=(PAGE,))

    response = await client.options("/v1/executions", headers=PREFLIGHT)

    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == PAGE
    assert response.headers["Access-Control-Allow-Methods"] == "GET, POST, PUT"
    assert ("Authorization" in response.headers["Access-Control-Allow-Headers"]) == bool(token)
    assert response.headers["Vary"] == "Origin"


async def test_a_preflight_from_elsewhere_is_told_nothing(connect):
    client = await connect(cors_origins=(PAGE,))

    response = await client.options("/v1/executions", headers={**PREFLIGHT, "Origin": "https://evil.example"})

    assert not [name for name in response.headers if name.startswith("Access-Control")]


async def test_answers_errors_and_streams_can_be_read_by_the_page(connect, engine):
    engine.answers["ListExecutions"] = pb.ListExecutionsResponse()

    async def tail(_):
        yield output_pb2.TailOutputResponse()

    engine.streams["TailOutput"] = tail
    client = await connect(cors_origins=(PAGE,))

    for path in ("/v1/executions", "/v1/executions?nonsense=1", "/v1/executions/1-a/output/tail", "/nothing"):
        response = await client.get(path, headers={"Origin": PAGE})
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
        other = await client.get(path, headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in other.headers


async def test_a_star_allows_every_page(connect):
    client = await connect(cors_origins=("*",))

    response = await client.get("/healthz", headers={"Origin": "https://any.example"})

    assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_without_origins_no_page_is_allowed(client):
    assert (await client.options("/v1/executions", headers=PREFLIGHT)).status == 405
    response = await client.get("/healthz", headers={"Origin": PAGE})
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "console.example",
        "https://",
        "https://a/",
        "https://a/b",
        "https://a:b",
        "ftp://a",
        "null",
        "https://*",
        "https://a b",
        "https://u@a",
        "https://A.example",
        "https://a?b",
        "https://a#b",
        "https://a:99999",
    ],
)
def test_a_malformed_origin_is_refused_at_start(origin):
    with pytest.raises(ValueError, match="not an origin"):
        HttpOptions(cors_origins=("https://good.example", origin))


@pytest.mark.parametrize("origin", ["*", "http://localhost:3000", "https://a.example", "http://[::1]:80"])
def test_a_good_origin_is_kept(origin):
    assert HttpOptions(cors_origins=(origin,)).cors_origins == (origin,)


def test_a_body_has_room_for_its_payload_in_base64():
    assert body_bytes_for(1024 * 1024) == 1_398_102 + 65_536
    assert HttpOptions().max_body_bytes_large == body_bytes_for(1024 * 1024)


async def test_a_servicer_knows_who_calls_at_each_request_of_a_connection(connect, engine):
    client = await connect(principals=Principals("shared", {"alice": "a"}))
    callers = []

    async def answer(_):
        callers.append(CALLER.get())
        return pb.CancelExecutionResponse()

    engine.answers["CancelExecution"] = answer
    for token in ("a", "shared", "a"):
        headers = {"Authorization": f"Bearer {token}"}
        await client.post("/v1/executions/1-a/cancel", json={}, headers=headers)

    assert callers == ["alice", "default", "alice"]
