"""Every scenario, in the order of the issue. Adding one: write its file with `cases`, add it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.scenario import Case, Size
from bench.scenarios import depth, drain, frames, idle, latency, leases, routed, steps, submit, suspend
from bench.server import Server

SCENARIOS: Mapping[str, Callable[[Server, Size], Sequence[Case]]] = {
    "drain": drain.cases,
    "submit": submit.cases,
    "latency": latency.cases,
    "leases": leases.cases,
    "idle": idle.cases,
    "depth": depth.cases,
    "routed": routed.cases,
    "suspend": suspend.cases,
    "steps": steps.cases,
    "frames": frames.cases,
}
