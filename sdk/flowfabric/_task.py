"""What a worker can do: a function with a name and typed input and result."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints, overload

from flowfabric import _codec
from flowfabric._context import Context

P = ParamSpec("P")
R = TypeVar("R")

KIND_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-")
REQUIRED = inspect.Parameter.empty
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Handler:
    """How the engine's bytes reach the function and come back; made from its signature."""

    is_async: bool
    """Runs on the event loop; otherwise in a thread."""
    decode: _codec.Decode | None
    """Reads the input; None when the function takes none."""
    encode: _codec.Encode
    """Writes the result."""
    default: Any
    """The input when the payload is empty; REQUIRED when there is no default."""
    context_index: int | None
    """Place of the Context among the arguments."""

    def arguments(self, payload: bytes, context: Context) -> list[Any]:
        """The arguments of one call."""
        arguments: list[Any] = []
        if self.decode is not None:
            is_left_out = not payload and self.default is not REQUIRED
            arguments.append(self.default if is_left_out else self.decode(payload))
        if self.context_index is not None:
            arguments.insert(self.context_index, context)
        return arguments


@dataclass(frozen=True, slots=True)
class Task(Generic[P, R]):
    """A function that workers run for executions of its kind; call it and it is just the function."""

    function: Callable[P, R]
    kind: str
    """What clients submit."""
    lane: str
    """Where `Client.submit` puts it unless told otherwise."""
    handler: Handler

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(*, kind: str | None = None, lane: str = "default") -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(
    function: Callable[P, R] | None = None, /, *, kind: str | None = None, lane: str = "default"
) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
    """Makes a task of a function; its kind is the function's name unless given.

    The function takes at most one input, whose annotation says how to read it, and a `Context` where
    it likes. Its return annotation says how to write the result. A plain `def` runs in a thread.

    Raises:
        TypeError: the signature does not fit.
    """
    names = sys._getframe(1).f_locals  # so that annotations may name types local to the caller

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        name = kind or getattr(function, "__name__", "")
        if not name or len(name) > 64 or not KIND_CHARACTERS.issuperset(name):
            raise TypeError(f"{name!r} is no kind: give kind= with 1 to 64 of A-Z a-z 0-9 . _ : -")
        return Task(function, name, lane, inspect_handler(function, name, names))

    return decorate if function is None else decorate(function)


def inspect_handler(function: Callable[..., Any], name: str, names: Mapping[str, Any]) -> Handler:
    """The handler for a function, or a TypeError that says what to change."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"task {name} yields: return the result, and use Context.emit for output on the way")
    try:
        hints = get_type_hints(function, localns=dict(names), include_extras=True)
    except NameError as error:
        raise TypeError(f"task {name}: {error}; import or define the type before the task") from error
    parameters = list(inspect.signature(function).parameters.values())
    context_index: int | None = None
    input_parameter: inspect.Parameter | None = None
    for index, parameter in enumerate(parameters):
        if parameter.kind not in POSITIONAL:
            raise TypeError(
                f"task {name}: {parameter} is not a plain parameter; take one input, and a Context if needed"
            )
        if hints.get(parameter.name) is Context:
            if context_index is not None:
                raise TypeError(f"task {name} takes two Contexts; take one")
            context_index = index
        elif input_parameter is not None:
            raise TypeError(
                f"task {name} takes {input_parameter.name} and {parameter.name}; "
                "put the inputs into one dataclass or pydantic model"
            )
        elif parameter.name not in hints:
            raise TypeError(
                f"task {name}: annotate {parameter.name} with its type, with bytes to take the input as it is"
            )
        else:
            input_parameter = parameter
    return Handler(
        is_async=inspect.iscoroutinefunction(function),
        decode=_codec.decoder(hints[input_parameter.name]) if input_parameter else None,
        encode=_codec.encoder(hints.get("return", Any)),
        default=input_parameter.default if input_parameter else REQUIRED,
        context_index=context_index,
    )
