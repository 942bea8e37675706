"""cjson as Valkey builds it, as far as the rules use it.

Kept: an empty table is an object, `/` is escaped, numbers are written with 14 digits, null is a value of its
own, bytes that are not UTF-8 pass through. Left out: the settings functions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from lupa import lua51  # type: ignore[import-untyped]

ESCAPES = {index: f"\\u{index:04x}" for index in (*range(32), 127)} | {
    ord('"'): '\\"',
    ord("\\"): "\\\\",
    ord("/"): "\\/",
    ord("\b"): "\\b",
    ord("\t"): "\\t",
    ord("\n"): "\\n",
    ord("\f"): "\\f",
    ord("\r"): "\\r",
}


def encode(value: Any) -> bytes:
    """The JSON of a Lua value."""
    return _encode(value).encode("utf-8", "surrogateescape")


def _encode(value: Any) -> str:
    kind = lua51.lua_type(value)
    if kind == "table":
        return _encode_table(value)
    if kind == "userdata" or value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return '"' + value.decode("utf-8", "surrogateescape").translate(ESCAPES) + '"'
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ValueError("Cannot serialise number: must not be NaN or Inf")
        return f"{value:.14g}"
    raise ValueError(f"Cannot serialise {kind}: type not supported")


def _encode_table(table: Any) -> str:
    items = list(table.items())
    keys = [key for key, _ in items]
    if keys and all(isinstance(key, int) and not isinstance(key, bool) and key > 0 for key in keys):
        last = max(keys)
        if last > 10 and last > 2 * len(keys):
            raise ValueError("Cannot serialise table: excessively sparse array")
        return "[" + ",".join(_encode(table[index]) for index in range(1, last + 1)) + "]"
    return "{" + ",".join(f"{_encode_key(key)}:{_encode(value)}" for key, value in items) + "}"


def _encode_key(key: Any) -> str:
    if isinstance(key, bytes):
        return _encode(key)
    if isinstance(key, int | float) and not isinstance(key, bool):
        return f'"{key:.14g}"'
    raise ValueError("Cannot serialise table: table key must be a number or string")


def decode(text: bytes, null: object, table_from: Callable[[dict[Any, Any]], Any]) -> Any:
    """The Lua value of a JSON text."""

    def convert(value: Any) -> Any:
        if value is None:
            return null
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        if isinstance(value, list):
            return table_from({index: convert(item) for index, item in enumerate(value, start=1)})
        if isinstance(value, dict):
            return table_from({convert(key): convert(item) for key, item in value.items()})
        return value

    return convert(json.loads(text.decode("utf-8", "surrogateescape")))
