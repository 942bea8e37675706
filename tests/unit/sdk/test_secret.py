"""The secret of a stack is kept with its data, and nobody else can read it."""

from __future__ import annotations

import stat
from pathlib import Path

from flowfabric._secret import FILE, kept_secret, new_secret


def test_a_kept_secret_stays_and_is_the_owners(tmp_path: Path) -> None:
    data = tmp_path / "data" / "valkey"

    first = kept_secret(data)

    assert len(first) >= 32
    assert kept_secret(data) == first
    assert stat.S_IMODE((data / FILE).stat().st_mode) == 0o600


def test_each_secret_is_another(tmp_path: Path) -> None:
    assert len({kept_secret(tmp_path / "a"), kept_secret(tmp_path / "b"), new_secret()}) == 3
