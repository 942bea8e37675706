"""Who works, and what waits where: the values behind `Client.workers` and `Client.lanes`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PoolInfo:
    """Slots of a worker that serve the same lanes."""

    lanes: tuple[str, ...]
    capabilities: tuple[str, ...]
    slots: int
    held: int
    """Leases held, as of the last heartbeat."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker with a live session."""

    worker_id: str
    identity: str
    namespace: str
    session_id: str
    gateway_id: str
    """The gateway that holds the session."""
    sdk: str
    pools: tuple[PoolInfo, ...]
    connect_time: datetime | None
    expire_time: datetime | None
    draining: bool
    kinds: tuple[str, ...] = ()
    """What it has handlers for."""


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """The executions of a lane that require the same."""

    requires: tuple[str, ...]
    waiting: int
    has_capable_worker: bool
    """Whether a live worker can run them."""


@dataclass(frozen=True, slots=True)
class LaneInfo:
    """A lane: what waits in it and who serves it."""

    lane: str
    queues: tuple[QueueInfo, ...]
    waiting: int
    workers: int
    slots: int
    held: int
