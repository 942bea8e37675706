"""Settings every service shares. Each service adds its own in its `settings.py`.

Read once in `__main__` from `FF_*` environment variables and passed down as values.
`docs/reference/settings.md` is made from the docstrings here and compared by a test.
"""

from __future__ import annotations

import json
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ServiceSettings(BaseSettings):
    """What gateway, scheduler and scanners have in common."""

    model_config = SettingsConfigDict(
        env_prefix="FF_", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    """Valkey host; in a cluster any of its nodes."""
    port: int = Field(6379, ge=1, le=65535)
    """Valkey port."""
    username: str = ""
    """Valkey user; empty for the default user."""
    password: SecretStr = SecretStr("")
    """Valkey password."""
    tls: bool = False
    """Connect to Valkey with TLS. Its certificate is checked against the system's authorities or those in the
    file named by SSL_CERT_FILE; we show none (`tls-auth-clients no`)."""
    cluster: bool = False
    """Valkey is a cluster."""
    store_timeout_ms: int = Field(10_000, ge=100)
    """A connection to Valkey on which nothing comes back for so long, while calls wait, is given up. Calls
    that may be repeated go on with the next one."""
    partitions: int = Field(64, ge=1, le=4096)
    """Number of partitions. Fixed by the first process that ever starts; a mismatch refuses to start."""
    events_kept: int = Field(10_000, ge=100)
    """Entries that the feed of a partition keeps for subscriptions, about; one holds all events of a call."""
    wait_replicas: int = Field(0, ge=0)
    """Replicas that must have a write before it is acknowledged; claims, renewals, progress and best-effort
    output apart."""
    wait_replicas_timeout_ms: int = Field(1000, ge=1)
    """How long to wait for them before a call is answered with STORE_UNAVAILABLE. What it wrote stays; its
    repeat gets the first answer, once they have it."""
    replica_id: str = ""
    """Identity of this process; made up at start when empty. In Kubernetes the pod name."""
    member_ttl_ms: int = Field(3000, ge=300)
    """After this long unheard a process is taken for gone and its partitions move."""
    lease_ttl_ms: int = Field(30_000, ge=600, le=3_600_000)
    """Time a renewal gives a lease, and a grant to be confirmed. Workers renew three times within it."""
    api_token: SecretStr = SecretStr("")
    """Bearer token that every call must carry, and that gateways show to schedulers."""
    allow_insecure: bool = False
    """Allow listening beyond loopback without FF_API_TOKEN."""
    ops_addr: str = "127.0.0.1:0"
    """Address of /healthz, /readyz and /metrics of the scheduler and the scanners."""
    shutdown_grace_ms: int = Field(10_000, ge=0)
    """Longest drain after SIGTERM."""
    loop: Literal["uvloop", "asyncio"] = "uvloop"
    """Event loop."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """auto: console in a terminal, JSON elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""

    def listen_addresses(self) -> tuple[str, ...]:
        """Addresses this service accepts calls on."""
        return ()

    @model_validator(mode="after")
    def refuse_open_door(self) -> Self:
        """A token-less service listens on loopback only, unless told so."""
        if self.api_token.get_secret_value() or self.allow_insecure:
            return self
        for address in self.listen_addresses():
            host = address.rpartition(":")[0].strip("[]")
            if host not in LOOPBACK:
                raise ValueError(
                    f"refusing to listen on {address} without FF_API_TOKEN; "
                    "set it, listen on 127.0.0.1, or set FF_ALLOW_INSECURE=1"
                )
        return self

    def printable(self) -> str:
        """All settings as JSON, secrets redacted."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True)
