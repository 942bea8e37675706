"""The rules behind one interface, twice: in this process, and on a real Valkey.

Both kinds stand at a time that only `advance` moves. On the real server that needs a change of the library:
the body of the prelude's `now_ms`, the only reader of TIME, is replaced in the text before it is loaded. TTLs
of keys are moved by hand, the ids of streams stay real.
"""
# mypy: disable-error-code="no-untyped-call"
# (redis-py's connection and execute_command carry no types)

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Protocol, cast

import redis
from redis.crc import key_slot
from redis.exceptions import ResponseError

from ff_lua import Library

from .clock import FakeClock
from .commands import Commands, SimpleError, SimpleString
from .interpreter import Interpreter, Reply

CLOCK_KEY = b"ff:test:clock"
NOW_MS = re.compile(r"(function ff\.now_ms\(\)\n)(.*?)(\n  end\n)", re.DOTALL)

Argument = str | bytes | int | float


class Engine(Protocol):
    """What tests do to the rules."""

    @property
    def now_ms(self) -> int:
        """The engine's time."""

    @property
    def published(self) -> list[tuple[bytes, bytes]]:
        """Channel and message of every PUBLISH and SPUBLISH so far."""

    def advance(self, milliseconds: int) -> None:
        """Move time forward."""

    def call(self, function: str, keys: Sequence[str | bytes], args: Sequence[Argument] = ()) -> Reply:
        """The reply of a function by its plain name, as in `lease_renew`."""

    def command(self, *fields: Argument) -> Reply:
        """The reply of a command, in RESP 2."""

    def all_keys(self) -> list[bytes]:
        """All keys, sorted, without the harness' own."""


class RaisedAfterWriteError(AssertionError):
    """A function raised when it had already written: the transition is half done."""


class CrossedSlotsError(AssertionError):
    """A function touched keys of more than one slot; a cluster refuses that."""


class LuaEngine:
    """The library in this process. `reset` empties the store and keeps the loaded library."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._commands = Commands(FakeClock())
        self._interpreter = Interpreter(library.code, self._commands)

    @property
    def now_ms(self) -> int:
        return self._commands.clock.now_ms

    @property
    def published(self) -> list[tuple[bytes, bytes]]:
        return self._commands.published

    def reset(self) -> None:
        self._commands = Commands(FakeClock())
        self._interpreter.commands = self._commands

    def advance(self, milliseconds: int) -> None:
        self._commands.clock.advance(milliseconds)

    def call(self, function: str, keys: Sequence[str | bytes], args: Sequence[Argument] = ()) -> Reply:
        declared = [to_bytes(key) for key in keys]
        self._commands.slots = {key_slot(key) for key in declared}
        before = self._commands.writes
        try:
            reply = self._interpreter.call(
                self._library.function(function), declared, [to_bytes(argument) for argument in args]
            )
        except ResponseError as error:
            if self._commands.writes > before:
                raise RaisedAfterWriteError(f"{function}: {error}") from error
            raise
        if len(self._commands.slots) > 1:
            raise CrossedSlotsError(f"{function} touched slots {sorted(self._commands.slots)}")
        return reply

    def command(self, *fields: Argument) -> Reply:
        return _plain(self._commands.execute(*[to_bytes(field) for field in fields]))

    def all_keys(self) -> list[bytes]:
        return sorted(cast("list[bytes]", self.command("KEYS", "*")))

    def close(self) -> None:
        pass


class ValkeyEngine:
    """The library on a real server, which belongs to the tests: every reset flushes it."""

    def __init__(self, host: str, port: int, library: Library) -> None:
        self._library = at_test_clock(library)
        self._client = redis.Redis(host=host, port=port, protocol=2)
        self._client.response_callbacks.clear()
        self._wiretap = Wiretap(redis.Connection(host=host, port=port, protocol=2))
        self.command("FUNCTION", "FLUSH")
        self.command("FUNCTION", "LOAD", self._library.code)
        self.reset()

    @property
    def now_ms(self) -> int:
        return int(cast("bytes", self.command("GET", CLOCK_KEY)))

    @property
    def published(self) -> list[tuple[bytes, bytes]]:
        # Whatever the server did before it answered this PING is in the wiretap before the PING is.
        self.command("PING", b"published?")
        return self._wiretap.published_until(b"published?")

    def reset(self) -> None:
        self.command("FLUSHALL")
        seconds, microseconds = cast("list[bytes]", self.command("TIME"))
        self.command("SET", CLOCK_KEY, int(seconds) * 1000 + int(microseconds) // 1000)
        self.command("PING", b"reset")
        self._wiretap.published_until(b"reset").clear()

    def advance(self, milliseconds: int) -> None:
        assert milliseconds >= 0
        self.command("INCRBY", CLOCK_KEY, milliseconds)
        for key in self.all_keys():
            ttl = cast("int", self.command("PTTL", key))
            if ttl >= 0:
                self.command("PEXPIRE", key, ttl - milliseconds)

    def call(self, function: str, keys: Sequence[str | bytes], args: Sequence[Argument] = ()) -> Reply:
        return self.command("FCALL", self._library.function(function), len(keys), *keys, *args)

    def command(self, *fields: Argument) -> Reply:
        return cast("Reply", self._client.execute_command(*fields))

    def all_keys(self) -> list[bytes]:
        return sorted(key for key in cast("list[bytes]", self.command("KEYS", "*")) if key != CLOCK_KEY)

    def close(self) -> None:
        self._wiretap.close()
        self._client.close()


class Wiretap:
    """MONITOR: the only place that shows messages to sharded channels nobody subscribed to."""

    QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
    ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
    CONTROLS: ClassVar = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}

    def __init__(self, connection: redis.Connection) -> None:
        self._published: list[tuple[bytes, bytes]] = []
        self._connection = connection
        connection.connect()
        connection.send_command("MONITOR")
        connection.read_response()

    def published_until(self, mark: bytes) -> list[tuple[bytes, bytes]]:
        """All messages up to a PING with this mark."""
        while True:
            line = cast("bytes", self._connection.read_response())
            command, *arguments = [self._unescape(quoted) for quoted in self.QUOTED.findall(line)]
            if command.upper() in (b"PUBLISH", b"SPUBLISH"):
                self._published.append((arguments[0], arguments[1]))
            elif command.upper() == b"PING" and arguments == [mark]:
                return self._published

    def close(self) -> None:
        self._connection.disconnect()

    def _unescape(self, quoted: bytes) -> bytes:
        def plain(match: re.Match[bytes]) -> bytes:
            escape: bytes = match[1]
            if len(escape) == 3:
                return bytes([int(escape[1:], 16)])
            return self.CONTROLS.get(escape, escape)

        return self.ESCAPE.sub(plain, quoted)


def at_test_clock(library: Library) -> Library:
    """The library with its clock read from a key of the tests; one without the prelude is left alone.

    It has a name of its own: what else runs on this server must not take it for the real one.
    """
    if "ff.now_ms" not in library.code:
        return library
    body = f"    return tonumber(redis.call('GET', '{CLOCK_KEY.decode()}'))"
    code, count = NOW_MS.subn(lambda match: match[1] + body + match[3], library.code)
    assert count == 1, f"now_ms was found {count} times in the library"
    name = f"test_{library.name}"
    return replace(library, name=name, code=code.replace(library.name, name))


def to_bytes(argument: Argument) -> bytes:
    """An argument as a client would send it."""
    if isinstance(argument, bytes):
        return argument
    return (argument if isinstance(argument, str) else repr(argument)).encode()


def _plain(reply: object) -> Reply:
    if isinstance(reply, SimpleString):
        return reply.value
    if isinstance(reply, SimpleError):
        raise ResponseError(reply.value.removeprefix("ERR "))
    if isinstance(reply, list):
        return [_plain(item) for item in reply]
    return cast("Reply", reply)
