"""What a worker does with the attempts it is granted, told by a gateway that does what the test says."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from google.rpc import code_pb2

from flowfabric import Context, Delay, Fail, LeaseLost, Retry, Worker, task
from flowfabric import _attempts as attempts_module
from flowfabric import _connection as connection_module
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


# Ahead of the slots

LONG_TIMES = {"lease_ttl": 3_000_000, "renew_interval": 1_000_000, "offer_ttl": 2_000_000}
PATIENCE_S = 60.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is given back when the test says so, and not because the machine is slow."""
    monkeypatch.setattr(attempts_module, "PATIENCE_S", PATIENCE_S)


class Queue:
    """A worker with one slot, a handler that keeps it, and what is granted beyond it."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.ran: list[bytes] = []
        self.session: SessionEnd
        self.worker: Worker
        self._number = 1

    async def open(self, start: Start, **options: Any) -> Queue:
        @task
        async def note(data: bytes) -> None:
            self.ran.append(data)

        options.setdefault("welcome", LONG_TIMES)
        self.worker, self.session = await start(self.gate.task(), note, slots=1, **options)
        await self.session.grant(b"first", 1, kind="wait")
        await self.gate.entered.wait()
        return self

    async def grant(self, *leases: bytes) -> None:
        grants = []
        for lease in leases:
            self._number += 1
            grants.append(pb.Grant(lease=lease, number=self._number, kind="note", payload=lease, attempt=1))
        await self.session.send(pb.SessionResponse(grants=grants))

    async def is_heard(self) -> None:
        """Returns when the worker has taken in everything that was sent: it refuses what has no pool."""
        await self.session.send(pb.SessionResponse(grants=[pb.Grant(lease=b"nowhere", pool=9)]))
        assert [refusal.lease for refusal in (await self.refusals()).refusals] == [b"nowhere"]

    async def outcomes(self, count: int) -> list[bytes]:
        leases: list[bytes] = []
        while len(leases) < count:
            request = await self.session.until(lambda request: bool(request.outcomes))
            leases.extend(outcome.lease for outcome in request.outcomes)
        return leases

    async def refusals(self) -> pb.Renew:
        request = await self.session.until(lambda request: bool(request.renew.refusals))
        return request.renew

    @property
    def limit(self) -> int:
        return limit(self.session)


def limit(session: SessionEnd) -> int:
    """The credit that the worker has given."""
    return [credit.limit for request in session.history for credit in request.credits][-1]


async def test_short_handlers_are_fetched_ahead_of_the_slots(start: Start) -> None:
    _, session = await start(echo, slots=1)
    number = 0

    while limit(session) <= number + 1:
        number += 1
        await session.grant(b"%d" % number, number, kind="echo")
        await session.outcome()


async def test_long_handlers_are_not_fetched_ahead(start: Start, advance: Advance) -> None:
    @task
    async def work() -> None:
        advance(0.05)

    _, session = await start(work, slots=1)
    for number in range(1, 101):
        await session.grant(b"%d" % number, number, kind="work")
        await session.outcome()

    assert limit(session) == 101


async def test_nothing_is_fetched_ahead_by_a_worker_that_is_told_not_to(start: Start) -> None:
    _, session = await start(echo, slots=1, prefetch=False)
    for number in range(1, 101):
        await session.grant(b"%d" % number, number, kind="echo")
        await session.outcome()

    assert limit(session) == 101


@pytest.mark.usefixtures("patient")
async def test_what_waits_runs_in_the_order_it_was_granted(start: Start) -> None:
    queue = await Queue().open(start)
    await queue.grant(b"2", b"3")
    await queue.grant(b"4", b"5")
    await queue.is_heard()
    assert queue.ran == []

    queue.gate.open.set()

    assert await queue.outcomes(5) == [b"first", b"2", b"3", b"4", b"5"]
    assert queue.ran == [b"2", b"3", b"4", b"5"]


@pytest.mark.usefixtures("patient")
async def test_no_more_handlers_run_at_once_than_there_are_slots(start: Start) -> None:
    at_once: list[int] = []
    running = 0

    @task
    async def count() -> None:
        nonlocal running
        running += 1
        at_once.append(running)
        await asyncio.sleep(0)
        running -= 1

    _, session = await start(count, slots=2)
    grants = [pb.Grant(lease=b"%d" % n, number=n, kind="count", attempt=1) for n in range(1, 21)]
    await session.send(pb.SessionResponse(grants=grants))
    outcomes = 0
    while outcomes < 20:
        outcomes += len((await session.until(lambda request: bool(request.outcomes))).outcomes)

    assert max(at_once) == 2


@pytest.mark.usefixtures("patient")
async def test_what_waits_too_long_is_given_back_unconfirmed(start: Start, advance: Advance) -> None:
    queue = await Queue().open(start)
    await queue.grant(b"2", b"3")
    await queue.is_heard()
    advance(PATIENCE_S / 2)
    await queue.grant(b"later")
    await queue.is_heard()

    advance(PATIENCE_S / 2)
    renew = await queue.refusals()
    assert [refusal.lease for refusal in renew.refusals] == [b"2", b"3"]
    assert (list(renew.leases), list(renew.seen_grant_numbers)) == ([b"first"], [3])

    advance(PATIENCE_S / 2)
    renew = await queue.refusals()
    assert [refusal.lease for refusal in renew.refusals] == [b"later"]
    assert (list(renew.leases), list(renew.seen_grant_numbers)) == ([b"first"], [4])

    queue.gate.open.set()
    assert await queue.outcomes(1) == [b"first"]
    assert queue.ran == []
    assert queue.limit == 5  # all slots are free, none is counted twice


@pytest.mark.usefixtures("patient")
async def test_a_cancel_of_what_waits_is_answered_at_once(start: Start) -> None:
    queue = await Queue().open(start)
    await queue.grant(b"2", b"3")

    await cancel(queue.session, b"2")
    outcome = await queue.session.outcome()
    assert (outcome.lease, outcome.WhichOneof("result")) == (b"2", "cancelled")

    queue.gate.open.set()
    assert await queue.outcomes(2) == [b"first", b"3"]
    assert queue.ran == [b"3"]
    assert queue.limit == 4


@pytest.mark.usefixtures("patient")
async def test_what_is_lost_while_it_waits_never_runs(start: Start) -> None:
    queue = await Queue().open(start)
    await queue.grant(b"2", b"3")
    await lose(queue.session, b"2")
    await queue.is_heard()

    queue.gate.open.set()

    assert await queue.outcomes(2) == [b"first", b"3"]
    assert queue.ran == [b"3"]
    assert queue.limit == 4


@pytest.mark.usefixtures("patient")
async def test_what_runs_out_while_it_waits_never_runs(start: Start, advance: Advance) -> None:
    queue = await Queue().open(start, welcome={"renew_interval": 60_000, "offer_ttl": 20_000})
    await queue.grant(b"2")
    await queue.is_heard()

    advance(20)
    await queue.gate.cancelled.wait()
    await queue.grant(b"next")

    assert (await queue.session.outcome()).lease == b"next"
    assert queue.ran == [b"next"]


@pytest.mark.usefixtures("patient")
async def test_what_waits_is_given_back_by_a_worker_that_drains(start: Start) -> None:
    queue = await Queue().open(start)
    await queue.grant(b"2", b"3")
    await queue.is_heard()

    draining = asyncio.create_task(queue.worker.drain())
    renew = await queue.refusals()
    assert [refusal.lease for refusal in renew.refusals] == [b"2", b"3"]
    queue.gate.open.set()
    assert await queue.outcomes(1) == [b"first"]
    await queue.session.acknowledge(b"first")

    await draining
    assert queue.ran == []


@pytest.mark.usefixtures("patient")
async def test_what_waits_is_given_back_by_a_worker_that_stops(start: Start) -> None:
    queue = await Queue().open(start)
    await queue.grant(b"2", b"3")
    await queue.is_heard()

    await queue.worker.stop()

    renew = await queue.refusals()
    assert [refusal.lease for refusal in renew.refusals] == [b"2", b"3"]
    last = [request.renew for request in queue.session.history if request.HasField("renew")][-1]
    assert (list(last.leases), list(last.seen_grant_numbers)) == ([], [3])
    assert queue.ran == []


@pytest.mark.usefixtures("patient")
async def test_what_waits_goes_on_in_a_new_session(gateway: FakeGateway, start: Start) -> None:
    queue = await Queue().open(start)
    await queue.grant(b"2")
    await queue.is_heard()

    queue.session.end(status(code_pb2.UNAVAILABLE, "SHUTTING_DOWN"))
    queue.session = await gateway.session(**LONG_TIMES)
    assert set(queue.session.hello.held_leases) == {b"first", b"2"}
    renewed = await queue.session.until(lambda request: request.HasField("renew"))
    assert set(renewed.renew.leases) == {b"first", b"2"}
    queue.gate.open.set()

    assert await queue.outcomes(2) == [b"first", b"2"]
    assert queue.limit == 1


@pytest.mark.usefixtures("patient")
async def test_what_waits_too_long_without_a_session_is_given_back_in_the_next(
    gateway: FakeGateway, start: Start, advance: Advance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "WELCOME_TIMEOUT_S", 2 * PATIENCE_S)
    queue = await Queue().open(start)
    await queue.grant(b"2")
    await queue.is_heard()
    queue.session.end(status(code_pb2.UNAVAILABLE, "SHUTTING_DOWN"))
    queue.session = await gateway.worker.sessions.get()

    advance(PATIENCE_S)
    await queue.session.welcome(**LONG_TIMES)

    renew = await queue.refusals()
    assert [refusal.lease for refusal in renew.refusals] == [b"2"]
    assert list(renew.leases) == [b"first"]


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
