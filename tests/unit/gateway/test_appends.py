"""Appends of one lease reach the store in order, call after call; leases do not wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from ff_core.errors import EngineError, ErrorCode
from ff_core.output import Appended, NewFrame
from ff_gateway.appends import CALL_BYTES, Appends

LEASE, OTHER = b"lease", b"other"


def frames(*numbers: int, data: bytes = b"x") -> list[NewFrame]:
    return [NewFrame(number, 3, data) for number in numbers]


class Store:
    """Appends as the engine does, when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[bytes, list[int]]] = []
        self.stored = {LEASE: 0, OTHER: 0}
        self.turn = {LEASE: asyncio.Semaphore(0), OTHER: asyncio.Semaphore(0)}
        self.error: EngineError | None = None

    async def append(self, lease: bytes, frames: Sequence[NewFrame]) -> Appended:
        self.calls.append((lease, [frame.number for frame in frames]))
        await self.turn[lease].acquire()
        if self.error is not None:
            raise self.error
        for frame in frames:
            if frame.number > self.stored[lease] + 1:
                return Appended(self.stored[lease], ErrorCode.OUTPUT_GAP)
            if frame.data == b"bad":
                return Appended(self.stored[lease], ErrorCode.PAYLOAD_TOO_LARGE)
            self.stored[lease] = max(self.stored[lease], frame.number)
        return Appended(self.stored[lease], None)

    def answer(self, lease: bytes = LEASE, calls: int = 100) -> None:
        for _ in range(calls):
            self.turn[lease].release()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def appends(store: Store) -> Appends:
    return Appends(store.append)


async def begun(
    appends: Appends, *messages: list[NewFrame], lease: bytes = LEASE
) -> list[asyncio.Task[Appended]]:
    """All of them asked for, and as far as they come by themselves."""
    tasks = [asyncio.ensure_future(appends.append(lease, message)) for message in messages]
    for _ in range(10):
        await asyncio.sleep(0)
    return tasks


async def test_nothing_overtakes_a_call_that_is_not_answered(store: Store, appends: Appends) -> None:
    tasks = await begun(appends, frames(1), frames(2), frames(3))
    tasks += await begun(appends, frames(4))
    assert store.calls == [(LEASE, [1])]

    store.answer()

    answers = await asyncio.gather(*tasks)
    assert [answer.error for answer in answers] == [None] * 4
    assert [answer.through for answer in answers] == [1, 4, 4, 4]


async def test_what_came_meanwhile_goes_in_one_call(store: Store, appends: Appends) -> None:
    tasks = await begun(appends, frames(1, 2), frames(3), [], frames(4, 5))
    store.answer()
    await asyncio.gather(*tasks)

    assert store.calls == [(LEASE, [1, 2]), (LEASE, [3, 4, 5])]


async def test_a_call_takes_no_more_than_it_may(store: Store, appends: Appends) -> None:
    half = bytes(CALL_BYTES // 2)
    large = frames(4, data=bytes(CALL_BYTES))
    tasks = await begun(appends, frames(1), frames(2, data=half), frames(3, data=half), large, frames(5))
    store.answer()
    await asyncio.gather(*tasks)

    assert [numbers for _, numbers in store.calls] == [[1], [2], [3], [4], [5]]


async def test_leases_do_not_wait_for_each_other(store: Store, appends: Appends) -> None:
    slow = await begun(appends, frames(1), frames(2))
    quick = await begun(appends, frames(1), lease=OTHER)
    store.answer(OTHER)
    assert (await asyncio.gather(*quick)) == [Appended(1, None)]
    assert not any(task.done() for task in slow)

    store.answer()
    await asyncio.gather(*slow)


async def test_an_error_is_told_of_the_message_it_is_in(store: Store, appends: Appends) -> None:
    tasks = await begun(appends, frames(1), frames(2), frames(3, data=b"bad"), frames(4), frames(3, 4))
    store.answer()

    assert await asyncio.gather(*tasks) == [
        Appended(1, None),
        Appended(2, None),
        Appended(2, ErrorCode.PAYLOAD_TOO_LARGE),
        Appended(2, ErrorCode.OUTPUT_GAP),
        Appended(4, None),
    ]


async def test_what_is_behind_a_failure_fails_untried(store: Store, appends: Appends) -> None:
    store.error = EngineError(ErrorCode.STORE_UNAVAILABLE)
    tasks = await begun(appends, frames(1), frames(2), frames(3))
    store.answer()
    failures = await asyncio.gather(*tasks, return_exceptions=True)
    assert failures == [store.error] * 3
    assert store.calls == [(LEASE, [1])]

    store.error = None
    [again] = await begun(appends, frames(1, 2, 3))
    assert await again == Appended(3, None)


async def test_who_leaves_takes_nobody_along(store: Store, appends: Appends) -> None:
    first, second, third = await begun(appends, frames(1), frames(2), frames(3))
    first.cancel()
    second.cancel()
    store.answer()

    assert await third == Appended(3, None)
    assert store.calls[1:] == [(LEASE, [1, 2, 3])]
