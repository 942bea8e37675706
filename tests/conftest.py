"""Fixtures of all rings. Real servers start when the first test asks for one, one set per xdist worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowfabric._valkey import ValkeyServer
from flowfabric.testing import (
    AnyValkey,
    describe_valkey,
    flowfabric_client,
    flowfabric_stack,
    open_valkey,
)
from tests.valkey_cluster import ValkeyCluster

#: The fixtures that users get, offered here by import: as `pytest_plugins` the module would be too late
#: for pytest to rewrite its asserts, and pytest warns of that.
__all__ = ["flowfabric_client", "flowfabric_stack"]

# No setting of the developer's shell may leak into a test. FF_TEST_* choose what tests run on, and xdist's
# workers inherit them from here.
for name in [name for name in os.environ if name.startswith("FF_") and not name.startswith("FF_TEST_")]:
    del os.environ[name]

# What every gateway needs, whoever starts it.
os.environ["FF_WAITPOINT_HMAC_SECRET"] = "a secret that only tests know and that all of them know"


def pytest_report_header() -> str:
    """Says which Valkey the tests run on."""
    return f"valkey: {describe_valkey()}"


@pytest.fixture(scope="session")
def valkey() -> Iterator[AnyValkey]:
    """One Valkey for the whole session (`host`, `port`, `address`, `source`), without AOF for speed."""
    if "FF_TEST_VALKEY_URL" in os.environ and int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
        raise pytest.UsageError("FF_TEST_VALKEY_URL is one server, emptied by every test: run without -n")
    with open_valkey(append_only=False) as server:
        yield server


@pytest.fixture
def clean_valkey(valkey: AnyValkey) -> AnyValkey:
    """The session's Valkey, emptied. Function libraries stay loaded."""
    valkey.call("FLUSHALL")
    return valkey


@pytest.fixture
def durable_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A Valkey of the test's own, with AOF, to be killed and restarted."""
    with ValkeyServer(data_dir=tmp_path / "valkey") as server:
        yield server


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[ValkeyCluster]:
    """Three primaries for the whole session. Mark the tests that use it with `cluster`."""
    with ValkeyCluster(node_timeout_ms=10_000) as cluster:  # none of them dies, however busy the machine is
        yield cluster


@pytest.fixture
def clean_valkey_cluster(valkey_cluster: ValkeyCluster) -> ValkeyCluster:
    """The session's cluster, emptied. Function libraries stay loaded."""
    for node in valkey_cluster.nodes:
        node.call("FLUSHALL")
    return valkey_cluster
