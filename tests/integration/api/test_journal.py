"""What workers record, over the Session and by single calls, and what is shown of it."""

from __future__ import annotations

import asyncio

import pytest

from flowfabric_api.execution.v1 import execution_pb2 as ex
from flowfabric_api.journal.v1 import journal_pb2 as jr
from flowfabric_api.worker.v1 import worker_pb2 as wk

from .door import Door, Refused, reason_of
from .worker_stream import Stream, claimed, create

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRANGE = b"0-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b:1:1:abc0"


def step(key: str, data: bytes = b"", **over: object) -> jr.Entry:
    fields = {"kind": jr.ENTRY_KIND_STEP, "name": f"step-{key}", "state": jr.ENTRY_STATE_DONE, "data": data}
    return jr.Entry(key=key, **(fields | over))  # type: ignore[arg-type]


def write(lease: bytes, number: int, *entries: jr.Entry) -> wk.JournalWrite:
    return wk.JournalWrite(lease=lease, number=number, entries=entries)


async def granted(door: Door, stream: Stream, lane: str, **spec: object) -> wk.Grant:
    """The grant of a new execution in a lane of its own."""
    await create(door, lane=lane, **spec)
    await stream.open(worker_id=lane, pools=[wk.Pool(lanes=[lane], slots=4)])
    await stream.say(credits=[wk.Credit(limit=1)])
    [grant] = (await stream.hear_of("grants")).grants
    return grant


async def recorded(door: Door, execution_id: str) -> list[jr.Entry]:
    """The whole journal, a page after the other."""
    found: list[jr.Entry] = []
    after = 0
    while True:
        request = wk.ReadJournalRequest(execution_id=execution_id, after=after, page_bytes=1 << 16)
        [page] = await door.ask(request, "ReadJournal")
        found += page.entries
        after = page.next
        if not after:
            return found


async def shown(door: Door, execution_id: str) -> ex.Execution:
    [execution] = await door.ask(ex.GetExecutionRequest(execution_id=execution_id), "GetExecution")
    return execution  # type: ignore[no-any-return]


async def test_a_write_over_the_session_is_answered_by_its_number_and_kept(
    door: Door, stream: Stream
) -> None:
    grant = await granted(door, stream, "kept")

    await stream.say(journal=[write(grant.lease, 7, step("1", b"\x00r\xff", runs=1), step("2"))])

    [result] = (await stream.hear_of("journal_results")).journal_results
    assert (result.lease, result.number, result.status.code) == (grant.lease, 7, 0)
    entries = await recorded(door, grant.execution_id)
    assert [(one.key, one.name, one.data, one.runs, one.sequence) for one in entries] == [
        ("1", "step-1", b"\x00r\xff", 1, 1),
        ("2", "step-2", b"", 0, 2),
    ]


async def test_a_repeated_write_changes_nothing_and_another_step_is_refused(
    door: Door, stream: Stream
) -> None:
    grant = await granted(door, stream, "again")
    first = write(grant.lease, 1, step("1", b"first"))
    await stream.say(journal=[first])
    await stream.hear_of("journal_results")

    other = step("1", b"other", name="charge")
    await stream.say(journal=[first, write(grant.lease, 2, step("2"), other)])

    results: list[wk.JournalResult] = []
    while len(results) < 2:
        results += (await stream.hear_of("journal_results")).journal_results
    assert results[0].status.code == 0
    assert reason_of(results[1].status) == "STEP_MISMATCH"
    entries = await recorded(door, grant.execution_id)
    assert [(one.key, one.name, one.data) for one in entries] == [("1", "step-1", b"first")]


async def test_one_bad_write_harms_no_other(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "bad")

    await stream.say(
        journal=[
            write(STRANGE, 1, step("1")),
            write(b"nonsense", 2, step("1")),
            write(grant.lease, 3),
            write(grant.lease, 4, step("1", b"x" * 4097)),
            write(grant.lease, 5, step("1")),
        ]
    )

    results: dict[int, str] = {}
    while len(results) < 5:
        for one in (await stream.hear_of("journal_results")).journal_results:
            results[one.number] = reason_of(one.status) if one.status.code else ""
    assert results == {
        1: "EXECUTION_NOT_FOUND",
        2: "INVALID_ARGUMENT",
        3: "INVALID_ARGUMENT",
        4: "PAYLOAD_TOO_LARGE",
        5: "",
    }


async def test_the_welcome_says_how_large_an_entry_may_be(stream: Stream) -> None:
    assert (await stream.open()).max_journal_entry_bytes == 4096


async def test_a_full_journal_refuses_more_and_the_outcome_that_came_with_it(
    door: Door, stream: Stream
) -> None:
    grant = await granted(door, stream, "full")
    for number in range(1, 41):
        entries = [step(f"{number}-{place}") for place in range(250)]
        await stream.say(journal=[write(grant.lease, number, *entries)])
    answered = 0
    while answered < 40:
        results = (await stream.hear_of("journal_results")).journal_results
        assert {one.status.code for one in results} == {0}
        answered += len(results)

    done = wk.Outcome(lease=grant.lease, completed=wk.Completed())
    await stream.say(journal=[write(grant.lease, 41, step("more"))], outcomes=[done])

    message = await stream.hear_of("outcome_results")
    assert reason_of(message.outcome_results[0].status) == "JOURNAL_FULL"
    await stream.say(journal=[write(grant.lease, 42, step("1-0"))], outcomes=[done])
    assert (await stream.hear_of("outcome_results")).outcome_results[0].answer == "completed"
    assert (await shown(door, grant.execution_id)).steps_total == 10_000


async def test_a_lost_lease_records_nothing(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "lost")
    await door.ask(ex.RevokeLeaseRequest(execution_id=grant.execution_id), "RevokeLease")

    await stream.say(journal=[write(grant.lease, 1, step("1"))])

    [result] = (await stream.hear_of("journal_results")).journal_results
    assert reason_of(result.status) == "LEASE_REVOKED"
    assert await recorded(door, grant.execution_id) == []


async def test_the_next_holder_finds_what_was_recorded(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "next")
    assert (list(grant.journal), grant.recovered) == ([], False)
    await stream.say(
        journal=[write(grant.lease, 1, step("1", b"r"), step("2", state=jr.ENTRY_STATE_RUNNING))]
    )
    await stream.hear_of("journal_results")

    await door.ask(ex.RevokeLeaseRequest(execution_id=grant.execution_id), "RevokeLease")

    again = await claimed(door, "next")
    assert (again.attempt, again.journal_is_partial, again.recovered) == (2, False, True)
    assert [(one.key, one.state, one.data) for one in again.journal] == [
        ("1", jr.ENTRY_STATE_DONE, b"r"),
        ("2", jr.ENTRY_STATE_RUNNING, b""),
    ]


async def test_a_retry_is_not_recovered_but_finds_the_journal(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "retry", policy=ex.Policy(backoff=ex.Backoff(jitter=0)))
    await stream.say(journal=[write(grant.lease, 1, step("1", b"r"))])
    await stream.hear_of("journal_results")
    failed = wk.Failed(type="Flaky")
    failed.retry_delay.SetInParent()
    await stream.say(outcomes=[wk.Outcome(lease=grant.lease, failed=failed)])
    await stream.hear_of("outcome_results")

    again = await claimed(door, "retry")

    assert (again.attempt, again.recovered, [one.data for one in again.journal]) == (2, False, [b"r"])


async def test_a_long_journal_is_granted_in_part_and_read_to_its_end(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "long")
    for number in range(1, 31):
        await stream.say(journal=[write(grant.lease, number, step(str(number), b"%04d" % number * 1000))])
    answered = 0
    while answered < 30:
        answered += len((await stream.hear_of("journal_results")).journal_results)
    await door.ask(ex.RevokeLeaseRequest(execution_id=grant.execution_id), "RevokeLease")

    again = await claimed(door, "long")

    assert again.journal_is_partial
    entries = await recorded(door, grant.execution_id)
    assert [(one.key, one.data[:4], one.sequence) for one in entries] == [
        (str(number), b"%04d" % number, number) for number in range(1, 31)
    ]


async def test_single_calls_record_and_read_the_same(door: Door) -> None:
    execution_id = await create(door, lane="single")
    grant = await claimed(door, "single")
    request = wk.RecordJournalRequest(lease=grant.lease, entries=[step("1", b"r")])

    for _ in range(2):
        [answer] = await door.ask(request, "RecordJournal")
        assert answer == wk.RecordJournalResponse()

    status, body = await door.fetch(wk.ReadJournalRequest(execution_id=execution_id), "ReadJournal")
    assert status == 200
    assert [(one["key"], one["data"]) for one in body["entries"]] == [("1", "cg==")]
    mismatch = wk.RecordJournalRequest(lease=grant.lease, entries=[step("1", name="other")])
    with pytest.raises(Refused) as refused:
        await door.ask(mismatch, "RecordJournal")
    assert (refused.value.reason, refused.value.status) == ("STEP_MISMATCH", "FAILED_PRECONDITION")


async def test_steps_are_shown_by_get_and_watch_without_their_data(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "shown")
    failure = jr.StepFailure(type="Declined", message="no funds", category="permanent")
    await stream.say(
        journal=[
            write(
                grant.lease,
                1,
                step("1", b"r" * 10, runs=2, uncertain=True),
                step("2", state=jr.ENTRY_STATE_FAILED, failure=failure),
            )
        ]
    )
    await stream.hear_of("journal_results")

    execution = await shown(door, grant.execution_id)

    first, second = execution.steps
    assert (first.key, first.name, first.state) == ("1", "step-1", jr.ENTRY_STATE_DONE)
    assert (first.runs, first.uncertain, first.data_bytes) == (2, True, 10)
    assert first.HasField("start_time")
    assert first.HasField("end_time")
    assert second.failure == failure
    assert execution.steps_total == 2


async def test_a_watch_sees_each_step_when_it_is_recorded(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "watched")
    watch = door.executions.WatchExecution(ex.WatchExecutionRequest(execution_id=grant.execution_id))
    assert (await watch.read()).execution.steps_total == 0

    for number in (1, 2):
        await stream.say(journal=[write(grant.lease, number, step(str(number)))])
        while (seen := (await watch.read()).execution).steps_total < number:
            pass
        assert [one.key for one in seen.steps] == ["1", "2"][:number]

    watch.cancel()


async def test_a_watch_of_the_end_alone_is_sent_one_message(door: Door, stream: Stream) -> None:
    grant = await granted(door, stream, "only-end")
    asked = ex.WatchExecutionRequest(execution_id=grant.execution_id, only_end=True)
    every = door.executions.WatchExecution(ex.WatchExecutionRequest(execution_id=grant.execution_id))
    await every.read()
    ending = asyncio.ensure_future(door.ask(asked, "WatchExecution"))

    await stream.say(journal=[write(grant.lease, 1, step("1"))])
    while (await every.read()).execution.steps_total < 1:
        pass
    await door.ask(wk.CompleteRequest(lease=grant.lease), "Complete")

    [answer] = await ending
    assert (answer.execution.state, answer.execution.steps_total) == (ex.PUBLIC_STATE_COMPLETED, 1)
    [again] = await door.ask(asked, "WatchExecution")
    assert again == answer
    every.cancel()


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ({}, []),
        ({"keep_journal": False}, []),
        ({"keep_journal": True}, ["1", "2", "3"]),
        ({"keep_journal_through": "2"}, ["1", "2"]),
        ({"keep_journal_through": "step-2"}, ["1", "2"]),
    ],
    ids=str,
)
async def test_a_replay_keeps_what_it_is_asked_to(
    door: Door, keep: dict[str, object], kept: list[str]
) -> None:
    lane = f"replay-{len(kept)}-{'-'.join(map(str, keep.values()))}"
    execution_id = await create(door, lane=lane)
    grant = await claimed(door, lane)
    entries = [step("1"), step("2"), step("3"), step("4", state=jr.ENTRY_STATE_RUNNING)]
    await door.ask(wk.RecordJournalRequest(lease=grant.lease, entries=entries), "RecordJournal")
    await door.ask(wk.CompleteRequest(lease=grant.lease), "Complete")

    await door.ask(ex.ReplayExecutionRequest(execution_id=execution_id, **keep), "ReplayExecution")  # type: ignore[arg-type]

    again = await claimed(door, lane)
    assert [one.key for one in again.journal] == kept
    assert not again.recovered


async def test_a_replay_through_a_step_that_never_was_is_refused_and_changes_nothing(door: Door) -> None:
    execution_id = await create(door, lane="forked")
    grant = await claimed(door, "forked")
    await door.ask(wk.RecordJournalRequest(lease=grant.lease, entries=[step("1")]), "RecordJournal")
    await door.ask(wk.CompleteRequest(lease=grant.lease), "Complete")
    before = door.snapshot()

    request = ex.ReplayExecutionRequest(execution_id=execution_id, keep_journal_through="9")
    with pytest.raises(Refused) as refused:
        await door.ask(request, "ReplayExecution")

    assert (refused.value.reason, refused.value.status) == ("STEP_NOT_FOUND", "NOT_FOUND")
    assert door.snapshot() == before
