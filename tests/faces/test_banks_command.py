"""`financing banks`: keys of a bank's events, registered beside each other and ended."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine, text

from financing.values import uscc
from tests.conftest import Web
from tests.faces.test_forms import person
from tests.journeys.test_answers import Lender
from tests.signing import standard
from tests.verifying import OPENING, World

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bank(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> Lender:
    set_clock(OPENING)
    known = Lender(World(web.ctx, owner, set_clock), "bank-a")
    known.register()
    return known


def keys(command: Command) -> list[dict[str, Any]]:
    (one,) = json.loads(command("banks", "list", "--json").stdout)["banks"]
    return one["keys"]  # type: ignore[no-any-return]  # as the document has it


def pem(folder: Path, key: Any, name: str = "key.pub") -> str:
    path = folder / name
    public = key.public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(path)


def test_a_key_of_each_kind_is_registered_and_a_secret_lies_sealed(
    bank: Lender, command: Command, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("whsec_" + base64.b64encode(b"x" * 32).decode())
    ed, ec = Ed25519PrivateKey.generate(), generate_private_key(SECP256R1())
    for words in (
        ("key", "bank-a", str(secret), "--kind", "v1"),
        ("key", "bank-a", pem(tmp_path, ed), "--kind", "ed25519", "--name", "k1"),
        (
            "key",
            "bank-a",
            pem(tmp_path, ec, "ec.pub"),
            "--kind",
            "ecdsa-p256-sha256",
            "--name",
            "k2",
        ),
    ):
        done = command("banks", *words)
        assert (done.returncode, done.stderr) == (0, "")
    assert sorted(key["kind"] for key in keys(command)) == [
        "ecdsa-p256-sha256", "ed25519", "v1", "v1a",
    ]  # fmt: skip
    assert {key["life"] for key in keys(command)} == {"live"}
    with bank.world.owner.connect() as link:
        material = link.execute(text("SELECT material FROM bank_key WHERE kind = 'v1'")).scalar()
    assert b"x" * 8 not in bytes(material or b"x" * 8)
    body = b'{"type":"ping","timestamp":"2026-03-02T01:29:58Z"}'
    assert bank.deliver(standard(b"x" * 32, "msg_1", body), body).status == 202


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("--kind", "v1a"), "key"),
        (("--kind", "ecdsa-p256-sha256"), "name"),
        (("--kind", "ecdsa-p256-sha256", "--name", "k", "--until", "tomorrow"), ""),
    ],
)
def test_a_key_that_does_not_fit_is_refused_with_what_to_do(
    bank: Lender, command: Command, tmp_path: Path, words: tuple[str, ...], where: str
) -> None:
    path = pem(tmp_path, generate_private_key(SECP256R1()))
    done = command("banks", "key", "bank-a", path, *words)
    assert done.returncode == 2
    assert where in done.stderr and done.stderr.startswith("error: ")
    assert len(keys(command)) == 1
    nothing = tmp_path / "empty"
    nothing.write_text("no key")
    assert command("banks", "key", "bank-a", str(nothing), "--kind", "v1a").returncode == 2
    assert command("banks", "key", "bank-z", path, "--kind", "v1a").returncode == 2


def test_of_a_revoked_key_the_events_are_listed_that_came_under_it(
    bank: Lender, command: Command
) -> None:
    body = b'{"type":"ping","timestamp":"2026-03-02T01:29:58Z"}'
    bank.send(body, "msg_under_the_key")
    (key,) = keys(command)
    ended = command("banks", "end", "bank-a", key["id"], "--revoke", "--lang", "en")
    assert ended.returncode == 0
    assert "msg_under_the_key" in ended.stdout and "1 event came" in ended.stdout
    assert keys(command)[0]["life"] == "revoked"
    assert command("banks", "end", "bank-a", "ky_nothing").returncode == 2


def test_the_operator_sees_unknown_words_and_refusals_without_their_content(
    bank: Lender, web: Web
) -> None:
    body = b'{"type":"moon.rose","timestamp":"2026-03-02T01:29:58Z","data":{"x":"<b>secret"}}'
    bank.send(body)
    bank.send(body)
    with web.ctx.begin() as tx:
        operator = bank.world.owner.connect()
        with operator as link:
            where = link.execute(text("SELECT id FROM bank")).scalar_one()
        assert tx.one(text("SELECT 1 FROM bank_word WHERE word = 'moon.rose' AND times = 2"))
    with pytest.raises(Exception, match="no signature"):
        bank.deliver(standard(Ed25519PrivateKey.generate(), "msg_9", body), body)
    page = person(web, bank.world, "operator", where).open("/adapters").text
    assert "moon.rose" in page and "signature-mismatch" in page
    assert "secret" not in page


ENTRY: dict[str, Any] = {
    "code": "bank-z", "name": "某银行", "adapter": "rest_jws",
    "base_url": "https://bank.example/financing",
    "products": [
        {
            "code": "order", "name": {"zh": "订单贷", "en": "Order loan"}, "currency": "CNY",
            "share_bp": 7000, "min_fen": 10_000_00, "cap_fen": 10_000_000_00,
            "tenor_min_days": 30, "tenor_max_days": 365, "rate_from_bp": "345",
            "rate_to_bp": "435", "day_basis": "ACT/360", "valid_from": "2026-01-01",
        }
    ],
}  # fmt: skip


def entry(tmp_path: Path, **changed: Any) -> str:
    path = tmp_path / "bank.json"
    ed, ec = Ed25519PrivateKey.generate().public_key(), generate_private_key(SECP256R1())
    answer = ec.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    known = ENTRY | {
        "identifier": uscc.make("91410100", "MA9TE5T0"),
        "answer_key_pem": answer.decode(),
        "webhook_key": "whpk_" + base64.b64encode(ed.public_bytes_raw()).decode(),
    }
    path.write_text(json.dumps(known | changed, ensure_ascii=False), encoding="utf-8")
    return str(path)


def test_a_bank_is_registered_from_its_file_once(
    clean: None, command: Command, tmp_path: Path
) -> None:
    path = entry(tmp_path)
    done = command("banks", "register", path, "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    (one,) = json.loads(command("banks", "list", "--json").stdout)["banks"]
    assert (one["bank"], len(one["keys"])) == ("bank-z", 1)
    again = command("banks", "register", path)
    assert again.returncode == 2 and "already" in again.stderr


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"code": "Bank Z"}, "/code"),
        ({"identifier": "914101000000000001"}, "/identifier"),
        ({"adapter": "telex"}, "adapter"),
        ({"answer_key_pem": "nonsense"}, "/answer_key_pem"),
        ({"webhook_key": "whpk_short"}, "/webhook_key"),
        ({"products": []}, "/products"),
        ({"more": 1}, "/more"),
        ({"products": [ENTRY["products"][0] | {"cap_fen": 1}]}, "/products/0/cap_fen"),
    ],
)
def test_a_wrong_entry_names_its_field_and_changes_nothing(
    clean: None, command: Command, tmp_path: Path, changed: dict[str, Any], where: str
) -> None:
    done = command("banks", "register", entry(tmp_path, **changed), "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["where"] == where
    assert json.loads(command("banks", "list", "--json").stdout)["banks"] == []
