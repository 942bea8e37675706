"""`python -m bench`: measures, prints tables, writes JSON."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench.host import describe
from bench.report import Outcome, table
from bench.scenario import QUICK, Case, Size
from bench.scenarios import SCENARIOS
from bench.server import Server, running_server

RESULTS = Path(__file__).parent / "results"
console = Console()


async def measure(case: Case, runs: int, progress: Progress) -> Outcome:
    """Measures the systems of a case in turn (A B C A B C ...), so that what the host does in the
    meantime falls on all of them."""
    outcome = Outcome(case)
    runs = min(runs, case.max_runs)
    task = progress.add_task(case.name, total=runs * len(case.systems))
    for run in range(runs):
        for system, sample in case.systems.items():
            progress.update(task, description=f"{case.name}  run {run + 1}/{runs}  {system}")
            try:
                outcome.samples.setdefault(system, []).append(await sample())
            except Exception as failure:
                outcome.samples[system] = outcome.samples.get(system, [])
                outcome.failures.setdefault(system, []).append("".join(traceback.format_exception(failure)))
                progress.console.print(f"[red]{case.name} {system} failed:[/red] {failure}", highlight=False)
            progress.advance(task)
    progress.remove_task(task)
    return outcome


def chosen(names: Sequence[str], server: Server, size: Size) -> list[Case]:
    """The cases of the named scenarios, or cases such as drain/c by their own name."""
    unknown = [name for name in names if name.partition("/")[0] not in SCENARIOS]
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    cases = [case for make in SCENARIOS.values() for case in make(server, size)]
    wanted = set(names)
    return [case for case in cases if not wanted or {case.name, case.name.partition("/")[0]} & wanted]


async def run(names: Sequence[str], runs: int, size: Size, out: Path) -> int:
    """Measures everything chosen; the report on disk is whole after every case."""
    began = time.monotonic()
    failures = 0
    async with running_server() as server:
        report: dict[str, Any] = {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": describe(server),
            "config": {"runs": runs, "size": asdict(size)},
            "cases": {},
        }
        host = report["host"]
        console.print(
            f"{host['cores']} cores, {host['cpu']}; Valkey {host['valkey']}, AOF everysec; {runs} runs"
        )
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            for case in chosen(names, server, size):
                outcome = await measure(case, runs, progress)
                failures += sum(map(len, outcome.failures.values()))
                progress.console.print(table(outcome), "")
                report["cases"][case.name] = outcome.as_json()
                report["seconds"] = round(time.monotonic() - began, 1)
                out.write_text(json.dumps(report, indent=1))
    console.print(f"{out} written after {time.monotonic() - began:.0f} s")
    return 1 if failures else 0


def main(
    scenario: Annotated[list[str] | None, typer.Option(help="Scenario or case; may be repeated.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Samples of each system; the median is shown.")] = 5,
    out: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: proves that it runs, measures little.")
    ] = False,
) -> None:
    """Measures FlowFabric beside other systems on one Valkey; README.md in bench/ tells how."""
    target = out or RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    sys.exit(uvloop.run(run(scenario or [], runs, QUICK if quick else Size(), target)))


if __name__ == "__main__":
    typer.run(main)
