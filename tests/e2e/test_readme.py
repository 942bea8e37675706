"""The worker and the client of the README work as written."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from flowfabric import Client, State
from flowfabric._stack import Stack
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import until_state

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


async def test_the_handler_of_the_readme_waits_and_goes_on(client: Client, start_worker: StartWorker) -> None:
    section = README.read_text().partition("## Wait for people")[2]
    [text] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[:1]
    module: dict[str, Any] = {}
    exec(compile(text, "README.md", "exec"), module)
    await start_worker(module["publish"])
    said = []
    for decide in (client.reject, client.approve):
        execution_id = (await client.submit("publish", "waiting")).execution_id
        await until_state(client, execution_id, State.SUSPENDED)
        await decide(execution_id, "review")
        if decide == client.approve:
            assert (await client.get(execution_id)).state is State.SUSPENDED  # of two approvals one is given
            await client.resume(execution_id)
        said.append(await client.result(execution_id, str))

    assert said == ["operator:default said no", "published: All about waiting."]
