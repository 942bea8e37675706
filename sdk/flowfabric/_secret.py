"""The secret that a stack on this machine gives its gateways for waitpoint tokens."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

VARIABLE = "FF_WAITPOINT_HMAC_SECRET"
FILE = "waitpoint_secret"


def new_secret() -> str:
    """A secret for as long as nobody keeps data."""
    return secrets.token_hex(32)


def kept_secret(data_dir: Path) -> str:
    """The secret kept beside the data, made when there is none: tokens stay good over restarts.

    Raises:
        OSError: The file can be neither read nor made.
    """
    path = data_dir / FILE
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        data_dir.mkdir(parents=True, exist_ok=True)
    made = new_secret()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made + "\n")
    return made
