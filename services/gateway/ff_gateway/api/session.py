"""Pumps a worker's Session stream: messages to the state machine, its work to the engine, answers back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable

import structlog

from ff_core import clock
from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.wire import names
from ff_core.wire import worker as wire
from ff_core.wire.time import duration, timestamp
from ff_core.worker import WorkerRecord
from ff_gateway.demand import Demand, DemandBook, Profile
from ff_gateway.outcomes import Outcomes
from ff_gateway.policy import Policy
from ff_gateway.session import Session, SessionPool, Work
from ff_gateway.sessions import OpenSession, Sessions
from flowfabric_api.worker.v1 import worker_pb2 as pb

log = structlog.get_logger()

#: Messages of one session that may be worked on at once; beyond it the worker's stream is not read.
MOST_AT_ONCE = 64
#: What a lease that is lost answers: the worker's outcome may still get its first answer.
LOST = frozenset(
    {
        ErrorCode.LEASE_EXPIRED,
        ErrorCode.LEASE_REVOKED,
        ErrorCode.LEASE_STALE,
        ErrorCode.EXECUTION_NOT_FOUND,
        ErrorCode.EXECUTION_TERMINAL,
    }
)


class SessionStream:
    """One Session call from Hello to its end."""

    def __init__(
        self, backend: EngineBackend, book: DemandBook, sessions: Sessions, policy: Policy, *,
        outcomes: Outcomes, gateway_id: str,
    ) -> None:  # fmt: skip
        self._backend = backend
        self._book = book
        self._sessions = sessions
        self._policy = policy
        self._outcomes = outcomes
        self._gateway_id = gateway_id
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    async def run(self, requests: AsyncIterator[pb.SessionRequest]) -> AsyncIterator[pb.SessionResponse]:
        """Yields what the worker is told. Raises EngineError when the session ends otherwise than asked."""
        if self._sessions.is_leaving:
            raise EngineError(ErrorCode.SHUTTING_DOWN)
        first = await anext(aiter(requests), None)
        if first is None or not first.HasField("hello"):
            raise invalid("hello", "the first message of a session must hold Hello")
        opened = self._open(first.hello)
        session = opened.session
        demands: list[tuple[Demand, SessionPool]] = []
        reader: asyncio.Task[None] | None = None
        try:
            yield pb.SessionResponse(welcome=await self._welcome(opened, first.hello))
            if self._sessions.is_leaving:  # welcomed while the others were sent away
                raise EngineError(ErrorCode.SHUTTING_DOWN)
            demands = self._join(session)
            reader = asyncio.ensure_future(self._read(requests, first, opened, demands))
            while not opened.ended.is_set():
                await opened.some.wait()
                opened.some.clear()
                if session.is_draining:  # perhaps by our GoAway, which no message of the worker tells
                    self._count(demands)
                while (message := session.take()) is not None:
                    yield message
            if opened.error is not None:
                raise opened.error
        finally:
            if reader is not None:
                reader.cancel()
            opened.end()
            await self._close(opened, demands)

    def _open(self, hello: pb.Hello) -> OpenSession:
        worker_id = names.identifier(hello.worker_id, "hello.worker_id")
        namespace = names.name(hello.namespace, "hello.namespace", names.DEFAULT)
        opened: OpenSession
        session = Session(
            secrets.token_hex(8),
            worker_id,
            namespace,
            wire.pools(hello.pools),
            outcomes=self._outcomes,
            journal=self._policy.journal,
            on_output=lambda is_urgent: opened.on_output(is_urgent),  # noqa: PLW0108 - made with the session
        )
        opened = OpenSession(session)
        return opened

    async def _welcome(self, opened: OpenSession, hello: pb.Hello) -> pb.Welcome:
        """Registers the worker and sorts out which of its leases it still has."""
        session = opened.session
        before = self._sessions.of(session.worker_id)  # the notice that ends it may be here before the answer
        await self._backend.worker_open(_record(session, hello, self._gateway_id), self._policy.worker_ttl_ms)
        before = self._sessions.add(opened) or before
        policy = self._policy
        welcome = pb.Welcome(
            session_id=session.session_id,
            lease_ttl=duration(policy.lease_ttl_ms),
            renew_interval=duration(policy.lease_ttl_ms // 3),
            offer_ttl=duration(policy.lease_ttl_ms),
            max_output_frame_bytes=policy.max_output_frame_bytes,
            server_time=timestamp(clock.wall_ms()),
            gateway_id=self._gateway_id,
            max_journal_entry_bytes=policy.journal.max_entry_bytes,
        )
        held = list(dict.fromkeys(hello.held_leases))
        if held:
            verdicts = await self._backend.lease_renew(
                held, policy.lease_ttl_ms, session.worker_id, self._gateway_id
            )
            cancels = pb.SessionResponse().cancels
            for lease, verdict in zip(held, verdicts, strict=True):
                if isinstance(verdict, ErrorCode):
                    wire.add_verdict(lease, verdict, welcome.lease_exceptions, cancels)
                else:
                    session.leases[lease] = (-1, 0)
        if before is not None:
            # What the earlier session was granted and the worker does not hold, it never got, or it fell with
            # it and came back by the same name. Nobody knows which, so it counts as lost: work that kills its
            # worker must reach its cap.
            dropped = [lease for lease in before.session.leases if lease not in session.leases]
            if dropped:
                await self._backend.lease_forfeit(dropped)
        return welcome

    def _join(self, session: Session) -> list[tuple[Demand, SessionPool]]:
        demands = []
        for pool in session.pools:
            profile = Profile(session.namespace, pool.pool.lanes, pool.pool.capabilities)
            demands.append((self._book.join(profile, pool), pool))
        return demands

    async def _read(
        self,
        requests: AsyncIterator[pb.SessionRequest],
        first: pb.SessionRequest,
        opened: OpenSession,
        demands: list[tuple[Demand, SessionPool]],
    ) -> None:
        try:
            await self._receive(first, opened, demands)
            async for message in requests:
                await self._receive(message, opened, demands)
            # The worker closed its side; it still gets the answers to what it sent.
            await asyncio.gather(*self._tasks)
            opened.end()
        except EngineError as error:
            opened.end(error)
        except Exception as error:
            log.error("session_failed", worker_id=opened.session.worker_id, exc_info=error)
            opened.end(EngineError(ErrorCode.INTERNAL))

    async def _receive(
        self, message: pb.SessionRequest, opened: OpenSession, demands: list[tuple[Demand, SessionPool]]
    ) -> None:
        work = opened.session.receive(message)
        self._count(demands)
        steps = self._steps(opened.session, work)
        if steps:
            await self._room.acquire()
            task = asyncio.get_running_loop().create_task(self._do(opened, steps))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _count(self, demands: list[tuple[Demand, SessionPool]]) -> None:
        """Tells the book of slots that became free, or are no more."""
        for demand, pool in demands:
            change = pool.newly_free()
            if change:
                self._book.offered(demand, pool, change)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()

    def _steps(self, session: Session, work: Work) -> list[Awaitable[None]]:
        steps: list[Awaitable[None]] = []
        if work.writes or work.outcomes:
            steps.append(self._settle(session, work))
        if work.progress:
            steps.append(self._report(session, work))
        if work.renew is not None:
            steps.append(self._renew(session, work.renew, work.sequence))
        if work.release:
            steps.append(self._release(work.release))
        return steps

    async def _do(self, opened: OpenSession, steps: list[Awaitable[None]]) -> None:
        try:
            if len(steps) == 1:
                await steps[0]
            else:
                await asyncio.gather(*steps)
        except EngineError as error:
            # The worker comes back, to this gateway or another, and repeats what was not answered.
            opened.end(error)
        except Exception as error:
            log.error("session_failed", worker_id=opened.session.worker_id, exc_info=error)
            opened.end(EngineError(ErrorCode.INTERNAL))

    async def _settle(self, session: Session, work: Work) -> None:
        """Writes to the journal, then ends leases."""
        if work.writes:
            await self._write(session, work)
        outcomes = [outcome for outcome in work.outcomes if outcome.lease not in work.unwritten]
        if outcomes:
            answers = await self._backend.lease_finish(outcomes, session.worker_id)
            for outcome, answer in zip(outcomes, answers, strict=True):
                session.answered(outcome.lease, answer)
        if len(outcomes) < len(work.outcomes):
            for outcome in work.outcomes:
                if outcome.lease in work.unwritten:
                    session.answered(outcome.lease, work.unwritten[outcome.lease])

    async def _write(self, session: Session, work: Work) -> None:
        limits = self._policy.journal
        errors = await self._backend.journal_record(
            [(write.lease, write.entries) for write in work.writes], limits.max_entries, limits.max_bytes
        )
        for write, error in zip(work.writes, errors, strict=True):
            session.wrote(write.lease, write.number, error)
            if error is not None and error.code not in LOST:
                work.unwritten[write.lease] = error

    async def _report(self, session: Session, work: Work) -> None:
        verdicts = await self._backend.lease_progress(work.progress)
        for (lease, _, _), (code, _) in zip(work.progress, verdicts, strict=True):
            if code is not None:
                session.lost(lease, code)

    async def _renew(self, session: Session, leases: list[bytes], sequence: int) -> None:
        ttl_ms = self._policy.lease_ttl_ms
        verdicts = await self._backend.lease_renew(leases, ttl_ms, session.worker_id, self._gateway_id)
        session.renewed(sequence, leases, verdicts, ttl_ms)

    async def _release(self, leases: list[bytes]) -> None:
        await self._backend.lease_release(leases)

    async def _close(self, opened: OpenSession, demands: list[tuple[Demand, SessionPool]]) -> None:
        self._count(demands)
        for demand, pool in demands:
            self._book.leave(demand, pool)
        for task in self._tasks:
            task.cancel()
        if self._sessions.remove(opened):
            try:
                await self._backend.worker_close(opened.session.worker_id, opened.session.session_id)
            except EngineError as error:
                log.info("worker_close_failed", code=error.code.name)


def _record(session: Session, hello: pb.Hello, gateway_id: str) -> WorkerRecord:
    return WorkerRecord(
        worker_id=session.worker_id,
        session_id=session.session_id,
        gateway_id=gateway_id,
        namespace=session.namespace,
        identity=names.text(hello.identity, "hello.identity", 256),
        sdk=names.text(f"{hello.sdk_name} {hello.sdk_version}".strip(), "hello.sdk_name", 256),
        pools=tuple(pool.pool for pool in session.pools),
        held=(0,) * len(session.pools),
        opened_at_ms=0,
        expires_at_ms=0,
        draining=False,
        kinds=wire.kinds(hello.kinds),
    )
