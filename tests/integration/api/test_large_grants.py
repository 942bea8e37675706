"""What earlier runs left behind, however much it is, comes to clients that take 4 MiB a message."""

from __future__ import annotations

import pytest

from flowfabric_api.execution.v1 import execution_pb2 as ex
from flowfabric_api.journal.v1 import journal_pb2 as jr
from flowfabric_api.suspension.v1 import suspension_pb2 as sp
from flowfabric_api.worker.v1 import worker_pb2 as wk

from .door import Door
from .worker_stream import Stream, claimed, create

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIGNALS, PAYLOAD = 90, 60_000


async def resumed(door: Door, lane: str) -> str:
    """An execution that 5.4 MB of signals resumed."""
    execution_id = await create(door, lane=lane)
    grant = await claimed(door, lane)
    step = jr.Entry(key="1", kind=jr.ENTRY_KIND_STEP, name="plan", state=jr.ENTRY_STATE_DONE)
    await door.ask(wk.RecordJournalRequest(lease=grant.lease, entries=[step]), "RecordJournal")
    count = sp.Count(n=SIGNALS, by=sp.COUNT_BY_SIGNALS)
    spec = sp.SuspendSpec(
        reason_code="waiting_for_signal",
        waitpoints=[sp.WaitpointSpec(name="odd"), sp.WaitpointSpec(name="even")],
        waits=[sp.Wait(condition=sp.Condition(count=count), entry="2")],
    )
    [answer] = await door.ask(sp.SuspendRequest(lease=grant.lease, suspend=spec), "Suspend")
    for number in range(SIGNALS):
        waitpoint = answer.waitpoints[number % 2]
        request = sp.DeliverSignalRequest(
            waitpoint_id=waitpoint.waitpoint_id,
            token=waitpoint.token,
            payload=b"%03d" % number + b"x" * PAYLOAD,
        )
        request.name = "part"
        await door.ask(request, "DeliverSignal")
    return execution_id


async def test_signals_that_are_too_much_for_a_grant_are_read_in_pages(door: Door) -> None:
    execution_id = await resumed(door, "much")

    grant = await claimed(door, "much")

    assert (grant.resumption.ending, grant.resumption.is_partial) == ("signal", True)
    assert not grant.resumption.signals
    told: list[bytes] = []
    after, pages = 0, 0
    while pages == 0 or after:
        request = wk.ReadResumptionRequest(execution_id=execution_id, after=after)
        [page] = await door.ask(request, "ReadResumption")
        told += [signal.payload[:3] for signal in page.signals]
        after, pages = page.next, pages + 1
    assert told == [b"%03d" % number for number in range(SIGNALS)]
    assert pages == 6


async def test_an_entry_that_is_too_much_for_a_page_is_read_in_pages(door: Door) -> None:
    execution_id = await resumed(door, "entries")

    grant = await claimed(door, "entries")

    assert grant.journal_is_partial
    told: dict[str, list[bytes]] = {}
    request = wk.ReadJournalRequest(execution_id=execution_id)
    while True:
        [page] = await door.ask(request, "ReadJournal")
        for entry in page.entries:
            told.setdefault(entry.key, []).extend(signal.payload[:3] for signal in entry.signals)
        if not page.next and not page.next_signals:
            break
        request.after, request.signals_after = page.next, page.next_signals
    assert told == {"1": [], "2": [b"%03d" % number for number in range(SIGNALS)]}


async def test_a_session_bears_it(door: Door, stream: Stream) -> None:
    execution_id = await resumed(door, "borne")
    await stream.open(worker_id="borne", pools=[wk.Pool(lanes=["borne"], slots=1)])
    await stream.say(credits=[wk.Credit(limit=1)])

    [grant] = (await stream.hear_of("grants")).grants

    assert (grant.execution_id, grant.resumption.is_partial) == (execution_id, True)


async def test_a_single_call_takes_no_more_grants_than_a_message_bears(door: Door) -> None:
    """Each grant is of a payload and a journal of 60 KB, and there are more than fit."""
    wanted, size = 50, 60_000
    ids = set()
    for _ in range(wanted):
        ids.add(await create(door, lane="many"))
        grant = await claimed(door, "many")
        steps = [
            jr.Entry(
                key=str(key), kind=jr.ENTRY_KIND_STEP, name="s", state=jr.ENTRY_STATE_DONE, data=b"x" * 4000
            )
            for key in range(size // 4000)
        ]
        await door.ask(wk.RecordJournalRequest(lease=grant.lease, entries=steps), "RecordJournal")
    for execution_id in ids:
        await door.ask(ex.RevokeLeaseRequest(execution_id=execution_id), "RevokeLease")

    request = wk.ClaimRequest(worker_id="by-hand", lanes=["many"], max_grants=wanted)
    found: set[str] = set()
    while found != ids:
        [answer] = await door.ask(request, "Claim")
        assert answer.ByteSize() <= 3 << 20
        found |= {grant.execution_id for grant in answer.grants}
