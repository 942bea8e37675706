"""Runs the function library inside the test process, or on a real Valkey, behind one interface.

    sandbox.lua     what Valkey gives to functions: names, read-only tables, how errors look
    interpreter.py  loads a library there and calls its functions, converting replies as Valkey does
    commands.py     answers redis.call, with fakeredis at the time of a clock that only tests move
    json.py         cjson, as far as the rules need it
    messagepack.py  cmsgpack, the same
    engines.py      Engine, and its two kinds: LuaEngine (all of the above) and ValkeyEngine
    scenario.py     reads what the rules wrote: cores, indexes, events, orphans

What the in-process kind checks and a real server would not: that nothing raises after a write, and that all
keys of a call are in one slot.
"""
