"""One view of what many processes log: a line an event, each process in its colour."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

STYLES = {"gateway": "cyan", "scheduler": "magenta", "scanners": "blue", "worker": "green", "dev": "bold"}
LEVELS = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}

#: Fields that the name of the process and the time of the line tell already.
TOLD = frozenset({"event", "level", "replica", "service", "timestamp"})
LONG = ("exception", "stack")

#: A line of `flowfabric worker`.
LOGGED = re.compile(r"\d{4}-\d\d-\d\d (\d\d:\d\d:\d\d),\d{3} ([A-Z]+) (.*)")


class LogView:
    """Prints lines of processes, in the order they come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = max(map(len, STYLES)) + 2

    def show(self, name: str, line: str) -> None:
        """A line of a process: one of our JSON events, or anything else as it is."""
        event = parse_event(line)
        if event is None:
            logged = LOGGED.fullmatch(line)
            time, level, words = logged.groups() if logged else ("", "", line)
            self._print(name, time, Text(words, LEVELS.get(level.lower(), "")))
            return
        level = str(event.get("level", ""))
        style = LEVELS.get(level, "")
        body = Text(str(event["event"]), style or "bold")
        for key, value in fields(event):
            body.append(f"  {key}=", "dim").append(str(value), style)
        self._print(name, clock(event), body)
        for key in LONG:
            if event.get(key):
                self._console.print(Text(str(event[key]), "red"), soft_wrap=True)

    def say(self, sentence: str) -> None:
        """A line of our own."""
        self._print("dev", "", Text(sentence))

    def _print(self, name: str, time: str, body: Text) -> None:
        style = STYLES.get(name.partition("-")[0], "green")
        head = Text(f"{time or now():<8} ", "dim")
        head.append(f"{name:<{self._width}} ", style)
        self._console.print(head + body, soft_wrap=True)


def parse_event(line: str) -> dict[str, Any] | None:
    """The event of a line; None when it is something else."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def fields(event: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What an event says beside its name."""
    return ((key, value) for key, value in event.items() if key not in TOLD and key not in LONG)


def clock(event: dict[str, Any]) -> str:
    """The time of an event on this machine's clock; empty when it has none."""
    try:
        return datetime.fromisoformat(str(event.get("timestamp"))).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return ""


def now() -> str:
    """The time, for lines that tell none."""
    return datetime.now().astimezone().strftime("%H:%M:%S")
