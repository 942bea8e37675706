"""The rules: Lua files assembled into one content-addressed Valkey function library.

The digest of the content is part of the library's name and of every function's name, so two releases
live side by side on one Valkey and none replaces the other's functions.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

#: In the order they are assembled; what all functions share comes first.
SOURCES = (
    "prelude.lua",
    "document.lua",
    "transition.lua",
    "execution.lua",
    "claim.lua",
    "lease.lua",
    "outcome.lua",
    "condition.lua",
    "waitpoint.lua",
    "suspension.lua",
    "resume.lua",
    "signal.lua",
    "journal.lua",
    "fork.lua",
    "merge.lua",
    "summary.lua",
    "output.lua",
    "timer.lua",
    "index.lua",
    "upkeep.lua",
    "registry.lua",
    "keyring.lua",
    "feed.lua",
)

_REGISTERED = re.compile(r"^\s*register\('(\w+)'", re.MULTILINE)


@dataclass(frozen=True)
class Library:
    """The function library of this release."""

    name: str
    """ff_<digest>."""
    code: str
    """What FUNCTION LOAD takes."""
    functions: tuple[str, ...]
    """Names without the digest."""

    def function(self, name: str) -> str:
        """The name FCALL takes."""
        return f"{self.name}_{name}"


@functools.cache
def assemble(events_kept: int = 10_000) -> Library:
    """Reads the sources and names them by their content. `events_kept` bounds the feed of a partition."""
    bodies = [f"local EVENTS_KEPT = '{events_kept}'"]
    bodies += [(files(__package__) / source).read_text(encoding="utf-8") for source in SOURCES]
    digest = hashlib.sha256("\0".join(bodies).encode()).hexdigest()[:12]
    name = f"ff_{digest}"
    code = f"#!lua name={name}\nlocal LIBRARY = '{name}'\n" + "\n".join(bodies)
    functions = tuple(match for body in bodies for match in _REGISTERED.findall(body))
    return Library(name, code, functions)
