"""What the hand-written pages name exists: files, tests, functions, settings, and each other."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from ff_gateway.settings import GatewaySettings
from ff_scanners.settings import ScannerSettings
from ff_scheduler.settings import SchedulerSettings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
    + [*(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/README.md")]
)
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
STATES = (ROOT / "docs" / "reference" / "states.md").read_text()
DECISIONS = sorted((ROOT / "docs" / "adr").glob("0*.md"))
ROOMS = ("proto", "lua", "core", "services", "sdk")
LIBRARY = {path.name: path.read_text() for path in (ROOT / "lua" / "ff_lua").glob("*.lua")}

#: Read by clients, workers and tests, not by services.
OTHER_VARIABLES = {"FF_ADDR", "FF_NAMESPACE", "FF_TEST_VALKEY_URL"}


@cache
def files_named(name: str) -> list[Path]:
    """The files of the tree whose path ends with this."""
    tops = (*ROOMS, "tests", "bench", "examples", "tools", "docs")
    return [path for top in tops for path in (ROOT / top).rglob(Path(name).name) if str(path).endswith(name)]


def code_of(text: str) -> list[str]:
    """What stands in backticks, fenced blocks left out."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_files_that_are_named_exist(page: Path) -> None:
    paths = [
        name for name in code_of(page.read_text()) if re.fullmatch(r"[\w./-]+\.(py|lua|md|proto|toml)", name)
    ]

    missing = [name for name in paths if not (ROOT / name).exists() and not files_named(f"/{name}")]
    # The README's own two programs.
    assert [name for name in missing if name not in ("worker.py", "client.py")] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_tests_that_are_named_exist(page: Path) -> None:
    for path, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text()):
        assert f"def {test}(" in (ROOT / path).read_text(), f"{path}::{test}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_functions_of_the_prelude_that_are_named_exist(page: Path) -> None:
    library = "\n".join(LIBRARY.values())

    for name in code_of(page.read_text()):
        if re.fullmatch(r"ff\.\w+", name):
            assert f"function {name}(" in library or f"{name} = " in library, name


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_variables_that_are_named_are_settings(page: Path) -> None:
    settings = {
        f"FF_{name}".upper()
        for one in (GatewaySettings, SchedulerSettings, ScannerSettings)
        for name in one.model_fields
    }

    named = set(re.findall(r"\b(FF_[A-Z][A-Z_]+[A-Z])\b", page.read_text()))
    assert named - settings - OTHER_VARIABLES == set()


def test_the_files_of_the_journeys_exist() -> None:
    section = ARCHITECTURE.split("## The journeys")[1].split("\n## ")[0]
    block = section.split("```")[1]

    names = re.findall(r"[\w/]+\.(?:py|lua)", block)
    assert len(names) > 15
    assert [name for name in names if not files_named(f"/{name}")] == []


def test_the_expiry_of_a_lease_is_found_where_the_page_says() -> None:
    assert "lease_expire(partition, self.batch)" in files_named("/scanners/lease_expiry.py")[0].read_text()
    assert "ff.reclaim(x, 'LEASE_EXPIRED', now)" in LIBRARY["timer.lua"]
    assert "function ff.reclaim(" in LIBRARY["lease.lua"]
    assert "function ff.lease_refusal(" in LIBRARY["transition.lua"]


def test_invariants_are_numbered_from_one_and_guarded() -> None:
    paragraphs = re.findall(r"^\*\*INV-(\d+) .*?(?=\n\n)", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    bodies = re.findall(r"^(\*\*INV-\d+ .*?)\n\n", ARCHITECTURE, re.MULTILINE | re.DOTALL)

    assert [int(number) for number in paragraphs] == list(range(1, len(paragraphs) + 1))
    unguarded = [body for body in bodies if "Guards: `tests/" not in body and "make lint" not in body]
    assert unguarded == []


def test_invariants_cited_in_code_exist() -> None:
    known = set(re.findall(r"\*\*(INV-\d+) ", ARCHITECTURE))
    sources = [path for room in ROOMS for end in ("py", "lua") for path in (ROOT / room).rglob(f"*.{end}")]

    cited = {number for path in sources for number in re.findall(r"INV-\d+", path.read_text())}
    assert cited <= known


def test_only_the_prelude_reads_the_clock() -> None:
    readers = [
        name for name, text in LIBRARY.items() if re.search(r"redis\.call\('TIME'|os\.time|os\.clock", text)
    ]

    assert readers == ["prelude.lua"]
    assert LIBRARY["prelude.lua"].count("redis.call('TIME')") == 1


def test_both_diagrams_of_states_have_the_same_arrows() -> None:
    def arrows(text: str) -> set[tuple[str, str]]:
        return set(re.findall(r"^    (\S+) --> (\w+):", text, re.MULTILINE))

    assert arrows(ARCHITECTURE) == arrows(STATES)


def test_decisions_are_numbered_and_have_their_three_parts() -> None:
    for number, page in enumerate(DECISIONS, 1):
        text = page.read_text()
        assert page.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number}. ")
        assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_decisions_are_listed_by_title() -> None:
    listed = re.findall(
        r"^\| \[(\d+)\]\(([\w.-]+)\) \| (.*) \|$", (ROOT / "docs/adr/README.md").read_text(), re.M
    )

    titles = [page.read_text().splitlines()[0].partition(". ")[2] for page in DECISIONS]
    assert listed == [
        (page.name[:4], page.name, title) for page, title in zip(DECISIONS, titles, strict=True)
    ]


def test_the_glossary_is_in_order() -> None:
    words = re.findall(r"^\| ([a-z-]+) \| (?!Means)", (ROOT / "docs/reference/glossary.md").read_text(), re.M)

    assert words == sorted(set(words))
