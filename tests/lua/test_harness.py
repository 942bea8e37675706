"""The in-process engine answers as a real Valkey does; both kinds run every line of these tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import ResponseError

from ff_lua import Library

from .conftest import KINDS
from .harness.engines import Engine, LuaEngine, RaisedAfterWriteError, ValkeyEngine

#: name of a function, its body, its reply
REPLIES: tuple[tuple[str, str, Any], ...] = (
    ("floats_are_cut", "return {1.9, -1.9, 2^53, 1e3}", [1, -1, 2**53, 1000]),
    ("arrays_stop_at_nil", "return {1, nil, 3}", [1]),
    ("false_is_nil", "return {false, true, 'x'}", [None, 1, b"x"]),
    ("nothing_is_nil", "return", None),
    ("status_is_text", "return redis.status_reply('FINE')", b"FINE"),
    ("bytes_are_bytes", r"return string.rep('\0\255\200', 2) .. args[1]", b"\0\xff\xc8\0\xff\xc8\xfe\r\n\0"),
    ("length_of_bytes", "return #args[1]", 4),
    ("args_are_strings", "return {type(args[2]), args[2], type(keys[1])}", [b"string", b"7", b"string"]),
    (
        "missing_is_false",
        "return {type(redis.call('GET', keys[1])), redis.call('GET', keys[1])}",
        [b"boolean", None],
    ),
    ("set_is_a_status", "return redis.call('SET', keys[1], 1).ok", b"OK"),
    (
        "numbers_as_arguments",
        "redis.call('HSET', keys[1], 'a', 1.5, 'b', 2^53, 'c', 1e20, 'd', 0.1, 'e', -3, 'f', 1e15)"
        " return redis.call('HVALS', keys[1])",
        [b"1.5", b"9007199254740992", b"1e+20", b"0.1", b"-3", b"1000000000000000"],
    ),
    (
        "hash_is_flat",
        "redis.call('HSET', keys[1], 'a', 1) return redis.call('HGETALL', keys[1])",
        [b"a", b"1"],
    ),
    ("hmget_has_holes", "return redis.call('HMGET', keys[1], 'a', 'b')", [None, None]),
    (
        "scores_are_text",
        "redis.call('ZADD', keys[1], 1.5, 'a', 1700000000000, 'b', -9e15 + 7, 'c')"
        " return {redis.call('ZSCORE', keys[1], 'a'), redis.call('ZRANGE', keys[1], 0, -1, 'WITHSCORES')}",
        [b"1.5", [b"c", b"-8999999999999993", b"a", b"1.5", b"b", b"1700000000000"]],
    ),
    (
        "zadd_flags",
        "redis.call('ZADD', keys[1], 5, 'a')"
        " return {redis.call('ZADD', keys[1], 'LT', 'CH', 7, 'a'),"
        " redis.call('ZADD', keys[1], 'LT', 'CH', 3, 'a'),"
        " redis.call('ZADD', keys[1], 'GT', 'CH', 1, 'a'), redis.call('ZADD', keys[1], 'XX', 'CH', 1, 'b'),"
        " redis.call('ZADD', keys[1], 'NX', 9, 'a'), redis.call('ZSCORE', keys[1], 'a')}",
        [0, 1, 0, 0, 0, b"3"],
    ),
    (
        "zpopmin",
        "redis.call('ZADD', keys[1], 2, 'b', 1, 'a') return {redis.call('ZPOPMIN', keys[1], 2),"
        " redis.call('ZPOPMIN', keys[1]), redis.call('EXISTS', keys[1])}",
        [[b"a", b"1", b"b", b"2"], [], 0],
    ),
    (
        "zrange_by_score",
        "redis.call('ZADD', keys[1], 1, 'a', 2, 'b', 3, 'c')"
        " return {redis.call('ZRANGE', keys[1], '-inf', 2, 'BYSCORE', 'LIMIT', 0, 1),"
        " redis.call('ZRANGEBYSCORE', keys[1], '(1', '+inf', 'WITHSCORES', 'LIMIT', 1, 5),"
        " redis.call('ZCOUNT', keys[1], '-inf', '(3')}",
        [[b"a"], [b"c", b"3"], 2],
    ),
    (
        "streams",
        "redis.call('XADD', keys[1], 'MAXLEN', '~', 1000, '5-1', 'f', 'v', 'g', '')"
        " redis.call('XADD', keys[1], '6-1', 'f', 'w')"
        " return {redis.call('XRANGE', keys[1], '-', '+', 'COUNT', 1), redis.call('XLEN', keys[1]),"
        " redis.call('XREVRANGE', keys[1], '+', '-', 'COUNT', 1)[1][1],"
        " redis.call('XTRIM', keys[1], 'MAXLEN', 1)}",
        [[[b"5-1", [b"f", b"v", b"g", b""]]], 2, b"6-1", 1],
    ),
    ("missing_command_words", "return redis.pcall('NOSUCH').err ~= nil and 1 or 0", 1),
    (
        "errors_are_caught_as_text",
        "local ok, problem = pcall(redis.call, 'GET') return {ok and 1 or 0, problem}",
        [0, b"ERR Wrong number of args calling command from script"],
    ),
    (
        "wrong_types_are_refused",
        "local ok, problem = pcall(redis.call, 'HSET', keys[1], 'a', true) return {ok and 1 or 0, problem}",
        [0, b"ERR Command arguments must be strings or integers"],
    ),
    (
        "wrong_kind_of_key",
        "redis.call('SET', keys[1], 'x') return string.match(redis.pcall('HGET', keys[1], 'a').err, '^%u+')",
        b"WRONGTYPE",
    ),
    (
        "json_out",
        r"""return {cjson.encode({}), cjson.encode({a = 1}), cjson.encode({1, 2, 'a/"\n\127\200'}),"""
        " cjson.encode(1e15), cjson.encode(0.1), cjson.encode(12345678901234),"
        " cjson.encode({{}, cjson.null, false})}",
        [
            b"{}",
            b'{"a":1}',
            b'[1,2,"a\\/\\"\\n\\u007f\xc8"]',
            b"1e+15",
            b"0.1",
            b"12345678901234",
            b"[{},null,false]",
        ],
    ),
    (
        "json_in",
        """local v = cjson.decode('{"a":[1.5,null,{"b":"\\\\u00e9"}],"n":12}')"""
        " return {tostring(v.a[1]), v.a[2] == cjson.null and 1 or 0, v.a[3].b, tostring(v.n),"
        " cjson.encode(v.a)}",
        [b"1.5", 1, b"\xc3\xa9", b"12", b'[1.5,null,{"b":"\xc3\xa9"}]'],
    ),
    (
        "messagepack_out",
        r"return {cmsgpack.pack({}), cmsgpack.pack({a = 1}), cmsgpack.pack({1, {}, 'a\127\200'}),"
        " cmsgpack.pack({-1, -33, 127, 255, 65536, 1700000000000, -9e15}),"
        " cmsgpack.pack(string.rep('x', 40)), cmsgpack.pack({[2] = true}), cmsgpack.pack(0.1),"
        " cmsgpack.pack({cjson.null, false}), cmsgpack.pack(nil, 1, nil)}",
        [
            b"\x90",
            b"\x81\xa1a\x01",
            b"\x93\x01\x90\xa3a\x7f\xc8",
            b"\x97\xff\xd0\xdf\x7f\xcc\xff\xce\x00\x01\x00\x00"
            b"\xcf\x00\x00\x01\x8b\xcf\xe5h\x00\xd3\xff\xe0\x06\x8c5\x05\x80\x00",
            b"\xd9(" + b"x" * 40,
            b"\x81\x02\xc3",
            b"\xcb?\xb9\x99\x99\x99\x99\x99\x9a",
            b"\x92\xc0\xc2",
            b"\xc0\x01\xc0",
        ],
    ),
    (
        "messagepack_in",
        r"local v = {a = {1.5, {}, '\0\255'}, n = 2^53, t = true, z = cjson.null}"
        " v = cmsgpack.unpack(cmsgpack.pack(v))"
        " return {tostring(v.a[1]), #v.a[2], v.a[3], string.format('%.0f', v.n), v.t, v.z == nil,"
        " cjson.encode(v.a)}",
        [b"1.5", 0, b"\0\xff", b"9007199254740992", 1, 1, b'[1.5,{},"\\u0000\xff"]'],
    ),
    (
        "messagepack_of_many",
        "local a, b, c, d = cmsgpack.unpack(cmsgpack.pack(nil, 'b', false, nil))"
        " return {a == nil, b, c == false, d == nil,"
        " select('#', cmsgpack.unpack(cmsgpack.pack(nil, 'b', false, nil)))}",
        [1, b"b", 1, 1, 4],
    ),
    ("sha1hex", "return redis.sha1hex('')", b"da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ("log_is_silent", "return redis.log(redis.LOG_NOTICE, 'x')", None),
    ("server_is_redis", "return server.call('ECHO', 'x')", b"x"),
    ("string_methods", "return ('%.0f'):format(1e15)", b"1000000000000000"),
    (
        "publish_counts",
        "return {redis.call('PUBLISH', 'c', 'm'), redis.call('SPUBLISH', keys[1], 'n')}",
        [0, 0],
    ),
)

#: name, body, start of the error's text
ERRORS = (
    ("boom", "error('boom')", "user_function:"),
    ("error_tables_keep_their_text", "error({err = 'MY boom'})", "MY boom"),
    ("error_replies_are_raised", "return redis.error_reply('MY reply')", "MY reply"),
    ("unknown_globals", "return nosuch", "user_function:"),
    ("new_globals", "foo = 1", "user_function:"),
    ("changed_libraries", "string.foo = 1", "user_function:"),
    ("failed_commands", "return redis.call('GET')", "Wrong number of args"),
)

NOT_LOADED = (
    "local call = redis.call",
    "x = 1",
    "return nosuch",
    "print(1)",
    "local function (",
    "local " + ",".join(f"a{index}" for index in range(201)),
)

CODE = "#!lua name=t\nlocal function register(name, body) redis.register_function('t_' .. name, body) end\n"


def library(*functions: tuple[str, str]) -> Library:
    """A library of functions, each given by name and body."""
    parts = [f"register('{name}', function(keys, args) {body} end)\n" for name, body in functions]
    return Library("t", CODE + "".join(parts), tuple(name for name, _ in functions))


def build(kind: str, content: Library, request: pytest.FixtureRequest) -> LuaEngine | ValkeyEngine:
    """An engine with a library of these tests."""
    if kind == "in-process":
        return LuaEngine(content)
    server = request.getfixturevalue("valkey")
    return ValkeyEngine(server.host, server.port, content)


@pytest.fixture(scope="module", params=KINDS)
def loaded_engine(request: pytest.FixtureRequest) -> Iterator[LuaEngine | ValkeyEngine]:
    extra = [("write_then_raise", "redis.call('SET', keys[1], 1) error('late')")]
    bodies = [(name, body) for name, body, _ in (*REPLIES, *ERRORS)]
    engine = build(request.param, library(*bodies, *extra), request)
    yield engine
    engine.close()


@pytest.mark.parametrize(("name", "reply"), [(name, reply) for name, _, reply in REPLIES])
def test_a_function_replies_as_on_valkey(engine: Engine, name: str, reply: object) -> None:
    assert engine.call(name, ["ff:{p:0}:key"], [b"\xfe\r\n\0", 7]) == reply


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, _, text in ERRORS])
def test_a_function_raises_as_on_valkey(engine: Engine, name: str, text: str) -> None:
    with pytest.raises(ResponseError, match=f"^{text}"):
        engine.call(name, ["ff:{p:0}:key"])


def test_an_unknown_function_says_so(engine: Engine) -> None:
    with pytest.raises(ResponseError, match="Function not found"):
        engine.call("nosuch", ["k"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", NOT_LOADED, ids=range(len(NOT_LOADED)))
def test_a_library_is_refused_as_by_valkey(kind: str, code: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(ResponseError):
        build(kind, Library("t", CODE + code, ()), request)


def test_messages_are_recorded_byte_for_byte(engine: Engine) -> None:
    engine.command("SPUBLISH", "c", b'\0"\\\r\n\xff x')
    engine.call("publish_counts", ["k"])

    assert engine.published == [(b"c", b'\0"\\\r\n\xff x'), (b"c", b"m"), (b"k", b"n")]


def test_time_moves_only_when_told_and_takes_keys_with_it(engine: Engine) -> None:
    engine.command("SET", "short", "x", "PX", 60_000)
    engine.command("SET", "long", "x", "PX", 6_000_000)
    before = engine.now_ms

    engine.advance(61_000)

    assert engine.now_ms == before + 61_000
    assert engine.all_keys() == [b"long"]


def test_raising_after_a_write_fails_the_test(request: pytest.FixtureRequest) -> None:
    engine = build("in-process", library(("late", "redis.call('SET', keys[1], 1) error('late')")), request)

    with pytest.raises(RaisedAfterWriteError):
        engine.call("late", ["k"])
