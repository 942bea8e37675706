"""`flowfabric events`."""

from __future__ import annotations

import enum
from contextlib import aclosing
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from flowfabric._client import Client
from flowfabric._event import Event, EventFamily, EventOptions, EventPage
from flowfabric._execution import State
from flowfabric.cli.command import AsJson, with_client
from flowfabric.cli.document import document, print_line
from flowfabric.cli.table import STYLES, clock, make_console
from flowfabric.cli.values import parse_tags

STATES = {state.value: state for state in State}

Family = enum.Enum("Family", {family.name: family.name.lower() for family in EventFamily})  # type: ignore[misc]


@with_client
async def events(
    client: Client,
    *,
    after: Annotated[str, typer.Option(metavar="CURSOR", help="Only what comes after it.")] = "",
    first: Annotated[bool, typer.Option("--first", help="Begin with the first that is kept.")] = False,
    family: Annotated[list[Family] | None, typer.Option(help="Only of this family (repeat).")] = None,
    lane: Annotated[str, typer.Option(help="Of this lane.")] = "",
    kind: Annotated[str, typer.Option(help="Of this kind.")] = "",
    tag: Annotated[
        list[str] | None, typer.Option(metavar="AREA.NAME=VALUE", help="With this tag (repeat).")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Of all namespaces.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Print what there is and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print what happens to executions, as it happens, until Ctrl-C."""
    families = [EventFamily[each.name] for each in family or ()]
    only = EventOptions(
        from_first=once or first,
        families=families,
        lane=lane,
        kind=kind,
        tags=parse_tags(tag or ()),
        all_namespaces=everywhere,
    )
    printer = Printer(after, as_json=as_json)
    if once:
        while True:
            page = await client.read_events(printer.cursor, **only)
            printer.show(page)
            if not page.events:
                break
        typer.echo(f"to go on: --after {printer.cursor}", err=True)
        return
    async with aclosing(client.subscribe(after, **only)) as pages:
        async for page in pages:
            printer.show(page)


class Printer:
    """Prints pages, and knows where the last one ended."""

    def __init__(self, cursor: str, *, as_json: bool) -> None:
        self.cursor = cursor
        self._console: Console | None = None if as_json else make_console()

    def show(self, page: EventPage) -> None:
        """Prints a page. Each line of JSON has the cursor to go on from without missing a later one."""
        if page.fell_off:
            typer.echo("some events were dropped before they were read", err=True)
        for place, event in enumerate(page.events, 1):
            cursor = page.cursor if place == len(page.events) else self.cursor
            if self._console is None:
                print_line(document(event) | {"cursor": cursor})
            else:
                self._console.print(event_line(event), soft_wrap=True)
        self.cursor = page.cursor


def event_line(event: Event) -> Text:
    """An event in one line."""
    line = Text(f"{clock(event.time)}  {event.execution_id}  ")
    state = STATES.get(event.state)
    line.append(f"{event.name:<18}", STYLES[state] if state else "")
    line.append(f"  {event.lane}/{event.kind}")
    line.append(f"  attempt {event.attempt}" if event.attempt else "")
    line.append(f"  {event.detail}" if event.detail else "")
    return line
