"""The client of the store: a library that loads itself, a connection that comes back, honest failures."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from ff_core import keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.execution import Created, ListQuery
from ff_core.journal import JournalEntry
from ff_core.output import FrameClass, NewFrame
from ff_core.settings import ServiceSettings
from ff_core.state import State
from ff_core.store.backend import ValkeyBackend, open_backend
from ff_core.store.client import StoreClient
from ff_core.store.connection import Endpoint
from ff_core.waitpoint import NewWaitpoint
from ff_core.worker import Member
from ff_lua import Library, assemble
from flowfabric._valkey import START_TIMEOUT_S, ValkeyServer, read_fields, wait_until
from flowfabric.testing import AnyValkey
from tests.valkey_cluster import is_in_step

from .engine import PARTITIONS, Engine, code_of, new


def libraries(valkey: AnyValkey) -> set[str]:
    """Names of the loaded libraries."""
    reply = valkey.call("FUNCTION", "LIST")
    assert isinstance(reply, list)
    return {
        str(entry[1], "ascii") for entry in reply if isinstance(entry, list) and isinstance(entry[1], bytes)
    }


def another_release() -> Library:
    """This library with a comment more, named by its content."""
    ours = assemble()
    name = "ff_" + hashlib.sha256(b"another").hexdigest()[:12]
    return Library(name, ours.code.replace(ours.name, name) + "\n-- of another release\n", ours.functions)


@pytest.fixture
async def other(store_settings: ServiceSettings) -> AsyncIterator[StoreClient]:
    """A client of another release."""
    client = StoreClient(Endpoint(store_settings.host, store_settings.port), another_release())
    yield client
    client.close()


def settings_of(valkey: AnyValkey, **over: object) -> ServiceSettings:
    base: dict[str, object] = {"host": valkey.host, "port": valkey.port, "partitions": PARTITIONS}
    return ServiceSettings.model_validate(base | over)


# The library.


async def test_a_library_that_vanished_is_loaded_by_the_next_call(
    engine: Engine, engine_valkey: AnyValkey
) -> None:
    execution_id = await engine.create()
    engine_valkey.call("FUNCTION", "FLUSH")

    record = await engine.describe(execution_id)

    assert record.state is State.WAITING
    assert libraries(engine_valkey) == {assemble().name}


async def test_many_calls_at_once_survive_a_vanished_library(
    engine: Engine, engine_valkey: AnyValkey
) -> None:
    engine_valkey.call("FUNCTION", "FLUSH")

    made = await asyncio.gather(*(engine.create(number % PARTITIONS) for number in range(200)))

    assert len(set(made)) == 200


async def test_two_releases_live_side_by_side(
    engine: Engine, other: StoreClient, engine_valkey: AnyValkey
) -> None:
    execution_id = await engine.create()

    theirs = await other.fcall("execution_describe", keys.anchor(0), "", "", execution_id)

    assert isinstance(theirs, list)
    assert theirs[0][0] == execution_id.encode()
    assert libraries(engine_valkey) == {assemble().name, another_release().name}
    assert (await engine.describe(execution_id)).state is State.WAITING


async def test_a_pruning_spares_the_libraries_of_the_living(
    backend: ValkeyBackend, other: StoreClient, engine_valkey: AnyValkey
) -> None:
    await other.load_library()
    await backend.member_beat("gateway", Member("g1", "host:1"), 60_000, another_release().name)
    await backend.member_beat("scheduler", Member("s1", "host:2"), 60_000, backend.library)

    assert await backend.prune_libraries() == []
    assert libraries(engine_valkey) == {backend.library, another_release().name}

    await backend.member_beat("gateway", Member("g1", "host:1"), 0, "")

    assert await backend.prune_libraries() == [another_release().name]
    assert libraries(engine_valkey) == {backend.library}


async def test_a_pruning_never_deletes_its_own_library_or_a_strangers(
    backend: ValkeyBackend, engine_valkey: AnyValkey
) -> None:
    engine_valkey.call(
        "FUNCTION", "LOAD", "REPLACE",
        "#!lua name=strangers\nredis.register_function('strangers_f', function() return 1 end)",
    )  # fmt: skip

    assert await backend.prune_libraries() == []
    assert libraries(engine_valkey) == {backend.library, "strangers"}

    engine_valkey.call("FUNCTION", "DELETE", "strangers")


# The connection.


@pytest.fixture
async def durable(durable_valkey: ValkeyServer) -> AsyncIterator[Engine]:
    """The engine on a Valkey of the test's own, with every write on disk at once."""
    durable_valkey.call("CONFIG", "SET", "appendfsync", "always")
    backend = await open_backend(settings_of(durable_valkey))
    yield Engine(backend)
    await backend.close()


async def test_calls_in_flight_survive_a_killed_and_restarted_valkey(
    durable: Engine, durable_valkey: ValkeyServer
) -> None:
    items = [new(number % PARTITIONS) for number in range(400)]
    calls = [asyncio.ensure_future(durable.create_many(item)) for item in items[:200]]
    await asyncio.sleep(0)  # written to the socket, not answered

    durable_valkey.kill()
    calls += [asyncio.ensure_future(durable.create_many(item)) for item in items[200:]]
    durable_valkey.launch()
    made = [one for call in calls for one in await call]

    assert made == [item.execution_id for item in items]
    page = await durable.backend.execution_list(ListQuery("default", page_size=1000))
    assert {record.execution_id for record in page.records} == set(made)


async def test_an_answered_outcome_is_there_after_the_restart(
    durable: Engine, durable_valkey: ValkeyServer
) -> None:
    lease = await durable.hold()
    assert await durable.complete(lease) == ["completed"]

    durable_valkey.kill()
    durable_valkey.launch()

    assert await durable.complete(lease) == ["completed"]
    assert await durable.backend.execution_result(lease.split(b":")[0].decode()) == b"result"


async def test_a_claim_is_not_repeated_when_the_connection_breaks(
    durable: Engine, durable_valkey: ValkeyServer
) -> None:
    await durable.create()
    durable_valkey.kill()

    with pytest.raises(EngineError) as refused:
        await durable.claim()

    assert refused.value.code is ErrorCode.STORE_UNAVAILABLE
    assert refused.value.retry_after_ms > 0


@pytest.fixture
async def hasty(durable_valkey: ValkeyServer) -> AsyncIterator[Engine]:
    """The engine on a Valkey of the test's own, which is soon taken for stopped."""
    backend = await open_backend(settings_of(durable_valkey, store_timeout_ms=1000))
    yield Engine(backend)
    await backend.close()


async def test_calls_on_a_stopped_valkey_are_repeated_until_it_goes_on(
    hasty: Engine, durable_valkey: ValkeyServer
) -> None:
    await hasty.create()
    os.kill(durable_valkey.pid, signal.SIGSTOP)
    items = [new(number % PARTITIONS) for number in range(1, 100)]
    calls = [asyncio.ensure_future(hasty.create_many(item)) for item in items]

    with pytest.raises(EngineError, match="nothing came back") as refused:
        await hasty.claim()
    assert refused.value.code is ErrorCode.STORE_UNAVAILABLE
    os.kill(durable_valkey.pid, signal.SIGCONT)

    assert [one for call in calls for one in await call] == [item.execution_id for item in items]
    page = await hasty.backend.execution_list(ListQuery("default", page_size=1000))
    assert len(page.records) == 100, "none is lost, none is there twice"


async def test_a_stopped_valkey_ends_the_patience_of_a_call(durable_valkey: ValkeyServer) -> None:
    endpoint = Endpoint(durable_valkey.host, durable_valkey.port, timeout_s=1)
    client = StoreClient(endpoint, assemble(), patience_s=0)
    assert await client.fcall("queue_ready", keys.anchor(0)) == []
    os.kill(durable_valkey.pid, signal.SIGSTOP)

    with pytest.raises(EngineError) as refused:
        await client.fcall("queue_ready", keys.anchor(0))

    assert refused.value.code is ErrorCode.STORE_UNAVAILABLE
    client.close()
    os.kill(durable_valkey.pid, signal.SIGCONT)


async def test_patience_ends(durable_valkey: ValkeyServer) -> None:
    client = StoreClient(Endpoint(durable_valkey.host, durable_valkey.port), assemble(), patience_s=0)
    assert await client.fcall("queue_ready", keys.anchor(0)) == []
    durable_valkey.kill()

    with pytest.raises(EngineError) as refused:
        await client.fcall("queue_ready", keys.anchor(0))

    assert refused.value.code is ErrorCode.STORE_UNAVAILABLE
    client.close()


async def test_cancelled_callers_do_not_disturb_the_replies_of_others(engine: Engine) -> None:
    ids = await engine.create_many(*(new(number % PARTITIONS, kind=f"k{number}") for number in range(64)))
    calls = [asyncio.ensure_future(engine.describe(one)) for one in ids * 10]
    await asyncio.sleep(0)

    for call in calls[::3]:
        call.cancel()
    replies = await asyncio.gather(*calls, return_exceptions=True)

    for place, reply in enumerate(replies):
        if place % 3 == 0:
            assert isinstance(reply, asyncio.CancelledError)
        else:
            assert not isinstance(reply, BaseException)
            assert (reply.execution_id, reply.text("kind")) == (ids[place % 64], f"k{place % 64}")


async def test_a_caller_cancelled_while_connecting_does_not_cancel_the_others(
    store_settings: ServiceSettings,
) -> None:
    client = StoreClient(Endpoint(store_settings.host, store_settings.port), assemble())
    first, second = (asyncio.ensure_future(client.fcall("queue_ready", keys.anchor(0))) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()

    assert await second == []
    client.close()


async def test_a_refresh_while_connecting_cancels_nobody(store_settings: ServiceSettings) -> None:
    client = StoreClient(Endpoint(store_settings.host, store_settings.port), assemble())
    calls = [asyncio.ensure_future(client.fcall("queue_ready", keys.anchor(0))) for _ in range(3)]
    await asyncio.sleep(0)

    await client.topology.refresh()

    assert await asyncio.gather(*calls) == [[]] * 3
    client.close()


async def test_many_calls_of_one_turn_keep_their_replies_apart(engine: Engine) -> None:
    payloads = [bytes([number % 256]) * number * 100 for number in range(300)]

    ids = await asyncio.gather(
        *(engine.create(number % PARTITIONS, payload=payload) for number, payload in enumerate(payloads))
    )
    records = await asyncio.gather(*(engine.describe(one) for one in ids))

    assert [record.payload for record in records] == payloads


# Starting.


async def test_another_number_of_partitions_refuses_to_start(backend: ValkeyBackend) -> None:
    endpoint = backend.client.topology
    [node] = await endpoint.nodes()

    with pytest.raises(EngineError, match=f"FF_PARTITIONS=9, but this Valkey was started with {PARTITIONS}"):
        await open_backend(
            ServiceSettings(host=node.endpoint.host, port=node.endpoint.port, partitions=PARTITIONS + 1)
        )


async def warnings_of(settings: ServiceSettings) -> list[tuple[str, str]]:
    with structlog.testing.capture_logs() as lines:
        backend = await open_backend(settings)
        await backend.close()
    return [(line["setting"], line["found"]) for line in lines if line["event"] == "valkey_config_unsafe"]


async def test_a_valkey_that_may_lose_or_evict_is_warned_of(durable_valkey: ValkeyServer) -> None:
    assert await warnings_of(settings_of(durable_valkey)) == []

    durable_valkey.call("CONFIG", "SET", "appendonly", "no")
    durable_valkey.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")

    assert await warnings_of(settings_of(durable_valkey)) == [
        ("appendonly", "no"),
        ("maxmemory-policy", "allkeys-lru"),
    ]


async def test_a_password_is_shown_and_a_wrong_one_refused(durable_valkey: ValkeyServer) -> None:
    durable_valkey.call("CONFIG", "SET", "requirepass", "hunter2")

    backend = await open_backend(settings_of(durable_valkey, password="hunter2"))
    await backend.ping()
    await backend.close()

    for wrong in ("", "hunter3"):
        with pytest.raises(EngineError):
            await open_backend(settings_of(durable_valkey, password=wrong))


# Replicas.


async def test_an_outcome_without_its_replica_is_not_acknowledged(
    backend: ValkeyBackend, store_settings: ServiceSettings
) -> None:
    lease = await Engine(backend).hold()
    careful = await open_backend(
        store_settings.model_copy(update={"wait_replicas": 1, "wait_replicas_timeout_ms": 1})
    )

    with pytest.raises(EngineError, match="0 of 1 replicas have it") as refused:
        await Engine(careful).complete(lease)

    assert refused.value.code is ErrorCode.STORE_UNAVAILABLE
    assert await Engine(backend).complete(lease) == ["completed"], "the repeat gets the first answer"
    await careful.close()


async def test_nothing_that_others_rely_on_is_acknowledged_without_its_replica(
    backend: ValkeyBackend, store_settings: ServiceSettings
) -> None:
    lease = await Engine(backend).hold()
    careful = await open_backend(
        store_settings.model_copy(update={"wait_replicas": 1, "wait_replicas_timeout_ms": 1})
    )
    execution_id = lease.split(b":")[0].decode()
    ended = await Engine(backend).hold()
    await Engine(backend).complete(ended)
    entry = JournalEntry("1", "step", "plan", "done", b"")
    for call in (
        careful.execution_tag(execution_id, {"team": "a"}),
        careful.execution_reprioritize(execution_id, 5),
        careful.execution_replay(ended.split(b":")[0].decode()),
        careful.journal_record([(lease, [entry])], 10, 1000),
        careful.waitpoint_create(lease, NewWaitpoint("go", ttl_ms=60_000), "k1", ""),
        careful.output_append(lease, [NewFrame(1, 1, b"durable")]),
        careful.output_append(lease, [NewFrame(2, 5, b"{}", FrameClass.SUMMARY)]),
        careful.keyring_swap(0, 1, b"sealed"),
        careful.execution_cancel([execution_id], "", 60_000),
    ):
        with pytest.raises(EngineError, match="0 of 1 replicas have it"):
            await call

    fleeting = await careful.output_append(lease, [NewFrame(3, 1, b"tick", FrameClass.BEST_EFFORT)])

    assert (fleeting.through, fleeting.error) == (3, None)
    [created] = await careful.execution_create([new()])
    assert isinstance(created, EngineError), "refused item by item"
    assert "0 of 1 replicas have it" in str(created)
    with pytest.raises(EngineError, match="0 of 1 replicas have it"):
        await careful.lease_revoke(execution_id)
    await careful.close()


async def test_calls_of_one_moment_wait_for_replicas_once(
    store_settings: ServiceSettings, engine_valkey: AnyValkey
) -> None:
    careful = await open_backend(
        store_settings.model_copy(update={"wait_replicas": 1, "wait_replicas_timeout_ms": 1})
    )

    def waits() -> int:
        fields = read_fields(engine_valkey.host, engine_valkey.port, "INFO", "commandstats")
        return int(fields.get("cmdstat_wait", "calls=0").split(",")[0].removeprefix("calls="))

    await careful.execution_create([new()])
    before = waits()
    results = await asyncio.gather(*(careful.execution_create([new()]) for _ in range(50)))

    assert all(isinstance(result, EngineError) for [result] in results)
    assert waits() == before + 1
    await careful.close()


@pytest.fixture
def replica(durable_valkey: ValkeyServer) -> Iterator[ValkeyServer]:
    """A replica of `durable_valkey`."""
    primary = f"{durable_valkey.host} {durable_valkey.port}"
    options = ("--replicaof", primary, "--repl-diskless-sync-delay", "0")
    durable_valkey.call("CONFIG", "SET", "repl-diskless-sync-delay", 0)
    with ValkeyServer(append_only=False, options=options) as server:
        wait_until(lambda: is_in_step(server), START_TIMEOUT_S, lambda: "the replica does not follow")
        yield server


async def test_an_outcome_with_its_replica_is_acknowledged(
    durable_valkey: ValkeyServer, replica: ValkeyServer
) -> None:
    careful = await open_backend(
        settings_of(durable_valkey, wait_replicas=1, wait_replicas_timeout_ms=30_000)
    )
    lease = await Engine(careful).hold()

    assert await Engine(careful).complete(lease) == ["completed"]

    key = f"{keys.partition_prefix(0)}result:{lease.split(b':')[0].decode()}"
    assert replica.call("GET", key) == b"result"
    await careful.close()


async def test_a_repeat_through_another_process_is_not_acknowledged_either(
    durable_valkey: ValkeyServer, replica: ValkeyServer
) -> None:
    first, second, patient = [
        await open_backend(settings_of(durable_valkey, wait_replicas=1, wait_replicas_timeout_ms=timeout))
        for timeout in (1, 1, 30_000)
    ]
    lease = await Engine(patient).hold()
    os.kill(replica.pid, signal.SIGSTOP)
    for hasty in (first, second):
        with pytest.raises(EngineError, match="0 of 1 replicas have it"):
            await Engine(hasty).complete(lease)

    os.kill(replica.pid, signal.SIGCONT)
    assert await Engine(patient).complete(lease) == ["completed"]
    for backend in (first, second, patient):
        await backend.close()


# Submissions.


async def test_a_bulk_keeps_its_order_over_partitions_and_batches(engine: Engine) -> None:
    items = [new(number * 7 % PARTITIONS, kind=f"k{number}") for number in range(3000)]

    made = await engine.create_many(*items)

    assert made == [item.execution_id for item in items]
    assert (await engine.describe(made[1777])).text("kind") == "k1777"


@pytest.mark.parametrize("key", ["", "order-1"])
async def test_the_same_call_again_makes_nothing_new(engine: Engine, key: str) -> None:
    item = new(idempotency_key=key)
    [first] = await engine.backend.execution_create([item])
    [again] = await engine.backend.execution_create([item])

    assert first == again


async def test_a_repeat_with_its_key_gets_the_first_id(engine: Engine) -> None:
    first, second = (new(idempotency_key="order-1", payload=b"p") for _ in range(2))

    made = await engine.backend.execution_create([first, second])

    assert made == [Created(first.execution_id, False), Created(first.execution_id, True)]


async def test_a_key_with_other_content_is_a_conflict_that_names_the_first(engine: Engine) -> None:
    first, other = new(idempotency_key="order-1"), new(idempotency_key="order-1", payload=b"other")

    _, refused = await engine.backend.execution_create([first, other])

    assert isinstance(refused, EngineError)
    assert refused.code is ErrorCode.IDEMPOTENCY_CONFLICT
    assert refused.metadata == {"execution_id": first.execution_id}


async def test_a_key_is_kept_apart_by_namespace(engine: Engine) -> None:
    items = [new(idempotency_key="k", namespace=namespace) for namespace in ("one", "two")]

    assert await engine.create_many(*items) == [item.execution_id for item in items]


async def test_a_key_is_remembered_for_its_time(engine: Engine, engine_valkey: AnyValkey) -> None:
    await engine.create(idempotency_key="order-1", idempotency_ttl_ms=500_000)
    key = f"{keys.partition_prefix(0)}idempotency:default/order-1"

    left = engine_valkey.call("PTTL", key)
    engine_valkey.call("PEXPIRE", key, 0)
    again = await engine.create(idempotency_key="order-1", payload=b"other")

    assert isinstance(left, int)
    assert 0 < left <= 500_000
    assert (await engine.describe(again)).payload == b"other"


async def test_a_bulk_cancel_answers_each_id(engine: Engine) -> None:
    waiting = await engine.create(1)
    active = (await engine.hold(2)).split(b":")[0].decode()
    unknown = new(3).execution_id

    answers = await engine.backend.execution_cancel(
        [unknown, active, "nonsense", waiting, waiting], "why", 60_000
    )

    codes = [code_of(one) if isinstance(one, EngineError) else one for one in answers]
    assert codes == [
        "EXECUTION_NOT_FOUND", State.ACTIVE, "EXECUTION_NOT_FOUND", State.CANCELLED, State.CANCELLED,
    ]  # fmt: skip


async def test_outcomes_of_many_partitions_are_answered_in_their_order(engine: Engine) -> None:
    leases = [await engine.hold(number % PARTITIONS) for number in range(20)]
    stale = leases[3][:-3] + b"zzz"

    answers = await engine.complete(*leases, stale, b"nonsense")

    assert answers == ["completed"] * 20 + [ErrorCode.LEASE_STALE, ErrorCode.INVALID_ARGUMENT]
