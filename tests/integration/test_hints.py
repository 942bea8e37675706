"""Wake-up hints: heard once subscribed, subscribed again after a loss, and the loss is told."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from ff_core import keys
from ff_core.settings import ServiceSettings
from ff_core.store.backend import ValkeyBackend, open_backend
from ff_core.worker import Pool, WorkerRecord
from flowfabric._valkey import ValkeyServer
from flowfabric.testing import AnyValkey

from .engine import PARTITIONS, Engine, eventually


class Ear:
    """A listener that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def __call__(self, message: bytes) -> None:
        self.heard.put_nowait(message)


class Gaps:
    """Counts the gaps it is told of."""

    def __init__(self, backend: ValkeyBackend) -> None:
        self._told = asyncio.Event()
        backend.hints.on_gap(self._told.set)

    async def next(self) -> None:
        await self._told.wait()
        self._told.clear()


async def listening(backend: ValkeyBackend) -> None:
    """Returns when the socket for hints is open: from then on `listen` waits for its confirmation."""
    gaps = Gaps(backend)
    await backend.hints.listen("ff:test:opening", Ear(), sharded=False)
    await gaps.next()


def subscribers(valkey: AnyValkey, channel: str) -> int:
    reply = valkey.call("PUBSUB", "SHARDNUMSUB", channel)
    assert isinstance(reply, list)
    return int(str(reply[1]))


async def test_what_is_confirmed_is_heard(engine: Engine, engine_valkey: AnyValkey) -> None:
    await listening(engine.backend)
    wake, ear = keys.wake_channel(0), Ear()

    await engine.backend.hints.listen(wake, ear)
    assert subscribers(engine_valkey, wake) == 1
    await engine.create()

    assert (await ear.heard.get()).endswith(b" default/main/")


async def test_hundreds_of_channels_share_one_socket(engine: Engine, engine_valkey: AnyValkey) -> None:
    await listening(engine.backend)
    ears = {f"{keys.partition_prefix(number % PARTITIONS)}test:{number}": Ear() for number in range(300)}
    before = engine_valkey.call("INFO", "clients")
    await asyncio.gather(*(engine.backend.hints.listen(channel, ear) for channel, ear in ears.items()))

    for channel in ears:
        engine_valkey.call("SPUBLISH", channel, channel)

    assert [await ear.heard.get() for ear in ears.values()] == [channel.encode() for channel in ears]
    assert isinstance(before, bytes)
    after = engine_valkey.call("INFO", "clients")
    assert isinstance(after, bytes)
    assert before.splitlines()[1] == after.splitlines()[1]


async def test_many_listeners_of_a_channel_are_one_subscription(
    engine: Engine, engine_valkey: AnyValkey
) -> None:
    await listening(engine.backend)
    wake, ears = keys.wake_channel(0), [Ear(), Ear()]
    for ear in ears:
        await engine.backend.hints.listen(wake, ear)
    assert subscribers(engine_valkey, wake) == 1

    await engine.create()

    assert await ears[0].heard.get() == await ears[1].heard.get()


async def test_a_channel_that_nobody_listens_to_is_given_up(engine: Engine, engine_valkey: AnyValkey) -> None:
    await listening(engine.backend)
    wake, ear, stays = keys.wake_channel(0), Ear(), Ear()
    await engine.backend.hints.listen(wake, ear)
    await engine.backend.hints.listen(wake, stays)

    engine.backend.hints.forget(wake, ear)
    await engine.create()
    await stays.heard.get()
    assert ear.heard.empty()

    engine.backend.hints.forget(wake, stays)
    engine.backend.hints.forget(wake, stays)

    async def is_given_up() -> bool:
        return subscribers(engine_valkey, wake) == 0

    await eventually(is_given_up)


async def test_a_superseded_worker_is_told_at_its_gateway(backend: ValkeyBackend) -> None:
    await listening(backend)
    ear = Ear()
    await backend.hints.listen(keys.gateway_channel("g1"), ear, sharded=False)

    for session, gateway in (("s1", "g1"), ("s2", "g2")):
        pools = (Pool(("a",), frozenset(), 1),)
        worker = WorkerRecord("w", session, gateway, "default", "", "", pools, (0,), 0, 0, False)
        await backend.worker_open(worker, 60_000)

    assert (await ear.heard.get()).split() == [b"superseded", b"w", b"s1"]


@pytest.fixture
async def durable(durable_valkey: ValkeyServer) -> AsyncIterator[Engine]:
    """The engine on a Valkey of the test's own."""
    host, port = durable_valkey.host, durable_valkey.port
    backend = await open_backend(ServiceSettings(host=host, port=port, partitions=PARTITIONS))
    yield Engine(backend)
    await backend.close()


@pytest.fixture
async def hasty(durable_valkey: ValkeyServer) -> AsyncIterator[Engine]:
    """The same, but Valkey is soon taken for stopped."""
    host, port = durable_valkey.host, durable_valkey.port
    backend = await open_backend(
        ServiceSettings(host=host, port=port, partitions=PARTITIONS, store_timeout_ms=1000)
    )
    yield Engine(backend)
    await backend.close()


async def test_channels_are_subscribed_again_after_a_restart(
    durable: Engine, durable_valkey: ValkeyServer
) -> None:
    await listening(durable.backend)
    sharded, plain, gaps = Ear(), Ear(), Gaps(durable.backend)
    await durable.backend.hints.listen(keys.wake_channel(3), sharded)
    await durable.backend.hints.listen(keys.WORKERS_CHANNEL, plain, sharded=False)

    durable_valkey.kill()
    durable_valkey.launch()
    await gaps.next()
    await durable.create(3)
    durable_valkey.call("PUBLISH", keys.WORKERS_CHANNEL, "opened")

    assert (await sharded.heard.get()).endswith(b" default/main/")
    assert await plain.heard.get() == b"opened"


async def test_channels_are_subscribed_again_after_a_stop_that_closed_nothing(
    hasty: Engine, durable_valkey: ValkeyServer
) -> None:
    await listening(hasty.backend)
    before, later, gaps = Ear(), Ear(), Gaps(hasty.backend)
    await hasty.backend.hints.listen(keys.wake_channel(3), before)

    os.kill(durable_valkey.pid, signal.SIGSTOP)
    await gaps.next()  # the socket was given up, and so was one that opened since
    await hasty.backend.hints.listen(keys.wake_channel(4), later)
    os.kill(durable_valkey.pid, signal.SIGCONT)

    async def hear_both() -> bool:  # gaps are told of sockets that were given up as well
        for partition in (3, 4):  # only the first in a queue is news
            await hasty.backend.execution_cancel([await hasty.create(partition)], "", 0)
        return not before.heard.empty() and not later.heard.empty()

    await eventually(hear_both)
    assert (await before.heard.get()).endswith(b" default/main/")
    assert (await later.heard.get()).endswith(b" default/main/")


async def test_what_is_asked_for_while_valkey_is_away_is_subscribed_later(
    durable: Engine, durable_valkey: ValkeyServer
) -> None:
    await listening(durable.backend)
    gaps, ear, forgotten = Gaps(durable.backend), Ear(), Ear()
    wake = keys.wake_channel(0)
    await durable.backend.hints.listen(keys.wake_channel(1), forgotten)
    durable_valkey.kill()

    await durable.backend.hints.listen(wake, ear)
    durable.backend.hints.forget(keys.wake_channel(1), forgotten)
    durable_valkey.launch()
    await gaps.next()
    await durable.create(0)

    assert (await ear.heard.get()).endswith(b" default/main/")
    assert subscribers(durable_valkey, keys.wake_channel(1)) == 0


async def test_a_gap_listener_that_left_is_not_called(durable: Engine, durable_valkey: ValkeyServer) -> None:
    await listening(durable.backend)
    calls: list[str] = []

    def gone() -> None:
        calls.append("gone")

    durable.backend.hints.on_gap(gone)
    durable.backend.hints.off_gap(gone)
    gaps = Gaps(durable.backend)

    durable_valkey.restart()
    await gaps.next()

    assert calls == []


async def test_a_channel_that_is_forgotten_and_wanted_again_at_once_is_confirmed_and_heard(
    engine: Engine, engine_valkey: AnyValkey
) -> None:
    await listening(engine.backend)
    hints, wake = engine.backend.hints, keys.wake_channel(0)
    for _ in range(20):
        early, late = Ear(), Ear()
        await hints.listen(wake, early)
        hints.forget(wake, early)
        async with asyncio.timeout(30):
            await hints.listen(wake, late)
        engine_valkey.call("SPUBLISH", wake, "news")
        assert await late.heard.get() == b"news"
        hints.forget(wake, late)


async def test_who_listens_twice_to_one_channel_at_once_is_confirmed_twice(engine: Engine) -> None:
    await listening(engine.backend)
    hints, wake = engine.backend.hints, keys.wake_channel(0)
    ears = [Ear() for _ in range(3)]
    listens = []
    for ear in ears:
        listens.append(asyncio.create_task(hints.listen(wake, ear)))
        await asyncio.wait({listens[-1]}, timeout=0)
        hints.forget(wake, ear)
    async with asyncio.timeout(30):
        await asyncio.gather(*listens)


async def test_all_who_listen_at_one_moment_are_told_only_when_it_is_confirmed(
    engine: Engine, engine_valkey: AnyValkey
) -> None:
    await listening(engine.backend)
    channel = keys.news_channel(0)

    ears = [Ear(), Ear()]
    for done in asyncio.as_completed([engine.backend.hints.listen(channel, ear) for ear in ears]):
        await done
        assert subscribers(engine_valkey, channel) == 1
