"""cmsgpack as Valkey builds it, as far as the rules use it.

Kept: a table of 1..n is an array, and so is an empty one; numbers without a fraction are integers; strings
are bytes, whatever they hold; null becomes nil; several values follow each other. Left out: that floats take
four bytes where those are enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]
from lupa import lua51  # type: ignore[import-untyped]


def pack(*values: Any) -> bytes:
    """The MessagePack of Lua values, one after another."""
    # As text, because bytes would be packed as "bin", which Valkey does not read.
    return b"".join(msgpack.packb(_plain(value), unicode_errors="surrogateescape") for value in values)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if lua51.lua_type(value) == "table":
        items = dict(value.items())
        if set(items) == set(range(1, len(items) + 1)):
            return [_plain(items[index]) for index in range(1, len(items) + 1)]
        return {_plain(key): _plain(item) for key, item in items.items()}
    return None if lua51.lua_type(value) is not None else value  # null, functions: nothing that can be kept


def unpack(packed: bytes, table_from: Callable[[dict[Any, Any]], Any]) -> tuple[Any, ...]:
    """The Lua values of a MessagePack."""

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            value = dict(enumerate(value, start=1))
        if isinstance(value, dict):
            return table_from({key: convert(item) for key, item in value.items()})
        return value

    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
    unpacker.feed(packed)
    return tuple(convert(value) for value in unpacker)
