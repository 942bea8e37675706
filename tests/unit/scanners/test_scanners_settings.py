"""Which scanners and partitions the settings mean, and what they refuse."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from ff_scanners.registry import SCANNERS
from ff_scanners.settings import ScannerSettings


def test_all_scanners_run_on_a_live_share_by_default() -> None:
    settings = ScannerSettings()

    assert settings.scanner_names() == tuple(scanner.name for scanner in SCANNERS)
    assert settings.static_partitions() is None


def test_some_scanners_are_chosen_by_name() -> None:
    settings = ScannerSettings(scanners="retention, lease_expiry,")

    assert settings.scanner_names() == ("lease_expiry", "retention")


def test_a_range_is_fixed() -> None:
    settings = ScannerSettings(partitions=64, partition_range="0-3, 40")

    assert settings.static_partitions() == frozenset({0, 1, 2, 3, 40})


@pytest.mark.parametrize("replicas", [1, 3, 4])
def test_ordinals_cover_every_partition_once(replicas: int) -> None:
    shares = [
        ScannerSettings(
            partitions=16, partition_range=f"ordinal:{replicas}", replica_id=f"scanners-{ordinal}"
        ).static_partitions()
        or frozenset()
        for ordinal in range(replicas)
    ]

    assert sorted(partition for share in shares for partition in share) == list(range(16))


def test_the_ordinal_is_in_the_host_name_when_no_replica_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "ff-scanners-1")

    settings = ScannerSettings(partitions=4, partition_range="ordinal:2")

    assert settings.static_partitions() == frozenset({1, 3})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"scanners": "lease_expiri"}, "there is no scanner 'lease_expiri'; there are attempt_timeout, "),
        ({"partition_range": "0-64"}, "FF_PARTITION_RANGE=0-64: there are 64 partitions, so 64 is none"),
        ({"partition_range": "first"}, "FF_PARTITION_RANGE=first is neither a range"),
        ({"partition_range": "-3"}, "FF_PARTITION_RANGE=-3 is neither a range"),
        ({"partition_range": "1-"}, "FF_PARTITION_RANGE=1- is neither a range"),
        ({"partition_range": "9-5"}, "FF_PARTITION_RANGE=9-5: '9-5' is no range"),
        ({"partition_range": "ordinal:0"}, "is neither a range"),
        ({"partition_range": "ordinal:4", "replica_id": "pod"}, "ends in -<number>, not 'pod'"),
        ({"partition_range": "ordinal:4", "replica_id": "pod-4"}, "'pod-4' would be replica 5"),
        (
            {"partition_range": "ordinal:4", "replica_id": "pod-3", "partitions": 2},
            "there are only 2 partitions",
        ),
        ({"lease_expiry_interval_ms": 99}, "greater than or equal to 100"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(sentence)):
        ScannerSettings.model_validate(given)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FF_INDEX_RECONCILER_INTERVAL_S", "0.5")
    monkeypatch.setenv("FF_DELAYED_PROMOTER_INTERVAL_MS", "250")

    settings = ScannerSettings()

    assert settings.interval_s("index_reconciler") == 0.5
    assert settings.interval_s("delayed_promoter") == 0.25
