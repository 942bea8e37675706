"""The tables on the screen and the JSON beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table

from bench.figures import Spread
from bench.scenario import Case, Metric, Sample

OURS = "flowfabric"


@dataclass
class Outcome:
    """All that was measured of one case."""

    case: Case
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def spread(self, system: str, metric: Metric) -> Spread | None:
        """A metric over the runs; None when no run gave it."""
        values = [sample.values[metric.name] for sample in self.samples.get(system, ())]
        return Spread.of(values) if values else None

    def ratio(self, system: str) -> float | None:
        """How many times better FlowFabric's median of the first metric is; below 1 it is worse."""
        metric = self.case.metrics[0]
        ours, theirs = self.spread(OURS, metric), self.spread(system, metric)
        if ours is None or theirs is None or not ours.median or not theirs.median:
            return None
        ratio = ours.median / theirs.median
        return ratio if metric.higher_is_better else 1 / ratio

    def cores(self, system: str) -> dict[str, float]:
        """Median CPU seconds per second by role."""
        roles = {role for sample in self.samples.get(system, ()) for role in sample.cores}
        samples = self.samples.get(system, ())
        return {
            role: Spread.of([each.cores.get(role, 0.0) for each in samples]).median for role in sorted(roles)
        }

    def as_json(self) -> dict[str, Any]:
        """Every sample, and what was made of them."""
        return {
            "about": self.case.about,
            "metrics": [asdict(metric) for metric in self.case.metrics],
            "systems": {system: self._system_as_json(system) for system in self.case.systems},
            "absent": dict(self.case.absent),
        }

    def _system_as_json(self, system: str) -> dict[str, Any]:
        spreads = {metric.name: self.spread(system, metric) for metric in self.case.metrics}
        return {
            "summary": {name: asdict(spread) if spread else None for name, spread in spreads.items()},
            "flowfabric_is_better_by": self.ratio(system),
            "cores": self.cores(system),
            "samples": [asdict(sample) for sample in self.samples.get(system, ())],
            "failures": self.failures.get(system, []),
        }


def table(outcome: Outcome) -> Table:
    """One row a system: median, and lowest to highest where there are several runs."""
    runs = max((len(samples) for samples in outcome.samples.values()), default=0)
    case = outcome.case
    grid = Table(
        title=f"{case.name}: {case.about}", title_justify="left", caption=f"{runs} runs", highlight=True
    )
    grid.add_column("system")
    for metric in case.metrics:
        grid.add_column(f"{metric.name}\n{metric.unit}", justify="right")
    if len(case.systems) > 1:
        grid.add_column("flowfabric\nis better by", justify="right")
    grid.add_column("cores used", overflow="fold")
    for system in case.systems:
        cells = [_cell(outcome.spread(system, metric), metric) for metric in case.metrics]
        if len(case.systems) > 1:
            ratio = outcome.ratio(system)
            cells.append("" if ratio is None or system == OURS else f"×{ratio:.2f}")
        failed = len(outcome.failures.get(system, ()))
        name = f"{system} [red]({failed} failed)[/red]" if failed else system
        grid.add_row(name, *cells, _cores(outcome.cores(system)))
    for system, why in case.absent.items():
        grid.add_row(system, f"[dim]{why}[/dim]")
    return grid


def _cell(spread: Spread | None, metric: Metric) -> str:
    if spread is None:
        return "–"
    text = f"{spread.median:,.{metric.digits}f}"
    if spread.lowest == spread.highest:
        return text
    return f"{text}\n[dim]{spread.lowest:,.{metric.digits}f}…{spread.highest:,.{metric.digits}f}[/dim]"


def _cores(cores: Mapping[str, float]) -> str:
    used: Sequence[str] = [f"{role} {value:.2f}" for role, value in cores.items()]
    return ", ".join(used)
