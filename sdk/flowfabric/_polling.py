"""How gRPC waits for its sockets; imported before it, because it reads this when it is loaded.

With its default every message of a worker passes through two more threads (docs/adr/0020). Whoever sets
GRPC_EXPERIMENTS, or loads gRPC first, decides otherwise; so does a gRPC newer than those this was tried
with, which would complain about names that it does not know.
"""

from __future__ import annotations

import os
from importlib.metadata import version

#: The newest gRPC known to know the names.
NEWEST = (1, 85)

if tuple(int(part) for part in version("grpcio").split(".")[:2]) <= NEWEST:
    os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
