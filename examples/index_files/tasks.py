"""What the workers of the demo can do: index one file."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from pydantic import BaseModel

from flowfabric import Context, FrameKind, task

CHUNK_BYTES = 4 * 1024


class IndexFile(BaseModel):
    """One file to index."""

    path: str
    pace: float
    """Seconds to pause at each chunk, so that there is something to watch."""


class FileIndex(BaseModel):
    """What is known of a file once it is indexed."""

    words: int
    lines: int
    sha256: str


@task
async def index_file(file: IndexFile, context: Context) -> FileIndex:
    """Reads a file, says what it reads chunk by chunk, and counts it."""
    data = await asyncio.to_thread(Path(file.path).read_bytes)
    for start in range(0, max(len(data), 1), CHUNK_BYTES):
        await asyncio.sleep(file.pace)
        chunk = data[start : start + CHUNK_BYTES]
        if chunk:
            await context.emit(chunk, FrameKind.STDOUT)
        await context.progress(100 * (start + len(chunk)) / max(len(data), 1))
    return index_of(data)


def index_of(data: bytes) -> FileIndex:
    """The index of a file's content."""
    return FileIndex(
        words=len(data.split()), lines=len(data.splitlines()), sha256=hashlib.sha256(data).hexdigest()
    )
