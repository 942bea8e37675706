"""The stored ring of keys: bytes that are replaced only by who saw the ones before."""

from __future__ import annotations

from .harness.engines import Engine

RING = "ff:{m}:keyring"


def test_without_a_ring_there_is_only_the_time(engine: Engine) -> None:
    assert engine.call("keyring_read", [RING]) == [engine.now_ms, b""]


def test_a_ring_is_kept_byte_for_byte(engine: Engine) -> None:
    ciphertext = bytes(range(256)) + b" 7 "

    assert engine.call("keyring_swap", [RING], [0, 1, ciphertext]) == 1
    assert engine.call("keyring_read", [RING]) == [engine.now_ms, b"1 " + ciphertext]
    assert (b"ff:keyring", b"1") in engine.published


def test_of_two_who_replace_one_ring_the_first_wins(engine: Engine) -> None:
    engine.call("keyring_swap", [RING], [0, 1, b"one"])

    assert engine.call("keyring_swap", [RING], [1, 2, b"two"]) == 1
    assert engine.call("keyring_swap", [RING], [1, 2, b"other"]) == 0
    assert engine.call("keyring_swap", [RING], [0, 1, b"new"]) == 0
    assert engine.call("keyring_read", [RING]) == [engine.now_ms, b"2 two"]


def test_a_repeat_counts_as_done_and_tells_nobody_again(engine: Engine) -> None:
    engine.call("keyring_swap", [RING], [0, 1, b"one"])

    assert engine.call("keyring_swap", [RING], [0, 1, b"one"]) == 1
    assert list(engine.published).count((b"ff:keyring", b"1")) == 1
