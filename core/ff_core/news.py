"""The news of a partition: which executions a call touched, and how much that weighs."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum


class Weight(IntEnum):
    """How much a piece of news says; a watch may want only what weighs enough."""

    MINOR = 1
    """Progress, steps or output."""
    CHANGE = 2
    """A transition."""
    END = 3
    """The transition to a terminal state."""


_MARKS = {"~": Weight.MINOR, "!": Weight.END}


def parse_news(message: bytes) -> Iterator[tuple[str, Weight]]:
    """The executions that a message names, each once: `~<id>`, `<id>` or `!<id>`, separated by spaces."""
    for word in message.decode().split():
        weight = _MARKS.get(word[0], Weight.CHANGE)
        yield (word if weight is Weight.CHANGE else word[1:]), weight


def has_transition(message: bytes) -> bool:
    """Whether a message tells of more than minor news: of what the feed of events tells too."""
    return any(not word.startswith(b"~") for word in message.split())
