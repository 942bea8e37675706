"""Suspensions and signals through the store: typed in, typed out, on a real Valkey."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ff_core import ids
from ff_core.errors import EngineError, ErrorCode
from ff_core.execution import ListQuery
from ff_core.journal import JournalEntry
from ff_core.lease import Grant, Outcome
from ff_core.signal import Delivered, NewSignal
from ff_core.state import State
from ff_core.suspension import NewWait, Suspended, SuspendSpec
from ff_core.waitpoint import NewWaitpoint, WaitpointRecord
from flowfabric.testing import AnyValkey

from .engine import PARTITIONS, WORKER, Engine, code_of, new

DAY_MS = 86_400_000
LIMITS = 1000, 8 << 20


def spec(*names: str, node: dict[str, object] | None = None, **over: object) -> SuspendSpec:
    """A holder's wish to wait for a signal at its first waitpoint."""
    fields: dict[str, object] = {
        "entry": "", "name": names[0] if names else "", "node": node or {"op": "signal", "at": names[0]},
        "timeout_ms": None, "due_ms": None, "on_timeout": "fail",
    }  # fmt: skip
    waitpoints = tuple(NewWaitpoint(name, ttl_ms=DAY_MS) for name in names)
    wait = NewWait(**(fields | over))  # type: ignore[arg-type]
    return SuspendSpec("waiting_for_approval", "worker", waitpoints, (wait,), "f")


async def suspend(engine: Engine, lease: bytes, wish: SuspendSpec) -> Suspended:
    [answer] = await engine.backend.lease_finish([Outcome(lease, "suspend", (wish.document(), "k1"))], WORKER)
    assert isinstance(answer, Suspended), answer
    return answer


def to(waitpoint: WaitpointRecord, **over: object) -> NewSignal:
    """A signal at a waitpoint."""
    ref = waitpoint.ref
    fields: dict[str, object] = {
        "execution_id": ref.execution_id, "scope": ref.scope, "number": ref.number,
        "expires_ms": ref.expires_ms, "waitpoint_name": "", "name": "approved", "category": "approval",
        "source": "user:alice", "correlation_id": "c-1", "payload": b"yes\n\0", "idempotency_key": "",
        "idempotency_ttl_ms": DAY_MS, "resume_delay_ms": 0,
    }  # fmt: skip
    return NewSignal(**(fields | over))  # type: ignore[arg-type]


async def deliver(engine: Engine, *signals: NewSignal) -> list[Delivered | EngineError]:
    return await engine.backend.signal_deliver(signals, *LIMITS)


async def claimed(engine: Engine, execution_id: str) -> Grant:
    [grant] = await engine.claim(engine.backend.partition_of(execution_id))
    assert grant.lease.startswith(execution_id.encode())
    return grant


async def test_a_suspension_a_signal_and_what_the_next_holder_sees(engine: Engine) -> None:
    lease = await engine.hold()
    id = ids.execution_of_lease(lease)
    step = JournalEntry("1", "step", "plan", "done", b"planned")
    assert await engine.backend.journal_record([(lease, [step])], 10, 1000) == [None]

    suspended = await suspend(engine, lease, spec("approval", entry="2"))
    assert (suspended.answer, suspended.number) == ("suspended", 1)
    [waitpoint] = suspended.waitpoints
    assert (waitpoint.ref.execution_id, waitpoint.ref.scope, waitpoint.state) == (id, "s1", "bound")
    assert await deliver(engine, to(waitpoint)) == [Delivered(1, "resumed", False, "waiting")]

    grant = await claimed(engine, id)
    assert grant.resumption is not None
    assert (grant.resumption.suspension, grant.resumption.ending) == (1, "signal")
    [signal] = grant.resumption.signals
    assert (signal.waitpoint, signal.name, signal.source, signal.correlation_id, signal.payload) == (
        "approval", "approved", "user:alice", "c-1", b"yes\n\0",
    )  # fmt: skip
    assert [(entry.key, entry.kind, entry.state) for entry in grant.journal] == [
        ("1", "step", "done"), ("2", "wait", "done"),
    ]  # fmt: skip
    assert grant.journal[0].data == b"planned"
    assert grant.journal[1].signals == [signal]
    assert (grant.recovered, grant.journal_is_partial) == (False, False)


async def test_a_large_journal_is_not_in_the_grant(engine: Engine) -> None:
    lease = await engine.hold()
    entry = JournalEntry("1", "step", "plan", "done", b"x" * 100_000)
    assert await engine.backend.journal_record([(lease, [entry])], 10, 1 << 20) == [None]
    await engine.backend.lease_revoke(ids.execution_of_lease(lease))

    grant = await claimed(engine, ids.execution_of_lease(lease))

    assert (grant.journal, grant.journal_is_partial, grant.recovered) == ([], True, True)


async def test_a_refused_suspension_leaves_the_lease_and_its_neighbours_alone(engine: Engine) -> None:
    bad, good = await engine.hold(), await engine.hold()

    refused, completed, malformed = await engine.backend.lease_finish(
        [
            Outcome(bad, "suspend", (spec("a", node={"op": "signal", "at": "b"}).document(), "k1")),
            Outcome(good, "complete", (b"",)),
            Outcome(b"0-ff:1:1:x", "suspend", (spec("a").document(), "k1")),
        ],
        WORKER,
    )

    assert isinstance(refused, EngineError)
    assert refused.code is ErrorCode.INVALID_ARGUMENT
    assert "waits[0].condition.signal.waitpoint" in str(refused)
    assert (completed, malformed) == ("completed", ErrorCode.INVALID_ARGUMENT)
    assert await engine.renew(bad) == [None]


async def test_a_repeat_is_told_what_the_first_was(engine: Engine) -> None:
    lease = await engine.hold()

    first = await suspend(engine, lease, spec("approval"))

    assert await suspend(engine, lease, spec("approval")) == first


async def test_fifty_signals_at_once_resume_once(engine: Engine) -> None:
    suspended = await suspend(engine, await engine.hold(), spec("approval"))

    replies = await asyncio.gather(
        *(deliver(engine, to(suspended.waitpoints[0], source=f"user:{number}")) for number in range(50))
    )

    effects = [reply.effect for [reply] in replies if isinstance(reply, Delivered)]
    assert effects == ["resumed"]
    refused = {code_of(reply) for [reply] in replies if isinstance(reply, EngineError)}
    assert refused == {"WAITPOINT_CLOSED"}


async def test_in_bulk_over_partitions_each_has_its_verdict(engine: Engine) -> None:
    waiting = [await suspend(engine, await engine.hold(n), spec("approval")) for n in range(PARTITIONS)]
    signals, late = ([to(each.waitpoints[0]) for each in waiting] for _ in range(2))
    stranger = to(waiting[0].waitpoints[0], execution_id="no id")

    verdicts = await deliver(engine, *signals, stranger, *late)

    assert verdicts[:PARTITIONS] == [Delivered(1, "resumed", False, "waiting")] * PARTITIONS
    assert [code_of(error) for error in verdicts[PARTITIONS:] if isinstance(error, EngineError)] == [
        "EXECUTION_NOT_FOUND", *["WAITPOINT_CLOSED"] * PARTITIONS,
    ]  # fmt: skip


async def test_one_key_for_two_signals_is_a_conflict(engine: Engine) -> None:
    suspended = await suspend(engine, await engine.hold(), spec("approval"))
    [waitpoint] = suspended.waitpoints
    await deliver(engine, to(waitpoint, idempotency_key="k"))

    again, other = await deliver(
        engine, to(waitpoint, idempotency_key="k"), to(waitpoint, idempotency_key="k", payload=b"no")
    )

    assert again == Delivered(1, "resumed", True, "waiting")
    assert isinstance(other, EngineError)
    assert (code_of(other), "signal 1" in str(other)) == ("IDEMPOTENCY_CONFLICT", True)


async def test_a_call_that_is_repeated_when_its_connection_breaks_does_its_work_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = engine.backend.client.fcall_durable

    async def send_twice(*call: Any, **options: Any) -> Any:
        await send(*call, **options)
        return await send(*call, **options)

    monkeypatch.setattr(engine.backend.client, "fcall_durable", send_twice)
    lease = await engine.hold()
    suspended = await suspend(engine, lease, spec("a", node={"op": "count", "n": 2, "by": "signals"}))

    assert await deliver(engine, to(suspended.waitpoints[0])) == [Delivered(1, "counted", True, "suspended")]
    id = ids.execution_of_lease(lease)
    assert await engine.backend.suspension_resume(id, "operator:default", 0, "") is State.WAITING


async def test_an_operator_resumes_what_is_suspended(engine: Engine) -> None:
    lease = await engine.hold()
    id = ids.execution_of_lease(lease)
    with pytest.raises(EngineError) as refused:
        await engine.backend.suspension_resume(id, "operator:default", 0, "")
    assert code_of(refused.value) == "EXECUTION_NOT_SUSPENDED"
    await suspend(engine, lease, spec("approval"))

    assert await engine.backend.suspension_resume(id, "operator:default", 5000, "why") is State.DELAYED

    record = await engine.backend.suspension_describe(id)
    assert record is not None
    assert (record.core["ending"], record.signals[0].payload) == ("operator", b"why")
    assert [waitpoint.ending for waitpoint in record.waitpoints] == ["resumed"]


async def test_what_never_suspended_has_no_suspension(engine: Engine) -> None:
    assert await engine.backend.suspension_describe(await engine.create()) is None
    with pytest.raises(EngineError) as unknown:
        await engine.backend.suspension_describe(ids.new_execution_id(0))
    assert code_of(unknown.value) == "EXECUTION_NOT_FOUND"


async def test_suspended_executions_are_listed_the_next_due_first(engine: Engine) -> None:
    timer: dict[str, object] = {"op": "timeout"}
    later = await suspend(engine, await engine.hold(1), spec("a", node=timer, timeout_ms=90_000))
    soon = await suspend(engine, await engine.hold(2), spec("a", node=timer, timeout_ms=50_000))
    never = await suspend(engine, await engine.hold(3), spec("a"))
    await engine.create()

    page = await engine.backend.execution_list(ListQuery("default", state=State.SUSPENDED))

    expected = [each.waitpoints[0].ref.execution_id for each in (soon, later, never)]
    assert [record.execution_id for record in page.records] == expected
    assert {record.state for record in page.records} == {State.SUSPENDED}


async def test_a_description_shows_the_steps(engine: Engine) -> None:
    lease = await engine.hold()
    id = ids.execution_of_lease(lease)
    await suspend(engine, lease, spec("approval", entry="1"))

    record = await engine.describe(id)

    assert record.steps_total == 1
    assert [(step.kind, step.name, step.state) for step in record.steps] == [("wait", "approval", "waiting")]
    [short] = await engine.backend.execution_describe([id])
    assert short is not None
    assert short.steps == []


async def test_a_replay_keeps_the_journal_up_to_a_step(engine: Engine) -> None:
    lease = await engine.hold()
    id = ids.execution_of_lease(lease)
    steps = [JournalEntry(str(number), "step", f"step{number}", "done") for number in (1, 2, 3)]
    await engine.backend.journal_record([(lease, steps)], 10, 1000)
    await engine.complete(lease)

    with pytest.raises(EngineError) as unknown:
        await engine.backend.execution_replay(id, "through", "step9")
    assert code_of(unknown.value) == "STEP_NOT_FOUND"
    assert await engine.backend.execution_replay(id, "through", "step2") is State.WAITING

    assert [entry.name for entry in (await claimed(engine, id)).journal] == ["step1", "step2"]


async def test_the_feed_says_namespace_lane_and_kind(engine: Engine, engine_valkey: AnyValkey) -> None:
    await engine.backend.execution_create([new(0, namespace="shop", lane="mail", kind="send")])

    assert b" shop/mail send '" in repr(engine_valkey.call("XRANGE", "ff:{p:0}:events", "-", "+")).encode()


def test_a_specification_leaves_out_what_is_not_set() -> None:
    [wait] = json.loads(spec("a").document())["waits"]

    assert "timeout_ms" not in wait
