"""The worker's half of one Session stream, without the stream.

`receive` takes a message and says what follows from it; `outgoing` makes the next message of
everything there is to say at that moment. Time comes in as an argument, nothing waits, nothing is
sent. A session is thrown away with its stream; what outlives it is in `Leases` and `Slots`.
docs/reference/worker-protocol.md tells the conversation; tests/unit/sdk/test_session.py plays it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from google.rpc import code_pb2, status_pb2

from flowfabric._errors import EngineError, LeaseLost, NotFound, error_from_status
from flowfabric._leases import NEVER, Leases
from flowfabric._slots import Slots
from flowfabric._wire import read_seconds
from flowfabric_api.worker.v1 import worker_pb2 as pb

# Outcomes of one message, so that results of 1 MiB each stay under the 4 MiB that servers take.
MESSAGE_BYTES = 2 * 1024 * 1024

# Trouble of the moment: the same outcome may be taken later.
TRY_LATER = frozenset({code_pb2.ABORTED, code_pb2.RESOURCE_EXHAUSTED, code_pb2.UNAVAILABLE})

# What was said cannot be; the lease is not lost by that.
REFUSALS = frozenset({code_pb2.FAILED_PRECONDITION, code_pb2.INVALID_ARGUMENT})

# How long the outcome of a short handler waits for those of the handlers beside it, and how many wait for no
# more: messages are what a busy worker costs.
GATHER_S = 0.005
MOST_GATHERED = 128

# Pause before a journal is written again that could not be taken; a handler waits for it.
JOURNAL_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Pool:
    """Slots that serve the same lanes with the same capabilities."""

    lanes: Sequence[str] = ("default",)
    capabilities: Sequence[str] = ()
    slots: int = 8


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the worker is; the same in every session."""

    worker_id: str
    identity: str
    namespace: str
    sdk_version: str
    pools: Sequence[Pool]
    kinds: Sequence[str]


@dataclass(slots=True)
class Effects:
    """What follows from one message."""

    welcomed: bool = False
    grants: list[pb.Grant] = field(default_factory=list)
    lost: list[tuple[bytes, EngineError]] = field(default_factory=list)
    cancels: list[pb.CancelRequested] = field(default_factory=list)
    refused: list[tuple[bytes, EngineError]] = field(default_factory=list)
    """Outcomes that the engine did not take."""
    go_away: pb.GoAway | None = None


class Session:
    """The conversation of one stream."""

    def __init__(self, identity: Identity, leases: Leases, slots: Sequence[Slots]) -> None:
        self._identity = identity
        self._leases = leases
        self._slots = slots
        self._said_hello = False
        self._said_drain = False
        self._seen = [0] * len(slots)
        self._limits = [0] * len(slots)
        self._sequence = 0
        self._unanswered: dict[int, tuple[float, list[bytes]]] = {}
        self._offer_ttl = 0.0
        self._renew_interval = 0.0
        self.lease_ttl = 0.0
        self.max_output_frame_bytes = 0
        self.max_journal_entry_bytes = 0
        self._rewrite_at = NEVER
        """When journals are written again that could not be taken."""
        self._gather_until = NEVER
        """When outcomes that wait for company leave without it."""
        self.renew_at = NEVER
        """When `outgoing` will have a Renew."""
        self.is_welcome = False
        self.is_draining = False
        """No more grants wanted."""
        self.is_leaving = False
        """The gateway is going: no more grants from it."""
        self.is_replaced = False
        """A newer session speaks for the worker; this one only listens."""

    # Incoming

    def receive(self, message: pb.SessionResponse, now: float) -> Effects:
        """What follows from a message."""
        effects = Effects()
        if message.HasField("welcome"):
            self._receive_welcome(message.welcome, effects, now)
        for grant in message.grants:
            self._receive_grant(grant, effects, now)
        if message.HasField("renew_result"):
            self._receive_renewal(message.renew_result, effects)
        for written in message.journal_results:
            self._receive_written(written, effects, now)
        for result in message.outcome_results:
            self._receive_verdict(result, effects)
        self._lose(message.lost, effects)
        effects.cancels.extend(message.cancels)
        if message.HasField("go_away"):
            self.is_leaving = True
            effects.go_away = message.go_away
        return effects

    def _receive_welcome(self, welcome: pb.Welcome, effects: Effects, now: float) -> None:
        self.lease_ttl = read_seconds(welcome.lease_ttl)
        self._renew_interval = read_seconds(welcome.renew_interval)
        self._offer_ttl = read_seconds(welcome.offer_ttl)
        self.max_output_frame_bytes = welcome.max_output_frame_bytes
        self.max_journal_entry_bytes = welcome.max_journal_entry_bytes
        self.is_welcome = effects.welcomed = True
        self._lose(welcome.lease_exceptions, effects)
        self._leases.requeue_all()
        # What is held from before is confirmed at once: nobody knows how much of its time is left.
        self.renew_at = now if self._leases.held else now + self._renew_interval

    def _receive_grant(self, grant: pb.Grant, effects: Effects, now: float) -> None:
        pool, number, lease = grant.pool, grant.number, grant.lease  # each is read once: that is what costs
        if not 0 <= pool < len(self._slots):
            self._leases.decline(lease, f"there is no pool {pool}")
            return
        if number <= self._seen[pool]:
            return  # a repeat
        self._seen[pool] = number
        if lease in self._leases.held:
            return
        if self.is_draining or self.is_leaving:
            self._leases.decline(lease, "the worker is leaving")
            return
        self._leases.grant(lease, now + self._offer_ttl)
        self._slots[pool].granted += 1
        effects.grants.append(grant)

    def _receive_renewal(self, result: pb.RenewResult, effects: Effects) -> None:
        sent = self._unanswered.pop(result.sequence, None)
        if sent is None:
            return
        for sequence in [number for number in self._unanswered if number < result.sequence]:
            del self._unanswered[sequence]  # answers come in order: the earlier ones will never
        self._lose(result.exceptions, effects)
        sent_at, leases = sent
        self._leases.renew(leases, sent_at + (read_seconds(result.ttl) or self.lease_ttl))

    def _receive_written(self, result: pb.JournalResult, effects: Effects, now: float) -> None:
        journal = self._leases.journals.get(result.lease)
        if journal is None:
            return
        code = result.status.code
        if code == code_pb2.OK:
            journal.acknowledge(result.number)
        elif code in TRY_LATER:
            journal.retry(result.number)
            self._rewrite_at = min(self._rewrite_at, now + JOURNAL_PAUSE_S)
        else:
            error = error_from_status(result.status)
            journal.acknowledge(result.number, error)
            # What has its outcome under way hears from that; one that waits for the write is not to go
            # without it.
            if not isinstance(error, LeaseLost | NotFound):
                self._leases.refuse_unsent(result.lease, error)
            elif self._leases.is_running(result.lease) and self._leases.drop(result.lease):
                effects.lost.append((result.lease, error))

    def _receive_verdict(self, result: pb.OutcomeResult, effects: Effects) -> None:
        # A status that is not set is OK.
        code = result.status.code if result.HasField("status") else code_pb2.OK
        if code == code_pb2.OK:
            self._leases.drop(result.lease)
        elif code in TRY_LATER:
            self._leases.retry(result.lease)
        else:
            error = error_from_status(result.status)
            effects.refused.append((result.lease, error))
            # A result that is too large, or a condition that cannot be, would be refused for ever: let
            # the execution fail and say why, instead of waiting for its lease to run out.
            is_final = code in REFUSALS and not isinstance(error, LeaseLost)
            if not is_final or not self._leases.refuse(result.lease, error):
                self._leases.drop(result.lease)

    def _lose(self, exceptions: Iterable[pb.LeaseException], effects: Effects) -> None:
        for exception in exceptions:
            if self._leases.drop(exception.lease):
                effects.lost.append((exception.lease, error_from_status(exception.status)))

    # Outgoing

    def renew_now(self, now: float) -> None:
        """Says at once what is held, which lets go of the rest."""
        if self.is_welcome:
            self.renew_at = min(self.renew_at, now)

    def outgoing(self, now: float) -> pb.SessionRequest | None:
        """Everything to say at this moment, in one message; None when there is nothing."""
        if not self._said_hello:
            return self._hello()
        if not self.is_welcome or self.is_replaced:
            return None
        if self._gathers(now):
            return None
        request = pb.SessionRequest()
        is_worth_sending = self._put_credits(request)
        if now >= self.renew_at or self._leases.declined:
            self._put_renew(request.renew, now)
            is_worth_sending = True
        if now >= self._rewrite_at:
            self._rewrite_at = NEVER
            self._leases.requeue_journals()
        ready = self._leases.outcomes_without_writes_under_way()
        size = 0
        if self._leases.unsent_journals:
            size = self._put_journals(request)
            is_worth_sending = True
        if ready and self._put_outcomes(request, ready, size):
            is_worth_sending = True
        if self._leases.reports:
            self._put_progress(request)
            is_worth_sending = True
        if self.is_draining and not self._said_drain:
            request.drain.reason = "the worker is shutting down"
            self._said_drain = is_worth_sending = True
        return request if is_worth_sending else None

    @property
    def silent_at(self) -> float:
        """When an unanswered renewal means that another connection should be tried.

        A lease lasts three intervals. The renewal before was answered, one interval earlier; with one and
        a half more the worker has waited long enough and still has half of one to find another gateway.
        """
        oldest = next(iter(self._unanswered.values()), None)
        return NEVER if oldest is None else oldest[0] + 1.5 * self._renew_interval

    @property
    def next_deadline(self) -> float:
        """When to look again although nothing happened."""
        return min(self.renew_at, self.silent_at, self._rewrite_at, self._gather_until)

    def _gathers(self, now: float) -> bool:
        """Whether there are only outcomes to send, and more of them soon."""
        leases = self._leases
        until, self._gather_until = min(self._gather_until, now + GATHER_S), NEVER
        if (
            not 0 < len(leases.unsent) < MOST_GATHERED
            or leases.unsent_journals
            or leases.reports
            or leases.declined
            or self.is_draining
            or self.is_leaving
            or now >= min(until, self.renew_at, self._rewrite_at)
            or not any(slots.gathers(now) for slots in self._slots)
        ):
            return False
        self._gather_until = until
        return True

    def _hello(self) -> pb.SessionRequest:
        request = pb.SessionRequest()
        hello, identity = request.hello, self._identity
        hello.worker_id = identity.worker_id
        hello.identity = identity.identity
        hello.sdk_name = "flowfabric-python"
        hello.sdk_version = identity.sdk_version
        hello.namespace = identity.namespace
        hello.kinds.extend(identity.kinds)
        # Hello confirms what it names. What was declined is named as well: a session can only give back
        # what it knows of.
        hello.held_leases.extend([*self._leases.held, *self._leases.declined])
        self._leases.waiting.clear()
        for pool in identity.pools:
            hello.pools.add(lanes=pool.lanes, capabilities=pool.capabilities, slots=pool.slots)
        self._put_credits(request)
        self._said_hello = True
        return request

    def _put_credits(self, request: pb.SessionRequest) -> bool:
        if self.is_draining or self.is_leaving:
            return False
        is_raised = False
        for index, slots in enumerate(self._slots):
            limit = self._seen[index] + slots.room
            if limit > self._limits[index]:
                self._limits[index] = limit
                request.credits.add(pool=index, limit=limit)
                is_raised = True
        return is_raised

    def _put_renew(self, renew: pb.Renew, now: float) -> None:
        self._sequence += 1
        # What waits for a slot is said to be on its way yet: listed it would be confirmed, and giving it back
        # would then cost an attempt; left out but seen it would be released.
        waiting, seen = self._leases.waiting, list(self._seen)
        for pool, number in waiting.values():
            seen[pool] = min(seen[pool], number - 1)
        leases = [lease for lease in self._leases.held if lease not in waiting]
        self._unanswered[self._sequence] = (now, leases)
        self._leases.requeue_refused()
        renew.sequence = self._sequence
        renew.leases.extend(leases)
        renew.seen_grant_numbers.extend(seen)
        for lease, reason in self._leases.declined.items():
            status = status_pb2.Status(code=code_pb2.UNAVAILABLE, message=reason)
            renew.refusals.add(lease=lease, reason=status)
        self._leases.declined.clear()
        self.renew_at = now + self._renew_interval

    def _put_journals(self, request: pb.SessionRequest) -> int:
        unsent, size = self._leases.unsent_journals, 0
        for lease, journal in list(unsent.items()):
            while (write := journal.take(MESSAGE_BYTES - size if request.journal else None)) is not None:
                request.journal.append(write)
                size += write.ByteSize()
            if journal.has_unsent:
                break
            del unsent[lease]
        return size

    def _put_outcomes(self, request: pb.SessionRequest, ready: Iterable[bytes], size: int) -> bool:
        # An outcome ends its lease, so that nothing could be written after it: it goes with the last writes
        # or after their answers, never past them.
        unsent, journals = self._leases.unsent, self._leases.journals
        for lease in ready:
            journal = journals.get(lease)
            if journal is not None and journal.has_unsent:
                continue
            outcome = unsent[lease]
            size += outcome.size() + len(lease)
            if (request.outcomes or request.journal) and size > MESSAGE_BYTES:
                self._gather_until = 0.0  # the rest has waited
                break
            outcome.put(request.outcomes.add(lease=lease))
            del unsent[lease]
        return bool(request.outcomes)

    def _put_progress(self, request: pb.SessionRequest) -> None:
        for lease, report in self._leases.reports.items():
            request.progress.add(lease=lease, percent=report.percent, message=report.message)
        self._leases.reports.clear()
