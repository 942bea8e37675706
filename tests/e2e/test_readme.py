"""The worker and the client of the README work as written."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from flowfabric._stack import Stack

README = Path(__file__).resolve().parents[2] / "README.md"
PROGRAM = re.compile(r"`(?P<name>\w+\.py)`:\n\n```python\n(?P<text>.*?)```", re.DOTALL)

pytestmark = pytest.mark.processes


async def test_the_programs_of_the_readme_do_what_it_says(flowfabric_stack: Stack, tmp_path: Path) -> None:
    programs = {match["name"]: match["text"] for match in PROGRAM.finditer(README.read_text())}
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
    env = os.environ | {"FF_ADDR": flowfabric_stack.address}

    worker = await asyncio.create_subprocess_exec(sys.executable, "worker.py", cwd=tmp_path, env=env)
    try:
        client = await asyncio.create_subprocess_exec(
            sys.executable, "client.py", cwd=tmp_path, env=env, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await client.communicate()
        worker.send_signal(signal.SIGTERM)
        status = await worker.wait()
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()

    assert set(programs) == {"worker.py", "client.py"}
    assert said.decode().split("\n") == ["to", "be", "or", "not", "to", "be", "{'words': 6}", ""]
    assert (client.returncode, status) == (0, 0)
