"""The bank's registration, and the one way to talk to it.

1. `register`  a bank with its adapter, address, keys, and products
2. `add_key`   a key that signs its events: of one kind, for a time; several may live at once
3. `end_key`   a key ends at its time, or is revoked
4. `line`      adapter and call for an errand; nothing is open while it is used
5. `stop`      the bank's lanes stop when our credential is not taken
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, insert, select, update

from bank_adapters import registry
from bank_adapters.call import Call
from bank_adapters.port import Adapter, BankConfig, Exchange
from financing.context import Context
from financing.errors import Conflict, Invalid, NotFound
from financing.evidence import jws
from financing.evidence.webhook_key import HTTP_SIGNATURES, KEY_SIZES, KINDS, Key
from financing.store import sealing
from financing.store.db import Tx, assert_no_transaction
from financing.store.tables import bank, bank_key, inbox, organisation, product, transcript
from financing.values.ids import new_id
from financing.values.text import name_key
from financing.values.times import wall_now

_NAME: Final = re.compile(r"[!-~]{1,100}")
# SHA-256 of the test keys of RFC 9421 appendix B.1 and of the Standard Webhooks test suites.
PUBLISHED: Final = frozenset(
    (
        "b16c2d1bead1262639764fdb0ee4d3774599336bd493404cda4b1136c59f2062",
        "9f4db0c3f5057e21750e7d8f6b00b1701bb7ad4940f72d529f782c8d9fae455c",
        "f74e1720b76148810ffaeb4dc46a600cfa2fc3720e96da67a85a3dcb3f14c7a3",
    )
)


@dataclass(frozen=True, slots=True)
class Registration:
    """What a bank hands in once.

    Args:
        code: short name in addresses, `[a-z0-9-]`.
        answer_key_pem: P-256 public key that signs the bank's answers.
        webhook_key: 32 bytes, Ed25519 public key that signs its events.
        products: columns of `product` but the ids.
    """

    code: str
    name: str
    identifier: str
    adapter: str
    base_url: str
    answer_key_pem: str
    webhook_key: bytes
    products: tuple[Mapping[str, Any], ...]
    poll_interval_s: int = 300
    answer_days: int = 3


def register(tx: Tx, entry: Registration) -> UUID:
    """Register a bank; returns its organisation's id. The same code again changes nothing."""
    known = tx.one(select(bank.c.id).where(bank.c.code == entry.code))
    if known is not None:
        return UUID(str(known.id))
    bank_id = new_id()
    tx.db.execute(
        insert(organisation).values(
            id=bank_id,
            kind="bank",
            scheme="CN-USCC",
            identifier=entry.identifier,
            name=entry.name,
            name_key=name_key(entry.name),
            code=entry.code,
            created_at=tx.now,
        )
    )
    tx.db.execute(
        insert(bank).values(
            id=bank_id,
            code=entry.code,
            adapter=entry.adapter,
            base_url=entry.base_url,
            poll_interval_s=entry.poll_interval_s,
            answer_days=entry.answer_days,
            answer_key_pem=entry.answer_key_pem,
        )
    )
    add_key(tx, bank_id, Key("v1a", entry.webhook_key, wall_now()))
    tx.db.execute(
        insert(product),
        [{"id": new_id(), "bank_id": bank_id, **row} for row in entry.products],
    )
    return bank_id


def add_key(tx: Tx, bank_id: UUID, key: Key) -> UUID:
    """Register a key that signs the bank's events; returns its id.

    Raises:
        Invalid: not of a kind we know, of another size, published, or without the name it needs.
        Conflict: the bank has a key of this name.
    """
    _assert_fit(key, is_live=tx.settings.live)
    taken = tx.one(
        select(bank_key.c.id).where(bank_key.c.bank_id == bank_id, bank_key.c.name == key.name)
    )
    if taken is not None:
        raise Conflict(
            f"this bank has a key of the name {key.name}",
            where="name",
            remedy="Give the new key a name of its own.",
        )
    key_id = new_id()
    secret = key.kind == "v1"
    tx.db.execute(
        insert(bank_key).values(
            id=key_id,
            bank_id=bank_id,
            kind=key.kind,
            name=key.name or None,
            material=_seal(tx, key_id, key.material) if secret else key.material,
            live_from=key.live_from,
            live_to=key.live_to,
        )
    )
    return key_id


def _assert_fit(key: Key, *, is_live: bool) -> None:
    wrong = None
    if key.kind not in KINDS:
        wrong = ("kind", f"there is no kind {key.kind}", f"Use one of: {', '.join(KINDS)}.")
    elif len(key.material) not in KEY_SIZES[key.kind]:
        sizes = KEY_SIZES[key.kind]
        wrong = (
            "key",
            f"the key has {len(key.material)} bytes",
            f"A key of kind {key.kind} has {sizes[0]} to {sizes[-1]}.",
        )
    elif key.kind in HTTP_SIGNATURES and not _NAME.fullmatch(key.name):
        wrong = ("name", "a key that signs by RFC 9421 needs a name", "Give the bank's keyid.")
    elif is_live and hashlib.sha256(key.material).hexdigest() in PUBLISHED:
        wrong = ("key", "this key is published for tests", "Have the bank make its own.")
    if wrong:
        raise Invalid(wrong[1], where=wrong[0], remedy=wrong[2])


def _seal(tx: Tx, key_id: UUID, secret: bytes) -> bytes:
    return sealing.seal(tx.keys, "bank_key", "material", key_id, secret)


def keys_of(tx: Tx, bank_id: UUID) -> dict[Key, UUID]:
    """Every key that the bank ever registered, and its id; secrets opened."""
    return {
        Key(
            kind=row.kind,
            material=(
                sealing.unseal(tx.keys, "bank_key", "material", row.id, row.material)
                if row.kind == "v1"
                else row.material
            ),
            live_from=row.live_from,
            live_to=row.live_to,
            revoked_at=row.revoked_at,
            name=row.name or "",
        ): row.id
        for row in tx.rows(select(bank_key).where(bank_key.c.bank_id == bank_id))
    }


def end_key(tx: Tx, bank_id: UUID, key_id: UUID, at: datetime, *, revoked: bool) -> list[Row[Any]]:
    """End a key at a time, or revoke it as of a time; the events that came under it since.

    Args:
        at: of an end, when; of a revocation, since when others may have had it. A revoked key
            counts for nothing from now on.
    Raises:
        NotFound: the bank has no such key.
    """
    values = {"revoked_at": wall_now()} if revoked else {"live_to": at}
    changed = tx.one(
        update(bank_key)
        .where(bank_key.c.id == key_id, bank_key.c.bank_id == bank_id)
        .values(**values)
        .returning(bank_key.c.id)
    )
    if changed is None:
        raise NotFound("this bank has no such key", where="key")
    return list(
        tx.rows(
            select(inbox.c.message_id, inbox.c.received_at, inbox.c.outcome)
            .where(inbox.c.key_id == key_id, inbox.c.received_at >= at)
            .order_by(inbox.c.received_at)
        )
    )


def by_code(tx: Tx, code: str) -> Row[Any]:
    """The registered bank of this code.

    Raises:
        NotFound: no such bank.
    """
    row = tx.one(select(bank).where(bank.c.code == code))
    if row is None:
        raise NotFound("no such bank", where="bank")
    return row


def line(ctx: Context, row: Row[Any], verb: str) -> tuple[Adapter, Call]:
    """The adapter and the call for one errand to this bank."""
    assert_no_transaction()

    def record(exchange: Exchange) -> None:
        with ctx.begin() as tx:
            tx.db.execute(
                insert(transcript).values(
                    bank=row.code,
                    verb=verb,
                    method=exchange.method,
                    path=exchange.path,
                    status=exchange.status,
                    elapsed_ms=exchange.ms,
                    bytes_out=exchange.sent_bytes,
                    bytes_in=exchange.received_bytes,
                    error=None if exchange.outcome == "ok" else exchange.outcome,
                    at=exchange.at,
                )
            )

    call = Call(
        config=BankConfig(name=row.code, adapter=row.adapter, base_url=row.base_url),
        sign=ctx.keys.sign_request,
        verify=lambda body, signature: jws.verify_detached(body, signature, row.answer_key_pem),
        now=wall_now,
        record=record,
    )
    return registry.adapter(row.adapter), call


def stop(tx: Tx, bank_id: UUID, why: str, at: datetime) -> None:
    """Stop a bank's lanes until its operator has mended the credential."""
    tx.db.execute(update(bank).where(bank.c.id == bank_id).values(stopped_at=at, stopped_why=why))


def products_of(tx: Tx, bank_ids: Iterable[UUID], currency: str) -> dict[UUID, Row[Any]]:
    """Each bank's product in this currency that is on offer today, by bank."""
    rows = tx.rows(
        select(product).where(
            product.c.bank_id.in_(list(bank_ids)),
            product.c.currency == currency,
            product.c.valid_from <= tx.today,
            (product.c.valid_to.is_(None)) | (product.c.valid_to >= tx.today),
        )
    )
    return {row.bank_id: row for row in rows}
