"""The stack starts, watches, restarts and ends real processes; the services are stand-ins from the stdlib."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flowfabric import _stack
from flowfabric._stack import MODULES, Stack, StackError
from flowfabric._valkey import free_port
from flowfabric.testing import AnyValkey, open_stack

SERVICE = """
import json, os, signal, socket, sys, threading

def listen(variable):
    host, _, port = os.environ[variable].rpartition(":")
    listener = socket.create_server((host, int(port)))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    return "%s:%d" % listener.getsockname()

def serve(listener):
    while True:
        listener.accept()[0].close()

behaviour = os.environ.get("BEHAVIOUR_" + SERVICE.upper(), "")
if behaviour == "die":
    sys.exit("no configuration for " + SERVICE)
# Blocked and waited for, because after a pause any thread may be given the signal.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
if behaviour == "chatty":
    print("x" * (3 << 20), flush=True)
print("not json", flush=True)
print(json.dumps({"event": "starting", "valkey": os.environ["FF_HOST"] + ":" + os.environ["FF_PORT"]}))
if behaviour != "silent":
    addresses = {name: listen(variable) for name, variable in ADDRESSES.items()}
    print(json.dumps({"event": "ready", "service": SERVICE, **addresses}), flush=True)
while behaviour == "stubborn":
    signal.sigwait({signal.SIGTERM})
signal.sigwait({signal.SIGTERM})
"""


@pytest.fixture(autouse=True)
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the stand-ins in front of the real services."""
    for service, module in MODULES.items():
        package = tmp_path / "services" / module
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        head = f"SERVICE = {service!r}\nADDRESSES = {_stack.ADDRESSES[service]!r}\n"
        (package / "__main__.py").write_text(head + SERVICE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "services"))


def is_listening(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return False
    return True


async def test_all_processes_are_up_when_the_stack_is_entered_and_gone_when_it_is_left() -> None:
    async with Stack(gateways=2, schedulers=1, scanners=2) as stack:
        names = {"gateway-0", "gateway-1", "scanners-0", "scanners-1", "scheduler-0"}
        assert set(stack.processes) == names
        assert stack.address == stack.processes["gateway-0"].addresses["grpc"]
        addresses = [stack.http] + [a for p in stack.processes.values() for a in p.addresses.values()]
        assert all(is_listening(address) for address in addresses)
        assert stack.valkey is not None
        assert stack.valkey.call("PING") == "PONG"
        statuses = await stack.stop(grace=60)

    assert set(statuses.values()) == {0}
    assert not any(is_listening(address) for address in addresses)
    assert not stack.valkey.is_running


async def test_a_given_valkey_is_used_and_left_running(clean_valkey: AnyValkey) -> None:
    async with Stack(valkey=clean_valkey.address) as stack:
        assert stack.valkey is None
        assert any(
            f'"valkey": "{clean_valkey.address}"' in line for line in stack.processes["gateway-0"].lines
        )

    assert clean_valkey.call("PING") == "PONG"


async def test_every_line_reaches_the_callback(clean_valkey: AnyValkey) -> None:
    seen: list[tuple[str, str]] = []

    async with Stack(valkey=clean_valkey.address, log=lambda name, line: seen.append((name, line))):
        pass

    assert {name for name, line in seen if line == "not json"} == {"gateway-0", "scheduler-0", "scanners-0"}


async def test_a_line_without_end_does_not_stop_the_reading(clean_valkey: AnyValkey) -> None:
    async with Stack(valkey=clean_valkey.address, env={"BEHAVIOUR_GATEWAY": "chatty"}) as stack:
        assert is_listening(stack.address)


async def test_a_killed_gateway_restarts_on_its_addresses(clean_valkey: AnyValkey) -> None:
    async with Stack(valkey=clean_valkey.address) as stack:
        gateway = stack.processes["gateway-0"]
        addresses, pid = dict(gateway.addresses), gateway.pid

        gateway.kill()
        assert await gateway.wait() == -signal.SIGKILL
        assert not is_listening(addresses["grpc"])
        await gateway.restart()

        assert gateway.addresses == addresses
        assert gateway.pid != pid
        assert is_listening(addresses["grpc"])


async def test_a_running_service_restarts_in_order(clean_valkey: AnyValkey) -> None:
    async with Stack(valkey=clean_valkey.address) as stack:
        scheduler = stack.processes["scheduler-0"]
        pid = scheduler.pid

        await scheduler.restart()

        assert scheduler.pid != pid
        assert scheduler.is_running


async def test_a_fixed_address_holds_for_the_first_process_only(clean_valkey: AnyValkey) -> None:
    fixed = f"127.0.0.1:{free_port()}"

    async with Stack(gateways=2, valkey=clean_valkey.address, env={"FF_GRPC_ADDR": fixed}) as stack:
        assert stack.address == fixed
        assert stack.processes["gateway-1"].addresses["grpc"] != fixed


async def test_a_service_that_dies_at_start_fails_the_stack_with_its_last_words() -> None:
    stack = Stack(env={"BEHAVIOUR_SCHEDULER": "die"})

    with pytest.raises(StackError, match=r"scheduler-0 ended:\nno configuration for scheduler"):
        await stack.start()

    assert not any(process.is_running for process in stack.processes.values())
    assert stack.valkey is not None
    assert not stack.valkey.is_running


async def test_a_service_that_is_never_ready_fails_the_stack(
    clean_valkey: AnyValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    def let_time_pass(_name: str, line: str) -> None:
        if line == "not json":  # the last that it says before it would be ready
            monkeypatch.setattr(loop, "time", lambda: began + 2 * _stack.READY_TIMEOUT_S)

    silent = {"BEHAVIOUR_GATEWAY": "silent"}
    stack = Stack(valkey=clean_valkey.address, schedulers=0, scanners=0, env=silent, log=let_time_pass)

    with pytest.raises(StackError, match=r"(?s)gateway-0 was not ready.*not json"):
        await stack.start()

    assert not stack.processes["gateway-0"].is_running


async def test_a_cancelled_start_leaves_no_process(clean_valkey: AnyValkey) -> None:
    seen = asyncio.Event()
    stack = Stack(valkey=clean_valkey.address, env={"BEHAVIOUR_GATEWAY": "silent"}, log=lambda *_: seen.set())
    start = asyncio.create_task(stack.start())
    await seen.wait()

    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start

    assert not any(process.is_running for process in stack.processes.values())


async def test_a_service_that_ignores_the_request_to_end_is_killed(clean_valkey: AnyValkey) -> None:
    async with Stack(valkey=clean_valkey.address, env={"BEHAVIOUR_SCANNERS": "stubborn"}) as stack:
        statuses = await stack.stop(grace=0.2)

    assert statuses["scanners-0"] == -signal.SIGKILL


async def test_a_paused_service_ends_in_order(clean_valkey: AnyValkey) -> None:
    async with Stack(valkey=clean_valkey.address) as stack:
        stack.processes["gateway-0"].kill(signal.SIGSTOP)
        statuses = await stack.stop(grace=60)

    assert statuses["gateway-0"] == 0


async def test_without_a_gateway_there_is_no_address() -> None:
    with pytest.raises(StackError, match="no running gateway"):
        _ = Stack(valkey="127.0.0.1:1").address


def test_a_stack_on_a_thread_serves_tests_of_any_loop() -> None:
    with open_stack() as stack:
        assert is_listening(stack.address)
        address = stack.address

    assert not is_listening(address)


def test_a_stack_on_a_thread_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEHAVIOUR_GATEWAY", "die")

    with pytest.raises(StackError, match="no configuration for gateway"), open_stack():
        pass


def test_users_get_the_fixtures_from_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["flowfabric.testing"]\n')
    (tmp_path / "test_users.py").write_text(
        "def test_stack(flowfabric_stack):\n    assert flowfabric_stack.address.startswith('127.0.0.1:')\n"
    )

    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_users.py"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of it")
def test_every_process_dies_with_its_killed_parent(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from flowfabric._stack import Stack

async def main():
    async with Stack(data_dir=sys.argv[1]) as stack:
        print(stack.valkey.pid, *(process.pid for process in stack.processes.values()), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
    command = [sys.executable, "-c", program, str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        watched = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()

    assert len(watched) == 4
    for process in watched:
        readable, _, _ = select.select([process], [], [], 60)
        os.close(process)
        assert readable
