"""A machine that proves itself by its key: what holds, what does not, and no secret when live."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import insert

from financing.errors import Invalid
from financing.store.tables import organisation
from financing.values.ids import new_id, show
from financing.values.times import wall_now
from financing.web import machines
from financing.web.api.oauth import SIGNED
from financing.web.app import create_app
from tests.asking import buy
from tests.conftest import Web

KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def pem(key: Any) -> str:
    return str(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    )


def signed(key: Any, said: dict[str, Any], header: dict[str, Any] | None = None) -> str:
    name = "EdDSA" if isinstance(key, ed25519.Ed25519PrivateKey) else "ES256"
    head = b64(json.dumps(header or {"alg": name}).encode())
    text = f"{head}.{b64(json.dumps(said).encode())}"
    if name == "EdDSA":
        return f"{text}.{b64(key.sign(text.encode()))}"
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(SHA256())))
    return f"{text}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def firm(web: Web) -> None:
    with web.ctx.begin() as tx:
        tx.db.execute(
            insert(organisation).values(
                id=new_id(), kind="supplier", scheme="name", identifier="firm", name="某公司",
                name_key="某公司", created_at=tx.now,
            )
        )  # fmt: skip


def keyed(web: Web, algorithm: str) -> str:
    firm(web)
    with web.ctx.begin() as tx:
        made = machines.admit(tx, "supplier", "firm", "x", key_pem=pem(KEYS[algorithm]))
    assert made.secret == ""
    return show("mc", made.id)


def claims(web: Web, name: str, **changes: Any) -> dict[str, Any]:
    exp = int(wall_now().timestamp()) + 120
    said = {"iss": name, "sub": name, "aud": f"{web.url}/oauth/token", "jti": new_id().hex}
    return {key: value for key, value in (said | {"exp": exp} | changes).items() if value != ""}


def send(web: Web, assertion: str) -> requests.Response:
    with requests.Session() as client:
        client.trust_env = False
        return client.post(
            f"{web.url}/oauth/token",
            data={
                "grant_type": "client_credentials",
                "client_assertion_type": SIGNED,
                "client_assertion": assertion,
            },
            timeout=20,
        )


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_statement_buys_one_token(web: Web, algorithm: str) -> None:
    name = keyed(web, algorithm)
    assertion = signed(KEYS[algorithm], claims(web, name))
    first, again = send(web, assertion), send(web, assertion)
    assert first.status_code == 200, first.text
    assert "contract.read" in first.json()["scope"]
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    assert "used before" in again.json()["error_description"]
    listed = {**claims(web, name), "aud": ["https://x.example", f"{web.url}/oauth/token"]}
    assert send(web, signed(KEYS[algorithm], listed)).status_code == 200


def test_what_does_not_hold_buys_nothing(web: Web) -> None:
    name, key, now = keyed(web, "EdDSA"), KEYS["EdDSA"], int(wall_now().timestamp())
    good = claims(web, name)
    head, body, signature = signed(key, good).split(".")
    refused = {
        "another key": signed(ed25519.Ed25519PrivateKey.generate(), good),
        "another algorithm": signed(KEYS["ES256"], good),
        "none": f"{b64(b'{' + b'}')}.{body}.{signature}",
        "alg none": signed(key, good, {"alg": "none"}),
        "crit": signed(key, good, {"alg": "EdDSA", "crit": ["b64"], "b64": False}),
        "altered": f"{head}.{b64(json.dumps(good | {'exp': now + 200}).encode())}.{signature}",
        "for another": signed(key, claims(web, name, aud="https://elsewhere.example/oauth/token")),
        "for nobody": signed(key, claims(web, name, aud="")),
        "another issuer": signed(key, claims(web, name, iss="mc_x")),
        "over": signed(key, claims(web, name, exp=now - 1)),
        "too long": signed(key, claims(web, name, exp=now + 3600)),
        "no end": signed(key, claims(web, name, exp="")),
        "an end as text": signed(key, claims(web, name, exp=str(now + 60))),
        "an end as truth": signed(key, claims(web, name, exp=True)),
        "an end beyond all time": signed(key, claims(web, name, exp=10**15)),
        "not yet": signed(key, claims(web, name, nbf=now + 600)),
        "no number": signed(key, claims(web, name, jti="")),
        "a long number": signed(key, claims(web, name, jti="x" * 65)),
        "an unknown machine": signed(key, claims(web, show("mc", new_id()))),
        "no statement": "x",
        "nothing": "",
    }
    for why, assertion in refused.items():
        with web.ctx.begin() as tx:  # the waits of others tests: here each is looked at
            tx.db.exec_driver_sql("DELETE FROM throttle")
        answer = send(web, assertion)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), why
    with web.ctx.begin() as tx:
        tx.db.exec_driver_sql("DELETE FROM throttle")
    assert send(web, signed(key, good)).status_code == 200


def test_a_machine_with_a_key_has_no_secret(web: Web) -> None:
    name = keyed(web, "EdDSA")
    for secret in ("", "x"):
        assert buy(web, name, secret).status_code == 401


def test_only_good_keys_are_registered(web: Web) -> None:
    firm(web)
    for wrong in (
        "x",
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(rsa.generate_private_key(65537, 2048)),
    ):
        with web.ctx.begin() as tx, pytest.raises(Invalid, match="P-256 or Ed25519"):
            machines.admit(tx, "supplier", "firm", "x", key_pem=wrong)


def test_a_live_service_takes_a_key_and_no_secret(web: Web) -> None:
    name = keyed(web, "EdDSA")
    with web.ctx.begin() as tx:
        secret = machines.admit(tx, "supplier", "firm", "y")
    live = create_app(replace(web.ctx, settings=replace(web.ctx.settings, live=True)))
    host = {"Host": web.url.removeprefix("http://")}
    grant = {"grant_type": "client_credentials"}
    basic = base64.b64encode(f"{show('mc', secret.id)}:{secret.secret}".encode()).decode()
    refused = live.test_client().post(
        "/oauth/token", data=grant, headers=host | {"Authorization": f"Basic {basic}"}
    )
    assert refused.status_code == 401
    taken = live.test_client().post(
        "/oauth/token",
        data=grant
        | {
            "client_assertion_type": SIGNED,
            "client_assertion": signed(KEYS["EdDSA"], claims(web, name)),
        },
        headers=host,
    )
    assert taken.status_code == 200, taken.text
    assert buy(web, show("mc", secret.id), secret.secret).status_code == 200, "but a sandbox does"
