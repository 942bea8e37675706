"""Who works, what waits where, and the keys of waitpoint tokens: values that operators look at."""

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


@dataclass(frozen=True, slots=True)
class WaitpointKey:
    """A key that waitpoint tokens are made or checked with; never its secret."""

    kid: str
    current: bool
    """Whether new tokens are made with it."""
    create_time: datetime | None
    expire_time: datetime | None
    """End of its grace; None for the current one."""


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """What came of a rotation."""

    kid: str
    """The key that new tokens are made with from now on."""
    previous_kid: str
    changed: bool
    """False when it was the current one already."""
    dropped: int
    """Keys past their grace that were removed."""
