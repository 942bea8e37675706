"""Benchmarks of FlowFabric beside other systems on the same machine and the same Valkey.

`python -m bench` runs them; README.md in this folder tells the rules. Nothing here asserts a time.
"""

import os

# The driver starts processes while gRPC's threads run, and gRPC would say so each time, between the
# tables. Read when grpc is imported, hence here.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
