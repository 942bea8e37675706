"""Every key and channel in Valkey. `prelude.lua` derives the same ones; a test compares both.

Partition keys share the hash tag `{p:N}`, workers `{w}`, the engine's own processes `{m}`.
"""

from __future__ import annotations

WORKERS = "ff:{w}:workers"
"""ZSET of worker ids by expiry; HASH `ff:{w}:worker:<id>` describes each."""

CONFIG = "ff:{m}:config"
"""HASH: partitions."""

WORKERS_CHANNEL = "ff:workers"
"""Pub/sub: the set of workers changed."""

KEYRING = "ff:{m}:keyring"
"""STRING: "<revision> " and the encrypted keys of waitpoint tokens."""

KEYRING_CHANNEL = "ff:keyring"
"""Pub/sub: the key ring changed."""


def partition_prefix(partition: int) -> str:
    """What all keys of a partition begin with."""
    return f"ff:{{p:{partition}}}:"


def anchor(partition: int) -> str:
    """KEYS[1] of every partition function, and a key itself: ZSET of all executions by creation time."""
    return f"ff:{{p:{partition}}}:executions"


def guard(key: str) -> str:
    """A key in the slot of `key` that never exists. Calls in a cluster declare it beside their own: of two
    declared keys with one missing Valkey refuses (TRYAGAIN) while the slot moves, before the function
    could meet half of its data."""
    return f"{key}:guard"


def witness(key: str) -> str:
    """STRING in the slot of `key`, empty, written so that the replicas can be asked whether they have it."""
    return f"{key}:witness"


def members(service: str) -> str:
    """ZSET of the process ids of a service by expiry."""
    return f"ff:{{m}}:members:{service}"


def wake_channel(partition: int) -> str:
    """Sharded pub/sub: "<head score> <queue>" when the head of a queue became better."""
    return f"ff:{{p:{partition}}}:wake"


def news_channel(partition: int) -> str:
    """Sharded pub/sub: the executions that are news of one call; ff_core.news reads them."""
    return f"ff:{{p:{partition}}}:news"


def gateway_channel(gateway_id: str) -> str:
    """Pub/sub: "cancel <lease> <stop at ms> <reason>", "lost <lease> <code>" or
    "superseded <worker> <session>", for one gateway."""
    return f"ff:gateway:{gateway_id}"


def queue(namespace: str, lane: str, class_name: str) -> str:
    """Name of a queue; its ZSET is `<partition prefix>queue:<name>`."""
    return f"{namespace}/{lane}/{class_name}"


def parse_queue(name: str) -> tuple[str, str, str]:
    """Namespace, lane and class of a queue's name."""
    namespace, lane, class_name = name.split("/", 2)
    return namespace, lane, class_name
