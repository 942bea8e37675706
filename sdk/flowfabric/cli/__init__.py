"""The command line: run the engine, run workers, submit work, look at it, steer it.

app          the commands, by name
command      what all commands share: where the engine is, and how an error is told
values       what people type: durations, tags, inputs
document     values as JSON; `table` shows the same to people
dev          the whole engine on this machine, in one of `log_view`'s views; `worker_process` are its workers
worker       one worker process; with --json its log is in `log_line`s
"""

from flowfabric.cli.app import main

__all__ = ["main"]
