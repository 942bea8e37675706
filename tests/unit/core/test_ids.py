"""Ids carry their partition; whatever is no id is told apart before it can name a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_core import ids
from ff_core.errors import EngineError, ErrorCode

UUID = "0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
HOSTILE_IDS = [
    "", "7", f"-{UUID}", f"+7-{UUID}", f"07-{UUID}", f"-7-{UUID}", f"7-{UUID}\n", f"\n7-{UUID}", f" 7-{UUID}",
    f"7-{UUID} ", f"7-{UUID.upper()}", f"7-{UUID}0", f"7-{UUID[:-1]}", f"7-{UUID.replace('-7e5f', '-4e5f')}",
    f"10000-{UUID}", f"7-{UUID}:1", f"7-{UUID}\x00", f"{{p:0}}7-{UUID}", f"\uff17-{UUID}",
    f"1\u0667-{UUID}", "*", "../../etc", f"7--{UUID}", "7-" + "x" * 10_000,
]  # fmt: skip
LEASE = f"7-{UUID}:1:2:abc0".encode()
HOSTILE_LEASES = [
    b"", b":", LEASE + b"\n", b"\n" + LEASE, LEASE + b" ", LEASE + b":1", LEASE.replace(b":1:", b":-1:"),
    LEASE.replace(b":1:", b"::"), LEASE.replace(b":1:", b":1234567890:"), LEASE.replace(b"abc0", b""),
    LEASE.replace(b"abc0", b"ABC0"), LEASE.replace(b"abc0", b"a" * 65), LEASE.replace(b"7-", b"99999-"),
    b"\xff" + LEASE, LEASE.replace(b":", b"\x00"), b"x" * 1_000_000,
]  # fmt: skip


@given(st.integers(0, 4095))
def test_an_id_names_its_partition(partition: int) -> None:
    assert ids.partition_of_execution(ids.new_execution_id(partition), 4096) == partition


def test_ids_of_a_partition_are_in_the_order_of_their_making() -> None:
    made = [ids.new_execution_id(3) for _ in range(1000)]

    assert made == sorted(made)
    assert len(set(made)) == 1000


@pytest.mark.parametrize("text", HOSTILE_IDS, ids=lambda text: ascii(text)[:50])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(EngineError) as refused:
        ids.partition_of_execution(text, 64)

    assert refused.value.code is ErrorCode.INVALID_ARGUMENT
    assert refused.value.field == "execution_id"
    assert len(str(refused.value)) < 300


def test_an_id_beyond_the_last_partition_is_unknown_not_malformed() -> None:
    with pytest.raises(EngineError) as refused:
        ids.partition_of_execution(f"64-{UUID}", 64)

    assert refused.value.code is ErrorCode.EXECUTION_NOT_FOUND


def test_a_lease_names_its_partition_and_execution() -> None:
    assert ids.partition_of_lease(LEASE, 64) == 7
    assert ids.execution_of_lease(LEASE) == f"7-{UUID}"


@pytest.mark.parametrize("lease", HOSTILE_LEASES, ids=lambda lease: ascii(lease)[:50])
def test_what_is_no_lease_has_no_partition(lease: bytes) -> None:
    assert ids.partition_of_lease(lease, 64) is None


def test_a_lease_beyond_the_last_partition_has_none() -> None:
    assert ids.partition_of_lease(LEASE, 7) is None


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reading_of_a_lease(lease: bytes) -> None:
    partition = ids.partition_of_lease(lease, 64)

    assert partition is None or 0 <= partition < 64


@given(st.text(max_size=20), st.text(max_size=20), st.integers(1, 4096))
def test_a_key_always_goes_to_the_same_partition(namespace: str, key: str, partitions: int) -> None:
    partition = ids.partition_of_key(namespace, key, partitions)

    assert 0 <= partition < partitions
    assert partition == ids.partition_of_key(namespace, key, partitions)


def test_keys_spread_over_all_partitions() -> None:
    assert {ids.partition_of_key("default", str(number), 64) for number in range(2000)} == set(range(64))


def test_executions_without_a_key_spread_over_all_partitions() -> None:
    assert {ids.random_partition(8) for _ in range(1000)} == set(range(8))
