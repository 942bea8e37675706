"""The worker against a gateway that does what the test tells it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from google.rpc import code_pb2

from flowfabric import (
    Context,
    Delay,
    EngineError,
    Fail,
    InvalidArgument,
    LeaseLost,
    PayloadTooLarge,
    Pool,
    Retry,
    SessionSuperseded,
    Task,
    Worker,
    task,
)
from flowfabric import _attempts as attempts_module
from flowfabric_api.worker.v1 import worker_pb2 as pb

from .fake_gateway import FakeGateway, SessionEnd, status

Start = Callable[..., Awaitable[tuple[Worker, SessionEnd]]]


@pytest.fixture
async def start(gateway: FakeGateway) -> AsyncIterator[Start]:
    """Starts a worker and welcomes its session; stops it when the test is over."""
    workers: list[Worker] = []

    async def start_worker(
        *tasks: Task[..., Any], welcome: dict[str, int] | None = None, **options: Any
    ) -> tuple[Worker, SessionEnd]:
        worker = Worker(tasks, address=gateway.address, **options)
        workers.append(worker)
        starting = asyncio.create_task(worker.start())
        session = await gateway.session(**(welcome or {}))
        await starting
        return worker, session

    yield start_worker
    for worker in workers:
        with suppress(EngineError):  # the test has seen it
            await worker.stop()


@task
async def echo(data: bytes) -> bytes:
    return data


class Gate:
    """A task that waits to be let through, and says what happens to it."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.contexts: list[Context] = []

    def task(self) -> Task[..., Any]:
        @task
        async def wait(context: Context) -> bytes:
            self.contexts.append(context)
            self.entered.set()
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return b"through"

        return wait


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


async def test_pools_are_announced_with_lanes_and_credit_of_their_own(start: Start) -> None:
    _, session = await start(echo, pools=[Pool(["a", "b"], ["gpu"], 1), Pool(["c"], (), 2)])

    assert [list(pool.lanes) for pool in session.hello.pools] == [["a", "b"], ["c"]]
    assert [(c.pool, c.limit) for c in session.history[0].credits] == [(0, 1), (1, 2)]


async def test_a_worker_serves_the_lanes_of_its_tasks_unless_told_otherwise(start: Start) -> None:
    @task(lane="mail")
    async def send() -> None: ...

    _, session = await start(echo, send)

    assert list(session.hello.pools[0].lanes) == ["default", "mail"]


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
    await session.send(pb.SessionResponse(grants=[grant]))
    await cancel(session, b"L")

    assert (await session.outcome()).WhichOneof("result") == "cancelled"


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


async def test_a_fresh_lease_that_is_never_confirmed_is_given_up_in_time(start: Start) -> None:
    gate = Gate()
    _, session = await start(gate.task(), welcome={"renew_interval": 60_000, "offer_ttl": 80})

    await session.grant(b"L", 1, kind="wait")

    await gate.cancelled.wait()


async def test_a_lease_whose_renewals_go_unanswered_is_given_up_in_time(
    gateway: FakeGateway, start: Start
) -> None:
    gate = Gate()
    welcome = {"lease_ttl": 150, "renew_interval": 40, "offer_ttl": 150}
    _, session = await start(gate.task(), welcome=welcome)
    await session.grant(b"L", 1, kind="wait")

    # Silence makes the worker reconnect; the new gateway says Welcome but answers no renewal either.
    await gateway.session(**welcome)

    await gate.cancelled.wait()


async def test_renewals_come_without_being_asked_for(start: Start) -> None:
    _, session = await start(echo, welcome={"renew_interval": 20})

    first = await session.until(lambda request: request.HasField("renew"))
    result = pb.RenewResult(sequence=first.renew.sequence)
    await session.send(pb.SessionResponse(renew_result=result))
    second = await session.until(lambda request: request.HasField("renew"))

    assert (first.renew.sequence, second.renew.sequence) == (1, 2)


# Broken and moved sessions


async def test_after_a_break_leases_and_outcomes_go_on_in_a_new_session(
    gateway: FakeGateway, start: Start
) -> None:
    gate = Gate()
    _, session = await start(gate.task(), echo)
    await session.grant(b"running", 1, kind="wait")
    await session.grant(b"ended", 2, kind="echo")
    await session.outcome()

    session.end(status(code_pb2.UNAVAILABLE, "SHUTTING_DOWN"))
    again = await gateway.session()

    assert again.hello.worker_id == session.hello.worker_id
    assert set(again.hello.held_leases) == {b"running", b"ended"}
    assert again.history[0].credits[0].limit == 7
    assert (await again.outcome()).lease == b"ended"
    await again.acknowledge(b"ended")
    gate.open.set()
    assert (await again.outcome()).lease == b"running"


async def test_a_session_that_ends_well_is_opened_again(gateway: FakeGateway, start: Start) -> None:
    _, session = await start(echo)

    session.end()
    again = await gateway.session()

    assert again.hello.worker_id == session.hello.worker_id


async def test_a_gateway_that_is_away_is_waited_for(gateway: FakeGateway, start: Start) -> None:
    _, _ = await start(echo)

    await gateway.close()
    await gateway.open()
    again = await gateway.session()

    await again.grant(b"L", 1, kind="echo")
    assert (await again.outcome()).lease == b"L"


async def test_silence_makes_the_worker_try_another_connection(gateway: FakeGateway, start: Start) -> None:
    _, session = await start(echo, welcome={"renew_interval": 10})

    again = await gateway.session()

    assert again.hello.worker_id == session.hello.worker_id


async def test_go_away_opens_the_new_session_before_the_old_one_is_closed(
    gateway: FakeGateway, start: Start
) -> None:
    gate = Gate()
    _, old = await start(gate.task())
    await old.grant(b"L", 1, kind="wait")
    await gate.entered.wait()

    await old.send(pb.SessionResponse(go_away=pb.GoAway(reason="restart")))
    new = await gateway.worker.sessions.get()
    assert list(new.hello.held_leases) == [b"L"]
    assert not old.ended.is_set()
    await new.welcome()
    await old.ended.wait()

    gate.open.set()
    assert (await new.outcome()).lease == b"L"
    assert not gate.cancelled.is_set()


async def test_being_superseded_by_ones_own_newer_session_is_no_error(
    gateway: FakeGateway, start: Start
) -> None:
    _, old = await start(echo)
    await old.send(pb.SessionResponse(go_away=pb.GoAway(reason="restart")))
    new = await gateway.worker.sessions.get()

    old.end(status(code_pb2.ABORTED, "SESSION_SUPERSEDED"))
    await new.welcome()
    await new.grant(b"L", 1, kind="echo")

    assert (await new.outcome()).lease == b"L"


async def test_being_superseded_by_another_worker_stops_the_worker(start: Start) -> None:
    gate = Gate()
    worker, session = await start(gate.task())
    await session.grant(b"L", 1, kind="wait")
    await gate.entered.wait()

    session.end(status(code_pb2.ABORTED, "SESSION_SUPERSEDED"))

    with pytest.raises(SessionSuperseded):
        await worker.wait()
    assert gate.cancelled.is_set()


async def test_a_session_that_is_refused_stops_the_worker_at_once(gateway: FakeGateway) -> None:
    worker = Worker([echo], address=gateway.address)
    starting = asyncio.create_task(worker.start())
    session = await gateway.worker.sessions.get()

    session.end(status(code_pb2.INVALID_ARGUMENT, "INVALID_ARGUMENT"))

    with pytest.raises(InvalidArgument):
        await starting


async def test_output_waits_while_there_is_no_session(gateway: FakeGateway, start: Start) -> None:
    gate = Gate()

    @task
    async def talk(context: Context) -> None:
        gate.entered.set()
        await gate.open.wait()
        await context.emit(b"1")

    _, old = await start(talk)
    await old.grant(b"L", 1, kind="talk")
    await gate.entered.wait()

    # The old session ends while the new one is still being opened.
    await old.send(pb.SessionResponse(go_away=pb.GoAway(reason="restart")))
    new = await gateway.worker.sessions.get()
    old.end(status(code_pb2.UNAVAILABLE, "SHUTTING_DOWN"))
    await old.ended.wait()
    gateway.worker.acknowledges_output = True
    gate.open.set()
    await new.welcome()

    assert (await new.outcome()).lease == b"L"


async def test_a_session_that_opens_during_the_drain_drains_too(gateway: FakeGateway, start: Start) -> None:
    gate = Gate()
    worker, session = await start(gate.task())
    await session.grant(b"L", 1, kind="wait")
    await gate.entered.wait()
    session.end(status(code_pb2.UNAVAILABLE, "SHUTTING_DOWN"))
    again = await gateway.worker.sessions.get()

    draining = asyncio.create_task(worker.drain())
    await asyncio.sleep(0)
    await again.welcome()
    await again.until(lambda request: request.HasField("drain"))
    gate.open.set()
    await again.outcome()
    await again.acknowledge(b"L")

    await draining


# The end


async def test_drain_finishes_what_runs_and_waits_for_its_acknowledgement(start: Start) -> None:
    gate = Gate()
    worker, session = await start(gate.task())
    await session.grant(b"L", 1, kind="wait")
    await gate.entered.wait()

    draining = asyncio.create_task(worker.drain())
    await session.until(lambda request: request.HasField("drain"))
    gate.open.set()
    outcome = await session.outcome()
    assert not draining.done()
    await session.acknowledge(b"L")
    await draining

    assert outcome.completed.result == b"through"
    await session.ended.wait()


async def test_stop_cancels_what_runs_and_gives_it_back(start: Start) -> None:
    gate = Gate()
    worker, session = await start(gate.task())
    await session.grant(b"L", 1, kind="wait")
    await gate.entered.wait()

    await worker.stop()
    last = await session.until(lambda request: request.HasField("renew"))

    assert gate.cancelled.is_set()
    assert list(last.renew.leases) == []
    assert list(last.renew.seen_grant_numbers) == [1]
    assert not any(request.outcomes for request in session.history)


async def test_stopping_or_draining_what_never_started_does_nothing() -> None:
    worker = Worker([echo])

    await worker.drain()
    await worker.stop()


async def test_a_worker_that_nobody_answers_can_be_stopped() -> None:
    worker = Worker([echo], address="127.0.0.1:1")
    starting = asyncio.create_task(worker.start())
    await asyncio.sleep(0)

    await worker.stop()
    await starting


async def test_the_first_signal_drains(gateway: FakeGateway) -> None:
    gate = Gate()
    worker = Worker([gate.task()], address=gateway.address)
    running = asyncio.create_task(worker.run())
    session = await gateway.session()
    await session.grant(b"L", 1, kind="wait")
    await gate.entered.wait()

    os.kill(os.getpid(), signal.SIGTERM)
    await session.until(lambda request: request.HasField("drain"))
    gate.open.set()
    await session.outcome()
    await session.acknowledge(b"L")

    await running


async def test_the_second_signal_stops(gateway: FakeGateway) -> None:
    gate = Gate()
    worker = Worker([gate.task()], address=gateway.address)

    async def run() -> int | str | None:
        # asyncio lets SystemExit out of a task through the loop itself, so it is caught inside.
        try:
            await worker.run()
        except SystemExit as error:
            return error.code
        return None

    running = asyncio.create_task(run())
    session = await gateway.session()
    await session.grant(b"L", 1, kind="wait")
    await gate.entered.wait()

    os.kill(os.getpid(), signal.SIGTERM)
    await session.until(lambda request: request.HasField("drain"))
    os.kill(os.getpid(), signal.SIGTERM)

    assert await running == 128 + signal.SIGTERM
    assert gate.cancelled.is_set()


# Output


async def test_frames_go_over_their_own_stream_and_the_outcome_after_their_acknowledgement(
    gateway: FakeGateway, start: Start
) -> None:
    @task
    async def talk(context: Context) -> bytes:
        await context.emit("text")
        await context.emit(b"\xff")
        await context.emit({"a": 1})
        return b"end"

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    frames = await output.frames(3)
    assert [(f.number, f.data) for f in frames] == [(1, b"text"), (2, b"\xff"), (3, b'{"a":1}')]
    assert not any(request.outcomes for request in session.history)

    await output.acknowledge(b"L", 3)

    assert (await session.outcome()).completed.result == b"end"


async def test_blocking_handlers_emit_and_report_too(gateway: FakeGateway, start: Start) -> None:
    @task
    def talk(context: Context) -> None:
        context.progress_sync(10, "started")
        context.emit_sync("from a thread")

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()

    assert (await output.frames(1))[0].data == b"from a thread"
    await output.acknowledge(b"L", 1)
    await session.outcome()
    progress = [report for request in session.history for report in request.progress]
    assert [report.message for report in progress] == ["started"]


async def test_the_sync_variants_refuse_the_loop_thread(start: Start) -> None:
    @task
    async def wrong(context: Context) -> None:
        context.emit_sync("would wait for itself")

    _, session = await start(wrong)
    await session.grant(b"L", 1, kind="wrong")

    assert "await context.emit" in (await session.outcome()).failed.message


async def test_a_frame_over_the_limit_is_refused_where_it_is_made(start: Start) -> None:
    raised: list[Exception] = []

    @task
    async def shout(context: Context) -> None:
        try:
            await context.emit(bytes(65537))
        except PayloadTooLarge as error:
            raised.append(error)

    _, session = await start(shout)
    await session.grant(b"L", 1, kind="shout")
    await session.outcome()

    assert len(raised) == 1


async def test_unacknowledged_frames_are_sent_again_after_a_break(gateway: FakeGateway, start: Start) -> None:
    @task
    async def talk(context: Context) -> None:
        for data in (b"1", b"2", b"3"):
            await context.emit(data)

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(3)
    await output.acknowledge(b"L", 1)

    output.end()
    again = await gateway.worker.outputs.get()

    frames = await again.frames(2)
    assert frames[-1].number == 3
    await again.acknowledge(b"L", 3)
    await session.outcome()


async def test_output_follows_the_session(gateway: FakeGateway, start: Start) -> None:
    @task
    async def talk(context: Context) -> None:
        await context.emit(b"1")

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(1)

    session.end(status(code_pb2.UNAVAILABLE, "SHUTTING_DOWN"))
    session = await gateway.session()
    again = await gateway.worker.outputs.get()
    assert [frame.number for frame in await again.frames(1)] == [1]
    await again.acknowledge(b"L", 1)

    assert (await session.outcome()).lease == b"L"


async def test_output_that_is_refused_for_good_stops_and_says_so(gateway: FakeGateway, start: Start) -> None:
    go_on = asyncio.Event()
    raised: list[str] = []

    @task
    async def talk(context: Context) -> None:
        await context.emit(b"1")
        await go_on.wait()
        try:
            await context.emit(b"2")
        except EngineError as error:
            raised.append(error.reason)

    _, session = await start(talk, echo)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(1)
    await output.refuse(b"L", status(code_pb2.FAILED_PRECONDITION, "OUTPUT_CLOSED"))
    await session.grant(b"other", 2, kind="talk")  # whose frame is acknowledged after the refusal
    await output.frames(1)
    await output.acknowledge(b"other", 1)
    go_on.set()
    await session.outcome()

    assert raised == ["OUTPUT_CLOSED"]


async def test_output_that_says_the_lease_is_gone_stops_the_handler(
    gateway: FakeGateway, start: Start
) -> None:
    cancelled = asyncio.Event()

    @task
    async def talk(context: Context) -> None:
        await context.emit(b"1")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(1)

    await output.refuse(b"L", status(code_pb2.FAILED_PRECONDITION, "LEASE_STALE"))

    await cancelled.wait()


@pytest.mark.parametrize(
    "refusal",
    [status(code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE"), status(code_pb2.OUT_OF_RANGE, "OUTPUT_GAP")],
)
async def test_output_that_is_refused_for_now_is_sent_again(
    gateway: FakeGateway, start: Start, refusal: Any
) -> None:
    @task
    async def talk(context: Context) -> None:
        await context.emit(b"1")
        await context.emit(b"2")

    _, session = await start(talk)
    await session.grant(b"L", 1, kind="talk")
    output = await gateway.worker.outputs.get()
    await output.frames(2)

    await output.refuse(b"L", refusal, through=1)
    assert [frame.number for frame in await output.frames(1)] == [2]
    await output.acknowledge(b"L", 2)

    assert (await session.outcome()).WhichOneof("result") == "completed"


# Construction


@pytest.mark.parametrize(
    "options",
    [
        {"tasks": []},
        {"tasks": [echo, echo]},
        {"tasks": [echo], "slots": 0},
        {"tasks": [echo], "lanes": []},
        {"tasks": [echo], "pools": []},
        {"tasks": [echo], "pools": [Pool()], "lanes": ["a"]},
    ],
)
def test_a_worker_that_could_do_nothing_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"give|needs"):
        Worker(**options)


async def test_a_worker_starts_once(start: Start) -> None:
    worker, _ = await start(echo)

    with pytest.raises(RuntimeError, match="starts once"):
        await worker.start()
