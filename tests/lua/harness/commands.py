"""Answers `redis.call` with fakeredis, at the time of a fake clock.

fakeredis reads the machine's clock in three places: expiry (`db.time`), TIME, and the `*` of XADD. All three
are given the fake clock here. Its command table is used as it is; what lies above it (connections, parsing,
redis-py's conversions) is not, because Lua sees replies before redis-py reshapes them.
"""

from __future__ import annotations

from typing import Any

import redis
from fakeredis import FakeServer
from fakeredis._commands import Key, Signature
from fakeredis._helpers import SimpleError, SimpleString
from fakeredis._socket import FakeSocket
from fakeredis._socket._resp import extract_command
from fakeredis.model import is_write_command
from redis.crc import key_slot

from .clock import FakeClock

PUBLISH = (b"publish", b"spublish")


class Commands:
    """One empty store; `execute` is one command as Lua would see its reply."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.published: list[tuple[bytes, bytes]] = []
        self.writes = 0
        self.slots: set[int] = set()
        self._server = FakeServer(server_type="valkey", version=(8, 1))
        self._socket = FakeSocket(
            self._server, 0, client_class=redis.Redis, client_info={"resp": 2, "user": "default"}
        )

    def execute(self, *fields: bytes) -> Any:
        """The reply: bytes, int, list, None; SimpleString for a status, SimpleError for an error."""
        command, arguments = extract_command(list(fields))
        if command == "time":
            seconds, milliseconds = divmod(self.clock.now_ms, 1000)
            return [b"%d" % seconds, b"%d" % (milliseconds * 1000)]
        try:
            function, signature = self._socket._name_to_func(command)
        except SimpleError as error:
            return error
        if command == "xadd":
            arguments = self._at_clock(arguments)
        self._record(command, arguments, signature)
        for database in self._server.dbs.values():
            database.time = self.clock.now_ms / 1000
        with self._server.lock:
            return self._socket._run_command(function, signature, arguments, True)

    def _at_clock(self, arguments: list[bytes]) -> list[bytes]:
        """The arguments of XADD with the clock's milliseconds in place of `*`."""
        for position, argument in enumerate(arguments[1:], start=1):
            if argument == b"*":
                return [*arguments[:position], b"%d-*" % self.clock.now_ms, *arguments[position + 1 :]]
            if b"-" in argument:
                break
        return arguments

    def _record(self, command: str, arguments: list[bytes], signature: Signature) -> None:
        """Note what tests ask about later: messages, writes, and the slots of the keys."""
        name = command.encode()
        if name in PUBLISH:
            self.published.append((arguments[0], arguments[1]))
        if name == b"spublish":
            self.slots.add(key_slot(arguments[0]))
        if is_write_command(name):
            self.writes += 1
        kinds = list(signature.fixed)
        while signature.repeat and len(kinds) < len(arguments):
            kinds.extend(signature.repeat)
        self.slots.update(
            key_slot(argument)
            for argument, kind in zip(arguments, kinds, strict=False)
            if isinstance(kind, Key)
        )


__all__ = ["Commands", "SimpleError", "SimpleString"]
