"""How values become bytes: bytes as they are, None as nothing, everything else as JSON.

pydantic does the JSON, so models, dataclasses, datetimes and builtins all work, and what is read is
checked against its type.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter
from pydantic_core import to_json

T = TypeVar("T")

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]


def encode(value: object) -> bytes:
    """The bytes of a value whose type is only known now."""
    if isinstance(value, bytes):
        return value
    if value is None:
        return b""
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return to_json(value)


def decode(data: bytes, as_type: type[T]) -> T:
    """The value of the type in the bytes; pydantic.ValidationError when it is not there."""
    return cast("T", decoder(as_type)(data))


def encoder(as_type: Any) -> Encode:
    """The function that writes values of a type; made once, as it is used on the hot path."""
    if as_type in (Any, bytes, None, type(None)):
        return encode
    adapter = adapter_of(as_type)

    def write(value: Any) -> bytes:
        return b"" if value is None else adapter.dump_json(value)

    return write


def decoder(as_type: Any) -> Decode:
    """The function that reads values of a type."""
    if as_type is bytes:
        return bytes
    if as_type in (None, type(None)):
        return discard
    adapter = adapter_of(as_type)

    def read(data: bytes) -> Any:
        # None is written as nothing, so nothing is None where the type allows it.
        return adapter.validate_json(data) if data else adapter.validate_python(None)

    return read


def discard(data: bytes) -> None:
    """Reads nothing."""


def adapter_of(as_type: Any) -> TypeAdapter[Any]:
    """The pydantic adapter of a type; building one costs a thousand times its use."""
    try:
        return cached_adapter(as_type)
    except TypeError:  # an Annotated with an unhashable part
        return TypeAdapter(as_type)


@lru_cache(maxsize=1024)
def cached_adapter(as_type: Any) -> TypeAdapter[Any]:
    """The same for a type that can be a key."""
    return TypeAdapter(as_type)
