"""The leases a worker holds, and what it has yet to say about them. Outlives every session.

A lease is held from its grant until its outcome is acknowledged or it is lost. While its handler runs,
the worker's own clock guards it: `expired` names the leases whose handlers must stop because the
engine may give their work away. Pure state: time comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flowfabric._errors import EngineError, JournalFull, LeaseLost, StepMismatch
from flowfabric._journal import Journal
from flowfabric._outcome import Completed, Failed, Outcome, Suspended, outcome_of
from flowfabric_api.journal.v1 import journal_pb2 as pb

NEVER = float("inf")


@dataclass(slots=True)
class Held:
    """One lease."""

    lease: bytes
    valid_until: float
    """By the worker's clock; never later than by the engine's."""
    outcome: Outcome | None = None
    """None while the handler runs."""


@dataclass(slots=True)
class Report:
    """The latest progress of one lease; None leaves what was said before."""

    percent: float | None
    message: str | None


class Leases:
    """Everything a worker holds, by lease."""

    def __init__(self) -> None:
        self.held: dict[bytes, Held] = {}
        self.unsent: dict[bytes, Outcome] = {}
        """Outcomes for the next message, oldest first."""
        self.reports: dict[bytes, Report] = {}
        """Progress for the next message."""
        self.waiting: dict[bytes, tuple[int, int]] = {}
        """Pool and number of the grants that no renewal may confirm yet: they may still be given back."""
        self.journals: dict[bytes, Journal] = {}
        """Of the handlers that record."""
        self.unsent_journals: dict[bytes, Journal] = {}
        """Those with something for the next message."""
        self.declined: dict[bytes, str] = {}
        """Grants for the next renewal to give back, and why."""
        self.next_expiry = NEVER
        """No lease runs out before this."""
        self._retry: list[bytes] = []

    def grant(self, lease: bytes, valid_until: float) -> None:
        """Holds a new lease."""
        self.held[lease] = Held(lease, valid_until)
        self.next_expiry = min(self.next_expiry, valid_until)

    def wait(self, lease: bytes, pool: int, number: int) -> None:
        """The handler has to wait for a slot; until it begins the lease stays an offer."""
        self.waiting[lease] = pool, number

    def begin(self, lease: bytes) -> None:
        """The handler begins."""
        self.waiting.pop(lease, None)

    def decline(self, lease: bytes, reason: str) -> None:
        """Gives back a grant whose handler has not begun."""
        self.drop(lease)
        self.declined[lease] = reason

    def end(self, lease: bytes, outcome: Outcome, now: float) -> bool:
        """Takes the outcome of a handler; False when the lease is lost, so that nobody may hear it."""
        held = self.held.get(lease)
        if held is None or held.outcome is not None:
            return False
        if held.valid_until <= now:
            self.drop(lease)
            return False
        held.outcome = outcome
        self.waiting.pop(lease, None)
        self.unsent[lease] = outcome
        if (journal := self.journals.get(lease)) is not None and journal.has_unsent:
            self.unsent_journals[lease] = journal
        return True

    def refuse(self, lease: bytes, error: EngineError) -> bool:
        """Puts a failure in the place of what the engine will not take; False if that would not help."""
        held = self.held.get(lease)
        if held is None:
            return False
        match held.outcome:
            case Failed(type=error.reason):
                return False
            case _ if isinstance(error, JournalFull | StepMismatch):
                held.outcome = outcome_of(error)  # of a write that went with the outcome
            case Completed():
                held.outcome = Failed("result_refused", str(error), "permanent", non_retryable=True)
            case Suspended():
                held.outcome = Failed("suspend_refused", str(error), "permanent", non_retryable=True)
            case _:
                return False
        self.unsent[lease] = held.outcome
        return True

    def refuse_unsent(self, lease: bytes, error: EngineError) -> None:
        """The same for an outcome that is not sent yet, because of a write before it."""
        if lease in self.unsent:
            self.refuse(lease, error)

    def outcomes_without_writes_under_way(self) -> list[bytes]:
        """Leases whose outcomes may go with the next message, if the rest of their writes does."""
        journals = self.journals
        return [lease for lease in self.unsent if lease not in journals or not journals[lease].has_unanswered]

    def open_journal(self, lease: bytes, entries: Iterable[pb.Entry], wake: Callable[[], None]) -> Journal:
        """The journal of a lease; `wake` is told when something of it should be sent."""

        def notify(journal: Journal) -> None:
            if self.journals.get(lease) is journal:
                self.unsent_journals[lease] = journal
                wake()

        journal = Journal(lease, entries, notify)
        if lease in self.held:
            self.journals[lease] = journal
        else:
            journal.fail(LeaseLost("LEASE_STALE", "the lease is not held any more"))
        return journal

    def is_running(self, lease: bytes) -> bool:
        """Whether it is held and has no outcome yet."""
        held = self.held.get(lease)
        return held is not None and held.outcome is None

    def retry(self, lease: bytes) -> None:
        """Sends an outcome again with the next renewal: the engine could not take it now."""
        if lease in self.held:
            self._retry.append(lease)

    def drop(self, lease: bytes) -> bool:
        """Forgets a lease; False when it was not held."""
        self.unsent.pop(lease, None)
        self.reports.pop(lease, None)
        self.waiting.pop(lease, None)
        self.declined.pop(lease, None)
        self.journals.pop(lease, None)
        self.unsent_journals.pop(lease, None)
        return self.held.pop(lease, None) is not None

    def report_progress(self, lease: bytes, percent: float | None, message: str | None) -> None:
        """Takes the progress of a running handler; the latest word counts."""
        if lease not in self.held:
            return
        report = self.reports.setdefault(lease, Report(None, None))
        if percent is not None:
            report.percent = percent
        if message is not None:
            report.message = message

    def renew(self, leases: Iterable[bytes], valid_until: float) -> None:
        """Takes the engine's word that these leases are good until then."""
        for lease in leases:
            if (held := self.held.get(lease)) is not None:
                held.valid_until = max(held.valid_until, valid_until)

    def expired(self, now: float) -> list[bytes]:
        """Leases of running handlers that ran out. Ended ones wait for their answer, however late."""
        running = [held for held in self.held.values() if held.outcome is None]
        self.next_expiry = min((h.valid_until for h in running if h.valid_until > now), default=NEVER)
        return [held.lease for held in running if held.valid_until <= now]

    def requeue_refused(self) -> None:
        """Queues the outcomes that the engine could not take."""
        for lease in self._retry:
            if (held := self.held.get(lease)) is not None and held.outcome is not None:
                self.unsent[lease] = held.outcome
        self._retry.clear()

    def requeue_journals(self) -> None:
        """Queues the writes that the engine could not take."""
        self.unsent_journals = {one.lease: one for one in self.journals.values() if one.has_unsent}

    def requeue_all(self) -> None:
        """Queues every unanswered outcome and write: a new session knows of none."""
        self._retry.clear()
        for journal in self.journals.values():
            journal.rewind()
        self.requeue_journals()
        self.unsent = {held.lease: held.outcome for held in self.held.values() if held.outcome}
