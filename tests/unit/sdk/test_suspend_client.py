"""Signals, waitpoints, events and keys against a gateway that answers from a script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.rpc import code_pb2

from flowfabric import (
    Client,
    Delivery,
    EngineError,
    Event,
    EventFamily,
    EventPage,
    KeyRotation,
    NotFound,
    SignalEffect,
    SignalSpec,
    State,
    TokenInvalid,
    Unavailable,
    Waitpoint,
    WaitpointKey,
    signal,
)
from flowfabric import _channel as channel_module
from flowfabric import _submit as submit_module
from flowfabric_api.execution.v1 import execution_pb2 as execution_pb
from flowfabric_api.journal.v1 import journal_pb2 as journal_pb
from flowfabric_api.operator.v1 import operator_pb2 as operator_pb
from flowfabric_api.output.v1 import output_pb2 as output_pb
from flowfabric_api.subscription.v1 import subscription_pb2 as subscription_pb
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

from .fake_gateway import FakeGateway, status

AWAY = status(code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE")
NOON = datetime(2040, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
async def client(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(channel_module.Pause, "next", lambda *_: 0.0)
    async with Client(gateway.address, namespace="acme") as client:
        yield client


def delivered(number: int = 1, **fields: Any) -> pb.DeliverSignalResponse:
    return pb.DeliverSignalResponse(number=number, effect=pb.SIGNAL_EFFECT_COUNTED, **fields)


# Signals


async def test_a_signal_says_everything_its_sender_decides(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["DeliverSignal"] = [delivered(7, duplicate=True)]

    delivery = await client.signal(
        "w~1",
        "paid",
        {"cents": 5},
        token="w1.k1.mac",
        category="payment",
        correlation_id="c",
        idempotency_key="k",
        idempotency_ttl=timedelta(hours=1),
        resume_delay=1.5,
    )

    assert delivery == Delivery(7, SignalEffect.COUNTED, duplicate=True)
    [request] = gateway.client.requests("DeliverSignal")
    assert (request.waitpoint_id, request.token, request.name) == ("w~1", "w1.k1.mac", "paid")
    assert (request.payload, request.category, request.correlation_id) == (b'{"cents":5}', "payment", "c")
    assert request.idempotency_key == "k"
    assert request.idempotency_ttl.ToTimedelta() == timedelta(hours=1)
    assert request.resume_delay.ToTimedelta() == timedelta(seconds=1.5)


async def test_a_waitpoint_brings_its_token(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["DeliverSignal"] = [delivered()]
    waitpoint = Waitpoint(waitpoint_id="w~1", name="go", token="w1.k1.mac")

    await client.signal(waitpoint, "go")

    [request] = gateway.client.requests("DeliverSignal")
    assert (request.waitpoint_id, request.token) == ("w~1", "w1.k1.mac")
    assert not request.HasField("resume_delay")


async def test_a_waitpoint_does_not_print_its_token() -> None:
    waitpoint = Waitpoint(
        waitpoint_id="w~1", name="go", token="w1.k1.mac", callback_path="/mac", callback_url="http://mac"
    )

    assert "mac" not in repr(waitpoint)


async def test_a_signal_without_a_key_is_sent_once(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["DeliverSignal"] = [AWAY, delivered()]

    with pytest.raises(Unavailable):
        await client.signal("w~1", "go")

    assert len(gateway.client.requests("DeliverSignal")) == 1


async def test_a_signal_that_is_to_be_safe_gets_a_key_and_is_repeated(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.client.script["DeliverSignal"] = [AWAY, delivered()]

    await client.signal("w~1", "go", retry_safe=True)

    first, second = gateway.client.requests("DeliverSignal")
    assert first.idempotency_key == second.idempotency_key != ""


async def test_a_wrong_token_is_an_error_of_its_own(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["DeliverSignal"] = [status(code_pb2.PERMISSION_DENIED, "TOKEN_INVALID")]

    with pytest.raises(TokenInvalid):
        await client.signal("w~1", "go", token="made-up")


async def test_many_signals_travel_in_chunks_with_a_verdict_each(
    gateway: FakeGateway, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit_module, "MAX_ITEMS", 2)
    refused = pb.SignalResult(status=status(code_pb2.PERMISSION_DENIED, "TOKEN_INVALID"))
    gateway.client.script["BulkDeliverSignals"] = [
        pb.BulkDeliverSignalsResponse(results=[pb.SignalResult(signal=delivered(1)), refused]),
        pb.BulkDeliverSignalsResponse(results=[pb.SignalResult(signal=delivered(2))]),
    ]

    first, second, third = await client.signal_many(
        [SignalSpec("w~1", "a"), SignalSpec("w~2", "b"), SignalSpec("w~3", "c", b"raw")], retry_safe=True
    )

    assert (first, third) == (Delivery(1, SignalEffect.COUNTED), Delivery(2, SignalEffect.COUNTED))
    assert isinstance(second, TokenInvalid)
    one, other = gateway.client.requests("BulkDeliverSignals")
    assert [each.name for each in one.requests] == ["a", "b"]
    assert [each.payload for each in other.requests] == [b"raw"]
    assert all(each.idempotency_key for each in one.requests)


async def test_what_was_not_sent_after_a_failure_has_it_for_its_verdict(
    gateway: FakeGateway, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit_module, "MAX_ITEMS", 1)
    gateway.client.script["BulkDeliverSignals"] = [
        pb.BulkDeliverSignalsResponse(results=[pb.SignalResult(signal=delivered())]),
        AWAY,
    ]

    first, second = await client.signal_many([SignalSpec("w~1", "a"), SignalSpec("w~2", "b")])

    assert first == Delivery(1, SignalEffect.COUNTED)
    assert isinstance(second, EngineError)


async def test_a_decision_is_safe_to_repeat(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["DecideWaitpoint"] = [AWAY, delivered(), delivered()]

    await client.approve("x", "release", {"note": "fine"})
    await client.reject("x", "release", idempotency_key="mine")

    first, repeat, last = gateway.client.requests("DecideWaitpoint")
    assert first.idempotency_key == repeat.idempotency_key != ""
    assert (first.decision, first.payload) == (pb.DECISION_APPROVE, b'{"note":"fine"}')
    assert (last.decision, last.idempotency_key) == (pb.DECISION_REJECT, "mine")
    assert {(each.execution_id, each.name) for each in (first, repeat, last)} == {("x", "release")}


async def test_an_operator_resumes_now_or_later(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["ResumeExecution"] = [
        pb.ResumeExecutionResponse(state="waiting"),
        pb.ResumeExecutionResponse(state="delayed"),
    ]

    assert await client.resume("x", "looked at it") is State.WAITING
    assert await client.resume("x", delay=60) is State.DELAYED

    now, later = gateway.client.requests("ResumeExecution")
    assert (now.reason, now.HasField("delay")) == ("looked at it", False)
    assert later.delay.seconds == 60


# Looking


def waitpoint_message(name: str, **fields: Any) -> pb.Waitpoint:
    return pb.Waitpoint(waitpoint_id=f"w~{name}", name=name, **fields)


async def test_waitpoints_come_from_all_pages(gateway: FakeGateway, client: Client) -> None:
    last = waitpoint_message("b", use=pb.WAITPOINT_USE_SINGLE, state="closed", recipient="ann", signals=1)
    gateway.client.script["ListWaitpoints"] = [
        pb.ListWaitpointsResponse(waitpoints=[waitpoint_message("a")], next_page_token="next"),
        pb.ListWaitpointsResponse(waitpoints=[last]),
    ]

    found = await client.waitpoints("x", include_closed=True)

    assert [each.name for each in found] == ["a", "b"]
    assert (found[1].single_use, found[1].state, found[1].recipient, found[1].signals) == (
        True,
        "closed",
        "ann",
        1,
    )
    requests = gateway.client.requests("ListWaitpoints")
    assert [each.page_token for each in requests] == ["", "next"]
    assert all(each.include_closed for each in requests)


async def test_a_suspension_tells_how_far_its_waits_are(gateway: FakeGateway, client: Client) -> None:
    wait = pb.WaitState(
        name="go", satisfied=True, signals=[3], on_timeout=pb.TIMEOUT_BEHAVIOUR_AUTO_RESUME, escalated=True
    )
    wait.condition.signal.waitpoint = "go"
    wait.due_time.FromDatetime(NOON)
    message = pb.Suspension(number=2, reason_code="waiting_for_signal", state="open", waits=[wait])
    gateway.client.script["GetSuspension"] = [message, pb.Suspension()]

    found = await client.suspension("x")

    assert found is not None
    assert (found.number, found.reason_code, found.state, found.due_time) == (
        2,
        "waiting_for_signal",
        "open",
        None,
    )
    [seen] = found.waits
    assert (seen.condition, seen.signals, seen.due_time) == (signal(at="go"), (3,), NOON)
    assert (seen.satisfied, seen.on_timeout, seen.escalated) == (True, "resume", True)
    assert await client.suspension("x") is None


async def test_an_execution_tells_its_steps_and_its_suspension(gateway: FakeGateway, client: Client) -> None:
    step = journal_pb.Step(
        key="1",
        kind=journal_pb.ENTRY_KIND_STEP,
        name="charge",
        state=journal_pb.ENTRY_STATE_FAILED,
        runs=3,
        uncertain=True,
        failure=journal_pb.StepFailure(type="Declined", message="no", category="permanent"),
    )
    gateway.client.script["GetExecution"] = [
        execution_pb.Execution(
            execution_id="x",
            state=execution_pb.PUBLIC_STATE_SUSPENDED,
            suspension=pb.Suspension(number=1),
            steps=[step],
            steps_total=9,
            summary_version=4,
        )
    ]

    execution = await client.get("x")

    [seen] = execution.steps
    assert (seen.key, seen.kind, seen.name, seen.state, seen.runs) == ("1", "step", "charge", "failed", 3)
    assert seen.uncertain
    assert seen.failure is not None
    assert seen.failure.type == "Declined"
    assert execution.suspension is not None
    assert (execution.state, execution.suspension.number) == (State.SUSPENDED, 1)
    assert (execution.steps_total, execution.summary_version) == (9, 4)


async def test_the_summary_is_none_until_there_is_one(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["GetSummary"] = [
        output_pb.Summary(),
        output_pb.Summary(document=b"{}", version=3, cursor="1-0"),
    ]

    assert await client.summary("x") is None
    summary = await client.summary("x")

    assert summary is not None
    assert (summary.document, summary.version, summary.cursor) == (b"{}", 3, "1-0")


@pytest.mark.parametrize(
    ("options", "keep"),
    [
        ({}, None),
        ({"keep_journal": True}, "keep_journal"),
        ({"keep_journal": True, "through": "charge"}, "keep_journal_through"),
    ],
)
async def test_a_replay_says_what_it_keeps(
    gateway: FakeGateway, client: Client, options: dict[str, Any], keep: str | None
) -> None:
    gateway.client.script["ReplayExecution"] = [
        execution_pb.ReplayExecutionResponse(state=execution_pb.PUBLIC_STATE_WAITING)
    ]

    assert await client.replay("x", **options) is State.WAITING

    [request] = gateway.client.requests("ReplayExecution")
    assert request.WhichOneof("keep") == keep


async def test_a_step_that_is_not_there_is_not_found(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["ReplayExecution"] = [status(code_pb2.NOT_FOUND, "STEP_NOT_FOUND")]

    with pytest.raises(NotFound):
        await client.replay("x", through="nothing")


# Events


def page(cursor: str, *names: str, **fields: Any) -> subscription_pb.SubscribeResponse:
    events = [
        subscription_pb.Event(
            event_id=name, family=subscription_pb.EVENT_FAMILY_COMPLETION, name=name, execution_id="x"
        )
        for name in names
    ]
    return subscription_pb.SubscribeResponse(
        events=events, cursor=subscription_pb.Cursor(cursor=cursor), **fields
    )


async def test_a_subscription_goes_on_behind_the_page_before_it_broke(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.client.script["Subscribe"] = [
        [page("c0"), page("c1", "completed"), AWAY],
        [page("c2", "failed", fell_off=True, partitions_fell_off=[4])],
    ]
    seen: list[EventPage] = []

    async with aclosing(
        client.subscribe("c", families=[EventFamily.COMPLETION], lane="l", kind="k", tags={"a.b": "c"})
    ) as pages:
        async for each in pages:
            seen.append(each)
            if len(seen) == 3:
                break

    assert [each.cursor for each in seen] == ["c0", "c1", "c2"]
    assert [event.name for each in seen for event in each.events] == ["completed", "failed"]
    assert isinstance(seen[1].events[0], Event)
    assert seen[1].events[0].family is EventFamily.COMPLETION
    assert (seen[1].fell_off, seen[2].fell_off, seen[2].partitions_fell_off) == (False, True, (4,))
    first, again = gateway.client.requests("Subscribe")
    assert (first.after, again.after) == ("c", "c1")
    assert (first.namespace, first.lane, first.kind, list(first.tags)) == ("acme", "l", "k", ["a.b=c"])
    assert list(first.families) == [subscription_pb.EVENT_FAMILY_COMPLETION]


async def test_events_are_read_without_waiting(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["ReadEvents"] = [page("c1", "completed")]

    found = await client.read_events(from_first=True, all_namespaces=True, page_size=5)

    assert ([event.name for event in found.events], found.cursor) == (["completed"], "c1")
    [request] = gateway.client.requests("ReadEvents")
    assert (request.from_first, request.namespace, request.page_size) == (True, "", 5)


# Keys


async def test_keys_are_rotated_and_listed(gateway: FakeGateway, client: Client) -> None:
    gateway.client.script["RotateWaitpointKey"] = [
        operator_pb.RotateWaitpointKeyResponse(kid="k2", previous_kid="k1", changed=True, dropped=1)
    ]
    gateway.client.script["ListWaitpointKeys"] = [
        operator_pb.ListWaitpointKeysResponse(keys=[operator_pb.WaitpointKey(kid="k2", current=True)])
    ]

    assert await client.rotate_key("k2", grace=3600, secret=b"s" * 32) == KeyRotation("k2", "k1", True, 1)
    assert await client.keys() == [WaitpointKey("k2", True, None, None)]

    [request] = gateway.client.requests("RotateWaitpointKey")
    assert (request.kid, request.grace.seconds, request.secret) == ("k2", 3600, b"s" * 32)
