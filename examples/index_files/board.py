"""What people see of a run: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from examples.index_files.run import Sight
from flowfabric import State
from flowfabric.cli.table import state_text

SHOWN_ALWAYS = (State.WAITING, State.ACTIVE, State.COMPLETED)

# A plain line each so many percent.
STEP_PERCENT = 10


class Board:
    """Shows each sight of a run; a context manager."""

    def __init__(self, console: Console, workers: Sequence[str], total: int) -> None:
        self._console = console
        self._workers = workers
        self._bar = Progress(
            TextColumn("files"), BarColumn(bar_width=40), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._bar_task = self._bar.add_task("files", total=total)
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._told = -1
        self._told_event = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, sight: Sight) -> None:
        """The newest sight."""
        if self._live is not None:
            self._bar.update(self._bar_task, completed=sight.ended)
            self._live.update(Group(self._table(sight), self._bar), refresh=True)
            return
        if sight.event != self._told_event:
            self._told_event = sight.event
            self._console.print(f"! {sight.event}", soft_wrap=True)
        step = 100 * sight.ended // max(sight.total, 1) // STEP_PERCENT
        if step != self._told:
            self._told = step
            self._console.print(self._line(sight), soft_wrap=True)

    def _line(self, sight: Sight) -> str:
        states = ", ".join(f"{sight.states[state]} {state.value}" for state in shown(sight))
        held = ", ".join(f"{name} holds {sight.held[name]}" for name in self._workers)
        return f"{sight.ended}/{sight.total} done: {states}; {held}; {sight.recovered} recovered"

    def _table(self, sight: Sight) -> Table:
        table = Table(title="index_files", title_justify="left", min_width=62)
        table.add_column("executions")
        table.add_column("", justify="right")
        table.add_column("workers")
        table.add_column("leases held", justify="right")
        left = [(state_text(state), str(sight.states[state])) for state in shown(sight)]
        left.append((Text("recovered", "magenta"), str(sight.recovered)))
        right = [
            (f"[red strike]{name}[/] killed" if name == sight.killed else name, str(sight.held[name]))
            for name in self._workers
        ]
        for row in range(max(len(left), len(right))):
            cells = left[row : row + 1] or [(Text(), "")]
            table.add_row(*cells[0], *(right[row : row + 1] or [("", "")])[0])
        table.caption = f"[red]{sight.event}[/]" if sight.event else None
        return table


def shown(sight: Sight) -> list[State]:
    """The states worth a row: the usual ones, and any other that occurs."""
    return [state for state in State if state in SHOWN_ALWAYS or sight.states[state]]
