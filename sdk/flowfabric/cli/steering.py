"""Steering executions: cancel, priority, replay, revoke, tags."""

from __future__ import annotations

from typing import Annotated

import typer

from flowfabric._client import Client
from flowfabric._errors import EngineError
from flowfabric.cli.command import AsJson, tell, with_client
from flowfabric.cli.document import document, print_document, print_line
from flowfabric.cli.execution import Id
from flowfabric.cli.values import parse_duration, parse_tags


@with_client
async def cancel(
    client: Client,
    *,
    execution_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The executions.")],
    reason: Annotated[str, typer.Option(help="Why; everybody can read it.")] = "",
    grace: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration, metavar="DURATION", help="Time a worker has to stop; 0 for none."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Cancel executions; `active` means that the worker is being asked to stop."""
    verdicts = await client.cancel_many(execution_ids, reason, grace)
    for execution_id, verdict in zip(execution_ids, verdicts, strict=True):
        if isinstance(verdict, EngineError):
            tell(verdict.reason, f"{execution_id}: {verdict.message}")
        elif as_json:
            print_line({"execution_id": execution_id, "state": verdict.value})
        else:
            typer.echo(f"{execution_id} {verdict.value}")
    if any(isinstance(verdict, EngineError) for verdict in verdicts):
        raise typer.Exit(1)


@with_client
async def change_priority(
    client: Client,
    *,
    execution_id: Id,
    priority: Annotated[int, typer.Argument(metavar="PRIORITY", min=0, max=9000, help="Higher first.")],
    as_json: AsJson = False,
) -> None:
    """Change the priority of an execution that has not ended."""
    old = await client.change_priority(execution_id, priority)
    if as_json:
        print_document({"execution_id": execution_id, "old_priority": old, "priority": priority})
    else:
        typer.echo(f"{execution_id} had priority {old} and has {priority}")


@with_client
async def replay(
    client: Client,
    *,
    execution_id: Id,
    keep: Annotated[bool, typer.Option("--keep", help="Skip all steps that it has finished.")] = False,
    through: Annotated[
        str, typer.Option(metavar="STEP", help="Skip the steps up to this one, by key or by name.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Run an execution that has ended again, with fresh counters; afresh, or with steps that it has done."""
    state = await client.replay(execution_id, keep_journal=keep, through=through)
    if as_json:
        print_document({"execution_id": execution_id, "state": state.value})
    else:
        typer.echo(f"{execution_id} {state.value}")


@with_client
async def revoke(
    client: Client,
    *,
    execution_id: Id,
    reason: Annotated[str, typer.Option(help="Why; everybody can read it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Take the lease from a worker and put the execution back in its queue."""
    revocation = await client.revoke_lease(execution_id, reason)
    if as_json:
        print_document({"execution_id": execution_id} | document(revocation))
    elif revocation.revoked:
        typer.echo(f"{execution_id} {revocation.state.value}; lease {revocation.epoch} is revoked")
    else:
        typer.echo(f"{execution_id} {revocation.state.value}; there was no lease to revoke")


@with_client
async def tags(
    client: Client,
    *,
    execution_id: Id,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[AREA.NAME=VALUE]...", help="Tags to set; without a value, to remove."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the tags of an execution, after setting those that are given."""
    new = parse_tags(changes or (), hint="AREA.NAME=VALUE")
    found = await (client.set_tags(execution_id, new) if new else client.get_tags(execution_id))
    if as_json:
        print_document(found)
    else:
        for key, value in sorted(found.items()):
            typer.echo(f"{key}={value}")
