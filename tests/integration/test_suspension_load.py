"""Executions that wait, holders that vanish, senders that repeat themselves: each signal is seen once."""

from __future__ import annotations

import asyncio
import random

import pytest

from ff_core import ids
from ff_core.lease import Grant, Outcome
from ff_core.settings import ServiceSettings
from ff_core.signal import Delivered, NewSignal
from ff_core.state import State
from ff_core.store.backend import open_backend
from ff_core.suspension import NewWait, SuspendSpec
from ff_core.waitpoint import NewWaitpoint, WaitpointRecord
from tests.valkey_cluster import ValkeyCluster

from .engine import PARTITIONS, WORKER, Engine

EXECUTIONS, WAITS, HOLDERS = 24, 4, 3
DAY_MS = 86_400_000


class Load:
    """Executions that wait at one waitpoint after the other, each for one signal."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.backend = engine.backend
        self.random = random.Random(seed)
        self.open: set[str] = set()
        self.waitpoints: list[WaitpointRecord] = []
        self.numbers: dict[tuple[str, int], int] = {}
        """Signal that was taken at a waitpoint."""

    async def begin(self, place: int) -> None:
        lease = await self.engine.hold(place % PARTITIONS)
        for number in range(WAITS):
            new = NewWaitpoint(f"w{number}", "single", ttl_ms=DAY_MS)
            self.waitpoints.append(await self.backend.waitpoint_create(lease, new, "k1", f"w{number}"))
        self.open.add(ids.execution_of_lease(lease))
        assert await self.backend.lease_release([lease]) == [None]

    async def hold(self) -> None:
        """Claims and goes on with what it gets, until all is done."""
        while self.open:
            for partition in range(PARTITIONS):
                for grant in await self.engine.claim(partition, count=4):
                    await self.go_on(grant)

    async def go_on(self, grant: Grant) -> None:
        execution_id = ids.execution_of_lease(grant.lease)
        if self.random.random() < 0.3:
            await self.backend.lease_revoke(execution_id)
            return
        done = sum(entry.state == "done" for entry in grant.journal)
        outcome = Outcome(grant.lease, "complete", (b"",)) if done == WAITS else _wait(grant.lease, done)
        [answer] = await self.backend.lease_finish([outcome], WORKER)
        if answer == "completed":
            self.open.discard(execution_id)

    async def send(self, waitpoint: WaitpointRecord) -> None:
        """Delivers one signal, more than once and at any time."""
        ref = waitpoint.ref
        signal = NewSignal(
            ref.execution_id, ref.scope, ref.number, ref.expires_ms, "", "yes", "", "user:alice", "",
            waitpoint.name.encode(), "once", DAY_MS, 0,
        )  # fmt: skip
        replies = await asyncio.gather(
            *(self.backend.signal_deliver([signal], 100, 1000) for _ in range(self.random.randint(1, 3)))
        )
        delivered = [reply for [reply] in replies if isinstance(reply, Delivered)]
        assert len(delivered) == len(replies)
        assert len({reply.number for reply in delivered}) == 1
        assert sum(not reply.duplicate for reply in delivered) == 1
        self.numbers[ref.execution_id, ref.number] = delivered[0].number


def _wait(lease: bytes, number: int) -> Outcome:
    name = f"w{number}"
    wait = NewWait(str(number), name, {"op": "signal", "at": name}, None, None, "fail")
    spec = SuspendSpec("waiting_for_signal", "worker", (NewWaitpoint(name, number=number + 1),), (wait,), "f")
    return Outcome(lease, "suspend", (spec.document(), "k1"))


async def run(engine: Engine, seed: int) -> None:
    """The load, and what must be so after it."""
    load = Load(engine, seed)
    await asyncio.gather(*(load.begin(place) for place in range(EXECUTIONS)))
    load.random.shuffle(load.waitpoints)

    await asyncio.gather(
        *(load.hold() for _ in range(HOLDERS)), *(load.send(waitpoint) for waitpoint in load.waitpoints)
    )

    for execution_id in {waitpoint.ref.execution_id for waitpoint in load.waitpoints}:
        record = await engine.describe(execution_id)
        assert record.state is State.COMPLETED
        page = await engine.backend.journal_read(execution_id, 0, 1 << 20)
        seen = [
            (entry.name, [(each.number, each.payload) for each in entry.signals]) for entry in page.entries
        ]
        assert sorted(seen) == [
            (f"w{number}", [(load.numbers[execution_id, number + 1], f"w{number}".encode())])
            for number in range(WAITS)
        ]
        suspended = sum(ended.get("ending") == "suspended" for _, ended in record.history)
        assert suspended == WAITS


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_signal_is_lost_and_every_execution_ends_once(engine: Engine, seed: int) -> None:
    await run(engine, seed)


@pytest.mark.cluster
async def test_nor_on_a_cluster(clean_valkey_cluster: ValkeyCluster) -> None:
    settings = ServiceSettings(
        host=clean_valkey_cluster.host, port=clean_valkey_cluster.port, cluster=True, partitions=PARTITIONS
    )
    backend = await open_backend(settings)
    try:
        await run(Engine(backend), 3)
    finally:
        await backend.close()
