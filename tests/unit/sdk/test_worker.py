"""A worker's own life: how it is made, keeps a session with a gateway, and ends."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2

from flowfabric import Context, InvalidArgument, Pool, SessionSuperseded, Worker, task
from flowfabric._channel import Pause
from flowfabric_api.worker.v1 import worker_pb2 as pb

from .fake_gateway import FakeGateway, status
from .work import Advance, Gate, Start, echo

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


async def test_pools_are_announced_with_lanes_and_credit_of_their_own(start: Start) -> None:
    _, session = await start(echo, pools=[Pool(["a", "b"], ["gpu"], 1), Pool(["c"], (), 2)])

    assert [list(pool.lanes) for pool in session.hello.pools] == [["a", "b"], ["c"]]
    assert [(c.pool, c.limit) for c in session.history[0].credits] == [(0, 1), (1, 2)]


async def test_a_worker_serves_the_lanes_of_its_tasks_unless_told_otherwise(start: Start) -> None:
    @task(lane="mail")
    async def send() -> None: ...

    _, session = await start(echo, send)

    assert list(session.hello.pools[0].lanes) == ["default", "mail"]


async def test_a_worker_runs_executions_of_the_namespace_it_is_given(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Worker([echo]).namespace == "default"
    monkeypatch.setenv("FF_NAMESPACE", "")
    assert Worker([echo]).namespace == "default"
    monkeypatch.setenv("FF_NAMESPACE", "shop")

    worker, session = await start(echo)

    assert (worker.namespace, session.hello.namespace) == ("shop", "shop")
    assert Worker([echo], namespace="bank").namespace == "bank"


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


async def test_a_worker_that_is_refused_again_and_again_pauses_longer_than_it_is_asked_to(
    gateway: FakeGateway, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float | None] = []

    def no_pause(_pause: Pause, at_least: float | None = None) -> float:
        asked.append(at_least)
        return 0.0

    monkeypatch.setattr(Pause, "next", no_pause)
    going = status(code_pb2.UNAVAILABLE, "SHUTTING_DOWN")
    going.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=Duration(nanos=100_000_000)))
    _, session = await start(echo)

    await session.send(pb.SessionResponse(go_away=pb.GoAway(reason="restart")))
    for _ in range(4):
        session = await gateway.worker.sessions.get()
        session.end(going)
    await gateway.session()

    assert asked == [0.1] * 3  # the first try after GoAway, and the one after its failure, are made at once


async def test_silence_makes_the_worker_try_another_connection(
    gateway: FakeGateway, start: Start, advance: Advance
) -> None:
    _, session = await start(echo, welcome={"renew_interval": 100_000})

    advance(100)
    await session.until(lambda request: request.HasField("renew"))
    advance(150)
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
