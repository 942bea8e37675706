"""How a gateway keeps the ring of keys, beside others that do the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ff_core import keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.keyring import SealedRing
from ff_gateway.keyring import KeyRingKeeper

SECRET = "a root secret that is long enough"


class FakeHints:
    def __init__(self) -> None:
        self.listeners: list[Callable[[bytes], None]] = []
        self.gaps: list[Callable[[], None]] = []

    async def listen(self, channel: str, listener: Callable[[bytes], None], *, sharded: bool = True) -> None:
        assert (channel, sharded) == (keys.KEYRING_CHANNEL, False)
        self.listeners.append(listener)

    def forget(self, channel: str, listener: Callable[[bytes], None]) -> None:
        raise AssertionError

    def on_gap(self, listener: Callable[[], None]) -> None:
        self.gaps.append(listener)

    def off_gap(self, listener: Callable[[], None]) -> None:
        raise AssertionError


class FakeStore:
    """One stored ring, whose calls interleave as the loop likes."""

    def __init__(self) -> None:
        self.hints = FakeHints()
        self.stored = (0, b"")
        self.reads = 0
        self.read = asyncio.Event()
        self.fails = False
        self.never_swaps = False

    async def keyring_read(self) -> SealedRing:
        self.reads += 1
        self.read.set()
        await asyncio.sleep(0)
        if self.fails:
            raise EngineError(ErrorCode.STORE_UNAVAILABLE)
        return SealedRing(1_000_000, *self.stored)

    async def keyring_swap(self, expected: int, revision: int, ciphertext: bytes) -> bool:
        await asyncio.sleep(0)
        if self.stored[0] != expected or self.never_swaps:
            return False
        self.stored = (revision, ciphertext)
        return True


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


async def opened(
    store: FakeStore, *secrets: str, elapsed: Callable[[], float] | None = None
) -> KeyRingKeeper:
    keeper = KeyRingKeeper(store, secrets or (SECRET,), elapsed or Clock())
    await keeper.open()
    return keeper


async def test_the_first_gateway_makes_a_ring_and_the_next_reads_it(store: FakeStore) -> None:
    first, second = await opened(store), await opened(store)

    assert first.ring == second.ring
    assert first.ring.current == "k1"


async def test_two_gateways_that_start_at_once_have_one_ring(store: FakeStore) -> None:
    first, second = await asyncio.gather(opened(store), opened(store))

    assert first.ring == second.ring
    assert store.stored[0] == 1


async def test_a_gateway_with_another_secret_does_not_start(store: FakeStore) -> None:
    await opened(store)

    with pytest.raises(EngineError, match="FF_WAITPOINT_HMAC_SECRET is not the one"):
        await opened(store, "another root secret, as long as it")


async def test_a_rotation_writes_under_the_newest_secret(store: FakeStore) -> None:
    newest = "the newest root secret of them all"
    await opened(store)
    both = await opened(store, newest, SECRET)

    await both.rotate("", b"", 1000)

    assert (await opened(store, newest)).ring == both.ring


async def test_two_gateways_that_rotate_at_once_both_do(store: FakeStore) -> None:
    first, second = await opened(store), await opened(store)

    answers = await asyncio.gather(first.rotate("a", b"", 1000), second.rotate("b", b"", 1000))

    assert all(answer.changed for answer in answers)
    await asyncio.gather(first.refresh(), second.refresh())
    assert first.ring == second.ring
    assert set(first.ring.keys) == {"k1", "a", "b"}
    assert first.ring.revision == 3


async def test_two_gateways_that_make_the_same_rotation_make_it_once(store: FakeStore) -> None:
    first, second = await opened(store), await opened(store)

    answers = await asyncio.gather(first.rotate("new", b"", 1000), second.rotate("new", b"", 1000))

    assert sorted(answer.changed for answer in answers) == [False, True]
    assert first.ring == second.ring


async def test_a_rotation_that_always_comes_second_gives_up(store: FakeStore) -> None:
    keeper = await opened(store)
    store.never_swaps = True

    with pytest.raises(EngineError) as refused:
        await keeper.rotate("a", b"", 1000)

    assert refused.value.code is ErrorCode.STORE_UNAVAILABLE
    assert keeper.ring.current == "k1"


@pytest.mark.parametrize("is_lost", [True, False])
async def test_a_ring_that_a_fail_over_set_back_is_put_back(store: FakeStore, is_lost: bool) -> None:
    first, second = await opened(store), await opened(store)
    before = (0, b"") if is_lost else store.stored
    await first.rotate("new", b"", 60_000)
    store.stored = before

    await second.refresh()
    await first.refresh()
    await second.refresh()

    assert store.stored[0] == first.ring.revision == 2
    assert first.ring == second.ring == (await opened(store)).ring
    assert first.ring.current == "new"


async def test_time_is_valkeys_and_goes_on(store: FakeStore) -> None:
    clock = Clock()
    keeper = await opened(store, elapsed=clock)
    clock.seconds = 2.5

    assert keeper.now_ms() == 1_002_500


async def test_a_key_that_nobody_has_is_looked_for_once_a_second(store: FakeStore) -> None:
    clock = Clock()
    keeper = await opened(store, elapsed=clock)
    clock.seconds, reads = 10.0, store.reads

    await asyncio.gather(*(keeper.look_for(f"x{number}") for number in range(50)))
    await keeper.look_for("y")
    assert store.reads == reads + 1

    clock.seconds = 11.0
    await keeper.look_for("y")
    assert store.reads == reads + 2


async def test_all_who_look_while_the_store_is_away_are_told(store: FakeStore) -> None:
    keeper = await opened(store)
    store.fails = True

    answers = await asyncio.gather(keeper.look_for("x"), keeper.look_for("y"), return_exceptions=True)

    assert [type(answer) for answer in answers] == [EngineError, EngineError]
    store.fails = False
    other = await opened(store)
    await other.rotate("k2", b"", 1000)
    await keeper.look_for("k2")
    assert "k2" in keeper.ring.keys


@pytest.mark.parametrize("how", ["news", "gap"])
async def test_a_change_is_read_when_it_is_heard_of(store: FakeStore, how: str) -> None:
    keeper = await opened(store)
    running = asyncio.ensure_future(keeper.run())
    await (await opened(store)).rotate("k2", b"", 1000)
    store.read.clear()

    if how == "news":
        store.hints.listeners[0](b"2")
    else:
        store.hints.gaps[0]()
    await store.read.wait()
    for _ in range(5):
        await asyncio.sleep(0)

    assert keeper.ring.current == "k2"
    running.cancel()
