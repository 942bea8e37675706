"""What steps of tests do: lines in a list, which tell how often they ran."""

from __future__ import annotations

import threading
from typing import Any

from flowfabric import Context, task


class Ledger:
    """Counts effects."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def write(self, line: str) -> str:
        self.lines.append(line)
        return f"did {line}"

    def write_in_thread(self, line: str) -> str:
        assert threading.current_thread() is not threading.main_thread()
        self.lines.append(line)
        return line


def three_steps(ledger: Ledger) -> Any:
    @task
    async def handler(context: Context) -> list[str]:
        return [await context.step(name, ledger.write, name) for name in ("a", "b", "c")]

    return handler
