"""What another party's program computes: interest, signatures, and statements of accounts."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ET
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from bank_adapters.sandbox import config, loans, signing, statement
from bank_adapters.sandbox.books import Books
from financing.evidence import jws
from financing.rules import rates


@pytest.mark.parametrize(
    ("principal", "rate_bp", "days", "basis", "fen"),
    [
        (80_000_000, "435", 180, "ACT/360", 1_740_000),
        (80_000_000, "435", 180, "ACT/365", 1_716_164),
        (80_000_000, "435", 19, "ACT/360", 183_667),
        (80_000_000, "435", 92, "ACT/360", 889_333),
        (80_000_000, "435", 91, "ACT/360", 879_667),
        (33_333_333, "399", 365, "ACT/360", 1_348_472),
        (1, "435", 180, "ACT/360", 0),
        (50_870_000, "435", 90, "ACT/360", 553_211),
        (7_200, "100.5", 1, "ACT/360", 0),
        (72_000, "50", 1, "ACT/360", 1),
        (36_000, "50", 1, "ACT/360", 1),  # half a fen goes up
    ],
)
def test_interest_by_the_published_examples(
    principal: int, rate_bp: str, days: int, basis: str, fen: int
) -> None:
    assert loans.interest(principal, rate_bp, days, basis) == fen


@given(
    st.integers(0, 10**13),
    st.decimals(0, 2400, places=4, allow_nan=False).map(str),
    st.integers(0, 2000),
    st.sampled_from(sorted(config.BASES)),
)
def test_the_bank_and_the_broker_compute_the_same_interest(
    principal: int, rate_bp: str, days: int, basis: str
) -> None:
    assert loans.interest(principal, rate_bp, days, basis) == rates.interest(
        principal, rate_bp, days, basis
    )


@pytest.fixture(scope="module")
def keys() -> tuple[signing.Keys, ec.EllipticCurvePrivateKey]:
    """The bank's keys, and the broker's private one that it must know nothing of."""
    broker = ec.generate_private_key(ec.SECP256R1())
    own = ec.generate_private_key(ec.SECP256R1())
    events = [Ed25519PrivateKey.generate() for _ in range(2)]
    return signing.Keys(own, *events, broker.public_key()), broker


def test_each_side_takes_the_others_signature(
    keys: tuple[signing.Keys, ec.EllipticCurvePrivateKey],
) -> None:
    bank, broker = keys
    signing.verify(bank, b'{"a":1}', jws.sign_detached(b'{"a":1}', broker, "k"))
    jws.verify_detached(b'{"a":1}', signing.sign(bank, b'{"a":1}'), bank.answer_key_pem)


def token(broker: ec.EllipticCurvePrivateKey, header: object, payload: bytes) -> str:
    """A token whose mathematics are right whatever its header says."""

    def b64(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = b64(json.dumps(header).encode())
    r, s = decode_dss_signature(
        broker.sign(f"{head}.".encode() + payload, ec.ECDSA(hashes.SHA256()))
    )
    return f"{head}..{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


GOOD = {"alg": "ES256", "b64": False, "crit": ["b64"]}


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "ES256"},
        {**GOOD, "alg": "none"},
        {**GOOD, "b64": True},
        {**GOOD, "crit": ["b64", "exp"]},
        [],
    ],
)
def test_a_token_with_another_header_is_not_taken(
    header: object, keys: tuple[signing.Keys, ec.EllipticCurvePrivateKey]
) -> None:
    bank, broker = keys
    signing.verify(bank, b"x", token(broker, GOOD, b"x"))
    with pytest.raises(signing.NotSigned):
        signing.verify(bank, b"x", token(broker, header, b"x"))


@pytest.mark.parametrize("text", ["", "a", "..", "a..b", "a.b.c", "é..é", "!!!..!!!"])
def test_rubbish_is_not_taken_for_a_signature(
    text: str, keys: tuple[signing.Keys, ec.EllipticCurvePrivateKey]
) -> None:
    with pytest.raises(signing.NotSigned):
        signing.verify(keys[0], b"x", text)


@pytest.mark.parametrize(
    ("currency", "minor", "shown"),
    [("CNY", 5, "0.05"), ("CNY", 123_456, "1234.56"), ("JPY", 500, "500"), ("KWD", 1_005, "1.005")],
)
def test_a_statement_writes_amounts_as_the_currency_has_them(
    currency: str, minor: int, shown: str, tmp_path: Path
) -> None:
    books = Books(tmp_path / "books.sqlite", delivers=False)
    day = date(2026, 3, 2)
    statement.book(books, statement.Entry("1234567890", minor, currency, day, "Payer"))
    content = statement.camt(books, "bank", "1234567890", day, day)
    assert content is not None
    amounts = {node.text for node in ET.fromstring(content).iter() if node.tag.endswith("}Amt")}
    assert amounts - {"0", "0.00", "0.000"} == {shown}
    with pytest.raises(statement.Unbookable):
        statement.book(books, statement.Entry("1234567890", 1, "EUR", day, "Payer"))
    books.close()


def test_a_statement_begins_where_the_one_before_ended(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.sqlite", delivers=False)
    days = [date(2026, 3, day) for day in (2, 3, 4)]
    for day, amount in zip(days, (100, -30, 50), strict=True):
        statement.book(books, statement.Entry("1234567890", amount, "CNY", day, "Payer"))
    first = statement.camt(books, "bank", "1234567890", days[0], days[1])
    second = statement.camt(books, "bank", "1234567890", days[2], days[2])
    assert first is not None and second is not None

    def balances(content: bytes) -> list[str]:
        nodes = [n for n in ET.fromstring(content).iter() if n.tag.endswith("}Bal")]
        return [next(c.text or "" for c in n if c.tag.endswith("}Amt")) for n in nodes]

    assert balances(first) == ["0.00", "0.70"]
    assert balances(second) == ["0.70", "1.20"]
    assert statement.camt(books, "bank", "9999999999", days[0], days[1]) is None
    books.close()


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", "Bank A"),
        ("product", {"share_bp": 0, "cap": 1, "rate_bp": "1", "day_basis": "ACT/360", "days": 1}),
        ("product", {"share_bp": 1, "cap": 1, "rate_bp": "1", "day_basis": "30/360", "days": 1}),
        ("behaviour", {"decision": "maybe"}),
        ("behaviour", {"signs": "with a pen"}),
        ("behaviour", {"mood": "good"}),
        ("surprise", 1),
    ],
)
def test_a_configuration_with_a_wrong_member_is_named(
    member: str, value: object, tmp_path: Path
) -> None:
    good = {
        "name": "bank-a",
        "port": 0,
        "data": "books",
        "trust": "ca.pem",
        "broker_url": "",
        "broker_key_pem": "",
        "product": {
            "share_bp": 7000,
            "cap": 1,
            "rate_bp": "435",
            "day_basis": "ACT/360",
            "days": 1,
        },
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(good))
    assert config.load(path).behaviour.decision == "offer"
    path.write_text(json.dumps({**good, member: value}))
    with pytest.raises(config.Misconfigured):
        config.load(path)
