"""The commands, by name."""

from __future__ import annotations

import os

import typer

from flowfabric._worker import sdk_version
from flowfabric.cli.command import Address, Namespace, Target, Token
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
    # Empty variables count as unset, as in the SDK; address and token it reads by itself.
    ctx.obj = Target(address, token, namespace or os.environ.get("FF_NAMESPACE") or None)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(sdk_version())


app.command()(worker)


def main() -> None:
    """The `flowfabric` script."""
    app()
