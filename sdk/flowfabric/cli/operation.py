"""Looking at the engine: workers and lanes."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from flowfabric._client import Client
from flowfabric._operator import LaneInfo
from flowfabric.cli.command import AsJson, with_client
from flowfabric.cli.document import document, print_line
from flowfabric.cli.table import clock, print_table


@with_client
async def workers(client: Client, *, as_json: AsJson = False) -> None:
    """List the workers with a live session."""
    found = await client.workers()
    if as_json:
        for worker in found:
            print_line(document(worker))
        return
    rows: list[list[str | Text]] = [
        [
            worker.worker_id,
            worker.identity,
            joined(pool.lanes),
            joined(pool.capabilities),
            f"{pool.held}/{pool.slots}",
            Text("draining", "yellow") if worker.draining else Text("serving", "green"),
            clock(worker.connect_time),
        ]
        for worker in found
        for pool in worker.pools
    ]
    print_table(("WORKER", "IDENTITY", "LANES", "CAPABILITIES", "HELD", "STATE", "SINCE"), rows)


@with_client
async def lanes(client: Client, *, as_json: AsJson = False) -> None:
    """List the lanes: what waits in each, and who serves it."""
    found = await client.lanes()
    if as_json:
        for lane in found:
            print_line(document(lane))
        return
    rows: list[list[str | Text]] = [
        [
            lane.lane,
            str(lane.waiting),
            str(lane.workers),
            f"{lane.held}/{lane.slots}",
            Text(stuck(lane), "red"),
        ]
        for lane in found
    ]
    print_table(("LANE", "WAITING", "WORKERS", "HELD", "NOTE"), rows)


def stuck(lane: LaneInfo) -> str:
    """What waits in a lane for a worker that is not there."""
    queues = (queue for queue in lane.queues if queue.waiting and not queue.has_capable_worker)
    notes = (f"{queue.waiting} wait for a worker{of(queue.requires)}" for queue in queues)
    return "; ".join(notes)


def of(requires: tuple[str, ...]) -> str:
    """What a worker is missing for, as the end of a sentence."""
    return f" with {joined(requires)}" if requires else ""


def joined(names: Iterable[str]) -> str:
    """Names in one cell."""
    return ", ".join(names)
