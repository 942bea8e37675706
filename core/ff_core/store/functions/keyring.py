"""Wrappers of keyring.lua."""

from __future__ import annotations

from typing import Any, cast

from ff_core import keys
from ff_core.keyring import SealedRing
from ff_core.store.functions.base import Functions


class KeyRingFunctions(Functions):
    """The one stored ring of keys."""

    async def keyring_read(self) -> SealedRing:
        """The ring as stored; revision 0 when there is none."""
        now_ms, stored = cast("list[Any]", await self.client.fcall("keyring_read", keys.KEYRING))
        revision, _, ciphertext = stored.partition(b" ")
        return SealedRing(now_ms, int(revision or 0), ciphertext)

    async def keyring_swap(self, expected: int, revision: int, ciphertext: bytes) -> bool:
        """Puts another ring in the place of one; False when that is no longer the stored one."""
        reply = await self.client.fcall_durable("keyring_swap", keys.KEYRING, expected, revision, ciphertext)
        return reply == 1
