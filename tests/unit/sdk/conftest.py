"""Fixtures of the SDK's unit tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .fake_gateway import FakeGateway


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """A gateway on loopback that does what the test tells it."""
    fake = FakeGateway()
    await fake.open()
    yield fake
    await fake.close()
