"""Where a durable call stands in its handler, said in a way that is the same in every run.

A call's key is its number within its task, in the order of the calls: 1, 2, 3. Tasks that the handler
starts count by themselves, below the call that came before their start: 2c1.1 is the first call of the
first such task after call 2. A task is met, and gets its number, with its first call.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any, NamedTuple

Runner = asyncio.Task[Any]


class Place(NamedTuple):
    """How far a task is. Tasks inherit it from the one that starts them, as it is at that moment."""

    positions: Positions
    runner: Runner | None
    scope: str
    nearest: str
    """Key of the last call."""


PLACE: ContextVar[Place | None] = ContextVar("flowfabric_place", default=None)


class Positions:
    """The positions of one run of a handler."""

    def __init__(self, root: Runner | None, loop: asyncio.AbstractEventLoop) -> None:
        """`root` is the task of the handler itself."""
        self._root = root
        self._loop = loop
        self._calls: dict[str, int] = {}
        self._children: dict[str, int] = {}

    def next(self, *, at_root: bool = False) -> Position:
        """The position of a call that is made now, here; or in the handler itself, in its thread."""
        scope = "" if at_root else self.scope()
        number = self._calls[scope] = self._calls.get(scope, 0) + 1
        key = f"{scope}{number}"
        PLACE.set(Place(self, asyncio.current_task(self._loop), scope, key))
        return Position(key, scope)

    def scope(self) -> str:
        """The scope of the task that makes a call now."""
        task, place = asyncio.current_task(self._loop), PLACE.get()
        if place is not None and place.positions is self and place.runner is task:
            return place.scope
        scope = "" if task is self._root else self._new_scope(place)
        PLACE.set(Place(self, task, scope, scope))
        return scope

    def _new_scope(self, place: Place | None) -> str:
        # Without a place of this handler the task was started before the handler's first call.
        nearest = place.nearest if place is not None and place.positions is self else ""
        number = self._children[nearest] = self._children.get(nearest, 0) + 1
        return f"{nearest}c{number}."


class Position(NamedTuple):
    """Where a call stands."""

    key: str
    scope: str
    """Of its task; the scopes of tasks below it begin with it."""
