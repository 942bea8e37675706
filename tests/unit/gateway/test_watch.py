"""Watches: each is woken by news that weighs enough for it, and one of the end alone looks twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from ff_core import keys
from ff_core.execution import ExecutionRecord
from ff_core.news import Weight
from ff_gateway.api.execution import ExecutionServicer
from ff_gateway.policy import Policy
from ff_gateway.subscription import Reader, Subscriptions
from ff_gateway.watch import Watches
from flowfabric_api.execution.v1 import execution_pb2 as pb

ID = "0-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
OTHER = "0-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c"


class Hints:
    """Hears what a test says."""

    def __init__(self) -> None:
        self.listeners: dict[str, Callable[[bytes], None]] = {}
        self.gap: Callable[[], object] = int

    async def listen(self, channel: str, listener: Callable[[bytes], None]) -> None:
        self.listeners[channel] = listener

    def forget(self, channel: str, _listener: Callable[[bytes], None]) -> None:
        del self.listeners[channel]

    def on_gap(self, listener: Callable[[], None]) -> None:
        self.gap = listener

    def off_gap(self, _listener: Callable[[], None]) -> None:
        self.gap = int

    def say(self, message: str) -> None:
        self.listeners[keys.news_channel(0)](message.encode())


class Store:
    """One execution, and how often it was read."""

    partitions = 1

    def __init__(self) -> None:
        self.hints = Hints()
        self.state = "waiting"
        self.readings = 0
        self.read = asyncio.Event()

    def partition_of(self, _id: str) -> int:
        return 0

    async def execution_describe(self, _ids: Sequence[str], **_: bool) -> list[ExecutionRecord]:
        self.readings += 1
        self.read.set()
        core = {
            "state": self.state, "reason": "none", "attempt_state": "pending_first_attempt",
            "queue": "default/default/", "kind": "k", "created_at": 1, "readings": self.readings,
        }  # fmt: skip
        return [ExecutionRecord(ID, core, b"", {}, [])]


class Workforce:
    """Can run everything."""

    async def workers(self) -> None:
        return

    def has_capable_worker(self, _queue: str) -> bool:
        return True


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def watches(store: Store) -> Watches:
    return Watches(cast("Any", store), 10)


MINOR, CHANGE, END = Weight.MINOR, Weight.CHANGE, Weight.END


@pytest.mark.parametrize(
    ("message", "woken"),
    [
        (f"~{ID}", {MINOR}),
        (ID, {MINOR, CHANGE}),
        (f"!{ID}", {MINOR, CHANGE, END}),
        (f"~{OTHER} {ID} !{OTHER}", {MINOR, CHANGE}),
        (f"~{OTHER} !{OTHER}", set()),
    ],
)
async def test_a_watch_sleeps_through_what_weighs_too_little(
    store: Store, watches: Watches, message: str, woken: set[Weight]
) -> None:
    async with (
        watches.watch(ID) as minor,
        watches.watch(ID, Weight.CHANGE) as change,
        watches.watch(ID, Weight.END) as end,
    ):
        store.hints.say(message)

        events = {MINOR: minor, CHANGE: change, END: end}
        assert {weight for weight, event in events.items() if event.is_set()} == woken


async def test_a_gap_and_the_closing_wake_whoever_waits_for_the_end_and_workers_do_not(
    store: Store, watches: Watches
) -> None:
    async with watches.watch(ID) as every, watches.watch(ID, Weight.END) as end:
        watches.wake_all()
        assert (every.is_set(), end.is_set()) == (True, False)

        store.hints.gap()
        assert end.is_set()

        end.clear()
        watches.close()
        assert end.is_set()


def following(store: Store, watches: Watches, *, only_end: bool) -> Any:
    policy = Policy(30_000, 9000, 0, 100, 100, 0)
    door = ExecutionServicer(cast("Any", store), cast("Any", Workforce()), watches, policy)
    return door.WatchExecution(pb.WatchExecutionRequest(execution_id=ID, only_end=only_end), None)


async def test_a_watch_of_the_end_reads_when_it_opens_and_when_it_is_over(
    store: Store, watches: Watches
) -> None:
    ending = asyncio.ensure_future(anext(following(store, watches, only_end=True)))
    await store.read.wait()

    for state, message in (("active", ID), ("active", f"~{ID}"), ("waiting", ID), ("completed", f"!{ID}")):
        store.state = state
        store.hints.say(message)
        for _ in range(10):  # rounds of the loop in which it would read
            await asyncio.sleep(0)

    assert (await ending).execution.state == pb.PUBLIC_STATE_COMPLETED
    assert store.readings == 2


async def test_a_watch_of_the_end_that_is_woken_early_says_nothing(store: Store, watches: Watches) -> None:
    stream = following(store, watches, only_end=True)
    ending = asyncio.ensure_future(anext(stream))
    for state in ("active", "completed"):
        await store.read.wait()
        store.read.clear()
        store.state = state
        store.hints.gap()

    assert (await ending).execution.state == pb.PUBLIC_STATE_COMPLETED
    assert [message async for message in stream] == []


async def test_minor_news_wake_no_subscription(store: Store) -> None:
    subscriptions = Subscriptions(cast("Any", store), 10)
    reader = Reader(cast("Any", store), ["0-0"], 10, cast("Any", None))
    subscriptions._readers.add(reader)
    reader.changed.clear()

    subscriptions._grew(0, f"~{ID}".encode())
    assert not reader.changed.is_set()
    subscriptions._grew(0, f"~{ID} {OTHER}".encode())
    assert reader.changed.is_set()
