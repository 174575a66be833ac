"""An event of a bank counts only with a signature of the bank's, and a bad one is told apart."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from financing.errors import Untrusted
from financing.evidence import jws, webhook_signature
from financing.evidence.http_signature import Message
from financing.evidence.webhook_key import Key

# Public test keys: RFC 9421 appendix B.1, and the secret of the Standard Webhooks test suites.
SECRET = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
ED25519 = base64.b64decode("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=")
P256 = base64.urlsafe_b64decode("UpuF81l-kOxbjf7T4mNSv0r5tN67Gim7rnf6EFpcYDs=")
BODY = (
    b'{"type":"application.refused","timestamp":"2026-03-02T01:29:58Z","data":{"application":'
    b'"ap_01JNB3K4","sequence":2,"request_id":"rq_01JNB3K5","reason_code":"R31"}}'
)
V1 = "v1,O3FAR+vE8phe4hhsHmQ9FQlXXJebAsbz0bbO2C1f7Pc="
V1A = "v1a,xCGQ119XZzqlDXB7idegqAcsQvzHpSWaV754mGVKEEVCRxvA285ljJTsQmISpiEfzJ5loKXFb0rfKMCjHAu2BQ=="
NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
DAY = timedelta(days=1)
HMAC = Key("v1", SECRET, NOW - DAY)
EDDSA = Key("v1a", ED25519, NOW - DAY)
HEADERS = {"webhook-id": "msg_01JNB3Q7", "webhook-timestamp": "1772415000"}


def accepted(signature: str, *keys: Key, body: bytes = BODY, now: datetime = NOW) -> str:
    headers = {**HEADERS, "webhook-signature": signature}
    return webhook_signature.verify(posted(headers, body), keys, now)[0]


def posted(headers: Mapping[str, str], body: bytes) -> Message:
    return Message("POST", "https://broker.example/x", headers, body)


def refused(
    signature: str = V1A,
    *keys: Key,
    body: bytes = BODY,
    now: datetime = NOW,
    headers: Mapping[str, str] = {},
) -> tuple[str, int]:
    sent = {**HEADERS, "webhook-signature": signature, **headers}
    with pytest.raises(Untrusted) as caught:
        webhook_signature.verify(posted(sent, body), keys or (EDDSA,), now)
    error = caught.value
    assert error.remedy
    said = f"{error} {error.where} {error.remedy} {error.received}"
    right = hmac.digest(SECRET, b"msg_01JNB3Q7.1772415000." + body, hashlib.sha256)
    for secret in (SECRET, right):
        assert base64.b64encode(secret).decode() not in said
        assert secret.hex() not in said
    return error.kind, error.status


def test_the_published_messages_are_accepted() -> None:
    assert len(BODY) == 162
    assert accepted(V1, HMAC) == "msg_01JNB3Q7"
    assert accepted(V1A, EDDSA) == "msg_01JNB3Q7"
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    now = datetime.fromtimestamp(1614265330, UTC)
    key = Key("v1", SECRET, now)
    assert webhook_signature.verify(posted(headers, b'{"test": 2432232314}'), [key], now)


def test_a_published_detached_jws_comes_out_byte_for_byte() -> None:
    key = derive_private_key(int.from_bytes(P256, "big"), SECP256R1())
    signature = jws.sign_detached(BODY, key, "test-key-ecc-p256")
    assert signature.partition("..")[2] == (
        "656skme19aFtV5Sbi28DJklBP4rjmByFR-4uwI4i9TS97hH-Sj57uLCW162hsqyJ3R0fnAm_0t7VMskvlwIjsg"
    )
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jws.verify_detached(BODY, signature, public.decode())


def test_during_a_rotation_old_and_new_key_both_count() -> None:
    old = Key("v1a", ED25519, NOW - DAY, NOW + DAY)
    new = Key("v1a", b"\x01" * 32, NOW - DAY)
    assert accepted(V1A, old, new)
    assert accepted(V1A, new, old)
    garbage = "v1a," + base64.b64encode(b"\x02" * 64).decode()
    assert accepted(f"{garbage} {V1A}", EDDSA)
    assert accepted(f"v2,whatever {V1A}", EDDSA)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_told(name: str) -> None:
    assert refused(headers={name: ""}) == ("signature-missing", 400)


def test_another_kind_than_agreed_is_told() -> None:
    assert refused(V1) == ("signature-kind-not-agreed", 401)
    assert refused(V1A, HMAC) == ("signature-kind-not-agreed", 401)
    assert refused("v9,abc") == ("signature-kind-not-agreed", 401)
    other = {"webhook-signature": "", "signature-input": "sig1=()", "signature": "sig1=:AA==:"}
    assert refused(headers=other) == ("signature-kind-not-agreed", 401)


def test_the_public_key_s_bytes_are_no_secret() -> None:
    forged = hmac.digest(ED25519, b"msg_01JNB3Q7.1772415000." + BODY, hashlib.sha256)
    signature = "v1," + base64.b64encode(forged).decode()
    assert refused(signature) == ("signature-kind-not-agreed", 401)
    assert refused(signature, Key("v1", b"", NOW - DAY)) == ("signature-mismatch", 401)


@pytest.mark.parametrize(
    "signature",
    [
        V1A.replace(",", ""),
        V1A[:-4],
        "v1a," + base64.b64encode(b"\x01" * 63).decode(),
        "v1a," + base64.b64encode(b"\x01" * 65).decode(),
        "v1a," + base64.b64encode(b"\x30\x44" + b"\x02" * 68).decode(),
        "v1a,****",
        "v1a,",
        f"{V1A},{V1A}",
        f"{V1A}  {V1A}",
        " ".join([V1A] * 100),
    ],
)
def test_a_malformed_signature_is_told(signature: str) -> None:
    assert refused(signature) == ("signature-header-malformed", 400)


@pytest.mark.parametrize("message_id", ["a.b", "a b", "ä", "x" * 65, "a,b"])
def test_a_malformed_id_is_told(message_id: str) -> None:
    assert refused(headers={"webhook-id": message_id}) == ("signature-header-malformed", 400)


@pytest.mark.parametrize(
    "stamp", ["1772415000000", "-1", "1e9", "1772415000.0", "soon", "1772415000,1772415000", "１"]
)
def test_a_malformed_timestamp_is_told(stamp: str) -> None:
    assert refused(headers={"webhook-timestamp": stamp}) == ("timestamp-malformed", 400)


def test_the_window_is_five_minutes_either_way() -> None:
    edge = timedelta(seconds=300)
    assert accepted(V1A, EDDSA, now=NOW + edge)
    assert accepted(V1A, EDDSA, now=NOW - edge)
    second = timedelta(seconds=1)
    assert refused(now=NOW + edge + second) == ("timestamp-too-old", 401)
    assert refused(now=NOW - edge - second) == ("timestamp-in-future", 401)


def test_a_key_out_of_its_life_is_told() -> None:
    early = Key("v1a", ED25519, NOW + DAY)
    late = Key("v1a", ED25519, NOW - 2 * DAY, NOW - DAY)
    revoked = Key("v1a", ED25519, NOW - 2 * DAY, None, NOW - DAY)
    live = Key("v1a", b"\x01" * 32, NOW - DAY)
    for dead, slug in ((early, "not-yet-valid"), (late, "expired"), (revoked, "revoked")):
        assert refused(V1A, dead) == (f"key-{slug}", 401)
        assert refused(V1A, dead, live) == (f"key-{slug}", 401)
    stranger = "v1a," + base64.b64encode(bytes(64)).decode()
    assert refused(stranger, late, early) == ("key-not-yet-valid", 401)
    assert refused(stranger, late, revoked, now=NOW - timedelta(hours=25)) == (
        "timestamp-in-future",
        401,
    )


def test_a_bank_without_a_key_is_told_so() -> None:
    with pytest.raises(Untrusted) as caught:
        webhook_signature.verify(posted({**HEADERS, "webhook-signature": V1A}, BODY), [], NOW)
    assert caught.value.kind == "key-unknown"


@pytest.mark.parametrize(
    "body", [BODY + b" ", b"\xef\xbb\xbf" + BODY, BODY.replace(b"R31", b"R32"), b"", BODY[:-1]]
)
@pytest.mark.parametrize(("signature", "key"), [(V1, HMAC), (V1A, EDDSA)])
def test_another_body_is_not_what_was_signed(body: bytes, signature: str, key: Key) -> None:
    assert refused(signature, key, body=body) == ("signature-mismatch", 401)


@pytest.mark.parametrize(("signature", "key"), [(V1, HMAC), (V1A, EDDSA)])
def test_an_edited_id_or_time_is_not_what_was_signed(signature: str, key: Key) -> None:
    for headers in ({"webhook-id": "msg_2"}, {"webhook-timestamp": "1772415001"}):
        assert refused(signature, key, headers=headers) == ("signature-mismatch", 401)


def test_another_bank_s_key_signs_nothing_here() -> None:
    other = Ed25519PrivateKey.generate()
    signed = other.sign(b"msg_01JNB3Q7.1772415000." + BODY)
    signature = "v1a," + base64.b64encode(signed).decode()
    assert refused(signature) == ("signature-mismatch", 401)
    zeros = "v1a," + base64.b64encode(bytes(64)).decode()
    assert refused(zeros) == ("signature-mismatch", 401)
