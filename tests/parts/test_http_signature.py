"""RFC 9421: the published messages are accepted, and each part that is changed is told apart."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from financing.errors import Untrusted
from financing.evidence import http_signature, structured_fields, webhook_signature
from financing.evidence.http_signature import Message
from financing.evidence.structured_fields import Malformed
from financing.evidence.webhook_key import Key
from tests.parts.test_evidence_webhook import BODY, ED25519, NOW, P256
from tests.signing import Request, public

TARGET = "https://broker.example/api/v1/webhooks/banks/bank-a"
DAY = timedelta(days=1)
EC = derive_private_key(int.from_bytes(P256, "big"), SECP256R1())
BY_EDDSA = Key("ed25519", ED25519, NOW - DAY, name="test-key-ed25519")
BY_ECDSA = Key("ecdsa-p256-sha256", public(EC), NOW - DAY, name="test-key-ecc-p256")
PARAMETERS = (
    '("@method" "@authority" "@target-uri" "content-type" "content-digest" "webhook-id")'
    ';created=1772415000;keyid="{}";alg="{}";tag="financing-webhook"'
)
PUBLISHED = {
    BY_EDDSA: "mLqrxy6ExhsJF+qCUSUJe78DsPlHtS/94AAXqdaLzeBOpuupN2JgnRwB1FGkLMnc9zspgqafVyPejCcv/v"
    "pXDg==",
    BY_ECDSA: "rZUwgAg2QEtBJjGeRuHAG/pkIeFkSUdRjb0ORbhZ5ifmcSGMMOwBlvVtiDzdQcvn8C7bh6W0s9gUgmnliV"
    "khyA==",
}


def published(key: Key, **changes: str) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "content-digest": "sha-256=:Yu/2T9hf3fPFd+sE91Y9BRqB7RxttqLnCGNrsgkV7zE=:",
        "webhook-id": "msg_01JNB3Q7",
        "signature-input": f"sig1={PARAMETERS.format(key.name, key.kind)}",
        "signature": f"sig1=:{PUBLISHED[key]}:",
        **changes,
    }


def verified(
    headers: dict[str, str], key: Key = BY_EDDSA, *, body: bytes = BODY, target: str = TARGET
) -> str:
    message = Message("POST", target, headers, body, ("http://broker.example/x",))
    return webhook_signature.verify(message, [key], NOW)[0]


@pytest.mark.parametrize("key", [BY_EDDSA, BY_ECDSA], ids=lambda key: key.kind)
def test_the_published_messages_are_accepted(key: Key) -> None:
    assert verified(published(key), key) == "msg_01JNB3Q7"


def test_a_signature_by_p256_comes_out_as_published() -> None:
    request = Request(
        TARGET, "msg_01JNB3Q7", BODY, BY_ECDSA.name, BY_ECDSA.kind, created=1772415000
    )
    assert request.headers(EC) == published(BY_ECDSA)


@pytest.mark.parametrize("key", [BY_EDDSA, BY_ECDSA], ids=lambda key: key.kind)
@pytest.mark.parametrize(
    ("header", "old", "new", "slug"),
    [
        ("webhook-id", "Q7", "Q8", "signature-mismatch"),
        ("content-type", "json", "json; charset=utf-8", "signature-mismatch"),
        ("content-digest", "Yu/2", "Yu/3", "digest-mismatch"),
        ("signature-input", "created=1772415000", "created=1772415001", "signature-mismatch"),
        ("signature-input", "created=1772415000", "created=1772414699", "timestamp-too-old"),
        ("signature-input", "created=1772415000", "created=1772415301", "timestamp-in-future"),
        ("signature-input", ";created=1772415000", "", "timestamp-malformed"),
        ("signature-input", "created=1772415000", 'created="soon"', "timestamp-malformed"),
        ("signature-input", "created=1772415000", "created=-1", "timestamp-malformed"),
        ("signature-input", "1772415000", "1772415000000", "timestamp-malformed"),
        ("signature-input", "created=1772415000", "created=1e9", "signature-header-malformed"),
        ("signature-input", "financing-webhook", "financing-api", "tag-wrong"),
        ("signature-input", 'keyid="test', 'keyid="best', "key-unknown"),
        ("signature-input", ' "@target-uri"', "", "coverage-incomplete"),
        ("signature-input", '"@method"', '"@path"', "coverage-incomplete"),
        ("signature-input", 'digest"', 'digest";sf', "signature-header-malformed"),
        ("signature-input", '"@method"', '"@status"', "signature-header-malformed"),
        ("signature-input", '"@method"', '"@method" "@method"', "signature-header-malformed"),
        ("signature-input", '"@method"', '"date" "@method"', "signature-header-malformed"),
        ("signature-input", "sig1=", "sig2=", "signature-header-malformed"),
        ("signature", "sig1=:", "sig1=:AA", "signature-header-malformed"),
        ("signature", "==:", ":", "signature-header-malformed"),
    ],
)  # fmt: skip
def test_what_was_changed_is_told(key: Key, header: str, old: str, new: str, slug: str) -> None:
    headers = published(key)
    assert old in headers[header]
    headers[header] = headers[header].replace(old, new)
    with pytest.raises(Untrusted) as refused:
        verified(headers, key)
    assert refused.value.kind == slug
    assert refused.value.where and refused.value.remedy


def test_the_signature_base_that_we_built_is_shown_and_the_signature_is_not() -> None:
    with pytest.raises(Untrusted) as refused:
        verified(published(BY_ECDSA, **{"webhook-id": "msg_2"}), BY_ECDSA)
    shown = refused.value.received
    assert shown["keyid"] == "test-key-ecc-p256"
    assert str(shown["signature_base"]).splitlines()[-2] == '"webhook-id": msg_2'
    assert PUBLISHED[BY_ECDSA] not in str(shown)


def test_only_the_tagged_signature_counts() -> None:
    """A proxy may sign as well; its signature is not ours to judge."""
    headers = published(BY_EDDSA)
    other = headers["signature-input"].replace("sig1", "proxy").replace("financing-webhook", "x")
    headers["signature-input"] += f", {other}"
    assert verified(headers | {"signature": headers["signature"] + ", proxy=:AAAA:"})
    good = headers["signature"].replace("sig1", "proxy")
    with pytest.raises(Untrusted) as refused:
        verified(headers | {"signature": f"sig1=:{'A' * 86}==:, {good}"})
    assert refused.value.kind == "signature-mismatch"
    twice = published(BY_EDDSA)
    twice["signature-input"] += ", " + twice["signature-input"].replace("sig1", "sig2")
    with pytest.raises(Untrusted) as refused:
        verified(twice)
    assert refused.value.kind == "signature-header-malformed"


def test_more_may_be_covered_and_a_nonce_said() -> None:
    key = Ed25519PrivateKey.generate()
    bound = Key("ed25519", public(key), NOW - DAY, name="k")
    request = Request(
        TARGET, "msg_1", BODY, "k", None, created=int(NOW.timestamp()),
        covered=("@path", *http_signature.COVERED), more=';nonce="n/1";expires=1772415100',
    )  # fmt: skip
    assert verified(request.headers(key), bound) == "msg_1"
    expired = request.but(more=";expires=1772414999")
    with pytest.raises(Untrusted) as refused:
        verified(expired.headers(key), bound)
    assert refused.value.kind == "timestamp-too-old"


def test_a_default_port_and_capitals_of_the_host_are_no_other_authority() -> None:
    for target in ("https://broker.example:443/", "https://BROKER.example/"):
        assert http_signature._authority(target) == "broker.example"
    assert http_signature._authority("http://broker.example:443/") == "broker.example:443"


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), max_size=4))
def test_a_list_is_read_as_it_was_written(texts: list[str]) -> None:
    written = structured_fields.InnerList(
        tuple((text, {}) for text in texts), {"a": 1, "b": True, "c": 'x"\\', "d": b"\x00"}
    ).written()
    assert structured_fields.inner_lists(f"x={written}, y=()")["x"].written() == written


@given(st.text(max_size=60))
def test_rubbish_is_malformed_and_nothing_else(text: str) -> None:
    for read in (structured_fields.inner_lists, structured_fields.byte_sequences):
        try:
            found: Any = read(text)
        except Malformed as problem:
            assert "position" in str(problem)
        else:
            assert found


def test_a_member_that_comes_twice_is_refused() -> None:
    for field in ("a=:AA==:, a=:AA==:", "a=:AA==:,", "a=:AA=:", "a", "A=:AA==:", ""):
        with pytest.raises(Malformed):
            structured_fields.byte_sequences(field)
    assert base64.b64encode(structured_fields.byte_sequences("a=:AA==:")["a"]) == b"AA=="
    assert datetime.fromtimestamp(1772415000, UTC) == NOW
