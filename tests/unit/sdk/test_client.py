"""The client against a gateway that answers from a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.rpc import code_pb2

from flowfabric import (
    Backoff,
    Client,
    EngineError,
    ExecutionCancelled,
    ExecutionExpired,
    ExecutionFailed,
    FrameKind,
    IdempotencyConflict,
    NotFound,
    Policy,
    Spec,
    State,
    Submission,
    Unavailable,
    task,
)
from flowfabric import _channel as channel_module
from flowfabric import _doors as doors_module
from flowfabric import _submit as submit_module
from flowfabric_api.execution.v1 import execution_pb2 as pb
from flowfabric_api.operator.v1 import operator_pb2 as operator_pb
from flowfabric_api.output.v1 import output_pb2 as output_pb

from .fake_gateway import FakeGateway, status

AWAY = status(code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE")


@pytest.fixture
async def client(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(channel_module.Pause, "next", lambda *_: 0.0)
    async with Client(gateway.address, token="secret") as client:
        yield client


def execution(state: int, **fields: Any) -> pb.Execution:
    return pb.Execution(execution_id="x", state=state, **fields)  # type: ignore[arg-type]


def change(state: int, **fields: Any) -> pb.WatchExecutionResponse:
    return pb.WatchExecutionResponse(execution=execution(state, **fields))


# Submit


async def test_submit_says_everything_a_client_decides(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["CreateExecution"] = [pb.CreateExecutionResponse(execution_id="x", duplicate=True)]
    start = datetime(2040, 1, 2, tzinfo=UTC)

    submission = await client.submit(
        "resize",
        {"size": 3},
        lane="images",
        priority=7,
        requires=["gpu"],
        tags={"app.user": "ada"},
        idempotency_key="k",
        idempotency_ttl=60,
        start_at=start,
        deadline=timedelta(hours=1),
        policy=Policy(max_attempts=2, backoff=Backoff(initial=0.5, jitter=0), retention=3600),
        traceparent="00-x",
    )

    [request] = gateway.client.requests("CreateExecution")
    spec = request.spec
    assert submission == Submission("x", duplicate=True)
    assert (spec.namespace, spec.kind, spec.lane, spec.priority) == ("default", "resize", "images", 7)
    assert (spec.payload, list(spec.required_capabilities)) == (b'{"size":3}', ["gpu"])
    assert dict(spec.tags) == {"app.user": "ada"}
    assert (request.idempotency_key, request.idempotency_ttl.seconds) == ("k", 60)
    assert spec.start_time.ToDatetime(UTC) == start
    assert spec.deadline.seconds == 3600
    assert (spec.policy.max_attempts, spec.policy.retention.seconds) == (2, 3600)
    assert spec.policy.backoff.initial.ToMilliseconds() == 500
    assert spec.policy.backoff.HasField("jitter")
    assert not spec.policy.HasField("max_reclaims")
    assert not spec.policy.backoff.HasField("max")
    assert spec.traceparent == "00-x"


async def test_a_delay_is_left_to_the_clock_of_the_engine(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["CreateExecution"] = [pb.CreateExecutionResponse(execution_id="x")]

    await client.submit("k", delay=1.5)

    [request] = gateway.client.requests("CreateExecution")
    assert request.spec.start_delay.ToMilliseconds() == 1500
    assert not request.spec.HasField("start_time")


async def test_submit_says_nothing_that_was_not_decided(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["CreateExecution"] = [pb.CreateExecutionResponse(execution_id="x")]

    await client.submit("k")

    [request] = gateway.client.requests("CreateExecution")
    assert (request.spec.payload, request.idempotency_key) == (b"", "")
    for name in ("start_time", "start_delay", "deadline", "policy"):
        assert not request.spec.HasField(name)
    assert not request.HasField("idempotency_ttl")


async def test_a_task_says_its_kind_and_lane(gateway: FakeGateway, client: Client) -> None:
    @task(kind="mail.send", lane="mail")
    async def send(to: str) -> None: ...

    gateway.client.script["CreateExecution"] = [pb.CreateExecutionResponse(execution_id="x")]

    await client.submit(send, "ada")

    [request] = gateway.client.requests("CreateExecution")
    assert (request.spec.kind, request.spec.lane) == ("mail.send", "mail")


async def test_a_start_without_time_zone_or_told_twice_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="time zone"):
        await client.submit("k", start_at=datetime(2040, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="not both"):
        await client.submit("k", start_at=datetime(2040, 1, 1, tzinfo=UTC), delay=1)


async def test_every_call_shows_the_token(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["GetExecution"] = [execution(pb.PUBLIC_STATE_WAITING)]

    await client.get("x")

    assert gateway.client.metadata[0]["authorization"] == "Bearer secret"


async def test_a_submit_that_may_have_arrived_is_not_repeated(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["CreateExecution"] = [AWAY, pb.CreateExecutionResponse(execution_id="x")]

    with pytest.raises(Unavailable):
        await client.submit("k")

    assert len(gateway.client.requests("CreateExecution")) == 1


@pytest.mark.parametrize("options", [{"retry_safe": True}, {"idempotency_key": "mine"}])
async def test_a_submit_with_a_key_is_repeated_with_the_same(
    gateway: FakeGateway, client: Client, options: dict[str, Any]
) -> None:
    gateway.client.script["CreateExecution"] = [AWAY, pb.CreateExecutionResponse(execution_id="x")]

    await client.submit("k", **options)

    first, second = gateway.client.requests("CreateExecution")
    assert first.idempotency_key == second.idempotency_key != ""


async def test_a_submit_waits_for_a_gateway_that_is_not_there_yet(
    gateway: FakeGateway, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.client.script["CreateExecution"] = [pb.CreateExecutionResponse(execution_id="x")]
    await gateway.close()
    tried = asyncio.Event()

    def notice(*_: object) -> float:
        tried.set()
        return 0.0

    monkeypatch.setattr(channel_module.Pause, "next", notice)
    monkeypatch.setattr(doors_module, "TRIES", 1_000_000)
    submitting = asyncio.create_task(client.submit("k"))
    await tried.wait()
    await gateway.open()

    assert (await submitting).execution_id == "x"


@pytest.mark.parametrize(
    ("asked", "pauses"), [(0.1, [0.1, 0.1, 0.2]), (1.0, [1.0, 1.0, 1.0]), (None, [0.05, 0.1, 0.2])]
)
def test_a_pause_grows_and_is_not_shorter_than_the_server_asks(
    asked: float | None, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda _low, _high: 1.0)
    pause = channel_module.Pause()

    assert [pause.next(asked) for _ in range(3)] == pauses


async def test_where_nobody_listens_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors_module, "TRIES", 1)
    async with Client("127.0.0.1:1") as client:
        with pytest.raises(Unavailable, match=r"no gateway answers at 127\.0\.0\.1:1"):
            await client.get("x")


async def test_refusals_are_raised_by_class(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["CreateExecution"] = [status(code_pb2.ALREADY_EXISTS, "IDEMPOTENCY_CONFLICT")]
    gateway.client.script["GetExecution"] = [status(code_pb2.NOT_FOUND, "EXECUTION_NOT_FOUND")]

    with pytest.raises(IdempotencyConflict):
        await client.submit("k", idempotency_key="k")
    with pytest.raises(NotFound):
        await client.get("x")


# Submit many


def created(*ids: str) -> pb.BulkCreateExecutionsResponse:
    return pb.BulkCreateExecutionsResponse(results=[pb.CreateExecutionResult(execution_id=i) for i in ids])


async def test_one_refused_spec_harms_no_other(gateway: FakeGateway, client: Client) -> None:
    answer = created("a", "")
    answer.results[1].status.CopyFrom(status(code_pb2.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE"))
    gateway.client.script["BulkCreateExecutions"] = [answer]

    first, second = await client.submit_many([Spec("k", 1), Spec("k", 2)])

    assert first == Submission("a")
    assert isinstance(second, EngineError)
    assert second.reason == "PAYLOAD_TOO_LARGE"


async def test_many_specs_travel_in_chunks_by_number(
    gateway: FakeGateway, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit_module, "MAX_ITEMS", 2)
    gateway.client.script["BulkCreateExecutions"] = [created("0", "1"), created("2", "3"), created("4")]

    verdicts = await client.submit_many([Spec("k", n) for n in range(5)])

    assert verdicts == [Submission(str(n)) for n in range(5)]
    payloads = [[r.spec.payload for r in c.requests] for c in gateway.client.requests("BulkCreateExecutions")]
    assert payloads == [[b"0", b"1"], [b"2", b"3"], [b"4"]]


async def test_many_specs_travel_in_chunks_by_size(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["BulkCreateExecutions"] = [created("0", "1"), created("2", "3"), created("4")]

    await client.submit_many([Spec("k", bytes(1024 * 1024 + 1024 * 200)) for _ in range(5)])

    sizes = [request.ByteSize() for request in gateway.client.requests("BulkCreateExecutions")]
    assert len(sizes) == 3
    assert max(sizes) < 3 * 1024 * 1024


async def test_what_was_submitted_before_a_failure_is_not_lost(
    gateway: FakeGateway, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit_module, "MAX_ITEMS", 1)
    gateway.client.script["BulkCreateExecutions"] = [created("0"), AWAY]

    first, second, third = await client.submit_many([Spec("k")] * 3)

    assert first == Submission("0")
    assert isinstance(second, Unavailable)
    assert isinstance(third, Unavailable)


async def test_a_failure_before_anything_was_submitted_is_raised(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.client.script["BulkCreateExecutions"] = [AWAY]

    with pytest.raises(Unavailable):
        await client.submit_many([Spec("k")])


# Look


async def test_an_execution_comes_back_as_plain_values(gateway: FakeGateway, client: Client) -> None:
    message = execution(pb.PUBLIC_STATE_FAILED, attempt=2, failed_attempts=2)
    message.spec.kind = "k"
    message.spec.tags["a.b"] = "c"
    message.spec.policy.max_attempts = 2
    message.spec.policy.attempt_timeout.FromMilliseconds(1500)
    message.state_vector.blocking_reason = "waiting_for_capable_worker"
    message.create_time.FromMilliseconds(1_700_000_000_123)
    message.failure.type = "Oops"
    message.failure.message = "broken"
    message.history.add(epoch=1, ending="failed").failure.type = "Oops"
    gateway.client.script["GetExecution"] = [message]

    found = await client.get("x", include_payload=True)

    assert gateway.client.requests("GetExecution")[0].include_payload
    assert (found.state, found.attempt, found.kind, found.tags) == (State.FAILED, 2, "k", {"a.b": "c"})
    assert found.policy == Policy(max_attempts=2, attempt_timeout=timedelta(seconds=1.5))
    assert found.state_vector.blocking_reason == "waiting_for_capable_worker"
    assert found.create_time == datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)
    assert found.end_time is None
    assert found.lease is None
    assert found.history[0].failure is not None
    assert found.ending() == "failed: Oops: broken"


async def test_calls_that_may_be_repeated_are(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["GetExecution"] = [AWAY, AWAY, execution(pb.PUBLIC_STATE_WAITING)]

    assert (await client.get("x")).state is State.WAITING


async def test_calls_are_given_up_in_the_end(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["GetExecution"] = [AWAY] * 100

    with pytest.raises(Unavailable):
        await client.get("x")

    assert len(gateway.client.requests("GetExecution")) == channel_module.TRIES


async def test_list_goes_from_page_to_page(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["ListExecutions"] = [
        pb.ListExecutionsResponse(executions=[pb.Execution(execution_id="a")], next_page_token="t"),
        pb.ListExecutionsResponse(executions=[pb.Execution(execution_id="b")]),
    ]

    found = [e.execution_id async for e in client.list(state=State.FAILED, kind="k", tags={"a.b": "c"})]

    first, second = gateway.client.requests("ListExecutions")
    assert found == ["a", "b"]
    assert (first.state, first.kind, list(first.tags)) == (pb.PUBLIC_STATE_FAILED, "k", ["a.b=c"])
    assert (first.page_token, second.page_token) == ("", "t")


async def test_watch_goes_on_after_a_break_without_repeating_itself(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.client.script["WatchExecution"] = [
        [change(pb.PUBLIC_STATE_WAITING), change(pb.PUBLIC_STATE_ACTIVE), AWAY],
        [change(pb.PUBLIC_STATE_ACTIVE)],  # and ends too early, without an error
        [change(pb.PUBLIC_STATE_ACTIVE), change(pb.PUBLIC_STATE_COMPLETED)],
    ]

    states = [execution.state async for execution in client.watch("x")]

    assert states == [State.WAITING, State.ACTIVE, State.COMPLETED]


async def test_a_watch_of_nothing_is_an_error_at_once(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["WatchExecution"] = [[status(code_pb2.NOT_FOUND, "EXECUTION_NOT_FOUND")]]

    with pytest.raises(NotFound):
        await anext(client.watch("x"))


async def test_a_watch_that_never_began_is_given_up(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["WatchExecution"] = [[AWAY]] * 100

    with pytest.raises(Unavailable):
        await anext(client.watch("x"))


async def test_result_waits_for_the_end_and_reads_the_type(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["WatchExecution"] = [
        [change(pb.PUBLIC_STATE_ACTIVE), change(pb.PUBLIC_STATE_COMPLETED)]
    ] * 2
    gateway.client.script["GetResult"] = [pb.GetResultResponse(data=b"[1,2]")] * 2

    assert await client.result("x") == b"[1,2]"
    assert await client.result("x", list[int]) == [1, 2]


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (pb.PUBLIC_STATE_FAILED, ExecutionFailed),
        (pb.PUBLIC_STATE_CANCELLED, ExecutionCancelled),
        (pb.PUBLIC_STATE_EXPIRED, ExecutionExpired),
    ],
)
async def test_result_of_what_did_not_complete_raises_how_it_ended(
    gateway: FakeGateway, client: Client, state: int, error: Any
) -> None:
    gateway.client.script["WatchExecution"] = [[change(state)]]

    with pytest.raises(error) as raised:
        await client.result("x")

    assert raised.value.execution.execution_id == "x"


async def test_who_waits_for_a_result_asks_for_nothing_but_the_end(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.client.script["WatchExecution"] = [[change(pb.PUBLIC_STATE_COMPLETED)]] * 2
    gateway.client.script["GetResult"] = [pb.GetResultResponse(data=b"1")]

    assert await client.result("x", int) == 1
    assert [execution.state async for execution in client.watch("x")] == [State.COMPLETED]

    assert [request.only_end for request in gateway.client.requests("WatchExecution")] == [True, False]


async def test_a_silent_wait_outlives_any_number_of_gateways(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["WatchExecution"] = [[AWAY]] * 50 + [[change(pb.PUBLIC_STATE_COMPLETED)]]
    gateway.client.script["GetExecution"] = [execution(pb.PUBLIC_STATE_ACTIVE)] * 50
    gateway.client.script["GetResult"] = [pb.GetResultResponse(data=b"1")]

    assert await client.result("x", int) == 1


async def test_a_wait_for_an_engine_that_is_gone_is_given_up(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["WatchExecution"] = [[AWAY]] * 100
    gateway.client.script["GetExecution"] = [AWAY] * 100

    with pytest.raises(Unavailable):
        await client.result("x")


async def test_a_wait_for_nothing_is_an_error_at_once(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["WatchExecution"] = [[status(code_pb2.NOT_FOUND, "EXECUTION_NOT_FOUND")]]

    with pytest.raises(NotFound):
        await client.result("x")


NOT_READY = status(code_pb2.FAILED_PRECONDITION, "RESULT_NOT_READY")


async def test_a_result_that_is_there_costs_one_call(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["GetResult"] = [pb.GetResultResponse(data=b"7")]

    assert await client.result("x", int, timeout=0) == 7

    assert [name for name, _ in gateway.client.seen] == ["GetResult"]


@pytest.mark.parametrize(
    ("state", "raised"),
    [(pb.PUBLIC_STATE_ACTIVE, TimeoutError), (pb.PUBLIC_STATE_FAILED, ExecutionFailed)],
)
async def test_a_result_that_is_not_there_says_at_once_why(
    gateway: FakeGateway, client: Client, state: int, raised: type[Exception]
) -> None:
    gateway.client.script["GetResult"] = [NOT_READY]
    gateway.client.script["GetExecution"] = [execution(state)]

    with pytest.raises(raised):
        await client.result("x", timeout=timedelta(0))


async def test_result_gives_up_when_the_time_is_over(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["WatchExecution"] = [[change(pb.PUBLIC_STATE_ACTIVE)]] * 100_000

    with pytest.raises(TimeoutError):
        await client.result("x", timeout=timedelta(milliseconds=50))


# Output


def frames(*cursors: str) -> output_pb.TailOutputResponse:
    message = output_pb.TailOutputResponse()
    for cursor in cursors:
        message.frames.add(cursor=cursor, attempt=1, number=int(cursor), kind=3, data=cursor.encode())
    return message


async def test_tail_goes_on_from_the_last_cursor_and_ends_with_the_marker(
    gateway: FakeGateway, client: Client
) -> None:
    last = frames("3")
    last.close.reason = "completed"
    gateway.client.script["TailOutput"] = [[frames("1", "2"), AWAY], [], [last]]

    found = [(frame.cursor, frame.kind) async for frame in client.tail("x", attempt=1)]

    assert found == [(cursor, FrameKind.EVENT) for cursor in ("1", "2", "3")]
    assert [(r.after, r.attempt) for r in gateway.client.requests("TailOutput")] == [
        ("", 1),
        ("2", 1),
        ("2", 1),
    ]


async def test_read_output_says_where_to_go_on_and_whether_it_is_closed(
    gateway: FakeGateway, client: Client
) -> None:
    answer = output_pb.ReadOutputResponse(frames=frames("1").frames, next="1")
    answer.close.reason = "failed"
    gateway.client.script["ReadOutput"] = [answer]

    page = await client.read_output("x", after="0", page_size=5, until="2")

    assert ([frame.data for frame in page.frames], page.next, page.close_reason) == ([b"1"], "1", "failed")
    asked = output_pb.ReadOutputRequest(execution_id="x", after="0", page_size=5, until="2")
    assert gateway.client.requests("ReadOutput") == [asked]


# Steer and operate


async def test_cancel_says_the_reason_and_a_grace_of_zero(gateway: FakeGateway, client: Client) -> None:
    answers = [pb.CancelExecutionResponse(state=pb.PUBLIC_STATE_CANCELLED)] * 2
    gateway.client.script["CancelExecution"] = answers

    assert await client.cancel("x", "why", grace=0) is State.CANCELLED
    await client.cancel("x")

    told, untold = gateway.client.requests("CancelExecution")
    assert (told.reason, told.HasField("grace"), untold.HasField("grace")) == ("why", True, False)


async def test_cancel_many_has_one_verdict_each(gateway: FakeGateway, client: Client) -> None:
    answer = pb.BulkCancelExecutionsResponse()
    answer.results.add(execution_id="a", state=pb.PUBLIC_STATE_ACTIVE)
    gone = status(code_pb2.NOT_FOUND, "EXECUTION_NOT_FOUND")
    answer.results.add(execution_id="b", status=gone)
    gateway.client.script["BulkCancelExecutions"] = [answer]

    first, second = await client.cancel_many(["a", "b"])

    assert first is State.ACTIVE
    assert isinstance(second, NotFound)


async def test_the_other_ways_to_steer(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script |= {
        "ChangePriority": [pb.ChangePriorityResponse(old_priority=1, priority=9)],
        "ReplayExecution": [pb.ReplayExecutionResponse(state=pb.PUBLIC_STATE_WAITING)],
        "RevokeLease": [pb.RevokeLeaseResponse(revoked=True, epoch=3, state=pb.PUBLIC_STATE_WAITING)],
        "GetTags": [pb.Tags(tags={"a.b": "c"})],
        "SetTags": [pb.Tags(tags={"a.b": "d"})],
    }

    assert await client.change_priority("x", 9) == 1
    assert await client.replay("x") is State.WAITING
    revocation = await client.revoke_lease("x", "why")
    assert (revocation.revoked, revocation.epoch, revocation.state) == (True, 3, State.WAITING)
    assert await client.get_tags("x") == {"a.b": "c"}
    assert await client.set_tags("x", {"a.b": "d"}) == {"a.b": "d"}


async def test_workers_and_lanes_are_listed(gateway: FakeGateway, client: Client) -> None:
    first = operator_pb.ListWorkersResponse(next_page_token="t")
    first.workers.add(worker_id="w1").pools.add(lanes=["a"], slots=4, held=1)
    second = operator_pb.ListWorkersResponse()
    second.workers.add(worker_id="w2")
    lanes = operator_pb.ListLanesResponse()
    lanes.lanes.add(lane="a", waiting=5).queues.add(required_capabilities=["gpu"], waiting=5)
    gateway.client.script |= {"ListWorkers": [first, second], "ListLanes": [lanes]}

    workers = await client.workers()
    [lane] = await client.lanes()

    assert [worker.worker_id for worker in workers] == ["w1", "w2"]
    assert (workers[0].pools[0].lanes, workers[0].pools[0].held) == (("a",), 1)
    assert (lane.lane, lane.waiting, lane.queues[0].requires) == ("a", 5, ("gpu",))


# Where to connect


def test_address_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FF_ADDR", "engine:1")
    monkeypatch.setenv("FF_API_TOKEN", "t")

    gateway = channel_module.Gateway()

    assert gateway.address == "engine:1"
    assert gateway.metadata == (("authorization", "Bearer t"),)


def test_without_an_environment_it_is_this_machine_and_no_token() -> None:
    gateway = channel_module.Gateway()

    assert (gateway.address, gateway.metadata) == ("127.0.0.1:7433", ())


def test_the_namespace_is_what_was_given_else_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Client().namespace == "default"

    monkeypatch.setenv("FF_NAMESPACE", "shop")

    assert (Client().namespace, Client(namespace="bank").namespace) == ("shop", "bank")


@pytest.mark.parametrize("token", ["", " ", "two words", "line\nbreak", "nul\0", "grüße"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        Client(token=token)
