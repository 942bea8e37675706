"""What a scenario is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

PAYLOAD = b"x" * 4096


@dataclass(frozen=True)
class Metric:
    """One column: a figure of a sample and how to print it."""

    name: str
    unit: str
    higher_is_better: bool = False
    digits: int = 1


@dataclass(frozen=True)
class Sample:
    """One measurement of one system."""

    values: Mapping[str, float]
    #: CPU seconds per second while it was measured, by role of the process.
    cores: Mapping[str, float] = field(default_factory=dict)


Measure = Callable[[], Awaitable[Sample]]


@dataclass(frozen=True)
class Case:
    """One table: systems that are measured in turn, the first metric being the one compared."""

    name: str
    about: str
    metrics: Sequence[Metric]
    systems: Mapping[str, Measure]
    #: Fewer runs than asked for, where one takes minutes.
    max_runs: int = 1000
    #: Systems that cannot be measured here, and why.
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Size:
    """How much work the scenarios do."""

    drained: int = 10_000
    submitted: int = 5_000
    submitted_in_bulk: int = 20_000
    latency_samples: int = 300
    leases: int = 10_000
    leases_seconds: float = 60
    idle_seconds: float = 30
    depths: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    drained_at_depth: int = 1_000
    routed_workers: int = 100
    routed_tasks: int = 1_000
    suspended: int = 300
    suspended_at_once: int = 2_000
    stepped: int = 300
    stepped_at_once: int = 1_000
    frames: int = 20_000
    #: A sample that takes longer is reported as failed.
    patience_seconds: float = 600


QUICK = Size(
    drained=1_000,
    submitted=500,
    submitted_in_bulk=3_000,
    latency_samples=50,
    leases=500,
    leases_seconds=10,
    idle_seconds=5,
    depths=(1_000, 10_000, 100_000),
    drained_at_depth=500,
    routed_workers=20,
    routed_tasks=200,
    suspended=50,
    suspended_at_once=300,
    stepped=30,
    stepped_at_once=100,
    frames=2_000,
    patience_seconds=120,
)
