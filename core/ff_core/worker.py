"""Workers and the engine's own processes as the registry knows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pool:
    """Slots of a worker that serve the same lanes with the same capabilities."""

    lanes: tuple[str, ...]
    capabilities: frozenset[str]
    slots: int


@dataclass(slots=True)
class WorkerRecord:
    """A live worker."""

    worker_id: str
    session_id: str
    gateway_id: str
    namespace: str
    identity: str
    sdk: str
    pools: tuple[Pool, ...]
    held: tuple[int, ...]
    opened_at_ms: int
    expires_at_ms: int
    draining: bool
    kinds: tuple[str, ...] = ()
    """What it says it has handlers for."""


@dataclass(slots=True)
class Beat:
    """One session's heartbeat: leases held, one number a pool."""

    worker_id: str
    session_id: str
    held: tuple[int, ...]
    draining: bool


@dataclass(frozen=True, slots=True)
class Member:
    """A live process of the engine."""

    member_id: str
    address: str
