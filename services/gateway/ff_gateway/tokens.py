"""Waitpoint tokens: made when they are told, checked when they are shown, stored nowhere.

A token is `w1.<kid>.<mac>`. Its mac covers all that the public waitpoint id beside it says, so a token opens
one waitpoint, of one execution, made by one suspension, until one moment. Whatever is wrong with one, the
answer is the same, and is given before anything is asked about the execution: nothing can be learnt from it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import Literal, Protocol

from prometheus_client import Counter

from ff_core.errors import EngineError, ErrorCode
from ff_core.keyring import Key, KeyRing
from ff_core.waitpoint import WaitpointRecord, WaitpointRef
from ff_core.wire.suspension import waitpoint_message
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

VERSION = "w1"
CALLBACKS = "/v1/callbacks/"
_TOKEN = re.compile(r"w1\.([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]{43})")
#: The longest namespace, execution and numbers make 160 characters, the longest token 80.
LONGEST_CALLBACK = 300

Refusal = Literal["malformed", "unknown_key", "mac", "expired", "mismatch"]
REFUSALS = Counter("ff_waitpoint_token_refusals_total", "Waitpoint tokens refused", ["reason"])


class Keys(Protocol):
    """The ring in force, and Valkey's time."""

    @property
    def ring(self) -> KeyRing: ...

    def now_ms(self) -> int: ...

    async def look_for(self, kid: str) -> None:
        """Looks at the stored ring again when it may have a key that this one has not."""


class Tokens:
    """Makes and checks tokens."""

    def __init__(self, keys: Keys, public_url: str = "") -> None:
        self._keys = keys
        self._public_url = public_url
        self._dummy = Key("", secrets.token_bytes(32), 0, 0)

    @property
    def kid(self) -> str:
        """Key for waitpoints made now."""
        return self._keys.ring.current

    def mint(self, ref: WaitpointRef, kid: str) -> tuple[str, str]:
        """The token of a waitpoint, and its key: `kid` while that is good, else the current one."""
        ring = self._keys.ring
        key = ring.key(kid, self._keys.now_ms()) or ring.keys[ring.current]
        return f"{VERSION}.{key.kid}.{_mac(key, ref)}", key.kid

    def told(self, record: WaitpointRecord) -> pb.Waitpoint:
        """A waitpoint with its token, for the worker that made it."""
        token, kid = self.mint(record.ref, record.kid)
        path = f"{CALLBACKS}{token}.{record.ref.render()}"
        return waitpoint_message(record, token, kid, path, self._public_url)

    async def verify(self, waitpoint_id: str, token: str) -> WaitpointRef:
        """What the waitpoint id says, when the token is its. Raises TOKEN_INVALID."""
        ref, match = WaitpointRef.parse(waitpoint_id), _TOKEN.fullmatch(token)
        if ref is None or match is None:
            raise refused("malformed")
        kid = match[1]
        if kid not in self._keys.ring.keys:
            await self._keys.look_for(kid)
        key = self._keys.ring.key(kid, self._keys.now_ms())
        # An unknown key takes as long as a known one.
        is_its = hmac.compare_digest(_mac(key or self._dummy, ref), match[2])
        if key is None:
            raise refused("unknown_key")
        if not is_its:
            raise refused("mac")
        return ref

    def outdated(self, expires_ms: int) -> EngineError:
        """The answer to a good token that the store did not take: too late, or for another waitpoint."""
        return refused("expired" if expires_ms <= self._keys.now_ms() else "mismatch")


def refused(reason: Refusal) -> EngineError:
    """The one answer to every token that does not open what it is shown for; only the counter knows why."""
    REFUSALS.labels(reason).inc()
    return EngineError(ErrorCode.TOKEN_INVALID)


def split_callback(text: str) -> tuple[str, str]:
    """Waitpoint id and token of a callback path's end. Raises TOKEN_INVALID.

    Neither version, key nor mac holds a dot; the id may.
    """
    parts = text.split(".", 3)
    if len(parts) < 4 or len(text) > LONGEST_CALLBACK:
        raise refused("malformed")
    return parts[3], ".".join(parts[:3])


def _mac(key: Key, ref: WaitpointRef) -> str:
    bound = (VERSION, ref.namespace, ref.execution_id, ref.scope, str(ref.number), str(ref.expires_ms))
    digest = hmac.new(key.secret, "\0".join(bound).encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
