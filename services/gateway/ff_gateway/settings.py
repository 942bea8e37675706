"""Settings of the gateway, besides those every service has."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ff_core.errors import EngineError
from ff_core.principal import DEFAULT_NAME
from ff_core.settings import ServiceSettings
from ff_core.wire import names
from ff_gateway.http.options import check_origins

DAY_MS = 86_400_000
#: Shorter ones can be guessed from a token.
LEAST_SECRET = 32


class GatewaySettings(ServiceSettings):
    """Read from FF_* environment variables."""

    grpc_addr: str = "127.0.0.1:7433"
    """Address of gRPC, for clients and workers."""
    listen_addr: str = "127.0.0.1:9090"
    """Address of HTTP: REST, /openapi.json, /healthz, /readyz, /metrics."""
    schedulers: str = ""
    """Addresses of schedulers, comma-separated; found by live membership when empty."""
    max_payload_bytes: int = Field(1 << 20, ge=1, le=32 << 20)
    """Largest payload and result. Above 2 MiB clients other than the SDK have to raise their
    `grpc.max_receive_message_length` to this and 2 MiB more."""
    max_output_frame_bytes: int = Field(64 << 10, ge=1, le=1 << 20)
    """Largest output frame."""
    max_concurrent_stream_ops: int = Field(1024, ge=1)
    """Watches and tails open at once."""
    cancel_grace_ms: int = Field(10_000, ge=0, le=86_400_000)
    """Time a worker has to stop when a cancel request names none."""
    retention_ms: int = Field(86_400_000, ge=0)
    """How long terminal executions are kept when their policy does not say."""
    worker_ttl_ms: int = Field(9_000, ge=600)
    """After this long unheard a worker is no longer counted as live."""
    session_max_age_ms: int = Field(1_800_000, ge=0)
    """After so long, give or take a fifth, a worker's session is asked to move to any gateway, so that new
    ones get their share; ended when it has not within FF_SHUTDOWN_GRACE_MS. 0: never."""
    cors_origins: str = ""
    """Origins that browsers may call from, comma-separated, or *; none when empty."""
    waitpoint_hmac_secret: SecretStr
    """Secret that the keys of waitpoint tokens are kept under, at least 32 characters; the same for all
    gateways. Several, comma-separated, while it is being changed: the newest first."""
    api_tokens: SecretStr = SecretStr("")
    """Bearer tokens of single users beside FF_API_TOKEN, as name=token, comma-separated. Their names are the
    sources of what they send."""
    public_url: str = ""
    """Where the outside reaches this HTTP server, for callback URLs; without it they are paths."""
    waitpoint_ttl_ms: int = Field(30 * DAY_MS, ge=1, le=400 * DAY_MS)
    """How long a waitpoint's token is good when its maker does not say."""
    waitpoint_key_grace_ms: int = Field(DAY_MS, ge=0, le=400 * DAY_MS)
    """How long tokens of a key stay good after a rotation that does not say."""
    max_suspension_ms: int = Field(400 * DAY_MS, ge=1, le=400 * DAY_MS)
    """Longest time that an execution may be told to wait."""
    max_signal_bytes: int = Field(64 << 10, ge=1, le=1 << 20)
    """Largest payload of a signal."""
    max_signals: int = Field(1000, ge=1, le=100_000)
    """Signals kept for one execution at once."""
    max_signals_bytes: int = Field(8 << 20, ge=1, le=64 << 20)
    """Bytes of signals kept for one execution at once."""
    signal_idempotency_ttl_ms: int = Field(DAY_MS, ge=1, le=30 * DAY_MS)
    """How long the idempotency key of a signal is remembered when it does not say."""
    max_journal_entries: int = Field(10_000, ge=1, le=1_000_000)
    """Entries in the journal of one execution."""
    max_journal_bytes: int = Field(16 << 20, ge=1, le=256 << 20)
    """Bytes of headers and data in the journal of one execution; one has FF_MAX_PAYLOAD_BYTES at most."""
    max_summary_bytes: int = Field(64 << 10, ge=1, le=1 << 20)
    """Largest summary when the policy does not say."""

    @field_validator("cors_origins")
    @classmethod
    def refuse_malformed_origins(cls, value: str) -> str:
        """What no browser can send would silently let nobody in."""
        check_origins(_listed(value))
        return value

    @field_validator("waitpoint_hmac_secret")
    @classmethod
    def refuse_short_secrets(cls, value: SecretStr) -> SecretStr:
        """Whoever sees a token may try secrets for as long as they like."""
        listed = _listed(value.get_secret_value())
        if not listed or any(len(one) < LEAST_SECRET for one in listed):
            raise ValueError(f"each secret needs {LEAST_SECRET} characters")
        return value

    @field_validator("api_tokens")
    @classmethod
    def refuse_ambiguous_tokens(cls, value: SecretStr) -> SecretStr:
        """A name is an identity, and one token has one name."""
        pairs = [one.partition("=")[::2] for one in _listed(value.get_secret_value())]
        for name, token in pairs:
            try:
                names.name(name, "name")
            except EngineError as error:
                raise ValueError(
                    "each is name=token; the name has 1 to 64 of letters, digits and . _ : -"
                ) from error
            if not token:
                raise ValueError(f"{name} has no token")
        if any(len(set(column)) < len(pairs) for column in zip(*pairs, strict=True)):
            raise ValueError("no two have the same name, and no two the same token")
        if DEFAULT_NAME in dict(pairs):
            raise ValueError(f"{DEFAULT_NAME} is the name of FF_API_TOKEN")
        return value

    @model_validator(mode="after")
    def refuse_names_beside_an_open_door(self) -> Self:
        """Without FF_API_TOKEN schedulers would still let everybody in."""
        if self.api_tokens.get_secret_value() and not self.api_token.get_secret_value():
            raise ValueError("FF_API_TOKENS needs FF_API_TOKEN")
        return self

    @field_validator("public_url")
    @classmethod
    def refuse_half_urls(cls, value: str) -> str:
        """Callback URLs are this and a path."""
        if value and not re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", value):
            raise ValueError("an http or https URL without query")
        return value.rstrip("/")

    def waitpoint_secrets(self) -> tuple[str, ...]:
        """The secrets, the newest first."""
        return _listed(self.waitpoint_hmac_secret.get_secret_value())

    def named_tokens(self) -> dict[str, str]:
        """Names and tokens of single users."""
        return dict(one.partition("=")[::2] for one in _listed(self.api_tokens.get_secret_value()))

    def origins(self) -> tuple[str, ...]:
        """The origins, one by one."""
        return _listed(self.cors_origins)

    def listen_addresses(self) -> tuple[str, ...]:
        """Clients, workers and browsers come in here."""
        return (self.grpc_addr, self.listen_addr)


def _listed(value: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in value.split(",") if one.strip())
