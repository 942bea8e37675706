"""Runs the scheduler: `python -m ff_scheduler`."""

from ff_core.lifecycle import main
from ff_scheduler.app import serve
from ff_scheduler.settings import SchedulerSettings

if __name__ == "__main__":
    main("scheduler", SchedulerSettings, serve)
