"""Watches: who watches one execution is woken by its news only, over one channel a partition."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from ff_core import keys
from ff_core.errors import EngineError
from ff_core.news import Weight
from ff_gateway.watch import Watches
from flowfabric.testing import AnyValkey

from .engine import Engine, code_of, eventually
from .test_hints import listening, subscribers


async def test_who_watches_an_execution_is_woken_by_its_own_news_only(engine: Engine) -> None:
    await listening(engine.backend)
    watches = Watches(engine.backend, 10)
    one, other = [await engine.create() for _ in range(2)]
    async with watches.watch(one) as first, watches.watch(one) as second, watches.watch(other) as third:
        await engine.backend.execution_cancel([one], "", 0)
        await watches.next(first)
        await watches.next(second)
        assert not third.is_set()

        await engine.backend.execution_cancel([other], "", 0)
        await watches.next(third)
        assert not first.is_set()


async def test_who_waits_for_the_end_sleeps_until_then(engine: Engine) -> None:
    await listening(engine.backend)
    watches = Watches(engine.backend, 10)
    one = await engine.create()
    async with watches.watch(one) as every, watches.watch(one, Weight.END) as end:
        [grant] = await engine.claim()
        await watches.next(every)
        await engine.backend.lease_progress([(grant.lease, 50, "half")])
        await watches.next(every)
        assert not end.is_set()

        await engine.complete(grant.lease)
        await watches.next(end)


async def test_one_call_wakes_all_whose_executions_it_changed(engine: Engine) -> None:
    await listening(engine.backend)
    watches = Watches(engine.backend, 10)
    ids = [await engine.create() for _ in range(5)]
    async with AsyncExitStack() as stack:
        events = [await stack.enter_async_context(watches.watch(one)) for one in ids]
        await engine.claim(count=5)
        for event in events:
            await watches.next(event)


async def test_a_partition_is_listened_to_while_anybody_watches_it(
    engine: Engine, engine_valkey: AnyValkey
) -> None:
    await listening(engine.backend)
    watches = Watches(engine.backend, 10)
    one, other = [await engine.create() for _ in range(2)]
    channel = keys.news_channel(0)

    async with watches.watch(one) as stays:
        async with watches.watch(one) as left, watches.watch(other):
            assert subscribers(engine_valkey, channel) == 1
        await engine.backend.execution_cancel([one], "", 0)
        await watches.next(stays)
        assert not left.is_set()

    async def is_left() -> bool:
        return subscribers(engine_valkey, channel) == 0

    await eventually(is_left)
    async with watches.watch(other) as event:
        await engine.backend.execution_cancel([other], "", 0)
        await watches.next(event)


async def test_a_watch_given_up_while_it_begins_leaves_the_others(engine: Engine) -> None:
    await listening(engine.backend)
    watches = Watches(engine.backend, 10)
    one = await engine.create()

    async def follow() -> None:
        async with watches.watch(one) as event:
            await watches.next(event)

    given_up, stays = asyncio.create_task(follow()), asyncio.create_task(follow())
    await asyncio.wait({given_up}, timeout=0)
    given_up.cancel()
    await asyncio.wait({given_up})
    async with watches.watch(one):
        await engine.backend.execution_cancel([one], "", 0)
    await stays


async def test_a_gap_wakes_every_watch(engine: Engine, engine_valkey: AnyValkey) -> None:
    await listening(engine.backend)
    watches = Watches(engine.backend, 10)
    async with (
        watches.watch(await engine.create(0)) as first,
        watches.watch(await engine.create(1)) as second,
    ):
        engine_valkey.call("CLIENT", "KILL", "TYPE", "PUBSUB")
        await watches.next(first)
        await watches.next(second)


async def test_watches_are_bounded_and_end_when_the_gateway_closes(engine: Engine) -> None:
    await listening(engine.backend)
    watches = Watches(engine.backend, 1)
    one = await engine.create()
    async with watches.watch(one) as event:
        with pytest.raises(EngineError) as too_many:
            async with watches.watch(one):
                pass
        assert code_of(too_many.value) == "TOO_MANY_STREAMS"

        watches.close()
        with pytest.raises(EngineError) as closing:
            await watches.next(event)
    assert code_of(closing.value) == "SHUTTING_DOWN"
