"""Keeps a worker in session with some gateway: connects, reconnects, and moves when told to.

When a gateway says GoAway the next session is opened first; with its Welcome it takes over, and the
old one listens until its gateway closes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from flowfabric._absence import Absence
from flowfabric._channel import Gateway
from flowfabric._connection import Connection
from flowfabric._errors import EngineError, InvalidArgument, SessionSuperseded, Unauthenticated
from flowfabric._leases import Leases
from flowfabric._session import Effects, Identity, Session
from flowfabric._slots import Slots

logger = logging.getLogger(__name__)

# No other gateway would answer otherwise, so trying again would only hide the reason.
FATAL = (InvalidArgument, SessionSuperseded, Unauthenticated)
FATAL_REASONS = frozenset({"PERMISSION_DENIED", "UNIMPLEMENTED"})

# How long a session may take to close after the worker has closed its side.
CLOSE_TIMEOUT_S = 5.0


class Uplink:
    """The worker's session, whichever stream it is on."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        identity: Identity,
        leases: Leases,
        slots: Sequence[Slots],
        apply: Callable[[Effects], None],
        follow: Callable[[Connection | None], None],
    ) -> None:
        """`apply` is told what follows from each message, `follow` which connection is the current."""
        self.current: Connection | None = None
        self.connected = asyncio.Event()
        """Set with the first Welcome."""
        self.lease_ttl = 0.0
        self._gateway = gateway
        self._identity = identity
        self._leases = leases
        self._slots = slots
        self._apply_effects = apply
        self._follow = follow
        self._loop = asyncio.get_running_loop()
        self._absence = Absence()
        self._is_draining = False
        self._closing = asyncio.Event()
        self._pumps: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """There may be something to send."""
        if self.current is not None:
            self.current.wake()

    def drain(self) -> None:
        """Takes no more grants, from any gateway."""
        self._is_draining = True
        if self.current is not None:
            self.current.session.is_draining = True
            self.current.wake()

    def close(self) -> None:
        """Says what is held, closes the session, and lets `run` return."""
        self._closing.set()
        if self.current is not None:
            self.current.session.renew_now(self._loop.time())
            self._retire(self.current)

    async def run(self) -> None:
        """Stays in session until closed; EngineError when no gateway will have this worker."""
        try:
            while not self._closing.is_set():
                error: EngineError | None = None
                try:
                    if await self._hold_session():
                        continue
                except EngineError as failure:
                    if isinstance(failure, FATAL) or failure.reason in FATAL_REASONS:
                        raise
                    error = failure
                if not self._closing.is_set():
                    await self._sleep(self._absence.pause(error, self._loop.time()))
        finally:
            self.current = None
            self._follow(None)
            for pump in self._pumps:
                pump.cancel()
            if self._pumps:
                await asyncio.wait(self._pumps)

    async def _hold_session(self) -> bool:
        """Opens a session and keeps it, until it ends or its gateway says that it is going: True then."""
        session = Session(self._identity, self._leases, self._slots)
        session.is_draining = self._is_draining
        connection = Connection(self._gateway, session, self._apply)
        pump = self._loop.create_task(self._pump(connection))
        self._pumps.add(pump)
        pump.add_done_callback(self._forget)
        closing = self._loop.create_task(self._closing.wait())
        try:
            await asyncio.wait((pump, connection.go_away, closing), return_when=asyncio.FIRST_COMPLETED)
            if closing.done() and not pump.done():
                self._retire(connection)
                await asyncio.wait((pump,))
        finally:
            closing.cancel()
        if pump.done():
            pump.result()
            return False
        logger.info("gateway_going reason=%s", connection.go_away.result().reason)
        return True

    async def _pump(self, connection: Connection) -> None:
        try:
            await connection.run()
        finally:
            if self.current is connection:
                self.current = None
                self._follow(None)
            await connection.close()

    def _apply(self, connection: Connection, effects: Effects) -> None:
        if effects.welcomed:
            old, self.current = self.current, connection
            if old is not None:
                old.session.is_replaced = True
                self._retire(old)
            connection.session.is_draining = self._is_draining
            self.lease_ttl = connection.session.lease_ttl
            self._absence.end(self._loop.time(), self.lease_ttl)
            self.connected.set()
            self._follow(connection)
        self._apply_effects(effects)

    def _retire(self, connection: Connection) -> None:
        connection.finish()
        self._loop.call_later(CLOSE_TIMEOUT_S, connection.cancel)

    def _forget(self, pump: asyncio.Task[None]) -> None:
        self._pumps.discard(pump)
        if not pump.cancelled():
            pump.exception()  # of a session that was replaced nobody asks how it ended

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, but not longer than there is a session to keep."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            pass
