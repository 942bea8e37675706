"""The engine on a cluster whose primaries die: replicas take over, and what was acknowledged is there."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from ff_core import keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.execution import Created
from ff_core.settings import ServiceSettings
from ff_core.state import State
from ff_core.store.backend import open_backend
from flowfabric import Client, Worker, task
from flowfabric._stack import Stack
from flowfabric._valkey import ValkeyServer, read_fields, wait_until
from tests.valkey_cluster import PRIMARIES, ValkeyCluster

from .engine import PARTITIONS, Engine, cluster_settings, eventually, new
from .test_cluster import Ear, Migration, partitions_of

pytestmark = pytest.mark.cluster

#: The nodes find out by themselves after this long. Tests that do not wait for it promote by hand.
NODE_TIMEOUT_MS = 3000


@pytest.fixture
def cluster() -> Iterator[ValkeyCluster]:
    """Three primaries with a replica each, of the test's own."""
    with ValkeyCluster(replicas=1, node_timeout_ms=NODE_TIMEOUT_MS) as cluster:
        yield cluster


@pytest.fixture
def store_settings(cluster: ValkeyCluster) -> ServiceSettings:
    """What reaches a store that acknowledges what the primary alone has."""
    return cluster_settings(cluster)


@pytest.fixture
async def careful(cluster: ValkeyCluster) -> AsyncIterator[Engine]:
    """The store, which acknowledges what a replica has too."""
    backend = await open_backend(cluster_settings(cluster, wait_replicas=1, wait_replicas_timeout_ms=3000))
    yield Engine(backend)
    await backend.close()


def pair_of(cluster: ValkeyCluster, partition: int = 0) -> tuple[ValkeyServer, ValkeyServer]:
    """The primary of a partition, and its replica."""
    place = partitions_of(cluster)[partition]
    return cluster.nodes[place], cluster.nodes[place + PRIMARIES]


def role(node: ValkeyServer) -> str:
    return read_fields(node.host, node.port, "INFO", "replication")["role"]


async def has_taken_over(replica: ValkeyServer) -> None:
    """Returns when the nodes have noticed the death and promoted the replica, by themselves."""
    await asyncio.to_thread(
        wait_until, lambda: role(replica) == "master", 30, lambda: "the replica is not promoted"
    )


async def has_caught_up(primary: ValkeyServer, replica: ValkeyServer) -> None:
    """Returns when the replica has all that the primary has."""
    written = offset(primary)
    await asyncio.to_thread(
        wait_until, lambda: offset(replica) >= written, 30, lambda: "the replica stays behind"
    )


def offset(node: ValkeyServer) -> int:
    return int(read_fields(node.host, node.port, "INFO", "replication")["master_repl_offset"])


async def replace(primary: ValkeyServer, replica: ValkeyServer) -> None:
    """Kills the primary and promotes its replica at once, without asking the other nodes."""
    primary.kill()
    replica.call("CLUSTER", "FAILOVER", "TAKEOVER")
    await has_taken_over(replica)


async def test_calls_follow_to_the_promoted_replica(engine: Engine, cluster: ValkeyCluster) -> None:
    execution_id = await engine.create()
    await engine.create(1)
    primary, replica = pair_of(cluster)
    await has_caught_up(primary, replica)

    primary.kill()
    call = asyncio.ensure_future(engine.create())
    await has_taken_over(replica)

    made = await call
    assert (await engine.describe(execution_id)).state is State.WAITING
    assert (await engine.describe(made)).state is State.WAITING


async def test_calls_leave_a_primary_that_hangs(cluster: ValkeyCluster) -> None:
    backend = await open_backend(cluster_settings(cluster, store_timeout_ms=1000))
    engine = Engine(backend)
    await engine.create_many(*(new(partition) for partition in range(PARTITIONS)))
    primary, replica = pair_of(cluster)

    primary.kill(signal.SIGSTOP)
    replica.call("CLUSTER", "FAILOVER", "TAKEOVER")
    await has_taken_over(replica)

    assert (await engine.describe(await engine.create())).state is State.WAITING
    await backend.close()


async def test_calls_that_wait_for_replicas_follow_too(careful: Engine, cluster: ValkeyCluster) -> None:
    await careful.create()
    await replace(*pair_of(cluster))

    [refused] = await careful.backend.execution_create([new()])

    assert isinstance(refused, EngineError)
    assert "0 of 1 replicas have it" in str(refused), "the promoted one answers, and has no replica itself"


async def test_what_was_acknowledged_with_a_replica_outlives_the_primary(
    careful: Engine, cluster: ValkeyCluster
) -> None:
    primary, replica = pair_of(cluster)
    leases = [await careful.hold() for _ in range(20)]
    made: list[str] = []
    refusals: list[EngineError] = []
    stop = asyncio.Event()

    async def submit() -> None:
        while not stop.is_set():
            for result in await careful.backend.execution_create([new(), new()]):
                if isinstance(result, Created):
                    made.append(result.execution_id)
                else:
                    refusals.append(result)

    async def has_made(count: int) -> None:
        async def is_so() -> bool:
            return len(made) >= count or any(client.done() for client in clients)

        await eventually(is_so)

    clients = [asyncio.ensure_future(submit()) for _ in range(4)]
    await has_made(200)
    primary.kill()
    await has_taken_over(replica)
    await asyncio.to_thread(primary.restart)  # as a replica of the promoted one
    await has_made(len(made) + 200)
    stop.set()
    await asyncio.gather(*clients)

    assert {refusal.code for refusal in refusals} <= {ErrorCode.STORE_UNAVAILABLE}
    records = await careful.backend.execution_describe(made)
    assert [record and record.state for record in records] == [State.WAITING] * len(made)
    assert await careful.complete(*leases) == ["completed"] * 20, "a lease goes on at the promoted one"


async def test_a_planned_switch_under_load_loses_nothing(engine: Engine, cluster: ValkeyCluster) -> None:
    _, replica = pair_of(cluster)
    made: list[str] = []
    stop = asyncio.Event()

    async def submit() -> None:
        while not stop.is_set():
            made.extend(await engine.create_many(new(), new()))

    clients = [asyncio.ensure_future(submit()) for _ in range(4)]
    replica.call("CLUSTER", "FAILOVER")
    await has_taken_over(replica)
    stop.set()
    await asyncio.gather(*clients)
    made.append(await engine.create())

    assert None not in await engine.backend.execution_describe(made)


async def test_wake_ups_are_heard_of_the_promoted_replica(engine: Engine, cluster: ValkeyCluster) -> None:
    ear, gap = Ear(), asyncio.Event()
    engine.backend.hints.on_gap(gap.set)
    await engine.backend.hints.listen(keys.wake_channel(0), ear)
    await gap.wait()
    gap.clear()

    await replace(*pair_of(cluster))
    await gap.wait()

    async def hears() -> bool:
        await engine.backend.execution_cancel([await engine.create()], "", 0)
        return not ear.heard.empty()

    await eventually(hears)


async def test_a_redirected_call_waits_for_the_replica_of_the_node_that_took_it(
    careful: Engine, cluster: ValkeyCluster
) -> None:
    await careful.create()
    migration = Migration(cluster, 0)
    migration.begin()
    migration.move_keys()
    migration.end()
    replica = cluster.nodes[cluster.nodes.index(migration.target) + PRIMARIES]
    replica.kill(signal.SIGSTOP)

    [refused] = await careful.backend.execution_create([new()])

    assert isinstance(refused, EngineError)
    assert "0 of 1 replicas have it" in str(refused)


@pytest.mark.processes
async def test_the_whole_engine_goes_on_when_a_primary_dies(cluster: ValkeyCluster) -> None:
    started: set[int] = set()
    released = asyncio.Event()

    @task
    async def double(number: int) -> int:
        started.add(number)
        if number < 20:
            await released.wait()
        return 2 * number

    env = {
        "FF_CLUSTER": "1",
        "FF_PARTITIONS": str(PARTITIONS),
        "FF_WAIT_REPLICAS": "1",
        "FF_LEASE_TTL_MS": "3000",
    }
    primary, replica = pair_of(cluster)
    async with Stack(valkey=cluster.address, env=env) as stack, Client(stack.address) as client:
        worker = Worker([double], address=stack.address, slots=20)
        await worker.start()
        made = [await client.submit(double, number) for number in range(40)]

        async def has_started() -> bool:
            return len(started) >= 20

        await eventually(has_started)
        primary.kill()
        await has_taken_over(replica)
        await asyncio.to_thread(primary.restart)
        await asyncio.to_thread(cluster.wait_until_complete)
        released.set()
        made += [await client.submit(double, number) for number in range(40, 60)]
        results = await asyncio.gather(*(client.result(one.execution_id, int) for one in made))
        await worker.drain()
        await worker.stop()

    assert results == [2 * number for number in range(60)]
