"""`flowfabric submit`."""

from __future__ import annotations

from typing import Annotated

import typer

from flowfabric._client import Client
from flowfabric._execution import Policy
from flowfabric.cli.command import AsJson, with_client
from flowfabric.cli.document import document, execution_document, print_document, text
from flowfabric.cli.execution import write_bytes
from flowfabric.cli.values import Input, InputFile, Raw, parse_duration, parse_tags, read_input


@with_client
async def submit(
    client: Client,
    *,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What is to be done: the name of a task.")],
    input: Input = None,
    input_file: InputFile = None,
    raw: Raw = None,
    lane: Annotated[str, typer.Option(help="Queue of work.")] = "default",
    priority: Annotated[int, typer.Option(min=0, max=9000, help="Higher first.")] = 0,
    tag: Annotated[list[str] | None, typer.Option(metavar="AREA.NAME=VALUE", help="A tag (repeat).")] = None,
    require: Annotated[
        list[str] | None, typer.Option(help="What a worker must be capable of (repeat).")
    ] = None,
    idempotency_key: Annotated[str, typer.Option(help="A repeat returns the first execution.")] = "",
    delay: Annotated[
        float | None, typer.Option(parser=parse_duration, metavar="DURATION", help="Not started before.")
    ] = None,
    deadline: Annotated[
        float | None, typer.Option(parser=parse_duration, metavar="DURATION", help="Expires when not done.")
    ] = None,
    max_attempts: Annotated[
        int | None, typer.Option(min=1, help="The first included; 4 unless given.")
    ] = None,
    attempt_timeout: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration, metavar="DURATION", help="A longer attempt is ended and retried."
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end and print the result.")] = False,
    as_json: AsJson = False,
) -> None:
    """Submit one execution and print its id; with --wait its result, and the id on stderr."""
    submission = await client.submit(
        kind,
        read_input(input, input_file, raw),
        lane=lane,
        priority=priority,
        requires=require or (),
        tags=parse_tags(tag or ()),
        idempotency_key=idempotency_key,
        delay=delay,
        deadline=deadline,
        policy=Policy(max_attempts=max_attempts, attempt_timeout=attempt_timeout),
    )
    if not wait:
        if as_json:
            print_document(document(submission))
        else:
            typer.echo(submission.execution_id)
        return
    typer.echo(submission.execution_id, err=True)
    result: bytes = await client.result(submission.execution_id)
    if as_json:
        execution = await client.get(submission.execution_id)
        print_document(execution_document(execution) | text("result", result))
    else:
        write_bytes(result)
