"""The scanners service: `python -m ff_scanners`."""

from __future__ import annotations

from ff_core import lifecycle
from ff_scanners.app import serve
from ff_scanners.settings import ScannerSettings

if __name__ == "__main__":
    lifecycle.main("scanners", ScannerSettings, serve)
