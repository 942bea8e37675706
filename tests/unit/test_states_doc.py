"""docs/reference/states.md says what the transition table in prelude.lua says."""

from __future__ import annotations

import re
from pathlib import Path

from ff_core.state import TERMINAL, State, vector_of

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = (ROOT / "lua" / "ff_lua" / "prelude.lua").read_text()
LIBRARY = "\n".join(path.read_text() for path in sorted((ROOT / "lua" / "ff_lua").glob("*.lua")))
PAGE = (ROOT / "docs" / "reference" / "states.md").read_text()

Table = dict[str, tuple[frozenset[str], frozenset[str]]]


def table_in_code() -> Table:
    body = re.search(r"ff\.TRANSITIONS = \{\n(.*?)\n  \}", PRELUDE, re.DOTALL)
    assert body is not None
    rows = re.findall(r"^\s*(\w+) = \{ from = \{(.*?)\}, to = \{(.*?)\} \},$", body[1], re.MULTILINE)
    assert len(rows) == len(body[1].splitlines()), "a line of the table has a form this test does not know"
    return {
        operation: (
            frozenset(re.findall(r"(\w+) = true", before)),
            frozenset(re.findall(r"(\w+) = true", to)),
        )
        for operation, before, to in rows
    }


def rows_of(section: str) -> list[list[str]]:
    """The cells of the table under a heading, its head left out."""
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def words(cell: str) -> frozenset[str]:
    return frozenset(re.findall(r"`(\w+)`", cell))


def test_the_table_of_the_page_is_the_table_of_the_code() -> None:
    page = {
        next(iter(words(operation))): (words(before), words(to))
        for operation, before, to, _ in rows_of("Transitions")
    }

    assert page == table_in_code()


def test_the_diagram_has_the_states_and_no_arrow_that_the_table_lacks() -> None:
    arrows = re.findall(r"^    (\S+) --> (\w+): (\w+)$", PAGE, re.MULTILINE)
    table = table_in_code()

    drawn: Table = {}
    for before, to, operation in arrows:
        befores, tos = drawn.get(operation, (frozenset(), frozenset()))
        drawn[operation] = (befores | ({before} - {"[*]"}), tos | {to})
    assert drawn == table
    assert len(arrows) == len(set(arrows))
    assert {state for arrow in arrows for state in arrow[:2]} - {"[*]"} == {state.value for state in State}


def test_the_terminal_states_are_those_only_a_replay_leaves() -> None:
    table = table_in_code()
    left_by_others = frozenset[str]().union(*(row[0] for name, row in table.items() if name != "replay"))

    assert table["replay"][0] == {state.value for state in TERMINAL}
    assert not left_by_others & table["replay"][0]


def test_the_values_of_the_vector_are_all_on_the_page() -> None:
    page = {next(iter(words(name))): words(values) for name, values in rows_of("The state vector")}
    vectors = [
        vector_of(state, "none", "running_attempt", has_capable_worker=capable)
        for state in State
        for capable in (True, False)
    ]

    for dimension in ("lifecycle_phase", "ownership_state", "eligibility_state", "terminal_outcome"):
        assert page[dimension] == {getattr(vector, dimension) for vector in vectors}
    assert page["blocking_reason"] == {*re.findall(r"'((?:waiting_for|paused_by)_\w+)'", LIBRARY), "none"} | {
        vector.blocking_reason for vector in vectors
    }
    assert page["attempt_state"] == set(
        re.findall(r"'((?:pending_\w+|running|attempt)_(?:attempt|interrupted|terminal))'", LIBRARY)
    )
