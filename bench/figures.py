"""The statistics every scenario shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def percentile(samples: Sequence[float], quantile: float) -> float:
    """Nearest rank on the sorted samples: index round((n - 1) * quantile)."""
    ranked = sorted(samples)
    return ranked[round((len(ranked) - 1) * quantile)]


@dataclass(frozen=True)
class Spread:
    """A figure over the runs of one case."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The median is by nearest rank too, so it is always one of the values."""
        return cls(percentile(values, 0.5), min(values), max(values))
