"""A Valkey of this ring's own: tests of the rules load a library of the same name with a clock of theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from ff_core.settings import ServiceSettings
from ff_core.store.backend import ValkeyBackend, open_backend
from flowfabric.testing import AnyValkey, open_valkey

from .engine import PARTITIONS, Engine


@pytest.fixture(scope="session")
def engine_valkey() -> Iterator[AnyValkey]:
    """One Valkey for the session, without AOF for speed and without functions."""
    with open_valkey(append_only=False) as server:
        server.call("FUNCTION", "FLUSH")
        yield server


@pytest.fixture
def store_settings(engine_valkey: AnyValkey) -> ServiceSettings:
    """What reaches the emptied Valkey."""
    engine_valkey.call("FLUSHALL")
    return ServiceSettings(host=engine_valkey.host, port=engine_valkey.port, partitions=PARTITIONS)


@pytest.fixture
async def backend(store_settings: ServiceSettings) -> AsyncIterator[ValkeyBackend]:
    """The store on an empty Valkey."""
    opened = await open_backend(store_settings)
    yield opened
    await opened.close()


@pytest.fixture
def engine(backend: ValkeyBackend) -> Engine:
    """The store, with words for what the tests do most."""
    return Engine(backend)
