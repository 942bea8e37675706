"""The keys of waitpoint tokens."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from flowfabric._client import Client
from flowfabric.cli.command import AsJson, with_client
from flowfabric.cli.document import document, print_document, print_line
from flowfabric.cli.table import clock, print_table
from flowfabric.cli.values import parse_duration

keys = typer.Typer(name="keys", help="List and rotate the keys of waitpoint tokens.", no_args_is_help=True)


@keys.command("list")
@with_client
async def list_keys(client: Client, *, as_json: AsJson = False) -> None:
    """List the keys that waitpoint tokens are checked with; never a secret."""
    found = await client.keys()
    if as_json:
        for key in found:
            print_line(document(key))
        return
    rows: list[list[str | Text]] = [
        [
            key.kid,
            Text("current", "green") if key.current else Text("good until it expires", "yellow"),
            clock(key.create_time),
            clock(key.expire_time),
        ]
        for key in found
    ]
    print_table(("KEY", "STATE", "CREATED", "EXPIRES"), rows)


@keys.command("rotate")
@with_client
async def rotate(
    client: Client,
    *,
    kid: Annotated[
        str, typer.Argument(metavar="KEY", help="Name of the new key; the engine chooses one.")
    ] = "",
    grace: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration,
            metavar="DURATION",
            help="How long tokens of the key before stay good; FF_WAITPOINT_KEY_GRACE_MS unless given.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new key for waitpoint tokens. Whoever waits for longer than the grace needs a new token then."""
    rotation = await client.rotate_key(kid, grace=grace)
    if as_json:
        print_document(document(rotation))
    elif not rotation.changed:
        typer.echo(f"{rotation.kid} is the current key already")
    else:
        dropped = f"; {rotation.dropped} expired and were removed" if rotation.dropped else ""
        typer.echo(f"{rotation.kid} is the current key, after {rotation.previous_kid}{dropped}")
