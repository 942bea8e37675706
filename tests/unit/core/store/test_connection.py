"""A peer that falls silent: a machine that died sends no reset, so the socket itself has to notice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from ff_core.store import connection
from ff_core.store.connection import Connection, Endpoint


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
