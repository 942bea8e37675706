"""The journal and waitpoints through the store: typed in, typed out, many writes in few calls."""

from __future__ import annotations

import asyncio
import re

import pytest

from ff_core import ids
from ff_core.errors import EngineError, ErrorCode
from ff_core.journal import JournalEntry, StepFailure
from ff_core.lease import Outcome
from ff_core.suspension import NewWait, Suspended, SuspendSpec
from ff_core.waitpoint import NewWaitpoint
from flowfabric.testing import AnyValkey

from .engine import WORKER, Engine

LIMITS = 100, 1 << 20


async def record(
    engine: Engine, lease: bytes, *entries: JournalEntry, limits: tuple[int, int] = LIMITS
) -> EngineError | None:
    [verdict] = await engine.backend.journal_record([(lease, list(entries))], *limits)
    return verdict


async def recorded(engine: Engine, lease: bytes) -> list[JournalEntry]:
    page = await engine.backend.journal_read(ids.execution_of_lease(lease), 0, 1 << 20)
    assert page.next == 0
    return page.entries


def calls(valkey: AnyValkey, command: str) -> int:
    """How often a command was called."""
    found = re.search(rf"cmdstat_{command}:calls=(\d+)", repr(valkey.call("INFO", "commandstats")))
    return int(found[1]) if found else 0


async def test_an_entry_comes_back_as_it_was_written(engine: Engine) -> None:
    lease = await engine.hold()
    written = JournalEntry(
        key="=charge:7",
        kind="step",
        name="charge",
        state="failed",
        data=bytes(range(256)),
        fingerprint="0123456789abcdef",
        runs=3,
        uncertain=True,
        failure=StepFailure("Declined", 'no "money"\n\x00 ü', "permanent"),
        due_ms=1_800_000_000_123,
        seen=5,
    )

    assert await record(engine, lease, written, JournalEntry("2", "value", "now", "done")) is None

    first, second = await recorded(engine, lease)
    assert (first.started_ms, first.ended_ms) > (0, 0)
    written.sequence, written.end_sequence, written.data_bytes = 1, 1, 256
    written.started_ms, written.ended_ms = first.started_ms, first.ended_ms
    assert first == written
    assert (second.kind, second.data, second.sequence) == ("value", b"", 2)


async def test_refusals_name_their_entry(engine: Engine) -> None:
    lease = await engine.hold()
    await record(engine, lease, JournalEntry("1", "step", "plan", "done"))

    mismatch = await record(engine, lease, JournalEntry("1", "step", "apply", "done"))
    full = await record(engine, lease, JournalEntry("2", "step", "apply", "done"), limits=(1, 1 << 20))
    stale = await record(engine, lease + b"x", JournalEntry("2", "step", "apply", "done"))
    nonsense = await record(engine, b"nonsense", JournalEntry("2", "step", "apply", "done"))

    codes = [refusal.code for refusal in (mismatch, full, stale, nonsense) if refusal]
    assert codes == [
        ErrorCode.STEP_MISMATCH,
        ErrorCode.JOURNAL_FULL,
        ErrorCode.LEASE_STALE,
        ErrorCode.INVALID_ARGUMENT,
    ]
    assert mismatch
    assert mismatch.detail == "entry '1' was recorded as step plan, not step apply"
    assert len(await recorded(engine, lease)) == 1


async def test_writes_that_come_together_share_calls(engine: Engine, engine_valkey: AnyValkey) -> None:
    leases = [await engine.hold() for _ in range(20)]
    await record(engine, leases[0], JournalEntry("0", "step", "plan", "done"))
    engine_valkey.call("CONFIG", "RESETSTAT")

    verdicts = await asyncio.gather(
        *(record(engine, lease, JournalEntry("1", "step", "plan", "done", b"x")) for lease in leases)
    )

    assert verdicts == [None] * 20
    assert 1 <= calls(engine_valkey, "fcall") <= 2
    assert [entry.key for entry in await recorded(engine, leases[7])] == ["1"]


@pytest.mark.parametrize(("entries", "data"), [(100, b""), (1, b"x" * 600_000)], ids=["many", "large"])
async def test_what_is_much_goes_in_several_calls(
    engine: Engine, engine_valkey: AnyValkey, entries: int, data: bytes
) -> None:
    leases = [await engine.hold() for _ in range(5)]
    written = [JournalEntry(str(place), "step", "plan", "done", data) for place in range(entries)]
    engine_valkey.call("CONFIG", "RESETSTAT")

    verdicts = await engine.backend.journal_record([(lease, written) for lease in leases], 1000, 1 << 30)

    assert verdicts == [None] * 5
    assert 3 <= calls(engine_valkey, "fcall") <= 5
    assert [len(await recorded(engine, lease)) for lease in leases] == [entries] * 5


async def test_a_wait_is_recorded_with_the_signals_that_satisfied_it(engine: Engine) -> None:
    lease = await engine.hold()
    execution_id = ids.execution_of_lease(lease)
    waitpoint = await engine.backend.waitpoint_create(
        lease, NewWaitpoint("approval", "single", "bob", 60_000), "k1", "1"
    )
    spec = SuspendSpec(
        reason_code="waiting_for_approval",
        requested_by="worker",
        waitpoints=(NewWaitpoint("approval", number=waitpoint.ref.number),),
        waits=(NewWait("2", "approval", {"op": "signal", "at": "approval"}, 60_000, None, "fail", 7),),
        fingerprint="f",
    )
    [answer] = await engine.backend.lease_finish([Outcome(lease, "suspend", (spec.document(), "k1"))], WORKER)
    assert isinstance(answer, Suspended)
    [waiting] = (await engine.backend.journal_read(execution_id, 0, 1 << 20)).entries
    assert (waiting.state, waiting.waitpoint) == ("waiting", waitpoint.ref.render())
    assert (waiting.sequence, waiting.end_sequence, waiting.seen) == (1, 0, 7)

    await engine.backend.suspension_resume(execution_id, "user:ann", 0, "go on")

    [grant] = await engine.claim()
    [entry] = grant.journal
    assert (entry.kind, entry.state, entry.data, entry.waitpoint) == (
        "wait",
        "done",
        b"",
        waitpoint.ref.render(),
    )
    assert (entry.sequence, entry.end_sequence, entry.seen) == (1, 2, 7)
    assert [(signal.source, signal.payload) for signal in entry.signals] == [("user:ann", b"go on")]


async def test_waitpoints_are_listed_as_they_were_made(engine: Engine) -> None:
    lease = await engine.hold()
    execution_id = ids.execution_of_lease(lease)
    new = NewWaitpoint("approval", "single", "bob", 60_000)

    made = await engine.backend.waitpoint_create(lease, new, "k1", "3")

    assert (made.ref.execution_id, made.ref.scope, made.uses, made.recipient) == (
        execution_id,
        "p1",
        "single",
        "bob",
    )
    assert made.ref.expires_ms - made.created_ms == 60_000
    assert await engine.backend.waitpoint_create(lease, new, "k2", "3") == made
    assert await engine.backend.waitpoint_list(execution_id, 0, 10) == [made]
    assert await engine.backend.waitpoint_list(execution_id, 1, 10, closed=True) == []
    with pytest.raises(EngineError) as refusal:
        await engine.backend.waitpoint_create(b"nonsense", new, "k1", "")
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT
    with pytest.raises(EngineError) as refusal:
        await engine.backend.waitpoint_list("0-018f0000-0000-7000-8000-000000000000", 0, 10)
    assert refusal.value.code is ErrorCode.EXECUTION_NOT_FOUND


async def test_a_replay_keeps_what_it_is_told_to(engine: Engine) -> None:
    lease = await engine.hold()
    execution_id = ids.execution_of_lease(lease)
    await record(
        engine, lease, *(JournalEntry(str(n), "step", f"step{n}", "done", b"%d" % n) for n in range(1, 4))
    )
    await engine.complete(lease)

    with pytest.raises(EngineError) as refusal:
        await engine.backend.execution_replay(execution_id, "through", "step9")
    await engine.backend.execution_replay(execution_id, "through", "step2")

    assert refusal.value.code is ErrorCode.STEP_NOT_FOUND
    [grant] = await engine.claim()
    assert [(entry.name, entry.data) for entry in grant.journal] == [("step1", b"1"), ("step2", b"2")]
