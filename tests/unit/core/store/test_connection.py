"""A connection: how much is under way at a time, and a peer that falls silent: a machine that died sends no
reset, and a process that is stopped still acknowledges, so the socket itself has to notice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest
import uvloop
from prometheus_client import REGISTRY

from ff_core.store import connection
from ff_core.store.connection import LOOKS, Connection, ConnectionLost, Endpoint, Subscription


async def options(endpoint: Endpoint) -> tuple[int, int]:
    opened = await Connection.open(endpoint)
    transport = opened._socket._transport
    assert transport is not None
    peer = transport.get_extra_info("socket")
    found = (
        peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    )
    opened.close()
    return found


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_silent_peer_is_given_up_within_the_patience_of_a_call(run: Callable[..., object]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = Endpoint("127.0.0.1", listening.getsockname()[1])
        assert run(options(endpoint)) == (1, connection.SILENT_S * 1000)


async def test_a_connection_that_does_not_come_about_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(connection, "CONNECT_S", 0)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)

    with pytest.raises(TimeoutError):
        await Connection.open(Endpoint("127.0.0.1", 1))


class Transport(asyncio.Transport):
    """A socket to a peer that the test plays."""

    def __init__(self, owner: Connection | Subscription) -> None:
        super().__init__({"socket": socket.socket(), "peername": ("127.0.0.1", 1)})
        self.written = b""
        self.is_aborted = False
        self._protocol = owner._socket
        self._protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def writelines(self, list_of_data: object) -> None:
        for data in list_of_data:  # type: ignore[attr-defined]
            self.write(data)

    def abort(self) -> None:
        self.is_aborted = True
        self._protocol.connection_lost(None)

    def answer(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def look(self, times: int = 1) -> None:
        """What the socket's timer does."""
        for _ in range(times):
            self._protocol._look()

    @property
    def is_watched(self) -> bool:
        return self._protocol._watch is not None

    def __del__(self) -> None:
        self.get_extra_info("socket").close()


def connected() -> tuple[Connection, Transport]:
    made = Connection(60)
    transport = Transport(made)
    made.is_open = True
    return made, transport


async def test_calls_on_a_connection_that_stays_silent_fail() -> None:
    made, transport = connected()
    calls = [made.call("PING") for _ in range(2)]
    await asyncio.sleep(0)

    transport.look(LOOKS)
    assert not transport.is_aborted
    transport.look()

    assert transport.is_aborted
    assert not made.is_open
    for call in calls:
        with pytest.raises(ConnectionLost, match="nothing came back for 60 s"):
            await call


async def test_a_connection_on_which_something_comes_back_is_kept() -> None:
    made, transport = connected()
    calls = [made.call("PING") for _ in range(3)]
    await asyncio.sleep(0)

    for data in (b"+PO", b"NG\r\n", b"+PONG\r\n"):
        transport.look(LOOKS)
        transport.answer(data)
    transport.look(LOOKS)

    assert not transport.is_aborted
    assert [call.done() for call in calls] == [True, True, False]


async def test_a_connection_that_is_asked_nothing_is_kept_and_not_looked_at() -> None:
    made, transport = connected()
    made.call("PING")
    await asyncio.sleep(0)
    transport.answer(b"+PONG\r\n")

    transport.look(LOOKS + 1)
    assert not transport.is_aborted
    assert not transport.is_watched

    made.call("PING")
    await asyncio.sleep(0)
    assert transport.is_watched


async def test_who_only_listens_asks_and_gives_up_when_nothing_comes() -> None:
    made = Subscription(60, lambda *_: None, lambda _: None)
    transport = Transport(made)

    for _ in range(3):
        transport.look(LOOKS)
        await asyncio.sleep(0)
        assert transport.written.endswith(b"$4\r\nPING\r\n")
        transport.answer(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n")
    assert not transport.is_aborted

    transport.look(LOOKS + 1)
    assert transport.is_aborted
    assert made.lost.done()


async def test_a_peer_that_swallows_everything_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        swallowing = Endpoint("127.0.0.1", listening.getsockname()[1], timeout_s=0.02)
        made = await Connection.open(swallowing)

        with pytest.raises(ConnectionLost, match="nothing came back"):
            await made.call("SET", "key", "x" * (8 << 20))  # more than the kernel takes: it cannot leave

        with pytest.raises(ConnectionLost, match="nothing came back"):
            await Connection.open(replace(swallowing, password="secret"))


def backlog() -> float | None:
    return REGISTRY.get_sample_value("ff_store_backlog_calls")


def calls_sent(transport: Transport) -> int:
    """How many commands have been written, by their first lines."""
    return transport.written.count(b"*2\r\n")


async def test_what_exceeds_the_window_waits_for_its_turn_and_keeps_its_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "WINDOW_ITEMS", 10)
    monkeypatch.setattr(connection, "WINDOW_CALLS", 1)
    opened, transport = connected()

    sent = [opened.call("GET", key, items=items) for key, items in (("a", 6), ("b", 4), ("c", 3), ("d", 9))]
    await asyncio.sleep(0)
    assert calls_sent(transport) == 2

    transport.answer(b"+A\r\n")
    assert calls_sent(transport) == 3  # at once, not in a later turn of the loop
    transport.answer(b"+B\r\n")
    assert calls_sent(transport) == 3  # 3 and 9 are more than 10
    transport.answer(b"+C\r\n+D\r\n")

    assert await asyncio.gather(*sent) == [b"A", b"B", b"C", b"D"]


async def test_a_small_call_does_not_overtake_one_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WINDOW_ITEMS", 10)
    monkeypatch.setattr(connection, "WINDOW_CALLS", 1)
    opened, transport = connected()

    opened.call("GET", "a", items=8)
    opened.call("GET", "b", items=8)
    opened.call("GET", "c")
    await asyncio.sleep(0)
    assert calls_sent(transport) == 1

    transport.answer(b"+A\r\n")
    assert calls_sent(transport) == 3


async def test_a_call_larger_than_the_window_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WINDOW_ITEMS", 10)
    monkeypatch.setattr(connection, "WINDOW_CALLS", 2)
    opened, transport = connected()

    sent = [opened.call("GET", key, items=100) for key in "abc"]
    await asyncio.sleep(0)
    assert calls_sent(transport) == 2

    transport.answer(b"+A\r\n+B\r\n+C\r\n")
    assert await asyncio.gather(*sent) == [b"A", b"B", b"C"]


async def test_a_call_that_is_cancelled_before_its_turn_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WINDOW_CALLS", 1)
    opened, transport = connected()
    sent = [opened.call("GET", key, items=10_000) for key in "abc"]
    await asyncio.sleep(0)

    sent[1].cancel()
    transport.answer(b"+A\r\n")
    transport.answer(b"+C\r\n")

    assert (calls_sent(transport), await sent[2]) == (2, b"C")
    assert backlog() == 0


async def test_a_call_that_cannot_be_packed_fails_by_itself() -> None:
    opened, transport = connected()
    first = opened.call("GET", "a", items=10_000)

    with pytest.raises((TypeError, UnicodeEncodeError)):
        opened.call("GET", "\ud800")
    transport.answer(b"+A\r\n")

    assert await first == b"A"


async def test_calls_that_wait_for_their_turn_fail_with_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "WINDOW_CALLS", 1)
    opened, transport = connected()
    sent = [opened.call("GET", key, items=10_000) for key in "ab"]
    await asyncio.sleep(0)

    assert backlog() == 1

    transport.abort()

    for future in sent:
        with pytest.raises(ConnectionLost):
            await future
    assert backlog() == 0
