"""Who calls: the name that the shown API token has, for as long as the call is handled."""

from __future__ import annotations

from contextvars import ContextVar

DEFAULT_NAME = "default"
"""Whoever shows FF_API_TOKEN. It is shared, so it identifies nobody."""

CALLER: ContextVar[str] = ContextVar("caller", default="")
"""Name of the token that was shown; "" without one. Set by the doors, never from a field of a request."""
