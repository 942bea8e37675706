"""A worker's session, message by message, without a stream or an event loop."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc import code_pb2, error_details_pb2

from ff_core.errors import EngineError, ErrorCode
from ff_core.journal import JournalEntry, JournalLimits
from ff_core.lease import CancelNotice, Grant, Outcome
from ff_core.suspension import Suspended
from ff_core.waitpoint import WaitpointRecord, WaitpointRef
from ff_core.worker import Pool
from ff_gateway.outcomes import Outcomes
from ff_gateway.policy import Policy
from ff_gateway.session import Session, Work
from flowfabric_api.journal.v1 import journal_pb2 as jr
from flowfabric_api.suspension.v1 import suspension_pb2 as sp
from flowfabric_api.worker.v1 import worker_pb2 as pb

TTL_MS = 30_000


def lease(number: int) -> bytes:
    return b"0-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b:1:%d:abc0" % number


POLICY = Policy(
    lease_ttl_ms=TTL_MS, worker_ttl_ms=9000, cancel_grace_ms=0, max_payload_bytes=10,
    max_output_frame_bytes=10, retention_ms=0, journal=JournalLimits(max_entry_bytes=10),
)  # fmt: skip


class Tokens:
    """Tells waitpoints with a token made of their number."""

    kid = "k1"

    def told(self, record: WaitpointRecord) -> sp.Waitpoint:
        return sp.Waitpoint(name=record.name, token=f"t{record.ref.number}")


class Conversation:
    """A session and what the worker of the test says and hears."""

    def __init__(self, *slots: int, held: list[bytes] | None = None) -> None:
        self.rings = 0
        self.urgent = 0
        pools = [Pool(("a",), frozenset(), one) for one in slots or (4,)]
        self.session = Session(
            "s1", "w1", "default", pools,
            outcomes=Outcomes(POLICY, Tokens()), journal=POLICY.journal, on_output=self._ring,
        )  # fmt: skip
        for one in held or []:
            self.session.leases[one] = (-1, 0)

    def _ring(self, is_urgent: bool) -> None:
        self.rings += 1
        self.urgent += is_urgent

    def says(self, **fields: Any) -> Work:
        return self.session.receive(pb.SessionRequest(**fields))

    def credit(self, limit: int, pool: int = 0) -> int:
        """Raises the credit; gives what became free by it."""
        self.says(credits=[pb.Credit(pool=pool, limit=limit)])
        return self.session.pools[pool].newly_free()

    def granted(self, number: int, pool: int = 0) -> bytes:
        grant = Grant(lease(number), "k", b"p", 0, 0, "")
        self.session.pools[pool].accept(grant)
        return grant.lease

    def renews(self, *leases: bytes, sequence: int = 1, seen: tuple[int, ...] = (), **fields: Any) -> Work:
        renew = pb.Renew(sequence=sequence, leases=leases, seen_grant_numbers=seen, **fields)
        return self.says(renew=renew)

    def hears(self) -> pb.SessionResponse:
        message = self.session.take()
        assert message is not None
        return message


def reason(status: Any) -> str:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


# Credit.


def test_credit_makes_slots_free() -> None:
    talk = Conversation(4)

    assert talk.session.pools[0].free == 0
    assert talk.credit(3) == 3
    assert talk.session.pools[0].free == 3


def test_credit_only_grows() -> None:
    talk = Conversation(4)
    talk.credit(3)

    assert talk.credit(3) == 0
    assert talk.credit(1) == 0
    assert talk.credit(-5) == 0
    assert talk.session.pools[0].free == 3
    assert talk.credit(4) == 1


def test_merged_credits_count_as_the_highest() -> None:
    talk = Conversation(4)

    talk.says(credits=[pb.Credit(limit=1), pb.Credit(limit=4), pb.Credit(limit=2)])

    assert talk.session.pools[0].newly_free() == 4


def test_a_grant_takes_a_slot_but_is_not_news_for_the_demand() -> None:
    talk = Conversation(4)
    talk.credit(2)

    talk.granted(1)

    assert talk.session.pools[0].free == 1
    assert talk.session.pools[0].newly_free() == 0
    assert talk.credit(3) == 1


def test_pools_have_their_own_credit_and_count() -> None:
    talk = Conversation(1, 1)
    talk.credit(1, pool=0)
    talk.credit(2, pool=1)

    talk.granted(1, pool=1)
    talk.granted(2, pool=1)
    talk.granted(3, pool=0)

    grants = talk.hears().grants
    assert [(one.pool, one.number) for one in grants] == [(1, 1), (1, 2), (0, 1)]
    assert [pool.free for pool in talk.session.pools] == [0, 0]


def test_slots_are_idle_until_they_are_granted_to() -> None:
    talk = Conversation(2)
    [pool] = talk.session.pools
    talk.credit(5)
    assert pool.idle == 2

    talk.granted(1)
    assert pool.idle == 1

    for number in (2, 3, 4):
        talk.granted(number)
    assert (pool.idle, pool.free) == (-2, 1)


def test_slots_without_credit_are_not_idle() -> None:
    talk = Conversation(4, held=[lease(8), lease(9)])
    [pool] = talk.session.pools
    assert pool.idle == 0

    talk.credit(2)  # the other two run what an earlier session brought

    assert pool.idle == 2


def test_however_a_lease_ends_its_slot_is_idle_again_once() -> None:
    talk = Conversation(6, held=[lease(9)])
    [pool] = talk.session.pools
    talk.credit(20)
    ended, dropped, refused, lost, gone = (talk.granted(number) for number in range(1, 6))
    assert pool.held == 5

    talk.says(outcomes=[pb.Outcome(lease=ended, cancelled=pb.Cancelled())])
    talk.session.answered(ended, "cancelled")
    assert pool.held == 4

    talk.renews(lost, gone, seen=(2,), refusals=[pb.Refusal(lease=refused)])
    assert pool.held == 2
    talk.renews(lost, gone, seen=(3,), sequence=2, refusals=[pb.Refusal(lease=dropped)])

    talk.session.lost(lost, ErrorCode.LEASE_REVOKED)
    talk.session.lost(lost, ErrorCode.LEASE_REVOKED)
    talk.session.renewed(2, [lost, gone], [ErrorCode.LEASE_REVOKED, ErrorCode.LEASE_EXPIRED], TTL_MS)

    assert (pool.held, pool.idle, talk.session.leases) == (0, 6, {})


@pytest.mark.parametrize("pool", [-1, 1, 2**31 - 1, -(2**31)])
def test_credit_for_a_pool_that_is_not_there_ends_the_session(pool: int) -> None:
    talk = Conversation(4)

    with pytest.raises(EngineError) as refused:
        talk.says(credits=[pb.Credit(pool=pool, limit=1)])

    assert (refused.value.code, refused.value.field) == (ErrorCode.INVALID_ARGUMENT, "credits.pool")


# Draining.


def test_a_draining_worker_takes_its_free_slots_with_it() -> None:
    talk = Conversation(4)
    talk.credit(3)
    talk.granted(1)

    talk.says(drain=pb.Drain())

    assert talk.session.pools[0].free == 0
    assert talk.session.pools[0].newly_free() == -2
    assert talk.session.pools[0].newly_free() == 0


def test_credit_after_the_drain_frees_nothing() -> None:
    talk = Conversation(4)
    talk.credit(3)
    talk.says(drain=pb.Drain())
    talk.session.pools[0].newly_free()

    assert talk.credit(4) == 0


def test_go_away_is_told_and_stops_new_grants() -> None:
    talk = Conversation(4)
    talk.credit(3)

    talk.session.go_away("restart", 5000)

    assert talk.hears().go_away.reason == "restart"
    assert talk.session.pools[0].free == 0
    assert talk.session.beat().draining


# Renewals.


def test_an_empty_renewal_is_a_heartbeat() -> None:
    talk = Conversation()

    work = talk.renews(sequence=7)

    assert (work.renew, work.sequence, work.release) == ([], 7, [])


def test_no_renewal_is_told_apart_from_an_empty_one() -> None:
    assert Conversation().says().renew is None


def test_a_seen_grant_that_is_not_listed_is_released() -> None:
    talk = Conversation()
    kept, dropped = talk.granted(1), talk.granted(2)

    work = talk.renews(kept, seen=(2,))

    assert (work.renew, work.release) == ([kept], [dropped])
    assert list(talk.session.leases) == [kept]


def test_a_grant_still_on_the_wire_is_not_taken_for_dropped() -> None:
    talk = Conversation()
    seen, unseen = talk.granted(1), talk.granted(2)

    work = talk.renews(seen, seen=(1,))

    assert work.release == []
    assert list(talk.session.leases) == [seen, unseen]


def test_a_pool_that_the_worker_says_nothing_of_is_left_alone() -> None:
    talk = Conversation(1, 1)
    talk.granted(1, pool=1)

    assert talk.renews(seen=(5,)).release == []


def test_a_refused_grant_is_released_although_unseen() -> None:
    talk = Conversation()
    refused = talk.granted(1)

    work = talk.renews(refusals=[pb.Refusal(lease=refused)])

    assert work.release == [refused]


def test_a_refusal_of_a_lease_that_is_listed_too_keeps_it() -> None:
    talk = Conversation()
    both = talk.granted(1)

    assert talk.renews(both, refusals=[pb.Refusal(lease=both)]).release == []


def test_a_refusal_of_a_strangers_lease_releases_nothing() -> None:
    talk = Conversation()

    assert talk.renews(refusals=[pb.Refusal(lease=lease(9))]).release == []


def test_a_lease_of_an_earlier_session_is_released_when_it_is_not_listed() -> None:
    talk = Conversation(held=[lease(1), lease(2)])

    work = talk.renews(lease(2))

    assert work.release == [lease(1)]


def test_a_release_happens_once() -> None:
    talk = Conversation()
    talk.granted(1)
    talk.renews(seen=(1,))

    assert talk.renews(seen=(1,), sequence=2).release == []


def test_the_answer_to_a_renewal_names_exceptions_only() -> None:
    talk = Conversation(held=[lease(1), lease(2), lease(3)])
    leases = [lease(1), lease(2), lease(3)]

    talk.session.renewed(4, leases, [None, ErrorCode.LEASE_EXPIRED, CancelNotice(5000, "why")], TTL_MS)

    message = talk.hears()
    assert (message.renew_result.sequence, message.renew_result.ttl.ToMilliseconds()) == (4, TTL_MS)
    [exception] = message.renew_result.exceptions
    assert (exception.lease, reason(exception.status)) == (lease(2), "LEASE_EXPIRED")
    [cancel] = message.cancels
    assert (cancel.lease, cancel.reason, cancel.deadline.ToMilliseconds()) == (lease(3), "why", 5000)
    assert list(talk.session.leases) == [lease(1), lease(3)]


def test_a_lease_that_the_store_confirms_is_held_from_then_on() -> None:
    talk = Conversation()

    talk.session.renewed(1, [lease(1)], [None], TTL_MS)

    assert talk.session.beat().held == (1,)
    assert talk.renews().release == [lease(1)]


def test_renewals_answered_together_show_the_newest() -> None:
    talk = Conversation()
    talk.session.renewed(1, [], [], TTL_MS)
    talk.session.renewed(2, [], [], TTL_MS)

    assert talk.hears().renew_result.sequence == 2
    assert talk.session.take() is None


# Outcomes and progress.


def test_outcomes_and_progress_become_work() -> None:
    talk = Conversation()

    work = talk.says(
        outcomes=[pb.Outcome(lease=lease(1), completed=pb.Completed(result=b"r"))],
        progress=[pb.ProgressReport(lease=lease(2), percent=5)],
    )

    assert work.outcomes == [Outcome(lease(1), "complete", (b"r",))]
    assert work.progress == [(lease(2), 5, None)]


def test_one_bad_outcome_harms_no_other() -> None:
    talk = Conversation()

    work = talk.says(
        outcomes=[
            pb.Outcome(lease=lease(1)),
            pb.Outcome(lease=lease(2), completed=pb.Completed(result=b"x" * 11)),
            pb.Outcome(lease=lease(3), cancelled=pb.Cancelled()),
        ]
    )

    assert work.outcomes == [Outcome(lease(3), "stop")]
    assert [(one.lease, reason(one.status)) for one in talk.hears().outcome_results] == [
        (lease(1), "INVALID_ARGUMENT"),
        (lease(2), "PAYLOAD_TOO_LARGE"),
    ]


def test_a_refused_outcome_leaves_the_lease_with_the_worker() -> None:
    talk = Conversation(held=[lease(1)])

    talk.says(outcomes=[pb.Outcome(lease=lease(1), completed=pb.Completed(result=b"x" * 11))])

    [result] = talk.hears().outcome_results
    assert (result.lease, reason(result.status)) == (lease(1), "PAYLOAD_TOO_LARGE")
    assert lease(1) in talk.session.leases


def test_an_answered_outcome_ends_the_lease() -> None:
    talk = Conversation(held=[lease(1), lease(2)])

    talk.session.answered(lease(1), "retry_scheduled")
    talk.session.answered(lease(2), ErrorCode.LEASE_STALE)

    first, second = talk.hears().outcome_results
    assert (first.status.code, first.answer) == (code_pb2.OK, "retry_scheduled")
    assert (reason(second.status), second.answer) == ("LEASE_STALE", "")
    assert talk.session.leases == {}


# Suspending.


def suspended(number: int) -> pb.Outcome:
    condition = sp.Condition(signal=sp.SignalMatch(waitpoint="approval"))
    spec = sp.SuspendSpec(
        waitpoints=[sp.WaitpointSpec(name="approval")], waits=[sp.Wait(condition=condition)]
    )
    return pb.Outcome(lease=lease(number), suspended=spec)


def test_an_outcome_that_suspends_frees_its_slot_in_the_same_message() -> None:
    talk = Conversation(1)
    talk.credit(1)
    held = talk.granted(1)

    work = talk.says(outcomes=[suspended(1)], credits=[pb.Credit(limit=2)])

    assert [(one.lease, one.operation, one.details[1]) for one in work.outcomes] == [(held, "suspend", "k1")]
    assert talk.session.pools[0].idle == 1


def test_the_answer_to_a_suspension_has_its_waitpoints_with_their_tokens() -> None:
    talk = Conversation(held=[lease(1)])
    talk.says(outcomes=[suspended(1)])
    ref = WaitpointRef("default", "0-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "s2", 7, 9000)
    waitpoint = WaitpointRecord(ref, "approval", "multi", "bound", "", "k1", "", 1000, "", 0)

    talk.session.answered(lease(1), Suspended("suspended", 2, [waitpoint]))

    [result] = talk.hears().outcome_results
    assert (result.answer, result.suspension, result.waitpoints[0].token) == ("suspended", 2, "t7")
    assert talk.session.leases == {}


def test_what_somebody_waits_for_leaves_at_once_and_other_answers_with_company() -> None:
    talk = Conversation(held=[lease(1), lease(2), lease(3)])

    talk.session.answered(lease(1), "completed")
    talk.session.answered(lease(2), ErrorCode.LEASE_STALE)
    assert talk.urgent == 0

    talk.session.wrote(lease(3), 1, None)
    talk.session.answered(lease(3), EngineError(ErrorCode.WAITPOINTS_FULL))
    talk.session.answered(lease(3), Suspended("suspended", 1, []))
    assert talk.urgent == 3


def test_a_malformed_suspension_is_refused_with_its_path_and_the_lease_stays() -> None:
    talk = Conversation(held=[lease(1)])

    work = talk.says(outcomes=[pb.Outcome(lease=lease(1), suspended=sp.SuspendSpec())])

    assert work.outcomes == []
    [result] = talk.hears().outcome_results
    assert reason(result.status) == "INVALID_ARGUMENT"
    assert "suspended.waits" in result.status.message
    assert list(talk.session.leases) == [lease(1)]


def test_a_suspension_that_the_engine_refuses_leaves_the_lease_with_the_worker() -> None:
    talk = Conversation(2)
    talk.credit(2)
    held = talk.granted(1)
    talk.says(outcomes=[suspended(1)])
    assert talk.session.pools[0].held == 0

    talk.session.answered(held, EngineError(ErrorCode.WAITPOINTS_FULL))

    [result] = talk.hears().outcome_results
    assert reason(result.status) == "WAITPOINTS_FULL"
    assert (talk.session.leases, talk.session.pools[0].held) == ({held: (0, 1)}, 1)
    assert talk.renews(seen=(1,)).release == [held]


def test_a_refusal_after_a_renewal_knows_the_pool_of_the_lease_still() -> None:
    talk = Conversation(1, 1)
    held = talk.granted(1, pool=1)
    talk.says(outcomes=[suspended(1)])
    talk.session.renewed(1, [held], [None], TTL_MS)

    talk.session.answered(held, EngineError(ErrorCode.WAITPOINTS_FULL))

    assert (talk.session.leases, talk.session.pools[1].held) == ({held: (1, 1)}, 1)
    talk.session.answered(held, "failed")
    assert (talk.session.leases, talk.session.pools[1].held) == ({}, 0)


# The journal.


def entry(key: str, **fields: Any) -> jr.Entry:
    step: dict[str, Any] = {"kind": jr.ENTRY_KIND_STEP, "name": "plan", "state": jr.ENTRY_STATE_DONE}
    return jr.Entry(key=key, **(step | fields))


def test_writes_become_work_in_their_order() -> None:
    talk = Conversation()

    work = talk.says(
        journal=[
            pb.JournalWrite(lease=lease(1), number=1, entries=[entry("1", data=b"r"), entry("2")]),
            pb.JournalWrite(lease=lease(2), number=9, entries=[entry("1")]),
        ]
    )

    assert [(one.lease, one.number, [each.key for each in one.entries]) for one in work.writes] == [
        (lease(1), 1, ["1", "2"]),
        (lease(2), 9, ["1"]),
    ]
    assert work.writes[0].entries[0].data == b"r"


@pytest.mark.parametrize(
    ("entries", "code", "field"),
    [
        ([], "INVALID_ARGUMENT", "journal.entries"),
        ([entry("1")] * 257, "INVALID_ARGUMENT", "journal.entries"),
        ([entry("1"), entry("a b")], "INVALID_ARGUMENT", "journal.entries[1].key"),
        ([entry("1", data=b"x" * 11)], "PAYLOAD_TOO_LARGE", "journal.entries[0].data"),
    ],
)
def test_a_malformed_write_is_refused_alone_and_holds_back_the_outcome(
    entries: list[jr.Entry], code: str, field: str
) -> None:
    talk = Conversation(held=[lease(1), lease(2)])

    work = talk.says(
        journal=[
            pb.JournalWrite(lease=lease(1), number=1, entries=entries),
            pb.JournalWrite(lease=lease(2), number=1, entries=[entry("1")]),
        ]
    )

    assert [one.lease for one in work.writes] == [lease(2)]
    assert [(one, error.field) for one, error in work.unwritten.items()] == [(lease(1), field)]
    [result] = talk.hears().journal_results
    assert (result.lease, result.number, reason(result.status)) == (lease(1), 1, code)
    assert list(talk.session.leases) == [lease(1), lease(2)]


def test_answers_to_writes_travel_together() -> None:
    talk = Conversation(held=[lease(1)])

    talk.session.wrote(lease(1), 1, None)
    talk.session.wrote(lease(1), 2, EngineError(ErrorCode.STEP_MISMATCH, "1"))

    first, second = talk.hears().journal_results
    assert (first.lease, first.number, first.status.code) == (lease(1), 1, code_pb2.OK)
    assert (second.number, reason(second.status)) == (2, "STEP_MISMATCH")
    assert talk.session.take() is None


def test_grants_with_much_in_their_journals_leave_in_several_messages() -> None:
    talk = Conversation(8)
    journal = [JournalEntry("1", "step", "plan", "done", b"x" * (1 << 20))]
    for number in range(1, 7):
        grant = Grant(lease(number), "k", b"", 0, 0, "", journal=journal)
        talk.session.pools[0].accept(grant)

    sizes = []
    while (message := talk.session.take()) is not None:
        sizes.append(len(message.grants))
        assert message.ByteSize() <= 2 << 20

    assert sizes == [1] * 6


def test_a_grant_is_not_added_to_a_message_that_has_no_room_for_it() -> None:
    talk = Conversation(8)
    for number, size in enumerate((1 << 20, 1 << 19, 1 << 20), 1):
        talk.session.pools[0].accept(Grant(lease(number), "k", b"x" * size, 0, 0, ""))

    sizes = []
    while (message := talk.session.take()) is not None:
        sizes.append(len(message.grants))

    assert sizes == [2, 1]


def test_an_impossible_percentage_ends_the_session() -> None:
    with pytest.raises(EngineError) as refused:
        Conversation().says(progress=[pb.ProgressReport(lease=lease(1), percent=101)])

    assert refused.value.field == "progress.percent"


# What happens to leases elsewhere.


def test_a_lost_lease_is_told_once() -> None:
    talk = Conversation(held=[lease(1)])

    talk.session.lost(lease(1), ErrorCode.LEASE_REVOKED)
    talk.session.lost(lease(1), ErrorCode.LEASE_REVOKED)

    [lost] = talk.hears().lost
    assert (lost.lease, reason(lost.status)) == (lease(1), "LEASE_REVOKED")


def test_a_cancel_is_told_to_whoever_holds_the_lease() -> None:
    talk = Conversation(held=[lease(1)])

    talk.session.cancel(lease(1), CancelNotice(9000, "why"))
    talk.session.cancel(lease(2), CancelNotice(9000, "not ours"))

    assert [(one.lease, one.reason) for one in talk.hears().cancels] == [(lease(1), "why")]
    assert lease(1) in talk.session.leases


# The message that leaves.


def test_nothing_to_say_is_no_message() -> None:
    assert Conversation().session.take() is None


def test_what_is_ready_at_one_moment_leaves_together_and_once() -> None:
    talk = Conversation(held=[lease(8), lease(9)])
    talk.granted(1)
    talk.session.renewed(1, [], [], TTL_MS)
    talk.session.answered(lease(9), "completed")
    talk.session.lost(lease(8), ErrorCode.LEASE_EXPIRED)
    talk.session.go_away("bye", 5000)

    message = talk.hears()

    assert [field.name for field, _ in message.ListFields()] == [
        "grants", "renew_result", "outcome_results", "lost", "go_away",
    ]  # fmt: skip
    assert talk.session.take() is None
    assert talk.rings == 5


def test_the_heartbeat_counts_leases_by_pool() -> None:
    talk = Conversation(2, 2, held=[lease(9)])
    talk.granted(1, pool=1)
    talk.granted(2, pool=1)

    beat = talk.session.beat()

    assert (beat.worker_id, beat.session_id, beat.held, beat.draining) == ("w1", "s1", (1, 2), False)


# Whole conversations.


def test_a_whole_life() -> None:
    talk = Conversation(2)
    assert talk.credit(2) == 2
    first, second = talk.granted(1), talk.granted(2)
    assert [one.lease for one in talk.hears().grants] == [first, second]

    work = talk.renews(first, second, sequence=1, seen=(2,))
    talk.session.renewed(work.sequence, work.renew or [], [None, None], TTL_MS)
    assert not talk.hears().renew_result.exceptions

    work = talk.says(
        outcomes=[pb.Outcome(lease=first, completed=pb.Completed(result=b"r"))],
        credits=[pb.Credit(limit=3)],
        renew=pb.Renew(sequence=2, leases=[second], seen_grant_numbers=[2]),
    )
    assert work.release == []
    assert talk.session.pools[0].newly_free() == 1
    talk.session.answered(first, "completed")
    talk.session.renewed(work.sequence, work.renew or [], [None], TTL_MS)
    message = talk.hears()
    assert (message.outcome_results[0].answer, message.renew_result.sequence) == ("completed", 2)

    talk.says(drain=pb.Drain())
    assert talk.session.pools[0].newly_free() == -1
    talk.session.answered(second, "failed")
    assert talk.session.beat().held == (0,)


def test_an_outcome_and_a_renewal_without_its_lease_do_not_release_it() -> None:
    talk = Conversation(2)
    done = talk.granted(1)

    work = talk.says(
        outcomes=[pb.Outcome(lease=done, completed=pb.Completed())],
        renew=pb.Renew(sequence=1, seen_grant_numbers=[1]),
    )

    assert work.outcomes == [Outcome(done, "complete", (b"",))]
    assert work.release == []


def test_a_reconnected_worker_keeps_what_both_sides_know() -> None:
    talk = Conversation(4, held=[lease(1), lease(2)])
    talk.credit(4)
    fresh = talk.granted(3)

    work = talk.renews(lease(1), lease(2), fresh, seen=(1,))

    assert (work.renew, work.release) == ([lease(1), lease(2), fresh], [])
