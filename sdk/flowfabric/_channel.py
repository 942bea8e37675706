"""The way to a gateway: its address, the token, the channel, and how to come back after an outage."""

from __future__ import annotations

import os
import random

import grpc

DEFAULT_ADDRESS = "127.0.0.1:7433"
DEFAULT_NAMESPACE = "default"

# 7 pauses of 50 ms to 2 s: a gateway that restarts is back within the 5 s they take together.
TRIES = 8

Metadata = tuple[tuple[str, str], ...]


def resolve_address(address: str | None) -> str:
    """The gateway to talk to: what was given, else FF_ADDR, else this machine."""
    return address or os.environ.get("FF_ADDR") or DEFAULT_ADDRESS


def resolve_namespace(namespace: str | None) -> str:
    """Whose executions and workers: what was given, else FF_NAMESPACE, else the default namespace."""
    return namespace or os.environ.get("FF_NAMESPACE") or DEFAULT_NAMESPACE


def resolve_token(token: str | None) -> str:
    """The token to show: what was given, else FF_API_TOKEN, else none."""
    if token is None:
        token = os.environ.get("FF_API_TOKEN") or None
    if token is None:
        return ""
    if not token or not all("!" <= character <= "~" for character in token):
        raise ValueError("the API token must be visible ASCII: no blanks, no control characters, not empty")
    return token


class Pause:
    """Grows from one failure to the next, with jitter so that many clients do not return as one."""

    def __init__(self, first: float = 0.05, longest: float = 2.0) -> None:
        self._first = first
        self.longest = longest
        self._next = first

    def next(self, at_least: float | None = None) -> float:
        """Seconds to wait now, and not less than the server asked for."""
        pause = min(self._next, self.longest)
        self._next = pause * 2
        return max(pause * random.uniform(0.75, 1.25), at_least or 0.0)

    def reset(self) -> None:
        """Starts again after a success."""
        self._next = self._first


class Gateway:
    """Where the gateways are and what to show them; opens channels to them."""

    def __init__(self, address: str | None = None, token: str | None = None) -> None:
        self.address = resolve_address(address)
        token = resolve_token(token)
        self.metadata: Metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def open_channel(self) -> grpc.aio.Channel:
        """A channel with connections of its own, over all addresses the name resolves to."""
        options = (
            ("grpc.lb_policy_name", "round_robin"),
            # How large a payload may be is the engine's to say; gRPC's own limit is 4 MiB.
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            # Without it two channels share one connection, and a new session would go down the dead one.
            ("grpc.use_local_subchannel_pool", 1),
            # gRPC's own pauses of 1 s to 2 min would hide a gateway that is back; the first is also the
            # longest a connection may take to come about.
            ("grpc.min_reconnect_backoff_ms", 5000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2000),
        )
        return grpc.aio.insecure_channel(self.address, options=options)
