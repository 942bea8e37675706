"""A worker's session as a state machine without I/O.

`receive` takes a message and says what has to be done for it; `accept`, `renewed` and the others put
answers into the one message that leaves next (`take`). What is ready at one moment travels together.
api/session.py pumps it; tests/unit/gateway/test_session.py drives it without a loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.journal import JournalEntry, JournalLimits
from ff_core.lease import Answer, CancelNotice, Grant, Outcome, Progress, Verdict
from ff_core.suspension import Suspended
from ff_core.wire import journal as journal_wire
from ff_core.wire import worker as wire
from ff_core.wire.status import status_of
from ff_core.wire.time import duration, point
from ff_core.worker import Beat, Pool
from ff_gateway.outcomes import Outcomes
from flowfabric_api.worker.v1 import worker_pb2 as pb

#: Grants of one message, unless one alone is larger: a payload, and 1 MiB of what earlier runs left. With the
#: largest default payload a message stays below gRPC's usual 4 MiB.
MESSAGE_BYTES = 2 << 20
#: Room for what a grant holds besides its payload.
GRANT_BYTES = 256
#: Room for what a journal entry or a signal holds besides its data.
ENTRY_BYTES = 256


@dataclass(slots=True)
class Write:
    """Entries for the journal of a lease, all or none, and what the worker calls the writing."""

    lease: bytes
    number: int
    entries: list[JournalEntry]


@dataclass(slots=True)
class Work:
    """What one message asks for. Its writes come before its outcomes."""

    writes: list[Write] = field(default_factory=list)
    unwritten: dict[bytes, EngineError] = field(default_factory=dict)
    """Leases with a write that was refused; an outcome that came with it must not go through without it."""
    outcomes: list[Outcome] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    renew: list[bytes] | None = None
    sequence: int = 0
    release: list[bytes] = field(default_factory=list)


class SessionPool:
    """A pool's credit; the claimant that schedulers hear of."""

    def __init__(self, session: Session, index: int, pool: Pool) -> None:
        self._session = session
        self.index = index
        self.pool = pool
        self.slots = pool.slots
        self.limit = 0
        self.granted = 0
        self.held = 0
        """Leases granted in this session that have not ended."""
        self._counted = 0

    def newly_free(self) -> int:
        """How many free slots came (or went) since the last time this was asked, grants apart."""
        change = self.free + self.granted - self._counted
        self._counted += change
        return change

    @property
    def free(self) -> int:
        """Grants the worker will still take; none while it drains."""
        return 0 if self._session.is_draining else self.limit - self.granted

    @property
    def idle(self) -> int:
        """Slots that run nothing; below zero when the worker fetches ahead.

        Nobody knows in which pool the leases of an earlier session run, but the worker's credit does.
        """
        return min(self.slots - self.held, self.free)

    @property
    def is_fast(self) -> bool:
        """Whether it has credit for twice its slots: what waits there begins within 30 ms (ADR 13)."""
        return self.held + self.free >= 2 * self.slots

    def accept(self, grant: Grant) -> None:
        """Sends a grant to the worker."""
        self.granted += 1
        self._session.add_grant(self.index, self.granted, grant)


class Session:
    """One worker's conversation with this gateway."""

    def __init__(
        self, session_id: str, worker_id: str, namespace: str, pools: Sequence[Pool], *,
        outcomes: Outcomes, journal: JournalLimits, on_output: Callable[[bool], None],
    ) -> None:  # fmt: skip
        self.session_id = session_id
        self.worker_id = worker_id
        self.namespace = namespace
        self.pools = [SessionPool(self, index, pool) for index, pool in enumerate(pools)]
        self.leases: dict[bytes, tuple[int, int]] = {}
        """Held: lease to pool and grant number; pool -1 for those of an earlier session."""
        self.is_draining = False
        self._ending: dict[bytes, tuple[int, int]] = {}
        """Held until their outcome came, which is not answered yet."""
        self._outcomes = outcomes
        self._journal = journal
        self._on_output = on_output
        self._out = pb.SessionResponse()
        self._out_bytes = 0
        self._full: deque[pb.SessionResponse] = deque()

    def receive(self, message: pb.SessionRequest) -> Work:
        """Takes a message. Raises INVALID_ARGUMENT for what breaks the protocol, which ends the stream."""
        for credit in message.credits:
            if not 0 <= credit.pool < len(self.pools):
                raise invalid("credits.pool", f"{credit.pool}; there are {len(self.pools)}")
            pool = self.pools[credit.pool]
            pool.limit = max(pool.limit, credit.limit)
        if message.HasField("drain"):
            self.is_draining = True
        work = Work()
        for write in message.journal:
            self._receive_write(write, work)
        for outcome in message.outcomes:
            self._receive_outcome(outcome, work)
        for report in message.progress:
            work.progress.append(wire.progress(report))
        if message.HasField("renew"):
            self._receive_renew(message.renew, work)
        return work

    def _receive_write(self, message: pb.JournalWrite, work: Work) -> None:
        try:
            entries = journal_wire.entries(message.entries, "journal.entries", self._journal)
        except EngineError as error:
            self.wrote(message.lease, message.number, error)
            work.unwritten[message.lease] = error
        else:
            work.writes.append(Write(message.lease, message.number, entries))

    def _receive_outcome(self, message: pb.Outcome, work: Work) -> None:
        try:
            outcome = self._outcomes.read(message)
        except EngineError as error:  # one bad outcome must not harm the others
            self.answered(message.lease, error)
            return
        work.outcomes.append(outcome)
        # From here on the outcome ends it: a Renew that lists it no more must not release it first.
        held = self.leases.get(outcome.lease)
        if held is not None:
            self._ending[outcome.lease] = held
            self._let_go(outcome.lease)

    def _receive_renew(self, renew: pb.Renew, work: Work) -> None:
        listed, seen = set(renew.leases), list(renew.seen_grant_numbers)
        refused = {refusal.lease for refusal in renew.refusals}
        work.renew, work.sequence = list(renew.leases), renew.sequence
        for lease, (pool, number) in list(self.leases.items()):
            is_seen = pool < 0 or (pool < len(seen) and number <= seen[pool])
            if lease not in listed and (lease in refused or is_seen):
                self._let_go(lease)
                work.release.append(lease)

    # ------------------------------------------------------------------------------------------ answers

    def add_grant(self, pool: int, number: int, grant: Grant) -> None:
        """A grant for the worker."""
        self._hold(grant.lease, pool, number)
        size = grant_bytes(grant)
        if self._out_bytes and self._out_bytes + size > MESSAGE_BYTES:
            self._full.append(self._out)
            self._out, self._out_bytes = pb.SessionResponse(), 0
        self._out_bytes += size
        wire.add_grant(self._out.grants, grant, pool, number)
        self._on_output(True)

    def renewed(
        self, sequence: int, leases: Sequence[bytes], verdicts: Sequence[Verdict], ttl_ms: int
    ) -> None:
        """Answers a renewal: exceptions only."""
        result = self._out.renew_result
        result.sequence = sequence
        result.ttl.CopyFrom(duration(ttl_ms))
        for lease, verdict in zip(leases, verdicts, strict=True):
            wire.add_verdict(lease, verdict, result.exceptions, self._out.cancels)
            if isinstance(verdict, ErrorCode):
                self._let_go(lease)
            elif lease not in self.leases:
                self.leases[lease] = (-1, 0)
        self._on_output(True)

    def wrote(self, lease: bytes, number: int, error: EngineError | None) -> None:
        """Answers a write to the journal."""
        result = self._out.journal_results.add(lease=lease, number=number)
        if error is not None:
            result.status.CopyFrom(status_of(error))
        self._on_output(True)  # a handler waits for it

    def answered(self, lease: bytes, answer: Answer) -> None:
        """Answers an outcome. With an EngineError it cannot be, and the lease stays with the worker."""
        held = self._ending.pop(lease, None)
        if not isinstance(answer, EngineError):
            self._let_go(lease)
        elif held is not None:
            self._let_go(lease)
            self._hold(lease, *held)
        self._outcomes.tell(self._out.outcome_results.add(), lease, answer)
        # The slot is free already, so most answers can go with the next grants; but a refusal has to be acted
        # on, and tokens to be sent out.
        self._on_output(isinstance(answer, EngineError | Suspended))

    def lost(self, lease: bytes, code: ErrorCode) -> None:
        """Tells the worker that a lease is gone."""
        if self._let_go(lease):
            wire.add_verdict(lease, code, self._out.lost, self._out.cancels)
            self._on_output(True)

    def cancel(self, lease: bytes, notice: CancelNotice) -> None:
        """Asks the worker to stop."""
        if lease in self.leases:
            wire.add_verdict(lease, notice, self._out.lost, self._out.cancels)
            self._on_output(True)

    def go_away(self, reason: str, deadline_ms: int) -> None:
        """Asks the worker to open a session elsewhere by then; no more grants come here."""
        self.is_draining = True
        self._out.go_away.reason = reason
        self._out.go_away.deadline.CopyFrom(point(deadline_ms))
        self._on_output(True)

    def _hold(self, lease: bytes, pool: int, number: int) -> None:
        self.leases[lease] = (pool, number)
        if pool >= 0:
            self.pools[pool].held += 1

    def _let_go(self, lease: bytes) -> bool:
        """Forgets a lease; False when it was not held."""
        held = self.leases.pop(lease, None)
        if held is not None and held[0] >= 0:
            self.pools[held[0]].held -= 1
        return held is not None

    def take(self) -> pb.SessionResponse | None:
        """The message that leaves next; None when nothing is ready."""
        if self._full:
            return self._full.popleft()
        if not self._out.ListFields():
            return None
        out, self._out, self._out_bytes = self._out, pb.SessionResponse(), 0
        return out

    def beat(self) -> Beat:
        """What the registry is told."""
        held = [0] * len(self.pools)
        for pool, _ in self.leases.values():
            held[max(pool, 0)] += 1
        return Beat(self.worker_id, self.session_id, tuple(held), self.is_draining)


def grant_bytes(grant: Grant) -> int:
    """About what a grant takes on the wire."""
    size = len(grant.payload) + GRANT_BYTES
    return size + _recorded_bytes(grant) if grant.journal or grant.resumption is not None else size


def _recorded_bytes(grant: Grant) -> int:
    """About what the journal and the resumption of a grant take."""
    signals = grant.resumption.signals if grant.resumption is not None else []
    for entry in grant.journal:
        signals = [*signals, *entry.signals]
    data = sum(len(entry.data) for entry in grant.journal) + sum(len(signal.payload) for signal in signals)
    return data + ENTRY_BYTES * (len(grant.journal) + len(signals))
