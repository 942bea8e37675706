"""docs/reference/metrics.md names the metrics that the services register."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md").read_text()
ROW = re.compile(r"^\| `(ff_\w+)` \| (\w+) \| (.*?) ?\| (.*?) \|", re.MULTILINE)
PACKAGES = {"all": "ff_core", "gateway": "ff_gateway", "scheduler": "ff_scheduler", "scanners": "ff_scanners"}


def registered() -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of every metric of ours, after importing all there is."""
    for name in PACKAGES.values():
        package = import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    found = {}
    for collector in list(REGISTRY._collector_to_names):  # the registry has no door to labels without samples
        metric: Any = collector
        name = getattr(metric, "_name", "")
        if name.startswith("ff_"):
            full_name = f"{name}_total" if metric._type == "counter" else name
            found[full_name] = (metric._type, frozenset(metric._labelnames))
    return found


def test_the_page_names_every_metric_with_its_type_and_labels() -> None:
    page = {
        name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in ROW.findall(PAGE)
    }

    assert page == registered()


def test_metrics_named_in_the_text_exist() -> None:
    named = set(re.findall(r"`(ff_[a-z_]+)(?:\{[^`]*\})?`", PAGE))

    assert named == set(registered())


def test_services_are_named() -> None:
    for *_, services in ROW.findall(PAGE):
        assert set(services.split(", ")) <= set(PACKAGES)
