"""A Valkey Cluster of child processes: three primaries and their replicas."""

from __future__ import annotations

from typing import Self

from flowfabric._valkey import (
    HOST,
    START_TIMEOUT_S,
    ValkeyError,
    ValkeyServer,
    free_port,
    read_fields,
    wait_until,
)

SLOTS = 16_384
PRIMARIES = 3


class ValkeyCluster:
    """Three primaries on 127.0.0.1 that share all slots, each with as many replicas as asked for."""

    host = HOST

    def __init__(self, *, replicas: int = 0, append_only: bool = False, node_timeout_ms: int = 2000) -> None:
        self._options = (
            "--cluster-enabled", "yes",
            "--cluster-announce-ip", HOST,
            "--cluster-node-timeout", str(node_timeout_ms),
            "--repl-diskless-sync-delay", "0",
        )  # fmt: skip
        self._replicas = replicas
        self._append_only = append_only
        self.nodes: list[ValkeyServer] = []
        """The primaries, then a replica of each, then another of each."""

    @property
    def port(self) -> int:
        """Port of the first node; any node tells of the others."""
        return self.nodes[0].port

    @property
    def address(self) -> str:
        """host:port of the first node."""
        return self.nodes[0].address

    @property
    def source(self) -> str:
        """Where the binary comes from."""
        return f"{self.nodes[0].source}, cluster of {len(self.nodes)}"

    def start(self) -> Self:
        """Starts the nodes, joins them, and returns when each says that the cluster is complete."""
        for _ in range(2):
            try:
                return self._start()
            except ValkeyError:  # between choosing ports and binding them somebody else can be quicker
                continue
        return self._start()

    def _start(self) -> Self:
        count = PRIMARIES * (1 + self._replicas)
        free = set[int]()
        while len(free) < 2 * count:
            free.add(free_port())
        ports, buses = list(free)[:count], list(free)[count:]
        self.nodes = [
            ValkeyServer(
                port=port,
                append_only=self._append_only,
                options=(*self._options, "--cluster-port", str(bus)),
            )
            for port, bus in zip(ports, buses, strict=True)
        ]
        try:
            for node in self.nodes:
                node.start()
            self._join(buses)
            self.wait_until_complete()
        except BaseException:
            self.stop()
            raise
        return self

    def wait_until_complete(self) -> None:
        """Blocks until every node knows every other, all slots are served, and all replicas follow."""
        wait_until(self._is_complete, START_TIMEOUT_S, lambda: "the cluster does not come together")

    def stop(self) -> None:
        """Ends all nodes: replicas first, as a primary waits for those that are behind."""
        for node in reversed(self.nodes):
            node.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _join(self, buses: list[int]) -> None:
        bounds = [SLOTS * place // PRIMARIES for place in range(PRIMARIES + 1)]
        primaries, replicas = self.nodes[:PRIMARIES], self.nodes[PRIMARIES:]
        for place, node in enumerate(primaries):
            # Different epochs from the start spare the nodes a round of settling them.
            node.call("CLUSTER", "SET-CONFIG-EPOCH", place + 1)
            node.call("CLUSTER", "ADDSLOTSRANGE", bounds[place], bounds[place + 1] - 1)
        for node in self.nodes[1:]:
            node.call("CLUSTER", "MEET", HOST, self.nodes[0].port, buses[0])
        for place, node in enumerate(replicas):
            follow(node, node_id(primaries[place % PRIMARIES]))

    def _is_complete(self) -> bool:
        followers = [node for node in self.nodes if is_in_step(node)]
        return len(followers) == len(self.nodes) - PRIMARIES and all(map(self._sees_all, self.nodes))

    def _sees_all(self, node: ValkeyServer) -> bool:
        info = read_fields(node.host, node.port, "CLUSTER", "INFO")
        return (
            info["cluster_state"] == "ok"
            and info["cluster_slots_ok"] == str(SLOTS)
            and info["cluster_known_nodes"] == str(len(self.nodes))
        )


def is_in_step(node: ValkeyServer) -> bool:
    """Whether it is a replica that its primary talks to."""
    return read_fields(node.host, node.port, "INFO", "replication").get("master_link_status") == "up"


def node_id(node: ValkeyServer) -> str:
    """What the other nodes of a cluster call this one."""
    name = node.call("CLUSTER", "MYID")
    return name.decode() if isinstance(name, bytes) else str(name)


def follow(node: ValkeyServer, primary: str) -> None:
    """Makes a node a replica, once it has heard of its primary."""

    def obeys() -> bool:
        try:
            return node.call("CLUSTER", "REPLICATE", primary) == "OK"
        except ValkeyError:
            return False

    wait_until(obeys, START_TIMEOUT_S, lambda: f"{node.address} does not become a replica")
