"""How much of something goes into one message, one page or one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def fitting(items: Iterable[Item], size_of: Callable[[Item], int], most: int) -> list[Item]:
    """The first of these that have at most so many bytes together; one at least."""
    found: list[Item] = []
    size = 0
    for item in items:
        size += size_of(item)
        if found and size > most:
            break
        found.append(item)
    return found
