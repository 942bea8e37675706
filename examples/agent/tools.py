"""What the agent can do besides talking."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples.agent.model import Message, Tool, ToolCall

MUGS = {1042: 57}
BOX_HOLDS = {"mug": 12}


def look_up_order(order: int) -> dict[str, int]:
    """Says how many mugs are in an order."""
    return {"mugs": MUGS[order]}


def box_size(item: str) -> dict[str, int]:
    """Says how many items of a kind a box holds."""
    return {"holds": BOX_HOLDS[item]}


def divide(total: int, by: int) -> dict[str, int]:
    """Divides whole numbers."""
    return {"whole": total // by, "rest": total % by}


FUNCTIONS: dict[str, Callable[..., dict[str, int]]] = {
    function.__name__: function for function in (look_up_order, box_size, divide)
}


def parameters(**types: str) -> dict[str, Any]:
    """The schema of parameters, all of which are required."""
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in types.items()},
        "required": list(types),
    }


SCHEMAS = {
    "look_up_order": parameters(order="integer"),
    "box_size": parameters(item="string"),
    "divide": parameters(total="integer", by="integer"),
}

TOOLS = [
    Tool(name=name, description=function.__doc__ or "", parameters=SCHEMAS[name])
    for name, function in FUNCTIONS.items()
]


def run_tool(ledger: str, call: ToolCall) -> Message:
    """Runs a tool and writes down that it really ran; what it says, for the model."""
    with Path(ledger).open("a") as file:
        file.write(f"{call.name} {call.arguments}\n")
    result = FUNCTIONS[call.name](**json.loads(call.arguments))
    return Message(role="tool", content=json.dumps(result), call_id=call.id)
