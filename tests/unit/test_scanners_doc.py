"""docs/reference/scanners.md describes the scanners that are registered."""

from __future__ import annotations

import re
from pathlib import Path

from ff_lua import assemble
from ff_scanners.registry import SCANNERS
from ff_scanners.settings import ScannerSettings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "scanners.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]


def test_every_scanner_is_described_in_the_order_of_the_registry() -> None:
    assert [row[0].strip("`") for row in ROWS] == [scanner.name for scanner in SCANNERS]


def test_intervals_batches_and_ownership_are_those_of_the_code() -> None:
    for row, scanner in zip(ROWS, SCANNERS, strict=True):
        _, looks_for, _, _, interval, batch, _ = row
        assert float(interval.removesuffix(" s")) * 1000 == scanner.default_interval_ms
        assert int(batch) == scanner.default_batch
        assert ("(once per fleet)" in looks_for) == scanner.is_once_per_fleet


def test_the_functions_and_settings_exist() -> None:
    functions = assemble().functions
    for *_, function, _, _, setting in ROWS:
        assert function == "none" or function.strip("`") in functions
        assert setting.strip("`").removeprefix("FF_").lower() in ScannerSettings.model_fields


def test_other_settings_named_on_the_page_exist() -> None:
    named = set(re.findall(r"`FF_(\w+)`", PAGE))

    assert {name.lower() for name in named} <= set(ScannerSettings.model_fields)
