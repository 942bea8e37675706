"""Loads a library into the sandbox and calls its functions, converting as Valkey does.

Strings are bytes on both sides (`encoding=None`), so any byte string round-trips. A Python exception inside a
command is a bug of the harness and is raised again after Lua returns, so that no pcall of the rules hides it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lupa import lua51  # type: ignore[import-untyped]
from redis.exceptions import ResponseError

from . import json, messagepack
from .commands import Commands, SimpleError, SimpleString

SANDBOX = Path(__file__).with_name("sandbox.lua")
BAD_ARGUMENT = b"ERR Command arguments must be strings or integers"
WRONG_NUMBER = b"ERR Wrong number of args calling command from script"

Reply = None | int | bytes | ResponseError | list["Reply"]


class Interpreter:
    """One library, loaded; `commands` may be replaced between calls."""

    def __init__(self, code: str, commands: Commands) -> None:
        self.commands = commands
        self.log: list[bytes] = []
        self._bug: Exception | None = None
        self._lua = lua51.LuaRuntime(
            encoding=None, unpack_returned_tuples=True, register_eval=False, register_builtins=False
        )
        build = self._lua.execute(b"return function(...) " + SANDBOX.read_bytes() + b" end")
        self._sandbox = build(
            self._dispatch,
            self._decode,
            self._encode,
            self._unpack,
            messagepack.pack,
            self._sha1hex,
            self._write_log,
        )
        shebang, _, body = code.partition("\n")
        if not shebang.startswith("#!lua name="):
            raise ResponseError("Missing library metadata")
        problem = self._sandbox[b"load"](b"\n" + body.encode(), b"user_function")
        if problem is not None:
            raise ResponseError(f"Error registering functions: {problem.decode()}")
        self.functions = frozenset(name.decode() for name in self._sandbox[b"functions"])

    def call(self, function: str, keys: Sequence[bytes], args: Sequence[bytes]) -> Reply:
        """What FCALL answers; an error reply is raised."""
        if function not in self.functions:
            raise ResponseError("Function not found")
        ok, reply = self._sandbox[b"invoke"](
            function.encode(), self._lua.table_from(keys), self._lua.table_from(args)
        )
        if self._bug is not None:
            bug, self._bug = self._bug, None
            raise bug
        if not ok:
            raise _error(reply)
        answer = _to_reply(reply)
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    def _dispatch(self, count: int, *arguments: Any) -> Any:
        try:
            fields = [_to_argument(argument) for argument in arguments]
            if count == 0 or count != len(fields) or None in fields:
                return self._lua.table_from({b"err": BAD_ARGUMENT})
            return self._to_lua(self.commands.execute(*[field for field in fields if field is not None]))
        except Exception as bug:
            self._bug = bug
            raise

    def _to_lua(self, reply: Any) -> Any:
        if isinstance(reply, bytes | int):
            return reply
        if reply is None:
            return False
        if isinstance(reply, SimpleString):
            return self._lua.table_from({b"ok": reply.value})
        if isinstance(reply, SimpleError):
            text = reply.value.encode()
            if text.lower().startswith(b"err wrong number of arguments"):
                text = WRONG_NUMBER
            return self._lua.table_from({b"err": text})
        if isinstance(reply, list):
            return self._lua.table_from([self._to_lua(item) for item in reply])
        raise TypeError(f"fakeredis answered {type(reply).__name__}")

    def _encode(self, value: Any = None) -> bytes:
        return json.encode(value)

    def _decode(self, text: bytes) -> Any:
        return json.decode(text, self._sandbox[b"null"], self._lua.table_from)

    def _unpack(self, packed: bytes) -> Any:
        return messagepack.unpack(packed, self._lua.table_from)

    def _sha1hex(self, text: bytes) -> bytes:
        return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()

    def _write_log(self, _level: int, *parts: bytes) -> None:
        self.log.append(b" ".join(parts))


def _to_argument(value: Any) -> bytes | None:
    """The bytes of one argument of redis.call, or None when its type is not allowed."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) or (value.is_integer() and abs(value) < 2**63):
        return b"%d" % int(value) if abs(value) < 2**63 else repr(float(value)).encode()
    return repr(value).encode()


def _to_reply(value: Any) -> Reply:  # noqa: PLR0911 - one return for each kind of value
    """What a client reads when a function returns `value`."""
    if value is None or value is False:
        return None
    if value is True:
        return 1
    if isinstance(value, int | float):
        return int(value) if math.isfinite(value) and abs(value) < 2**63 else -(2**63)
    if isinstance(value, bytes):
        return value
    if lua51.lua_type(value) != "table":
        return None
    if isinstance(value[b"err"], bytes):
        return _error(value[b"err"])
    if isinstance(value[b"ok"], bytes):
        return bytes(value[b"ok"])
    items: list[Reply] = []
    while (item := value[len(items) + 1]) is not None:
        items.append(_to_reply(item))
    return items


def _error(text: bytes) -> ResponseError:
    return ResponseError(text.decode("utf-8", "replace").removeprefix("ERR "))
