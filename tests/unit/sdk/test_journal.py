"""The writes of a journal: what shares one, what becomes of it, and what a session says of it."""

from __future__ import annotations

import asyncio

import pytest
from google.rpc import code_pb2, status_pb2

from flowfabric import JournalFull, LeaseLost, StepMismatch
from flowfabric import _journal as journal_module
from flowfabric._journal import Journal
from flowfabric._outcome import Completed, Failed, Suspended
from flowfabric._positions import Positions
from flowfabric._session import JOURNAL_PAUSE_S
from flowfabric_api.journal.v1 import journal_pb2
from flowfabric_api.suspension.v1 import suspension_pb2
from flowfabric_api.worker.v1 import worker_pb2 as pb

from .fake_gateway import status
from .test_session import Play

L = b"L"


def entry(
    key: str, data: bytes = b"", state: journal_pb2.EntryState = journal_pb2.ENTRY_STATE_DONE
) -> journal_pb2.Entry:
    return journal_pb2.Entry(key=key, kind=journal_pb2.ENTRY_KIND_STEP, name="s", state=state, data=data)


def written(request: pb.SessionRequest | None) -> list[tuple[int, list[str]]]:
    """Numbers and keys of the writes of a message."""
    assert request is not None
    return [(write.number, [one.key for one in write.entries]) for write in request.journal]


@pytest.fixture
async def play() -> Play:
    """A worker in session that holds one lease."""
    play = Play()
    play.greet()
    play.grant(L, 1)
    return play


def open_journal(play: Play) -> Journal:
    return play.leases.open_journal(L, (), lambda: None)


def record(journal: Journal, entry: journal_pb2.Entry) -> asyncio.Future[None]:
    """Records an entry that somebody waits for."""
    future = journal.record(entry)
    journal.flush()
    return future


def answer(play: Play, number: int, code: int = code_pb2.OK, reason: str = "") -> list[bytes]:
    """The gateway answers a write; the leases that are lost by that."""
    verdict = status(code, reason) if code else status_pb2.Status()
    effects = play.hear(journal_results=[pb.JournalResult(lease=L, number=number, status=verdict)])
    return [lease for lease, _ in effects.lost]


# What shares a write


async def test_what_is_recorded_in_one_turn_shares_a_write(play: Play) -> None:
    journal = open_journal(play)
    first, second = record(journal, entry("1")), record(journal, entry("2"))

    assert written(play.say()) == [(1, ["1", "2"])]
    third = record(journal, entry("3"))
    assert written(play.say()) == [(2, ["3"])]
    answer(play, 1)
    assert (first.done(), second.done(), third.done()) == (True, True, False)
    answer(play, 2)
    assert third.done()


async def test_writes_go_before_the_outcomes_of_the_same_message(play: Play) -> None:
    record(open_journal(play), entry("1"))
    play.finish(L)
    request = play.says()
    assert (written(request), [outcome.lease for outcome in request.outcomes]) == ([(1, ["1"])], [L])


async def test_two_writings_of_one_key_are_two_writes(play: Play) -> None:
    journal = open_journal(play)
    record(journal, entry("1", state=journal_pb2.ENTRY_STATE_RUNNING))
    record(journal, entry("1"))
    assert written(play.say()) == [(1, ["1"]), (2, ["1"])]


async def test_a_write_is_bounded(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "WRITE_ENTRIES", 2)
    journal = open_journal(play)
    for key in "123":
        record(journal, entry(key))
    assert written(play.say()) == [(1, ["1", "2"]), (2, ["3"])]


async def test_a_message_is_bounded_and_what_is_left_goes_with_the_next(play: Play) -> None:
    journal = open_journal(play)
    for key in "123":
        record(journal, entry(key, b"x" * 900_000))
    assert written(play.say()) == [(1, ["1"]), (2, ["2"])]
    assert written(play.say()) == [(3, ["3"])]
    assert play.say() is None


# What becomes of it


async def test_a_write_without_an_answer_goes_out_again_with_the_next_session(play: Play) -> None:
    journal = open_journal(play)
    answered = record(journal, entry("1"))
    play.say()
    answer(play, 1)
    open_one = record(journal, entry("2"))
    play.say()
    unsent = record(journal, entry("3"))

    play.reconnect()
    play.says()
    play.welcome()
    assert written(play.say()) == [(2, ["2"]), (3, ["3"])]
    answer(play, 2)
    answer(play, 3)
    assert answered.done()
    assert open_one.done()
    assert unsent.done()


async def test_a_write_that_could_not_be_taken_is_tried_again_after_a_pause(play: Play) -> None:
    future = record(open_journal(play), entry("1"))
    play.say()
    answer(play, 1, code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert play.say() is None
    assert play.session.next_deadline - play.now == pytest.approx(0.1)

    play.now = play.session.next_deadline
    assert written(play.say()) == [(1, ["1"])]
    answer(play, 1)
    assert future.result() is None


@pytest.mark.parametrize(
    ("reason", "error"), [("STEP_MISMATCH", StepMismatch), ("JOURNAL_FULL", JournalFull)]
)
async def test_a_refusal_reaches_whoever_waits_and_the_lease_stays(
    play: Play, reason: str, error: type[Exception]
) -> None:
    future = record(open_journal(play), entry("1"))
    play.say()
    assert answer(play, 1, code_pb2.FAILED_PRECONDITION, reason) == []
    with pytest.raises(error):
        await future
    assert L in play.leases.held


async def test_a_refusal_because_of_the_lease_loses_it(play: Play) -> None:
    future = record(open_journal(play), entry("1"))
    play.say()
    assert answer(play, 1, code_pb2.FAILED_PRECONDITION, "LEASE_STALE") == [L]
    with pytest.raises(LeaseLost):
        await future


async def test_an_outcome_under_way_is_not_lost_by_a_late_word_about_a_write(play: Play) -> None:
    future = record(open_journal(play), entry("1"))
    play.finish(L)
    assert len(play.says().outcomes) == 1
    assert answer(play, 1, code_pb2.FAILED_PRECONDITION, "LEASE_STALE") == []
    assert isinstance(play.leases.held[L].outcome, Completed)
    assert future.exception() is not None


async def test_with_its_lease_a_journal_is_forgotten(play: Play) -> None:
    journal = open_journal(play)
    record(journal, entry("1"))
    play.leases.drop(L)
    assert play.say() is None
    answer(play, 1)
    late = play.leases.open_journal(L, (), lambda: None).record(entry("2"))
    with pytest.raises(LeaseLost):
        await late


async def test_whoever_was_cancelled_does_not_mind_the_answer(play: Play) -> None:
    journal = open_journal(play)
    record(journal, entry("1")).cancel()
    play.say()
    answer(play, 1)
    answer(play, 99)


async def test_a_suspension_that_is_refused_fails_the_execution_and_says_why(play: Play) -> None:
    spec = suspension_pb2.SuspendSpec(reason_code="waiting_for_signal")
    for lease, code, reason in [
        (L, code_pb2.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (b"M", code_pb2.FAILED_PRECONDITION, "WAITPOINTS_FULL"),
    ]:
        play.leases.grant(lease, play.now + 9)
        play.leases.end(lease, Suspended(spec), play.now)
        assert play.says().outcomes[0].suspended == spec
        play.answer(lease, code, reason)
        outcome = play.leases.held[lease].outcome
        assert isinstance(outcome, Failed)
        assert (outcome.type, outcome.non_retryable) == ("suspend_refused", True)
        play.say()


async def test_an_outcome_refused_with_a_write_says_what_was_wrong_with_that(play: Play) -> None:
    play.finish(L)
    play.say()
    for _ in range(2):
        play.answer(L, code_pb2.FAILED_PRECONDITION, "JOURNAL_FULL")
        request = play.say()
        if request is not None:
            failed = request.outcomes[0].failed
            assert (failed.type, failed.non_retryable) == ("JOURNAL_FULL", True)
    assert play.leases.held == {}


async def test_a_suspension_under_a_lost_lease_is_dropped(play: Play) -> None:
    play.leases.end(L, Suspended(suspension_pb2.SuspendSpec()), play.now)
    play.say()
    play.answer(L, code_pb2.FAILED_PRECONDITION, "LEASE_STALE")
    assert play.leases.held == {}


# Writes and the outcome


async def test_a_record_that_nobody_waits_for_leaves_with_the_outcome(play: Play) -> None:
    journal = open_journal(play)
    journal.record(entry("1"))
    assert play.say() is None
    play.finish(L)
    request = play.says()
    assert (written(request), [outcome.lease for outcome in request.outcomes]) == ([(1, ["1"])], [L])


async def test_a_record_that_nobody_waits_for_lingers_only_a_moment(play: Play) -> None:
    told = asyncio.Event()
    play.leases.open_journal(L, (), told.set).record(entry("1"))
    assert play.say() is None
    await told.wait()
    assert written(play.say()) == [(1, ["1"])]


async def test_an_outcome_waits_for_the_answers_to_the_writes_of_earlier_messages(play: Play) -> None:
    journal = open_journal(play)
    record(journal, entry("1", state=journal_pb2.ENTRY_STATE_RUNNING))
    play.say()
    record(journal, entry("2"))
    play.finish(L)
    request = play.says()
    assert (written(request), list(request.outcomes)) == ([(2, ["2"])], [])
    answer(play, 2)
    assert play.say() is None
    answer(play, 1)
    assert [outcome.lease for outcome in play.says().outcomes] == [L]


async def test_an_outcome_waits_for_writes_that_the_message_has_no_room_for(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowfabric._session.MESSAGE_BYTES", 8)
    monkeypatch.setattr(journal_module, "WRITE_ENTRIES", 1)
    journal = open_journal(play)
    record(journal, entry("1"))
    record(journal, entry("2"))
    play.finish(L)
    assert [written(play.says()), written(play.says())] == [[(1, ["1"])], [(2, ["2"])]]
    assert play.say() is None
    answer(play, 1)
    answer(play, 2)
    assert [outcome.lease for outcome in play.says().outcomes] == [L]


async def test_an_outcome_waits_for_a_write_that_could_not_be_taken(play: Play) -> None:
    record(open_journal(play), entry("1"))
    play.say()
    play.finish(L)
    answer(play, 1, code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert not play.says().outcomes
    play.now += JOURNAL_PAUSE_S
    request = play.says()
    assert (written(request), [outcome.lease for outcome in request.outcomes]) == ([(1, ["1"])], [L])


async def test_an_outcome_that_waits_for_one_lease_holds_up_no_other(play: Play) -> None:
    play.grant(b"M", 2)
    record(open_journal(play), entry("1"))
    play.say()
    play.finish(L)
    play.finish(b"M")
    assert [outcome.lease for outcome in play.says().outcomes] == [b"M"]


async def test_an_outcome_whose_write_is_refused_meanwhile_becomes_a_failure(play: Play) -> None:
    record(open_journal(play), entry("1"))
    play.say()
    play.finish(L)
    assert answer(play, 1, code_pb2.FAILED_PRECONDITION, "JOURNAL_FULL") == []
    failed = play.says().outcomes[0].failed
    assert (failed.type, failed.non_retryable) == ("JOURNAL_FULL", True)


# Positions


async def test_positions_of_two_handlers_do_not_mix() -> None:
    async def handler(started_by_another: bool) -> list[str]:
        positions = Positions(asyncio.current_task(), asyncio.get_running_loop())
        keys = [positions.next().key]
        if not started_by_another:
            keys.extend(await asyncio.create_task(handler(True)))
        return [*keys, positions.next().key]

    assert await handler(False) == ["1", "1", "2", "2"]
