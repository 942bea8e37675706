"""One view of what many processes log: for people each process in its colour, for programs JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.console import Console
from rich.text import Text

from flowfabric._channel import DEFAULT_ADDRESS
from flowfabric.cli.document import print_line

STYLES = {"gateway": "cyan", "scheduler": "magenta", "scanners": "blue", "worker": "green", "dev": "bold"}
LEVELS = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}

#: Fields that the name of the process and the time of the line tell already.
TOLD = frozenset({"event", "level", "logger", "replica", "service", "timestamp"})
LONG = ("exception", "stack")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a running engine is found."""

    grpc: list[str]
    """Of each gateway; so are those of HTTP."""
    http: list[str]
    valkey: str
    data: str
    """The directory."""


class View(Protocol):
    """Who is told what goes on."""

    def show(self, name: str, line: str) -> None:
        """A line of a process."""

    def say(self, sentence: str) -> None:
        """A line of our own."""

    def welcome(self, found: Whereabouts) -> None:
        """All is up."""


class JsonView:
    """Prints one JSON object a line; `process` says whose it is."""

    def show(self, name: str, line: str) -> None:
        """An event with its process; anything else is an event as it stands."""
        print_line({"process": name} | (parse_event(line) or {"event": line}))

    def say(self, sentence: str) -> None:
        """A line of our own."""
        self._print(sentence)

    def welcome(self, found: Whereabouts) -> None:
        """The event `ready`, with what `Whereabouts` holds."""
        self._print("ready", **asdict(found))

    def _print(self, event: str, **said: Any) -> None:
        time = datetime.now(UTC).isoformat()
        print_line({"process": "dev", "event": event, "level": "info", "timestamp": time} | said)


class LogView:
    """Prints lines of processes, in the order they come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = max(map(len, STYLES)) + 2

    def show(self, name: str, line: str) -> None:
        """A line of a process: one of our JSON events, or anything else as it is."""
        event = parse_event(line)
        if event is None:
            self._print(name, "", Text(line))
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

    def welcome(self, found: Whereabouts) -> None:
        """Where everything is, and what to do with it."""
        address, urls = found.grpc[0], [f"http://{each}" for each in found.http]
        lines = [
            "",
            "FlowFabric is up.",
            f"  gRPC    {', '.join(found.grpc)}",
            f"  HTTP    {', '.join(urls)}  (REST, /openapi.json, /metrics)",
            f"  Valkey  {found.valkey}  (data in {found.data})",
            "",
            "Next, in another terminal:",
            *([] if address == DEFAULT_ADDRESS else [f"  export FF_ADDR={address}"]),
            "  flowfabric worker MODULE:APP             run your tasks",
            "  flowfabric submit KIND --input '\"Ada\"'    submit work; --wait prints the result",
            "  flowfabric list                          see what became of it",
            "",
            "Ctrl-C stops everything; the data stays.",
            "",
        ]
        self._console.print("\n".join(lines), markup=False, soft_wrap=True)

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
