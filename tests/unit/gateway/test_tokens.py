"""Waitpoint tokens: what opens a waitpoint, and the one answer to everything that does not."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac

import pytest

from ff_core.errors import EngineError, ErrorCode
from ff_core.keyring import Key, KeyRing
from ff_core.waitpoint import WaitpointRecord, WaitpointRef
from ff_gateway.tokens import REFUSALS, Tokens, split_callback

REF = WaitpointRef("acme.prod:1", "7-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "s2", 3, 9_000_000)
RECORD = WaitpointRecord(REF, "approval", "single", "bound", "alice", "k1", "", 1000, "", 0)


class FakeKeys:
    """A ring and a clock that the test moves."""

    def __init__(self) -> None:
        self.ring = KeyRing(1, "k1", {"k1": Key("k1", b"1" * 32, 0, 0)})
        self.time_ms = 1_000_000
        self.later: KeyRing | None = None
        self.looked_for: list[str] = []

    def now_ms(self) -> int:
        return self.time_ms

    async def look_for(self, kid: str) -> None:
        self.looked_for.append(kid)
        self.ring = self.later or self.ring

    def rotate(self, kid: str, grace_ms: int) -> None:
        self.ring, _ = self.ring.rotated(kid, b"", grace_ms, self.time_ms)


@pytest.fixture
def keys() -> FakeKeys:
    return FakeKeys()


@pytest.fixture
def tokens(keys: FakeKeys) -> Tokens:
    return Tokens(keys)


def refusals() -> dict[str, float]:
    return {
        sample.labels["reason"]: sample.value
        for metric in REFUSALS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


async def refused(tokens: Tokens, waitpoint_id: str, token: str) -> str:
    """Checks the one answer, and gives the reason that was counted."""
    before = refusals()
    with pytest.raises(EngineError) as answer:
        await tokens.verify(waitpoint_id, token)
    error = answer.value
    assert error.code is ErrorCode.TOKEN_INVALID
    assert (error.detail, error.field, error.metadata, error.retry_after_ms) == ("", "", {}, 0)
    [reason] = [reason for reason, count in refusals().items() if count > before.get(reason, 0)]
    return reason


async def test_a_token_opens_its_waitpoint(tokens: Tokens) -> None:
    token, kid = tokens.mint(REF, "k1")

    assert kid == "k1"
    assert await tokens.verify(REF.render(), token) == REF


def test_a_token_is_what_the_page_says(tokens: Tokens) -> None:
    text = "w1\0acme.prod:1\0" + REF.execution_id + "\0s2\x003\x009000000"
    mac = base64.urlsafe_b64encode(hmac.new(b"1" * 32, text.encode(), hashlib.sha256).digest())

    assert tokens.mint(REF, "k1")[0] == "w1.k1." + mac.decode().rstrip("=")


@pytest.mark.parametrize(
    "other",
    [
        {"namespace": "acme.prod:2"},
        {"execution_id": "7-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c"},
        {"scope": "s1"},
        {"scope": "p2"},
        {"number": 4},
        {"expires_ms": 9_000_001},
    ],
    ids=str,
)
async def test_a_token_opens_nothing_else(tokens: Tokens, other: dict[str, object]) -> None:
    token, _ = tokens.mint(REF, "k1")
    elsewhere = dataclasses.replace(REF, **other)  # type: ignore[arg-type]

    assert await refused(tokens, elsewhere.render(), token) == "mac"


async def test_every_tampered_character_is_noticed(tokens: Tokens) -> None:
    token, _ = tokens.mint(REF, "k1")
    for place, character in enumerate(token):
        other = "A" if character != "A" else "B"
        reason = await refused(tokens, REF.render(), token[:place] + other + token[place + 1 :])
        assert reason in ("malformed", "unknown_key", "mac")


MAC = "A" * 43
NO_TOKENS = [
    "", "w1", "w1.k1", "w1.k1.", "w1..x", f"w2.k1.{MAC}", f"w1.k1.{MAC}=", f"w1.k1.{MAC[1:]}",
    f"w1.k1.{MAC}\n", f"w1.{'k' * 33}.{MAC}", "é" * 50, f"w1.k1.{MAC * 99}", "\0",
]  # fmt: skip


@pytest.mark.parametrize("token", NO_TOKENS, ids=lambda token: repr(token[:50]))
async def test_what_is_no_token_is_refused_alike(tokens: Tokens, token: str) -> None:
    assert await refused(tokens, REF.render(), token) == "malformed"


@pytest.mark.parametrize("waitpoint_id", ["", "x", REF.render() + "\n", REF.render().replace("~3~", "~03~")])
async def test_what_is_no_waitpoint_id_is_refused_alike(tokens: Tokens, waitpoint_id: str) -> None:
    token, _ = tokens.mint(REF, "k1")

    assert await refused(tokens, waitpoint_id, token) == "malformed"


async def test_tokens_of_an_old_key_are_good_for_its_grace(tokens: Tokens, keys: FakeKeys) -> None:
    old, _ = tokens.mint(REF, "k1")
    keys.rotate("k2", grace_ms=1000)
    keys.rotate("k3", grace_ms=1000)
    middle, kid = tokens.mint(REF, "k2")

    assert (tokens.kid, kid) == ("k3", "k2")
    for token in (old, middle, tokens.mint(REF, "k3")[0]):
        assert await tokens.verify(REF.render(), token) == REF
    keys.time_ms += 1000
    assert await refused(tokens, REF.render(), old) == "unknown_key"


def test_a_repeat_tells_the_first_token_while_its_key_is_good(tokens: Tokens, keys: FakeKeys) -> None:
    first = tokens.told(RECORD)
    keys.rotate("k2", grace_ms=1000)

    assert tokens.told(RECORD) == first
    keys.time_ms += 1000
    assert tokens.told(RECORD).kid == "k2"
    assert tokens.told(RECORD).token.startswith("w1.k2.")


async def test_a_key_that_another_gateway_has_just_made_is_looked_for(tokens: Tokens, keys: FakeKeys) -> None:
    keys.later, _ = keys.ring.rotated("k2", b"", 1000, keys.time_ms)
    elsewhere = FakeKeys()
    elsewhere.ring = keys.later
    token, _ = Tokens(elsewhere).mint(REF, "k2")

    assert await tokens.verify(REF.render(), token) == REF
    assert keys.looked_for == ["k2"]


async def test_a_key_that_nobody_has_is_refused_alike(tokens: Tokens, keys: FakeKeys) -> None:
    assert await refused(tokens, REF.render(), "w1.k9." + "A" * 43) == "unknown_key"


def test_what_the_worker_is_told_has_a_callback(keys: FakeKeys) -> None:
    message = Tokens(keys, "https://flow.example/x").told(RECORD)

    assert message.callback_path == f"/v1/callbacks/{message.token}.{message.waitpoint_id}"
    assert message.callback_url == f"https://flow.example/x{message.callback_path}"
    assert message.fingerprint == hashlib.sha256(message.token.encode()).hexdigest()[:16]
    assert Tokens(keys).told(RECORD).callback_url == ""


def test_the_end_of_a_callback_path_is_split_where_it_was_joined(tokens: Tokens) -> None:
    message = tokens.told(RECORD)

    assert split_callback(message.callback_path.removeprefix("/v1/callbacks/")) == (
        message.waitpoint_id,
        message.token,
    )


@pytest.mark.parametrize("text", ["", "x", "w1.k1.mac", "w1.k1.mac." + "x" * 300])
def test_what_is_no_end_of_a_callback_path_is_refused_alike(text: str) -> None:
    with pytest.raises(EngineError) as answer:
        split_callback(text)

    assert (answer.value.code, answer.value.detail) == (ErrorCode.TOKEN_INVALID, "")
