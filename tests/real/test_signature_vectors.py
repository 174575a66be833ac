"""Published test vectors of signatures: what is valid is taken, what is not is refused."""

from __future__ import annotations

import base64
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from financing.errors import Untrusted
from financing.evidence import (
    cms,
    http_signature,
    jws,
    standard_webhooks,
    structured_fields,
    verify,
)
from financing.evidence.http_signature import Message
from financing.evidence.webhook_key import Key

pytestmark = pytest.mark.real


def vectors(folder: Path, name: str) -> Any:
    return json.loads((folder / "crypto" / name).read_text("utf-8"))


def test_messages_of_standard_webhooks(real_data: Path) -> None:
    seen: Counter[bool] = Counter()
    for case in vectors(real_data, "webhook/standard_webhooks.json"):
        now = datetime.fromtimestamp(case["timestamp"], UTC)
        headers = {
            "webhook-id": case["id"],
            "webhook-timestamp": str(case["timestamp"]),
            "webhook-signature": case["signature_header"],
        }
        key = Key("v1", base64.b64decode(case["secret_base64"]), now)
        try:
            standard_webhooks.verify(headers, case["body"].encode(), [key], now)
        except Untrusted:
            accepted = False
        else:
            accepted = True
        assert accepted == case["valid"], case["name"]
        seen[accepted] += 1
    assert seen == {True: 2, False: 7}


def test_requests_signed_by_http_message_signatures(real_data: Path) -> None:
    """The signature bases of the standard's own requests, and the one signature by Ed25519."""
    known = vectors(real_data, "http-signatures/rfc9421.json")
    sent = known["request"]
    message = Message(
        sent["method"],
        f"https://{sent['headers']['Host']}{sent['target']}",
        {name.lower(): value for name, value in sent["headers"].items()},
        sent["body"].encode(),
    )
    seen: Counter[bool] = Counter()
    for case in known["cases"]:
        if case["message"] != "request":
            continue
        signed = structured_fields.inner_lists(f"{case['label']}={case['params']}")[case["label"]]
        base = http_signature.signature_base(message, signed)
        assert base.decode() == case["base"], case["section"]
        if case["alg"] == "ed25519":
            pem = known["keys"][case["keyid"]]["public_pem"].encode()
            material = load_pem_public_key(pem).public_bytes_raw()
            key = Key("ed25519", material, datetime(2026, 1, 1, tzinfo=UTC), name=case["keyid"])
            value = base64.b64decode(case["signature"])
            seen[http_signature._signs(key, value, base)] += 1
            seen[http_signature._signs(key, value, base + b" ")] += 1
    assert seen == {True: 1, False: 1}


def test_ed25519_signatures(real_data: Path) -> None:
    """A malformed length is refused before the mathematics; all else by it."""
    seen: Counter[bool] = Counter()
    for group in vectors(real_data, "signatures/ed25519_test.json")["testGroups"]:
        key = Key("v1a", bytes.fromhex(group["publicKey"]["pk"]), datetime(2026, 1, 1, tzinfo=UTC))
        for test in group["tests"]:
            value = bytes.fromhex(test["sig"])
            signed = bytes.fromhex(test["msg"])
            accepted = len(value) == 64 and standard_webhooks._signs(key, value, signed)
            assert accepted == (test["result"] == "valid"), test["tcId"]
            seen[accepted] += 1
    assert seen.total() == 151
    assert seen[True] > 80


def in_form(signature: bytes) -> bool:
    """Whether the packet's verifier would write these numbers in the very same way."""
    try:
        r, s = verify.Signature(numbers=signature).pair()
    except (ValueError, IndexError):
        return False
    return bool(cms.encode_dss_signature(r, s) == signature and 0 < s <= verify.ORDER // 2)


def test_ecdsa_signatures_are_taken_in_one_form_only(real_data: Path) -> None:
    seen: Counter[str] = Counter()
    name = "signatures/ecdsa_secp256r1_sha256_test.json"
    for group in vectors(real_data, name)["testGroups"]:
        key = jws.public_key(group["publicKeyPem"])
        for test in group["tests"]:
            signature = bytes.fromhex(test["sig"])
            accepted = in_form(signature)
            if accepted:
                try:
                    key.verify(signature, bytes.fromhex(test["msg"]), ECDSA(SHA256()))
                except InvalidSignature:
                    accepted = False
            seen[f"{test['result']} {'taken' if accepted else 'refused'}"] += 1
    # 71 valid signatures are the larger of their two forms, which a packet does not take.
    assert seen == {"valid taken": 103, "valid refused": 71, "invalid refused": 310}
