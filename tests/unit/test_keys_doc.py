"""docs/reference/keys.md names every key that Python and Lua spell, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from ff_core import keys

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "keys.md").read_text()
LIBRARY = "\n".join(path.read_text() for path in sorted((ROOT / "lua" / "ff_lua").glob("*.lua")))

#: The first cell of every table row that is a key or a channel.
NAMES = re.findall(r"^\| `(ff:[^`]+)` \|", PAGE, re.MULTILINE)

SPELT_IN_PYTHON = {
    keys.WORKERS: "ff:{w}:workers",
    keys.CONFIG: "ff:{m}:config",
    keys.WORKERS_CHANNEL: "ff:workers",
    keys.KEYRING: "ff:{m}:keyring",
    keys.KEYRING_CHANNEL: "ff:keyring",
    keys.anchor(7): "ff:{p:N}:executions",
    keys.members("gateway"): "ff:{m}:members:<service>",
    keys.wake_channel(7): "ff:{p:N}:wake",
    keys.news_channel(7): "ff:{p:N}:news",
    keys.gateway_channel("gateway-1"): "ff:gateway:<id>",
    keys.partition_prefix(7) + "queue:" + keys.queue("ns", "lane", "gpu"): (
        "ff:{p:N}:queue:<namespace>/<lane>/<class>"
    ),
}


def matches(name: str, key: str) -> bool:
    pattern = re.sub(r"<[^>]+>", ".+", re.escape(name).replace(r"\{p:N\}", r"\{p:\d+\}"))
    return re.fullmatch(pattern, key) is not None


def test_no_key_is_named_twice() -> None:
    assert len(NAMES) == len(set(NAMES))


def test_keys_of_python_are_spelt_as_on_the_page() -> None:
    for key, name in SPELT_IN_PYTHON.items():
        assert name in NAMES
        assert matches(name, key), key


def test_kinds_of_keys_in_lua_are_those_of_the_page() -> None:
    derived = re.findall(r"ff\.key\((?:x\.)?prefix, '(\w+)'", LIBRARY)
    appended = re.findall(r"prefix \.\. '(\w+):?'", LIBRARY)
    placed = re.findall(r"ff\.place\(x, '(\w+):?'", LIBRARY)
    owned = re.findall(r"'(\w+)'", re.search(r"local OWNED = \{(.*?)\}", LIBRARY, re.DOTALL)[1])  # type: ignore[index]
    terminal = re.findall(r"(\w+) = true", re.search(r"ff\.TERMINAL = \{(.*?)\}", LIBRARY)[1])  # type: ignore[index]
    in_lua = {*derived, *appended, *placed, *owned, *terminal, "executions"} - {"worker"}

    on_page = {re.split(r"[:/]", name.removeprefix("ff:{p:N}:"))[0] for name in NAMES if "{p:N}" in name}

    assert on_page == in_lua


def test_registries_of_lua_are_on_the_page() -> None:
    suffixes = set(re.findall(r"keys\[1\] \.\. '(:\w+)'", LIBRARY))

    assert {f"ff:{{m}}:members:<service>{suffix}" for suffix in suffixes} <= set(NAMES)
    assert "ff:{w}:worker:<id>" in NAMES
    assert {"ff:gateway:<id>", "ff:workers"} == {
        name for name in NAMES if name.startswith(("ff:gateway", "ff:workers"))
    }
