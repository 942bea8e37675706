"""Subscriptions: every event at least once, from where one stopped, at any gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ff_core import keys
from ff_core.errors import EngineError
from ff_core.event import EventFilter
from ff_core.wire.event import FROM_FIRST, read_cursor, write_cursor
from ff_gateway.subscription import News, Subscriptions
from flowfabric.testing import AnyValkey

from .engine import PARTITIONS, Engine, code_of, eventually, new
from .test_hints import listening, subscribers

EVERYTHING = EventFilter()
FIRST = [FROM_FIRST] * PARTITIONS

Stream = AsyncIterator[tuple[News, list[str]]]


async def opened(subscriptions: Subscriptions, only: EventFilter = EVERYTHING) -> tuple[Stream, list[str]]:
    """A subscription from now on, and its first places."""
    stream = subscriptions.follow(None, 100, only)
    news, places = await anext(stream)
    assert news == News([], [])
    return stream, list(places)


async def heard(stream: Stream, count: int) -> list[tuple[str, str]]:
    """The next events: name and execution."""
    found: list[tuple[str, str]] = []
    while len(found) < count:
        news, _ = await anext(stream)
        found += [(event.name, event.execution_id) for event in news.events]
    return found


async def test_events_of_all_partitions_are_heard_as_they_come(engine: Engine) -> None:
    await listening(engine.backend)
    stream, _ = await opened(Subscriptions(engine.backend, 10))

    ids = [await engine.create(partition) for partition in range(PARTITIONS)]

    assert sorted(await heard(stream, PARTITIONS)) == sorted(("created", id) for id in ids)
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_reader_goes_on_at_another_gateway_and_misses_nothing(engine: Engine) -> None:
    await listening(engine.backend)
    stream, places = await opened(Subscriptions(engine.backend, 10))
    before = await engine.create(1)
    assert await heard(stream, 1) == [("created", before)]
    cursor = write_cursor(places)
    await stream.aclose()  # type: ignore[attr-defined]

    between = await engine.create(1)
    again = Subscriptions(engine.backend, 10).follow(read_cursor(cursor, PARTITIONS), 100, EVERYTHING)

    assert await heard(again, 2) == [("created", before), ("created", between)]  # at least once
    await again.aclose()  # type: ignore[attr-defined]


async def test_the_events_of_one_execution_keep_their_order(engine: Engine) -> None:
    [lease] = [await engine.hold(3)]
    await engine.complete(lease)

    news, _ = await Subscriptions(engine.backend, 10).read(FIRST, 100, EVERYTHING)

    names = [event.name for event in news.events]
    assert names[:2] == ["created", "claimed"]
    assert names[-1] == "completed"


async def test_pages_hold_no_more_than_asked_and_together_everything_once(engine: Engine) -> None:
    ids = await engine.create_many(*(new(2) for _ in range(25)), *(new(5) for _ in range(3)))
    subscriptions = Subscriptions(engine.backend, 10)
    places, found = FIRST, list[str]()

    while True:
        news, places = await subscriptions.read(read_cursor(write_cursor(places), PARTITIONS), 4, EVERYTHING)
        assert len(news.events) <= 4
        if not news.events:
            break
        found += [event.execution_id for event in news.events]

    assert sorted(found) == sorted(ids)


async def test_a_filter_is_applied_where_the_feed_is(engine: Engine) -> None:
    wanted = await engine.create(1, namespace="mine", kind="mail", tags={"app.name": "x"})
    await engine.create(1, namespace="mine", kind="mail")
    await engine.create(1, namespace="mine", tags={"app.name": "x"})
    await engine.create(1, kind="mail", tags={"app.name": "x"})
    only = EventFilter(namespace="mine", kind="mail", tags={"app.name": "x"})

    news, places = await Subscriptions(engine.backend, 10).read(FIRST, 100, only)

    assert [event.execution_id for event in news.events] == [wanted]
    assert (await Subscriptions(engine.backend, 10).read(places, 100, only))[0].events == []


async def test_completions_alone_are_one_event_an_execution(engine: Engine) -> None:
    lease = await engine.hold(4)
    await engine.complete(lease)

    news, _ = await Subscriptions(engine.backend, 10).read(
        FIRST, 100, EventFilter(families=frozenset({"completion"}))
    )

    assert [(event.name, event.state) for event in news.events] == [("completed", "completed")]


async def test_a_reader_that_fell_off_is_told_where_and_goes_on(
    engine: Engine, engine_valkey: AnyValkey
) -> None:
    subscriptions = Subscriptions(engine.backend, 10)
    await engine.create(6)
    _, places = await subscriptions.read(FIRST, 100, EVERYTHING)
    ids = [await engine.create(6) for _ in range(5)]
    engine_valkey.call("XTRIM", f"{keys.partition_prefix(6)}events", "MAXLEN", "2")

    news, places = await subscriptions.read(places, 100, EVERYTHING)

    assert news.fell_off == [6]
    assert [event.execution_id for event in news.events] == ids[-2:]
    assert (await subscriptions.read(places, 100, EVERYTHING))[0] == News([], [])


async def test_a_quiet_subscription_still_says_its_places(engine: Engine) -> None:
    stream = Subscriptions(engine.backend, 10, heartbeat_s=0.001).follow(None, 100, EVERYTHING)

    assert [(await anext(stream))[0] for _ in range(3)] == [News([], [])] * 3
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_lost_hint_costs_no_event(engine: Engine) -> None:
    subscriptions = Subscriptions(engine.backend, 10, heartbeat_s=0.001)
    stream, _ = await opened(subscriptions)
    for one, listener in enumerate(subscriptions._listeners):
        engine.backend.hints.forget(keys.news_channel(one), listener)

    id = await engine.create(3)

    assert await heard(stream, 1) == [("created", id)]
    await stream.aclose()  # type: ignore[attr-defined]


async def test_subscriptions_share_one_ear_which_closes_with_the_last(
    engine: Engine, engine_valkey: AnyValkey
) -> None:
    await listening(engine.backend)
    subscriptions = Subscriptions(engine.backend, 10)
    first, _ = await opened(subscriptions)
    second, _ = await opened(subscriptions)

    assert {subscribers(engine_valkey, keys.news_channel(one)) for one in range(PARTITIONS)} == {1}
    await first.aclose()  # type: ignore[attr-defined]
    id = await engine.create()
    assert await heard(second, 1) == [("created", id)]
    await second.aclose()  # type: ignore[attr-defined]

    async def nobody_listens() -> bool:
        return all(not subscribers(engine_valkey, keys.news_channel(one)) for one in range(PARTITIONS))

    await eventually(nobody_listens)


async def test_subscriptions_are_bounded_and_end_when_the_gateway_closes(engine: Engine) -> None:
    await listening(engine.backend)
    subscriptions = Subscriptions(engine.backend, 1)
    stream, _ = await opened(subscriptions)

    with pytest.raises(EngineError) as refused:
        await anext(subscriptions.follow(None, 100, EVERYTHING))
    subscriptions.close()
    with pytest.raises(EngineError) as ended:
        await anext(stream)

    assert (code_of(refused.value), code_of(ended.value)) == ("TOO_MANY_STREAMS", "SHUTTING_DOWN")
