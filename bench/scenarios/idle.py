"""5: what the services cost with nothing to do: no executions, no workers, no clients."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bench.peers.flowfabric_system import FlowFabric
from bench.scenario import Case, Metric, Sample, Size
from bench.server import Server
from bench.system import fresh
from bench.usage import Usage

SERVICES = ("valkey", "gateway", "scheduler", "scanners")
METRICS = (
    *(Metric(f"{service}_cpu", "% of a core", digits=2) for service in SERVICES),
    *(Metric(f"{service}_rss", "MiB") for service in SERVICES),
)
#: Start-up is not idleness.
CALM_SECONDS = 3.0


async def idle(system: FlowFabric, seconds: float) -> Sample:
    """Watches the services do nothing."""
    async with fresh(system) as roles:
        await asyncio.sleep(CALM_SECONDS)
        usage = Usage(roles)
        await asyncio.sleep(seconds)
        cores, resident = usage.cores(), usage.resident_mib()
        cpu = {f"{service}_cpu": cores[service] * 100 for service in SERVICES}
        return Sample({**cpu, **{f"{service}_rss": resident[service] for service in SERVICES}}, cores)


def cases(server: Server, size: Size) -> Sequence[Case]:
    """FlowFabric alone."""
    system = FlowFabric(server)
    about = f"services with nothing to do, over {size.idle_seconds:.0f} s"
    return [Case("idle", about, METRICS, {"flowfabric": lambda: idle(system, size.idle_seconds)})]
