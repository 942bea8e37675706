"""The ring of keys: sealed, opened, rotated."""

from __future__ import annotations

import pytest

from ff_core.errors import EngineError, ErrorCode
from ff_core.keyring import MAX_KEYS, KeyRing, Roots, SealedRing

OLD, NEW = "an old root secret of enough length", "a new root secret of enough length"
FIRST = KeyRing.first(1000)


def sealed(ring: KeyRing, *secrets: str) -> SealedRing:
    return SealedRing(0, ring.revision, ring.seal(Roots(secrets)))


def test_what_is_sealed_opens_under_the_same_secret() -> None:
    ring, _ = FIRST.rotated("mine", b"\x00" * 32, 500, 2000)

    assert KeyRing.open(sealed(ring, OLD), Roots([OLD])) == ring


def test_what_is_sealed_shows_no_secret() -> None:
    [key] = FIRST.keys.values()

    assert key.secret not in FIRST.seal(Roots([OLD]))
    assert "secret" not in repr(FIRST)
    assert FIRST.seal(Roots([OLD])) != FIRST.seal(Roots([OLD])), "one nonce for two texts"


def test_another_secret_opens_nothing() -> None:
    with pytest.raises(EngineError, match="FF_WAITPOINT_HMAC_SECRET is not the one"):
        KeyRing.open(sealed(FIRST, OLD), Roots([NEW]))


@pytest.mark.parametrize("place", [0, 11, 12, 40, -1])
def test_a_tampered_ring_does_not_open(place: int) -> None:
    ciphertext = bytearray(FIRST.seal(Roots([OLD])))
    ciphertext[place] ^= 1

    with pytest.raises(EngineError):
        KeyRing.open(SealedRing(0, 1, bytes(ciphertext)), Roots([OLD]))


@pytest.mark.parametrize("ciphertext", [b"", b"x", b"x" * 12, b"x" * 28])
def test_what_is_no_ring_does_not_open(ciphertext: bytes) -> None:
    with pytest.raises(EngineError):
        KeyRing.open(SealedRing(0, 1, ciphertext), Roots([OLD]))


def test_an_old_ring_does_not_open_under_a_new_revision() -> None:
    old = FIRST.seal(Roots([OLD]))

    with pytest.raises(EngineError):
        KeyRing.open(SealedRing(0, 2, old), Roots([OLD]))


def test_a_root_secret_is_changed_by_listing_both() -> None:
    both = Roots([NEW, OLD])
    opened = KeyRing.open(sealed(FIRST, OLD), both)

    again = SealedRing(0, opened.revision, opened.seal(both))

    assert KeyRing.open(again, Roots([NEW])) == FIRST
    with pytest.raises(EngineError):
        KeyRing.open(again, Roots([OLD]))


def test_a_rotation_leaves_the_key_before_its_grace() -> None:
    ring, answer = FIRST.rotated("", b"", 500, 2000)

    assert (answer.kid, answer.previous, answer.changed, answer.dropped) == ("k2", "k1", True, 0)
    assert (ring.revision, ring.current) == (2, "k2")
    assert ring.key("k1", 2499) is not None
    assert ring.key("k1", 2500) is None
    assert ring.key("k2", 1 << 50) is not None
    assert FIRST.current == "k1", "the ring before is as it was"


def test_without_a_grace_the_key_before_is_over_at_once() -> None:
    ring, _ = FIRST.rotated("", b"", 0, 2000)

    assert ring.key("k1", 2000) is None


def test_several_old_keys_are_good_together_and_dropped_when_they_are_not() -> None:
    ring, _ = FIRST.rotated("a", b"", 1000, 1000)
    ring, _ = ring.rotated("b", b"", 5000, 1500)
    ring, _ = ring.rotated("c", b"", 5000, 1600)
    assert [kid for kid in ring.keys if ring.key(kid, 1700)] == ["k1", "a", "b", "c"]

    ring, answer = ring.rotated("d", b"", 5000, 2000)

    assert answer.dropped == 1
    assert set(ring.keys) == {"a", "b", "c", "d"}


def test_a_repeat_of_a_rotation_changes_nothing() -> None:
    ring, _ = FIRST.rotated("mine", b"s" * 32, 500, 2000)

    for secret in (b"s" * 32, b""):
        again, answer = ring.rotated("mine", secret, 500, 2100)
        assert again is ring
        assert (answer.kid, answer.changed) == ("mine", False)


def test_a_late_repeat_names_the_key_that_is_current() -> None:
    ring, _ = FIRST.rotated("a", b"", 5000, 2000)
    ring, _ = ring.rotated("b", b"", 5000, 2100)

    again, answer = ring.rotated("a", b"", 5000, 2200)

    assert again is ring
    assert (answer.kid, answer.changed) == ("b", False)


def test_a_key_has_one_secret() -> None:
    with pytest.raises(EngineError) as refused:
        FIRST.rotated("k1", b"s" * 32, 500, 2000)

    assert refused.value.code is ErrorCode.KEY_CONFLICT


def test_a_name_is_free_again_once_its_key_is_over() -> None:
    ring, _ = FIRST.rotated("a", b"", 500, 2000)

    ring, answer = ring.rotated("k1", b"s" * 32, 500, 2500)

    assert answer.changed
    assert ring.keys["k1"].secret == b"s" * 32


def test_a_chosen_name_is_nobodys() -> None:
    ring, _ = FIRST.rotated("k2", b"", 5000, 2000)
    ring, answer = ring.rotated("k4", b"", 5000, 2000)
    ring, answer = ring.rotated("", b"", 5000, 2000)

    assert answer.kid == "k5"


def test_there_are_so_many_keys_at_once() -> None:
    ring = FIRST
    for number in range(MAX_KEYS - 1):
        ring, _ = ring.rotated(f"n{number}", b"", 5000, 2000)

    with pytest.raises(EngineError) as refused:
        ring.rotated("more", b"", 5000, 2000)

    assert refused.value.code is ErrorCode.INVALID_ARGUMENT
    assert len(ring.rotated("more", b"", 5000, 7000)[0].keys) == 2
