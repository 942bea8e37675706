"""Reads what the rules wrote, straight from the keys, so that a test trusts no function to judge another."""

from __future__ import annotations

from .engines import Engine


class Scenario:
    """One partition of an engine."""

    def __init__(self, engine: Engine, partition: int = 0) -> None:
        self.engine = engine
        self.prefix = f"ff:{{p:{partition}}}:"
