"""The engine on a real cluster of three: routed by slot, and on while slots move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any, cast

import pytest
from redis.crc import key_slot

from ff_core import keys
from ff_core.event import EventFilter
from ff_core.execution import ListQuery
from ff_core.settings import ServiceSettings
from ff_core.state import State
from ff_core.wire.event import read_cursor, write_cursor
from ff_gateway.subscription import Subscriptions
from flowfabric import Client, Worker, task
from flowfabric._stack import Stack
from tests.valkey_cluster import PRIMARIES, ValkeyCluster, node_id

from .engine import PARTITIONS, Engine, cluster_settings, eventually, new

pytestmark = pytest.mark.cluster


@pytest.fixture
def store_settings(clean_valkey_cluster: ValkeyCluster) -> ServiceSettings:
    """What reaches the empty cluster."""
    return cluster_settings(clean_valkey_cluster)


def partitions_of(cluster: ValkeyCluster) -> dict[int, int]:
    """Which node (by place) serves each partition."""
    ranges = cluster.nodes[0].call("CLUSTER", "SLOTS")
    assert isinstance(ranges, list)
    ports = [node.port for node in cluster.nodes]
    owners: dict[int, int] = {}
    for partition in range(PARTITIONS):
        slot = key_slot(keys.anchor(partition).encode())
        for first, last, primary, *_replicas in cast("list[list[Any]]", ranges):
            if first <= slot <= last:
                owners[partition] = ports.index(primary[1])
    return owners


class Ear:
    """A listener that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def __call__(self, message: bytes) -> None:
        self.heard.put_nowait(message)


class Migration:
    """A partition's slot on its way from one node to another, step by step."""

    def __init__(self, cluster: ValkeyCluster, partition: int) -> None:
        place = partitions_of(cluster)[partition]
        self.cluster = cluster
        self.slot = key_slot(keys.anchor(partition).encode())
        self.source = cluster.nodes[place]
        self.target = cluster.nodes[(place + 1) % PRIMARIES]

    def begin(self) -> None:
        """From now on the source answers ASK for keys that it does not have any more."""
        source, target = (node_id(node) for node in (self.source, self.target))
        self.target.call("CLUSTER", "SETSLOT", self.slot, "IMPORTING", source)
        self.source.call("CLUSTER", "SETSLOT", self.slot, "MIGRATING", target)

    def move_keys(self) -> int:
        """Moves what the slot holds now."""
        moved = 0
        while names := self.source.call("CLUSTER", "GETKEYSINSLOT", self.slot, 100):
            assert isinstance(names, list)
            words = [name.decode() for name in names if isinstance(name, bytes)]
            self.source.call(
                "MIGRATE", self.target.host, self.target.port, "", 0, 10_000, "REPLACE", "KEYS", *words
            )
            moved += len(words)
        return moved

    def end(self) -> None:
        """The slot is the target's; the source answers MOVED."""
        owner = node_id(self.target)
        for node in (self.target, self.source, *self.cluster.nodes[:PRIMARIES]):
            node.call("CLUSTER", "SETSLOT", self.slot, "NODE", owner)


@pytest.fixture
def migration(clean_valkey_cluster: ValkeyCluster, engine: Engine) -> Iterator[Migration]:
    """A slot that is moved there, and back after the test."""
    there = Migration(clean_valkey_cluster, 0)
    yield there
    for node in clean_valkey_cluster.nodes:
        node.call("FLUSHALL")
    there.source, there.target = there.target, there.source
    for node in (there.source, there.target):
        node.call("CLUSTER", "SETSLOT", there.slot, "STABLE")
    there.end()


async def test_the_partitions_are_on_all_nodes(clean_valkey_cluster: ValkeyCluster) -> None:
    owners = partitions_of(clean_valkey_cluster)

    assert set(owners) == set(range(PARTITIONS))
    assert set(owners.values()) == {0, 1, 2}


async def test_every_node_has_the_library(engine: Engine, clean_valkey_cluster: ValkeyCluster) -> None:
    for node in clean_valkey_cluster.nodes:
        assert node.call("FUNCTION", "LIST", "LIBRARYNAME", engine.backend.library)
        node.call("FUNCTION", "FLUSH")

    await engine.create_many(*(new(partition) for partition in range(PARTITIONS)))

    for node in clean_valkey_cluster.nodes:
        assert node.call("FUNCTION", "LIST", "LIBRARYNAME", engine.backend.library)


async def test_work_of_all_partitions_is_submitted_claimed_and_completed(engine: Engine) -> None:
    made = await engine.create_many(
        *(new(number % PARTITIONS, payload=b"%d" % number) for number in range(200))
    )
    claimed = await asyncio.gather(*(engine.claim(partition, 100) for partition in range(PARTITIONS)))
    grants = [grant for some in claimed for grant in some]
    leases = [grant.lease for grant in grants]

    assert sorted(lease.split(b":")[0].decode() for lease in leases) == sorted(made)
    assert sorted(int(grant.payload) for grant in grants) == list(range(200))
    assert await engine.renew(*leases) == [None] * 200
    assert await engine.complete(*leases) == ["completed"] * 200
    page = await engine.backend.execution_list(ListQuery("default", state=State.COMPLETED, page_size=1000))
    assert {record.execution_id for record in page.records} == set(made)
    assert await engine.backend.queue_stats() == ({"default/main"}, [])


async def test_hints_of_every_partition_are_heard(engine: Engine) -> None:
    ears = {partition: Ear() for partition in range(PARTITIONS)}
    opened = asyncio.Event()
    engine.backend.hints.on_gap(opened.set)
    for partition, ear in ears.items():
        await engine.backend.hints.listen(keys.wake_channel(partition), ear)

    async def hears_all() -> bool:
        await engine.create_many(*(new(partition) for partition in range(PARTITIONS)))
        await engine.backend.execution_cancel(
            [
                record.execution_id
                for record in (await engine.backend.execution_list(ListQuery("default"))).records
            ],
            "",
            0,
        )
        return all(not ear.heard.empty() for ear in ears.values())

    await eventually(hears_all)
    assert opened.is_set()


async def test_a_call_waits_while_its_slot_moves_and_then_follows_it(
    engine: Engine, migration: Migration
) -> None:
    before = await engine.create_many(*(new(0, payload=b"before") for _ in range(20)))
    held = await engine.hold()
    migration.begin()

    creations = [asyncio.ensure_future(engine.create_many(*(new(0) for _ in range(20))))]
    renewal = asyncio.ensure_future(engine.renew(held))
    elsewhere = next(one for one, place in partitions_of(migration.cluster).items() if one != 0 and place < 3)
    await engine.create(elsewhere)
    assert migration.move_keys() > 0
    creations.append(asyncio.ensure_future(engine.create_many(*(new(0) for _ in range(20)))))
    await engine.create(elsewhere)
    assert not any(creation.done() for creation in creations)
    migration.end()

    assert await renewal == [None]
    during, asked = await asyncio.gather(*creations)
    made = {*before, *during, *asked}
    grants = await engine.claim(0, 100)
    claimed = {grant.lease.split(b":")[0].decode() for grant in grants}
    assert claimed | {held.split(b":")[0].decode()} >= made
    leases = [held, *(grant.lease for grant in grants)]
    assert await engine.complete(*leases) == ["completed"] * len(leases)
    page = await engine.backend.execution_list(ListQuery("default", state=State.COMPLETED, page_size=1000))
    assert {record.execution_id for record in page.records} >= made


async def test_load_goes_on_while_a_slot_moves(engine: Engine, migration: Migration) -> None:
    stop = asyncio.Event()
    made: list[str] = []

    async def submit() -> None:
        while not stop.is_set():
            made.extend(await engine.create_many(*(new(partition) for partition in range(PARTITIONS))))

    clients = [asyncio.ensure_future(submit()) for _ in range(4)]

    async def has_made(count: int) -> None:
        async def is_so() -> bool:
            return len(made) > count or any(client.done() for client in clients)

        await eventually(is_so)

    await has_made(100)
    migration.begin()
    await asyncio.to_thread(migration.move_keys)
    migration.end()
    await has_made(len(made) + 100)
    stop.set()
    await asyncio.gather(*clients)

    listed: set[str] = set()
    query = ListQuery("default", page_size=1000)
    while True:
        page = await engine.backend.execution_list(query)
        listed.update(record.execution_id for record in page.records)
        if page.next_position is None:
            break
        query.position = page.next_position
    assert listed == set(made)


async def test_hints_follow_a_slot_that_moved(engine: Engine, migration: Migration) -> None:
    ear, gap = Ear(), asyncio.Event()
    engine.backend.hints.on_gap(gap.set)
    await engine.backend.hints.listen(keys.wake_channel(0), ear)
    await gap.wait()
    gap.clear()
    migration.begin()
    migration.move_keys()

    migration.end()
    await gap.wait()

    async def hears() -> bool:
        [one] = await engine.create_many(new(0))
        await engine.backend.execution_cancel([one], "", 0)
        return not ear.heard.empty()

    await eventually(hears)


async def test_a_channel_asked_for_at_the_wrong_node_is_found_at_the_right_one(
    engine: Engine, migration: Migration
) -> None:
    opened = asyncio.Event()
    engine.backend.hints.on_gap(opened.set)
    for partition in range(PARTITIONS):  # sockets to all nodes, but nothing of the slot that moves
        await engine.backend.hints.listen(keys.wake_channel(partition), Ear())
    await opened.wait()
    migration.begin()
    migration.end()
    ear = Ear()
    channel = keys.news_channel(0)

    await engine.backend.hints.listen(channel, ear)

    async def hears() -> bool:
        migration.target.call("SPUBLISH", channel, "news")
        await asyncio.sleep(0)
        return not ear.heard.empty()

    await eventually(hears)


@pytest.mark.processes
async def test_the_whole_engine_runs_on_a_cluster(clean_valkey_cluster: ValkeyCluster) -> None:
    @task
    async def double(number: int) -> int:
        return 2 * number

    env = {"FF_CLUSTER": "1", "FF_PARTITIONS": str(PARTITIONS)}
    async with Stack(valkey=clean_valkey_cluster.address, env=env) as stack, Client(stack.address) as client:
        worker = Worker([double], address=stack.address, slots=4)
        await worker.start()
        made = await asyncio.gather(*(client.submit(double, number) for number in range(40)))
        results = await asyncio.gather(*(client.result(one.execution_id, int) for one in made))
        await worker.drain()
        await worker.stop()

    assert results == [2 * number for number in range(40)]


async def test_a_subscription_hears_of_every_node_and_goes_on_by_one_cursor(engine: Engine) -> None:
    subscriptions = Subscriptions(engine.backend, 10)
    stream = subscriptions.follow(None, 100, EventFilter())
    _, places = await anext(stream)
    cursor = write_cursor(places)

    ids = [await engine.create(partition) for partition in range(PARTITIONS)]

    heard: list[str] = []
    while len(heard) < PARTITIONS:
        news, _ = await anext(stream)
        heard += [event.execution_id for event in news.events]
    again, _ = await subscriptions.read(read_cursor(cursor, PARTITIONS), 100, EventFilter())
    await cast("AsyncGenerator[object, None]", stream).aclose()
    assert sorted(heard) == sorted(ids)
    assert sorted(event.execution_id for event in again.events) == sorted(ids)
