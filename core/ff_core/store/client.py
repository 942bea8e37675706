"""Calls of the function library: routed, loaded when missing, repeated when that is safe."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import cast

import hiredis
import structlog

from ff_core import clock, keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.store.connection import Argument, ConnectionLost, Endpoint, Reply
from ff_core.store.node import Node
from ff_core.store.topology import Cluster, SingleNode, Topology
from ff_lua import Library

log = structlog.get_logger()

#: Error replies after which the same call may succeed: failover, start-up, a moving slot.
PASSING = ("LOADING", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "BUSY", "NOREPLICAS")


Call = Callable[[Node, tuple[Argument, ...]], Awaitable[Reply]]


class StoreClient:
    """Knows how to call a function on the node of a key."""

    def __init__(
        self,
        endpoint: Endpoint,
        library: Library,
        *,
        cluster: bool = False,
        wait_replicas: int = 0,
        wait_timeout_ms: int = 1000,
        patience_s: float = 15.0,
    ) -> None:
        # WAIT is silent for as long as it waits, which says nothing against the node.
        waiting = replace(endpoint, timeout_s=endpoint.timeout_s + wait_timeout_ms / 1000)
        self._topology: Topology = Cluster(endpoint) if cluster else SingleNode(endpoint)
        self._durable: Topology = Cluster(waiting) if cluster else SingleNode(waiting)
        self._is_cluster = cluster
        self._library = library
        self._names = {name: library.function(name) for name in library.functions}
        self._wait_replicas = wait_replicas
        self._wait_timeout_ms = wait_timeout_ms
        self._patience_s = patience_s
        self.calls = 0
        """FCALLs sent, for metrics and tests."""

    @property
    def topology(self) -> Topology:
        """For subscriptions, which need to know the nodes."""
        return self._topology

    async def fcall(
        self, function: str, key: str, *args: Argument, items: int = 1, repeatable: bool = True
    ) -> Reply:
        """Calls a function on the node of `key`. Raises STORE_UNAVAILABLE after the store's patience.

        `items` is how many things the call is about: `connection.py` measures by it what is under way.

        `repeatable=False` is for calls whose repeat would do the work twice: they fail at once when
        the connection breaks under them, as one does that Valkey is silent on.
        """
        self.calls += 1
        command = ("FCALL", self._names[function], *self._declared(key), *args)

        def call(node: Node, command: tuple[Argument, ...]) -> Awaitable[Reply]:
            return node.call(*command, items=items)

        return await self._persist(lambda: self._send(self._topology, key, command, call), repeatable)

    async def fcall_durable(self, function: str, key: str, *args: Argument, items: int = 1) -> Reply:
        """As fcall, then waits until FF_WAIT_REPLICAS replicas have it.

        WAIT blocks its connection, so that is another one than everything else uses.
        """
        if not self._wait_replicas:
            return await self.fcall(function, key, *args, items=items)
        self.calls += 1
        command = ("FCALL", self._names[function], *self._declared(key), *args)
        wait = keys.witness(key), self._wait_replicas, self._wait_timeout_ms

        async def call(node: Node, command: tuple[Argument, ...]) -> Reply:
            reply, replicas = await node.call_then_wait(command, wait, items)
            if isinstance(reply, hiredis.ReplyError):
                return reply
            if isinstance(replicas, int) and replicas < self._wait_replicas:
                raise EngineError(
                    ErrorCode.STORE_UNAVAILABLE, f"{replicas} of {self._wait_replicas} replicas have it"
                )
            return reply if isinstance(replicas, int) else replicas

        return await self._persist(lambda: self._send(self._durable, key, command, call), True)

    def _declared(self, key: str) -> tuple[Argument, ...]:
        return (2, key, keys.guard(key)) if self._is_cluster else (1, key)

    async def call_everywhere(self, *command: Argument) -> list[Reply]:
        """Sends a command to every primary."""
        nodes = await self._topology.nodes()
        return await asyncio.gather(*(node.call(*command) for node in nodes))

    async def load_library(self) -> None:
        """Loads this release's functions where they are missing; never replaces another's."""
        for node in await self._topology.nodes():
            await self._load(node)

    async def prune_libraries(self, live: Sequence[str]) -> list[str]:
        """Deletes libraries of earlier releases that no live process names. Gives what was deleted."""
        pruned = []
        for node in await self._topology.nodes():
            reply = cast("list[list[object]]", await node.call("FUNCTION", "LIST", "LIBRARYNAME", "ff_*"))
            for entry in reply:
                name = cast("bytes", entry[1]).decode()
                if name != self._library.name and name not in live:
                    await node.call("FUNCTION", "DELETE", name)
                    pruned.append(name)
        return pruned

    def close(self) -> None:
        """Closes every connection."""
        self._topology.close()
        self._durable.close()

    async def _persist(self, send: Callable[[], Awaitable[Reply]], repeatable: bool) -> Reply:
        started, pause = clock.monotonic(), 0.02
        while True:
            try:
                return await send()
            except ConnectionLost as error:
                waited = clock.monotonic() - started
                if not repeatable or waited > self._patience_s:
                    raise EngineError(ErrorCode.STORE_UNAVAILABLE, str(error), retry_after_ms=1000) from error
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 1.0)

    async def _send(self, topology: Topology, key: str, command: tuple[Argument, ...], call: Call) -> Reply:
        node = await topology.node_of(key)
        try:
            reply = await call(node, command)
        except ConnectionLost:
            topology.suspect()
            raise
        if isinstance(reply, hiredis.ReplyError):
            return await self._recover(topology, node, command, str(reply), call)
        return reply

    async def _recover(
        self, topology: Topology, node: Node, command: tuple[Argument, ...], error: str, call: Call
    ) -> Reply:
        """Mends what an error reply says, and sends the command once more."""
        word, _, rest = error.partition(" ")
        if "Function not found" in error:
            await self._load(node)
            again = await call(node, command)
        elif word == "MOVED":
            await topology.refresh()
            host, _, port = rest.split()[1].rpartition(":")
            again = await call(topology.node_at(host or node.endpoint.host, int(port)), command)
        elif word == "ASK":
            host, _, port = rest.split()[1].rpartition(":")
            target = topology.node_at(host or node.endpoint.host, int(port))
            _, again = await asyncio.gather(target.call("ASKING"), call(target, command))
        elif word in PASSING:
            await topology.refresh()
            raise ConnectionLost(error)
        else:
            again = hiredis.ReplyError(error)
        if isinstance(again, hiredis.ReplyError):
            if str(again).partition(" ")[0] in ("MOVED", "ASK", *PASSING):
                raise ConnectionLost(str(again))
            log.error("store_call_failed", function=command[1], error=str(again))
            raise EngineError(ErrorCode.INTERNAL, str(again))
        return again

    async def _load(self, node: Node) -> None:
        reply = await node.call("FUNCTION", "LOAD", self._library.code)
        if isinstance(reply, hiredis.ReplyError):
            # Another process was faster; anything else is a bug or a refused permission.
            if "already exists" in str(reply):
                return
            if str(reply).partition(" ")[0] in PASSING:
                raise ConnectionLost(str(reply))
            raise EngineError(ErrorCode.INTERNAL, str(reply))
        log.info("library_loaded", library=self._library.name, port=node.endpoint.port)
