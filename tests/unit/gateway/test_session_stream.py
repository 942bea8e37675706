"""The stream of a session: what is left of it when it breaks, and what the demand book is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode
from ff_core.journal import JournalWrite
from ff_core.lease import Grant, Outcome
from ff_core.waitpoint import WaitpointRecord
from ff_gateway.api.session import SessionStream
from ff_gateway.demand import DemandBook
from ff_gateway.outcomes import Outcomes
from ff_gateway.policy import Policy
from ff_gateway.sessions import Sessions
from flowfabric_api.journal.v1 import journal_pb2 as jr
from flowfabric_api.suspension.v1 import suspension_pb2 as sp
from flowfabric_api.worker.v1 import worker_pb2 as pb

POLICY = Policy(
    lease_ttl_ms=30_000, worker_ttl_ms=9000, cancel_grace_ms=0, max_payload_bytes=100,
    max_output_frame_bytes=100, retention_ms=0,
)  # fmt: skip
LEASE = b"0-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b:1:1:abc0"


class Store:
    """The registry of workers, and leases that are lost with the store."""

    def __init__(self) -> None:
        self.workers: dict[str, str] = {}
        self.forfeited: list[bytes] = []
        self.is_away = False
        self.is_broken = False
        self.done: list[str] = []
        self.refusal: EngineError | None = None
        self.hints = self
        self._notify: Callable[[bytes], None] = print

    async def listen(self, _channel: str, listener: Callable[[bytes], None], *, sharded: bool) -> None:
        assert not sharded
        self._notify = listener

    async def worker_open(self, worker: Any, _ttl_ms: int) -> None:
        """The notice to the older session's gateway is there before the answer is."""
        before = self.workers.get(worker.worker_id)
        self.workers[worker.worker_id] = worker.session_id
        if before is not None:
            self._notify(f"superseded {worker.worker_id} {before} ".encode())
            for _ in range(5):
                await asyncio.sleep(0)

    async def worker_close(self, worker_id: str, session_id: str) -> None:
        if self.workers.get(worker_id) == session_id:
            del self.workers[worker_id]

    async def lease_forfeit(self, leases: Sequence[bytes]) -> list[None]:
        self.forfeited += leases
        return [None] * len(leases)

    async def journal_record(self, writes: Sequence[JournalWrite], *_: int) -> list[EngineError | None]:
        self.done += [f"write {entry.key}" for _, entries in writes for entry in entries]
        return [self.refusal] * len(writes)

    async def lease_finish(self, outcomes: Sequence[Outcome], _worker_id: str) -> list[str]:
        if self.is_broken:
            raise RuntimeError("a bug")
        self.done += [one.operation for one in outcomes]
        return ["completed"] * len(outcomes)

    async def lease_renew(self, leases: Sequence[bytes], *_: object) -> list[None]:
        if self.is_away:
            raise EngineError(ErrorCode.STORE_UNAVAILABLE)
        return [None] * len(leases)


class Tokens:
    """No waitpoint is told here."""

    kid = "k1"

    def told(self, record: WaitpointRecord) -> sp.Waitpoint:
        raise AssertionError(record)


class Gateway:
    """What a stream needs of its gateway."""

    def __init__(self) -> None:
        self.store = Store()
        self.returned: list[bytes] = []
        self.book = DemandBook(self.returned.extend)
        self._backend = cast("EngineBackend", self.store)
        self.sessions = Sessions(self._backend, "gateway-1", POLICY.worker_ttl_ms)
        self.said: asyncio.Queue[pb.SessionRequest | None] = asyncio.Queue()

    def stream(self) -> AsyncIterator[pb.SessionResponse]:
        outcomes = Outcomes(POLICY, Tokens())
        opened = SessionStream(
            self._backend, self.book, self.sessions, POLICY, outcomes=outcomes, gateway_id="gateway-1"
        )
        return opened.run(self._requests(self.said))

    def hello(self, *held: bytes, credit: int = 0) -> None:
        pools = [pb.Pool(lanes=["a"], slots=4)]
        hello = pb.Hello(worker_id="w", pools=pools, held_leases=held)
        self.said.put_nowait(pb.SessionRequest(hello=hello, credits=[pb.Credit(pool=0, limit=credit)]))

    @staticmethod
    async def _requests(said: asyncio.Queue[pb.SessionRequest | None]) -> AsyncIterator[pb.SessionRequest]:
        while (message := await said.get()) is not None:
            yield message


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


async def test_a_session_that_fails_before_its_welcome_leaves_nothing(gateway: Gateway) -> None:
    gateway.store.is_away = True
    gateway.hello(LEASE)

    with pytest.raises(EngineError, match="Valkey does not answer"):
        await anext(gateway.stream())

    assert gateway.store.workers == {}
    async with asyncio.timeout(30):
        await gateway.sessions.drain(60)


async def test_a_stream_that_is_cut_at_its_welcome_leaves_nothing(gateway: Gateway) -> None:
    gateway.hello()
    stream = gateway.stream()
    assert (await anext(stream)).HasField("welcome")

    await cast("Any", stream).aclose()

    assert gateway.store.workers == {}


async def test_the_slots_of_a_worker_that_is_sent_away_are_free_no_more(gateway: Gateway) -> None:
    gateway.hello(credit=3)
    stream = gateway.stream()
    await anext(stream)
    following = asyncio.ensure_future(anext(stream))
    for _ in range(5):
        await asyncio.sleep(0)
    [demand] = gateway.book.demands
    assert demand.free == 3

    draining = asyncio.ensure_future(gateway.sessions.drain(60))
    assert (await following).HasField("go_away")
    assert demand.free == 0
    gateway.book.hand_out(demand, [Grant(LEASE, "k", b"", 0, 0, "")])
    assert gateway.returned == [LEASE]

    gateway.said.put_nowait(None)
    assert [message async for message in stream] == []
    await draining
    assert (demand.free, demand.slots) == (0, 0)


async def test_what_the_older_session_was_granted_is_lost_though_it_ended_first(gateway: Gateway) -> None:
    await gateway.sessions.listen()
    gateway.hello(credit=3)
    older = gateway.stream()
    await anext(older)
    following = asyncio.ensure_future(anext(older))
    for _ in range(5):
        await asyncio.sleep(0)
    [demand] = gateway.book.demands
    gateway.book.hand_out(demand, [Grant(LEASE, "k", b"", 0, 0, "")])
    assert (await following).grants[0].lease == LEASE
    following = asyncio.ensure_future(anext(older))

    gateway.said = asyncio.Queue()
    gateway.hello(credit=3)
    assert (await anext(gateway.stream())).HasField("welcome")

    with pytest.raises(EngineError):
        await following
    assert gateway.store.forfeited == [LEASE]


async def write_and_complete(gateway: Gateway) -> pb.SessionResponse:
    """What a worker hears that writes to the journal and completes in one message."""
    entry = jr.Entry(key="1", kind=jr.ENTRY_KIND_STEP, name="plan", state=jr.ENTRY_STATE_DONE)
    gateway.hello(LEASE)
    stream = gateway.stream()
    await anext(stream)
    gateway.said.put_nowait(
        pb.SessionRequest(
            journal=[pb.JournalWrite(lease=LEASE, number=1, entries=[entry])],
            outcomes=[pb.Outcome(lease=LEASE, completed=pb.Completed())],
        )
    )
    heard = pb.SessionResponse()
    async for message in stream:
        heard.MergeFrom(message)
        if heard.outcome_results:
            break
    await cast("Any", stream).aclose()
    return heard


async def test_writes_are_durable_before_the_outcomes_of_their_message(gateway: Gateway) -> None:
    heard = await write_and_complete(gateway)

    assert gateway.store.done == ["write 1", "complete"]
    assert [(one.number, one.status.code) for one in heard.journal_results] == [(1, 0)]
    assert [(one.answer, one.status.code) for one in heard.outcome_results] == [("completed", 0)]


async def test_an_outcome_does_not_go_through_without_the_write_that_came_with_it(gateway: Gateway) -> None:
    gateway.store.refusal = EngineError(ErrorCode.JOURNAL_FULL)

    heard = await write_and_complete(gateway)

    assert gateway.store.done == ["write 1"]
    assert heard.journal_results[0].status == heard.outcome_results[0].status
    assert heard.outcome_results[0].status.code != 0


async def test_an_outcome_of_a_lost_lease_gets_its_first_answer_though_the_write_was_too_late(
    gateway: Gateway,
) -> None:
    gateway.store.refusal = EngineError(ErrorCode.LEASE_STALE)

    heard = await write_and_complete(gateway)

    assert gateway.store.done == ["write 1", "complete"]
    assert heard.outcome_results[0].answer == "completed"


async def test_a_bug_ends_the_session_instead_of_leaving_it_unanswered(gateway: Gateway) -> None:
    gateway.store.is_broken = True

    with pytest.raises(EngineError) as ended:
        await write_and_complete(gateway)

    assert ended.value.code is ErrorCode.INTERNAL
