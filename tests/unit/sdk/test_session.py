"""The worker's half of a session, played without a stream and with a clock in the test's hand."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc import code_pb2, status_pb2

from flowfabric._errors import LeaseLost
from flowfabric._leases import Leases
from flowfabric._outcome import Cancelled, Completed, Delayed, Failed
from flowfabric._session import Effects, Identity, Pool, Session
from flowfabric._slots import Slots
from flowfabric_api.worker.v1 import worker_pb2 as pb

from .fake_gateway import status

LEASE_TTL, RENEW_INTERVAL, OFFER_TTL = 30, 10, 20


class Play:
    """A worker's state and its sessions, at the time the test says."""

    def __init__(self, *totals: int) -> None:
        self.now = 1000.0
        self.slots = [Slots(total) for total in totals or (2,)]
        self.leases = Leases()
        self.identity = Identity(
            "w1", "host:1", "default", "0.1", [Pool(("a",), ("gpu",), s.total) for s in self.slots], ["k"]
        )
        self.session = Session(self.identity, self.leases, self.slots)

    def reconnect(self) -> None:
        self.session = Session(self.identity, self.leases, self.slots)

    def hear(self, **fields: Any) -> Effects:
        return self.session.receive(pb.SessionResponse(**fields), self.now)

    def say(self) -> pb.SessionRequest | None:
        return self.session.outgoing(self.now)

    def says(self) -> pb.SessionRequest:
        request = self.say()
        assert request is not None
        return request

    def welcome(self, **fields: Any) -> Effects:
        welcome = pb.Welcome(**fields)
        welcome.lease_ttl.FromSeconds(LEASE_TTL)
        welcome.renew_interval.FromSeconds(RENEW_INTERVAL)
        welcome.offer_ttl.FromSeconds(OFFER_TTL)
        return self.hear(welcome=welcome)

    def greet(self) -> None:
        """Hello and Welcome, and whatever the worker says to that."""
        self.says()
        self.welcome()
        self.say()

    def grant(self, lease: bytes, number: int, pool: int = 0) -> Effects:
        return self.hear(grants=[pb.Grant(lease=lease, number=number, pool=pool)])

    def finish(self, lease: bytes, outcome: Any = None, pool: int = 0) -> bool:
        """A handler ends, as `Attempts` would have it."""
        self.slots[pool].granted -= 1
        return self.leases.end(lease, outcome or Completed(b"r"), self.now)

    def answer(self, lease: bytes, code: int = code_pb2.OK, reason: str = "") -> Effects:
        verdict = pb.OutcomeResult(lease=lease)
        verdict.status.CopyFrom(status(code, reason) if code else status_pb2.Status())
        return self.hear(outcome_results=[verdict])

    def renewed(self, sequence: int, ttl: int = LEASE_TTL, lost: dict[bytes, str] | None = None) -> Effects:
        result = pb.RenewResult(sequence=sequence)
        result.ttl.FromSeconds(ttl)
        for lease, reason in (lost or {}).items():
            result.exceptions.add(lease=lease, status=status(code_pb2.FAILED_PRECONDITION, reason))
        return self.hear(renew_result=result)


@pytest.fixture
def play() -> Play:
    return Play()


# Hello


def test_the_first_message_is_hello_with_the_first_credit() -> None:
    play = Play(2, 3)

    request = play.says()

    assert request.hello.worker_id == "w1"
    assert [(list(p.lanes), list(p.capabilities), p.slots) for p in request.hello.pools] == [
        (["a"], ["gpu"], 2),
        (["a"], ["gpu"], 3),
    ]
    assert list(request.hello.kinds) == ["k"]
    assert [(credit.pool, credit.limit) for credit in request.credits] == [(0, 2), (1, 3)]


def test_nothing_more_is_said_before_welcome(play: Play) -> None:
    play.leases.grant(b"L", play.now + 9)
    play.says()
    play.finish(b"L")

    assert play.say() is None


def test_a_lease_that_welcome_excepts_is_lost(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.reconnect()
    assert list(play.says().hello.held_leases) == [b"L"]

    exception = pb.LeaseException(lease=b"L", status=status(code_pb2.FAILED_PRECONDITION, "LEASE_REVOKED"))
    effects = play.welcome(lease_exceptions=[exception])

    [(lease, error)] = effects.lost
    assert (lease, type(error)) == (b"L", LeaseLost)
    assert play.leases.held == {}


# Credit


def test_credit_rises_the_moment_a_task_ends(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    assert play.say() is None

    play.finish(b"L")
    request = play.says()

    assert request.credits[0].limit == 3
    assert [outcome.lease for outcome in request.outcomes] == [b"L"]


def test_credit_counts_each_pool_by_itself() -> None:
    play = Play(1, 1)
    play.greet()
    play.grant(b"L", 1, pool=1)

    play.finish(b"L", pool=1)

    assert [(credit.pool, credit.limit) for credit in play.says().credits] == [(1, 2)]


def test_a_new_session_counts_from_zero_and_offers_the_free_slots(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)

    play.reconnect()

    assert play.says().credits[0].limit == 1


def test_a_worker_without_a_free_slot_offers_nothing_until_one_is_free() -> None:
    play = Play(1)
    play.greet()
    play.grant(b"L", 1)
    play.reconnect()
    assert not play.says().credits
    play.welcome()

    play.finish(b"L")

    assert play.says().credits[0].limit == 1


def test_a_repeated_grant_number_is_ignored(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)

    assert play.grant(b"other", 1).grants == []
    assert play.slots[0].granted == 1


def test_a_lease_that_is_held_already_does_not_run_twice(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)

    assert play.grant(b"L", 2).grants == []
    assert play.says().credits[0].limit == 3


def test_credit_goes_beyond_the_slots_while_handlers_are_short(play: Play) -> None:
    play.greet()
    play.slots[0].pace = 0.006
    play.grant(b"L", 1)

    assert play.says().credits[0].limit == 1 + 1 + 5  # one is seen, one slot is free, five may wait


def test_credit_is_not_taken_back_when_handlers_turn_long(play: Play) -> None:
    play.slots[0].pace = 0.006
    play.greet()
    play.slots[0].slow_down()

    play.grant(b"L1", 1)
    play.finish(b"L1")
    assert not play.says().credits
    for number in range(2, 8):
        play.grant(b"L%d" % number, number)
    assert play.say() is None
    for number in range(2, 8):
        play.finish(b"L%d" % number)

    assert play.says().credits[0].limit == 7 + 2


def test_what_waits_takes_credit_in_a_new_session_too(play: Play) -> None:
    play.greet()
    for number in range(1, 4):
        play.grant(b"L%d" % number, number)
    play.reconnect()

    assert not play.says().credits


# Renew


def test_an_idle_worker_renews_at_the_interval_even_when_it_holds_nothing(play: Play) -> None:
    play.greet()
    assert play.say() is None

    play.now += RENEW_INTERVAL
    first = play.says().renew
    play.now += RENEW_INTERVAL
    second = play.says().renew

    assert (first.sequence, second.sequence) == (1, 2)
    assert list(first.leases) == []
    assert list(first.seen_grant_numbers) == [0]


def test_renew_lists_all_leases_also_those_whose_outcome_is_unanswered(play: Play) -> None:
    play.greet()
    play.grant(b"running", 1)
    play.grant(b"ended", 2)
    play.finish(b"ended")
    play.says()

    play.now += RENEW_INTERVAL
    renew = play.says().renew

    assert list(renew.leases) == [b"running", b"ended"]
    assert list(renew.seen_grant_numbers) == [2]


def test_what_was_held_before_is_renewed_as_soon_as_the_new_session_is_welcome(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.reconnect()
    play.says()

    play.welcome()

    assert list(play.says().renew.leases) == [b"L"]


def test_everything_ready_at_one_moment_goes_out_in_one_message(play: Play) -> None:
    play.greet()
    play.grant(b"L1", 1)
    play.grant(b"L2", 2)
    play.finish(b"L1")
    play.leases.report_progress(b"L2", 50.0, "half")
    play.now += RENEW_INTERVAL

    request = play.says()

    assert request.credits
    assert request.outcomes
    assert request.renew.sequence == 1
    assert [(p.lease, p.percent, p.message) for p in request.progress] == [(b"L2", 50.0, "half")]
    assert play.say() is None


def test_a_grant_for_no_pool_is_refused_at_once(play: Play) -> None:
    play.greet()

    play.grant(b"L", 1, pool=7)
    renew = play.says().renew

    assert [refusal.lease for refusal in renew.refusals] == [b"L"]
    assert list(renew.leases) == []


def test_what_waits_for_a_slot_is_neither_confirmed_nor_released() -> None:
    play = Play(2, 2)
    play.greet()
    for number, lease in enumerate((b"runs", b"waits", b"waits too"), start=1):
        play.grant(lease, number, pool=1)
    play.leases.wait(b"waits", 1, 2)
    play.leases.wait(b"waits too", 1, 3)
    play.now += RENEW_INTERVAL

    renew = play.says().renew
    assert (list(renew.leases), list(renew.seen_grant_numbers)) == ([b"runs"], [0, 1])

    play.leases.begin(b"waits")
    play.now += RENEW_INTERVAL
    renew = play.says().renew
    assert (list(renew.leases), list(renew.seen_grant_numbers)) == ([b"runs", b"waits"], [0, 2])

    play.leases.drop(b"waits too")
    play.now += RENEW_INTERVAL
    renew = play.says().renew
    assert (list(renew.leases), list(renew.seen_grant_numbers)) == ([b"runs", b"waits"], [0, 3])


def test_a_declined_grant_is_given_back_at_once_and_once(play: Play) -> None:
    play.greet()
    play.grant(b"runs", 1)
    play.grant(b"waits", 2)
    play.leases.wait(b"waits", 0, 2)

    play.leases.decline(b"waits", "why")
    renew = play.says().renew

    assert [(one.lease, one.reason.message) for one in renew.refusals] == [(b"waits", "why")]
    assert (list(renew.leases), list(renew.seen_grant_numbers)) == ([b"runs"], [2])
    assert play.say() is None


def test_a_new_session_confirms_what_waits(play: Play) -> None:
    play.greet()
    play.grant(b"waits", 5)
    play.leases.wait(b"waits", 0, 5)
    play.reconnect()

    assert list(play.says().hello.held_leases) == [b"waits"]
    play.welcome()
    renew = play.says().renew
    assert (list(renew.leases), list(renew.seen_grant_numbers)) == ([b"waits"], [0])


def test_what_was_declined_without_a_session_is_given_back_in_the_next(play: Play) -> None:
    play.greet()
    play.grant(b"waits", 1)
    play.grant(b"gone", 2)
    play.reconnect()
    play.leases.decline(b"waits", "why")
    play.leases.decline(b"gone", "why")

    assert list(play.says().hello.held_leases) == [b"waits", b"gone"]
    exception = pb.LeaseException(lease=b"gone", status=status(code_pb2.FAILED_PRECONDITION, "LEASE_EXPIRED"))
    assert play.welcome(lease_exceptions=[exception]).lost == []
    renew = play.says().renew

    assert [refusal.lease for refusal in renew.refusals] == [b"waits"]
    assert list(renew.leases) == []


def test_a_renewal_counts_from_its_sending(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.now += RENEW_INTERVAL
    sent_at = play.now
    play.says()

    play.now += 5
    play.renewed(1)

    assert play.leases.held[b"L"].valid_until == sent_at + LEASE_TTL


def test_a_renewal_does_not_vouch_for_leases_it_did_not_list(play: Play) -> None:
    play.greet()
    play.now += RENEW_INTERVAL
    play.says()
    play.grant(b"late", 1)

    play.renewed(1)

    assert play.leases.held[b"late"].valid_until == play.now + OFFER_TTL


def test_an_exception_of_a_renewal_loses_that_lease_only(play: Play) -> None:
    play.greet()
    play.grant(b"keep", 1)
    play.grant(b"lose", 2)
    play.now += RENEW_INTERVAL
    play.says()

    effects = play.renewed(1, lost={b"lose": "LEASE_EXPIRED"})

    assert [lease for lease, _ in effects.lost] == [b"lose"]
    assert list(play.leases.held) == [b"keep"]


def test_a_lease_lost_outside_a_renewal_is_lost_once(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    exception = pb.LeaseException(lease=b"L", status=status(code_pb2.FAILED_PRECONDITION, "LEASE_REVOKED"))

    assert [lease for lease, _ in play.hear(lost=[exception]).lost] == [b"L"]
    assert play.hear(lost=[exception]).lost == []


def test_silence_is_noticed_while_the_leases_still_have_time(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.now += RENEW_INTERVAL
    play.says()
    play.renewed(1)
    play.now += RENEW_INTERVAL
    play.says()

    assert play.now < play.session.silent_at < play.leases.held[b"L"].valid_until

    play.renewed(2)
    assert play.session.silent_at == float("inf")


# The worker's own clock


def test_a_fresh_grant_is_good_for_the_offer_time_from_its_receipt(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)

    assert play.leases.expired(play.now + OFFER_TTL - 0.1) == []
    assert play.leases.expired(play.now + OFFER_TTL) == [b"L"]


def test_the_outcome_of_a_lease_that_ran_out_is_not_sent(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.now += OFFER_TTL

    assert play.finish(b"L") is False
    assert not play.says().outcomes


def test_an_outcome_in_time_waits_for_its_answer_however_late(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.finish(b"L")

    assert play.leases.expired(play.now + 10 * LEASE_TTL) == []


# Outcomes


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (Completed(b"\xff"), "completed"),
        (Failed("Oops", "why", "infra_crash", True, 1.5), "failed"),
        (Delayed(2.5), "delayed"),
        (Cancelled(), "cancelled"),
    ],
)
def test_every_outcome_travels(play: Play, outcome: Any, name: str) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.finish(b"L", outcome)

    message = play.says().outcomes[0]

    assert message.WhichOneof("result") == name
    if name == "completed":
        assert message.completed.result == b"\xff"
    if name == "failed":
        failed = message.failed
        assert (failed.type, failed.message, failed.category) == ("Oops", "why", "infra_crash")
        assert failed.non_retryable
        assert failed.retry_delay.ToMilliseconds() == 1500
    if name == "delayed":
        assert message.delayed.delay.ToMilliseconds() == 2500


def test_an_answered_outcome_frees_the_lease(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.finish(b"L")
    play.says()

    play.answer(b"L")

    assert play.leases.held == {}


def test_an_unanswered_outcome_is_sent_once_a_session(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.finish(b"L")
    assert play.says().outcomes
    assert play.say() is None

    play.reconnect()
    assert list(play.says().hello.held_leases) == [b"L"]
    play.welcome()

    assert [outcome.lease for outcome in play.says().outcomes] == [b"L"]


def test_an_outcome_that_the_engine_cannot_take_now_goes_again_with_the_next_renewal(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.finish(b"L")
    play.says()

    play.answer(b"L", code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert play.say() is None
    play.now += RENEW_INTERVAL

    assert [outcome.lease for outcome in play.says().outcomes] == [b"L"]


def test_a_result_that_the_engine_will_not_take_becomes_a_failure(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.finish(b"L")
    play.says()

    effects = play.answer(b"L", code_pb2.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE")
    failed = play.says().outcomes[0].failed

    assert [lease for lease, _ in effects.refused] == [b"L"]
    assert (failed.type, failed.non_retryable) == ("result_refused", True)

    play.answer(b"L", code_pb2.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert play.leases.held == {}


def test_the_outcome_of_a_lease_that_is_gone_is_dropped(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.finish(b"L")
    play.says()

    play.answer(b"L", code_pb2.FAILED_PRECONDITION, "LEASE_EXPIRED")

    assert play.leases.held == {}


def test_large_results_are_spread_over_messages() -> None:
    play = Play(5)
    play.greet()
    for number in range(1, 6):
        play.grant(b"L%d" % number, number)
        play.finish(b"L%d" % number, Completed(bytes(1024 * 1024)))

    sizes = [len(play.says().outcomes) for _ in range(4)]

    assert sum(sizes) >= 5 - 1
    assert max(sizes) <= 2


def test_a_lease_lost_before_its_outcome_is_sent_takes_the_outcome_with_it(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.finish(b"L")
    exception = pb.LeaseException(lease=b"L", status=status(code_pb2.FAILED_PRECONDITION, "LEASE_STALE"))

    play.hear(lost=[exception])

    assert not play.says().outcomes


# Progress


def test_of_progress_the_latest_word_counts(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.leases.report_progress(b"L", 10.0, "ten")
    play.leases.report_progress(b"L", 20.0, None)

    [progress] = play.says().progress

    assert (progress.percent, progress.message) == (20.0, "ten")


def test_progress_not_given_is_absent(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.leases.report_progress(b"L", None, "text only")

    [progress] = play.says().progress

    assert not progress.HasField("percent")


def test_progress_of_a_lease_that_is_gone_is_dropped(play: Play) -> None:
    play.greet()
    play.leases.report_progress(b"gone", 10.0, None)

    assert play.say() is None


# The end


def test_drain_is_said_once_and_ends_credit(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.session.is_draining = True

    assert play.says().HasField("drain")
    play.finish(b"L")
    request = play.says()

    assert not request.HasField("drain")
    assert not request.credits
    assert request.outcomes


def test_a_grant_that_crosses_the_drain_is_refused_at_once(play: Play) -> None:
    play.greet()
    play.session.is_draining = True
    play.says()

    effects = play.grant(b"L", 1)
    renew = play.says().renew

    assert effects.grants == []
    assert [refusal.lease for refusal in renew.refusals] == [b"L"]
    assert list(renew.seen_grant_numbers) == [1]


def test_a_gateway_that_is_going_gets_no_more_credit(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)

    effects = play.hear(go_away=pb.GoAway(reason="restart"))
    play.finish(b"L")

    assert effects.go_away is not None
    assert not play.says().credits


def test_a_replaced_session_only_listens(play: Play) -> None:
    play.greet()
    play.grant(b"L", 1)
    play.finish(b"L")
    play.session.is_replaced = True

    assert play.say() is None
    play.answer(b"L")
    assert play.leases.held == {}


# Company


@pytest.fixture
def busy() -> Play:
    """One outcome to tell while a handler runs and, a moment ago, a grant had to wait for its slot."""
    play = Play()
    play.greet()
    play.grant(b"L1", 1)
    play.grant(b"L2", 2)
    play.slots[0].pace = 0.001
    play.slots[0].crowd(play.now)
    play.finish(b"L1")
    return play


def test_the_outcome_of_a_short_handler_waits_for_those_beside_it(busy: Play) -> None:
    assert busy.say() is None

    busy.finish(b"L2")

    assert [outcome.lease for outcome in busy.says().outcomes] == [b"L1", b"L2"]


def test_an_outcome_waits_for_company_a_moment_only(busy: Play) -> None:
    assert busy.say() is None
    assert busy.session.next_deadline == pytest.approx(busy.now + 0.005)

    busy.now += 0.004
    assert busy.say() is None
    busy.now += 0.0011

    assert len(busy.says().outcomes) == 1
    assert busy.session.next_deadline > busy.now + 1


def test_enough_outcomes_wait_for_no_more() -> None:
    play = Play(200)
    play.greet()
    for number in range(1, 201):
        play.grant(b"L%d" % number, number)
    play.slots[0].pace = 0.00001
    play.slots[0].crowd(play.now)
    for number in range(1, 128):
        play.finish(b"L%d" % number)
    assert play.say() is None

    play.finish(b"L128")

    assert len(play.says().outcomes) == 128


def test_what_is_left_over_by_a_full_message_has_waited(busy: Play) -> None:
    busy.grant(b"L3", 3)
    busy.grant(b"L4", 4)
    for lease in (b"L2", b"L3"):
        busy.finish(lease, Completed(bytes(1_500_000)))
    assert busy.say() is None
    busy.now += 0.006

    assert [outcome.lease for outcome in busy.says().outcomes] == [b"L1", b"L2"]
    assert busy.session.next_deadline <= busy.now
    assert [outcome.lease for outcome in busy.says().outcomes] == [b"L3"]


@pytest.mark.parametrize("reason", ["is_draining", "is_leaving"])
def test_nothing_waits_for_company_in_a_session_that_ends(busy: Play, reason: str) -> None:
    setattr(busy.session, reason, True)

    assert len(busy.says().outcomes) == 1


def test_an_outcome_goes_with_a_renewal_that_is_due(busy: Play) -> None:
    busy.session.renew_now(busy.now)

    request = busy.says()

    assert (list(request.renew.leases), len(request.outcomes)) == ([b"L1", b"L2"], 1)


def test_an_outcome_goes_with_what_cannot_wait(busy: Play) -> None:
    busy.leases.report_progress(b"L2", 50.0, None)

    request = busy.says()

    assert (len(request.progress), len(request.outcomes)) == (1, 1)


def test_nothing_waits_for_company_where_no_grant_had_to_wait_for_a_slot(play: Play) -> None:
    play.greet()
    play.grant(b"L1", 1)
    play.grant(b"L2", 2)
    play.finish(b"L1")

    assert len(play.says().outcomes) == 1
