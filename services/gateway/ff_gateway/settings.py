"""Settings of the gateway, besides those every service has."""

from __future__ import annotations

from pydantic import Field, field_validator

from ff_core.settings import ServiceSettings
from ff_gateway.http.options import check_origins


class GatewaySettings(ServiceSettings):
    """Read from FF_* environment variables."""

    grpc_addr: str = "127.0.0.1:7433"
    """Address of gRPC, for clients and workers."""
    listen_addr: str = "127.0.0.1:9090"
    """Address of HTTP: REST, /openapi.json, /healthz, /readyz, /metrics."""
    schedulers: str = ""
    """Addresses of schedulers, comma-separated; found by live membership when empty."""
    max_payload_bytes: int = Field(1 << 20, ge=1, le=32 << 20)
    """Largest payload and result."""
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
    cors_origins: str = ""
    """Origins that browsers may call from, comma-separated, or *; none when empty."""

    @field_validator("cors_origins")
    @classmethod
    def refuse_malformed_origins(cls, value: str) -> str:
        """What no browser can send would silently let nobody in."""
        check_origins(_listed(value))
        return value

    def origins(self) -> tuple[str, ...]:
        """The origins, one by one."""
        return _listed(self.cors_origins)

    def listen_addresses(self) -> tuple[str, ...]:
        """Clients, workers and browsers come in here."""
        return (self.grpc_addr, self.listen_addr)


def _listed(value: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in value.split(",") if one.strip())
