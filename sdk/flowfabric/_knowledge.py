"""What a run of a handler was told, held against what the runs before it knew.

The engine counts the writings of a journal: an entry has its place in that count, and one more when it
became final after its first writing. An entry also says what its call had *seen*: all that is recorded up
to some place. So a run that does not make a recorded call can tell whether it was told anything that was
unknown when the call was made. If not, the handler has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

from flowfabric._journal import FINAL, Journal
from flowfabric_api.journal.v1 import journal_pb2 as pb

T = TypeVar("T")


class Knowledge:
    """Of one run."""

    def __init__(self, journal: Journal) -> None:
        self.is_new = False
        """It did something that is not recorded, or was told something that no run before it was."""
        self._journal = journal
        self._called: set[str] = set()
        self._beside: list[pb.Entry] = []
        """What was found by tasks beside the handler's own. That one waits for what it finds, so it comes
        to it in one order; these may have come to theirs in another order when it was new."""
        self._hidden: set[int] = set()
        """Places of what is recorded, but not told to the handler yet."""

    @property
    def seen(self) -> int:
        """The place up to which the handler knows everything now."""
        return min(self._hidden, default=self._journal.last + 1) - 1

    def hide(self) -> int:
        """The handler is to learn of the last record only later. Gives what to `reveal` then."""
        self._hidden.add(self._journal.last)
        return self._journal.last

    def reveal(self, place: int) -> None:
        """The handler learns of a record now."""
        self._hidden.discard(place)

    def make(self, key: str) -> None:
        """The handler makes this call."""
        self._called.add(key)

    def find(self, entry: pb.Entry, *, is_beside: bool) -> None:
        """The handler is told what an earlier run recorded."""
        if is_beside:
            self._beside.append(entry)

    def vanished(self) -> pb.Entry | None:
        """The handler has returned: the first recorded call of its own task that it had to make and did not.

        Only calls of that task are evidence. Branches may be dropped, and keys may be made anywhere.
        """
        missed = [each for each in self._journal.entries if self._is_missed(each.key)]
        vanished = [each for each in missed if each.state in FINAL and each.key.isdigit()]
        if self.is_new or not vanished or not self._was_known(missed, vanished):
            return None
        return min(vanished, key=lambda entry: int(entry.key))

    def _is_missed(self, key: str) -> bool:
        # The pause between two tries of a step, 3~1, is not called again once the step is done.
        step, _, run = key.rpartition("~")
        is_pause = run.isdigit() and step in self._called
        return key not in self._called and not is_pause

    def _was_known(self, missed: Iterable[pb.Entry], vanished: Iterable[pb.Entry]) -> bool:
        """Whether all that this run was told was known when the calls were made."""
        # A wait ends between two runs. If a run that made one of the calls knew of the end, then it did
        # from its start, as this one does, and still it made the call.
        last = max(each.seen for each in vanished)
        # Anything else may have come in the middle of that run, when the handler had gone on without it.
        # So it must have been there before the first call that was made then and not now, of whatever task.
        first = min(each.seen for each in missed)
        # An end of 0 is one that the engine could not tell.
        return all(
            0 < each.end_sequence <= (last if each.kind == pb.ENTRY_KIND_WAIT else first)
            and not goes_on(each)
            for each in self._beside
        )


def goes_on(entry: pb.Entry) -> bool:
    """Whether it may have ended later than its record says: a sleep in memory is recorded as it begins."""
    return entry.kind == pb.ENTRY_KIND_SLEEP and entry.end_sequence == entry.sequence


class InOrder:
    """Answers of things that are asked for side by side, told at one moment and in the order of asking.

    So it does not depend on the network which of two branches is the first.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asking: list[asyncio.Future[None]] = []
        self._unanswered = 0

    async def tell(self, answer: Awaitable[T]) -> T:
        """The answer, when all that are under way have come."""
        told: asyncio.Future[None] = self._loop.create_future()
        self._asking.append(told)
        self._unanswered += 1
        try:
            found = await answer
        finally:
            self._unanswered -= 1
            self._loop.call_soon(self._tell)
        await told
        return found

    def _tell(self) -> None:
        if not self._unanswered:
            for told in self._asking:
                if not told.done():  # whoever asked was cancelled
                    told.set_result(None)
            self._asking.clear()
