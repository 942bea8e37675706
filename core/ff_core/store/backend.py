"""The engine on Valkey: all wrappers, the start-up checks, and the wake-up hints."""

from __future__ import annotations

from typing import cast

import structlog

from ff_core import keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.settings import ServiceSettings
from ff_core.store.client import StoreClient
from ff_core.store.connection import Endpoint
from ff_core.store.functions.base import text
from ff_core.store.functions.claim import ClaimFunctions
from ff_core.store.functions.execution import ExecutionFunctions
from ff_core.store.functions.feed import FeedFunctions
from ff_core.store.functions.index import IndexFunctions
from ff_core.store.functions.journal import JournalFunctions
from ff_core.store.functions.keyring import KeyRingFunctions
from ff_core.store.functions.lease import LeaseFunctions
from ff_core.store.functions.outcome import OutcomeFunctions
from ff_core.store.functions.output import OutputFunctions
from ff_core.store.functions.registry import RegistryFunctions
from ff_core.store.functions.signal import SignalFunctions
from ff_core.store.functions.suspension import SuspensionFunctions
from ff_core.store.functions.timer import TimerFunctions
from ff_core.store.functions.upkeep import UpkeepFunctions
from ff_core.store.functions.waitpoint import WaitpointFunctions
from ff_core.store.hints import Hints
from ff_lua import assemble

log = structlog.get_logger()

SERVICES = ("gateway", "scheduler", "scanners")


class ValkeyBackend(
    ClaimFunctions,
    ExecutionFunctions,
    FeedFunctions,
    IndexFunctions,
    JournalFunctions,
    KeyRingFunctions,
    LeaseFunctions,
    OutcomeFunctions,
    OutputFunctions,
    RegistryFunctions,
    SignalFunctions,
    SuspensionFunctions,
    TimerFunctions,
    UpkeepFunctions,
    WaitpointFunctions,
):
    """Implements ff_core.backend.EngineBackend."""

    def __init__(self, client: StoreClient, partitions: int, library: str) -> None:
        super().__init__(client, partitions)
        self.library = library
        self.hints = Hints(client.topology)

    async def ping(self) -> None:
        """Raises STORE_UNAVAILABLE when Valkey does not answer."""
        await self.client.fcall("queue_ready", keys.anchor(0))

    async def prune_libraries(self) -> list[str]:
        """Deletes function libraries that no live process calls."""
        live: set[str] = set()
        for service in SERVICES:
            flat = await self._members_node_call("HVALS", f"{keys.members(service)}:libraries")
            live.update(text(name) for name in cast("list[bytes]", flat))
        return await self.client.prune_libraries(sorted(live))

    async def _members_node_call(self, command: str, key: str) -> object:
        node = await self.client.topology.node_of(key)
        return await node.call(command, key)

    async def close(self) -> None:
        """Closes every connection."""
        await self.hints.close()
        self.client.close()


async def open_backend(settings: ServiceSettings) -> ValkeyBackend:
    """Connects, loads the library, fixes the partitions, and looks at what Valkey promises.

    Raises EngineError when the stored number of partitions is another one.
    """
    endpoint = Endpoint(
        settings.host,
        settings.port,
        settings.username,
        settings.password.get_secret_value(),
        settings.tls,
        settings.store_timeout_ms / 1000,
    )
    library = assemble(settings.events_kept)
    client = StoreClient(
        endpoint,
        library,
        cluster=settings.cluster,
        wait_replicas=settings.wait_replicas,
        wait_timeout_ms=settings.wait_replicas_timeout_ms,
    )
    backend = ValkeyBackend(client, settings.partitions, library.name)
    try:
        await _check_partitions(backend, settings.partitions)
        await client.load_library()
        await _warn_about_persistence(client)
    except BaseException:
        await backend.close()
        raise
    return backend


async def _check_partitions(backend: ValkeyBackend, partitions: int) -> None:
    in_force = await backend.partitions_fix(partitions)
    if in_force != partitions:
        raise EngineError(
            ErrorCode.INVALID_ARGUMENT,
            f"FF_PARTITIONS={partitions}, but this Valkey was started with {in_force}; "
            "the number can't change while it holds executions",
        )


async def _warn_about_persistence(client: StoreClient) -> None:
    """Says loudly what would lose or evict executions."""
    wanted = {"appendonly": "yes", "maxmemory-policy": "noeviction"}
    for name, value in wanted.items():
        for reply in await client.call_everywhere("CONFIG", "GET", name):
            if not isinstance(reply, list) or len(reply) < 2:
                log.warning("valkey_config_unknown", setting=name, wanted=value)
            elif cast("bytes", reply[1]).decode() != value:
                log.warning("valkey_config_unsafe", setting=name, found=reply[1].decode(), wanted=value)
