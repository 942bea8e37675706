"""Who calls: the name that the shown API token has, for as long as the call is handled."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from contextvars import ContextVar

DEFAULT_NAME = "default"
"""Whoever shows FF_API_TOKEN. It is shared, so it identifies nobody."""

CALLER: ContextVar[str] = ContextVar("caller", default="")
"""Name of the token that was shown; "" without one. Set by the doors, never from a field of a request."""


class Principals:
    """Tokens and whose they are. An object, because loggers print the plain variables of a failed call."""

    def __init__(self, api_token: str, named: Mapping[str, str] | None = None) -> None:
        tokens = {DEFAULT_NAME: api_token} if api_token else {}
        self._tokens = {name: token.encode() for name, token in (tokens | dict(named or {})).items()}

    def __bool__(self) -> bool:
        """Whether anybody has to show anything."""
        return bool(self._tokens)

    def identify(self, authorization: bytes) -> str | None:
        """The name behind an Authorization header, None for a stranger; it takes as long for every token."""
        scheme, _, shown = authorization.partition(b" ")
        shown = shown.strip()
        found = None
        for name, token in self._tokens.items():
            if hmac.compare_digest(shown, token):
                found = name
        return found if scheme.lower() == b"bearer" else None
