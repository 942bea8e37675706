"""Words for what the tests do most, and for reading what the rules wrote.

Reading goes straight to the keys: no function is trusted to judge another.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, cast

from .engines import Argument, Engine

QUEUE = "default/main/any"
WORKER, GATEWAY = "worker-1", "gateway-1"
OFFER_TTL_MS, LEASE_TTL_MS = 5_000, 30_000
TERMINAL = ("completed", "failed", "cancelled", "expired")
#: Where an execution may be, by its state; "queue" stands for its queue.
HOMES = {
    "waiting": ("queue",),
    "delayed": ("delayed",),
    "active": ("offered", "leased"),
    "suspended": ("suspended",),
} | {state: (state,) for state in TERMINAL}
#: Kinds of keys that belong to one execution, and keys that belong to the partition.
OWNED = (
    "execution",
    "payload",
    "result",
    "tags",
    "history",
    "output",
    "best_effort",
    "summary",
    "suspension",
    "waitpoints",
    "signals",
    "deliveries",
    "delivery_expiry",
    "journal",
    "journal_data",
    "steps",
)
SHARED = (
    "executions",
    "ready",
    "lanes",
    "events",
    "deadline",
    "attempt_timeout",
    "offered",
    "leased",
    "delayed",
    "suspended",
)
#: The words of an event, in order; only the last may hold spaces.
EVENT = ("event", "execution", "state", "attempt", "epoch", "lane", "kind", "detail")


@dataclass(frozen=True)
class Grant:
    """What a claim gives for one execution."""

    lease: str
    kind: bytes
    payload: bytes
    deadline_at: bytes | int
    attempt_deadline_at: bytes | int
    traceparent: bytes
    journal: list[bytes] | bytes = b""
    resumption: list[Any] | bytes = b""
    flags: bytes = b""

    @property
    def id(self) -> str:
        return self.lease.split(":", maxsplit=1)[0]

    @property
    def attempt(self) -> int:
        return int(self.lease.split(":")[1])

    @property
    def epoch(self) -> int:
        return int(self.lease.split(":")[2])


class Scenario:
    """One partition of an engine."""

    def __init__(self, engine: Engine, partition: int = 0) -> None:
        self.engine = engine
        self.prefix = f"ff:{{p:{partition}}}:"
        self.anchor = self.prefix + "executions"
        self._numbers = count(1)
        self._partition = partition

    # What is done.

    def call(self, function: str, *args: Argument) -> Any:
        """The reply of a function on this partition; its shape is the test's business."""
        return self.engine.call(function, [self.anchor], args)

    def item(
        self,
        id: str = "",
        *,
        idempotency: str = "",
        idempotency_ttl_ms: int = 86_400_000,
        fingerprint: str = "f",
        payload: bytes = b"payload",
        queue: str = QUEUE,
        priority: int = 0,
        delay_until_ms: int | str = 0,
        deadline_ms: int | str = "",
        tags: dict[str, str] | None = None,
        policy: dict[str, object] | None = None,
        **spec: object,
    ) -> list[Argument]:
        """The arguments of one execution to create."""
        id = id or f"{self._partition:x}-{next(self._numbers):08x}"
        flat_tags = [part for pair in (tags or {}).items() for part in pair]
        spec = {"kind": "test", **spec}
        if policy is not None:
            spec["policy"] = policy
        document = json.dumps(spec, ensure_ascii=False).encode("utf-8", "surrogateescape")
        return [
            id, idempotency, idempotency_ttl_ms, fingerprint, payload,
            queue, priority, delay_until_ms, deadline_ms,
            document, len(flat_tags), *flat_tags,
        ]  # fmt: skip

    def create_many(self, *items: list[Argument]) -> list[list[bytes | int]]:
        """The replies to several items in one call."""
        arguments = [argument for item in items for argument in item]
        return cast("list[list[bytes | int]]", self.call("execution_create", *arguments))

    def create(self, **over: object) -> str:
        """The id of a new execution."""
        item = self.item(**over)  # type: ignore[arg-type]
        assert self.create_many(item)[0][2] == 0
        return str(item[0])

    def claim(
        self, queue: str = QUEUE, count: int = 1, *, nonce: str = "n", holder: str = GATEWAY
    ) -> list[Grant]:
        """The grants of one claim."""
        nonce = f"{nonce}{next(self._numbers)}"
        reply = cast("list[object]", self.call("execution_claim", queue, count, OFFER_TTL_MS, nonce, holder))
        assert reply[0] == b"OK"
        return [Grant(row[0].decode(), *row[1:]) for row in cast("list[list[bytes]]", reply[2:])]

    def hold(self, **over: object) -> Grant:
        """A new execution, claimed and confirmed."""
        id = self.create(**over)
        return self.reclaim(id)

    def reclaim(self, id: str) -> Grant:
        """The confirmed grant of an execution that is the head of its queue."""
        [grant] = self.claim(self.core(id)["queue"])
        assert grant.id == id
        assert self.renew(grant.lease) == [b"OK"]
        return grant

    def renew(self, *leases: str, ttl_ms: int = LEASE_TTL_MS) -> list[bytes]:
        """The answers to a renewal."""
        return cast("list[bytes]", self.call("lease_renew", ttl_ms, WORKER, GATEWAY, *leases))

    def finish(self, lease: str, operation: str, *details: Argument) -> list[bytes]:
        """The answer to one outcome."""
        reply = self.call("lease_finish", lease, WORKER, operation, len(details), *details)
        return cast("list[list[bytes]]", reply)[0]

    def complete(self, lease: str, result: bytes = b"result") -> list[bytes]:
        return self.finish(lease, "complete", result)

    def fail(
        self, lease: str, category: str = "transient", *, final: bool = False, retry_delay_ms: int | str = ""
    ) -> list[bytes]:
        return self.finish(lease, "fail", "SomeError", "it broke", category, int(final), retry_delay_ms)

    # What is there.

    def core(self, id: str) -> dict[str, Any]:
        """The document of an execution, {} when it is gone."""
        [execution] = self.call("execution_describe", "", "", id)
        if not execution:
            return {}
        return cast("dict[str, Any]", json.loads(execution[2].decode("utf-8", "surrogateescape")))

    def tags(self, id: str) -> dict[str, str]:
        return self._hash("tags", id)

    def history(self, id: str) -> dict[str, str]:
        """The ended leases of an execution as JSON, by epoch."""
        return self._hash("history", id)

    def state(self, id: str) -> str:
        return str(self.core(id)["state"])

    def value(self, kind: str, id: str) -> bytes | None:
        """A string key of an execution: its core, payload or result."""
        return cast("bytes | None", self.engine.command("GET", f"{self.prefix}{kind}:{id}"))

    def score(self, index: str, member: str) -> float | None:
        score = self.engine.command("ZSCORE", self.prefix + index, member)
        return None if score is None else float(cast("bytes", score))

    def members(self, index: str) -> list[str]:
        reply = self.engine.command("ZRANGE", self.prefix + index, 0, -1)
        return [member.decode() for member in cast("list[bytes]", reply)]

    def names(self) -> list[str]:
        """All keys of the partition, without its prefix."""
        prefix = self.prefix.encode()
        return [key.removeprefix(prefix).decode() for key in self.engine.all_keys() if key.startswith(prefix)]

    def indexes(self) -> dict[str, list[str]]:
        """Every sorted set of the partition with its members."""
        return {name: self.members(name) for name in self.names() if self._type(name) == b"zset"}

    def indexes_of(self, id: str) -> list[str]:
        """Every sorted set that holds the execution."""
        return [index for index, members in self.indexes().items() if id in members]

    def keys_of(self, id: str) -> list[str]:
        """Every key that is named after the execution."""
        return [name for name in self.names() if name.endswith(f":{id}")]

    def events(self, id: str = "") -> list[str]:
        """The names of the events of one execution, or of all, in order."""
        return [event["event"] for event in self.event_entries() if id in ("", event["execution"])]

    def event_entries(self) -> list[dict[str, str]]:
        reply = cast("list[list[object]]", self.engine.command("XRANGE", self.prefix + "events", "-", "+"))
        return [event for _, fields in reply for event in _events(cast("list[bytes]", fields))]

    def published(self, channel: str) -> list[bytes]:
        """The messages to one channel; the partition's channels may be named without its prefix."""
        names = (channel.encode(), (self.prefix + channel).encode())
        return [message for name, message in self.engine.published if name in names]

    # What must always hold.

    def assert_one_index(self, id: str) -> None:
        """Invariant 3: the execution is in the one index of its state, and remembers which."""
        core = self.core(id)
        homes = {f"queue:{core['queue']}" if home == "queue" else home for home in HOMES[core["state"]]}
        held = [index for index in self.indexes_of(id) if _schedules(index)]
        assert held == [core["index"]], f"{id} is {core['state']}, remembers {core['index']}, is in {held}"
        assert held[0] in homes, f"{id} is {core['state']} but in {held[0]}"

    def assert_timers(self, id: str) -> None:
        """Leaving a state cleans its timers, entering one arms them."""
        core = self.core(id)
        is_live = core["state"] not in TERMINAL
        stopping = core["state"] == "active" and "cancel_at" in core
        has_deadline = is_live and ("deadline_at" in core or stopping)
        has_timeout = core["state"] == "active" and "attempt_timeout_ms" in core
        assert (self.score("deadline", id) is not None) == has_deadline, f"deadline of {id}: {core}"
        assert (self.score("attempt_timeout", id) is not None) == has_timeout, f"attempt_timeout of {id}"
        if core["state"] == "active":
            assert self.score(core["index"], id) == core["expires_at"], f"expiry of {id}: {core}"
        else:
            assert "expires_at" not in core, f"{id} has no lease: {core}"

    def assert_no_orphans(self) -> None:
        """Every key has an owner, every index entry its execution, every queue with work its ready entry."""
        names = self.names()
        ids = {name.removeprefix("execution:") for name in names if name.startswith("execution:")}
        indexes = self.indexes()
        assert set(indexes.get("executions", [])) == ids
        for name in names:
            kind, _, rest = name.partition(":")
            if kind in OWNED:
                assert rest in ids, f"{name} has no execution"
            elif kind not in ("queue", "tag", "idempotency"):
                assert name in (*SHARED, *TERMINAL), f"{name} is of no known kind"
        for index, members in indexes.items():
            if index != "ready" and index.partition(":")[0] not in OWNED:
                assert set(members) <= ids, f"{index} holds executions that are gone"
            if index.startswith("tag:"):
                self._assert_tag_index(index, members)
        self._assert_ready(indexes)

    def assert_sound(self) -> None:
        """All of the above for every execution."""
        self.assert_no_orphans()
        for id in self.members("executions"):
            self.assert_one_index(id)
            self.assert_timers(id)

    def _assert_tag_index(self, index: str, members: Sequence[str]) -> None:
        tag, _, value = index.removeprefix("tag:").partition("/")[2].partition("=")
        for member in members:
            assert self.tags(member).get(tag) == value, f"{index} holds {member}, which is not tagged so"

    def _assert_ready(self, indexes: dict[str, list[str]]) -> None:
        queues = {
            index.removeprefix("queue:"): members[0]
            for index, members in indexes.items()
            if index.startswith("queue:")
        }
        assert set(indexes.get("ready", [])) == set(queues)
        for queue, head in queues.items():
            assert self.score("ready", queue) == self.score(f"queue:{queue}", head), f"ready score of {queue}"

    def _hash(self, kind: str, id: str) -> dict[str, str]:
        return _pairs(cast("list[bytes]", self.engine.command("HGETALL", f"{self.prefix}{kind}:{id}")))

    def _type(self, name: str) -> bytes:
        return cast("bytes", self.engine.command("TYPE", self.prefix + name))


def read_core(document: bytes) -> dict[str, Any]:
    """A core as described; bytes that are not UTF-8 become surrogates."""
    return cast("dict[str, Any]", json.loads(document.decode("utf-8", "surrogateescape")))


def _events(fields: Sequence[bytes]) -> list[dict[str, str]]:
    """The events of one call, which are one entry of the feed."""
    assert set(fields[::2]) == {b"event"}
    return [dict(zip(EVENT, line.decode().split(" ", len(EVENT) - 1), strict=True)) for line in fields[1::2]]


def _schedules(index: str) -> bool:
    return index.startswith("queue:") or index in ("offered", "leased", "delayed", "suspended", *TERMINAL)


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    text = [part.decode("utf-8", "backslashreplace") for part in flat]
    return dict(zip(text[::2], text[1::2], strict=True))
