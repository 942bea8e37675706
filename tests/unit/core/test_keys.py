"""The two places that spell keys agree: what Python expects is what the rules write."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_core import keys
from ff_lua import assemble
from tests.lua.harness.engines import LuaEngine
from tests.lua.harness.scenario import Scenario

PARTITION = 7


@pytest.fixture(scope="module")
def loaded_engine() -> Iterator[LuaEngine]:
    engine = LuaEngine(assemble())
    yield engine
    engine.close()


@pytest.fixture
def engine(loaded_engine: LuaEngine) -> LuaEngine:
    loaded_engine.reset()
    return loaded_engine


@pytest.fixture
def scenario(engine: LuaEngine) -> Scenario:
    return Scenario(engine, PARTITION)


def published(engine: LuaEngine) -> dict[str, bytes]:
    return {channel.decode(): message for channel, message in engine.published}


def written(engine: LuaEngine) -> list[str]:
    return [key.decode() for key in engine.all_keys()]


def test_the_anchor_is_the_index_of_all_executions(scenario: Scenario, engine: LuaEngine) -> None:
    execution_id = scenario.create()

    reply = engine.command("ZRANGE", keys.anchor(PARTITION), 0, -1)

    assert reply == [execution_id.encode()]


def test_every_key_of_a_partition_begins_with_its_prefix(scenario: Scenario, engine: LuaEngine) -> None:
    grant = scenario.hold(
        idempotency="default/key",
        tags={"area.name": "value"},
        deadline_ms=10_000,
        attempt_timeout_ms=1000,
        payload=b"payload",
    )
    scenario.call("output_append", grant.lease, 1, 1, 1, b"frame")
    scenario.fail(grant.lease)
    scenario.call("execution_create", *scenario.item(delay_until_ms=engine.now_ms + 1000))
    scenario.complete(scenario.hold().lease)
    scenario.create(queue=keys.queue("default", "other", "gpu"))

    kinds = {key.removeprefix(keys.partition_prefix(PARTITION)).partition(":")[0] for key in written(engine)}
    assert all(key.startswith(keys.partition_prefix(PARTITION)) for key in written(engine))
    assert kinds >= {
        "attempt_timeout", "completed", "deadline", "delayed", "events", "execution", "executions", "history",
        "idempotency", "lanes", "output", "payload", "queue", "ready", "result", "tag", "tags",
    } - {"attempt_timeout"}  # fmt: skip


def test_a_queue_lives_under_its_name(scenario: Scenario, engine: LuaEngine) -> None:
    name = keys.queue("team", "lane", "cuda,gpu")
    scenario.create(queue=name)

    assert f"{keys.partition_prefix(PARTITION)}queue:{name}" in written(engine)
    assert keys.parse_queue(name) == ("team", "lane", "cuda,gpu")


def test_wake_ups_go_to_the_wake_channel(scenario: Scenario, engine: LuaEngine) -> None:
    scenario.create(queue="default/main/")

    score, _, queue = published(engine)[keys.wake_channel(PARTITION)].decode().partition(" ")

    assert queue == "default/main/"
    assert float(score) == engine.now_ms


def test_what_changed_is_told_on_the_news_channel(scenario: Scenario, engine: LuaEngine) -> None:
    execution_id = scenario.create()

    assert published(engine)[keys.news_channel(PARTITION)] == execution_id.encode()


def test_the_holder_is_told_on_its_gateways_channel(scenario: Scenario, engine: LuaEngine) -> None:
    grant = scenario.hold()
    scenario.call("lease_revoke", grant.id, "")

    told = published(engine)[keys.gateway_channel("gateway-1")]

    assert told == f"lost {grant.lease} LEASE_REVOKED".encode()


def test_workers_are_where_python_looks_for_them(engine: LuaEngine) -> None:
    engine.call("worker_open", [keys.WORKERS], ["worker-1", "session-1", "gateway-1", 1000, "sdk", "x"])

    prefix = keys.WORKERS.removesuffix("workers")
    assert written(engine) == [f"{prefix}worker:worker-1", keys.WORKERS]
    assert published(engine)[keys.WORKERS_CHANNEL] == b"opened"


def test_a_superseded_session_is_told_on_its_gateways_channel(engine: LuaEngine) -> None:
    engine.call("worker_open", [keys.WORKERS], ["w", "old", "gateway-1", 1000, "sdk", "x"])
    engine.call("worker_open", [keys.WORKERS], ["w", "new", "gateway-2", 1000, "sdk", "x"])

    assert published(engine)[keys.gateway_channel("gateway-1")].split() == [b"superseded", b"w", b"old"]


def test_members_and_their_libraries_are_where_python_looks_for_them(engine: LuaEngine) -> None:
    key = keys.members("scheduler")
    engine.call("member_beat", [key], ["scheduler-1", 1000, "host:1", "ff_abc"])

    assert written(engine) == [key, f"{key}:addresses", f"{key}:libraries"]
    assert engine.command("HVALS", f"{key}:libraries") == [b"ff_abc"]


def test_the_number_of_partitions_is_kept_in_the_config(engine: LuaEngine) -> None:
    engine.call("partitions_fix", [keys.CONFIG], [16])

    assert engine.command("HGET", keys.CONFIG, "partitions") == b"16"


NAME = st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)


@given(NAME, NAME, st.text().filter(lambda text: "\x00" not in text))
def test_a_queue_name_is_read_back(namespace: str, lane: str, class_name: str) -> None:
    assert keys.parse_queue(keys.queue(namespace, lane, class_name)) == (namespace, lane, class_name)
