"""Signals through a running gateway: whose token opens what, whose name counts, and what nobody can learn."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc.aio
import pytest
import structlog
from google.protobuf.duration_pb2 import Duration

from ff_gateway.app import Gateway
from ff_gateway.settings import GatewaySettings
from flowfabric_api.execution.v1 import execution_pb2 as ex
from flowfabric_api.operator.v1 import operator_pb2 as op
from flowfabric_api.suspension.v1 import suspension_pb2 as su
from flowfabric_api.suspension.v1 import suspension_pb2_grpc
from flowfabric_api.worker.v1 import worker_pb2 as wk

from ..engine import PARTITIONS, eventually
from .door import Door, Refused, refusal_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEVER = su.Condition(operator=su.Operator())


def at(waitpoint: str, *names: str) -> su.Condition:
    return su.Condition(signal=su.SignalMatch(waitpoint=waitpoint, match=su.Matcher(names=names)))


def sources(n: int) -> su.Condition:
    return su.Condition(count=su.Count(n=n, by=su.COUNT_BY_SOURCES))


async def hold(door: Door, lane: str) -> wk.Grant:
    """The lease of a new execution."""
    await door.ask(ex.CreateExecutionRequest(spec=ex.ExecutionSpec(kind="k", lane=lane)), "CreateExecution")
    return await claim(door, lane)


async def claim(door: Door, lane: str) -> wk.Grant:
    wait = Duration(seconds=30)
    [reply] = await door.ask(wk.ClaimRequest(worker_id="w", lanes=[lane], wait_time=wait), "Claim")
    [grant] = reply.grants
    assert isinstance(grant, wk.Grant)
    return grant


@dataclass
class Waiting:
    """An execution that waits."""

    door: Door
    execution_id: str
    waitpoints: list[su.Waitpoint]

    async def signal(
        self, name: str = "approved", place: int = 0, **more: object
    ) -> su.DeliverSignalResponse:
        waitpoint = self.waitpoints[place]
        asked = {"waitpoint_id": waitpoint.waitpoint_id, "token": waitpoint.token, "name": name} | more
        return await deliver(self.door, **asked)

    async def state(self) -> int:
        return await state_of(self.door, self.execution_id)


async def deliver(door: Door, **asked: object) -> su.DeliverSignalResponse:
    [answer] = await door.ask(su.DeliverSignalRequest(**asked), "DeliverSignal")  # type: ignore[arg-type]
    assert isinstance(answer, su.DeliverSignalResponse)
    return answer


async def state_of(door: Door, execution_id: str) -> int:
    [execution] = await door.ask(ex.GetExecutionRequest(execution_id=execution_id), "GetExecution")
    return int(execution.state)


async def wait_at(
    door: Door, lane: str, *waitpoints: su.WaitpointSpec, condition: su.Condition | None = None
) -> Waiting:
    """A new execution that waits for any signal at the first waitpoint, or for a condition."""
    grant = await hold(door, lane)
    return await suspend(door, grant, *waitpoints, condition=condition)


async def suspend(
    door: Door, grant: wk.Grant, *waitpoints: su.WaitpointSpec, condition: su.Condition | None = None
) -> Waiting:
    made = waitpoints or (su.WaitpointSpec(name="approval"),)
    spec = su.SuspendSpec(waitpoints=made, waits=[su.Wait(condition=condition or at(made[0].name))])
    [answer] = await door.ask(su.SuspendRequest(lease=grant.lease, suspend=spec), "Suspend")
    return Waiting(door, grant.execution_id, list(answer.waitpoints))


async def refused(call: object) -> str:
    with pytest.raises(Refused) as error:
        await call  # type: ignore[misc]
    return error.value.reason


# What a token opens.


async def test_a_signal_with_its_token_resumes_and_the_next_holder_goes_on(door: Door) -> None:
    waiting = await wait_at(door, "resumes")
    assert await waiting.state() == ex.PUBLIC_STATE_SUSPENDED

    answer = await waiting.signal(payload=b"\0yes")

    assert answer == su.DeliverSignalResponse(number=1, effect=su.SIGNAL_EFFECT_RESUMED)
    again = await claim(door, "resumes")
    assert (again.execution_id, again.attempt) == (waiting.execution_id, 1)
    [seen] = again.resumption.signals
    assert (seen.name, seen.payload, seen.waitpoint, seen.source) == (
        "approved",
        b"\0yes",
        "approval",
        "waitpoint:1",
    )


async def test_a_tampered_token_opens_nothing(door: Door) -> None:
    waiting = await wait_at(door, "tampered")
    [waitpoint] = waiting.waitpoints
    version, kid, mac = waitpoint.token.split(".")
    flipped = base64.urlsafe_b64encode(bytes(b ^ 1 for b in base64.urlsafe_b64decode(mac + "="))).decode()
    later = waitpoint.waitpoint_id[:-1] + str((int(waitpoint.waitpoint_id[-1]) + 1) % 10)

    assert await refused(waiting.signal(token=f"{version}.{kid}.{flipped.rstrip('=')}")) == "TOKEN_INVALID"
    assert await refused(waiting.signal(token=f"{version}.k7.{mac}")) == "TOKEN_INVALID"
    assert await refused(waiting.signal(waitpoint_id=later)) == "TOKEN_INVALID"
    assert await waiting.state() == ex.PUBLIC_STATE_SUSPENDED


async def test_a_token_of_another_execution_opens_nothing(door: Door) -> None:
    mine, other = await wait_at(door, "mine"), await wait_at(door, "other")

    assert await refused(mine.signal(token=other.waitpoints[0].token)) == "TOKEN_INVALID"
    assert await refused(mine.signal(waitpoint_id=other.waitpoints[0].waitpoint_id)) == "TOKEN_INVALID"


async def test_a_token_of_another_suspension_opens_nothing(door: Door) -> None:  # A8
    first = await wait_at(door, "suspensions")
    await first.signal()
    second = await suspend(door, await claim(door, "suspensions"))

    assert await refused(second.signal(token=first.waitpoints[0].token)) == "TOKEN_INVALID"
    assert await refused(first.signal("late")) == "WAITPOINT_CLOSED"
    assert await second.state() == ex.PUBLIC_STATE_SUSPENDED
    assert (await second.signal()).effect == su.SIGNAL_EFFECT_RESUMED


async def test_a_token_whose_time_is_over_opens_nothing(door: Door) -> None:
    waiting = await wait_at(
        door, "expired", su.WaitpointSpec(name="approval", ttl=Duration(nanos=1_000_000)), condition=NEVER
    )

    async def is_over() -> bool:
        try:
            await waiting.signal()
        except Refused:
            return True
        return False

    await eventually(is_over)
    assert await refused(waiting.signal()) == "TOKEN_INVALID"
    assert await waiting.state() == ex.PUBLIC_STATE_SUSPENDED


async def test_a_single_use_token_is_used_once_and_a_repeat_gets_the_first_answer(door: Door) -> None:
    single = su.WaitpointSpec(name="approval", use=su.WAITPOINT_USE_SINGLE)
    waiting = await wait_at(door, "single", single, condition=sources(2))
    first = await waiting.signal(payload=b"1")

    repeat = await waiting.signal(payload=b"1")

    assert (repeat.number, repeat.effect, repeat.duplicate) == (first.number, first.effect, True)
    assert await refused(waiting.signal(payload=b"2")) == "WAITPOINT_CLOSED"


async def test_an_idempotency_key_comes_before_the_state(door: Door) -> None:  # A13
    waiting = await wait_at(door, "keyed")
    first = await waiting.signal(idempotency_key="k")
    await claim(door, "keyed")

    repeat = await waiting.signal(idempotency_key="k")

    assert (repeat.number, repeat.effect, repeat.duplicate) == (first.number, first.effect, True)
    assert await refused(waiting.signal("other", idempotency_key="k")) == "IDEMPOTENCY_CONFLICT"


async def test_an_early_signal_counts_when_its_waitpoint_is_bound(door: Door) -> None:
    grant = await hold(door, "early")
    request = su.CreateWaitpointRequest(lease=grant.lease, spec=su.WaitpointSpec(name="approval"), entry="1")
    [made] = await door.ask(request, "CreateWaitpoint")
    assert (await door.ask(request, "CreateWaitpoint")) == [made]

    early = await deliver(door, waitpoint_id=made.waitpoint_id, token=made.token, name="approved")
    bound = su.WaitpointSpec(name="approval", waitpoint_id=made.waitpoint_id)
    spec = su.SuspendSpec(waitpoints=[bound], waits=[su.Wait(condition=at("approval", "approved"))])
    [answer] = await door.ask(su.SuspendRequest(lease=grant.lease, suspend=spec), "Suspend")

    assert early.effect == su.SIGNAL_EFFECT_BUFFERED
    assert answer.answer == "resumed"
    assert [seen.name for seen in (await claim(door, "early")).resumption.signals] == ["approved"]


# Nothing to learn.


async def test_a_bad_token_has_one_answer_whatever_the_state(door: Door) -> None:  # A16
    active = await hold(door, "active")
    suspended = await wait_at(door, "suspended")
    done = await hold(door, "done")
    await door.ask(wk.CompleteRequest(lease=done.lease, result=b""), "Complete")
    cancelled = await wait_at(door, "cancelled")
    await door.ask(ex.CancelExecutionRequest(execution_id=cancelled.execution_id), "CancelExecution")
    never = "0-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
    ids = [active.execution_id, suspended.execution_id, done.execution_id, cancelled.execution_id, never]
    stub = suspension_pb2_grpc.SuspensionServiceStub(door.channel)

    answers = set()
    for execution_id in ids:
        request = su.DeliverSignalRequest(
            waitpoint_id=f"default~{execution_id}~s1~1~9000000000000", token="w1.k1." + "A" * 43, name="x"
        )
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.DeliverSignal(request)
        trailers = tuple(error.value.trailing_metadata() or ())
        web = await door.web.post(f"{door.http}/v1/callbacks/{request.token}.{request.waitpoint_id}")
        answers.add((error.value.code(), error.value.details(), trailers, web.status, await web.read()))

    assert len(answers) == 1


async def test_a_refusal_is_counted_and_no_token_is_stored_listed_or_logged(door: Door) -> None:
    with structlog.testing.capture_logs() as lines:
        waiting = await wait_at(door, "secret", condition=NEVER)
        await waiting.signal()
        assert await refused(waiting.signal(token="w1.k1." + "A" * 43)) == "TOKEN_INVALID"
    [waitpoint] = waiting.waitpoints
    mac = waitpoint.token.rpartition(".")[2]
    [listed] = await door.ask(su.ListWaitpointsRequest(execution_id=waiting.execution_id), "ListWaitpoints")
    [shown] = await door.ask(su.GetSuspensionRequest(execution_id=waiting.execution_id), "GetSuspension")

    assert not any(mac.encode() in content for content in door.snapshot().values())
    assert [each.token for each in (*listed.waitpoints, *shown.waitpoints)] == ["", ""]
    assert mac not in str(lines)
    assert (
        'ff_waitpoint_token_refusals_total{reason="mac"}'
        in await (await door.web.get(f"{door.http}/metrics")).text()
    )


# Whose signals count.


async def test_one_recipient_is_one_source_however_often_and_wherever_it_answers(
    door: Door,
) -> None:  # A11, A12
    specs = [
        su.WaitpointSpec(name=f"w{place}", recipient=who) for place, who in enumerate(("ada", "ada", "bob"))
    ]
    waiting = await wait_at(door, "sources", *specs, condition=sources(2))

    effects = [
        (await waiting.signal(place=place, payload=b"I am bob", correlation_id="user:bob")).effect
        for place in (0, 0, 1)
    ]

    assert effects == [su.SIGNAL_EFFECT_COUNTED, su.SIGNAL_EFFECT_REPEATED, su.SIGNAL_EFFECT_REPEATED]
    assert (await waiting.signal(place=2)).effect == su.SIGNAL_EFFECT_RESUMED
    [seen] = [grant.resumption.signals for grant in [await claim(door, "sources")]]
    assert [signal.source for signal in seen] == ["user:ada", "user:bob"]


async def test_a_waitpoint_of_nobody_is_one_source(door: Door) -> None:
    waiting = await wait_at(door, "nobody", condition=sources(2))

    effects = [(await waiting.signal(correlation_id=str(number))).effect for number in range(3)]

    assert effects == [su.SIGNAL_EFFECT_COUNTED, su.SIGNAL_EFFECT_REPEATED, su.SIGNAL_EFFECT_REPEATED]


@asynccontextmanager
async def another_gateway(door: Door, **over: object) -> AsyncIterator[tuple[Gateway, grpc.aio.Channel]]:
    """A second gateway on the same Valkey."""
    settings = {
        "host": door.valkey.host,
        "port": door.valkey.port,
        "partitions": PARTITIONS,
        "member_ttl_ms": 60_000,
        "grpc_addr": "127.0.0.1:0",
        "listen_addr": "127.0.0.1:0",
    }
    with structlog.testing.capture_logs() as lines:
        gateway = await Gateway.start(GatewaySettings.model_validate(settings | over))
    [address] = [line["grpc"] for line in lines if line["event"] == "ready"]
    async with grpc.aio.insecure_channel(address) as channel:
        yield gateway, channel
    await gateway.stop(1.0)


async def test_who_shows_an_api_token_of_their_own_is_the_source(door: Door) -> None:
    waiting = await wait_at(door, "named", su.WaitpointSpec(name="a", recipient="bob"), condition=sources(3))
    [waitpoint] = waiting.waitpoints
    request = su.DeliverSignalRequest(waitpoint_id=waitpoint.waitpoint_id, token=waitpoint.token, name="x")
    decision = su.DecideWaitpointRequest(
        execution_id=waiting.execution_id, name="a", decision=su.DECISION_APPROVE
    )
    effects = []
    async with another_gateway(door, api_token="shared", api_tokens="ada=adas") as (_, channel):
        stub = suspension_pb2_grpc.SuspensionServiceStub(channel)
        for bearer in ("adas", "shared"):
            metadata = (("authorization", f"Bearer {bearer}"),)
            effects.append((await stub.DeliverSignal(request, metadata=metadata)).effect)
            effects.append((await stub.DecideWaitpoint(decision, metadata=metadata)).effect)
        with pytest.raises(grpc.aio.AioRpcError) as stranger:
            await stub.DecideWaitpoint(decision)

    counted, repeated = su.SIGNAL_EFFECT_COUNTED, su.SIGNAL_EFFECT_REPEATED
    assert effects == [counted, repeated, counted, su.SIGNAL_EFFECT_RESUMED]
    assert refusal_of(stranger.value).reason == "UNAUTHENTICATED"
    [grant] = [await claim(door, "named")]
    assert [signal.source for signal in grant.resumption.signals] == [
        "user:ada",
        "user:bob",
        "operator:default",
    ]


# Operators.


async def test_a_waitpoint_is_decided_by_its_name(door: Door) -> None:
    waiting = await wait_at(door, "decided", condition=at("approval", "approved"))
    for decision in (su.DECISION_REJECT, su.DECISION_APPROVE):
        request = su.DecideWaitpointRequest(
            execution_id=waiting.execution_id, name="approval", decision=decision
        )
        [answer] = await door.ask(request, "DecideWaitpoint")

    assert answer.effect == su.SIGNAL_EFFECT_RESUMED
    [seen] = (await claim(door, "decided")).resumption.signals
    assert (seen.name, seen.category, seen.source) == ("approved", "approval", "operator:default")
    request = su.DecideWaitpointRequest(
        execution_id=waiting.execution_id, name="nobody", decision=su.DECISION_APPROVE
    )
    assert await refused(door.ask(request, "DecideWaitpoint")) == "WAITPOINT_NOT_FOUND"


async def test_an_operator_resumes_whatever_is_waited_for(door: Door) -> None:
    waiting = await wait_at(door, "operator")
    request = su.ResumeExecutionRequest(execution_id=waiting.execution_id, reason="enough")

    [answer] = await door.ask(request, "ResumeExecution")

    assert answer.state == "waiting"
    assert await refused(door.ask(request, "ResumeExecution")) == "EXECUTION_NOT_SUSPENDED"
    grant = await claim(door, "operator")
    assert (grant.resumption.ending, grant.resumption.suspension) == ("operator", 1)
    [shown] = await door.ask(su.GetSuspensionRequest(execution_id=waiting.execution_id), "GetSuspension")
    assert (shown.number, shown.state, shown.ending) == (1, "closed", "operator")


async def test_waitpoints_are_listed_in_pages(door: Door) -> None:
    waiting = await wait_at(door, "paged", *(su.WaitpointSpec(name=f"w{place}") for place in range(5)))
    found, token = [], ""
    while True:
        request = su.ListWaitpointsRequest(execution_id=waiting.execution_id, page_size=2, page_token=token)
        [page] = await door.ask(request, "ListWaitpoints")
        found += [each.name for each in page.waitpoints]
        token = page.next_page_token
        if not token:
            break

    assert found == [f"w{place}" for place in range(5)]
    await waiting.signal()
    [rest] = await door.ask(su.ListWaitpointsRequest(execution_id=waiting.execution_id), "ListWaitpoints")
    assert [each.name for each in rest.waitpoints] == ["w1", "w2", "w3", "w4"], "the wait named one of them"
    every = su.ListWaitpointsRequest(execution_id=waiting.execution_id, include_closed=True)
    assert len((await door.ask(every, "ListWaitpoints"))[0].waitpoints) == 5


async def test_a_bulk_delivers_what_it_can(door: Door) -> None:
    first, second = await wait_at(door, "bulk"), await wait_at(door, "bulk")
    requests = [
        su.DeliverSignalRequest(waitpoint_id=one.waitpoint_id, token=one.token, name=name)
        for waiting, name in ((first, "approved"), (second, ""), (second, "approved"), (first, "late"))
        for one in waiting.waitpoints
    ]

    [reply] = await door.ask(su.BulkDeliverSignalsRequest(requests=requests), "BulkDeliverSignals")

    assert [result.status.code for result in reply.results] == [0, 3, 0, 9]
    assert reply.results[0].signal.effect == reply.results[2].signal.effect == su.SIGNAL_EFFECT_RESUMED


# Callbacks.


async def test_a_webhook_resumes_with_one_post(door: Door) -> None:
    waiting = await wait_at(door, "webhook", condition=at("approval", "paid"))
    [waitpoint] = waiting.waitpoints
    url = f"{door.http}{waitpoint.callback_path}"

    looked = await door.web.get(url)
    posted = await door.web.post(
        url, params={"name": "paid"}, data=b"\0raw", headers={"Idempotency-Key": "k"}
    )
    repeat = await door.web.post(
        url, params={"name": "paid"}, data=b"\0raw", headers={"Idempotency-Key": "k"}
    )

    assert (looked.status, posted.status, repeat.status) == (405, 200, 200)
    assert await posted.json() == {"number": "1", "effect": "SIGNAL_EFFECT_RESUMED", "duplicate": False}
    assert (await repeat.json())["duplicate"] is True
    [seen] = (await claim(door, "webhook")).resumption.signals
    assert (seen.name, seen.payload) == ("paid", b"\0raw")


# Rotation.


async def test_tokens_live_through_rotations_for_their_grace_at_every_gateway(door: Door) -> None:
    old = await wait_at(door, "rotated", condition=NEVER)
    async with another_gateway(door) as (other, channel):
        [rotated] = await door.ask(
            op.RotateWaitpointKeyRequest(grace=Duration(seconds=60)), "RotateWaitpointKey"
        )
        new = await wait_at(door, "rotated", condition=NEVER)
        stub = suspension_pb2_grpc.SuspensionServiceStub(channel)
        for waiting in (old, new):
            [waitpoint] = waiting.waitpoints
            request = su.DeliverSignalRequest(
                waitpoint_id=waitpoint.waitpoint_id, token=waitpoint.token, name="x"
            )
            assert (await stub.DeliverSignal(request)).effect == su.SIGNAL_EFFECT_UNMATCHED
            assert (await waiting.signal("y")).effect == su.SIGNAL_EFFECT_UNMATCHED
        assert new.waitpoints[0].kid == rotated.kid == other.tokens.kid
    assert old.waitpoints[0].kid == rotated.previous_kid != rotated.kid
    [keys] = await door.ask(op.ListWaitpointKeysRequest(), "ListWaitpointKeys")
    assert [(key.kid, key.current) for key in keys.keys][:1] == [(rotated.kid, True)]
    assert "secret" not in str(keys)


async def test_a_token_outlives_the_gateway_that_made_it(door: Door) -> None:
    grant = await hold(door, "outlived")
    spec = su.SuspendSpec(
        waitpoints=[su.WaitpointSpec(name="approval")], waits=[su.Wait(condition=at("approval"))]
    )
    async with another_gateway(door, public_url="https://flow.example") as (_, channel):
        stub = suspension_pb2_grpc.SuspensionServiceStub(channel)
        answer = await stub.Suspend(su.SuspendRequest(lease=grant.lease, suspend=spec))

    [waitpoint] = answer.waitpoints
    assert waitpoint.callback_url == f"https://flow.example{waitpoint.callback_path}"
    posted = await door.web.post(f"{door.http}{waitpoint.callback_path}")
    assert (await posted.json())["effect"] == "SIGNAL_EFFECT_RESUMED"


async def test_a_repeated_suspend_tells_the_same_tokens(door: Door) -> None:
    grant = await hold(door, "again")
    first = await suspend(door, grant)

    assert (await suspend(door, grant)).waitpoints == first.waitpoints


async def test_a_lease_suspends_once_and_a_repeat_with_other_content_is_told_so(door: Door) -> None:
    grant = await hold(door, "once")
    first = await suspend(door, grant)

    assert await refused(suspend(door, grant, su.WaitpointSpec(name="other"))) == "IDEMPOTENCY_CONFLICT"
    await first.signal()
    again = await claim(door, "once")
    assert await refused(suspend(door, grant, condition=NEVER)) == "IDEMPOTENCY_CONFLICT"
    assert (await suspend(door, grant)).waitpoints[0].token == first.waitpoints[0].token
    second = await suspend(door, again, condition=NEVER)
    assert (await suspend(door, grant)).waitpoints == []  # it comes too late to be told them
    assert await refused(suspend(door, grant, condition=NEVER)) == "IDEMPOTENCY_CONFLICT"
    assert await second.state() == ex.PUBLIC_STATE_SUSPENDED


async def test_without_a_grace_tokens_of_the_key_before_end_at_once(door: Door) -> None:
    waiting = await wait_at(door, "revoked", condition=NEVER)

    await door.ask(op.RotateWaitpointKeyRequest(grace=Duration()), "RotateWaitpointKey")

    assert await refused(waiting.signal()) == "TOKEN_INVALID"


# Many at once.


async def test_of_fifty_signals_at_once_one_resumes(door: Door) -> None:
    waiting = await wait_at(door, "fifty")

    answers = await asyncio.gather(
        *(waiting.signal(payload=b"%d" % number) for number in range(50)), return_exceptions=True
    )

    told = [answer for answer in answers if isinstance(answer, su.DeliverSignalResponse)]
    assert [answer.effect for answer in told] == [su.SIGNAL_EFFECT_RESUMED]
    late = [answer.reason for answer in answers if isinstance(answer, Refused)]
    assert late == ["WAITPOINT_CLOSED"] * 49
    [seen] = (await claim(door, "fifty")).resumption.signals
    assert seen.number == told[0].number == 1


async def test_fifty_repeats_at_once_are_one_signal(door: Door) -> None:
    waiting = await wait_at(door, "repeats", condition=NEVER)

    answers = await asyncio.gather(*(waiting.signal(idempotency_key="k") for _ in range(50)))

    assert {answer.number for answer in answers} == {1}
    assert sorted(answer.duplicate for answer in answers) == [False] + [True] * 49


async def test_a_leaked_token_fills_its_waitpoint_and_shuts_out_nobody_else(door: Door) -> None:
    waiting = await wait_at(
        door,
        "full",
        su.WaitpointSpec(name="leaked"),
        su.WaitpointSpec(name="approval"),
        condition=at("approval"),
    )
    leaked = waiting.waitpoints[0]
    flood = su.DeliverSignalRequest(waitpoint_id=leaked.waitpoint_id, token=leaked.token, name="x")

    [reply] = await door.ask(su.BulkDeliverSignalsRequest(requests=[flood] * 300), "BulkDeliverSignals")
    posted = await door.web.post(f"{door.http}{leaked.callback_path}")

    codes = [result.status.code for result in reply.results]
    assert codes == [0] * 256 + [8] * 44
    assert (posted.status, (await posted.json())["kind"]) == (429, "SIGNALS_FULL")
    assert (await waiting.signal(place=1)).effect == su.SIGNAL_EFFECT_RESUMED


# Limits that only the rules can judge.


async def test_what_the_rules_refuse_has_a_path_and_the_lease_stays(door: Door) -> None:
    grant = await hold(door, "judged")
    far = su.Wait(condition=NEVER)
    far.timeout_time.FromSeconds(4_000_000_000)
    bound = su.WaitpointSpec(name="a", waitpoint_id=f"default~{grant.execution_id}~p1~1~9000000000000")
    for spec, path in (
        (su.SuspendSpec(waits=[far]), "suspend.waits[0].timeout"),
        (
            su.SuspendSpec(waits=[su.Wait(condition=NEVER)], waitpoints=[bound]),
            "suspend.waitpoints[0].waitpoint_id",
        ),
    ):
        with pytest.raises(Refused) as error:
            await door.ask(su.SuspendRequest(lease=grant.lease, suspend=spec), "Suspend")
        assert (error.value.reason, error.value.fields) == ("INVALID_ARGUMENT", (path,))

    assert (await suspend(door, grant)).waitpoints[0].state == "bound"
