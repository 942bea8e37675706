"""Wake-up hints: Valkey's pub/sub, multiplexed over one socket a node, subscribed again after a loss.

A hint only says "look again". Whoever relies on them is told when some may have been missed
(`on_gap`), and looks again by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import structlog

from ff_core.errors import EngineError
from ff_core.store.connection import ConnectionLost, Subscription
from ff_core.store.node import Node
from ff_core.store.topology import Topology

log = structlog.get_logger()

Listener = Callable[[bytes], None]


class Hints:
    """Channels and who listens to them."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._listeners: dict[str, set[Listener]] = {}
        self._sharded: dict[str, bool] = {}
        self._gap_listeners: set[Callable[[], None]] = set()
        self._joining: dict[str, asyncio.Task[None]] = {}
        self._sockets: dict[Node, Subscription] = {}
        self._keepers: dict[Node, asyncio.Task[None]] = {}
        self._homeless: set[str] = set()
        """Channels whose node is to be found anew."""
        self._moving: asyncio.Task[None] | None = None
        self._closed = False

    async def listen(self, channel: str, listener: Listener, *, sharded: bool = True) -> None:
        """Calls `listener` with each message of a channel. Returns when Valkey
        confirmed it; while there is no connection at once, and `on_gap` follows."""
        listeners = self._listeners.setdefault(channel, set())
        listeners.add(listener)
        self._sharded[channel] = sharded
        if len(listeners) == 1:
            joining = self._joining[channel] = asyncio.ensure_future(self._join(channel))
            joining.add_done_callback(lambda done: self._joined(channel, done))
        if channel in self._joining:
            # Shared by all who listen at this moment: none may look before the subscription is there.
            await asyncio.shield(self._joining[channel])

    async def _join(self, channel: str) -> None:
        with contextlib.suppress(ConnectionLost, EngineError):  # the keeper subscribes once it is connected
            await self._subscribe(channel)

    def _joined(self, channel: str, joining: asyncio.Task[None]) -> None:
        if self._joining.get(channel) is joining:
            del self._joining[channel]

    def forget(self, channel: str, listener: Listener) -> None:
        """Stops calling `listener`."""
        listeners = self._listeners.get(channel)
        if listeners is None:
            return
        listeners.discard(listener)
        if not listeners:
            del self._listeners[channel]
            if self._sharded.pop(channel):
                for socket in self._sockets.values():
                    socket.unsubscribe(channel)

    def on_gap(self, listener: Callable[[], None]) -> None:
        """Calls `listener` whenever hints may have been missed."""
        self._gap_listeners.add(listener)

    def off_gap(self, listener: Callable[[], None]) -> None:
        """Undoes on_gap."""
        self._gap_listeners.discard(listener)

    async def close(self) -> None:
        """Closes every socket."""
        self._closed = True
        tasks = [*self._keepers.values(), *self._joining.values(), *([self._moving] if self._moving else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for socket in self._sockets.values():
            socket.close()

    async def _subscribe(self, channel: str) -> None:
        node = await self._topology.node_of(channel)
        if node not in self._keepers and not self._closed:
            self._keepers[node] = asyncio.ensure_future(self._keep(node))
        socket = self._sockets.get(node)
        if socket is not None:
            await socket.subscribe([channel], sharded=self._sharded[channel])

    async def _keep(self, node: Node) -> None:
        """Holds the socket of a node open and its channels subscribed."""
        pause, first, held = 0.05, True, set[str]()
        while not self._closed:
            try:
                socket = await Subscription.open(node.endpoint, self._deliver, self._on_dropped)
            except OSError:
                pause = min(pause * 2, 1.0)
            else:
                pause = 0.05
                await self._hold(node, socket, held, is_first=first)
                first, held = False, socket.channels
            if not await self._serves(node):  # it died, or is as good as dead, and another took its place
                del self._keepers[node]
                self._move(self._listeners)
                return
            await asyncio.sleep(pause)

    async def _hold(self, node: Node, socket: Subscription, held: set[str], *, is_first: bool) -> None:
        """Has a socket subscribed until it is lost; `held` is what the one before it was subscribed to."""
        await self._resubscribe(node, socket, held)
        if not is_first:
            log.info("hints_resubscribed", port=node.endpoint.port)
        self._tell_gap()
        try:
            await socket.lost
        finally:
            self._sockets.pop(node, None)
            socket.close()

    async def _serves(self, node: Node) -> bool:
        """Whether the node still has a place in the cluster; while nobody can say, it has."""
        try:
            return await self._topology.serves(node)
        except (ConnectionLost, EngineError):
            return True

    async def _resubscribe(self, node: Node, socket: Subscription, held: set[str]) -> None:
        mine: dict[bool, list[str]] = {True: [], False: []}
        for channel, sharded in list(self._sharded.items()):
            with contextlib.suppress(ConnectionLost, EngineError):
                if await self._topology.node_of(channel) is node:
                    mine[sharded].append(channel)
                elif channel in held:
                    self._on_dropped(channel)
        self._sockets[node] = socket
        for sharded, channels in mine.items():
            if channels:
                await socket.subscribe(channels, sharded=sharded)

    def _on_dropped(self, channel: str) -> None:
        if channel in self._listeners:
            self._move([channel])

    def _move(self, channels: Iterable[str]) -> None:
        self._homeless.update(channels)
        if (self._moving is None or self._moving.done()) and not self._closed:
            self._moving = asyncio.ensure_future(self._follow())

    async def _follow(self) -> None:
        """Subscribes at the nodes that serve the homeless channels now; what they missed is a gap."""
        while self._homeless:
            channels, self._homeless = self._homeless, set()
            try:
                await self._topology.refresh()
                await asyncio.gather(
                    *(self._subscribe(channel) for channel in channels if channel in self._listeners)
                )
            except (ConnectionLost, EngineError):  # nobody answers, or lets us in, just now
                self._homeless |= channels
            if self._homeless:  # nobody knows yet where the slot went
                await asyncio.sleep(0.05)
        self._tell_gap()

    def _tell_gap(self) -> None:
        for listener in list(self._gap_listeners):
            listener()

    def _deliver(self, channel: str, message: bytes) -> None:
        for listener in tuple(self._listeners.get(channel, ())):
            listener(message)
