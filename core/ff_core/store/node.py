"""A node that is reached again after its connection broke."""

from __future__ import annotations

import asyncio

import hiredis

from ff_core.errors import EngineError, ErrorCode
from ff_core.store.connection import Argument, Connection, ConnectionLost, Endpoint, Reply, overlook


class Node:
    """Calls of one Valkey node over one connection, opened when first needed."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._connection: Connection | None = None
        self._opening: asyncio.Task[Connection] | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._connection is not None and self._connection.is_open

    async def call(self, *command: Argument, items: int = 1) -> Reply:
        """One command, about so many items. Raises ConnectionLost, or STORE_UNAVAILABLE when the login is
        refused."""
        connection = self._connection
        if connection is None or not connection.is_open:
            connection = await self._reopen()
        return await connection.call(*command, items=items)

    async def call_then_wait(
        self, command: tuple[Argument, ...], wait: tuple[str, int, int], items: int
    ) -> tuple[Reply, Reply]:
        """One command, and the number of replicas that have it or an error: `Connection.replicas_after`."""
        connection = self._connection
        if connection is None or not connection.is_open:
            connection = await self._reopen()
        return await asyncio.gather(connection.call(*command, items=items), connection.replicas_after(*wait))

    async def _reopen(self) -> Connection:
        """Many callers share one attempt; a cancelled caller does not cancel it."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.ensure_future(self._open())
            self._opening.add_done_callback(overlook)
        opening = self._opening
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if opening.cancelled() and not (task and task.cancelling()):
                raise ConnectionLost("closed") from None  # the node was, not the caller
            raise

    async def _open(self) -> Connection:
        try:
            self._connection = await Connection.open(self.endpoint)
        except OSError as error:
            raise ConnectionLost(f"{self.endpoint.host}:{self.endpoint.port}: {error}") from error
        except hiredis.ReplyError as error:  # a login that is refused now will be refused again
            raise EngineError(ErrorCode.STORE_UNAVAILABLE, str(error)) from error
        return self._connection

    def close(self) -> None:
        """Closes the connection; a later call opens it again."""
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        if self._connection is not None:
            self._connection.close()
