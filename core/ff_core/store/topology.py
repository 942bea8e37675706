"""Which node serves which slot: one node for all, or a cluster's map refreshed when it proves wrong."""

from __future__ import annotations

import asyncio
import functools
from typing import Protocol, cast

from redis.crc import key_slot

from ff_core.store.connection import ConnectionLost, Endpoint, overlook
from ff_core.store.node import Node

SLOTS = 16384

#: Keys whose slot is remembered: more than there are partitions, not all channels of single executions.
REMEMBERED = 16_384


@functools.lru_cache(REMEMBERED)
def slot_of(key: str) -> int:
    """The slot of a key."""
    return int(key_slot(key.encode()))


class Topology(Protocol):
    """Finds nodes."""

    async def node_of(self, key: str) -> Node: ...

    async def nodes(self) -> list[Node]: ...

    async def refresh(self) -> None: ...

    def suspect(self) -> None:
        """A node did not answer: before the next call is asked who serves what it served."""

    async def serves(self, node: Node) -> bool:
        """Whether a node that does not answer still has slots."""

    def node_at(self, host: str, port: int) -> Node: ...

    def close(self) -> None: ...


class SingleNode:
    """A standalone server, or a primary behind one name."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._node = Node(endpoint)

    async def node_of(self, key: str) -> Node:
        return self._node

    async def nodes(self) -> list[Node]:
        return [self._node]

    async def refresh(self) -> None:
        """After a failover behind one name the old connection must go."""
        self._node.close()

    def suspect(self) -> None:
        """There is no other node to ask."""

    async def serves(self, node: Node) -> bool:
        return True

    def node_at(self, host: str, port: int) -> Node:
        return self._node

    def close(self) -> None:
        self._node.close()


class Cluster:
    """The primaries of a Valkey Cluster."""

    def __init__(self, seed: Endpoint) -> None:
        self._seed = seed
        self._nodes: dict[tuple[str, int], Node] = {}
        self._slots: list[Node | None] = [None] * SLOTS
        self._refreshing: asyncio.Task[None] | None = None
        self._known = False

    async def node_of(self, key: str) -> Node:
        if not self._known:
            await self.refresh()
        slot = slot_of(key)
        node = self._slots[slot]
        if node is None:
            await self.refresh()
            node = self._slots[slot]
        if node is None:
            raise ConnectionLost(f"no node serves slot {slot}")
        return node

    async def nodes(self) -> list[Node]:
        if not self._known:
            await self.refresh()
        return list(dict.fromkeys(node for node in self._slots if node is not None))

    async def refresh(self) -> None:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.ensure_future(self._refresh())
            self._refreshing.add_done_callback(overlook)
        await asyncio.shield(self._refreshing)

    def suspect(self) -> None:
        self._known = False

    async def serves(self, node: Node) -> bool:
        try:
            await self.refresh()
        except ConnectionLost:
            return True
        return node in self._slots

    async def _refresh(self) -> None:
        seeds = dict.fromkeys((*self._nodes.values(), self.node_at(self._seed.host, self._seed.port)))
        for node in sorted(seeds, key=lambda node: not node.is_open):  # one that hangs is asked last
            try:
                reply = await node.call("CLUSTER", "SLOTS")
            except ConnectionLost:
                continue
            if isinstance(reply, list):
                self._read(cast("list[list[object]]", reply), node)
                self._known = True
                return
        raise ConnectionLost("no node of the cluster answers")

    def _read(self, ranges: list[list[object]], asked: Node) -> None:
        slots: list[Node | None] = [None] * SLOTS
        for first, last, primary, *_replicas in ranges:
            host, port = cast("list[object]", primary)[:2]
            name = cast("bytes", host).decode() or asked.endpoint.host
            node = self.node_at(name, cast("int", port))
            for slot in range(cast("int", first), cast("int", last) + 1):
                slots[slot] = node
        self._slots = slots

    def node_at(self, host: str, port: int) -> Node:
        node = self._nodes.get((host, port))
        if node is None:
            node = self._nodes[host, port] = Node(self._seed.at(host, port))
        return node

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()
