"""What people type, as values: durations, tags and inputs."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

Input = Annotated[str | None, typer.Option(metavar="JSON", help="The input, as JSON.")]
InputFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The input: the bytes of a file, or of stdin (-).")
]
Raw = Annotated[str | None, typer.Option(metavar="TEXT", help="The input: this text as it is.")]

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
DURATION = re.compile(r"([0-9]*\.?[0-9]+)\s*(ms|s|m|h|d)?")


def parse_duration(text: str) -> float:
    """Seconds in a length of time such as 500ms, 30, 30s, 5m, 2h or 1d."""
    match = DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * UNITS[match[2] or "s"] if match else math.inf
    # Ten thousand years; the wire cannot carry more.
    if seconds > 315_576_000_000:
        raise typer.BadParameter(f"{text!r} is no duration; write 500ms, 30s, 5m, 2h or 1d")
    return seconds


def parse_tags(pairs: Sequence[str], hint: str = "--tag") -> dict[str, str]:
    """Tags written as key=value."""
    tags: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{pair!r} is no tag; write area.name=value", param_hint=hint)
        tags[key] = value
    return tags


def read_input(as_json: str | None, file: Path | None, raw: str | None) -> bytes:
    """The payload, from the one place it was given in; nothing when it was not."""
    if sum(given is not None for given in (as_json, file, raw)) > 1:
        raise typer.BadParameter("give one of --input, --input-file and --raw")
    if as_json is not None:
        try:
            json.loads(as_json)
        except ValueError as error:
            raise typer.BadParameter(
                f"this is not JSON ({error}); a text needs quotes of its own, as in '\"Ada\"', "
                "or --raw to go as it is",
                param_hint="--input",
            ) from None
        return as_json.encode("utf-8", "surrogateescape")
    if file is not None:
        try:
            return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        except OSError as error:
            raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="--input-file") from None
    return (raw or "").encode("utf-8", "surrogateescape")
