"""`financing banks`: which banks there are, and the keys that sign their events."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from sqlalchemy import select

from bank_adapters import registry
from financing.cli import shared
from financing.errors import Conflict, Invalid, Unreadable
from financing.evidence.webhook_key import KINDS, Key, life
from financing.journeys import banks as journey
from financing.store.db import Tx
from financing.store.tables import bank
from financing.values import ids, strict_json, uscc
from financing.values.times import parse_instant, rfc3339, wall_now
from financing.words import t
from schemas.bank import BankIn
from schemas.fields import read


@click.group("banks", epilog="Example: financing banks list")
def banks() -> None:
    """Register and list banks; add, end, and revoke the keys that sign their events."""


@banks.command("list", epilog="Example: financing banks list --json")
@shared.options
def listed(as_json: bool, lang: str) -> None:
    """List banks with their keys."""
    with shared.opened() as ctx, ctx.begin() as tx:
        found = [
            {"bank": row.code, "adapter": row.adapter, "keys": _keys(tx, row.id)}
            for row in tx.rows(select(bank).order_by(bank.c.code))
        ]
    if as_json:
        shared.emit({"banks": found})
        return
    for one in found:
        shared.say(f"{one['bank']}  {one['adapter']}")
        for key in one["keys"]:
            shared.say(f"    {key['id']}  {key['kind']:18} {key['life']:14} {key['name']}")
    shared.say(t("banks.total", lang, n=len(found)))


@banks.command("register", epilog="Example: financing banks register bank-a.json")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@shared.options
def register(path: Path, as_json: bool, lang: str) -> None:
    """Enter a bank at the register, from the JSON file that docs/operators.md describes."""
    entry = _entry(path)
    with shared.opened() as ctx, ctx.begin() as tx:
        is_known = any(row.code == entry.code for row in tx.rows(select(bank.c.code)))
        journey.register(tx, entry)
    if is_known:
        raise Conflict(
            f"the bank {entry.code} is registered already; nothing was changed",
            where="/code",
            remedy="Keys are added by `financing banks key`.",
        )
    if as_json:
        shared.emit({"bank": entry.code, "products": len(entry.products)})
    else:
        shared.say(t("banks.registered", lang, bank=entry.code, n=len(entry.products)))


def _entry(path: Path) -> journey.Registration:
    """What the file says, every field checked.

    Raises:
        Unreadable: no such file, or no JSON.
        Invalid: says which field is wrong, by its pointer.
    """
    try:
        said = read(BankIn(), strict_json.loads(path.read_bytes()))
    except OSError as problem:
        raise Unreadable(f"cannot be read: {problem.strerror}", where=str(path)) from problem
    wrong = uscc.problem(said["identifier"])
    if wrong is not None:
        raise Invalid(wrong, where="/identifier", remedy="Give the bank's USCC (18 characters).")
    registry.adapter(said["adapter"])
    try:
        key = load_pem_public_key(said["answer_key_pem"].encode())
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise ValueError("another kind of key")
    except ValueError as problem:
        raise Invalid(
            "no public key", where="/answer_key_pem", remedy="Give a P-256 public key as PEM."
        ) from problem
    products = tuple(said.pop("products"))
    webhook_key = base64.b64decode(said.pop("webhook_key").removeprefix("whpk_"))
    return journey.Registration(**said, webhook_key=webhook_key, products=products)


def _keys(tx: Tx, bank_id: Any) -> list[dict[str, Any]]:
    now = wall_now()
    return [
        {
            "id": ids.show("ky", key_id),
            "kind": key.kind,
            "name": key.name,
            "life": life(key, now),
            "from": rfc3339(key.live_from),
            "until": rfc3339(key.live_to) if key.live_to else None,
        }
        for key, key_id in journey.keys_of(tx, bank_id).items()
    ]


@banks.command("key", epilog="Example: financing banks key bank-a ed25519.pub --kind v1a")
@click.argument("code", metavar="BANK")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What the key signs.")
@click.option("--name", default="", help="The bank's keyid; RFC 9421 needs one.")
@click.option("--from", "since", metavar="TIME", help="Begin of its life. Default: now.")
@click.option("--until", metavar="TIME", help="End of its life. Default: none.")
@shared.options
def add(
    *,
    code: str,
    path: Path,
    kind: str,
    name: str,
    since: str | None,
    until: str | None,
    as_json: bool,
    lang: str,
) -> None:
    """Register a key beside those there are: PEM, base64, or `whpk_…` and `whsec_…`."""
    key = Key(
        kind,
        _material(path),
        _instant(since) or wall_now(),
        _instant(until),
        name=name,
    )
    with shared.opened() as ctx, ctx.begin() as tx:
        key_id = ids.show("ky", journey.add_key(tx, journey.by_code(tx, code).id, key))
    if as_json:
        shared.emit({"id": key_id})
    else:
        shared.say(t("banks.key_added", lang, id=key_id, bank=code))


@banks.command("end", epilog="Example: financing banks end bank-a ky_… --at 2026-04-01T00:00:00Z")
@click.argument("code", metavar="BANK")
@click.argument("key_id", metavar="KEY")
@click.option("--at", metavar="TIME", help="End of its life. Default: now.")
@click.option("--revoke", is_flag=True, help="Others may have had it: it ends now.")
@click.option("--since", metavar="TIME", help="With --revoke: since when. Default: always.")
@shared.options
def end(
    *,
    code: str,
    key_id: str,
    at: str | None,
    revoke: bool,
    since: str | None,
    as_json: bool,
    lang: str,
) -> None:
    """End a key; of a revoked one list the events that came under it since."""
    moment = _instant(since if revoke else at)
    if moment is None:
        moment = datetime.fromtimestamp(0, wall_now().tzinfo) if revoke else wall_now()
    with shared.opened() as ctx, ctx.begin() as tx:
        bank_id = journey.by_code(tx, code).id
        came = journey.end_key(tx, bank_id, ids.read("ky", key_id), moment, revoked=revoke)
    events = [
        {"id": row.message_id, "received_at": rfc3339(row.received_at), "outcome": row.outcome}
        for row in came
    ]
    if as_json:
        shared.emit({"id": key_id, "events": events})
        return
    for event in events:
        shared.say(f"    {event['received_at']}  {event['outcome'] or '…'}  {event['id']}")
    shared.say(t("banks.key_ended", lang, id=key_id, n=len(events)))


def _instant(text: str | None) -> datetime | None:
    return parse_instant(text) if text else None


def _material(path: Path) -> bytes:
    """The bytes of a key: from PEM, or from base64 with or without its prefix."""
    try:
        data = path.read_bytes().strip()
    except OSError as problem:
        raise Invalid(f"the file cannot be read: {problem.strerror}", where=str(path)) from problem
    try:
        if data.startswith(b"-----BEGIN"):
            return _raw(load_pem_public_key(data))
        return base64.b64decode(data.decode("ascii").split("_", 1)[-1], validate=True)
    except (ValueError, binascii.Error) as problem:
        raise Invalid(
            "the file holds no key",
            where=str(path),
            remedy="Give a PEM public key, or base64 as whpk_… or whsec_… have it.",
        ) from problem


def _raw(key: object) -> bytes:
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    raise ValueError("neither Ed25519 nor P-256")
