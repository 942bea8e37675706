"""Indexes the files of a directory while a worker gets killed, and checks that nobody can tell.

    python -m examples.index_files.demo [--dir DIR]

It starts the whole engine on this machine, an embedded Valkey with it, and two worker processes. Each
file is one execution. When half of them are done, a worker is killed; the other takes over.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from examples.index_files.board import Board
from examples.index_files.files import PROJECT, File, Selection, select
from examples.index_files.run import Wrong, follow, submit, wait_for_workers
from examples.index_files.verdict import Summary, judge
from flowfabric import Client, FlowFabricError
from flowfabric.cli.worker_process import WorkerProcess
from flowfabric.stack import Stack, StackError, ValkeyError

APP = "examples.index_files.tasks:index_file"
WORKERS = ("indexer-1", "indexer-2")
MOST_SLOTS = 64

# Short, so that nobody waits long for the work of the dead.
LEASE_TTL_MS = 2000

# How long the work would take with nobody killed, unless --pace says otherwise.
AIM_S = 8.0
LONGEST_PACE_S = 2.0

# How long a file takes on average: long enough for its lease to be renewed, and seen.
FILE_S = 1.5


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m examples.index_files.demo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--dir", type=Path, default=PROJECT, help="directory to index; this project")
    parser.add_argument("--pace", type=float, help="seconds to pause at each chunk; made to last 10 to 20 s")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON, the rest to stderr")
    options = parser.parse_args(arguments)
    options.dir = options.dir.expanduser().resolve()
    if not options.dir.is_dir():
        parser.error(f"{options.dir} is no directory")
    if options.pace is not None and not options.pace >= 0:
        parser.error("--pace must be 0 or more")
    return options


def slots_for(files: Sequence[File]) -> int:
    """Slots of each worker, so that files of average length keep all of them busy for the whole time."""
    return max(1, min(MOST_SLOTS, round(len(files) * FILE_S / AIM_S / len(WORKERS))))


def pace_for(files: Sequence[File], slots: int) -> float:
    """The pause at a chunk that makes the whole last as long as it should; very many files take longer."""
    in_flight = min(len(files), slots * len(WORKERS))
    chunks = sum(file.chunks for file in files)
    return min(LONGEST_PACE_S, max(AIM_S * in_flight, FILE_S * len(files)) / chunks)


def announce(console: Console, options: argparse.Namespace, selection: Selection) -> None:
    """Says what is indexed and what is not, and why."""
    console.print(f"{len(selection.files)} files of {options.dir}", soft_wrap=True)
    for reason, names in sorted(selection.skipped.items()):
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        console.print(f"skipped {len(names)}: {reason} ({some})", soft_wrap=True, markup=False)


async def run(console: Console, files: Sequence[File], pace: float | None) -> Summary:
    """Starts everything, runs the work, judges it, and stops everything."""
    slots = slots_for(files)
    async with AsyncExitStack() as exits:
        console.print("starting Valkey, gateway, scheduler and scanners")
        stack = await exits.enter_async_context(Stack(env={"FF_LEASE_TTL_MS": str(LEASE_TTL_MS)}))
        workers = [
            WorkerProcess(
                name,
                [APP, "--id", name, "--slots", str(slots)],
                {"FF_ADDR": stack.address},
                cwd=str(PROJECT),
            )
            for name in WORKERS
        ]
        for worker in workers:
            await worker.start()
            exits.push_async_callback(worker.stop)
        client = await exits.enter_async_context(Client(stack.address))
        await wait_for_workers(client, workers)
        began = time.monotonic()
        submitted = await submit(client, files, pace_for(files, slots) if pace is None else pace)
        console.print(f"submitted {len(submitted)} executions to {len(WORKERS)} workers of {slots} slots")
        with Board(console, WORKERS, len(submitted)) as board:
            sight = await follow(client, workers, len(submitted), board.show)
        console.print("checking results and output against the disk")
        summary = await judge(client, submitted, sight.executions)
        summary.seconds = round(time.monotonic() - began, 1)
        summary.killed = sight.killed
        if not sight.killed:
            summary.problems.append("no worker was killed: the work was done before half of it was seen done")
        elif not summary.recovered:
            summary.problems.append(f"{sight.killed} was killed with leases, but nothing was recovered")
        return summary


def report(console: Console, summary: Summary) -> None:
    """The summary, for people."""
    console.print(
        f"{summary.verified} of {summary.files} files have one outcome each, verified against the disk: "
        f"{summary.words:,} words, {summary.lines:,} lines, {summary.bytes:,} bytes",
        soft_wrap=True,
    )
    console.print(
        f"{summary.recovered} recovered from {summary.killed or 'nobody'}; {summary.frames:,} output frames; "
        f"{summary.seconds} s",
        soft_wrap=True,
    )
    for problem in summary.problems:
        console.print(
            f"[red]wrong:[/] {problem}" if console.is_terminal else f"wrong: {problem}", soft_wrap=True
        )
    if not summary.problems:
        console.print("[green]all is well[/]")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo; 0 when all is well."""
    options = parse(arguments)
    console = Console(stderr=options.json, highlight=False)
    selection = select(options.dir)
    announce(console, options, selection)
    if not selection.files:
        console.print("wrong: there is nothing to index")
        return 1
    try:
        summary = asyncio.run(run(console, selection.files, options.pace))
    except (FlowFabricError, StackError, ValkeyError, Wrong) as error:
        summary = Summary(len(selection.files), problems=[str(error)])
    except KeyboardInterrupt:
        return 130
    report(console, summary)
    if options.json:
        print(json.dumps(dataclasses.asdict(summary), indent=2))
    return 1 if summary.problems else 0


if __name__ == "__main__":
    sys.exit(main())
