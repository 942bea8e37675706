"""Settings refuse what would be a mistake, and print without telling secrets."""

from __future__ import annotations

import json
import sys

import pytest
from pydantic import ValidationError

from ff_core.lifecycle import main
from ff_core.settings import ServiceSettings
from ff_gateway.settings import GatewaySettings
from ff_scheduler.settings import SchedulerSettings

OPEN = ["0.0.0.0:7433", "[::]:7433", ":7433", "10.0.0.1:7433", "gateway.example:7433", "127.0.0.1.evil:7433"]
LOOPBACK = ["127.0.0.1:7433", "localhost:7433", "[::1]:7433", "127.0.0.1:0"]


async def never(*_: object) -> None:
    raise AssertionError("the service was started")


@pytest.mark.parametrize("address", OPEN)
@pytest.mark.parametrize("field", ["grpc_addr", "listen_addr"])
def test_an_open_door_without_a_token_is_refused(field: str, address: str) -> None:
    with pytest.raises(ValidationError, match=r"refusing to listen on .* without FF_API_TOKEN"):
        GatewaySettings.model_validate({field: address})


@pytest.mark.parametrize("address", OPEN)
def test_an_open_dispatch_without_a_token_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="refusing to listen"):
        SchedulerSettings(dispatch_addr=address)


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_needs_no_token(address: str) -> None:
    assert GatewaySettings(grpc_addr=address).grpc_addr == address


def test_a_token_opens_the_door() -> None:
    settings = GatewaySettings.model_validate({"grpc_addr": "0.0.0.0:7433", "api_token": "secret"})

    assert settings.api_token.get_secret_value() == "secret"


def test_being_told_so_opens_the_door() -> None:
    assert GatewaySettings(grpc_addr="0.0.0.0:7433", allow_insecure=True).allow_insecure


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "0"),
        ("port", "65536"),
        ("port", "x"),
        ("partitions", "0"),
        ("partitions", "4097"),
        ("lease_ttl_ms", "599"),
        ("lease_ttl_ms", "3600001"),
        ("member_ttl_ms", "-1"),
        ("wait_replicas", "-1"),
        ("loop", "trio"),
        ("log_format", "xml"),
        ("log_level", "loud"),
        ("cluster", "perhaps"),
        ("max_payload_bytes", "0"),
        ("cors_origins", "https://good.example, console.example"),
        ("waitpoint_hmac_secret", ""),
        ("waitpoint_hmac_secret", " , "),
        ("waitpoint_hmac_secret", "short"),
        ("waitpoint_hmac_secret", f"{'x' * 32},short"),
        ("api_tokens", "alice"),
        ("api_tokens", "alice="),
        ("api_tokens", "a b=token"),
        ("api_tokens", "alice=one,alice=two"),
        ("api_tokens", "alice=one,bob=one"),
        ("api_tokens", "default=one"),
        ("public_url", "example.com"),
        ("public_url", "https://example.com?x=1"),
        ("max_signals", "0"),
        ("waitpoint_ttl_ms", str(401 * 86_400_000)),
    ],
)
def test_a_bad_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"FF_{name.upper()}", value)

    with pytest.raises(ValidationError) as refused:
        GatewaySettings()

    assert [problem["loc"] for problem in refused.value.errors()] == [(name,)]
    assert f"input_value={value!r}" not in str(refused.value), "it may be a secret"


def test_a_gateway_needs_a_secret_for_waitpoint_tokens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FF_WAITPOINT_HMAC_SECRET")
    monkeypatch.setattr(sys, "argv", ["ff_gateway"])

    with pytest.raises(SystemExit) as ended:
        main("gateway", GatewaySettings, never)

    assert ended.value.code == 2
    assert "FF_WAITPOINT_HMAC_SECRET: Field required" in capsys.readouterr().err


def test_named_tokens_need_a_shared_one() -> None:
    with pytest.raises(ValidationError, match="FF_API_TOKENS needs FF_API_TOKEN"):
        GatewaySettings.model_validate({"api_tokens": "alice=a"})


def test_lists_of_secrets_and_tokens_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FF_WAITPOINT_HMAC_SECRET", f"{'n' * 32}, {'o' * 40}")
    monkeypatch.setenv("FF_API_TOKEN", "shared")
    monkeypatch.setenv("FF_API_TOKENS", "alice=abc==, bob=x")
    monkeypatch.setenv("FF_PUBLIC_URL", "https://example.com/flow/")

    settings = GatewaySettings()

    assert settings.waitpoint_secrets() == ("n" * 32, "o" * 40)
    assert settings.named_tokens() == {"alice": "abc==", "bob": "x"}
    assert settings.public_url == "https://example.com/flow"


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FF_PARTITIONS", "16")
    monkeypatch.setenv("FF_CLUSTER", "1")

    settings = ServiceSettings()

    assert (settings.partitions, settings.cluster) == (16, True)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(ServiceSettings(), "partitions", 3)  # noqa: B010 - the type checker knows it is refused


def test_printed_settings_tell_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FF_API_TOKEN", "open sesame")
    monkeypatch.setenv("FF_PASSWORD", "hunter2")
    monkeypatch.setenv("FF_WAITPOINT_HMAC_SECRET", "correct horse battery staple and more")
    monkeypatch.setenv("FF_API_TOKENS", "alice=swordfish")
    monkeypatch.setattr(sys, "argv", ["ff_gateway", "--print-settings"])

    main("gateway", GatewaySettings, never)

    printed = capsys.readouterr().out
    assert "open sesame" not in printed
    assert "hunter2" not in printed
    assert "swordfish" not in printed
    assert "battery" not in printed
    assert set(json.loads(printed)) == set(GatewaySettings.model_fields)


def test_bad_settings_end_the_process_with_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FF_PORT", "none")
    monkeypatch.setattr(sys, "argv", ["ff_gateway"])

    with pytest.raises(SystemExit) as ended:
        main("gateway", GatewaySettings, never)

    assert ended.value.code == 2
    assert "FF_PORT: " in capsys.readouterr().err


def test_a_refused_door_is_explained_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FF_GRPC_ADDR", "0.0.0.0:7433")
    monkeypatch.setattr(sys, "argv", ["ff_gateway"])

    with pytest.raises(SystemExit) as ended:
        main("gateway", GatewaySettings, never)

    assert ended.value.code == 2
    assert "FF_ALLOW_INSECURE=1" in capsys.readouterr().err


@pytest.mark.parametrize("settings", [ServiceSettings, GatewaySettings, SchedulerSettings])
def test_every_setting_says_what_it_is(settings: type[ServiceSettings]) -> None:
    assert [name for name, field in settings.model_fields.items() if not field.description] == []
