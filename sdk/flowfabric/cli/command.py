"""What all commands share: where the engine is, a loop to run on, and one way to tell an error."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, NoReturn, ParamSpec, TypeVar

import typer

from flowfabric._channel import resolve_address, resolve_token
from flowfabric._client import Client
from flowfabric._doors import no_gateway
from flowfabric._errors import EngineError, ExecutionEnded

P = ParamSpec("P")
T = TypeVar("T")

Address = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="The gateway (or FF_ADDR).")]
Token = Annotated[str | None, typer.Option(metavar="TOKEN", help="What to show it (or FF_API_TOKEN).")]
Namespace = Annotated[
    str | None, typer.Option(metavar="NAME", help="Whose executions and workers (or FF_NAMESPACE).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one document, or a line for each item.")]

LOOPBACK = ("127.0.0.1", "localhost")

#: What to do about an error, by its reason.
ADVICE = {
    "EXECUTION_NOT_FOUND": "`flowfabric list` shows what there is",
    "EXECUTION_NOT_SUSPENDED": "`flowfabric get` shows how it stands",
    "RESULT_NOT_READY": "`flowfabric get` shows how it stands",
    "STEP_NOT_FOUND": "`flowfabric get` shows its steps",
    "TIMEOUT": "`flowfabric get` shows how it stands",
    "TOKEN_INVALID": "the worker that made the waitpoint has its token; `flowfabric approve` needs none",
    "UNAUTHENTICATED": "give it with --token or FF_API_TOKEN",
    "UNAVAILABLE": "start an engine with `flowfabric dev`, or name another with --address or FF_ADDR",
    "WAITPOINT_CLOSED": "`flowfabric waitpoints --all` shows what became of it",
    "WAITPOINT_NOT_FOUND": "`flowfabric waitpoints` shows what there is",
}


@dataclass(frozen=True, slots=True)
class Target:
    """The engine a command talks to."""

    address: str | None
    token: str | None
    namespace: str | None

    def merge(self, address: str | None, token: str | None, namespace: str | None) -> Target:
        """The same with what was given after the command's name."""
        return Target(address or self.address, token or self.token, namespace or self.namespace)

    def client(self) -> Client:
        """A client of it; a usage error when the token cannot be one."""
        try:
            resolve_token(self.token)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--token") from None
        return Client(self.address, token=self.token, namespace=self.namespace)


def targeted(function: Callable[Concatenate[Target, P], None]) -> Callable[..., None]:
    """A command that is told where the engine is."""
    return expose(function, function)


def with_client(function: Callable[Concatenate[Client, P], Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A command that talks to the engine."""

    def body(target: Target, **arguments: Any) -> None:
        async def work() -> None:
            try:
                async with target.client() as client, asyncio.TaskGroup() as group:
                    # First, because it checks what was typed before it waits for anything.
                    group.create_task(function(client, **arguments))  # type: ignore[call-arg]
                    group.create_task(refuse_silence(resolve_address(target.address)))
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None

        run(work())

    return expose(function, body)


async def refuse_silence(address: str) -> None:
    """Fails at once when nobody listens on this machine, where waiting would not help.

    Elsewhere a refusal may come from a gateway that is being replaced, and the client tries again.
    """
    host, _, port = address.rpartition(":")
    if host not in LOOPBACK or not port.isdecimal():
        return
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        raise no_gateway(address) from None
    except OSError:
        return  # whatever it is, the client meets it as well and has words for it
    writer.close()


def expose(function: Callable[..., Any], body: Callable[..., None]) -> Callable[..., None]:
    """The command typer sees: the function's parameters, less the first, and where the engine is.

    That may be said before and after a command's name, because people say it in both places.
    """

    def command(
        ctx: typer.Context,
        address: str | None,
        token: str | None,
        namespace: str | None,
        **arguments: Any,
    ) -> None:
        body(ctx.obj.merge(address, token, namespace), **arguments)

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    named = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter("address", named, default=None, annotation=Address),
        inspect.Parameter("token", named, default=None, annotation=Token),
        inspect.Parameter("namespace", named, default=None, annotation=Namespace),
    ]
    context = inspect.Parameter("ctx", named, annotation=typer.Context)
    parameters = [*(each.replace(kind=named) for each in own), *shared, context]
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def run(work: Coroutine[Any, Any, T]) -> T:
    """The outcome of the work, or one line that says why there is none."""
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(work)
    except EngineError as error:
        fail(error.reason, error.message)
    except ExecutionEnded as error:
        state = error.execution.state.value
        fail(state.upper(), error.execution.ending().partition(": ")[2] or f"the execution is {state}")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def fail(reason: str, sentence: str) -> NoReturn:
    """Ends the command with one line on stderr."""
    tell(reason, sentence)
    raise typer.Exit(1)


def tell(reason: str, sentence: str) -> None:
    """One line on stderr: the reason, what is wrong, and what to do about it."""
    parts = [" ".join(sentence.split()).rstrip("."), ADVICE.get(reason, "")]
    typer.echo(f"{reason}: {'; '.join(filter(None, parts))}", err=True)
