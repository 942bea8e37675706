"""Carries the output of all leases over one StreamOutput call, which is opened when there is some.

It follows the session: a new session brings a new channel, and what was not acknowledged over the old
one is sent again over the new. The engine ignores frames it has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from google.rpc import code_pb2

from flowfabric._channel import Pause
from flowfabric._connection import Connection
from flowfabric._errors import EngineError, LeaseLost, error_from_status
from flowfabric._output import Output
from flowfabric._stream import Stream
from flowfabric_api.worker.v1 import worker_pb2 as pb

logger = logging.getLogger(__name__)

# What is wrong with one frame, and not with the lease.
REFUSED_CHANGE = ("PAYLOAD_TOO_LARGE", "INVALID_ARGUMENT")


class OutputStream:
    """All outputs of a worker."""

    def __init__(self, lose: Callable[[bytes, EngineError], None]) -> None:
        """`lose` is told of leases that the engine says are gone."""
        self._lose = lose
        self._outputs: dict[bytes, Output] = {}
        self._ready: dict[bytes, Output] = {}
        self._connection: Connection | None = None
        self._changed = asyncio.Event()
        self._stream: Stream[pb.StreamOutputRequest, pb.StreamOutputResponse] | None = None

    def open(self, lease: bytes) -> Output:
        """The output of a lease."""
        output = self._outputs.get(lease)
        if output is None:
            output = self._outputs[lease] = Output(lease, self._notify)
        return output

    def find(self, lease: bytes) -> Output | None:
        """The output of a lease that had some."""
        return self._outputs.get(lease)

    def close(self, lease: bytes) -> None:
        """Forgets the output of a lease that is done with."""
        self._outputs.pop(lease, None)
        self._ready.pop(lease, None)

    def follow(self, connection: Connection | None) -> None:
        """Goes on over the channel of this session; None: there is no session now."""
        self._connection = connection
        self._changed.set()
        if self._stream is not None:
            self._stream.cancel()

    async def run(self) -> None:
        """Carries output until cancelled."""
        pause = Pause(longest=5.0)
        while True:
            self._changed.clear()
            if self._connection is None or not self._ready:
                await self._changed.wait()
                continue
            connection = self._connection
            try:
                await self._pump(connection, pause)
            except EngineError as error:
                logger.info("output_stream_broken reason=%s", error)
            for output in self._outputs.values():
                output.rewind()
                if output.has_unsent:
                    self._ready[output.lease] = output
            if connection is self._connection:
                await asyncio.sleep(pause.next())

    async def _pump(self, connection: Connection, pause: Pause) -> None:
        def incoming(response: pb.StreamOutputResponse) -> None:
            pause.reset()
            self._receive(response)

        call = connection.stub.StreamOutput(metadata=connection.metadata)
        self._stream = Stream(call, self._outgoing, incoming)
        try:
            await self._stream.run()
        finally:
            self._stream = None

    def _notify(self, output: Output) -> None:
        self._ready[output.lease] = output
        if self._stream is not None:
            self._stream.wake()
        else:
            self._changed.set()

    def _outgoing(self) -> pb.StreamOutputRequest | None:
        while self._ready:
            lease, output = next(iter(self._ready.items()))
            request = output.take()
            # A lease with more to say goes to the end of the line.
            del self._ready[lease]
            if output.has_unsent:
                self._ready[lease] = output
            if request is not None:
                return request
        return None

    def _receive(self, response: pb.StreamOutputResponse) -> None:
        output = self._outputs.get(response.lease)
        if output is None:
            return
        output.acknowledge(response.acked_through)
        if response.HasField("error"):
            self._receive_error(output, response)

    def _receive_error(self, output: Output, response: pb.StreamOutputResponse) -> None:
        error = error_from_status(response.error)
        if response.error.code == code_pb2.UNAVAILABLE:
            # Frames behind the one that failed fail too, so the pause makes one rewind of many.
            asyncio.get_running_loop().call_later(0.1, self._resend, output)
        elif error.reason == "OUTPUT_GAP" and output.can_resume_after(response.acked_through):
            asyncio.get_running_loop().call_later(0.1, self._resend, output)
        elif error.reason in REFUSED_CHANGE and output.refuse_change(error):
            logger.warning("summary_refused reason=%s", error)
            self._resend(output)
        else:
            logger.warning("output_refused reason=%s", error)
            output.fail(error)
            if isinstance(error, LeaseLost):
                self._lose(output.lease, error)

    def _resend(self, output: Output) -> None:
        if self._outputs.get(output.lease) is output:
            output.rewind()
            self._notify(output)
