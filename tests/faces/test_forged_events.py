"""The twelve kinds of forged signature, over HTTP: each refused in its own words.

Nothing of a forged message is kept but that it came, no work follows, and no answer tells a
secret, the signature that would have been right, or what another bank has.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy import Engine, text

from financing.evidence.webhook_key import Key
from financing.journeys import banks
from financing.journeys.banks import Registration
from financing.values.times import wall_now
from tests.conftest import Web
from tests.signing import Request, b64, now_s, public, signed, standard
from tests.verifying import OPENING

BODY = json.dumps({"type": "moon.rose", "timestamp": "2026-03-02T01:29:58Z", "data": {}}).encode()
SECRET = b"a shared secret of the bank!"
DAY = timedelta(days=1)
_SERIAL = count(1)
Headers = dict[str, str]


@dataclass
class Desk:
    """Three banks, each with a way of signing of its own, and whoever sends in their names."""

    web: Web
    owner: Engine
    eddsa: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    ecdsa: EllipticCurvePrivateKey = field(
        default_factory=lambda: generate_private_key(SECP256R1())
    )
    http: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    ids: dict[str, UUID] = field(default_factory=dict)

    def register(self) -> None:
        """bank-a signs v1a, bank-b by RFC 9421 with two keys, bank-c v1."""
        now = wall_now() - DAY
        with self.web.ctx.begin() as tx:
            for code in ("bank-a", "bank-b", "bank-c"):
                self.ids[code] = banks.register(
                    tx,
                    Registration(
                        code, code, code, "rest_jws", "http://127.0.0.1:1", "",
                        public(self.eddsa), (
                            {
                                "code": "P", "name": {}, "share_bp": 1, "min_fen": 1, "cap_fen": 1,
                                "tenor_min_days": 1, "tenor_max_days": 1, "rate_from_bp": "1",
                                "rate_to_bp": "1", "day_basis": "ACT/360", "currency": "CNY",
                                "valid_from": OPENING.date(),
                            },
                        ),
                    ),
                )  # fmt: skip
        with self.owner.begin() as link:
            link.execute(
                text("DELETE FROM bank_key WHERE bank_id <> :a"), {"a": self.ids["bank-a"]}
            )
        self.add("bank-b", Key("ed25519", public(self.http), now, name="http-1"))
        self.add("bank-b", Key("ecdsa-p256-sha256", public(self.ecdsa), now, name="http-2"))
        self.add("bank-c", Key("v1", SECRET, now))

    def add(self, code: str, key: Key) -> UUID:
        with self.web.ctx.begin() as tx:
            return banks.add_key(tx, self.ids[code], key)

    def request(self, **changes: Any) -> Request:
        """One of bank-b, by its first key."""
        plain = Request(
            f"{self.web.url}/api/v1/webhooks/banks/bank-b", new_id(), BODY, "http-1", "ed25519"
        )
        return plain.but(**changes)

    def send(self, code: str, headers: Headers, body: bytes = BODY) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.post(
                f"{self.web.url}/api/v1/webhooks/banks/{code}",
                data=body,
                headers={"Content-Type": "application/json", **headers},
                timeout=20,
            )

    def count(self, query: str) -> int:
        with self.owner.connect() as link:
            return int(link.execute(text(query)).scalar_one())


def new_id() -> str:
    return f"msg_{next(_SERIAL)}"


@pytest.fixture
def desk(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> Iterator[Desk]:
    set_clock(OPENING)
    made = Desk(web, owner)
    made.register()
    yield made
    assert made.count("SELECT count(*) FROM bank_key WHERE position('secret' IN material) > 0") == 0


# Each forgery: what it is, in whose name, its headers and body, and the word it is refused with.
Forged = tuple[str, Headers, bytes, str]
FORGERIES: dict[str, Callable[[Desk], list[Forged]]] = {}


def kind(name: str) -> Callable[[Callable[[Desk], list[Forged]]], Callable[[Desk], list[Forged]]]:
    def put(make: Callable[[Desk], list[Forged]]) -> Callable[[Desk], list[Forged]]:
        FORGERIES[name] = make
        return make

    return put


@kind("1 none")
def _none(desk: Desk) -> list[Forged]:
    empty = dict.fromkeys(standard(desk.eddsa, "x", BODY), "")
    return [
        ("bank-a", {}, BODY, "signature-missing"),
        ("bank-a", empty, BODY, "signature-missing"),
        ("bank-b", {}, BODY, "signature-missing"),
        ("bank-b", {"webhook-id": "msg", "signature-input": 'a=();tag="x"'}, BODY,
         "signature-missing"),
    ]  # fmt: skip


@kind("2 another kind than agreed")
def _other_kind(desk: Desk) -> list[Forged]:
    return [
        ("bank-a", standard(SECRET, new_id(), BODY), BODY, "signature-kind-not-agreed"),
        ("bank-c", standard(desk.eddsa, new_id(), BODY), BODY, "signature-kind-not-agreed"),
        ("bank-a", desk.request().headers(desk.http), BODY, "signature-kind-not-agreed"),
        ("bank-b", standard(desk.eddsa, new_id(), BODY), BODY, "signature-kind-not-agreed"),
        ("bank-a", {"x-jws-signature": "e30..AA"}, BODY, "signature-kind-not-agreed"),
    ]


@kind("3 malformed")
def _malformed(desk: Desk) -> list[Forged]:
    good = standard(desk.eddsa, new_id(), BODY)
    value = good["webhook-signature"]
    bad = [
        good | {"webhook-signature": wrong}
        for wrong in (
            "v1a,***", "v1a," + b64(bytes(63)), "v1a," + b64(bytes(65)), value.replace(",", ""),
            f"{value}, {value}", " ".join([value] * 100), "v1a," + b64(b"\x30\x44" + bytes(68)),
        )
    ]  # fmt: skip
    sent = desk.request(keyid="http-2", alg="ecdsa-p256-sha256")
    der = desk.ecdsa.sign(sent.base(sent.parameters), ECDSA(SHA256()))
    signed_well = sent.headers(desk.ecdsa)
    labels = ", ".join(f"sig{n}={sent.parameters}" for n in range(100))
    more = [
        signed_well | {"signature": f"sig1=:{b64(der)}:"},
        signed_well | {"signature": f"sig1=:{b64(bytes(63))}:"},
        signed_well | {"signature": "sig1=AAAA"},
        signed_well | {"signature-input": labels},
        signed_well | {"signature-input": sent.parameters},
        signed_well | {"signature": f"{signed_well['signature']}, {signed_well['signature']}"},
    ]
    slug = "signature-header-malformed"
    return [("bank-a", headers, BODY, slug) for headers in bad] + [
        ("bank-b", headers, BODY, slug) for headers in more
    ]


@kind("4 body changed")
def _body(desk: Desk) -> list[Forged]:
    bodies = [
        BODY.replace(b"moon", b"noon"), BODY + b" ",
        json.dumps(json.loads(BODY), indent=1).encode(),
        b"\xef\xbb\xbf" + BODY, gzip.compress(BODY), b"",
    ]  # fmt: skip
    other = desk.request(body=BODY + b" ")
    right_digest = desk.request().headers(desk.http) | {"content-digest": other.digest}
    return [
        *(
            ("bank-a", standard(desk.eddsa, new_id(), BODY), b, "signature-mismatch")
            for b in bodies
        ),
        *(("bank-b", desk.request().headers(desk.http), b, "digest-mismatch") for b in bodies),
        ("bank-b", right_digest, other.body, "signature-mismatch"),
    ]


@kind("5 a foreign key")
def _foreign(desk: Desk) -> list[Forged]:
    own = Ed25519PrivateKey.generate()
    return [
        ("bank-a", standard(own, new_id(), BODY), BODY, "signature-mismatch"),
        ("bank-a", standard(desk.http, new_id(), BODY), BODY, "signature-mismatch"),
        ("bank-c", standard(b"another secret of 24 byt", new_id(), BODY), BODY,
         "signature-mismatch"),
        ("bank-b", desk.request().headers(desk.eddsa), BODY, "signature-mismatch"),
        ("bank-b", desk.request(keyid="of-nobody").headers(desk.http), BODY, "key-unknown"),
    ]  # fmt: skip


@kind("6 a key out of its life")
def _life(desk: Desk) -> list[Forged]:
    now = wall_now()
    keys = {
        "key-not-yet-valid": (now + DAY, None),
        "key-expired": (now - 2 * DAY, now - DAY),
        "key-revoked": (now - 2 * DAY, None),
    }
    forged: list[Forged] = []
    for slug, (since, until) in keys.items():
        own = Ed25519PrivateKey.generate()
        ids = [
            desk.add("bank-a", Key("v1a", public(own), since, until)),
            desk.add("bank-b", Key("ed25519", public(own), since, until, name=slug)),
        ]
        if slug == "key-revoked":
            with desk.web.ctx.begin() as tx:
                banks.end_key(tx, desk.ids["bank-a"], ids[0], now, revoked=True)
                banks.end_key(tx, desk.ids["bank-b"], ids[1], now, revoked=True)
        forged += [
            ("bank-a", standard(own, new_id(), BODY), BODY, slug),
            ("bank-b", desk.request(keyid=slug).headers(own), BODY, slug),
        ]
    return forged


@kind("7 stale")
def _stale(desk: Desk) -> list[Forged]:
    old = now_s() - 301
    edited = standard(desk.eddsa, new_id(), BODY, at=old) | {"webhook-timestamp": str(now_s())}
    sent = desk.request(created=old)
    fresh = sent.headers(desk.http)
    fresh["signature-input"] = fresh["signature-input"].replace(str(old), str(now_s()))
    past = desk.request(more=f";expires={now_s() - 1}")
    return [
        ("bank-a", standard(desk.eddsa, new_id(), BODY, at=old), BODY, "timestamp-too-old"),
        ("bank-a", edited, BODY, "signature-mismatch"),
        ("bank-b", sent.headers(desk.http), BODY, "timestamp-too-old"),
        ("bank-b", fresh, BODY, "signature-mismatch"),
        ("bank-b", past.headers(desk.http), BODY, "timestamp-too-old"),
    ]


@kind("8 an impossible time")
def _time(desk: Desk) -> list[Forged]:
    ahead = now_s() + 320
    good = standard(desk.eddsa, new_id(), BODY)
    shapes = [str(now_s() * 1000), "-1", "1e9", "soon"]
    return [
        ("bank-a", standard(desk.eddsa, new_id(), BODY, at=ahead), BODY, "timestamp-in-future"),
        ("bank-b", desk.request(created=ahead).headers(desk.http), BODY, "timestamp-in-future"),
        *(("bank-a", good | {"webhook-timestamp": s}, BODY, "timestamp-malformed") for s in shapes),
        *(
            ("bank-b", desk.request(created=s).headers(desk.http), BODY, "timestamp-malformed")
            for s in (now_s() * 1000, -1, '"soon"')
        ),
        ("bank-b", desk.request(created="1e9").headers(desk.http), BODY,
         "signature-header-malformed"),
    ]  # fmt: skip


@kind("9 another algorithm")
def _algorithm(desk: Desk) -> list[Forged]:
    by_public = standard(public(desk.eddsa), new_id(), BODY)
    claimed = by_public["webhook-signature"].partition(",")[2]
    as_key = hmac.digest(public(desk.http), desk.request().base("x"), hashlib.sha256)
    zeros = desk.request().headers(desk.http) | {"signature": f"sig1=:{b64(bytes(64))}:"}
    labelled = desk.request(keyid="http-2", alg="ed25519")
    return [
        ("bank-a", by_public, BODY, "signature-kind-not-agreed"),
        ("bank-a", by_public | {"webhook-signature": f"v1a,{claimed}"}, BODY,
         "signature-header-malformed"),
        ("bank-a", by_public | {"webhook-signature": "none,"}, BODY, "signature-kind-not-agreed"),
        ("bank-b", desk.request(alg="none").headers(desk.http), BODY, "algorithm-not-bound"),
        ("bank-b", desk.request(alg="hmac-sha256").headers(desk.http), BODY, "algorithm-not-bound"),
        ("bank-b", labelled.headers(desk.ecdsa), BODY, "algorithm-not-bound"),
        ("bank-b", desk.request(keyid="http-2", alg=None).headers(desk.http), BODY,
         "signature-mismatch"),
        ("bank-b", zeros, BODY, "signature-mismatch"),
        ("bank-b", desk.request().headers(desk.http) | {"signature": f"sig1=:{b64(as_key)}:"}, BODY,
         "signature-header-malformed"),
    ]  # fmt: skip


@kind("10 covers too little, or is for another purpose")
def _coverage(desk: Desk) -> list[Forged]:
    all_of_it = desk.request().covered
    less = [
        desk.request(covered=[name for name in all_of_it if name != left_out])
        for left_out in all_of_it
    ]
    no_digest = desk.request().headers(desk.http)
    del no_digest["content-digest"]
    sha512 = desk.request().headers(desk.http) | {"content-digest": "sha-512=:AAAA:"}
    good = desk.request(label="good", tag="another")
    both = desk.request().headers(Ed25519PrivateKey.generate())
    for name in ("signature", "signature-input"):
        both[name] += ", " + good.headers(desk.http)[name]
    return [
        *(("bank-b", one.headers(desk.http), BODY, "coverage-incomplete") for one in less),
        ("bank-b", no_digest, BODY, "digest-missing"),
        ("bank-b", sha512, BODY, "digest-missing"),
        ("bank-b", desk.request(tag="financing-api").headers(desk.http), BODY, "tag-wrong"),
        ("bank-b", desk.request(tag=None).headers(desk.http), BODY, "tag-wrong"),
        ("bank-b", both, BODY, "signature-mismatch"),
    ]


@kind("11 another target")
def _target(desk: Desk) -> list[Forged]:
    url, path = desk.web.url, "/api/v1/webhooks/banks/bank-b"
    elsewhere = [
        url + path.replace("bank-b", "bank-a"),
        url.replace("http:", "https:") + path,
    ]
    forged_proxy = desk.request(target=f"https://broker.example{path}").headers(desk.http)
    forged_proxy |= {"X-Forwarded-Host": "broker.example", "X-Forwarded-Proto": "https"}
    return [
        *(
            ("bank-b", desk.request(target=target).headers(desk.http), BODY, "target-mismatch")
            for target in elsewhere
        ),
        ("bank-b", desk.request(target=f"https://sandbox.example{path}").headers(desk.http), BODY,
         "signature-mismatch"),
        ("bank-b", forged_proxy, BODY, "signature-mismatch"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused_in_its_own_words_and_leaves_a_count(desk: Desk, name: str) -> None:
    forged = FORGERIES[name](desk)
    rows = desk.count("SELECT count(*) FROM outbox")
    for position, (code, headers, body, slug) in enumerate(forged):
        if position % 10 == 0:
            forget(desk)  # else the address would be told to wait
        answer = desk.send(code, headers, body)
        told = answer.json()
        assert told["type"] == f"/problems/{slug}", (position, told)
        assert answer.status_code == (400 if slug in UNFIT else 401)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert told["where"] and told["remedy"] and told["request_id"]
        assert told["received"]["bytes"] == len(body)
        assert_no_secret(desk, answer.text, headers)
    assert desk.count("SELECT count(*) FROM inbox") == 0
    assert desk.count("SELECT count(*) FROM outbox") == rows
    assert desk.count("SELECT sum(times) FROM refused_event") == 1 + (len(forged) - 1) % 10


UNFIT = ("signature-missing", "signature-header-malformed", "timestamp-malformed")


def assert_no_secret(desk: Desk, said: str, headers: Headers) -> None:
    at = headers.get("webhook-timestamp", "")
    data = f"{headers.get('webhook-id', '')}.{at}.".encode() + BODY
    right = hmac.digest(SECRET, data, hashlib.sha256)
    for secret in (SECRET, right, signed(desk.eddsa, data)):
        for shown in (b64(secret), base64.urlsafe_b64encode(secret).decode(), secret.hex()):
            assert shown not in said
    assert "http-2" not in said or headers.get("signature-input")  # its own names, to its signer


def forget(desk: Desk) -> None:
    with desk.owner.begin() as link:
        link.execute(text("DELETE FROM refused_event"))


def test_12_a_replay_with_another_body_is_refused_and_the_same_body_is_no_forgery(
    desk: Desk,
) -> None:
    for code, make in (
        ("bank-a", lambda i, b: standard(desk.eddsa, i, b)),
        ("bank-b", lambda i, b: desk.request(message_id=i, body=b).headers(desk.http)),
        ("bank-c", lambda i, b: standard(SECRET, i, b)),
    ):
        assert desk.send(code, make("msg_1", BODY)).status_code == 202
        other = desk.send(code, make("msg_1", BODY + b" "), BODY + b" ")
        assert other.status_code == 409
        assert other.json()["type"] == "/problems/replayed-other-body"
        again = desk.send(code, make("msg_1", BODY))
        assert (again.status_code, again.json()["duplicate"]) == (200, True)
        with desk.owner.begin() as link:
            link.execute(text("UPDATE inbox SET received_at = received_at - interval '90 days'"))
        with ThreadPoolExecutor(4) as pool:
            late = list(pool.map(lambda _: desk.send(code, make("msg_1", BODY)), range(4)))  # noqa: B023  used up in this round
        assert {answer.status_code for answer in late} == {200}
    assert desk.count("SELECT count(*) FROM inbox") == 3
    replays = "SELECT sum(times) FROM refused_event WHERE slug = 'replayed-other-body'"
    assert desk.count(replays) == 3


def test_an_address_that_forges_too_much_is_not_looked_at_any_more(desk: Desk) -> None:
    for _ in range(21):
        assert desk.send("bank-a", {}).status_code == 400
    stopped = desk.send("bank-a", standard(desk.eddsa, new_id(), BODY))
    assert (stopped.status_code, stopped.headers["Retry-After"]) == (429, "60")
    with desk.owner.begin() as link:
        link.execute(text("UPDATE refused_event SET minute = minute - interval '2 minutes'"))
    assert desk.send("bank-a", standard(desk.eddsa, new_id(), BODY)).status_code == 202


def test_both_ways_of_signing_end_in_one_inbox_with_the_key_that_signed(desk: Desk) -> None:
    by_ec = desk.request(keyid="http-2", alg=None)
    assert desk.send("bank-a", standard(desk.eddsa, new_id(), BODY)).status_code == 202
    assert desk.send("bank-b", desk.request().headers(desk.http)).status_code == 202
    assert desk.send("bank-b", by_ec.headers(desk.ecdsa)).status_code == 202
    assert desk.send("bank-c", standard(SECRET, new_id(), BODY)).status_code == 202
    kinds = "SELECT count(DISTINCT k.kind) FROM inbox i JOIN bank_key k ON k.id = i.key_id"
    assert desk.count(kinds) == 4
    assert desk.count("SELECT count(*) FROM outbox WHERE kind = 'answer'") == 4


def test_two_keys_live_while_they_overlap_and_the_old_one_ends(desk: Desk) -> None:
    new = Ed25519PrivateKey.generate()
    desk.add("bank-a", Key("v1a", public(new), wall_now() - DAY))
    for key in (desk.eddsa, new, desk.eddsa):
        assert desk.send("bank-a", standard(key, new_id(), BODY)).status_code == 202
    with desk.web.ctx.begin() as tx:
        old = next(
            key_id
            for key, key_id in banks.keys_of(tx, desk.ids["bank-a"]).items()
            if key.material == public(desk.eddsa)
        )
        came = banks.end_key(tx, desk.ids["bank-a"], old, wall_now() - DAY, revoked=False)
    assert len(came) == 2, "the events that came under it since"
    refused = desk.send("bank-a", standard(desk.eddsa, new_id(), BODY))
    assert refused.json()["type"] == "/problems/key-expired"
    assert desk.send("bank-a", standard(new, new_id(), BODY)).status_code == 202


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
    ],
)
def test_a_body_that_is_not_plain_json_is_not_looked_at(
    desk: Desk, headers: Headers, status: int
) -> None:
    answer = desk.send("bank-a", standard(desk.eddsa, new_id(), BODY) | headers)
    assert answer.status_code == status and answer.json()["remedy"]
    assert desk.count("SELECT count(*) FROM refused_event") == 0


def test_a_body_of_no_length_or_too_much_is_not_read(desk: Desk) -> None:
    headers = standard(desk.eddsa, new_id(), BODY) | {"Content-Type": "application/json"}
    with requests.Session() as session:
        session.trust_env = False
        address = f"{desk.web.url}/api/v1/webhooks/banks/bank-a"
        chunked = session.post(address, data=iter([BODY]), headers=headers, timeout=20)
    assert (chunked.status_code, chunked.json()["type"]) == (411, "/problems/length-missing")
    assert desk.send("bank-a", headers, b" " * ((1 << 20) + 1)).status_code == 413
    assert desk.count("SELECT count(*) FROM inbox") == 0


def test_a_signed_body_that_cannot_be_read_is_kept_and_parked_and_its_sender_told(
    desk: Desk,
) -> None:
    for body in (b"{", b'{"type":"offer.made"}', b"[]", b'{"a":NaN}'):
        answer = desk.send("bank-a", standard(desk.eddsa, new_id(), body), body)
        assert answer.status_code == 422, body
    assert desk.count("SELECT count(*) FROM inbox WHERE outcome = 'parked'") == 4
    assert desk.count("SELECT count(*) FROM parked WHERE kind = 'event'") == 4
    assert desk.count("SELECT count(*) FROM outbox WHERE kind = 'answer'") == 0


def test_an_unknown_bank_is_an_unknown_address(desk: Desk) -> None:
    assert desk.send("bank-z", standard(desk.eddsa, new_id(), BODY)).status_code == 404
