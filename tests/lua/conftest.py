"""Every test here runs twice: in this process and on a real Valkey."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ff_lua import assemble

from .harness.engines import Engine, LuaEngine, ValkeyEngine
from .harness.scenario import Scenario

KINDS = ("in-process", "valkey")


@pytest.fixture(scope="session", params=KINDS)
def loaded_engine(request: pytest.FixtureRequest) -> Iterator[LuaEngine | ValkeyEngine]:
    """The library of the working tree, loaded once for each kind."""
    engine: LuaEngine | ValkeyEngine
    if request.param == "valkey":
        server = request.getfixturevalue("valkey")
        engine = ValkeyEngine(server.host, server.port, assemble())
    else:
        engine = LuaEngine(assemble())
    yield engine
    engine.close()


@pytest.fixture
def engine(loaded_engine: LuaEngine | ValkeyEngine) -> Engine:
    """The rules on an empty store."""
    loaded_engine.reset()
    return loaded_engine


@pytest.fixture
def scenario(engine: Engine) -> Scenario:
    """The engine, with words for what the tests do most."""
    return Scenario(engine)
