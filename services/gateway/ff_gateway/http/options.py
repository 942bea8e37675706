"""Options of the HTTP face, handed down as one value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ff_core.principal import Principals

KIB = 1024
MIB = 1024 * KIB


def body_bytes_for(payload_bytes: int) -> int:
    """Body that carries a payload of this size: base64 grows it by a third, the other fields need room."""
    return -(-payload_bytes * 4 // 3) + 64 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """What the gateway's settings say about HTTP."""

    principals: Principals = field(default_factory=lambda: Principals(""), repr=False)
    """Whose bearer tokens open the /v1 routes; empty for everybody."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call; "*" for all."""
    max_body_bytes_large: int = body_bytes_for(MIB)
    """Limit for bodies that carry one payload, result or frame."""
    max_body_bytes_bulk: int = 32 * MIB
    """Limit for bodies that carry many of them."""
    max_body_bytes_callback: int = 64 * KIB
    """Limit for the body of a callback, which is the payload as it is."""
    max_body_bytes_control: int = 64 * KIB
    """Limit for all other bodies."""
    heartbeat_s: float = 15.0
    """Pause after which a silent event stream says that it is alive."""
    opening_s: float = 1.0
    """How long a stream waits for its first message before it answers 200: an early error has its status."""

    def __post_init__(self) -> None:
        check_origins(self.cors_origins)


def check_origins(origins: Iterable[str]) -> None:
    """Raises ValueError for what is no origin and not *."""
    for origin in origins:
        if origin != "*" and not _is_origin(origin):
            raise ValueError(f"not an origin: {origin!r}; write scheme://host[:port] or *")


def _is_origin(text: str) -> bool:
    """Whether a browser could send this text as its Origin."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and "*" not in parts.netloc
        and text == f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()
        and not any(character.isspace() for character in text)
    )
