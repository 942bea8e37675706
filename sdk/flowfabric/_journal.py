"""The journal of one execution, as the holder of its lease sees it: what is recorded, and what is on its way.

Pure state. `Session` carries the writes: `take` makes the next one, `acknowledge` ends it. A write holds
all that was recorded since the last one was taken, and keeps its number and entries until it is answered,
through reconnects.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from flowfabric._errors import FlowFabricError
from flowfabric_api.journal.v1 import journal_pb2 as pb
from flowfabric_api.worker.v1 import worker_pb2 as worker_pb

# One write: the engine takes so many entries, and servers take messages of 4 MiB.
WRITE_ENTRIES = 256
WRITE_BYTES = 1024 * 1024

# A record that nobody waits for leaves with the outcome, or so much later.
LINGER_S = 0.002

FINAL = frozenset({pb.ENTRY_STATE_DONE, pb.ENTRY_STATE_FAILED})


@dataclass(slots=True)
class Write:
    """Entries that become durable together, and who waits for that."""

    number: int = 0
    entries: list[pb.Entry] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    size: int = 0

    def settle(self, error: FlowFabricError | None) -> None:
        """Tells who waits."""
        for future in self.waiting:
            if future.done():
                continue  # whoever waited was cancelled
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


class Journal:
    """Entries by key, and the writes that are not answered."""

    def __init__(self, lease: bytes, entries: Iterable[pb.Entry], notify: Callable[[Journal], None]) -> None:
        """`notify` is told when there is something to send now."""
        self.lease = lease
        self._entries = {entry.key: entry for entry in entries}
        self.last = max((max(e.sequence, e.end_sequence) for e in self._entries.values()), default=0)
        """Last place in the engine's count of first writings and ends, own ones included."""
        self._notify = notify
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[Write] = deque()
        self._unanswered: dict[int, Write] = {}
        self._last = 0
        self._error: FlowFabricError | None = None

    @property
    def entries(self) -> Collection[pb.Entry]:
        """All, in the order of first writing."""
        return self._entries.values()

    def find(self, key: str) -> pb.Entry | None:
        """The entry of a key."""
        return self._entries.get(key)

    def record(self, entry: pb.Entry) -> asyncio.Future[None]:
        """Adds or replaces an entry; the future is done when that is durable."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self._error is not None:
            future.set_exception(self._error)
            return future
        before = self._entries.get(entry.key)
        if before is None or (entry.state in FINAL and before.state not in FINAL):
            self.last += 1
        self._entries[entry.key] = entry
        size = entry.ByteSize()
        if not self._unsent or not self._fits(self._unsent[-1], entry, size):
            self._unsent.append(Write())
        write = self._unsent[-1]
        write.entries.append(entry)
        write.waiting.append(future)
        write.size += size
        self._loop.call_later(LINGER_S, self.flush)
        return future

    def flush(self) -> None:
        """Somebody waits for what is recorded."""
        if self._unsent:
            self._notify(self)

    @property
    def has_unsent(self) -> bool:
        """Whether there are writes for the next message."""
        return bool(self._unsent)

    @property
    def has_unanswered(self) -> bool:
        """Whether there are writes under way."""
        return bool(self._unanswered)

    def take(self, room: int | None = None) -> worker_pb.JournalWrite | None:
        """The next write; None when all are sent, or it has more bytes than there is room for."""
        if not self._unsent or (room is not None and self._unsent[0].size > room):
            return None
        write = self._unsent.popleft()
        if not write.number:
            self._last += 1
            write.number = self._last
        self._unanswered[write.number] = write
        return worker_pb.JournalWrite(lease=self.lease, number=write.number, entries=write.entries)

    def acknowledge(self, number: int, error: FlowFabricError | None = None) -> None:
        """Takes the answer to a write: durable, or refused."""
        write = self._unanswered.pop(number, None)
        if write is not None:
            write.settle(error)

    def retry(self, number: int) -> None:
        """Sends a write again."""
        write = self._unanswered.pop(number, None)
        if write is not None:
            self._unsent.appendleft(write)

    def rewind(self) -> None:
        """Sends again what is not answered."""
        self._unsent.extendleft(reversed(self._unanswered.values()))
        self._unanswered.clear()

    def fail(self, error: FlowFabricError) -> None:
        """Takes no more, and says why to whoever waits."""
        self._error = error
        for write in (*self._unanswered.values(), *self._unsent):
            write.settle(error)
        self._unanswered.clear()
        self._unsent.clear()

    @staticmethod
    def _fits(write: Write, entry: pb.Entry, size: int) -> bool:
        if write.number or len(write.entries) >= WRITE_ENTRIES or write.size + size > WRITE_BYTES:
            return False
        return all(other.key != entry.key for other in write.entries)  # one writing of a key each
