"""The ring of keys on a real Valkey: gateways that make, rotate and hear of it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ff_core import keys
from ff_core.errors import EngineError
from ff_core.keyring import SealedRing
from ff_core.settings import ServiceSettings
from ff_core.store.backend import ValkeyBackend, open_backend
from ff_gateway.app import Gateway
from ff_gateway.keyring import KeyRingKeeper
from ff_gateway.settings import GatewaySettings
from flowfabric.testing import AnyValkey
from tests.valkey_cluster import ValkeyCluster

from .engine import cluster_settings, eventually

SECRET = "a root secret that is long enough"


@pytest.fixture
async def two(store_settings: ServiceSettings) -> AsyncIterator[tuple[ValkeyBackend, ValkeyBackend]]:
    """Two processes' stores on one empty Valkey."""
    first, second = await open_backend(store_settings), await open_backend(store_settings)
    yield first, second
    await first.close()
    await second.close()


async def test_two_gateways_that_start_at_once_have_one_ring(
    two: tuple[ValkeyBackend, ValkeyBackend],
) -> None:
    first, second = (KeyRingKeeper(backend, [SECRET]) for backend in two)

    await asyncio.gather(first.open(), second.open())

    assert first.ring == second.ring
    assert first.ring.revision == 1


async def test_two_gateways_that_rotate_at_once_lose_no_rotation(
    two: tuple[ValkeyBackend, ValkeyBackend],
) -> None:
    first, second = (KeyRingKeeper(backend, [SECRET]) for backend in two)
    await asyncio.gather(first.open(), second.open())

    answers = await asyncio.gather(first.rotate("a", b"", 60_000), second.rotate("b", b"", 60_000))

    assert all(answer.changed for answer in answers)
    await asyncio.gather(first.refresh(), second.refresh())
    assert first.ring == second.ring
    assert (first.ring.revision, set(first.ring.keys)) == (3, {"k1", "a", "b"})


async def test_a_gateway_hears_of_a_rotation_by_another(two: tuple[ValkeyBackend, ValkeyBackend]) -> None:
    first, second = (KeyRingKeeper(backend, [SECRET]) for backend in two)
    await asyncio.gather(first.open(), second.open())
    running = asyncio.ensure_future(second.run())

    await first.rotate("a", b"", 60_000)

    async def has_heard() -> bool:
        return second.ring.current == "a"

    await eventually(has_heard)
    running.cancel()


async def test_a_ring_that_was_put_back_is_noticed(backend: ValkeyBackend) -> None:
    keeper = KeyRingKeeper(backend, [SECRET])
    await keeper.open()
    old: SealedRing = await backend.keyring_read()
    await keeper.rotate("a", b"", 0)

    assert await backend.keyring_swap(2, 3, old.ciphertext)

    with pytest.raises(EngineError, match="FF_WAITPOINT_HMAC_SECRET"):
        await keeper.refresh()
    assert keeper.ring.current == "a", "what was good stays in force"


async def test_a_gateway_with_another_secret_does_not_start(
    backend: ValkeyBackend, store_settings: ServiceSettings, engine_valkey: AnyValkey
) -> None:
    await KeyRingKeeper(backend, [SECRET]).open()
    stored = engine_valkey.call("GET", keys.KEYRING)
    values = {
        "host": store_settings.host,
        "port": store_settings.port,
        "partitions": store_settings.partitions,
        "grpc_addr": "127.0.0.1:0",
        "listen_addr": "127.0.0.1:0",
        "waitpoint_hmac_secret": "another root secret that is long enough",
    }

    with pytest.raises(EngineError, match="FF_WAITPOINT_HMAC_SECRET is not the one"):
        await Gateway.start(GatewaySettings.model_validate(values))

    assert engine_valkey.call("GET", keys.KEYRING) == stored


@pytest.mark.cluster
async def test_on_a_cluster_gateways_share_one_ring_too(clean_valkey_cluster: ValkeyCluster) -> None:
    backends = [await open_backend(cluster_settings(clean_valkey_cluster)) for _ in range(2)]
    first, second = (KeyRingKeeper(backend, [SECRET]) for backend in backends)
    await asyncio.gather(first.open(), second.open())
    running = asyncio.ensure_future(second.run())

    await first.rotate("a", b"", 60_000)

    async def has_heard() -> bool:
        return second.ring.current == "a"

    await eventually(has_heard)
    assert first.ring == second.ring
    running.cancel()
    for backend in backends:
        await backend.close()
