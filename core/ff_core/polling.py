"""How gRPC waits for its sockets; imported before it, because it reads this when it is loaded.

By default gRPC hands every read and write to threads of its own, which wake the thread that polls, which
wakes the event loop. With the older poller that thread does the reading and writing itself. Measured on
2 cores, 10,000 tasks through four workers, alternating: 14 % more tasks a second (ADR 20).
"""

from __future__ import annotations

import os

os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
