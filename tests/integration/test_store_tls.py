"""The store through TLS. The Valkey of the tests has none, so a proxy ends it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ff_core import keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.settings import ServiceSettings
from ff_core.store.backend import open_backend
from ff_core.store.client import StoreClient
from ff_core.store.connection import Endpoint
from ff_lua import assemble
from flowfabric.testing import AnyValkey, RemoteValkey

from .engine import Engine

DAY = datetime.timedelta(days=1)


def certificate(directory: Path, address: str) -> tuple[Path, Path]:
    """A certificate for an address that nobody else signed, and its key with it: two files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "valkey")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - DAY, now + DAY
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    public = directory / "valkey.crt"
    public.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = directory / "valkey.key"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return public, private


@contextlib.asynccontextmanager
async def tls_before(valkey: AnyValkey, public: Path, private: Path) -> AsyncIterator[int]:
    """A proxy that ends TLS; gives its port on 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    serving: set[asyncio.Task[None]] = set()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        from_valkey, to_valkey = await asyncio.open_connection(valkey.host, valkey.port)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(copy(reader, to_valkey), copy(from_valkey, writer))
        for stream in (to_valkey, writer):
            stream.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving)


async def test_work_and_hints_go_through_tls(
    store_settings: ServiceSettings,
    engine_valkey: AnyValkey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    public, private = certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    async with tls_before(engine_valkey, public, private) as port:
        through = {"host": "127.0.0.1", "port": port, "tls": True}
        backend = await open_backend(store_settings.model_copy(update=through))
        engine, heard = Engine(backend), asyncio.Event()
        subscribed = asyncio.Event()
        backend.hints.on_gap(subscribed.set)
        await backend.hints.listen(keys.wake_channel(0), lambda _message: heard.set())
        await subscribed.wait()

        lease = await engine.hold()
        await heard.wait()

        assert await engine.complete(lease) == ["completed"]
        await backend.close()


@pytest.mark.parametrize(
    ("address", "is_known", "why"),
    [("127.0.0.1", False, "self-signed certificate"), ("127.0.0.2", True, "not valid for '127.0.0.1'")],
)
async def test_a_certificate_of_a_stranger_is_refused(
    address: str, is_known: bool, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, private = certificate(tmp_path, address)
    if is_known:
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
    nowhere = RemoteValkey("127.0.0.1:1", "nobody gets through")
    async with tls_before(nowhere, public, private) as port:
        client = StoreClient(Endpoint("127.0.0.1", port, tls=True), assemble(), patience_s=0)

        with pytest.raises(EngineError, match=why) as refused:
            await client.fcall("queue_ready", keys.anchor(0))

        assert refused.value.code is ErrorCode.STORE_UNAVAILABLE
        client.close()
