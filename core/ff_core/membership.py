"""Which processes are alive, and which of them owns which partition.

Ownership avoids double work and is never a matter of correctness: two owners of one partition for a
moment do the same harmless thing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

import structlog

from ff_core.backend import EngineBackend
from ff_core.errors import EngineError
from ff_core.worker import Member

log = structlog.get_logger()

Members = list[Member]


class Membership:
    """One process's entry among the members of its service, kept alive."""

    def __init__(self, backend: EngineBackend, service: str, member: Member, ttl_ms: int) -> None:
        self._backend = backend
        self._service = service
        self._member = member
        self._ttl_ms = ttl_ms
        self._has_left = False
        self._listeners: list[Callable[[Members], None]] = []
        self.members: Members = []
        """The live ones, in the order of their ids, as of the last beat."""

    def on_change(self, listener: Callable[[Members], None]) -> None:
        """Calls `listener` with the members whenever they changed."""
        self._listeners.append(listener)

    async def beat(self) -> None:
        """One heartbeat; none any more once it left."""
        if self._has_left:
            return
        members = await self._backend.member_beat(
            self._service, self._member, self._ttl_ms, self._backend.library
        )
        if members != self.members:
            self.members = members
            for listener in self._listeners:
                listener(members)

    async def run(self) -> None:
        """Beats three times within the time to live."""
        while True:
            await self.beat()
            await asyncio.sleep(self._ttl_ms / 3000)

    async def leave(self) -> None:
        """Says good-bye, so that the others need not wait."""
        self._has_left = True
        try:
            await self._backend.member_beat(self._service, self._member, 0, "")
        except EngineError as error:
            log.info("leave_failed", code=error.code.name)


class Ownership:
    """The partitions that are this process's, by rendezvous hashing over the live members or by settings."""

    def __init__(self, member_id: str, partitions: int, static: frozenset[int] | None = None) -> None:
        self._member_id = member_id
        self._partitions = partitions
        self._static = static
        self.owned: frozenset[int] = static or frozenset()

    def update(self, members: Members) -> None:
        """Takes a new set of members; a static range ignores it."""
        if self._static is None:
            self.owned = owned_partitions(self._member_id, [m.member_id for m in members], self._partitions)


def owned_partitions(member_id: str, member_ids: list[str], partitions: int) -> frozenset[int]:
    """Partitions for which `member_id` weighs most. A member that comes or goes moves only its own."""
    if member_id not in member_ids:
        return frozenset()
    return frozenset(
        partition
        for partition in range(partitions)
        if max(member_ids, key=lambda one: _weight(one, partition)) == member_id
    )


def _weight(member_id: str, partition: int) -> bytes:
    return hashlib.blake2b(f"{partition}:{member_id}".encode(), digest_size=8).digest()


def parse_partitions(text: str, partitions: int) -> frozenset[int] | None:
    """ "0-31,40" as a set; None for "", which means by live membership. Raises ValueError."""
    if not text:
        return None
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        span = range(int(first), int(last if dash else first) + 1)
        if not span:
            raise ValueError(f"{part!r} is no range")
        found.update(span)
    beyond = [partition for partition in found if not 0 <= partition < partitions]
    if beyond:
        raise ValueError(f"there are {partitions} partitions, so {beyond[0]} is none of them")
    return frozenset(found)
