"""One socket to one Valkey node, spoken to in RESP through hiredis.

Why not redis-py's connection: measured on 2 cores, 64 tasks calling HSET through its public
`send_packed_command` / `read_response` cost 18 us of this process a call (33 k/s) and 73 us one at a
time; the same through hiredis on an `asyncio.Protocol` costs 3.4 us (129 k/s) and 13 us. The calls made
in one turn of the loop leave as one write, so the pipeline is a property of the connection.

A window. Valkey reads all that has arrived, works through it, and answers it at the end. What is sent without
measure therefore comes back without measure: first this process has nothing to do, then Valkey. So only some
work is under way at a time, counted in items of calls, and the rest waits here for its turn (ADR 22).

Silence. A Valkey that is stopped still accepts and acknowledges: only the missing answers tell. While any is
awaited each socket looks a few times within its timeout whether something came, and is given up when nothing
did. It counts looks instead of asking the clock, because a process that was itself stopped finds the time
gone by and the answers not read yet.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import hiredis
import structlog
from prometheus_client import Counter as Metric
from prometheus_client import Gauge
from redis.crc import key_slot

log = structlog.get_logger()

BACKLOG = Gauge("ff_store_backlog_calls", "Calls that wait until Valkey has done what is under way")
SILENT = Metric("ff_store_silent_total", "Connections to Valkey given up because nothing came back")

#: Looks within the timeout of a connection; it is given up at the next.
LOOKS = 4
#: Longest time to connect, and longest that what was sent may go unanswered by the other machine: one that
#: died, or was cut off, sends no reset, and calls must fail within the patience of their callers.
CONNECT_S = 5
SILENT_S = 8

#: Items under way beyond which a call waits for its turn; and calls that may be under way whatever their
#: size, so that Valkey has the next while the answer to the last is on its way. 128 items take it 2 to 3 ms.
WINDOW_ITEMS = 256
WINDOW_CALLS = 4

Argument = str | bytes | int | float
Reply = object


def overlook(task: asyncio.Future[Any]) -> None:
    """Done with an attempt that callers share: when all were cancelled nobody looks at its failure, and it is
    no news then."""
    if not task.cancelled():
        task.exception()


class ConnectionLost(Exception):
    """The socket closed; whether calls in flight took effect is unknown."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a node listens, how to log in, and how long it may be silent when asked."""

    host: str
    port: int
    username: str = ""
    password: str = ""
    tls: bool = False
    timeout_s: float = 10.0

    def at(self, host: str, port: int) -> Endpoint:
        """Another node with the same login."""
        return replace(self, host=host, port=port)


def _pack(command: tuple[Argument, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(cast("tuple[str | int | float | bytes | memoryview[int]]", command))
    return packed


class _Socket(asyncio.Protocol):
    """Feeds replies to a callback; batches what is sent in one turn of the loop; notices silence."""

    def __init__(
        self,
        timeout_s: float,
        on_reply: Callable[[Reply], None],
        on_lost: Callable[[Exception | None], None],
        is_awaiting: Callable[[], bool],
    ) -> None:
        self._timeout_s = timeout_s
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._is_awaiting = is_awaiting
        self._quiet = 0
        """Looks since something came."""
        self._watch: asyncio.TimerHandle | None = None
        self._given_up: Exception | None = None
        self._reader = hiredis.Reader()
        self._out: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        _keep_alive(transport.get_extra_info("socket"))
        self._look_later()

    def data_received(self, data: bytes) -> None:
        self._quiet = 0
        reader = self._reader
        reader.feed(data)
        while (reply := reader.gets()) is not False:
            self._on_reply(reply)
        # What had its turn because of them leaves at once: whoever hears of a reply is busy with it first.
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._watch is not None:
            self._watch.cancel()
        self._on_lost(exc or self._given_up)

    def send(self, command: bytes) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(command)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None:
            self._transport.writelines(out) if len(out) > 1 else self._transport.write(out[0])
            if self._watch is None:
                self._look_later()

    def _look_later(self) -> None:
        self._watch = self._loop.call_later(self._timeout_s / LOOKS, self._look)

    def _look(self) -> None:
        """Gives up when nothing came for too many looks; rests while nothing is awaited."""
        self._watch = None
        if self._transport is None:
            return
        if not self._is_awaiting():
            self._quiet = 0
            return
        self._quiet += 1
        if self._quiet <= LOOKS:
            self._look_later()
            return
        SILENT.inc()
        log.warning("store_silent", peer=self._transport.get_extra_info("peername"), seconds=self._timeout_s)
        self._given_up = TimeoutError(f"nothing came back for {self._timeout_s:g} s")
        # Not `close`, which waits until all that was written has left.
        self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _keep_alive(peer: socket.socket) -> None:
    """Has the kernel notice a peer that fell silent, also while it is asked nothing."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": 3, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": SILENT_S * 1000}
    for name, value in options.items():
        if hasattr(socket, name):  # not every system has all of them
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _open(endpoint: Endpoint, protocol: _Socket) -> None:
    context = ssl.create_default_context() if endpoint.tls else None
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_S):
        await loop.create_connection(lambda: protocol, endpoint.host, endpoint.port, ssl=context)


class Connection:
    """Request and reply: every call gets a future, replies come in order."""

    def __init__(self, timeout_s: float) -> None:
        self._waiting: deque[tuple[asyncio.Future[Reply], int]] = deque()
        """Sent and not answered, each with its items."""
        self._backlog: deque[tuple[asyncio.Future[Reply], int, bytes]] = deque()
        self._items = 0
        """Under way."""
        self._loop = asyncio.get_running_loop()
        self._socket = _Socket(timeout_s, self._on_reply, self._on_lost, lambda: bool(self._waiting))
        self._replicas_asked: asyncio.Future[Reply] | None = None
        self._replicas_next: asyncio.Future[Reply] | None = None
        self.is_open = False

    @classmethod
    async def open(cls, endpoint: Endpoint) -> Connection:
        """Connects and logs in. Raises OSError, ConnectionLost, or hiredis.ReplyError when the login is
        refused."""
        connection = cls(endpoint.timeout_s)
        await _open(endpoint, connection._socket)
        connection.is_open = True
        if endpoint.password:
            login = (endpoint.username, endpoint.password) if endpoint.username else (endpoint.password,)
            reply = await connection.call("AUTH", *login)
            if isinstance(reply, hiredis.ReplyError):
                connection.close()
                raise reply
        return connection

    def call(self, *command: Argument, items: int = 1) -> asyncio.Future[Reply]:
        """Sends a command in its turn. The future gets the reply; an error reply is a value, not raised.

        `items` is how many things it is about, as a measure of the time it takes.
        """
        future: asyncio.Future[Reply] = self._loop.create_future()
        if not self.is_open:
            future.set_exception(ConnectionLost("not connected"))
            return future
        packed = _pack(command)
        if self._backlog or not self._has_room(items):
            self._backlog.append((future, items, packed))
            BACKLOG.inc()
        else:
            self._send(future, items, packed)
        return future

    def _has_room(self, items: int) -> bool:
        return len(self._waiting) < WINDOW_CALLS or self._items + items <= WINDOW_ITEMS

    def _send(self, future: asyncio.Future[Reply], items: int, packed: bytes) -> None:
        self._waiting.append((future, items))
        self._items += items
        self._socket.send(packed)

    def replicas_after(self, witness: str, replicas: int, timeout_ms: int) -> asyncio.Future[Reply]:
        """How many replicas have what was sent so far, asked once they are `replicas` or the time is over.

        WAIT stops everything behind it, so there is one at a time, and one for all that is sent meanwhile:
        whoever waits does so for two at most, also when no replica answers. It tells of writes that this
        connection made. A call that repeats another's made none, so the key `witness` is written before it;
        the reply is an error when that was refused.
        """
        if self._replicas_next is None:
            asking = self._ask_replicas(self._replicas_asked, witness, replicas, timeout_ms)
            self._replicas_next = self._loop.create_task(asking)
            self._replicas_next.add_done_callback(overlook)
        return asyncio.shield(self._replicas_next)

    async def _ask_replicas(
        self, before: asyncio.Future[Reply] | None, witness: str, replicas: int, timeout_ms: int
    ) -> Reply:
        if before is not None:
            await asyncio.wait((before,))
        self._replicas_asked, self._replicas_next = self._replicas_next, None
        written, count = await asyncio.gather(
            self.call("SET", witness, ""), self.call("WAIT", replicas, timeout_ms)
        )
        return written if isinstance(written, hiredis.ReplyError) else count

    def close(self) -> None:
        """Closes the socket; calls in flight fail."""
        self._socket.close()

    def _on_reply(self, reply: Reply) -> None:
        future, items = self._waiting.popleft()
        self._items -= items
        while self._backlog and self._has_room(self._backlog[0][1]):
            waiting = self._backlog.popleft()
            BACKLOG.dec()
            if not waiting[0].done():  # its caller was cancelled before its turn
                self._send(*waiting)
        if not future.done():  # its caller was cancelled; the reply is read all the same
            future.set_result(reply)

    def _on_lost(self, error: Exception | None) -> None:
        self.is_open = False
        lost = [future for future, _ in self._waiting] + [future for future, *_ in self._backlog]
        BACKLOG.dec(len(self._backlog))
        self._waiting.clear()
        self._backlog.clear()
        for future in lost:
            if not future.done():
                future.set_exception(ConnectionLost(str(error or "closed by Valkey")))


class Subscription:
    """A socket that listens: messages go to one callback until it is lost, channels that this node
    does not serve, or serves no more, to the other."""

    def __init__(
        self,
        timeout_s: float,
        on_message: Callable[[str, bytes], None],
        on_dropped: Callable[[str], None],
    ) -> None:
        self._on_message = on_message
        self._on_dropped = on_dropped
        self._socket = _Socket(timeout_s, self._on_reply, self._on_lost, self._ping)
        self._unconfirmed: dict[str, asyncio.Future[None]] = {}
        self.channels: set[str] = set()
        """Asked for here, and not known to be served elsewhere."""
        self._leaving: Counter[str] = Counter()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        on_message: Callable[[str, bytes], None],
        on_dropped: Callable[[str], None],
    ) -> Subscription:
        """Connects and logs in. Raises OSError."""
        subscription = cls(endpoint.timeout_s, on_message, on_dropped)
        await _open(endpoint, subscription._socket)
        if endpoint.password:
            subscription.send("AUTH", endpoint.username or "default", endpoint.password)
        return subscription

    def send(self, *command: str) -> None:
        """Sends a command whose reply nobody waits for."""
        self._socket.send(_pack(command))

    async def subscribe(self, channels: Sequence[str], *, sharded: bool) -> None:
        """Adds channels and returns when Valkey confirmed or dropped them, or when the socket is lost.

        Sharded ones are sent one by one, because a cluster refuses several slots at once.
        """
        loop = asyncio.get_running_loop()
        confirmed = []
        self.channels.update(channels)
        for channel in channels:
            # Who subscribes to what another is about to waits for the same answer.
            confirmed.append(self._unconfirmed.setdefault(channel, loop.create_future()))
            self.send("SSUBSCRIBE" if sharded else "SUBSCRIBE", channel)
        if confirmed:
            everything = asyncio.ensure_future(asyncio.gather(*confirmed))
            await asyncio.wait((everything, self.lost), return_when=asyncio.FIRST_COMPLETED)
            everything.cancel()

    def unsubscribe(self, channel: str) -> None:
        """Drops a sharded channel, if it is one of this socket's."""
        if channel in self.channels:
            self.channels.discard(channel)
            self._leaving[channel] += 1
            self.send("SUNSUBSCRIBE", channel)

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def _ping(self) -> bool:
        """Whoever only listens has to ask for something to be awaited."""
        self.send("PING")
        return True

    def _on_reply(self, reply: Reply) -> None:
        if isinstance(reply, hiredis.ReplyError):
            self._on_error(str(reply))
        elif not isinstance(reply, list):
            return
        elif reply[0] in (b"smessage", b"message"):
            self._on_message(reply[1].decode(), reply[2])
        elif reply[0] in (b"ssubscribe", b"subscribe"):
            self._settle(reply[1].decode())
        elif reply[0] == b"sunsubscribe" and reply[1] is not None:
            self._leave(reply[1].decode())

    def _on_error(self, error: str) -> None:
        word, _, rest = error.partition(" ")
        if word == "MOVED":
            slot = int(rest.split()[0])
            for channel in [one for one in self._unconfirmed if key_slot(one.encode()) == slot]:
                self.channels.discard(channel)
                self._settle(channel)
                self._on_dropped(channel)
        elif self._unconfirmed:
            self.close()

    def _leave(self, channel: str) -> None:
        """As we asked, though it may have a new listener since; or because its slot moved away."""
        if channel not in self._leaving:
            self.channels.discard(channel)
            self._on_dropped(channel)
            return
        self._leaving[channel] -= 1
        if not self._leaving[channel]:
            del self._leaving[channel]

    def _settle(self, channel: str) -> None:
        waiting = self._unconfirmed.pop(channel, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _on_lost(self, _error: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
