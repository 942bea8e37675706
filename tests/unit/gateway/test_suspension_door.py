"""The door for signals: who is let in, whose name a signal bears, and what is asked of the store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from google.protobuf.duration_pb2 import Duration

from ff_core.errors import EngineError, ErrorCode
from ff_core.keyring import Key, KeyRing
from ff_core.lease import Answer, Outcome
from ff_core.principal import CALLER, Principals
from ff_core.signal import Delivered, NewSignal, SignalLimits
from ff_core.state import State
from ff_core.suspension import Suspended, SuspensionRecord
from ff_core.waitpoint import NewWaitpoint, WaitpointRecord, WaitpointRef
from ff_gateway.api.suspension import SuspensionServicer
from ff_gateway.http.callback import REFUSALS
from ff_gateway.http.options import HttpOptions
from ff_gateway.http.server import build_app
from ff_gateway.policy import Policy
from ff_gateway.tokens import Tokens
from flowfabric_api.suspension.v1 import suspension_pb2 as pb
from tools.check_lua import LUA, Library, read

EXECUTION = "7-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
LEASE = f"{EXECUTION}:1:1:abc".encode()
REF = WaitpointRef("acme", EXECUTION, "s1", 3, 9_000_000)
POLICY = Policy(1, 1, 1, 1024, 1024, 1, signals=SignalLimits(max_payload_bytes=64, max_signals=7))
ANSWER = Delivered(5, "counted", False, "suspended")


class OneKey:
    ring = KeyRing(1, "k1", {"k1": Key("k1", b"1" * 32, 0, 0)})
    time_ms = 1000

    def now_ms(self) -> int:
        return self.time_ms

    async def look_for(self, kid: str) -> None:
        pass


def record(number: int = 3) -> WaitpointRecord:
    ref = WaitpointRef("acme", EXECUTION, "s1", number, 9_000_000)
    return WaitpointRecord(ref, f"w{number}", "multi", "bound", "", "k1", "", 1000, "", 0)


class Store:
    """Answers what the test put there, remembers what it was asked."""

    partitions = 8

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.answers: list[Delivered | EngineError] = []
        self.finished: Answer = Suspended("suspended", 1, [record()])
        self.records = [record()]

    def partition_of(self, execution_id: str) -> int:
        if execution_id != EXECUTION:
            raise EngineError(ErrorCode.INVALID_ARGUMENT, "execution_id", field="execution_id")
        return 7

    async def waitpoint_create(
        self, lease: bytes, new: NewWaitpoint, kid: str, entry: str
    ) -> WaitpointRecord:
        self.asked.append((lease, new, kid, entry))
        return self.records[0]

    async def waitpoint_list(
        self, execution_id: str, after: int, limit: int, *, closed: bool = False
    ) -> list[WaitpointRecord]:
        self.asked.append((execution_id, after, limit, closed))
        return [each for each in self.records if each.ref.number > after][:limit]

    async def suspension_describe(self, execution_id: str) -> SuspensionRecord | None:
        self.asked.append(execution_id)
        return None

    async def suspension_resume(self, execution_id: str, source: str, delay_ms: int, reason: str) -> State:
        self.asked.append((execution_id, source, delay_ms, reason))
        return State.DELAYED

    async def suspension_lapse(self, partition: int, limit: int) -> object:
        raise AssertionError

    async def signal_deliver(
        self, signals: Sequence[NewSignal], max_signals: int, max_bytes: int
    ) -> list[Delivered | EngineError]:
        assert (max_signals, max_bytes) == (7, 8 << 20)
        self.asked += signals
        return (self.answers or [ANSWER] * len(signals))[: len(signals)]

    async def lease_finish(self, outcomes: Sequence[Outcome], worker_id: str) -> list[Answer]:
        self.asked += outcomes
        return [self.finished]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def keys() -> OneKey:
    return OneKey()


@pytest.fixture
def door(store: Store, keys: OneKey) -> SuspensionServicer:
    return SuspensionServicer(store, Tokens(keys), POLICY)  # type: ignore[arg-type]


@pytest.fixture
def caller() -> Iterator[None]:
    """Undoes what a test says about who calls."""
    mark = CALLER.set("")
    yield
    CALLER.reset(mark)


TOKEN, _ = Tokens(OneKey()).mint(REF, "k1")


def signal(**fields: object) -> pb.DeliverSignalRequest:
    asked = {"waitpoint_id": REF.render(), "token": TOKEN, "name": "approved"}
    return pb.DeliverSignalRequest(**(asked | fields))  # type: ignore[arg-type]


DECIDE = pb.DecideWaitpointRequest(execution_id=EXECUTION, name="w3", decision=pb.DECISION_APPROVE)


async def test_a_signal_with_its_token_is_delivered(door: SuspensionServicer, store: Store) -> None:
    answer = await door.DeliverSignal(signal(payload=b"p"), None)

    assert answer == pb.DeliverSignalResponse(number=5, effect=pb.SIGNAL_EFFECT_COUNTED)
    [asked] = store.asked
    assert isinstance(asked, NewSignal)
    assert (asked.number, asked.scope, asked.payload) == (3, "s1", b"p")


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("", ["", "operator:default", "operator:default"]),
        ("default", ["", "operator:default", "operator:default"]),
        ("ada", ["user:ada", "user:ada", "operator:ada"]),
    ],
)
@pytest.mark.usefixtures("caller")
async def test_a_source_is_who_authenticated_and_nothing_that_was_said(  # A11
    door: SuspensionServicer, store: Store, name: str, sources: list[str]
) -> None:
    CALLER.set(name)
    lie = signal(correlation_id="user:eve", idempotency_key="user:eve", payload=b'{"source": "user:eve"}')

    await door.DeliverSignal(lie, None)
    await door.DecideWaitpoint(DECIDE, None)
    await door.ResumeExecution(
        pb.ResumeExecutionRequest(execution_id=EXECUTION, reason="user:eve", delay=Duration(seconds=1)), None
    )

    delivered, decided, resumed = store.asked
    assert isinstance(delivered, NewSignal)
    assert isinstance(decided, NewSignal)
    assert [delivered.source, decided.source] == sources[:2]
    assert resumed == (EXECUTION, sources[2], 1000, "user:eve")


async def test_no_request_has_a_field_for_its_source() -> None:
    for message in (pb.DeliverSignalRequest, pb.DecideWaitpointRequest, pb.ResumeExecutionRequest):
        assert not {"source", "user", "identity"} & set(message.DESCRIPTOR.fields_by_name)


async def test_a_bad_token_asks_nothing_of_the_store(door: SuspensionServicer, store: Store) -> None:
    with pytest.raises(EngineError) as refused:
        await door.DeliverSignal(signal(token="w1.k1." + "A" * 43, name="a b", payload=b"x" * 65), None)

    assert (refused.value.code, refused.value.detail) == (ErrorCode.TOKEN_INVALID, "")
    assert store.asked == []


@pytest.mark.parametrize(("time_ms", "told"), [(1000, "mismatch"), (9_000_000, "expired")])
async def test_what_the_store_says_of_a_token_is_the_same_answer(
    door: SuspensionServicer, store: Store, keys: OneKey, time_ms: int, told: str
) -> None:
    store.answers = [EngineError(ErrorCode.TOKEN_INVALID, "scope", field="waitpoint_id")]
    keys.time_ms = time_ms

    with pytest.raises(EngineError) as refused:
        await door.DeliverSignal(signal(), None)

    error = refused.value
    assert (error.code, error.detail, error.field) == (ErrorCode.TOKEN_INVALID, "", ""), told


async def test_a_bulk_has_a_verdict_for_each(door: SuspensionServicer, store: Store) -> None:
    store.answers = [ANSWER, EngineError(ErrorCode.SIGNALS_FULL), EngineError(ErrorCode.TOKEN_INVALID, "x")]
    requests = [signal(), signal(token="no"), signal(name=""), signal(), signal()]

    reply = await door.BulkDeliverSignals(pb.BulkDeliverSignalsRequest(requests=requests), None)

    assert [result.status.code for result in reply.results] == [0, 7, 3, 8, 7]
    assert [result.signal.number for result in reply.results] == [5, 0, 0, 0, 0]
    assert reply.results[1] == reply.results[4], "whoever found it out"


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_bulk_has_a_size(door: SuspensionServicer, store: Store, count: int) -> None:
    with pytest.raises(EngineError) as refused:
        await door.BulkDeliverSignals(pb.BulkDeliverSignalsRequest(requests=[signal()] * count), None)

    assert refused.value.field == "requests"


async def test_waitpoints_are_made_with_the_current_key_and_told_with_their_token(
    door: SuspensionServicer, store: Store
) -> None:
    request = pb.CreateWaitpointRequest(lease=LEASE, spec=pb.WaitpointSpec(name="w3"), entry="3")

    answer = await door.CreateWaitpoint(request, None)

    assert (answer.token, answer.waitpoint_id) == (TOKEN, REF.render())
    assert store.asked == [(LEASE, NewWaitpoint("w3", ttl_ms=30 * 86_400_000), "k1", "3")]


SUSPEND = pb.SuspendRequest(
    lease=LEASE,
    suspend=pb.SuspendSpec(
        waitpoints=[pb.WaitpointSpec(name="w3")],
        waits=[pb.Wait(condition=pb.Condition(signal=pb.SignalMatch(waitpoint="w3")))],
    ),
)


async def test_a_worker_that_suspends_is_told_its_tokens(door: SuspensionServicer, store: Store) -> None:
    answer = await door.Suspend(SUSPEND, None)

    assert (answer.answer, answer.suspension) == ("suspended", 1)
    assert [waitpoint.token for waitpoint in answer.waitpoints] == [TOKEN]
    [outcome] = store.asked
    assert isinstance(outcome, Outcome)
    assert (outcome.lease, outcome.operation, outcome.details[1]) == (LEASE, "suspend", "k1")


async def test_an_execution_that_was_cancelled_does_not_suspend(
    door: SuspensionServicer, store: Store
) -> None:
    store.finished = "cancelled"

    assert await door.Suspend(SUSPEND, None) == pb.SuspendResponse(answer="cancelled")


@pytest.mark.parametrize(
    "answer", [ErrorCode.LEASE_STALE, EngineError(ErrorCode.WAITPOINTS_FULL, "too many are open")], ids=str
)
async def test_what_the_store_refuses_is_raised(
    door: SuspensionServicer, store: Store, answer: ErrorCode | EngineError
) -> None:
    store.finished = answer

    with pytest.raises(EngineError) as refused:
        await door.Suspend(SUSPEND, None)

    assert refused.value.code is (answer.code if isinstance(answer, EngineError) else answer)


async def test_lists_are_paged_and_never_hold_a_token(door: SuspensionServicer, store: Store) -> None:
    store.records = [record(number) for number in (3, 4, 9)]

    first = await door.ListWaitpoints(pb.ListWaitpointsRequest(execution_id=EXECUTION, page_size=2), None)
    rest = await door.ListWaitpoints(
        pb.ListWaitpointsRequest(execution_id=EXECUTION, page_size=2, page_token=first.next_page_token), None
    )

    shown = [*first.waitpoints, *rest.waitpoints]
    assert [waitpoint.name for waitpoint in shown] == ["w3", "w4", "w9"]
    assert (first.next_page_token, rest.next_page_token) == ("4", "")
    assert not any(each.token or each.callback_path or each.fingerprint for each in shown)


# ------------------------------------------------------------------------------------------------ callbacks

Client = TestClient[web.Request, web.Application]
PATH = f"/v1/callbacks/{TOKEN}.{REF.render()}"


@pytest.fixture
async def client(door: SuspensionServicer) -> object:
    async def readiness() -> dict[str, str]:
        return {}

    app: web.Application = build_app(
        [(pb.DESCRIPTOR.services_by_name["SuspensionService"], door)],
        options=HttpOptions(principals=Principals("shared", {"ada": "adas"}), max_body_bytes_callback=64),
        readiness=readiness,
        metrics=lambda: b"",
    )
    async with TestClient(TestServer(app)) as opened:
        yield opened


async def test_a_callback_is_a_signal_with_whatever_body(client: Client, store: Store) -> None:
    response = await client.post(
        PATH + "?name=paid",
        data=b"\0\xff{",
        headers={"Content-Type": "image/png", "Idempotency-Key": "k", "X-Correlation-Id": "c"},
    )

    assert response.status == 200
    assert await response.json() == {"number": "5", "effect": "SIGNAL_EFFECT_COUNTED", "duplicate": False}
    [asked] = store.asked
    assert isinstance(asked, NewSignal)
    assert (asked.name, asked.payload, asked.idempotency_key, asked.correlation_id) == (
        "paid",
        b"\0\xff{",
        "k",
        "c",
    )
    assert asked.source == ""


@pytest.mark.parametrize(
    ("authorization", "source"), [("Bearer adas", "user:ada"), ("Bearer shared", ""), ("Bearer wrong", "")]
)
async def test_a_callback_asks_for_nobody_but_knows_who_shows_a_token(
    client: Client, store: Store, authorization: str, source: str
) -> None:
    response = await client.post(PATH, headers={"Authorization": authorization})

    assert response.status == 200
    [asked] = store.asked
    assert isinstance(asked, NewSignal)
    assert (asked.name, asked.source) == ("callback", source)


@pytest.mark.parametrize("verb", ["GET", "HEAD", "PUT", "DELETE"])
async def test_following_a_callback_link_delivers_nothing(client: Client, store: Store, verb: str) -> None:
    response = await client.request(verb, PATH)

    assert response.status == 405
    assert store.asked == []


@pytest.mark.parametrize("end", ["x", TOKEN, f"{TOKEN}.", f"w1.k1.{'A' * 43}.{REF.render()}", "%00", "é" * 9])
async def test_all_bad_callbacks_have_one_answer(client: Client, store: Store, end: str) -> None:
    response = await client.post(f"/v1/callbacks/{end}", data=b"x")

    assert response.status == 403
    assert await response.json() == {
        "error": str(EngineError(ErrorCode.TOKEN_INVALID)),
        "kind": "TOKEN_INVALID",
        "retryable": False,
    }
    assert store.asked == []


@pytest.mark.parametrize(
    ("more", "kind", "status"),
    [
        ({"data": b"x" * 65}, "PAYLOAD_TOO_LARGE", 413),
        ({"params": {"name": "a b"}}, "INVALID_ARGUMENT", 400),
        ({"headers": {"Idempotency-Key": "a b"}}, "INVALID_ARGUMENT", 400),
        ({"headers": {"X-Correlation-Id": "x" * 257}}, "INVALID_ARGUMENT", 400),
    ],
)
async def test_a_malformed_callback_is_refused(
    client: Client, store: Store, more: dict[str, object], kind: str, status: int
) -> None:
    response = await client.post(PATH, **more)  # type: ignore[arg-type]

    assert (response.status, (await response.json())["kind"]) == (status, kind)
    assert store.asked == []


async def test_the_description_of_the_api_says_what_a_callback_takes_and_answers(client: Client) -> None:
    document = await (await client.get("/openapi.json")).json()
    operations = document["paths"]["/v1/callbacks/{callback}"]
    assert list(operations) == ["post"]
    operation = operations["post"]
    schema = document["components"]["schemas"]["flowfabric.suspension.v1.DeliverSignalResponse"]

    assert operation["security"] == []  # all others ask for an API token here
    assert {each["name"]: each["in"] for each in operation["parameters"]} == {
        "callback": "path",
        "name": "query",
        "Idempotency-Key": "header",
        "X-Correlation-Id": "header",
    }
    assert list(operation["requestBody"]["content"]) == ["*/*"]
    answer = await (await client.post(PATH)).json()
    assert schema["properties"].keys() == answer.keys()
    assert operation["responses"].keys() == {"200", "default"} | {str(code.http) for code in REFUSALS}


def test_the_description_of_a_callback_tells_the_codes_of_the_store_and_of_the_door() -> None:
    library = Library()
    read(LUA / "signal.lua", library)
    store = library.registered["signal_deliver"].codes - {"WAITPOINT_NOT_FOUND"}  # of names, not of tokens
    door = {"INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE", "STORE_UNAVAILABLE"}

    assert {code.name for code in REFUSALS} == store | door


async def test_a_full_execution_tells_the_webhook_to_come_again(client: Client, store: Store) -> None:
    store.answers = [EngineError(ErrorCode.SIGNALS_FULL)]

    response = await client.post(PATH)

    assert (response.status, (await response.json())["retryable"]) == (429, True)


async def raw(client: Client, path: str, *headers: bytes) -> bytes:
    """All that is answered to bytes that no client library would send."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    lines = [f"POST {path} HTTP/1.1".encode(), b"Host: x", b"Connection: close", *headers, b"", b"p"]
    writer.write(b"\r\n".join(lines))
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_header_that_is_no_text_is_refused(client: Client, store: Store) -> None:
    answer = await raw(client, PATH, b"Content-Length: 1", b"X-Correlation-Id: \xff\xfe")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"field": "correlation_id"' in answer
    assert store.asked == []


async def test_a_body_is_asked_for_once_and_only_when_it_is_wanted(client: Client, store: Store) -> None:
    expect = (b"Content-Length: 1", b"Expect: 100-continue")

    wanted, unwanted = await raw(client, PATH, *expect), await raw(client, "/v1/callbacks/no", *expect)

    assert wanted.count(b"100 Continue") == 1
    assert b"200 OK" in wanted
    assert unwanted.startswith(b"HTTP/1.1 403 ")
