"""The picture of the live workers: how fresh it is, who shares its reading, and whom its changes wake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from ff_core import keys
from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode
from ff_core.worker import Pool, WorkerRecord
from ff_gateway import workforce
from ff_gateway.workforce import Workforce

PLAIN, GPU = keys.queue("default", "main", ""), keys.queue("default", "main", "gpu")


class Store:
    """A registry of workers, and the channel of those that come and go."""

    def __init__(self) -> None:
        self.hints = self
        self.workers: dict[str, WorkerRecord] = {}
        self.readings = 0
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self._tell: Callable[[bytes], None] = print
        self.tell_gap: Callable[[], None] = print

    async def listen(self, channel: str, listener: Callable[[bytes], None], *, sharded: bool) -> None:
        assert (channel, sharded) == (keys.WORKERS_CHANNEL, False)
        self._tell = listener

    def on_gap(self, listener: Callable[[], None]) -> None:
        self.tell_gap = listener

    async def worker_list(self, after: str, _limit: int) -> list[WorkerRecord]:
        self.readings += 1
        found = [self.workers[name] for name in sorted(self.workers) if name > after]
        await self.gate.wait()
        if self.is_away:
            raise EngineError(ErrorCode.STORE_UNAVAILABLE)
        return found

    def come(self, name: str, *capabilities: str, draining: bool = False) -> None:
        pools = (Pool(("main",), frozenset(capabilities), 4),)
        self.workers[name] = WorkerRecord(
            name, "s", "g", "default", "", "", pools, (0,), 0, 0, draining=draining
        )
        self._tell(b"opened")

    def go(self, name: str) -> None:
        del self.workers[name]
        self._tell(b"closed")


class Watchers:
    """Counts how often they are woken."""

    def __init__(self) -> None:
        self.is_empty = False
        self.woken = 0
        self.when_woken: Callable[[], object] = int

    def wake_all(self) -> None:
        self.woken += 1
        self.when_woken()


class Play:
    """A workforce that is told of workers."""

    def __init__(self) -> None:
        self.store, self.watchers = Store(), Watchers()
        self.subject = Workforce(cast("EngineBackend", self.store), self.watchers)


@pytest.fixture
async def play(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Play]:
    monkeypatch.setattr(workforce, "PAUSE_S", 0)
    made = Play()
    await made.subject.listen()
    running = asyncio.ensure_future(made.subject.run())
    yield made
    running.cancel()


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_watchers_are_woken_by_the_first_of_a_kind_and_by_the_last(play: Play) -> None:
    for name, woken in (("one", 1), ("two", 1), ("three", 1)):
        play.store.come(name, "gpu")
        await turns()
        assert play.watchers.woken == woken
    assert play.subject.has_capable_worker(GPU)

    for name, woken in (("one", 1), ("two", 1), ("three", 2)):
        play.store.go(name)
        await turns()
        assert play.watchers.woken == woken
    assert not play.subject.has_capable_worker(GPU)


async def test_a_worker_that_drains_is_none_that_could(play: Play) -> None:
    play.store.come("one", "gpu")
    await turns()

    play.store.come("one", "gpu", draining=True)
    await turns()

    assert play.watchers.woken == 2
    assert not play.subject.has_capable_worker(PLAIN)


async def test_while_nobody_watches_nothing_is_read_until_somebody_asks(play: Play) -> None:
    play.watchers.is_empty = True
    play.store.come("one")
    await turns()
    assert play.store.readings == 0

    assert [worker.worker_id for worker in await play.subject.workers()] == ["one"]
    await play.subject.workers()
    assert play.store.readings == 1


async def test_a_gap_is_news_too(play: Play) -> None:
    await play.subject.workers()
    play.store.workers["one"] = WorkerRecord(
        "one", "s", "g", "default", "", "", (Pool(("main",), frozenset(), 1),), (0,), 0, 0, draining=False
    )

    play.store.tell_gap()
    await turns()

    assert play.watchers.woken == 1


async def test_news_during_a_reading_is_read_after_it(play: Play) -> None:
    play.store.gate.clear()
    play.store.come("one")
    await turns()
    play.store.come("two", "gpu")
    asked = asyncio.ensure_future(play.subject.workers())
    await turns()
    assert play.store.readings == 1

    play.store.gate.set()

    assert [worker.worker_id for worker in await asked] == ["one", "two"]
    await turns()
    assert play.watchers.woken == 2
    assert play.store.readings == 2


async def test_who_asks_at_the_very_end_of_a_reading_that_is_too_old_has_another(play: Play) -> None:
    asked: list[asyncio.Task[list[WorkerRecord]]] = []

    def ask_after_more_news() -> None:
        play.watchers.when_woken = int
        play.store.come("two")
        asked.append(asyncio.ensure_future(play.subject.workers()))

    play.watchers.when_woken = ask_after_more_news
    play.store.come("one")
    await turns()

    assert [worker.worker_id for worker in await asked[0]] == ["one", "two"]


async def test_many_who_ask_share_one_reading_and_survive_who_gives_up(play: Play) -> None:
    play.store.gate.clear()
    asking = [asyncio.ensure_future(play.subject.workers()) for _ in range(10)]
    await turns()

    asking[0].cancel()
    play.store.gate.set()

    assert await asyncio.gather(*asking[1:]) == [[]] * 9
    assert play.store.readings == 1


async def test_what_could_not_be_read_is_read_later(play: Play) -> None:
    play.store.is_away = True
    with pytest.raises(EngineError):
        await play.subject.workers()
    play.store.come("one")
    await turns()

    play.store.is_away = False
    await turns()

    assert play.watchers.woken == 1
