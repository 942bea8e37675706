"""What a worker does with the attempts it is granted, told by a gateway that does what the test says."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from google.rpc import code_pb2

from flowfabric import Context, Delay, Fail, LeaseLost, Retry, task
from flowfabric import _attempts as attempts_module
from flowfabric_api.worker.v1 import worker_pb2 as pb

from .fake_gateway import FakeGateway, SessionEnd, status
from .work import Advance, Gate, Start, echo

# Work


async def test_a_granted_execution_runs_and_its_result_comes_back(start: Start) -> None:
    _, session = await start(echo)

    await session.grant(b"L", 1, kind="echo", payload=b"\x00\xff")
    outcome = await session.outcome()

    assert (outcome.lease, outcome.completed.result) == (b"L", b"\x00\xff")


async def test_the_context_tells_about_the_attempt(start: Start) -> None:
    seen: list[Any] = []

    @task
    async def look(context: Context) -> None:
        seen.extend([context.execution_id, context.attempt, context.kind, context.traceparent])
        seen.extend([context.deadline, context.attempt_deadline, context.is_cancelled])

    _, session = await start(look)
    grant = pb.Grant(lease=b"L", number=1, execution_id="x", kind="look", attempt=3, traceparent="00-t")
    grant.deadline.FromSeconds(2_000_000_000)
    await session.send(pb.SessionResponse(grants=[grant]))
    await session.outcome()

    assert seen[:4] == ["x", 3, "look", "00-t"]
    assert seen[4].timestamp() == 2_000_000_000
    assert seen[4].tzinfo is not None
    assert seen[5:] == [None, False]


async def test_a_blocking_handler_runs_in_a_thread(start: Start) -> None:
    @task
    def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    _, session = await start(where)
    await session.grant(b"L", 1, kind="where")

    assert (await session.outcome()).completed.result == b"false"


async def test_as_many_blocking_handlers_run_at_once_as_there_are_slots(start: Start) -> None:
    barrier = threading.Barrier(12)

    @task
    def meet() -> None:
        barrier.wait()

    _, session = await start(meet, slots=12)
    grants = [pb.Grant(lease=b"%d" % n, number=n, kind="meet", attempt=1) for n in range(1, 13)]
    await session.send(pb.SessionResponse(grants=grants))

    assert (await session.outcome()).WhichOneof("result") == "completed"


async def test_an_unknown_kind_fails_so_that_another_worker_may_try(start: Start) -> None:
    _, session = await start(echo)

    await session.grant(b"L", 1, kind="mystery")
    failed = (await session.outcome()).failed

    assert failed.type == "unknown_task"
    assert not failed.non_retryable


async def test_an_exception_is_a_failure_with_its_type_and_message(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    @task
    async def explode() -> None:
        raise RuntimeError("wet \udcff fuse")

    _, session = await start(explode)
    await session.grant(b"L", 1, kind="explode")
    failed = (await session.outcome()).failed

    assert (failed.type, failed.message, failed.category) == ("RuntimeError", "wet ? fuse", "")
    assert not failed.non_retryable
    assert "RuntimeError: wet ? fuse" in caplog.text
    assert "\udcff" not in caplog.text


async def test_input_of_another_shape_fails_for_good(start: Start) -> None:
    @task
    async def add(n: int) -> int:
        return n + 1

    _, session = await start(add)
    await session.grant(b"L", 1, kind="add", payload=b'"text"')
    failed = (await session.outcome()).failed

    assert (failed.type, failed.non_retryable) == ("invalid_input", True)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (Retry(1.5, "later"), ("Retry", "later", "", False, 1500)),
        (Retry(), ("Retry", "", "", False, 0)),
        (Fail("never", type="Bad"), ("Bad", "never", "permanent", True, 0)),
    ],
)
async def test_handlers_say_how_they_failed(start: Start, raised: Exception, expected: Any) -> None:
    @task
    async def speak() -> None:
        raise raised

    _, session = await start(speak)
    await session.grant(b"L", 1, kind="speak")
    failed = (await session.outcome()).failed

    assert (
        failed.type,
        failed.message,
        failed.category,
        failed.non_retryable,
        failed.retry_delay.ToMilliseconds(),
    ) == expected


async def test_a_handler_can_ask_for_a_delay(start: Start) -> None:
    @task
    async def not_now() -> None:
        raise Delay(30)

    _, session = await start(not_now)
    await session.grant(b"L", 1, kind="not_now")

    assert (await session.outcome()).delayed.delay.seconds == 30


@pytest.mark.parametrize("delay", [-1, float("inf"), float("nan")])
async def test_an_impossible_delay_fails_the_handler_and_not_the_session(start: Start, delay: float) -> None:
    @task
    async def not_now() -> None:
        raise Delay(delay)

    _, session = await start(not_now)
    await session.grant(b"L", 1, kind="not_now")

    assert (await session.outcome()).failed.type == "ValueError"


async def test_a_handler_that_exits_fails_alone(start: Start) -> None:
    @task
    async def leave() -> None:
        raise SystemExit(1)

    _, session = await start(leave, echo)
    await session.grant(b"L1", 1, kind="leave")
    assert (await session.outcome()).failed.type == "SystemExit"

    await session.grant(b"L2", 2, kind="echo")
    assert (await session.outcome()).WhichOneof("result") == "completed"


async def test_a_result_too_large_for_any_message_fails_for_good(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts_module, "MAX_RESULT_BYTES", 10)
    _, session = await start(echo)

    await session.grant(b"L", 1, kind="echo", payload=bytes(11))
    failed = (await session.outcome()).failed

    assert (failed.type, failed.non_retryable) == ("result_too_large", True)


async def test_progress_is_reported(start: Start) -> None:
    @task
    async def work(context: Context) -> None:
        await context.progress(40, "on the way")

    _, session = await start(work)
    await session.grant(b"L", 1, kind="work")
    request = await session.until(lambda request: bool(request.progress))

    assert (request.progress[0].percent, request.progress[0].message) == (40, "on the way")


async def test_impossible_progress_fails_the_handler_and_not_the_session(start: Start) -> None:
    @task
    async def work(context: Context) -> None:
        await context.progress(float("nan"))

    _, session = await start(work)
    await session.grant(b"L", 1, kind="work")

    assert (await session.outcome()).failed.type == "ValueError"


# Stop asked, lease lost


async def cancel(session: SessionEnd, lease: bytes) -> None:
    await session.send(
        pb.SessionResponse(cancels=[pb.CancelRequested(lease=lease, reason="changed my mind")])
    )


async def lose(session: SessionEnd, lease: bytes) -> None:
    exception = pb.LeaseException(lease=lease, status=status(code_pb2.FAILED_PRECONDITION, "LEASE_REVOKED"))
    await session.send(pb.SessionResponse(lost=[exception]))


async def test_a_handler_asked_to_stop_is_cancelled(start: Start) -> None:
    gate = Gate()
    _, session = await start(gate.task())
    await session.grant(b"L", 1, kind="wait")
    await gate.entered.wait()

    await cancel(session, b"L")
    outcome = await session.outcome()

    assert outcome.WhichOneof("result") == "cancelled"
    assert gate.contexts[0].is_cancelled
    assert gate.contexts[0].cancelled.is_set()


async def test_a_handler_that_returns_although_asked_to_stop_has_completed(start: Start) -> None:
    entered = asyncio.Event()

    @task
    async def stubborn() -> bytes:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return b"done anyway"
        return b""

    _, session = await start(stubborn)
    await session.grant(b"L", 1, kind="stubborn")
    await entered.wait()

    await cancel(session, b"L")

    assert (await session.outcome()).completed.result == b"done anyway"


async def test_a_handler_that_fails_when_asked_to_stop_is_cancelled(start: Start) -> None:
    entered = asyncio.Event()

    @task
    async def clumsy() -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("while cleaning up")

    _, session = await start(clumsy)
    await session.grant(b"L", 1, kind="clumsy")
    await entered.wait()

    await cancel(session, b"L")

    assert (await session.outcome()).WhichOneof("result") == "cancelled"


async def test_a_blocking_handler_sees_that_it_should_stop(start: Start) -> None:
    entered = threading.Event()
    look_again = threading.Event()
    seen: list[bool] = []

    @task
    def block(context: Context) -> None:
        entered.set()
        look_again.wait()
        seen.append(context.is_cancelled)

    _, session = await start(block)
    await session.grant(b"L", 1, kind="block")
    await asyncio.to_thread(entered.wait)
    await cancel(session, b"L")
    await session.grant(b"marker", 2, kind="nothing")  # answered only after the cancel was heard
    await session.outcome()
    look_again.set()

    assert (await session.outcome()).WhichOneof("result") == "completed"
    assert seen == [True]


async def test_a_cancellation_that_nobody_asked_for_is_a_failure(start: Start) -> None:
    @task
    async def confused() -> None:
        raise asyncio.CancelledError

    _, session = await start(confused)
    await session.grant(b"L", 1, kind="confused")

    assert (await session.outcome()).failed.type == "CancelledError"


async def test_a_cancel_in_the_same_message_as_the_grant_is_heard(start: Start) -> None:
    gate = Gate()
    _, session = await start(gate.task())
    grant = pb.Grant(lease=b"L", number=1, kind="wait", attempt=1)
    await session.send(pb.SessionResponse(grants=[grant], cancels=[pb.CancelRequested(lease=b"L")]))

    assert (await session.outcome()).WhichOneof("result") == "cancelled"


async def test_what_is_lost_in_the_same_message_as_it_is_granted_never_runs(start: Start) -> None:
    gate = Gate()
    _, session = await start(gate.task(), echo)
    grant = pb.Grant(lease=b"L", number=1, kind="wait", attempt=1)
    lost = pb.LeaseException(lease=b"L", status=status(code_pb2.FAILED_PRECONDITION, "LEASE_REVOKED"))
    await session.send(pb.SessionResponse(grants=[grant], lost=[lost]))
    await session.grant(b"next", 2, kind="echo")

    assert (await session.outcome()).lease == b"next"
    assert not gate.entered.is_set()


async def test_a_lost_lease_cancels_the_handler_and_silences_its_outcome(start: Start) -> None:
    gate = Gate()
    _, session = await start(gate.task(), echo)
    await session.grant(b"L", 1, kind="wait")
    await gate.entered.wait()

    await lose(session, b"L")
    await gate.cancelled.wait()
    await session.grant(b"next", 2, kind="echo")

    assert (await session.outcome()).lease == b"next"
    limits = [credit.limit for request in session.history for credit in request.credits]
    assert limits[-1] == 10  # both slots are free again


async def test_what_a_handler_emits_after_its_lease_is_lost_is_refused(start: Start) -> None:
    entered = threading.Event()
    look_again = threading.Event()
    raised: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    @task
    def block(context: Context) -> None:
        entered.set()
        look_again.wait()
        try:
            context.emit_sync("too late")
        except LeaseLost as error:
            loop.call_soon_threadsafe(raised.set_result, error.reason)

    _, session = await start(block)
    await session.grant(b"L", 1, kind="block")
    await asyncio.to_thread(entered.wait)
    await lose(session, b"L")
    await session.grant(b"marker", 2, kind="nothing")
    await session.outcome()
    look_again.set()

    assert await raised == "LEASE_REVOKED"


async def test_a_fresh_lease_that_is_never_confirmed_is_given_up_in_time(
    start: Start, advance: Advance
) -> None:
    gate = Gate()
    _, session = await start(gate.task(), welcome={"renew_interval": 60_000, "offer_ttl": 20_000})
    await session.grant(b"L", 1, kind="wait")
    await gate.entered.wait()

    advance(20)

    await gate.cancelled.wait()


async def test_a_lease_whose_renewals_go_unanswered_is_given_up_in_time(
    gateway: FakeGateway, start: Start, advance: Advance
) -> None:
    gate = Gate()
    welcome = {"lease_ttl": 300_000, "renew_interval": 100_000, "offer_ttl": 300_000}
    _, session = await start(gate.task(), welcome=welcome)
    await session.grant(b"L", 1, kind="wait")
    await gate.entered.wait()

    advance(100)
    await session.until(lambda request: request.HasField("renew"))
    advance(150)
    # Silence makes the worker reconnect; the new gateway says Welcome but answers no renewal either.
    again = await gateway.session(**welcome)
    await again.until(lambda request: request.HasField("renew"))
    assert not gate.cancelled.is_set()
    advance(50)

    await gate.cancelled.wait()


async def test_renewals_come_without_being_asked_for(start: Start, advance: Advance) -> None:
    _, session = await start(echo, welcome={"renew_interval": 100_000})

    advance(100)
    first = await session.until(lambda request: request.HasField("renew"))
    result = pb.RenewResult(sequence=first.renew.sequence)
    await session.send(pb.SessionResponse(renew_result=result))
    advance(100)
    second = await session.until(lambda request: request.HasField("renew"))

    assert (first.renew.sequence, second.renew.sequence) == (1, 2)
