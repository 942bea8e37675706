"""Checks of the names clients choose."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ff_core.errors import invalid

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_TAG = re.compile(r"[a-z][a-z0-9_]*\.[a-z0-9_][a-z0-9_.]*")
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,256}")


def name(value: str, field: str, default: str = "") -> str:
    """A namespace, lane or kind."""
    value = value or default
    if not _NAME.fullmatch(value):
        raise invalid(field, f"{value[:80]!r}: 1 to 64 of letters, digits and . _ : -")
    return value


def identifier(value: str, field: str) -> str:
    """A worker id or idempotency key: 1 to 256 printable ASCII characters, no blank."""
    if not _PRINTABLE.fullmatch(value):
        raise invalid(field, f"{value[:80]!r}: 1 to 256 printable ASCII characters without blanks")
    return value


def text(value: str, field: str, most: int) -> str:
    """Free text of bounded size."""
    size = len(value.encode())
    if size > most:
        raise invalid(field, f"{size} bytes; at most {most}")
    return value


def tags(values: Mapping[str, str], field: str, *, removable: bool = False) -> dict[str, str]:
    """Tags: "area.name" to a value of at most 256 bytes."""
    if len(values) > 32:
        raise invalid(field, f"{len(values)} tags; at most 32")
    for key, value in values.items():
        if len(key) > 128 or not _TAG.fullmatch(key):
            raise invalid(field, f'{key[:80]!r}: a tag key is "area.name" in lower case')
        if not value and not removable:
            raise invalid(field, f"{key}: empty")
        text(value, f"{field}.{key}", 256)
    return dict(values)


def tag_filter(values: Sequence[str], field: str) -> dict[str, str]:
    """Tags of a filter, each "key=value"; nothing has two values of one tag."""
    pairs = dict(value.partition("=")[::2] for value in values)
    if len(pairs) < len(set(values)):
        raise invalid(field, "one value a tag")
    return tags(pairs, field)
