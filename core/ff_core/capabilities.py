"""What executions require and workers offer: flat, case-sensitive tokens.

A class is what admission and routing depend on, written canonically: today the sorted required
capabilities joined by commas, "" for none. Executions of one class wait in one queue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ff_core.errors import invalid

MAX_TOKENS = 256
MAX_BYTES = 4096
_FORBIDDEN = re.compile(r"[\s,\x00-\x1f\x7f]")


def class_of(tokens: Iterable[str], field: str = "required_capabilities") -> str:
    """The class of a requirement. Raises INVALID_ARGUMENT naming `field`."""
    unique = sorted(set(tokens))
    for token in unique:
        if not token or _FORBIDDEN.search(token):
            raise invalid(field, f"{token!r}: a token is not empty and has no comma, white space or control")
    if len(unique) > MAX_TOKENS:
        raise invalid(field, f"{len(unique)} tokens; at most {MAX_TOKENS}")
    name = ",".join(unique)
    if len(name.encode()) > MAX_BYTES:
        raise invalid(field, f"{len(name.encode())} bytes; at most {MAX_BYTES}")
    return name


def required_by(class_name: str) -> frozenset[str]:
    """The tokens of a class."""
    return frozenset(class_name.split(",")) if class_name else frozenset()
