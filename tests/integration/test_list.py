"""Lists over all partitions: every order, every filter, pages that meet without gap or overlap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ff_core import keys
from ff_core.execution import ExecutionRecord, ListQuery
from ff_core.lease import Outcome
from ff_core.state import State
from flowfabric.testing import AnyValkey

from .engine import LONG_MS, PARTITIONS, Engine, new


async def pages(engine: Engine, query: ListQuery) -> list[list[ExecutionRecord]]:
    """All pages of a question."""
    found = []
    while True:
        page = await engine.backend.execution_list(query)
        found.append(page.records)
        assert len(page.records) <= query.page_size
        if page.next_position is None:
            return found
        query = replace(query, position=page.next_position)


async def listed(engine: Engine, **over: object) -> list[str]:
    """Ids of all pages, in order; none may come twice."""
    query = ListQuery("default", **over)  # type: ignore[arg-type]
    ids = [record.execution_id for page in await pages(engine, query) for record in page]
    assert len(ids) == len(set(ids))
    return ids


async def populate(engine: Engine, count: int, **over: object) -> list[str]:
    return await engine.create_many(*(new(number % PARTITIONS, **over) for number in range(count)))


@pytest.mark.parametrize("page_size", [1, 7, 50, 1000])
async def test_pages_meet_without_gap_or_overlap(engine: Engine, page_size: int) -> None:
    made = [await engine.create(number % PARTITIONS) for number in range(60)]

    ids = await listed(engine, page_size=page_size)

    records = [await engine.describe(one) for one in ids]
    places = [(record.number("created_at"), record.execution_id) for record in records]
    assert set(ids) == set(made)
    assert places == sorted(places, reverse=True)


@pytest.mark.parametrize("page_size", [100, 1000])
async def test_thousands_of_one_millisecond_are_listed_once_each(
    engine: Engine, engine_valkey: AnyValkey, page_size: int
) -> None:
    made = await populate(engine, 5000)
    for partition in range(PARTITIONS):
        mine = [one for one in made if one.startswith(f"{partition}-")]
        engine_valkey.call("ZADD", keys.anchor(partition), *(part for one in mine for part in (1000, one)))

    ids = await listed(engine, page_size=page_size)

    assert ids == sorted(made, reverse=True)


async def test_a_rare_match_is_found_behind_thousands_of_others(engine: Engine) -> None:
    rare = await engine.create(0, kind="rare")
    await engine.create_many(*(new(0) for _ in range(5000)))

    found = await pages(engine, ListQuery("default", kind="rare", page_size=10))

    assert [record.execution_id for page in found for record in page] == [rare]
    assert len(found) > 1, "what one call looks at is bounded"


async def test_executions_that_come_between_two_pages_do_not_move_the_next(engine: Engine) -> None:
    made = [await engine.create(number % PARTITIONS) for number in range(20)]
    query = ListQuery("default", page_size=10)
    first = await engine.backend.execution_list(query)

    await populate(engine, 20)
    second = await engine.backend.execution_list(replace(query, position=first.next_position))

    seen = [record.execution_id for record in first.records + second.records]
    assert sorted(seen) == sorted(made)


async def test_a_page_goes_on_although_its_last_execution_was_purged(
    engine: Engine, engine_valkey: AnyValkey
) -> None:
    made = [await engine.create(0) for _ in range(20)]
    engine_valkey.call("ZADD", keys.anchor(0), *(part for one in made for part in (1000, one)))
    query = ListQuery("default", page_size=10)
    first = await engine.backend.execution_list(query)
    last = first.records[-1].execution_id
    engine_valkey.call("ZREM", keys.anchor(0), last)

    second = await engine.backend.execution_list(replace(query, position=first.next_position))

    seen = [record.execution_id for record in first.records + second.records]
    assert sorted(seen) == sorted(made)


FILTERS: list[tuple[dict[str, object], Callable[[int], bool]]] = [
    ({}, lambda _n: True),
    ({"lane": "odd"}, lambda n: n % 2 == 1),
    ({"kind": "third"}, lambda n: n % 3 == 0),
    ({"lane": "odd", "kind": "third"}, lambda n: n % 6 == 3),
    ({"tags": {"order.size": "big"}}, lambda n: n % 4 == 0),
    ({"tags": {"order.size": "big", "order.place": "0"}}, lambda n: n % 20 == 0),
    ({"tags": {"order.size": "big"}, "kind": "third"}, lambda n: n % 12 == 0),
    ({"tags": {"order.size": "none"}}, lambda _n: False),
    ({"lane": "nowhere"}, lambda _n: False),
]


@pytest.mark.parametrize(("filters", "matches"), FILTERS, ids=[str(filters) for filters, _ in FILTERS])
@pytest.mark.parametrize("state", [None, State.WAITING])
async def test_filters_narrow_and_combine(
    engine: Engine, filters: dict[str, object], matches: Callable[[int], bool], state: State | None
) -> None:
    made = await engine.create_many(
        *(
            new(
                number % PARTITIONS,
                lane="odd" if number % 2 else "even",
                kind="third" if number % 3 == 0 else "other",
                tags={"order.size": "big" if number % 4 == 0 else "small", "order.place": str(number % 5)},
            )
            for number in range(120)
        )
    )

    ids = await listed(engine, state=state, page_size=7, **filters)

    assert sorted(ids) == sorted(one for number, one in enumerate(made) if matches(number))


async def test_namespaces_do_not_see_each_other(engine: Engine) -> None:
    mine, theirs = await engine.create(), await engine.create(namespace="team", tags={"a.b": "c"})
    await engine.create(namespace="tea")

    assert await listed(engine) == [mine]
    assert await listed(engine, tags={"a.b": "c"}) == []
    page = await engine.backend.execution_list(ListQuery("team"))
    assert [record.execution_id for record in page.records] == [theirs]


async def test_delayed_executions_are_listed_next_due_first(engine: Engine) -> None:
    far = 4_000_000_000_000
    made = await engine.create_many(
        *(new(number % PARTITIONS, delay_until_ms=far + number * 37 % 20) for number in range(20))
    )

    ids = await listed(engine, state=State.DELAYED, page_size=3)

    dues = [(await engine.describe(one)).number("due_at") for one in ids]
    assert set(ids) == set(made)
    assert dues == sorted(dues)


@pytest.mark.parametrize("state", [State.COMPLETED, State.CANCELLED, State.FAILED])
async def test_ended_executions_are_listed_by_their_state(engine: Engine, state: State) -> None:
    made = [await engine.hold(number % PARTITIONS) for number in range(12)]
    ended = made[::2]
    details: dict[State, tuple[str, tuple[bytes | str | int, ...]]] = {
        State.COMPLETED: ("complete", (b"",)),
        State.CANCELLED: ("stop", ()),
        State.FAILED: ("fail", ("T", "m", "permanent", 1, "")),
    }
    operation, words = details[state]
    for lease in ended:
        await engine.backend.lease_finish([Outcome(lease, operation, words)], "w")  # type: ignore[arg-type]

    ids = await listed(engine, state=state, page_size=2)

    assert sorted(ids) == sorted(lease.split(b":")[0].decode() for lease in ended)
    ends = [(await engine.describe(one)).number("ended_at") for one in ids]
    assert ends == sorted(ends, reverse=True)


async def test_active_executions_are_listed_newest_first_offered_or_leased(engine: Engine) -> None:
    leases = [await engine.hold(number % PARTITIONS) for number in range(10)]
    made = [lease.split(b":")[0].decode() for lease in leases]
    for partition in range(2):
        made.append(await engine.create(partition))
        await engine.claim(partition)
    await populate(engine, 5)
    await engine.backend.lease_renew(leases[:5], 10 * LONG_MS, "w", "g")

    ids = await listed(engine, state=State.ACTIVE, page_size=3)

    created = [(await engine.describe(one)).number("created_at") for one in ids]
    assert sorted(ids) == sorted(made)
    assert created == sorted(created, reverse=True)


async def test_an_execution_that_changed_its_tags_is_found_by_the_new_ones(engine: Engine) -> None:
    one = await engine.create(tags={"a.b": "old"})
    await engine.backend.execution_tag(one, {"a.b": "new", "a.c": "x"})

    assert await listed(engine, tags={"a.b": "old"}) == []
    assert await listed(engine, tags={"a.b": "new"}) == [one]
    assert await listed(engine, tags={"a.c": "x"}) == [one]

    await engine.backend.execution_tag(one, {"a.b": ""})

    assert await listed(engine, tags={"a.b": "new"}) == []
