"""What a replay keeps of the journal."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from .harness.journal import entries_of, entry, keys, record, totals
from .harness.scenario import QUEUE, Grant, Scenario


def ended(scenario: Scenario, *entries: list[Any], max_entries: int = 100) -> Grant:
    """An execution that recorded entries and has failed."""
    grant = scenario.hold()
    for first in range(0, len(entries), 200):
        assert record(scenario, grant.lease, *entries[first : first + 200], max_entries=max_entries) == [
            b"OK"
        ]
    scenario.fail(grant.lease, final=True)
    return grant


def replay(scenario: Scenario, id: str, mode: str = "fresh", step: str = "") -> list[bytes]:
    return cast("list[bytes]", scenario.call("execution_replay", id, mode, step))


def journal_of_grant(scenario: Scenario) -> list[str]:
    """Keys that the next holder is told."""
    reply = cast("list[Any]", scenario.call("execution_claim", QUEUE, 1, 5000, "n", "g"))
    row = reply[2]
    return [each.key for each in entries_of(row[6])] if len(row) > 6 and row[6] else []


def test_afresh_forgets_everything(scenario: Scenario) -> None:
    grant = ended(scenario, entry("1", data=b"x"), entry("2"))

    assert replay(scenario, grant.id) == [b"OK", b"waiting"]

    assert keys(scenario, grant.id) == []
    assert "steps" not in scenario.core(grant.id)
    assert {"journal", "journal_data", "steps"}.isdisjoint(
        name.partition(":")[0] for name in scenario.keys_of(grant.id)
    )
    assert journal_of_grant(scenario) == []
    scenario.assert_sound()


def test_all_that_is_final_can_be_kept(scenario: Scenario) -> None:
    failure = {"type": "E", "message": "m", "category": "transient"}
    grant = ended(
        scenario,
        entry("1", data=b"x"),
        entry("2", state="running", data=b"half"),
        entry("3", state="failed", e=failure),
    )

    assert replay(scenario, grant.id, "all") == [b"OK", b"waiting"]

    assert keys(scenario, grant.id) == ["1", "3"]
    assert totals(scenario, grant.id)[1:] == (2, 3)
    assert journal_of_grant(scenario) == ["1", "3"]


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        ("2", ["1", "2"]),
        ("load", ["1", "2", "3"]),
        ("plan", ["1"]),
        ("=apply:x", ["1", "2", "3", "=apply:x"]),
        ("5", ["1", "2", "3", "=apply:x", "5"]),
    ],
)
def test_a_fork_keeps_the_journal_through_a_step(scenario: Scenario, step: str, kept: list[str]) -> None:
    grant = ended(
        scenario,
        entry("1", "plan", data=b"1"),
        entry("2", "load", data=b"2"),
        entry("3", "load", data=b"3"),
        entry("=apply:x", "apply", data=b"4"),
        entry("5", "5th", data=b"5"),
    )

    assert replay(scenario, grant.id, "through", step) == [b"OK", b"waiting"]

    assert keys(scenario, grant.id) == kept
    totals(scenario, grant.id)
    assert journal_of_grant(scenario) == kept


def test_a_step_that_was_not_recorded_is_told_and_nothing_changes(scenario: Scenario) -> None:
    grant = ended(scenario, entry("1", "plan"))
    bare = ended(scenario)

    assert replay(scenario, grant.id, "through", "apply") == [b"STEP_NOT_FOUND"]
    assert replay(scenario, bare.id, "through", "1") == [b"STEP_NOT_FOUND"]

    assert (scenario.state(grant.id), keys(scenario, grant.id)) == ("failed", ["1"])
    assert "replays" not in scenario.core(grant.id)


def test_what_is_recorded_after_a_fork_comes_after_what_was_kept(scenario: Scenario) -> None:
    grant = ended(scenario, entry("1", "plan"), entry("2", "load"), entry("3", "apply"))
    replay(scenario, grant.id, "through", "1")
    again = scenario.reclaim(grant.id)

    assert record(scenario, again.lease, entry("2", "other", data=b"new")) == [b"OK"]

    assert keys(scenario, grant.id) == ["1", "2"]
    assert totals(scenario, grant.id)[1:] == (2, 4)


def test_nothing_final_is_nothing_kept(scenario: Scenario) -> None:
    grant = ended(scenario, entry("1", state="running"))

    replay(scenario, grant.id, "all")

    assert "steps" not in scenario.core(grant.id)
    assert f"journal:{grant.id}" not in scenario.keys_of(grant.id)


def test_a_long_journal_is_cut_in_the_middle(scenario: Scenario) -> None:
    grant = ended(
        scenario,
        *(entry(str(number), f"step{number}", data=b"x") for number in range(1, 1301)),
        max_entries=2000,
    )

    replay(scenario, grant.id, "through", "step601")

    assert keys(scenario, grant.id) == [str(number) for number in range(1, 602)]
    assert totals(scenario, grant.id)[1] == 601


def test_waitpoints_that_no_kept_wait_used_are_made_anew(scenario: Scenario) -> None:
    grant = ended(
        scenario,
        entry("1", "used", kind="waitpoint", w="ns~0-ff~p1~1~99"),
        entry("2", "open", kind="waitpoint", w="ns~0-ff~p2~2~99"),
        entry("3", "used", kind="wait", w="ns~0-ff~p1~1~99"),
        entry("4", "open", kind="wait", state="waiting", w="ns~0-ff~p2~2~99"),
    )

    replay(scenario, grant.id, "all")

    assert keys(scenario, grant.id) == ["1", "3"]


def test_a_replay_forgets_waitpoints_and_uses_no_number_twice(scenario: Scenario) -> None:
    grant = scenario.hold()
    first = scenario.call("waitpoint_create", grant.lease, "approval", "single", "", 1000, "k1", "1")
    scenario.fail(grant.lease, final=True)
    replay(scenario, grant.id)
    again = scenario.reclaim(grant.id)

    second = scenario.call("waitpoint_create", again.lease, "approval", "single", "", 1000, "k1", "1")

    assert [json.loads(cast("list[bytes]", reply)[1])["number"] for reply in (first, second)] == [1, 2]
    scenario.assert_sound()
