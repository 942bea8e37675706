"""What waits: signals, decisions, resuming, and the waitpoints of an execution."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from rich.text import Text

from flowfabric._client import Client
from flowfabric._signal import Delivery, SignalEffect
from flowfabric._suspension import Waitpoint
from flowfabric.cli.command import AsJson, with_client
from flowfabric.cli.document import document, print_document, print_line
from flowfabric.cli.execution import Id
from flowfabric.cli.table import clock, print_table
from flowfabric.cli.values import Input, InputFile, Raw, parse_duration, read_input

Name = Annotated[str, typer.Argument(metavar="WAITPOINT", help="The waitpoint, by its name.")]
Key = Annotated[str, typer.Option(help="A repeat gets the first answer.")]

#: What a signal did, for people.
EFFECTS = {
    SignalEffect.RESUMED: "the work goes on",
    SignalEffect.COUNTED: "it counts, and more is needed",
    SignalEffect.REPEATED: "something equal had counted already",
    SignalEffect.UNMATCHED: "it is kept, but nothing waits for it",
    SignalEffect.BUFFERED: "it is kept until the waitpoint is waited for",
}
STATE_STYLES = {"pending": "yellow", "bound": "magenta", "closed": "dim"}

#: What a list never has, and would only be empty.
SECRETS = ("token", "callback_path", "callback_url", "fingerprint")


@with_client
async def signal(
    client: Client,
    *,
    waitpoint: Annotated[str, typer.Argument(metavar="WAITPOINT", help="The waitpoint, by its id.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the signal.")],
    waitpoint_token: Annotated[
        str, typer.Option(metavar="TOKEN", envvar="FF_WAITPOINT_TOKEN", help="What opens the waitpoint.")
    ],
    input: Input = None,
    input_file: InputFile = None,
    raw: Raw = None,
    category: Annotated[str, typer.Option(help="The category of the signal.")] = "",
    correlation_id: Annotated[str, typer.Option(help="What it belongs to elsewhere.")] = "",
    idempotency_key: Key = "",
    delay: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration, metavar="DURATION", help="What it resumes is queued this much later."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a signal to a waitpoint."""
    delivery = await client.signal(
        waitpoint,
        name,
        read_input(input, input_file, raw),
        token=waitpoint_token,
        category=category,
        correlation_id=correlation_id,
        idempotency_key=idempotency_key,
        resume_delay=delay,
        retry_safe=True,
    )
    print_delivery(delivery, as_json=as_json)


def decision(verb: str, decide: Callable[..., Awaitable[Delivery]]) -> Callable[..., None]:
    """The command that calls one of the client's methods that decide."""

    async def command(
        client: Client,
        *,
        execution_id: Id,
        waitpoint: Name,
        input: Input = None,
        input_file: InputFile = None,
        raw: Raw = None,
        idempotency_key: Key = "",
        as_json: AsJson = False,
    ) -> None:
        payload = read_input(input, input_file, raw)
        delivery = await decide(client, execution_id, waitpoint, payload, idempotency_key=idempotency_key)
        print_delivery(delivery, as_json=as_json)

    command.__doc__ = f"{verb} what an execution waits for, in the name of whoever the API token belongs to."
    return with_client(command)


approve = decision("Approve", Client.approve)
reject = decision("Reject", Client.reject)


def print_delivery(delivery: Delivery, *, as_json: bool) -> None:
    """What a signal did."""
    if as_json:
        print_document(document(delivery))
    else:
        again = " (an earlier delivery)" if delivery.duplicate else ""
        typer.echo(f"signal {delivery.number} {delivery.effect.value}: {EFFECTS[delivery.effect]}{again}")


@with_client
async def resume(
    client: Client,
    *,
    execution_id: Id,
    reason: Annotated[str, typer.Option(help="Why; everybody can read it.")] = "",
    delay: Annotated[
        float | None,
        typer.Option(parser=parse_duration, metavar="DURATION", help="It is queued this much later."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Resume a suspended execution, whatever it waits for."""
    state = await client.resume(execution_id, reason, delay)
    if as_json:
        print_document({"execution_id": execution_id, "state": state.value})
    else:
        typer.echo(f"{execution_id} {state.value}")


@with_client
async def waitpoints(
    client: Client,
    *,
    execution_id: Id,
    everything: Annotated[bool, typer.Option("--all", help="Those that are closed as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the waitpoints of an execution; never their tokens."""
    found = await client.waitpoints(execution_id, include_closed=everything)
    if as_json:
        for waitpoint in found:
            print_line({k: v for k, v in document(waitpoint).items() if k not in SECRETS})
        return
    print_table(HEADINGS, map(waitpoint_row, found))


HEADINGS = ("NAME", "STATE", "USE", "RECIPIENT", "SIGNALS", "EXPIRES", "WAITPOINT")


def waitpoint_row(waitpoint: Waitpoint) -> list[str | Text]:
    """A waitpoint as a row of `waitpoints`."""
    return [
        waitpoint.name,
        Text(waitpoint.state, STATE_STYLES.get(waitpoint.state, "")),
        "single" if waitpoint.single_use else "multiple",
        waitpoint.recipient,
        str(waitpoint.signals),
        clock(waitpoint.expire_time),
        waitpoint.waitpoint_id,
    ]
