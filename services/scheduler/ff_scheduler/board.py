"""What waits and who wants it: the scheduler's picture of the moment, and the claims that follow from it.

Pure data: no clock, no I/O. The picture may be wrong in both directions without harm. A queue taken
for ready that is empty costs one claim; one taken for empty that has work is put right by the next
wake-up or sweep.

Order. Among the queues that some demand can serve, the one with the best head goes first: higher
priority, then older. Among the demands that can serve it, the one with the fewest capabilities goes
first, so that a rich worker stays free for what only it can do; then the one with the most free slots.

Spread. A claim serves one partition and takes no more than a batch. A queue that is thin over many
partitions is asked in several at once; the width doubles when claims come back short and halves when they
come back full.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ff_core import keys
from ff_core.capabilities import required_by

MAX_SPREAD = 16


@dataclass(slots=True, eq=False)
class Demand:
    """Free slots of one gateway that can run the same things."""

    demand_id: int
    namespace: str
    lanes: frozenset[str]
    capabilities: frozenset[str]
    limit: int = 0
    """Grants the gateway will take, counted from the start of its stream."""
    granted: int = 0
    in_flight: int = 0
    """Ordered in claims that have not come back."""

    @property
    def free(self) -> int:
        """How many more may be claimed for it now."""
        return self.limit - self.granted - self.in_flight


@dataclass(slots=True, eq=False)
class Queue:
    """One queue over all owned partitions."""

    name: str
    namespace: str
    lane: str
    required: frozenset[str]
    heads: dict[int, float] = field(default_factory=dict)
    """Partition to the score of its head, where it is believed not to be empty."""
    claimed: set[int] = field(default_factory=set)
    """Partitions with a claim under way."""
    spread: int = 4

    def can_serve(self, demand: Demand) -> bool:
        """Whether the demand's workers may run what waits here."""
        return (
            demand.namespace == self.namespace
            and self.lane in demand.lanes
            and self.required <= demand.capabilities
        )


@dataclass(slots=True)
class Claim:
    """An order: lease up to `count` of a queue in a partition for a demand."""

    queue: Queue
    partition: int
    demand: Demand
    count: int
    score: float
    """Of the queue's head, as far as was known."""
    has_more: bool = False
    """More of the queue waits in partitions that nothing is claimed from."""


class Board:
    """All queues and demands."""

    def __init__(self, claim_batch: int) -> None:
        self._batch = claim_batch
        self._queues: dict[str, Queue] = {}
        self._demands: set[Demand] = set()
        self._matches: dict[str, list[Demand]] = {}

    def add_demand(self, demand: Demand) -> None:
        """A gateway has workers of this kind."""
        self._demands.add(demand)
        self._matches.clear()

    def remove_demands(self, gone: list[Demand]) -> None:
        """A gateway went away, or has no workers of these kinds any more."""
        self._demands.difference_update(gone)
        self._matches.clear()

    def mark_ready(self, partition: int, queue_name: str, score: float) -> None:
        """A queue has work in a partition."""
        queue = self._queues.get(queue_name)
        if queue is None:
            namespace, lane, class_name = keys.parse_queue(queue_name)
            queue = self._queues[queue_name] = Queue(queue_name, namespace, lane, required_by(class_name))
        queue.heads[partition] = score

    def keep_partitions(self, owned: frozenset[int]) -> None:
        """Forgets what waits in partitions that are another's now."""
        for queue in list(self._queues.values()):
            for partition in [p for p in queue.heads if p not in owned]:
                del queue.heads[partition]
            self._tidy(queue)

    def plan(self) -> list[Claim]:
        """The claims to send now. Books them as under way."""
        claims: list[Claim] = []
        queues = [queue for queue in self._queues.values() if queue.heads]
        queues.sort(key=lambda queue: min(queue.heads.values()))
        for queue in queues:
            for demand in self._demands_for(queue):
                if demand.free > 0:
                    claims += self._claim(queue, demand)
        return claims

    def settle(self, claim: Claim, asked: int, granted: int, next_score: float | None) -> None:
        """A claim came back. `asked` is less than its count when fewer slots were free by then."""
        # An overtaken claim's queue may have been forgotten, and may be back since.
        queue = self._queues.setdefault(claim.queue.name, claim.queue)
        claim.demand.in_flight -= claim.count
        claim.demand.granted += granted
        queue.claimed.discard(claim.partition)
        if asked == 0:  # nobody looked, so what was there still is
            queue.heads.setdefault(claim.partition, claim.score)
            return
        if next_score is not None:
            queue.heads[claim.partition] = next_score
        if granted == asked:
            queue.spread = max(1, queue.spread // 2)
        elif granted * 2 < asked:
            queue.spread = min(MAX_SPREAD, queue.spread * 2)
        self._tidy(queue)

    def abandon(self, claim: Claim) -> None:
        """A claim failed; the sweep finds out what is left there."""
        claim.demand.in_flight -= claim.count
        self.overtake(claim)

    def overtake(self, claim: Claim) -> None:
        """A claim is late: others may claim there meanwhile. Its slots stay booked until it comes back."""
        claim.queue.claimed.discard(claim.partition)
        self._tidy(claim.queue)

    def _tidy(self, queue: Queue) -> None:
        """Forgets a queue that nothing waits in, as far as is known, and nothing is claimed from."""
        if not queue.heads and not queue.claimed and self._queues.get(queue.name) is queue:
            del self._queues[queue.name]
            self._matches.pop(queue.name, None)

    def _demands_for(self, queue: Queue) -> list[Demand]:
        matches = self._matches.get(queue.name)
        if matches is None:
            matches = [demand for demand in self._demands if queue.can_serve(demand)]
            self._matches[queue.name] = matches
        if len(matches) > 1:
            matches.sort(key=lambda demand: (len(demand.capabilities), -demand.free))
        return matches

    def _claim(self, queue: Queue, demand: Demand) -> list[Claim]:
        ready = [partition for partition in queue.heads if partition not in queue.claimed]
        if not ready:
            return []
        ready.sort(key=queue.heads.__getitem__)
        width = min(max(queue.spread, demand.free // self._batch), len(ready), demand.free)
        count = min(self._batch, -(-demand.free // width))
        claims = []
        for partition in ready[:width]:
            asked = min(count, demand.free)
            if asked <= 0:
                break
            demand.in_flight += asked
            queue.claimed.add(partition)
            claims.append(Claim(queue, partition, demand, asked, queue.heads.pop(partition)))
        for claim in claims:
            claim.has_more = len(claims) < len(ready)
        return claims
