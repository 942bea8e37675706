"""Words for suspending, for the signals that end it, and for reading what is kept of both."""

from __future__ import annotations

import json
from typing import Any, cast

from .engines import Argument
from .scenario import TERMINAL, Scenario

DAY_MS = 86_400_000
MAX_SIGNALS, MAX_BYTES = 1000, 8 << 20

Node = dict[str, Any]


def signal(at: str, *names: str, **match: str) -> Node:
    """A leaf: a signal at a waitpoint."""
    node: Node = {"op": "signal", "at": at, **match}
    return node | {"names": list(names)} if names else node


def all_of(*nodes: Node) -> Node:
    return {"op": "all", "of": list(nodes)}


def any_of(*nodes: Node) -> Node:
    return {"op": "any", "of": list(nodes)}


def count(n: int, by: str, *at: str, **match: Any) -> Node:
    return (
        {"op": "count", "n": n, "by": by}
        | ({"at": list(at)} if at else {})
        | ({"match": match} if match else {})
    )


TIMER: Node = {"op": "timeout"}
OPERATOR: Node = {"op": "operator"}


def wait(node: Node, **fields: Any) -> dict[str, Any]:
    """A wait: entry, name, timeout_ms or due_at, on_timeout."""
    return {"entry": "", "name": "", "on_timeout": "fail", "node": node} | fields


def waitpoint(name: str, **fields: Any) -> dict[str, Any]:
    """A waitpoint to make, or with `number` to bind."""
    return {"name": name, "uses": "multi", "recipient": "", "ttl_ms": 30 * DAY_MS} | fields


def spec(*waits: dict[str, Any], at: tuple[str | dict[str, Any], ...] = (), **fields: Any) -> str:
    """What a holder asks for; waitpoints by name are made."""
    made = [waitpoint(each) if isinstance(each, str) else each for each in at]
    document = {
        "reason_code": "waiting_for_signal", "requested_by": "worker", "fingerprint": "f",
        "waitpoints": made, "waits": list(waits),
    }  # fmt: skip
    return json.dumps(document | fields)


class Waiting:
    """An execution that was suspended, and its waitpoints by name."""

    def __init__(self, scenario: Scenario, id: str, answer: str, told: dict[str, Any]) -> None:
        self.scenario = scenario
        self.id = id
        self.answer = answer
        self.number = told.get("suspension", 0)
        self.waitpoints = {each["name"]: each for each in told.get("waitpoints") or ()}

    def deliver(self, at: str = "approval", name: str = "approved", **over: Any) -> list[Any]:
        """The reply to a signal at one of its waitpoints."""
        return deliver(self.scenario, self.id, self.waitpoints[at], name, **over)

    @property
    def record(self) -> dict[str, Any]:
        return record(self.scenario, self.id)


def suspend(scenario: Scenario, lease: str, *waits: dict[str, Any], at: Any = (), **fields: Any) -> Waiting:
    """Suspends, as the holder of a lease."""
    reply = scenario.finish(lease, "suspend", spec(*waits, at=at, **fields), "k1")
    assert reply[0] == b"OK", reply
    told = json.loads(reply[2]) if reply[2] else {}
    return Waiting(scenario, lease.split(":", maxsplit=1)[0], reply[1].decode(), told)


def suspended(scenario: Scenario, node: Node | None = None, **over: Any) -> Waiting:
    """A new execution that waits for approval."""
    return suspend(scenario, scenario.hold(**over).lease, wait(node or signal("approval")), at=("approval",))


def item(
    id: str,
    at: dict[str, Any] | str,
    name: str = "approved",
    *,
    category: str = "",
    source: str = "user:alice",
    correlation: str = "",
    payload: bytes = b"payload",
    key: str = "",
    key_ttl_ms: int = DAY_MS,
    delay_ms: int = 0,
    fingerprint: str = "",
    **address: Argument,
) -> list[Argument]:
    """The arguments of one delivery, by the record of a waitpoint or by its name."""
    if isinstance(at, str):
        place: list[Argument] = ["", "", 0, at]
    else:
        place = [at["scope"], at["number"], at["expires_at"], ""]
    for field, value in address.items():
        place[("scope", "number", "expires_at", "waitpoint").index(field)] = value
    fingerprint = fingerprint or f"{name}|{source}|{payload!r}|{delay_ms}".replace(" ", "")
    return [
        id, *place, name, category, source, correlation, payload, key, key_ttl_ms, delay_ms, fingerprint
    ]  # fmt: skip


def deliver_many(
    scenario: Scenario, *items: list[Argument], most: int = MAX_SIGNALS, most_bytes: int = MAX_BYTES
) -> list[list[Any]]:
    """The replies to several signals in one call."""
    arguments = [argument for each in items for argument in each]
    return cast("list[list[Any]]", scenario.call("signal_deliver", most, most_bytes, *arguments))


def deliver(
    scenario: Scenario, id: str, at: dict[str, Any] | str, name: str = "approved", **over: Any
) -> list[Any]:
    """The reply to one signal."""
    limits = {limit: over.pop(limit) for limit in ("most", "most_bytes") if limit in over}
    return deliver_many(scenario, item(id, at, name, **over), **limits)[0]


def record(scenario: Scenario, id: str) -> dict[str, Any]:
    """The stored suspension, {} for none."""
    return cast("dict[str, Any]", json.loads(scenario.value("suspension", id) or b"{}"))


def waitpoints(scenario: Scenario, id: str) -> dict[int, dict[str, Any]]:
    """The stored waitpoints by number."""
    flat = cast("list[bytes]", scenario.engine.command("HGETALL", f"{scenario.prefix}waitpoints:{id}"))
    return {int(flat[i]): json.loads(flat[i + 1]) for i in range(0, len(flat), 2)}


def stored_signals(scenario: Scenario, id: str) -> dict[int, tuple[dict[str, Any], bytes]]:
    """The kept signals by number: header and payload."""
    flat = cast("list[bytes]", scenario.engine.command("HGETALL", f"{scenario.prefix}signals:{id}"))
    split = {int(flat[i]): flat[i + 1].partition(b"\n") for i in range(0, len(flat), 2)}
    return {number: (json.loads(header), payload) for number, (header, _, payload) in split.items()}


def pending(scenario: Scenario, lease: str, name: str, **over: Any) -> dict[str, Any]:
    """A waitpoint made before suspending."""
    fields: dict[str, Any] = {
        "uses": "multi",
        "recipient": "",
        "ttl_ms": 30 * DAY_MS,
        "kid": "k1",
        "entry": "",
    } | over
    reply = scenario.call("waitpoint_create", lease, name, *fields.values())
    assert reply[0] == b"OK", reply
    return cast("dict[str, Any]", json.loads(reply[1]))


def assert_waits(scenario: Scenario, id: str) -> None:
    """A suspension is open and its waitpoints bound only while suspended, and what is kept is counted."""
    core, stored, points = scenario.core(id), record(scenario, id), waitpoints(scenario, id)
    is_suspended = core["state"] == "suspended"
    assert (stored.get("state") == "open") == is_suspended, f"{core} {stored}"
    if is_suspended:
        due = [each["due_at"] for each in stored["waits"] if "due_at" in each]
        assert scenario.score("suspended", id) == min(due, default=9e15), f"{core} {stored}"
        assert not any(each.get("satisfied_at") for each in stored["waits"]), stored
    bound = {number for number, each in points.items() if each["state"] == "bound"}
    assert bound == (set(stored["waitpoints"]) if is_suspended else set()), f"{stored} {points}"
    if core["state"] in TERMINAL:
        assert all(each["state"] == "closed" for each in points.values()), points
    kept = {number for each in points.values() for number in each["signals"] or ()}
    assert len(kept) == core.get("kept_signals", 0), f"{core} {points}"
    signals = stored_signals(scenario, id)
    assert kept <= set(signals), f"{points} {sorted(signals)}"
    assert sum(len(signals[number][1]) for number in kept) == core.get("signal_bytes", 0), core
    assert set(signals) - kept <= set(stored.get("own") or ()), f"{stored} {sorted(signals)}"
