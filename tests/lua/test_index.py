"""Lists, depths, and the repair of indexes."""

from __future__ import annotations

import pytest

from .harness.scenario import QUEUE, Scenario


def listed(
    scenario: Scenario,
    index: str = "executions",
    *tags: str,
    direction: str = "desc",
    namespace: str = "default",
    lane: str = "",
    kind: str = "",
    state: str = "",
) -> list[str]:
    """The ids of all pages of a list: three wanted, four looked at in a call."""
    found: list[str] = []
    score, last = b"", b""
    for _ in range(50):
        is_complete, score, last, *entries = scenario.call(
            "execution_list", index, direction, score, last, 3, 4, namespace, lane, kind, state, *tags
        )
        found += [execution[0].decode() for _, execution in entries]
        if is_complete:
            return found
    raise AssertionError("the list never ends")


def test_a_list_is_newest_first_over_all_pages(scenario: Scenario) -> None:
    ids = []
    for _ in range(10):
        ids.append(scenario.create())
        scenario.engine.advance(1)

    assert listed(scenario) == ids[::-1]


def test_a_list_ends_when_many_were_created_in_one_millisecond(scenario: Scenario) -> None:
    ids = {scenario.create() for _ in range(10)}

    found = listed(scenario)

    assert (len(found), set(found)) == (10, ids)


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_a_list_of_the_delayed_ends_too(scenario: Scenario, direction: str) -> None:
    due = scenario.engine.now_ms + 1000
    ids = {scenario.create(delay_until_ms=due) for _ in range(10)}

    found = listed(scenario, "delayed", direction=direction)

    assert (len(found), set(found)) == (10, ids)


def test_a_list_can_be_narrowed(scenario: Scenario) -> None:
    blue = scenario.create(tags={"team": "blue"})
    scenario.engine.advance(1)
    other_lane = scenario.create(queue="default/side/any")
    scenario.engine.advance(1)
    other_kind = scenario.create(kind="other")
    scenario.engine.advance(1)
    foreign = scenario.create(queue="foreign/main/any")
    scenario.engine.advance(1)
    held = scenario.hold(queue="default/main/held").id

    assert set(listed(scenario)) == {blue, other_lane, other_kind, held}
    assert listed(scenario, namespace="foreign") == [foreign]
    assert listed(scenario, lane="side") == [other_lane]
    assert listed(scenario, kind="other") == [other_kind]
    assert listed(scenario, "tag:default/team=blue", "team", "blue") == [blue]
    assert listed(scenario, "active", state="active") == [held]


def test_a_list_of_more_active_ones_than_one_call_looks_at_ends_and_is_whole(scenario: Scenario) -> None:
    ids = []
    for _ in range(10):
        ids.append(scenario.hold().id)
        scenario.engine.advance(1)

    assert listed(scenario, "active", state="active") == ids[::-1]


def test_a_list_of_more_waiting_ones_than_one_call_looks_at_ends_and_is_whole(scenario: Scenario) -> None:
    ids = []
    for n in range(10):
        ids.append(scenario.create(priority=n, queue=f"default/main/{n % 2}"))
        scenario.engine.advance(1)

    assert listed(scenario, "waiting", state="waiting") == ids[::-1]


def test_what_waits_is_found_without_looking_at_what_has_ended(scenario: Scenario) -> None:
    oldest = scenario.create(queue="default/main/old", priority=9)
    scenario.engine.advance(1)
    newest = scenario.create(queue="default/main/new")
    scenario.create(queue="default/main2/new")
    scenario.create(queue="foreign/main/new")
    for _ in range(10):
        scenario.complete(scenario.hold(queue="default/main/held").lease)

    found = scenario.call("execution_list", "waiting", "desc", "", "", 2, 3, "default", "main", "", "waiting")

    is_complete, _, _, *entries = found
    assert (is_complete, [execution[0].decode() for _, execution in entries]) == (1, [newest, oldest])


def test_depths_and_lanes_are_known(scenario: Scenario) -> None:
    scenario.create()
    scenario.create()
    scenario.create(queue="default/side/gpu", priority=1)

    lanes, queues = scenario.call("queue_stats")

    assert sorted(lanes) == [b"default/main", b"default/side"]
    assert dict(zip(queues[::3], queues[1::3], strict=True)) == {QUEUE.encode(): 2, b"default/side/gpu": 1}
    ready = scenario.call("queue_ready")
    assert ready[::2] == [b"default/side/gpu", QUEUE.encode()]


def reconcile(scenario: Scenario, index: str) -> int:
    """Repairs of the passes over an index until one finds nothing, two entries at a time."""
    repaired = of_pass = offset = 0
    count: int
    for _ in range(100):
        offset, count = scenario.call("index_reconcile", index, offset, 2, 30_000)
        repaired, of_pass = repaired + count, of_pass + count
        if offset == 0 and of_pass == 0:
            return repaired
        if offset == 0:
            of_pass = 0
    raise AssertionError("there is always something to repair")


def some_of_each(scenario: Scenario) -> None:
    for _ in range(3):
        scenario.create(deadline_ms=99_000)
    scenario.create(delay_until_ms=scenario.engine.now_ms + 1000)
    scenario.hold(queue="default/main/held", attempt_timeout_ms=9000)
    scenario.create(queue="default/main/offered")
    scenario.claim("default/main/offered")
    scenario.complete(scenario.hold(queue="default/main/done").lease)


def test_sound_indexes_are_left_alone(scenario: Scenario) -> None:
    some_of_each(scenario)
    before = scenario.indexes()

    assert [reconcile(scenario, index) for index in before if index != "ready"] == [0] * (len(before) - 1)
    assert scenario.indexes() == before


@pytest.mark.parametrize(
    "index",
    [
        f"queue:{QUEUE}",
        "ready",
        "delayed",
        "leased",
        "offered",
        "completed",
        "deadline",
        "attempt_timeout",
    ],
)
def test_a_lost_index_is_rebuilt(scenario: Scenario, index: str) -> None:
    some_of_each(scenario)
    before = scenario.indexes()
    scenario.engine.command("DEL", scenario.prefix + index)

    assert reconcile(scenario, "executions") > 0

    assert {name: sorted(members) for name, members in scenario.indexes().items()} == {
        name: sorted(members) for name, members in before.items()
    }
    scenario.assert_sound()


def test_a_lost_request_to_stop_is_due_again(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.call("execution_cancel", "why", 1000, grant.id)
    scenario.engine.command("DEL", scenario.prefix + "deadline")

    assert reconcile(scenario, "executions") == 1

    scenario.assert_sound()
    scenario.call("deadline_expire", 10)
    assert scenario.state(grant.id) == "cancelled"


def test_entries_without_their_execution_are_dropped(scenario: Scenario) -> None:
    some_of_each(scenario)
    indexes = [index for index in scenario.indexes() if index != "ready"]
    for index in indexes:
        scenario.engine.command("ZADD", scenario.prefix + index, 5, "0-dead1", 6, "0-dead2", 7, "0-dead3")

    assert [reconcile(scenario, index) for index in indexes] == [3] * len(indexes)
    scenario.assert_sound()


def test_an_execution_in_two_indexes_leaves_the_wrong_one(scenario: Scenario) -> None:
    id = scenario.create()
    scenario.engine.command("ZADD", scenario.prefix + "leased", 5, id)

    assert reconcile(scenario, "leased") == 1
    scenario.assert_sound()


@pytest.mark.parametrize(
    ("timer", "scan"), [("deadline", "deadline_expire"), ("attempt_timeout", "attempt_expire")]
)
def test_a_timer_of_what_has_ended_is_dropped_when_it_is_due(
    scenario: Scenario, timer: str, scan: str
) -> None:
    grant = scenario.hold()
    scenario.complete(grant.lease)
    scenario.engine.command("ZADD", scenario.prefix + timer, scenario.engine.now_ms, grant.id)

    assert scenario.call(scan, 10) == [0, b""]
    assert scenario.state(grant.id) == "completed"
    scenario.assert_sound()
