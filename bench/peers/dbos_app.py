"""The process of DBOS: reads `COUNT IN_FLIGHT` a line, runs as many workflows, writes their seconds as JSON.

Workflows are called directly, which is DBOS's fastest way; those in flight are threads, as its functions
that are not async run faster than those that are.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS

DBOS(
    config={
        "name": "bench",
        "system_database_url": f"sqlite:///{sys.argv[1]}",
        "log_level": "ERROR",
        "run_admin_server": False,
    }
)


@DBOS.step()
def one(number: int) -> int:
    """A step that does nothing."""
    return number + 1


@DBOS.workflow()
def three() -> int:
    """The workflow."""
    return one(one(one(0)))


def timed(_: int) -> float:
    """Seconds that one workflow takes."""
    began = time.perf_counter()
    three()
    return time.perf_counter() - began


def main() -> None:
    """Answers until the pipe ends."""
    DBOS.launch()
    for line in sys.stdin:
        count, in_flight = map(int, line.split())
        with ThreadPoolExecutor(in_flight) as threads:
            print(json.dumps(list(threads.map(timed, range(count)))), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
