"""The truth about free slots: who wants work of which kind, and which grant goes to whom.

Claimants (pools of sessions, unary Claim calls) of the same profile form one demand. Every scheduler
is told the whole free demand; no claim is made for more slots than are free when its order arrives.

Batching. Messages are the cost, so a demand is told at once only when a good part of its slots came
free (an idle worker's do, unless it is fast and has grants to go on with); the slots of a busy one that
come free one by one are told together, GATHER_S later at most. Without this, batches that once broke into
small ones never grow again.

Forgetting. A demand that nobody has part in, and no claim is under way for, is forgotten LINGER_S later, so
that a worker that reconnects finds it as it was. Its id is never used again: orders may be on their way.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ff_core.lease import Grant

#: Longest time that a free slot of a busy demand, or the result of a large claim, waits to be told.
GATHER_S = 0.005
#: Part of a demand's slots that is told at once: a quarter.
GOOD_PART = 4
#: Slots that make a good claim, where claimants are fast.
GOOD_CLAIM = 64
#: Grants of one claim that tell of a long queue, when more of it is left.
LARGE_CLAIM = 32
#: Claimants among which a batch of grants is shared out.
CONSIDERED = 64
#: Time a demand without claimants is kept, at least; twice this at most.
LINGER_S = 30.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What a slot can run."""

    namespace: str
    lanes: tuple[str, ...]
    capabilities: frozenset[str]


class Claimant(Protocol):
    """Someone with free slots."""

    slots: int
    """Most grants it will ever run at once."""

    @property
    def free(self) -> int:
        """Grants it will still take, perhaps more than it has slots."""

    @property
    def idle(self) -> int:
        """Slots that run nothing; below zero when it has grants that wait for a slot."""

    @property
    def is_fast(self) -> bool:
        """Whether its handlers are so short that it wants a grant to wait for every slot."""

    def accept(self, grant: Grant) -> None:
        """Takes a grant; `free` is one less afterwards."""


class Demand:
    """All claimants of one profile."""

    def __init__(self, demand_id: int, profile: Profile) -> None:
        self.demand_id = demand_id
        self.profile = profile
        self.claimants: set[Claimant] = set()
        self.turns: OrderedDict[Claimant, None] = OrderedDict()
        """Claimants that have, or had, a free slot; served in turn."""
        self.free = 0
        self.claiming = 0
        """Free slots that claims under way are for."""
        self.slots = 0
        self.untold = 0
        """Slots that came free since schedulers were last told."""
        self.brought = 1
        """Grants of the last claim, at least 1: about as many as the next will bring."""

    @property
    def unclaimed(self) -> int:
        """Free slots that no claim under way is for."""
        return max(0, self.free - self.claiming)

    @property
    def is_urgent(self) -> bool:
        """Whether so much came free that schedulers should hear of it now.

        Claimants that are all fast have grants to go on with, so that larger claims are worth the wait.
        """
        if self.untold * GOOD_PART < self.slots:
            return False
        is_good_claim = self.untold >= min(GOOD_CLAIM, 2 * self.slots)  # the least credit of fast claimants
        return is_good_claim or not all(claimant.is_fast for claimant in self.claimants)


class DemandLink(Protocol):
    """A scheduler's stream: what it was told, and what came."""

    def tell(self, demands: list[Demand]) -> None:
        """The free slots of these demands changed."""

    def forget(self, demands: list[Demand]) -> None:
        """These demands are no more."""


class DemandBook:
    """All demands of this gateway."""

    def __init__(self, release: Callable[[list[bytes]], None], linger_s: float = LINGER_S) -> None:
        self._release = release
        self._linger_s = linger_s
        self._by_profile: dict[Profile, Demand] = {}
        self._by_id: dict[int, Demand] = {}
        self._links: set[DemandLink] = set()
        self._changed: dict[Demand, None] = {}
        self._left: set[Demand] = set()
        """Whose last claimant left since the last look."""
        self._leaving: set[Demand] = set()
        """Whose last claimant left before it; forgotten at the next, unless they are wanted again."""
        self._look: asyncio.TimerHandle | None = None
        self._next_id = 1
        self._is_urgent = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def demands(self) -> list[Demand]:
        """For a scheduler that has just connected."""
        return list(self._by_profile.values())

    @property
    def schedulers(self) -> int:
        """How many schedulers hear of the demand."""
        return len(self._links)

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
        self._left.discard(demand)
        self._leaving.discard(demand)
        demand.claimants.add(claimant)
        demand.slots += claimant.slots
        return demand

    def offered(self, demand: Demand, claimant: Claimant, slots: int) -> None:
        """A claimant has this many more free slots (or, negative, fewer)."""
        demand.free += slots
        demand.untold += slots
        if slots > 0:
            demand.turns.setdefault(claimant)
        self._changed[demand] = None
        if demand.is_urgent or slots < 0:
            if not self._is_urgent:
                self._is_urgent = True
                asyncio.get_running_loop().call_soon(self._tell)
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._tell)

    def leave(self, demand: Demand, claimant: Claimant) -> None:
        """A claimant goes with its free slots. The demand stays a while, for those that come back."""
        if claimant in demand.claimants:
            demand.claimants.discard(claimant)
            demand.turns.pop(claimant, None)
            demand.slots -= claimant.slots
            self.offered(demand, claimant, -claimant.free)
            if not demand.claimants:
                self._left.add(demand)
                self._look_later()

    def find(self, demand_id: int) -> Demand | None:
        """The demand of an id."""
        return self._by_id.get(demand_id)

    def hand_out(self, demand: Demand, grants: list[Grant], *, has_more: bool = False) -> None:
        """Hands grants to claimants; gives back what nobody has a slot for any more.

        `has_more` says that the claim that brought them was not the last of its queue.
        """
        self.give_back([grant.lease for grant in _hand_out(demand, grants, has_more)])

    def give_back(self, leases: list[bytes]) -> None:
        """Returns grants that nobody runs to their queues."""
        if leases:
            self._release(leases)

    def _look_later(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(self._linger_s, self._forget_vacant)

    def _forget_vacant(self) -> None:
        """Forgets who left before the last look, and has those that left since wait for the next."""
        gone = [demand for demand in self._leaving if not demand.claiming]
        self._leaving = {demand for demand in self._leaving if demand.claiming} | self._left
        self._left = set()
        for demand in gone:
            del self._by_profile[demand.profile], self._by_id[demand.demand_id]
            self._changed.pop(demand, None)
        for link in self._links if gone else ():
            link.forget(gone)
        self._look = None
        if self._leaving:
            self._look_later()

    def _tell(self) -> None:
        changed, self._changed, self._is_urgent = list(self._changed), {}, False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for demand in changed:
            demand.untold = 0
        for link in self._links:
            link.tell(changed)


def _hand_out(demand: Demand, grants: list[Grant], has_more: bool) -> list[Grant]:
    """Gives each grant to a claimant with a free slot; returns those without one."""
    turns = demand.turns
    claimants: list[Claimant] = []
    while turns and len(claimants) < CONSIDERED:
        claimant, _ = turns.popitem(last=False)
        if claimant.free > 0:
            claimants.append(claimant)
    is_rush = has_more and len(grants) >= LARGE_CLAIM and all(claimant.is_fast for claimant in claimants)
    given = _give_in_a_rush(claimants, grants) if is_rush else _give_in_turn(claimants, grants)
    demand.free -= given
    for claimant in claimants:
        if claimant.free > 0:
            turns[claimant] = None
    rest = grants[given:]
    # More claimants may wait behind those considered; without any, this is surplus.
    return _hand_out(demand, rest, has_more) if rest and turns else rest


def _give_in_turn(claimants: list[Claimant], grants: list[Grant]) -> int:
    """Gives grants to whoever has the most idle slots, so nobody fetches ahead while another is idle.

    While most slots are idle each turn is one grant, so that the work of few spreads over many. When most run
    something it is a block, because then every worker has enough to do and the messages are what costs: one
    grant for each of its idle slots or, when nobody has any, all that it takes.
    """
    in_blocks = 2 * sum(max(one.idle, 0) for one in claimants) <= sum(one.slots for one in claimants)
    heap = [(-claimant.idle, order, claimant) for order, claimant in enumerate(claimants)]
    heapq.heapify(heap)
    given = 0
    while given < len(grants) and heap:
        _, order, claimant = heapq.heappop(heap)
        size = min(claimant.idle, claimant.free) if claimant.idle > 0 else claimant.free
        given += _give(claimant, grants[given : given + (size if in_blocks else 1)])
        if claimant.free > 0:
            heapq.heappush(heap, (-claimant.idle, order, claimant))
    return given


def _give_in_a_rush(claimants: list[Claimant], grants: list[Grant]) -> int:
    """Gives grants in as few messages as can be: the queue is long and all handlers are short.

    Slots are idle only because handlers are faster than messages, and a grant waits in front of them for a
    moment at most. All go to the claimant that they fill up most; when there is none that takes them all, to
    those with the most room. So what one cannot keep up with flows over to the next.
    """

    def fit(claimant: Claimant) -> tuple[bool, int]:
        takes_all = claimant.free >= len(grants)
        return not takes_all, claimant.free if takes_all else -claimant.free

    given = 0
    for claimant in sorted(claimants, key=fit):
        given += _give(claimant, grants[given : given + claimant.free])
    return given


def _give(claimant: Claimant, grants: list[Grant]) -> int:
    for grant in grants:
        claimant.accept(grant)
    return len(grants)
