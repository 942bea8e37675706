"""What a worker does with handlers that have steps and waits; the gateway does what the test says."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from google.rpc import code_pb2

from flowfabric import Context, JournalFull, task
from flowfabric_api.journal.v1 import journal_pb2
from flowfabric_api.suspension.v1 import suspension_pb2
from flowfabric_api.worker.v1 import worker_pb2 as pb

from .fake_gateway import FakeGateway, SessionEnd, status
from .work import Start, echo

L = b"L"


def recorded(key: str, name: str, data: bytes) -> journal_pb2.Entry:
    """A step that was done in an earlier run."""
    state = journal_pb2.ENTRY_STATE_DONE
    return journal_pb2.Entry(key=key, kind=journal_pb2.ENTRY_KIND_STEP, name=name, data=data, state=state)


async def settle(session: SessionEnd) -> None:
    """The worker has heard everything that was sent: it refuses a grant for a pool that it does not have."""
    await session.send(pb.SessionResponse(grants=[pb.Grant(lease=b"nowhere", pool=9)]))
    await session.until(lambda request: bool(request.renew.refusals))


async def test_each_step_is_one_write_and_the_handler_goes_on_when_it_is_stored(start: Start) -> None:
    ran: list[str] = []

    @task
    async def two(context: Context) -> str:
        a = await context.step("a", lambda: "1")
        return a + await context.step("b", lambda: ran.append("b") or "2")

    _, session = await start(two)
    await session.grant(L, 1, kind="two")

    first = await session.write()
    assert (first.lease, first.number) == (L, 1)
    assert [(e.key, e.name, e.state, e.data, e.runs) for e in first.entries] == [
        ("1", "a", journal_pb2.ENTRY_STATE_DONE, b'"1"', 1)
    ]
    await settle(session)
    assert ran == []
    await session.wrote(first)
    second = await session.write()
    assert (second.number, [e.key for e in second.entries]) == (2, ["2"])
    await settle(session)
    assert not any(request.outcomes for request in session.history)
    await session.wrote(second)
    assert (await session.outcome()).completed.result == b'"12"'


async def test_what_a_handler_says_waits_for_the_steps_before_it(start: Start, gateway: FakeGateway) -> None:
    @task
    async def tell(context: Context) -> None:
        await context.emit(await context.step("a", lambda: "told"))

    _, session = await start(tell)
    await session.grant(L, 1, kind="tell")
    write = await session.write()
    await settle(session)
    assert gateway.worker.outputs.empty()
    await session.wrote(write)
    output = await gateway.worker.outputs.get()
    [frame] = await output.frames(1)
    assert frame.data == b"told"
    await output.acknowledge(L, frame.number)
    await session.outcome()


async def test_steps_of_one_turn_share_a_write(start: Start) -> None:
    async def nothing() -> None:
        pass

    @task
    async def three(context: Context) -> None:
        await asyncio.gather(*(context.step(name, nothing) for name in "abc"))

    _, session = await start(three)
    await session.grant(L, 1, kind="three")
    assert [entry.name for entry in await session.record()] == ["a", "b", "c"]
    await session.outcome()
    assert sum(len(request.journal) for request in session.history) == 1


@pytest.mark.parametrize(
    ("asks", "outcome"), [("nothing", "failed"), ("attempt", "completed"), ("resumption", "completed")]
)
async def test_a_handler_that_asks_which_run_it_is_may_return_before_its_steps(
    start: Start, asks: str, outcome: str
) -> None:
    @task
    async def none(context: Context) -> None:
        assert asks == "nothing" or getattr(context, asks) in (2, None)

    _, session = await start(none)
    await session.grant(L, 1, kind="none", attempt=2, journal=[recorded("1", "a", b"1")])
    assert (await session.outcome()).WhichOneof("result") == outcome


async def test_what_a_grant_brings_is_not_done_again(start: Start) -> None:
    ran: list[str] = []

    async def run(name: str) -> str:
        ran.append(name)
        return name

    @task
    async def two(context: Context) -> list[str]:
        return [await context.step(name, run, name) for name in "ab"]

    _, session = await start(two)
    await session.grant(L, 1, kind="two", journal=[recorded("1", "a", b'"old"')], recovered=True)
    [entry] = await session.record()
    assert (entry.key, entry.uncertain) == ("2", True)
    assert (await session.outcome()).completed.result == b'["old","b"]'
    assert ran == ["b"]


async def test_a_journal_beyond_the_grant_is_read_first_and_again_when_nobody_answers(
    start: Start, gateway: FakeGateway
) -> None:
    gateway.worker.pages = [
        status(code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE"),
        pb.ReadJournalResponse(entries=[recorded("1", "a", b'"one"')], next=1),
        pb.ReadJournalResponse(entries=[recorded("2", "b", b'"two"')]),
    ]

    @task
    async def two(context: Context) -> list[str]:
        return [await context.step(name, lambda: "new") for name in "ab"]

    _, session = await start(two)
    await session.grant(L, 1, kind="two", journal_is_partial=True)
    assert (await session.outcome()).completed.result == b'["one","two"]'
    assert [(read.execution_id, read.after) for read in gateway.worker.reads] == [
        ("x-L", 0),
        ("x-L", 0),
        ("x-L", 1),
    ]


async def test_signals_that_are_too_much_for_a_message_are_read_in_pages(
    start: Start, gateway: FakeGateway
) -> None:
    def entry(*payloads: bytes) -> journal_pb2.Entry:
        signals = [suspension_pb2.Signal(name="go", payload=payload) for payload in payloads]
        kind, state = journal_pb2.ENTRY_KIND_WAIT, journal_pb2.ENTRY_STATE_DONE
        return journal_pb2.Entry(key="1", kind=kind, name="go", state=state, signals=signals)

    gateway.worker.pages = [
        pb.ReadJournalResponse(entries=[entry(b"1")], next=0, next_signals=1),
        pb.ReadJournalResponse(entries=[entry(b"2")]),
    ]
    gateway.worker.resumptions = [
        pb.ReadResumptionResponse(signals=[suspension_pb2.Signal(payload=b"1")], next=1),
        pb.ReadResumptionResponse(signals=[suspension_pb2.Signal(payload=b"2")]),
    ]

    @task
    async def told(context: Context) -> list[list[str]]:
        resumed = await context.wait_for("go")
        assert context.resumption is not None
        both = resumed.signals, context.resumption.signals
        return [[one.payload.decode() for one in signals] for signals in both]

    _, session = await start(told)
    resumption = suspension_pb2.Resumption(suspension=1, ending="signal", is_partial=True)
    await session.grant(L, 1, kind="told", journal_is_partial=True, resumption=resumption)

    assert (await session.outcome()).completed.result == b'[["1","2"],["1","2"]]'
    assert [(read.after, read.signals_after) for read in gateway.worker.reads] == [(0, 0), (0, 1)]


async def test_a_wait_ends_the_lease_records_what_came_before_and_frees_the_slot_in_one_message(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowfabric._journal.LINGER_S", 60.0)

    @task
    async def ask(context: Context) -> None:
        await context.uuid()
        await context.wait_for("answer", timeout=60)

    worker, session = await start(ask, slots=1)
    await session.grant(L, 1, kind="ask")
    await session.outcome()
    [last] = [request for request in session.history if request.outcomes]
    spec = last.outcomes[0].suspended
    assert [entry.name for entry in last.journal[0].entries] == ["uuid"]
    assert [(wait.entry, wait.name) for wait in spec.waits] == [("2", "answer")]
    assert [(credit.pool, credit.limit) for credit in last.credits] == [(0, 2)]
    await session.wrote(last.journal[0])
    await session.acknowledge(L)
    await settle(session)
    assert (worker._leases.held, worker._leases.journals) == ({}, {})


async def test_a_resumed_handler_finds_the_signal_and_why_it_runs(start: Start) -> None:
    @task
    async def ask(context: Context) -> list[str]:
        answer = await context.wait_for("answer")
        assert context.resumption is not None
        return [answer.signal.name, answer.value(str), context.resumption.ending]

    _, session = await start(ask)
    signal = suspension_pb2.Signal(number=1, waitpoint="answer", name="approved", payload=b'"yes"')
    entry = recorded("1", "answer", b"")
    entry.kind = journal_pb2.ENTRY_KIND_WAIT
    entry.signals.append(signal)
    resumption = suspension_pb2.Resumption(suspension=1, ending="signal", signals=[signal])
    await session.grant(L, 1, kind="ask", journal=[entry], resumption=resumption)
    assert (await session.outcome()).completed.result == b'["approved","yes","signal"]'


async def test_a_first_run_was_not_resumed(start: Start) -> None:
    @task
    async def ask(context: Context) -> bool:
        return context.resumption is None

    _, session = await start(ask)
    await session.grant(L, 1, kind="ask")
    assert (await session.outcome()).completed.result == b"true"


async def test_a_write_without_an_answer_goes_to_the_next_gateway(start: Start, gateway: FakeGateway) -> None:
    @task
    async def one(context: Context) -> str:
        return await context.step("a", lambda: "done")

    _, session = await start(one)
    await session.grant(L, 1, kind="one")
    write = await session.write()
    session.end(status(code_pb2.UNAVAILABLE, "SHUTTING_DOWN"))

    session = await gateway.session()
    assert list(session.hello.held_leases) == [L]
    again = await session.write()
    assert again == write
    await session.wrote(again)
    assert (await session.outcome()).completed.result == b'"done"'


async def test_a_step_whose_lease_is_lost_tells_the_handler_and_nobody_else(start: Start) -> None:
    ended = asyncio.Event()

    @task
    async def one(context: Context) -> None:
        try:
            await context.step("a", lambda: "done")
        finally:
            ended.set()

    worker, session = await start(one, echo)
    await session.grant(L, 1, kind="one")
    write = await session.write()
    await session.wrote(write, status(code_pb2.FAILED_PRECONDITION, "LEASE_STALE"))
    await ended.wait()
    await session.grant(b"M", 2, kind="echo", payload=b"next")
    assert (await session.outcome()).lease == b"M"
    assert worker._leases.journals == {}


async def test_a_mismatch_that_the_engine_finds_fails_the_execution(start: Start) -> None:
    @task
    async def one(context: Context) -> None:
        await context.step("a", lambda: "done")

    _, session = await start(one)
    await session.grant(L, 1, kind="one")
    refusal = status(code_pb2.FAILED_PRECONDITION, "STEP_MISMATCH", "step 1 is another")
    await session.wrote(await session.write(), refusal)
    failed = (await session.outcome()).failed
    assert (failed.type, failed.message, failed.non_retryable) == ("STEP_MISMATCH", "step 1 is another", True)


async def test_a_mismatch_of_what_travels_with_the_outcome_fails_the_execution(start: Start) -> None:
    @task
    async def one(context: Context) -> None:
        await context.uuid()

    _, session = await start(one)
    await session.grant(L, 1, kind="one")
    refusal = status(code_pb2.FAILED_PRECONDITION, "STEP_MISMATCH", "step 1 is another")
    await session.wrote(await session.write(), refusal)
    assert (await session.outcome()).HasField("completed")
    await session.refuse(L, refusal)
    failed = (await session.outcome()).failed
    assert (failed.type, failed.message, failed.non_retryable) == ("STEP_MISMATCH", "step 1 is another", True)


async def test_a_handler_that_makes_no_recorded_call_any_more_fails_the_execution(start: Start) -> None:
    @task
    async def none(context: Context) -> str:
        return "short"

    _, session = await start(none)
    await session.grant(L, 1, kind="none", journal=[recorded("1", "a", b'"old"')])
    failed = (await session.outcome()).failed
    assert (failed.type, failed.non_retryable) == ("STEP_MISMATCH", True)
    assert "before step 1, step 'a'" in failed.message


async def test_a_full_journal_fails_the_execution_whatever_the_handler_makes_of_it(start: Start) -> None:
    @task
    async def one(context: Context) -> None:
        with suppress(JournalFull):
            await context.step("a", lambda: "done")

    _, session = await start(one)
    await session.grant(L, 1, kind="one")
    await session.wrote(await session.write(), status(code_pb2.FAILED_PRECONDITION, "JOURNAL_FULL"))
    failed = (await session.outcome()).failed
    assert (failed.type, failed.category, failed.non_retryable) == ("JOURNAL_FULL", "permanent", True)


async def test_a_cancel_stops_a_step(start: Start) -> None:
    entered = asyncio.Event()

    async def hang() -> None:
        entered.set()
        await asyncio.Event().wait()

    @task
    async def one(context: Context) -> None:
        await context.step("hang", hang)

    _, session = await start(one)
    await session.grant(L, 1, kind="one")
    await entered.wait()
    await session.send(pb.SessionResponse(cancels=[pb.CancelRequested(lease=L)]))
    assert (await session.outcome()).HasField("cancelled")


async def test_a_waitpoint_is_asked_for_under_the_lease_until_somebody_answers(
    start: Start, gateway: FakeGateway
) -> None:
    made = suspension_pb2.Waitpoint(waitpoint_id="w-id", name="w", token="secret")
    gateway.client.script["CreateWaitpoint"] = [status(code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE"), made]

    @task
    async def ask(context: Context) -> str:
        waitpoint = await context.waitpoint("w", recipient="ada", ttl=60)
        assert waitpoint.waitpoint_id == "w-id"
        return await context.step("send", lambda: waitpoint.token)

    _, session = await start(ask)
    await session.grant(L, 1, kind="ask")
    [entry] = await session.record()
    assert (entry.key, entry.kind, entry.waitpoint_id) == ("1", journal_pb2.ENTRY_KIND_WAITPOINT, "w-id")
    await session.record()
    assert (await session.outcome()).completed.result == b'"secret"'
    request: Any = gateway.client.requests("CreateWaitpoint")[-1]
    assert (
        request.lease,
        request.entry,
        request.spec.name,
        request.spec.recipient,
        request.spec.ttl.seconds,
    ) == (
        L,
        "1",
        "w",
        "ada",
        60,
    )
    assert request.spec.use == suspension_pb2.WAITPOINT_USE_SINGLE


async def test_a_grant_that_waits_for_a_slot_begins_when_a_wait_frees_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowfabric._attempts.PATIENCE_S", 60)

    @task
    async def ask(context: Context) -> None:
        await context.wait_for("answer")

    worker, session = await start(ask, echo, slots=1)
    worker._slots[0].pace = 0.0001
    await session.grant(L, 1, kind="ask")
    await session.grant(b"M", 2, kind="echo", payload=b"next")
    outcomes: dict[bytes, pb.Outcome] = {}
    while len(outcomes) < 2:
        request = await session.until(lambda request: bool(request.outcomes))
        outcomes |= {outcome.lease: outcome for outcome in request.outcomes}
    assert outcomes[L].HasField("suspended")
    assert outcomes[b"M"].completed.result == b"next"


async def test_a_step_that_runs_for_long_is_shown_as_running(start: Start, monkeypatch: Any) -> None:
    monkeypatch.setattr("flowfabric._steps.SHOWN_AFTER_S", 0)
    release = asyncio.Event()

    @task
    async def one(context: Context) -> None:
        await context.step("long", release.wait)

    _, session = await start(one)
    await session.grant(L, 1, kind="one")
    [shown] = await session.record()
    assert (shown.name, shown.state, shown.runs) == ("long", journal_pb2.ENTRY_STATE_RUNNING, 1)
    release.set()
    [done] = await session.record()
    assert (done.key, done.state) == (shown.key, journal_pb2.ENTRY_STATE_DONE)
    await session.outcome()


async def test_that_a_step_has_raised_is_known_before_its_attempt_has_failed(start: Start) -> None:
    async def fail() -> None:
        raise LookupError

    @task
    async def once(context: Context) -> None:
        await context.step("charge", fail, on_unknown="raise")

    _, session = await start(once)
    await session.grant(L, 1, kind="once")
    await session.record()
    assert (await session.outcome()).failed.type == "LookupError"
    [last] = [request for request in session.history if request.outcomes]
    assert [entry.data for entry in last.journal[0].entries] == [b"raised"]
