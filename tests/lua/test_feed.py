"""The feed of a partition: read in order, by place, filtered where it is, and honest about what is gone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest

from .harness.scenario import Scenario


@dataclass(frozen=True)
class Page:
    last: str
    fell_off: bool
    more: bool
    places: list[tuple[str, int]]
    texts: list[str]

    @property
    def names(self) -> list[str]:
        return [text.split(" ", 1)[0] for text in self.texts]

    @property
    def ids(self) -> list[str]:
        return [text.split(" ", 2)[1] for text in self.texts]


def read(
    scenario: Scenario,
    after: str = "",
    limit: int = 100,
    *,
    scan: int = 1000,
    namespace: str = "",
    lane: str = "",
    kind: str = "",
    names: str = "",
    tags: tuple[str, ...] = (),
) -> Page:
    reply = scenario.call("feed_read", after, limit, scan, namespace, lane, kind, names, *tags)
    last, fell_off, more, *events = reply
    return Page(
        last.decode(),
        bool(fell_off),
        bool(more),
        [(entry.decode(), number) for entry, number, _ in events],
        [text.decode() for _, _, text in events],
    )


def test_events_are_read_in_order_and_from_where_one_stopped(scenario: Scenario) -> None:
    grant = scenario.hold()
    first = read(scenario)
    scenario.complete(grant.lease)

    rest = read(scenario, first.last)

    assert first.names[:2] == ["created", "claimed"]
    assert (rest.names, rest.fell_off, rest.more) == (["completed"], False, False)
    assert read(scenario, rest.last).texts == []
    assert read(scenario, rest.last).last == rest.last


def test_the_end_is_told_without_reading(scenario: Scenario) -> None:
    assert read(scenario, "$").last == "0-0"
    scenario.create()
    end = read(scenario, "$")

    assert (end.texts, end.last) == ([], read(scenario).last)


def test_a_page_may_end_within_an_entry_of_many_events(scenario: Scenario) -> None:
    items = [scenario.item() for _ in range(7)]
    scenario.create_many(*items)
    ids = [str(item[0]) for item in items]

    pages = [read(scenario, limit=3)]
    while pages[-1].more:
        pages.append(read(scenario, pages[-1].last, limit=3))

    assert [len(page.texts) for page in pages] == [3, 3, 1]
    assert [id for page in pages for id in page.ids] == ids
    assert [number for page in pages for _, number in page.places] == [1, 2, 3, 4, 5, 6, 7]
    assert {entry for page in pages for entry, _ in page.places} == {pages[-1].last.partition("/")[0]}
    assert all("." in page.last for page in pages[:-1])


def grow(scenario: Scenario, entries: int) -> None:
    """So many entries of one event each."""
    for _ in range(entries):
        scenario.engine.advance(1)
        scenario.create()


def keep(scenario: Scenario, entries: int) -> None:
    """Drops all entries but the newest."""
    scenario.engine.command("XTRIM", scenario.prefix + "events", "MAXLEN", entries)


def test_a_place_within_an_entry_that_is_gone_goes_on_with_the_next(scenario: Scenario) -> None:
    scenario.create_many(*(scenario.item() for _ in range(3)))
    within = read(scenario, limit=1)
    grow(scenario, 1)
    keep(scenario, 1)

    page = read(scenario, within.last)

    assert (page.fell_off, len(page.texts)) == (True, 1)


def test_who_comes_too_late_is_told_and_goes_on_with_what_is_kept(scenario: Scenario) -> None:
    grow(scenario, 1)
    behind = read(scenario).last
    grow(scenario, 3)
    keep(scenario, 2)

    page = read(scenario, behind)

    assert (page.fell_off, len(page.texts)) == (True, 2)
    assert read(scenario, page.last).fell_off is False
    assert read(scenario, "").fell_off is False  # whoever asks for what is kept misses nothing


@pytest.mark.parametrize("within", [False, True], ids=["page ends", "page ends within an entry"])
@pytest.mark.parametrize("origin", ["first", "end", "fallen off"])
def test_who_lost_its_own_entry_and_nothing_after_it_has_not_fallen_off(
    scenario: Scenario, origin: str, within: bool
) -> None:
    grow(scenario, 3)
    keep(scenario, 2)  # entries are numbered from the first ever, not from the first kept
    if origin == "fallen off":
        start = read(scenario, limit=1).last
        grow(scenario, 2)
        keep(scenario, 2)
        after = read(scenario, start)
        assert after.fell_off
    else:
        after = read(scenario, "$" if origin == "end" else "")
    if within:  # two pages over one entry of two events
        scenario.create_many(scenario.item(), scenario.item())
        after = read(scenario, read(scenario, after.last, limit=1).last, limit=1)
    grow(scenario, 3)
    keep(scenario, 3)

    assert len(read(scenario, after.last).texts) == 3
    assert read(scenario, after.last).fell_off is False
    keep(scenario, 2)
    assert read(scenario, after.last).fell_off is True


def test_who_lost_the_rest_of_its_own_entry_has_fallen_off(scenario: Scenario) -> None:
    scenario.create_many(scenario.item(), scenario.item())
    within, whole = (read(scenario, limit=limit).last for limit in (1, 2))
    grow(scenario, 1)
    keep(scenario, 1)

    assert [read(scenario, after).fell_off for after in (within, whole)] == [True, False]


def test_who_waited_for_the_first_event_is_told_when_it_is_gone(scenario: Scenario) -> None:
    start = read(scenario, "$").last
    grow(scenario, 2)

    assert read(scenario, start).fell_off is False
    keep(scenario, 1)
    assert read(scenario, start).fell_off is True


def test_a_place_of_the_release_before_falls_off_with_its_entry(scenario: Scenario) -> None:
    grow(scenario, 2)
    old = read(scenario).last.partition("/")[0]
    assert (read(scenario, old).fell_off, read(scenario, old).last) == (False, old)
    grow(scenario, 3)
    assert "/" not in read(scenario, old, limit=2).last
    keep(scenario, 3)

    page = read(scenario, old)

    assert page.fell_off is True  # it may have been the last to go; nobody can tell
    grow(scenario, 1)
    keep(scenario, 1)
    assert read(scenario, page.last).fell_off is False


def feed(scenario: Scenario) -> dict[str, str]:
    """Executions that differ in one thing each, by what that is."""
    return {
        "plain": scenario.create(),
        "namespace": scenario.create(queue="other/main/any"),
        "lane": scenario.create(queue="default/fast/any"),
        "kind": scenario.create(kind="email"),
        "tag": scenario.create(tags={"app.name": "x"}),
        "other tag": scenario.create(tags={"app.name": "y"}),
    }


@pytest.mark.parametrize(
    ("only", "found"),
    [
        ({"namespace": "other"}, ["namespace"]),
        ({"lane": "fast"}, ["lane"]),
        ({"lane": "fast", "namespace": "other"}, []),
        ({"kind": "email"}, ["kind"]),
        ({"tags": ("app.name", "x")}, ["tag"]),
        ({"tags": ("app.name", "x", "app.more", "z")}, []),
        ({"names": ",created,"}, ["plain", "namespace", "lane", "kind", "tag", "other tag"]),
        ({"names": ",create,ated,claimed,"}, []),
    ],
)
def test_readers_choose_namespace_lane_kind_tags_and_names(
    scenario: Scenario, only: dict[str, str], found: list[str]
) -> None:
    ids = feed(scenario)

    page = read(scenario, **only)  # type: ignore[arg-type]

    assert page.ids == [ids[one] for one in found]
    assert page.last == read(scenario).last


def test_what_the_detail_says_is_no_match(scenario: Scenario) -> None:
    id = scenario.create(tags={"app.name": "x"}, queue="other/fast/any", kind="email")
    mark = read(scenario).texts[0].split()[6].partition("?")[2]
    plain = scenario.create()
    scenario.call("execution_cancel", f" other/fast email?{mark} completed", 0, plain)

    for only in ({"namespace": "other"}, {"lane": "fast"}, {"kind": "email"}, {"tags": ("app.name", "x")}):
        assert read(scenario, **only).ids == [id]
    assert read(scenario, names=",completed,").ids == []


def test_tags_count_as_they_were_when_it_happened(scenario: Scenario) -> None:
    id = scenario.create()
    scenario.call("execution_tag", id, 32, "app.name", "x", "app.more", "a b?c")
    scenario.call("execution_reprioritize", id, 5)
    scenario.call("execution_tag", id, 32, "app.name", "y", "app.more", "")
    scenario.call("execution_cancel", "", 0, id)

    assert read(scenario, tags=("app.name", "x")).names == ["priority_changed"]
    assert read(scenario, tags=("app.more", "a b?c", "app.name", "x")).names == ["priority_changed"]
    assert read(scenario, tags=("app.more", "a b?c", "app.name", "y")).names == []
    assert read(scenario, tags=("app.name", "y")).names == ["cancelled"]


def test_what_happened_to_a_purged_execution_is_found_by_its_tags(scenario: Scenario) -> None:
    grant = scenario.hold(tags={"app.name": "x"}, policy={"retention_ms": 1000})
    scenario.hold(tags={"app.name": "y"})
    scenario.complete(grant.lease)
    scenario.engine.advance(1001)
    assert scenario.call("retention_purge", 10)[0] == 1
    assert scenario.core(grant.id) == {}

    page = read(scenario, tags=("app.name", "x"))

    assert page.names == ["created", "claimed", "confirmed", "completed"]
    assert set(page.ids) == {grant.id}


def test_events_of_what_has_no_tags_carry_nothing_of_them(scenario: Scenario) -> None:
    id = scenario.create()
    tagged = scenario.create(tags={"app.name": "x"})
    scenario.call("execution_tag", tagged, 32, "app.name", "")
    scenario.call("execution_cancel", "why not", 0, tagged)

    assert read(scenario).texts[0] == f"created {id} waiting 0 0 default/main test "
    assert read(scenario).texts[-1] == f"cancelled {tagged} cancelled 0 0 default/main test why not"


def test_a_filter_looks_at_a_bounded_number_and_says_how_far_it_came(scenario: Scenario) -> None:
    for _ in range(5):
        scenario.create()
    wanted = scenario.create(kind="email")

    pages = [read(scenario, scan=2, kind="email")]
    while pages[-1].more:
        pages.append(read(scenario, pages[-1].last, scan=2, kind="email"))

    assert [page.ids for page in pages[:-1]] == [[], []]
    assert pages[-1].ids == [wanted]
    assert all(earlier.last < later.last for earlier, later in pairwise(pages))


def test_events_of_the_release_before_are_read_and_match_no_place(scenario: Scenario) -> None:
    scenario.engine.command(
        "XADD", scenario.prefix + "events", "5-1", "event", "attempt_failed 0-1 waiting 1 1 SomeError"
    )

    assert read(scenario).names == ["attempt_failed"]
    assert read(scenario, namespace="default").names == []
    assert read(scenario, names=",attempt_failed,").names == ["attempt_failed"]
