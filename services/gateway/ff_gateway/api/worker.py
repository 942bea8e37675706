"""WorkerService: the two streams, and the unary calls for simple clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.lease import CancelNotice, Grant, Outcome
from ff_core.output import Appended
from ff_core.signal import StoredSignal
from ff_core.wire import journal as journal_wire
from ff_core.wire import names, output
from ff_core.wire import worker as wire
from ff_core.wire.status import status_of, status_of_code
from ff_core.wire.suspension import signal_message
from ff_core.wire.time import duration, span_ms
from ff_gateway.api.session import SessionStream
from ff_gateway.appends import Appends
from ff_gateway.demand import DemandBook, Profile
from ff_gateway.outcomes import Outcomes, WaitpointTeller
from ff_gateway.page import fitting
from ff_gateway.pipeline import answers_in_order
from ff_gateway.policy import Policy
from ff_gateway.session import ENTRY_BYTES, MESSAGE_BYTES, grant_bytes
from ff_gateway.sessions import Sessions
from flowfabric_api.worker.v1 import worker_pb2 as pb
from flowfabric_api.worker.v1 import worker_pb2_grpc

MAX_CLAIM = 256
#: Messages of one output stream that are taken at once; each holds half a MiB at most.
OUTPUT_UNDER_WAY = 16
MAX_WAIT_MS = 30_000
#: Most data that one page of a journal, or of signals, holds.
MAX_PAGE = 1 << 20
#: Worker recorded for outcomes that come without a worker id.
UNARY_WORKER = "unary"


class WorkerServicer(worker_pb2_grpc.WorkerServiceServicer):
    """The door for workers."""

    def __init__(
        self, backend: EngineBackend, book: DemandBook, sessions: Sessions, policy: Policy, *,
        tokens: WaitpointTeller, gateway_id: str,
    ) -> None:  # fmt: skip
        self._backend = backend
        self._book = book
        self._sessions = sessions
        self._policy = policy
        self._outcomes = Outcomes(policy, tokens)
        self._gateway_id = gateway_id

    async def Session(
        self, requests: AsyncIterator[pb.SessionRequest], _context: Any
    ) -> AsyncIterator[pb.SessionResponse]:
        stream = SessionStream(
            self._backend,
            self._book,
            self._sessions,
            self._policy,
            outcomes=self._outcomes,
            gateway_id=self._gateway_id,
        )
        async for message in stream.run(requests):
            yield message

    async def StreamOutput(
        self, requests: AsyncIterator[pb.StreamOutputRequest], _context: Any
    ) -> AsyncIterator[pb.StreamOutputResponse]:
        # Many leases share the stream, and none should wait for the writes of another.
        append = partial(self._append, Appends(self._backend.output_append))
        async for answer in answers_in_order(requests, append, OUTPUT_UNDER_WAY):
            yield answer

    async def AppendOutput(self, request: pb.AppendOutputRequest, _context: Any) -> pb.StreamOutputResponse:
        frames, refusal = output.frames(request.frames, self._policy.max_output_frame_bytes)
        if refusal is not None:  # a single call is taken as a whole or not at all
            raise refusal
        appended = await self._backend.output_append(request.lease, frames)
        if appended.error is not None:
            raise _refusal(appended.error, "lease", f"stored up to {appended.through}")
        return _appended(request.lease, appended)

    async def _append(self, appends: Appends, request: pb.StreamOutputRequest) -> pb.StreamOutputResponse:
        """Stores the frames before the first bad one, and says what is wrong with that."""
        good, refusal = output.frames(request.frames, self._policy.max_output_frame_bytes)
        appended = Appended(0, None)
        try:
            if good or refusal is None:
                appended = await appends.append(request.lease, good)
        except EngineError as error:
            if error.code.retryable:
                raise
            return pb.StreamOutputResponse(lease=request.lease, error=status_of(error))
        reply = _appended(request.lease, appended)
        if refusal is not None and appended.error is None:
            reply.error.CopyFrom(status_of(refusal))
        return reply

    async def Claim(self, request: pb.ClaimRequest, _context: Any) -> pb.ClaimResponse:
        names.identifier(request.worker_id, "worker_id")
        wait_ms = span_ms(request.wait_time, "wait_time", most=MAX_WAIT_MS)
        if not 0 <= request.max_grants <= MAX_CLAIM:
            raise invalid("max_grants", f"{request.max_grants}; at most {MAX_CLAIM}")
        profile = Profile(
            names.name(request.namespace, "namespace", names.DEFAULT),
            wire.lanes(request.lanes or ["default"], "lanes"),
            wire.capabilities(request.capabilities, "capabilities"),
        )
        if self._sessions.is_leaving:
            raise EngineError(ErrorCode.SHUTTING_DOWN)
        if not self._book.has_scheduler:
            raise EngineError(ErrorCode.SCHEDULER_UNAVAILABLE, retry_after_ms=500)
        grants = await claim(self._book, profile, request.max_grants or 1, wait_ms / 1000)
        ttl_ms = self._policy.lease_ttl_ms
        claimed, grants = grants, fitting(grants, grant_bytes, MESSAGE_BYTES)
        self._book.give_back([grant.lease for grant in claimed[len(grants) :]])
        if grants:
            # The caller is here, so the grant needs no offer: record who has it.
            await self._backend.lease_renew(
                [grant.lease for grant in grants], ttl_ms, request.worker_id, self._gateway_id
            )
        reply = pb.ClaimResponse(lease_ttl=duration(ttl_ms), offer_ttl=duration(ttl_ms))
        for number, grant in enumerate(grants, 1):
            wire.add_grant(reply.grants, grant, 0, number)
        return reply

    async def RenewLeases(self, request: pb.RenewLeasesRequest, _context: Any) -> pb.RenewLeasesResponse:
        worker_id = names.identifier(request.worker_id, "worker_id")
        leases = list(request.leases)
        verdicts = await self._backend.lease_renew(
            leases, self._policy.lease_ttl_ms, worker_id, self._gateway_id
        )
        reply = pb.RenewLeasesResponse(ttl=duration(self._policy.lease_ttl_ms))
        for lease, verdict in zip(leases, verdicts, strict=True):
            if isinstance(verdict, CancelNotice | ErrorCode):
                wire.add_verdict(lease, verdict, reply.exceptions, reply.cancels)
        return reply

    async def ReportOutcomes(
        self, request: pb.ReportOutcomesRequest, _context: Any
    ) -> pb.ReportOutcomesResponse:
        worker_id = names.identifier(request.worker_id, "worker_id")
        checked = [self._checked(one) for one in request.outcomes]
        answers = iter(
            await self._backend.lease_finish([one for one in checked if isinstance(one, Outcome)], worker_id)
        )
        reply = pb.ReportOutcomesResponse()
        for message, one in zip(request.outcomes, checked, strict=True):
            result = reply.results.add(lease=message.lease)
            if isinstance(one, Outcome):
                self._outcomes.tell(result, one.lease, next(answers))
            else:
                result.status.CopyFrom(status_of(one))
        return reply

    def _checked(self, message: pb.Outcome) -> Outcome | EngineError:
        try:
            return self._outcomes.read(message)
        except EngineError as error:
            return error

    async def Complete(self, request: pb.CompleteRequest, _context: Any) -> pb.OutcomeResult:
        return await self._finish(
            pb.Outcome(lease=request.lease, completed=pb.Completed(result=request.result))
        )

    async def Fail(self, request: pb.FailRequest, _context: Any) -> pb.OutcomeResult:
        return await self._finish(pb.Outcome(lease=request.lease, failed=request.failure))

    async def Delay(self, request: pb.DelayRequest, _context: Any) -> pb.OutcomeResult:
        return await self._finish(pb.Outcome(lease=request.lease, delayed=pb.Delayed(delay=request.delay)))

    async def _finish(self, message: pb.Outcome) -> pb.OutcomeResult:
        outcome = self._outcomes.read(message)
        [answer] = await self._backend.lease_finish([outcome], UNARY_WORKER)
        if isinstance(answer, ErrorCode):
            raise _refusal(answer, "lease")
        reply = pb.OutcomeResult()
        self._outcomes.tell(reply, outcome.lease, answer)
        return reply

    async def UpdateProgress(
        self, request: pb.UpdateProgressRequest, _context: Any
    ) -> pb.UpdateProgressResponse:
        [(code, stop)] = await self._backend.lease_progress([wire.progress(request.progress)])
        if code is not None:
            raise _refusal(code, "progress.lease")
        return pb.UpdateProgressResponse(cancel_requested=stop)

    async def RecordJournal(
        self, request: pb.RecordJournalRequest, _context: Any
    ) -> pb.RecordJournalResponse:
        limits = self._policy.journal
        entries = journal_wire.entries(request.entries, "entries", limits)
        [error] = await self._backend.journal_record(
            [(request.lease, entries)], limits.max_entries, limits.max_bytes
        )
        if error is not None:
            raise error
        return pb.RecordJournalResponse()

    async def ReadJournal(self, request: pb.ReadJournalRequest, _context: Any) -> pb.ReadJournalResponse:
        page_bytes = _page_bytes(request)
        if request.signals_after < 0:
            raise invalid("signals_after", f"{request.signals_after}; at least 0")
        page = await self._backend.journal_read(request.execution_id, request.after, page_bytes)
        reply = pb.ReadJournalResponse(next=page.next)
        if page.entries:
            first, told = page.entries[0], request.signals_after
            first.signals = first.signals[told:]
            if len(page.entries) == 1:  # only an entry that is alone can be larger than the page
                shown = fitting(first.signals, _signal_bytes, page_bytes)
                if len(shown) < len(first.signals):
                    reply.next, reply.next_signals = first.sequence - 1, told + len(shown)
                first.signals = shown
        journal_wire.add_entries(reply.entries, page.entries)
        return reply

    async def ReadResumption(
        self, request: pb.ReadResumptionRequest, _context: Any
    ) -> pb.ReadResumptionResponse:
        page_bytes = _page_bytes(request)
        record = await self._backend.suspension_describe(request.execution_id)
        signals = [one for one in record.signals if one.number > request.after] if record is not None else []
        shown = fitting(signals, _signal_bytes, page_bytes)
        return pb.ReadResumptionResponse(
            signals=[signal_message(one) for one in shown],
            next=shown[-1].number if len(shown) < len(signals) else 0,
        )


class UnaryClaimant:
    """A Claim call that waits for its grants."""

    def __init__(self, wanted: int) -> None:
        self.free = wanted
        self.slots = wanted
        self.grants: list[Grant] = []
        self.some = asyncio.Event()

    @property
    def idle(self) -> int:
        """The caller runs nothing of what it waits for."""
        return self.free

    @property
    def is_fast(self) -> bool:
        """Nobody knows."""
        return False

    def accept(self, grant: Grant) -> None:
        self.free -= 1
        self.grants.append(grant)
        self.some.set()


async def claim(book: DemandBook, profile: Profile, wanted: int, wait_s: float) -> list[Grant]:
    """Waits until the first grants are there, or the time is over.

    A moment is always given: a queue that has work answers within it.
    """
    claimant = UnaryClaimant(wanted)
    demand = book.join(profile, claimant)
    book.offered(demand, claimant, wanted)
    try:
        await asyncio.wait_for(claimant.some.wait(), max(wait_s, 0.25))
    except TimeoutError:
        return claimant.grants
    except asyncio.CancelledError:  # the caller hung up; what came for it goes back
        book.give_back([grant.lease for grant in claimant.grants])
        raise
    finally:
        book.leave(demand, claimant)
    return claimant.grants


def _page_bytes(request: pb.ReadJournalRequest | pb.ReadResumptionRequest) -> int:
    if request.after < 0:
        raise invalid("after", f"{request.after}; at least 0")
    if not 0 <= request.page_bytes <= MAX_PAGE:
        raise invalid("page_bytes", f"{request.page_bytes}; at most {MAX_PAGE}")
    return request.page_bytes or MAX_PAGE


def _signal_bytes(signal: StoredSignal) -> int:
    """About what a signal takes on the wire."""
    return len(signal.payload) + ENTRY_BYTES


def _refusal(code: ErrorCode, field: str, detail: str = "") -> EngineError:
    """What the store said of a lease; only that it is no lease at all is a fault of the request."""
    if code is ErrorCode.INVALID_ARGUMENT:
        return invalid(field, "not a lease")
    return EngineError(code, detail)


def _appended(lease: bytes, appended: Appended) -> pb.StreamOutputResponse:
    reply = pb.StreamOutputResponse(lease=lease, acked_through=appended.through)
    if appended.error is not None:
        reply.error.CopyFrom(status_of_code(appended.error))
    return reply
