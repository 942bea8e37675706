"""Wrappers of journal.lua, and the stored form of entries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from ff_core import ids, keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.journal import FINAL, JournalEntry, JournalPage, JournalWrite, StepFailure
from ff_core.signal import StoredSignal
from ff_core.store.client import StoreClient
from ff_core.store.connection import Argument
from ff_core.store.functions.base import BATCH, Functions, check, number, text
from ff_core.store.gather import Gather

#: What one call carries, when it is of several writes.
MOST_ENTRIES, MOST_BYTES = 256, 1 << 20

#: What a refused write says of an entry.
REFUSALS = {
    ErrorCode.JOURNAL_FULL: "the journal has no room for entry {key!r}",
    ErrorCode.INVALID_ARGUMENT: "entry {key!r} is written twice in one message",
}


class JournalFunctions(Functions):
    """Implements ff_core.backend.JournalBackend, but for the replay."""

    def __init__(self, client: StoreClient, partitions: int) -> None:
        super().__init__(client, partitions)
        self._recording: dict[tuple[int, int], Gather[JournalWrite, EngineError | None]] = {}

    async def journal_record(
        self, writes: Sequence[JournalWrite], max_entries: int, max_bytes: int
    ) -> list[EngineError | None]:
        """Records entries, all of a lease or none. Writes of many workers share calls."""
        limits = max_entries, max_bytes
        recording = self._recording.get(limits)
        if recording is None:

            async def record(partition: int, items: list[JournalWrite]) -> list[EngineError | None]:
                return await self._record(partition, items, limits)

            recording = self._recording[limits] = Gather(record, BATCH)
        return await self.by_partition(
            writes,
            lambda write: ids.partition_of_lease(write[0], self.partitions),
            recording.submit,
            lambda _write: EngineError(ErrorCode.INVALID_ARGUMENT, "lease: malformed", field="lease"),
        )

    async def _record(
        self, partition: int, items: list[JournalWrite], limits: tuple[int, int]
    ) -> list[EngineError | None]:
        verdicts: list[EngineError | None] = []
        for writes in _calls(items):
            args: list[Argument] = [*limits]
            for lease, entries in writes:
                args += (lease, len(entries))
                for entry in entries:
                    args += (entry.key, _header(entry), entry.data, 1 if entry.state in FINAL else 0)
            reply = await self.client.fcall_durable(
                "journal_record", keys.anchor(partition), *args, items=len(writes)
            )
            replies = cast("list[list[bytes]]", reply)
            verdicts += [
                _verdict(parts, entries) for parts, (_, entries) in zip(replies, writes, strict=True)
            ]
        return verdicts

    async def journal_read(
        self, execution_id: str, after: int, max_bytes: int, *, data: bool = True
    ) -> JournalPage:
        """Entries by sequence after one. Raises EXECUTION_NOT_FOUND."""
        reply = await self.client.fcall(
            "journal_read",
            keys.anchor(self.partition_of(execution_id)),
            execution_id,
            after,
            max_bytes,
            1 if data else 0,
        )
        following, flat = check(reply, execution_id)
        return JournalPage(journal_entries(flat), number(following))


def journal_entries(flat: Sequence[bytes]) -> list[JournalEntry]:
    """Entries from flat key, header, data, as every function gives them."""
    return [_entry(text(flat[at]), flat[at + 1], flat[at + 2]) for at in range(0, len(flat), 3)]


def steps_shown(reply: Sequence[Any]) -> tuple[int, list[JournalEntry]]:
    """How many entries there are, and the newest without data; from what ff.steps_shown gives."""
    return (int(reply[0]), journal_entries(reply[1:])) if reply else (0, [])


def _calls(items: list[JournalWrite]) -> Iterator[list[JournalWrite]]:
    """Writes in order, so many to a call that it does not hold up Valkey; one write is never split."""
    writes: list[JournalWrite] = []
    count = size = 0
    for item in items:
        entries, data = len(item[1]), sum(len(entry.data) for entry in item[1])
        if writes and (count + entries > MOST_ENTRIES or size + data > MOST_BYTES):
            yield writes
            writes, count, size = [], 0, 0
        writes.append(item)
        count, size = count + entries, size + data
    yield writes


def _verdict(parts: list[bytes], entries: list[JournalEntry]) -> EngineError | None:
    if parts[0] == b"OK":
        return None
    code = ErrorCode[parts[0].decode()]
    if len(parts) == 1:
        return EngineError(code)
    key = text(parts[1])
    if code is not ErrorCode.STEP_MISMATCH:
        return EngineError(code, REFUSALS[code].format(key=key))
    recorded = text(parts[2])
    [now] = [f"{entry.kind} {entry.name}" for entry in entries if entry.key == key]
    what = f"not {now}" if now != recorded else "with other arguments"
    return EngineError(code, f"entry {key!r} was recorded as {recorded}, {what}")


def _header(entry: JournalEntry) -> bytes:
    """The text that journal.lua completes; what is not set is left out."""
    fields: dict[str, object] = {"k": entry.kind, "n": entry.name, "s": entry.state}
    if entry.fingerprint:
        fields["f"] = entry.fingerprint
    if entry.runs:
        fields["r"] = entry.runs
    if entry.uncertain:
        fields["u"] = True
    if entry.due_ms:
        fields["due"] = entry.due_ms
    if entry.waitpoint:
        fields["w"] = entry.waitpoint
    if entry.seen:
        fields["v"] = entry.seen
    if entry.failure:
        failure = entry.failure
        fields["e"] = {"type": failure.type, "message": failure.message, "category": failure.category}
    return json.dumps(fields, separators=(",", ":")).encode()


def _entry(key: str, header: bytes, data: bytes) -> JournalEntry:
    stored = json.loads(header)
    failure = stored.get("e")
    signals: list[StoredSignal] = []
    if stored["k"] == "wait" and data:
        signals, data = _signals(data), b""
    return JournalEntry(
        key=key,
        kind=stored["k"],
        name=stored["n"],
        state=stored["s"],
        data=data,
        fingerprint=stored.get("f", ""),
        runs=int(stored.get("r", 0)),
        uncertain=stored.get("u", False),
        failure=failure and StepFailure(failure["type"], failure["message"], failure["category"]),
        due_ms=int(stored.get("due", 0)),
        waitpoint=stored.get("w", ""),
        seen=int(stored.get("v", 0)),
        signals=signals,
        sequence=int(stored["q"]),
        end_sequence=_end_sequence(stored),
        started_ms=int(stored["at"]),
        ended_ms=int(stored.get("end", 0)),
        data_bytes=int(stored["b"]),
    )


def _end_sequence(stored: dict[str, Any]) -> int:
    """The place of becoming final. 0 where an earlier release ended what it had begun, and noted none."""
    if stored["s"] not in FINAL:
        return 0
    return int(stored.get("z", stored["q"] if stored["at"] == stored.get("end") else 0))


def _signals(data: bytes) -> list[StoredSignal]:
    """The signals of a wait that is done: their headers, a newline, and their payloads in a row."""
    headers, _, payloads = data.partition(b"\n")
    found: list[StoredSignal] = []
    start = 0
    for header in json.loads(headers.decode("utf-8", "replace")):
        end = start + int(header["bytes"])
        found.append(StoredSignal.read(header, payloads[start:end]))
        start = end
    return found
