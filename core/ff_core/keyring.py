"""The keys that waitpoint tokens are made with, and how they are kept: one ring, encrypted, in one value.

A ring is never changed. A rotation makes another one with the next revision, and the revision is
authenticated with the ciphertext, so that an old ring can't be put back under a new number.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ff_core.errors import EngineError, ErrorCode, invalid

MAX_KEYS = 16
KEY_BYTES = 32
#: What a key of the caller's own must have at least: it may be tried for as long as somebody likes.
LEAST_SECRET = 32
_NONCE_BYTES = 12
_PURPOSE = b"flowfabric/keyring/1"


@dataclass(frozen=True, slots=True)
class Key:
    """One key; its secret is shown by no representation."""

    kid: str
    secret: bytes = field(repr=False)
    created_ms: int
    expires_ms: int
    """End of its grace; 0 for the current one."""

    def is_good(self, now_ms: int) -> bool:
        """Whether its tokens still count."""
        return not self.expires_ms or now_ms < self.expires_ms


@dataclass(frozen=True, slots=True)
class Rotated:
    """Answer to a rotation."""

    kid: str
    previous: str
    changed: bool
    """False when the ring had the key already; `kid` and `previous` are the current one then."""
    dropped: int
    """Keys past their grace that were removed."""


@dataclass(frozen=True, slots=True)
class SealedRing:
    """A ring as stored, and the time by Valkey's clock."""

    now_ms: int
    revision: int
    """0 when there is none."""
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys of the engine, as of one revision. A rotation makes another ring."""

    revision: int
    """0 before the first."""
    current: str
    """Key that new tokens are made with."""
    keys: Mapping[str, Key]

    @classmethod
    def first(cls, now_ms: int) -> KeyRing:
        """A ring of one new key, for an engine that has none."""
        return cls(1, "k1", {"k1": Key("k1", secrets.token_bytes(KEY_BYTES), now_ms, 0)})

    @classmethod
    def open(cls, sealed: SealedRing, roots: Roots) -> KeyRing:
        """Decrypts what is stored. Raises INVALID_ARGUMENT when no root secret fits."""
        return cls._read(sealed.revision, roots.decrypt(sealed.ciphertext, sealed.revision))

    def seal(self, roots: Roots) -> bytes:
        """Encrypts it under the newest root secret."""
        return roots.encrypt(self._text(), self.revision)

    def key(self, kid: str, now_ms: int) -> Key | None:
        """A key whose tokens count."""
        found = self.keys.get(kid)
        return found if found is not None and found.is_good(now_ms) else None

    def rotated(self, kid: str, secret: bytes, grace_ms: int, now_ms: int) -> tuple[KeyRing, Rotated]:
        """The ring whose current key is `kid`, and what was done; this one when it has that key already.

        An empty `kid` is chosen here, an empty `secret` made. Raises KEY_CONFLICT when the key has another
        secret, INVALID_ARGUMENT when the ring is full.
        """
        if secret and len(secret) < LEAST_SECRET:
            raise invalid("secret", f"{len(secret)} bytes; at least {LEAST_SECRET}")
        kept = {each.kid: each for each in self.keys.values() if each.is_good(now_ms)}
        if kid in kept:
            if secret and not secrets.compare_digest(secret, kept[kid].secret):
                raise EngineError(ErrorCode.KEY_CONFLICT, f"kid: {kid}", field="kid")
            return self, Rotated(self.current, self.current, changed=False, dropped=0)
        if len(kept) >= MAX_KEYS:
            raise invalid("kid", f"{len(kept)} keys are in their grace; at most {MAX_KEYS} at once")
        kept[self.current] = replace(kept[self.current], expires_ms=now_ms + grace_ms)
        kid = kid or self._next_kid()
        kept[kid] = Key(kid, secret or secrets.token_bytes(KEY_BYTES), now_ms, 0)
        answer = Rotated(kid, self.current, changed=True, dropped=len(self.keys) + 1 - len(kept))
        return KeyRing(self.revision + 1, kid, kept), answer

    def _next_kid(self) -> str:
        number = self.revision + 1
        while f"k{number}" in self.keys:
            number += 1
        return f"k{number}"

    def _text(self) -> bytes:
        keys = {
            each.kid: {
                "secret": base64.b64encode(each.secret).decode(),
                "created_ms": each.created_ms,
                "expires_ms": each.expires_ms,
            }
            for each in self.keys.values()
        }
        return json.dumps({"current": self.current, "keys": keys}).encode()

    @classmethod
    def _read(cls, revision: int, text: bytes) -> KeyRing:
        stored = json.loads(text)
        keys = {
            kid: Key(kid, base64.b64decode(each["secret"]), each["created_ms"], each["expires_ms"])
            for kid, each in stored["keys"].items()
        }
        return cls(revision, stored["current"], keys)


class Roots:
    """The root secrets of FF_WAITPOINT_HMAC_SECRET: the first encrypts, all of them decrypt.

    An object, because loggers print the plain variables of a failed call.
    """

    def __init__(self, root_secrets: Sequence[str]) -> None:
        self._ciphers = [AESGCM(_derived(secret.encode())) for secret in root_secrets]

    def encrypt(self, text: bytes, revision: int) -> bytes:
        """Nonce and ciphertext, good for one revision."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, text, _bound(revision))

    def decrypt(self, ciphertext: bytes, revision: int) -> bytes:
        """What `encrypt` was given. Raises INVALID_ARGUMENT when no secret fits."""
        nonce, sealed = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, sealed, _bound(revision))
            except (InvalidTag, ValueError):
                continue
        raise EngineError(
            ErrorCode.INVALID_ARGUMENT,
            "FF_WAITPOINT_HMAC_SECRET is not the one this Valkey was started with",
        )


def _derived(secret: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret)


def _bound(revision: int) -> bytes:
    return str(revision).encode()
