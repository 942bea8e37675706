"""`flowfabric worker`: one worker process for the tasks of a module."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Annotated, Any

import typer

from flowfabric._task import Task
from flowfabric._worker import Worker
from flowfabric.cli.command import AsJson, Target, run, targeted
from flowfabric.cli.log_line import LogLine
from flowfabric.cli.values import parse_duration

APP_HINT = "MODULE:APP"


@targeted
def worker(
    target: Target,
    *,
    app: Annotated[
        str,
        typer.Argument(metavar=APP_HINT, help="A Worker, a task, or a list of tasks: shop.tasks:worker"),
    ],
    slots: Annotated[int | None, typer.Option(min=1, help="Handlers at once; 8 unless given.")] = None,
    lane: Annotated[
        list[str] | None,
        typer.Option(help="Take work from this lane (repeat); the tasks' lanes unless given."),
    ] = None,
    capability: Annotated[
        list[str] | None, typer.Option(help="What executions may require of it (repeat).")
    ] = None,
    short_wait: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration,
            metavar="DURATION",
            help="Sleeps up to this long stay in memory instead of suspending; 1s unless given.",
        ),
    ] = None,
    worker_id: Annotated[str | None, typer.Option("--id", help="Unique name; made up unless given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the tasks of a module until Ctrl-C or SIGTERM, which lets running work finish."""
    log = logging.StreamHandler(sys.stdout if as_json else sys.stderr)
    log.setFormatter(LogLine() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[log])
    # For a Worker that is made while its module is imported, and is not told otherwise.
    if target.address:
        os.environ["FF_ADDR"] = target.address
    if target.token:
        os.environ["FF_API_TOKEN"] = target.token
    if target.namespace:
        os.environ["FF_NAMESPACE"] = target.namespace
    found = load(app)
    given: dict[str, Any] = {
        "slots": slots,
        "lanes": lane,
        "capabilities": capability,
        "short_wait": short_wait,
        "worker_id": worker_id,
        "namespace": target.namespace,
    }
    given = {name: value for name, value in given.items() if value not in (None, "", [])}
    run(make_worker(app, found, given).run())


def make_worker(app: str, found: object, given: dict[str, Any]) -> Worker:
    """The worker itself, or one for the tasks, with the options that were given."""
    if isinstance(found, Worker):
        if given.get("namespace") == found.namespace:
            del given["namespace"]
        if given:
            raise typer.BadParameter(
                f"{app} is a Worker, which has its own {', '.join(sorted(given))}; "
                "leave the options out, or name its tasks instead",
                param_hint=APP_HINT,
            )
        return found
    candidates = found if isinstance(found, list | tuple) else [found]
    tasks: list[Task[..., Any]] = [each for each in candidates if isinstance(each, Task)]
    if not tasks or len(tasks) < len(candidates):
        raise typer.BadParameter(
            f"{app} is a {type(found).__name__}; it must be a Worker, a task, or a list of tasks",
            param_hint=APP_HINT,
        )
    try:
        return Worker(tasks, **given)
    except ValueError as error:
        raise typer.BadParameter(f"{app}: {error}", param_hint=APP_HINT) from None


def load(app: str) -> object:
    """What the module has under the name; the current directory is searched first."""
    module_name, _, name = app.partition(":")
    if not module_name or not name:
        raise typer.BadParameter(
            f"{app!r} names no object; give MODULE:APP, such as shop.tasks:worker", param_hint=APP_HINT
        )
    # `python -m` has it already, the installed script has not.
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; what it imports is not
        raise typer.BadParameter(
            f"there is no module {error.name}, neither in this directory nor installed", param_hint=APP_HINT
        ) from None
    if not hasattr(module, name):
        apps = sorted(key for key, value in vars(module).items() if isinstance(value, Worker | Task))
        has = f"; it has {', '.join(apps)}" if apps else "; it has no worker and no task"
        raise typer.BadParameter(f"module {module_name} has no {name}{has}", param_hint=APP_HINT)
    return getattr(module, name)
