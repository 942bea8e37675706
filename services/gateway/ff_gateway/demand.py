"""The truth about free slots: who wants work of which kind, and which grant goes to whom.

Claimants (pools of sessions, unary Claim calls) of the same profile form one demand. Every scheduler
is told the whole free demand; what several of them grant beyond it is given back in the same turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ff_core.lease import Grant


@dataclass(frozen=True, slots=True)
class Profile:
    """What a slot can run."""

    namespace: str
    lanes: tuple[str, ...]
    capabilities: frozenset[str]


class Claimant(Protocol):
    """Someone with free slots."""

    @property
    def free(self) -> int:
        """Grants it will still take."""

    def accept(self, grant: Grant) -> None:
        """Takes a grant; `free` is one less afterwards."""


class Demand:
    """All claimants of one profile."""

    def __init__(self, demand_id: int, profile: Profile) -> None:
        self.demand_id = demand_id
        self.profile = profile
        self.claimants: set[Claimant] = set()
        self.turns: deque[Claimant] = deque()
        """Claimants that have, or had, a free slot; served in turn."""
        self.free = 0


class DemandLink(Protocol):
    """A scheduler's stream: what it was told, and what came."""

    def tell(self, demands: list[Demand]) -> None:
        """The free slots of these demands changed."""


class DemandBook:
    """All demands of this gateway."""

    def __init__(self, release: Callable[[list[bytes]], None]) -> None:
        self._release = release
        self._by_profile: dict[Profile, Demand] = {}
        self._by_id: dict[int, Demand] = {}
        self._links: set[DemandLink] = set()
        self._changed: dict[Demand, None] = {}
        self._next_id = 1

    @property
    def demands(self) -> list[Demand]:
        """For a scheduler that has just connected."""
        return list(self._by_profile.values())

    @property
    def has_scheduler(self) -> bool:
        """Whether anyone hears of the demand."""
        return bool(self._links)

    def connect(self, link: DemandLink) -> None:
        """A scheduler is there."""
        self._links.add(link)
        link.tell(self.demands)

    def disconnect(self, link: DemandLink) -> None:
        """A scheduler is gone."""
        self._links.discard(link)

    def join(self, profile: Profile, claimant: Claimant) -> Demand:
        """A claimant appears; its free slots count once they are `offered`."""
        demand = self._by_profile.get(profile)
        if demand is None:
            demand = Demand(self._next_id, profile)
            self._next_id += 1
            self._by_profile[profile] = self._by_id[demand.demand_id] = demand
        demand.claimants.add(claimant)
        return demand

    def offered(self, demand: Demand, claimant: Claimant, slots: int) -> None:
        """A claimant has this many more free slots (or, negative, fewer)."""
        demand.free += slots
        if slots > 0:
            demand.turns.append(claimant)
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._tell)
        self._changed[demand] = None

    def leave(self, demand: Demand, claimant: Claimant) -> None:
        """A claimant goes with its free slots. The demand stays: its id keeps its meaning on every stream."""
        if claimant in demand.claimants:
            demand.claimants.discard(claimant)
            self.offered(demand, claimant, -claimant.free)

    def distribute(self, grants: list[tuple[int, Grant]]) -> None:
        """Hands grants to claimants in turn; gives back what nobody has a slot for."""
        surplus: list[bytes] = []
        for demand_id, grant in grants:
            demand = self._by_id.get(demand_id)
            claimant = self._next(demand) if demand is not None else None
            if demand is None or claimant is None:
                surplus.append(grant.lease)
            else:
                demand.free -= 1
                claimant.accept(grant)
                if claimant.free > 0:
                    demand.turns.append(claimant)
        self.give_back(surplus)

    def give_back(self, leases: list[bytes]) -> None:
        """Returns grants that nobody runs to their queues."""
        if leases:
            self._release(leases)

    def _next(self, demand: Demand) -> Claimant | None:
        while demand.turns:
            claimant = demand.turns.popleft()
            if claimant.free > 0 and claimant in demand.claimants:
                return claimant
        return None

    def _tell(self) -> None:
        changed, self._changed = list(self._changed), {}
        for link in self._links:
            link.tell(changed)
