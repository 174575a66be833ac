"""The bank's registration, and the one way to talk to it.

1. `register`  a bank with its adapter, address, keys, and products
2. `line`      adapter and call for an errand; nothing is open while it is used
3. `stop`      the bank's lanes stop when our credential is not taken
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update

from bank_adapters import registry
from bank_adapters.call import Call
from bank_adapters.port import Adapter, BankConfig, Exchange
from financing.context import Context
from financing.errors import NotFound
from financing.evidence import jws
from financing.store.db import Tx, assert_no_transaction
from financing.store.tables import bank, bank_key, organisation, product, transcript
from financing.values.ids import new_id
from financing.values.text import name_key
from financing.values.times import wall_now


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
    tx.db.execute(
        insert(bank_key).values(
            id=new_id(),
            bank_id=bank_id,
            kind="v1a",
            material=entry.webhook_key,
            live_from=wall_now(),
        )
    )
    tx.db.execute(
        insert(product),
        [{"id": new_id(), "bank_id": bank_id, **row} for row in entry.products],
    )
    return bank_id


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
