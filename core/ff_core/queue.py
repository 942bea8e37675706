"""Queues as the engine's Python looks at them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class QueueDepth:
    """A queue that is not empty, over all partitions."""

    queue: str
    waiting: int
