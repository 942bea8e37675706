"""A provider of payments: it takes orders for money over HTTP and calls back later, twice.

Calling twice is what webhooks do: the caller cannot know whether its first call was heard.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from types import TracebackType
from typing import Self

CALL_TIMEOUT_S = 10


class Provider:
    """The provider on a free port of this machine; a context manager."""

    def __init__(self) -> None:
        self.charges: Queue[dict[str, object]] = Queue()
        """What was asked for, to be paid."""
        charges = self.charges

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                charges.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Says nothing: the show does."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        """Where it takes orders for money."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def call(url: str, body: dict[str, object] | None = None) -> tuple[int, dict[str, object]]:
    """Calls a URL as anybody would, with a body by POST, else by GET; the status and the answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data, headers), timeout=CALL_TIMEOUT_S
        ) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, {}
