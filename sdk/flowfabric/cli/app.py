"""The commands, by name."""

from __future__ import annotations

import typer

from flowfabric._worker import sdk_version
from flowfabric.cli.command import Address, AsJson, Namespace, Target, Token
from flowfabric.cli.dev import dev
from flowfabric.cli.document import print_document
from flowfabric.cli.event import events
from flowfabric.cli.execution import get, list_executions, result, summary, tail, watch
from flowfabric.cli.key import keys
from flowfabric.cli.operation import lanes, workers
from flowfabric.cli.steering import cancel, change_priority, replay, revoke, tags
from flowfabric.cli.submission import submit
from flowfabric.cli.suspension import approve, reject, resume, signal, waitpoints
from flowfabric.cli.worker import worker

app = typer.Typer(
    name="flowfabric",
    help="Run the engine, run workers, submit work, look at it, steer it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they may hold a token
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    ctx: typer.Context, address: Address = None, token: Token = None, namespace: Namespace = None
) -> None:
    """Run the engine, run workers, submit work, look at it, steer it."""
    ctx.obj = Target(address, token, namespace)  # the SDK reads the variables for what is not given


def version(*, as_json: AsJson = False) -> None:
    """Print the version."""
    if as_json:
        print_document({"version": sdk_version()})
    else:
        typer.echo(sdk_version())


RUN, SUBMIT, LOOK, STEER = "Run", "Submit", "Look", "Steer"

app.command("dev", rich_help_panel=RUN)(dev)
app.command("worker", rich_help_panel=RUN)(worker)
app.command("submit", rich_help_panel=SUBMIT)(submit)
app.command("get", rich_help_panel=LOOK)(get)
app.command("list", rich_help_panel=LOOK)(list_executions)
app.command("watch", rich_help_panel=LOOK)(watch)
app.command("tail", rich_help_panel=LOOK)(tail)
app.command("summary", rich_help_panel=LOOK)(summary)
app.command("result", rich_help_panel=LOOK)(result)
app.command("workers", rich_help_panel=LOOK)(workers)
app.command("lanes", rich_help_panel=LOOK)(lanes)
app.command("waitpoints", rich_help_panel=LOOK)(waitpoints)
app.command("events", rich_help_panel=LOOK)(events)
app.command("version", rich_help_panel=LOOK)(version)
app.command("signal", rich_help_panel=STEER)(signal)
app.command("approve", rich_help_panel=STEER)(approve)
app.command("reject", rich_help_panel=STEER)(reject)
app.command("resume", rich_help_panel=STEER)(resume)
app.command("cancel", rich_help_panel=STEER)(cancel)
app.command("priority", rich_help_panel=STEER)(change_priority)
app.command("replay", rich_help_panel=STEER)(replay)
app.command("revoke", rich_help_panel=STEER)(revoke)
app.command("tags", rich_help_panel=STEER)(tags)
app.add_typer(keys, rich_help_panel=STEER)


def main() -> None:
    """The `flowfabric` script."""
    app()
