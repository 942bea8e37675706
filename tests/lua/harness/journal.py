"""Words for the journal of an execution."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from .engines import Argument
from .scenario import Scenario

MAX_ENTRIES, MAX_BYTES = 100, 1_000_000


@dataclass(frozen=True)
class Entry:
    """An entry as stored."""

    key: str
    header: dict[str, Any]
    data: bytes

    @property
    def state(self) -> str:
        return str(self.header["s"])


def entry(
    key: str,
    name: str = "plan",
    *,
    kind: str = "step",
    state: str = "done",
    data: bytes = b"",
    **fields: object,
) -> list[Argument]:
    """The arguments of one entry; fields are those of its header."""
    header = json.dumps({"k": kind, "n": name, "s": state, **fields}, separators=(",", ":"))
    return [key, header, data, 1 if state in ("done", "failed") else 0]


def record(
    scenario: Scenario,
    lease: str,
    *entries: list[Argument],
    max_entries: int = MAX_ENTRIES,
    max_bytes: int = MAX_BYTES,
) -> list[bytes]:
    """The answer to one write."""
    [reply] = record_many(scenario, (lease, *entries), max_entries=max_entries, max_bytes=max_bytes)
    return reply


def record_many(
    scenario: Scenario,
    *writes: tuple[str | list[Argument], ...],
    max_entries: int = MAX_ENTRIES,
    max_bytes: int = MAX_BYTES,
) -> list[list[bytes]]:
    """The answers to writes of several leases in one call."""
    arguments: list[Argument] = [max_entries, max_bytes]
    for lease, *entries in writes:
        arguments += [cast("str", lease), len(entries)]
        arguments += [part for each in entries for part in each]
    return cast("list[list[bytes]]", scenario.call("journal_record", *arguments))


def read(
    scenario: Scenario, id: str, after: int = 0, max_bytes: int = 1 << 20, *, data: bool = True
) -> tuple[list[Entry], int]:
    """One page of the journal, and where to go on; 0 at the end."""
    reply = cast("list[Any]", scenario.call("journal_read", id, after, max_bytes, int(data)))
    assert reply[0] == b"OK"
    return entries_of(reply[2]), int(reply[1] or 0)


def entries_of(flat: list[bytes]) -> list[Entry]:
    """Entries from flat key, header, data."""
    return [Entry(flat[at].decode(), json.loads(flat[at + 1]), flat[at + 2]) for at in range(0, len(flat), 3)]


def keys(scenario: Scenario, id: str) -> list[str]:
    """Keys of all entries by sequence; each page is read."""
    found: list[str] = []
    after = 0
    while True:
        page, after = read(scenario, id, after)
        found += [each.key for each in page]
        if not after:
            return found


def totals(scenario: Scenario, id: str) -> tuple[int, int, int]:
    """Bytes, entries and last sequence as counted; checked against what is there."""
    hash_key = f"{scenario.prefix}journal:{id}"
    flat = cast("list[bytes]", scenario.engine.command("HGETALL", hash_key))
    headers = dict(zip(flat[::2], flat[1::2], strict=True))
    if not headers:
        return 0, 0, 0
    counted = tuple(map(int, headers.pop(b"").split()))
    flat = cast("list[bytes]", scenario.engine.command("HGETALL", f"{scenario.prefix}journal_data:{id}"))
    data = dict(zip(flat[::2], flat[1::2], strict=True))
    assert set(data) <= set(headers)
    for key, header in headers.items():
        assert json.loads(header)["b"] == len(data.get(key, b"")), key
    bytes_kept = sum(map(len, headers.values())) + sum(map(len, data.values()))
    assert counted[:2] == (bytes_kept, len(headers))
    assert [place.split(" ")[0].encode() for place in scenario.members(f"steps:{id}")] == sorted(
        headers, key=lambda key: json.loads(headers[key])["q"]
    )
    return cast("tuple[int, int, int]", counted)
