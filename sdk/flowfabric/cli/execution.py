"""Looking at executions: get, list, watch, tail, summary, result."""

from __future__ import annotations

import enum
import json
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer

from flowfabric._client import Client
from flowfabric._execution import Execution, FrameClass, FrameKind, OutputFrame, State
from flowfabric.cli.command import AsJson, fail, with_client
from flowfabric.cli.document import document, execution_document, print_document, print_line, text
from flowfabric.cli.table import (
    EXECUTION_HEADINGS,
    execution_row,
    note_on,
    print_execution,
    print_table,
)
from flowfabric.cli.values import parse_duration, parse_tags

Id = Annotated[str, typer.Argument(metavar="ID", help="The execution.")]

#: The classes of output, as people write them.
Kept = enum.Enum("Kept", {each.name: each.name.lower() for each in FrameClass})  # type: ignore[misc]

LARGEST_PAGE = 1000
NOTED_BYTES = 16


@with_client
async def get(
    client: Client,
    *,
    execution_id: Id,
    payload: Annotated[bool, typer.Option("--payload", help="Print its input as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print an execution as it is now."""
    execution = await client.get(execution_id, include_payload=payload)
    if as_json:
        print_document(execution_document(execution, with_payload=payload))
        return
    print_execution(execution)
    if payload:
        typer.echo()
        write_bytes(execution.payload)


@with_client
async def list_executions(
    client: Client,
    *,
    lane: Annotated[str, typer.Option(help="Of this lane.")] = "",
    kind: Annotated[str, typer.Option(help="Of this kind.")] = "",
    state: Annotated[State | None, typer.Option(help="In this state.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="AREA.NAME=VALUE", help="With this tag (repeat).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    as_json: AsJson = False,
) -> None:
    """List executions, newest first."""
    found: list[Execution] = []
    is_cut = False
    page_size = LARGEST_PAGE if everything else min(limit + 1, LARGEST_PAGE)
    matching = client.list(state=state, lane=lane, kind=kind, tags=parse_tags(tag or ()), page_size=page_size)
    async with aclosing(matching) as executions:
        async for execution in executions:
            if not everything and len(found) == limit:
                is_cut = True
                break
            found.append(execution)
            if as_json:
                print_line(execution_document(execution))
    if not as_json:
        print_table(EXECUTION_HEADINGS, map(execution_row, found))
    if is_cut:
        typer.echo(f"there are more than {limit}; --limit or --all shows them", err=True)


@with_client
async def watch(client: Client, *, execution_id: Id, as_json: AsJson = False) -> None:
    """Print an execution now and after each change, until it has ended."""
    async with aclosing(client.watch(execution_id)) as changes:
        async for execution in changes:
            if as_json:
                print_line(execution_document(execution))
            else:
                attempt = f"attempt {execution.attempt}" if execution.attempt else "no attempt yet"
                note = note_on(execution)
                typer.echo(f"{execution.state.value:<10} {attempt}{f'  {note}' if note else ''}")


@with_client
async def tail(
    client: Client,
    *,
    execution_id: Id,
    after: Annotated[str, typer.Option(metavar="CURSOR", help="Only what comes after this frame.")] = "",
    attempt: Annotated[int, typer.Option(min=0, help="Only this attempt; 0 for all.")] = 0,
    frame_class: Annotated[
        list[Kept] | None, typer.Option("--class", help="Only output that is kept like this (repeat).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the output of an execution as it comes, until it has ended."""
    classes = [FrameClass[each.name] for each in frame_class or ()]
    async with aclosing(client.tail(execution_id, after, attempt, classes=classes)) as frames:
        async for frame in frames:
            if as_json:
                print_line(document(frame))
            else:
                print_frame(frame)


@with_client
async def summary(client: Client, *, execution_id: Id, as_json: AsJson = False) -> None:
    """Print the rolling document that an execution has made of itself."""
    found = await client.summary(execution_id)
    if found is None:
        fail("NO_SUMMARY", f"{execution_id} has made no summary")
    if as_json:
        print_document(document(found) | {"document": json.loads(found.document)})
    else:
        print_document(json.loads(found.document))


def print_frame(frame: OutputFrame) -> None:
    """A frame: what was printed stands as it is, anything else on lines of its own."""
    try:
        content = frame.data.decode()
    except UnicodeDecodeError:
        more = "..." if len(frame.data) > NOTED_BYTES else ""
        typer.echo(f"[{len(frame.data)} bytes: {frame.data[:NOTED_BYTES].hex()}{more}]")
        return
    is_printed = frame.kind in (FrameKind.STDOUT, FrameKind.STDERR)
    typer.echo(content, nl=not is_printed, err=frame.kind is FrameKind.STDERR)
    sys.stdout.flush()


@with_client
async def result(
    client: Client,
    *,
    execution_id: Id,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there.")] = None,
    timeout: Annotated[
        float | None, typer.Option(parser=parse_duration, metavar="DURATION", help="Wait no longer for it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Wait for the result and print its bytes as they are."""
    try:
        data: bytes = await client.result(execution_id, timeout=timeout)
    except TimeoutError:
        fail("TIMEOUT", "the execution has not ended yet")
    if as_json:
        print_document({"execution_id": execution_id} | text("result", data))
    else:
        write_bytes(data, output)


def write_bytes(data: bytes, output: Path | None = None) -> None:
    """Bytes as they are, to a file or stdout; in a terminal with a last line end."""
    if output is not None:
        try:
            output.write_bytes(data)
        except OSError as error:
            fail("NOT_WRITTEN", f"{output}: {error.strerror}")
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    if sys.stdout.isatty() and not data.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
