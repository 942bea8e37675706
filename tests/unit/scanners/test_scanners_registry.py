"""The list of scanners is whole, and each asks the store for its own thing."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import cast

import pytest

import ff_scanners.scanners
from ff_core.backend import EngineBackend
from ff_core.scan import Scan
from ff_scanners.registry import SCANNERS
from ff_scanners.scanner import Scanner, ScanResult
from ff_scanners.settings import ScannerSettings

MODULES = [module.name for module in pkgutil.iter_modules(ff_scanners.scanners.__path__)]
CALLS = {
    "attempt_timeout": ("attempt_expire", 3, 100),
    "delayed_promoter": ("delayed_promote", 3, 200),
    "execution_deadline": ("deadline_expire", 3, 100),
    "lease_expiry": ("lease_expire", 3, 100),
    "offer_expiry": ("offer_expire", 3, 100),
    "retention": ("retention_purge", 3, 100),
    "worker_registry": ("worker_sweep", 100),
}


class RecordingBackend:
    """Answers every timer with the same scan and remembers what was asked."""

    def __init__(self, scan: Scan) -> None:
        self.calls: list[tuple[object, ...]] = []
        self._scan = scan

    def __getattr__(self, name: str) -> object:
        async def call(*args: int) -> Scan:
            self.calls.append((name, *args))
            return self._scan

        return call


def by_name(name: str) -> type[Scanner]:
    return next(scanner for scanner in SCANNERS if scanner.name == name)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_defines_one_scanner_of_its_name_which_is_registered(module: str) -> None:
    path = f"{ff_scanners.scanners.__name__}.{module}"
    defined = [
        value
        for _, value in inspect.getmembers(import_module(path), inspect.isclass)
        if issubclass(value, Scanner) and value.__module__ == path
    ]

    assert [scanner.name for scanner in defined] == [module]
    assert defined[0] in SCANNERS


def test_scanners_are_listed_by_name_without_repeats() -> None:
    names = [scanner.name for scanner in SCANNERS]

    assert names == sorted(set(names))
    assert names == sorted(MODULES)


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: str(scanner.name))
def test_a_scanner_has_an_interval_setting_with_its_default(scanner: type[Scanner]) -> None:
    assert ScannerSettings().interval_s(scanner.name) == scanner.default_interval_ms / 1000


@pytest.mark.parametrize(("name", "call"), CALLS.items())
async def test_a_timer_is_one_call_and_a_full_batch_means_more(name: str, call: tuple[object, ...]) -> None:
    idle, busy = RecordingBackend(Scan(1, 1234)), RecordingBackend(Scan(200, 0))

    result = await by_name(name)(cast("EngineBackend", idle), lease_ttl_ms=1).scan(3)
    full = await by_name(name)(cast("EngineBackend", busy), lease_ttl_ms=1).scan(3)

    assert idle.calls == [call]
    assert result == ScanResult(1, 1234, more=False)
    assert full == ScanResult(200, 0, more=True)


async def test_pruned_libraries_are_counted_and_named() -> None:
    class Backend:
        async def prune_libraries(self) -> list[str]:
            return ["ff_1", "ff_2"]

    scanner = by_name("library_prune")(cast("EngineBackend", Backend()), lease_ttl_ms=1)

    assert await scanner.scan(0) == ScanResult(2, detail="ff_1 ff_2")


def test_what_has_no_partition_runs_once_per_fleet() -> None:
    assert [scanner.name for scanner in SCANNERS if scanner.is_once_per_fleet] == [
        "library_prune",
        "worker_registry",
    ]
