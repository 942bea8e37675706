"""docs/reference/conditions.md and journal.md say the numbers and fields of the rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ff_core.wire import condition

ROOT = Path(__file__).resolve().parents[2]
CONDITIONS = (ROOT / "docs/reference/conditions.md").read_text()
JOURNAL = (ROOT / "docs/reference/journal.md").read_text()
LUA = "\n".join(
    (ROOT / f"lua/ff_lua/{name}.lua").read_text() for name in ("condition", "waitpoint", "journal", "claim")
)


def constant(name: str) -> int:
    """A number of the rules, by its name; one of a list of names is in the same place of the values."""
    for names, values in re.findall(r"^ *(?:local )?([\w., ]+) = ([\d, ]+)", LUA, re.MULTILINE):
        found = dict(zip(names.split(", "), values.split(", "), strict=False))
        if name in found:
            return int(found[name])
    raise AssertionError(f"{name} is not in the rules")


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("depth, the root is 1", "ff.CONDITION_DEPTH"),
        ("conditions in a tree", "ff.CONDITION_NODES"),
        ("conditions of one `all_of` or `any_of`", "MOST_CHILDREN"),
        ("`count.n`", "MOST_COUNTED"),
        ("names in a matcher", "MOST_NAMES"),
        ("open waitpoints of an execution (`WAITPOINTS_FULL`)", "MOST_OPEN"),
        ("idle waitpoints, the newest", "IDLE_KEPT"),
        ("closed waitpoints that are remembered, the newest", "CLOSED_KEPT"),
    ],
)
def test_limits_are_those_of_the_rules(sentence: str, name: str) -> None:
    assert f"| {sentence} | {constant(name)} |" in CONDITIONS


def test_both_sides_of_the_wire_check_the_same_limits() -> None:
    assert tuple(
        constant(name)
        for name in (
            "ff.CONDITION_DEPTH",
            "ff.CONDITION_NODES",
            "MOST_CHILDREN",
            "MOST_COUNTED",
            "MOST_NAMES",
        )
    ) == (
        condition.MAX_DEPTH,
        condition.MAX_NODES,
        condition.MAX_CHILDREN,
        condition.MAX_COUNT,
        condition.MAX_NAMES,
    )


def test_what_a_grant_carries_is_told() -> None:
    assert f"at most {constant('INLINE_ENTRIES')} entries and {constant('INLINE_BYTES') >> 10} KiB" in JOURNAL
    assert f"at most {constant('MOST_PAST') >> 20} MiB" in JOURNAL
    assert f"the newest {constant('SHOWN')} entries" in JOURNAL
