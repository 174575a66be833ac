"""A small world in which payments arrive: parties, contracts, accounts, and loans paid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, Row, insert, text

from financing import work
from financing.context import Context
from financing.journeys import accounts, allocation, claims, statements
from financing.store import ledger
from financing.store.db import Tx
from financing.store.move import create, move
from financing.store.tables import (
    account_consent,
    bank,
    consent,
    contract_version,
    drawdown,
    milestone,
    organisation,
    packet,
    product,
    release,
)
from financing.values import canonical
from financing.values.ids import new_id
from financing.values.text import name_key, number_key, search_text
from tests.facts_made import silent_facts
from tests.statements_made import ACCOUNT, Made, camt

NOW = datetime(2026, 3, 31, 2, tzinfo=UTC)
SIGNED = date(2026, 1, 5)
DRAWN = date(2026, 2, 1)
PURCHASER = "金水区教育局"
OTHER_ACCOUNT = "4100555566667777"
NAMES = ("release", "version", "product", "consent", "packet", "drawdown")


@dataclass(frozen=True)
class Part:
    """A milestone: its part of the price, in fen."""

    fen: int
    retention_fen: int = 0
    advance_fen: int = 0
    accepted_on: date | None = None


@dataclass(frozen=True)
class World:
    """The store with its people; every method is one transaction."""

    ctx: Context
    owner: Engine

    # People and contracts

    def party(self, kind: str, name: str, code: str | None = None) -> UUID:
        with self.ctx.begin() as tx:
            row_id = new_id()
            tx.db.execute(
                insert(organisation).values(
                    id=row_id, kind=kind, scheme="name", identifier=f"{kind}:{name}", name=name,
                    name_key=name_key(name), code=code, created_at=tx.now,
                )
            )  # fmt: skip
            return row_id

    def contract(
        self,
        supplier: UUID,
        purchaser: UUID,
        number: str,
        fen: int,
        parts: Sequence[Part] = (),
        currency: str = "CNY",
    ) -> UUID:
        with self.ctx.begin() as tx:
            row = create(
                tx, "contract", "record_signed", identity=new_id().hex, profile="generic",
                publisher="p", ocid=number, number=number, number_key=number_key(number),
                number_search=search_text(number), title=number, purchaser_id=purchaser,
                supplier_id=supplier, record_version=1, amount_fen=fen, currency=currency,
                held_fen=0, open_fen=0, signed_on=SIGNED, created_at=tx.now,
            )  # fmt: skip
            for n, part in enumerate(parts):
                tx.db.execute(
                    insert(milestone).values(
                        id=new_id(), contract_id=row.id, code=str(n), title=str(n), position=n,
                        amount_fen=part.fen, retention_fen=part.retention_fen,
                        advance_fen=part.advance_fen, accepted_on=part.accepted_on,
                    )
                )  # fmt: skip
            allocation.refresh_open(tx, [row.id])
            return UUID(str(row.id))

    def account(self, holder: UUID, number: str, currency: str = "CNY") -> UUID:
        with self.ctx.begin() as tx:
            row = accounts.register_account(
                tx, holder, holder="h", bank_name="b", cnaps="", number=number, currency=currency
            )
            return UUID(str(row.id))

    def designate(self, contract_id: UUID, account_id: UUID, on: date = SIGNED) -> UUID:
        with self.ctx.begin() as tx:
            row = create(
                tx, "account_version", "propose", contract_id=contract_id, n=1,
                account_id=account_id, salt="00", digest="d",
            )  # fmt: skip
            for role in ("supplier", "purchaser"):
                tx.db.execute(
                    insert(account_consent).values(
                        id=new_id(), account_version_id=row.id, role=role, digest="d", at=tx.now
                    )
                )
            move(tx, "account_version", row.id, "confirm", from_on=on)
            return UUID(str(row.id))

    def loan(
        self, contract_id: UUID, bank_code: str, fen: int, *, rate_bp: str = "360", on: date = DRAWN
    ) -> UUID:
        """A loan paid out on the contract, ACT/360; its claim is held and its account locked."""
        bank_id = self.party("bank", bank_code, bank_code)
        with self.ctx.begin() as tx:
            return _drawn(tx, contract_id, bank_id, bank_code, fen, rate_bp, on)

    def bank_says_settled(self, loan_id: UUID) -> bool:
        with self.ctx.begin() as tx:
            move(tx, "loan", loan_id, "bank_settled", bank_settled_on=tx.today)
            return allocation.settle_if_due(tx, loan_id)

    # Statements

    def imports(self, data: bytes | Made, source: str = "s.xml") -> statements.Counts:
        """Import a statement without matching what it holds."""
        content = data if isinstance(data, bytes) else camt(data)
        with self.ctx.begin() as tx:
            return statements.import_statement(tx, BytesIO(content), source)

    def arrive(self, data: bytes | Made, source: str = "s.xml") -> statements.Counts:
        """Import a statement and do the local work that it left."""
        counts = self.imports(data, source)
        work.run_due(self.ctx, errands=False)
        return counts

    # Looking

    def rows(self, sql: str, **named: Any) -> Sequence[Row[Any]]:
        with self.owner.connect() as link:
            return link.execute(text(sql), named).all()

    def payments(self) -> Sequence[Row[Any]]:
        return self.rows("SELECT * FROM payment ORDER BY value_on, id")

    def outcomes(self) -> list[tuple[str, str]]:
        return [(row.state, row.outcome) for row in self.payments()]

    def book(self, kind: ledger.Book, subject: UUID) -> dict[str, int]:
        with self.ctx.begin() as tx:
            found = ledger.balances(tx, kind, [subject])[subject]
        return {account: fen for account, fen in found.items() if fen}

    def parked(self) -> list[str]:
        rows = self.rows("SELECT reason FROM parked WHERE state = 'open' ORDER BY at, id")
        return [row.reason.split(":")[0] for row in rows]


@dataclass(frozen=True)
class Case:
    """One supplier with one contract, its designated account, and another account."""

    world: World
    supplier: UUID
    purchaser: UUID
    contract: UUID
    account: UUID
    other: UUID
    version: UUID
    number: str = "ZZCG-2026-001"


def case(world: World, fen: int = 1_000_00, parts: Sequence[Part] = ()) -> Case:
    """Its price falls due at once unless parts say otherwise."""
    supplier, purchaser = world.party("supplier", "甲公司"), world.party("purchaser", PURCHASER)
    account = world.account(supplier, ACCOUNT)
    other = world.account(supplier, OTHER_ACCOUNT)
    contract = world.contract(
        supplier, purchaser, "ZZCG-2026-001", fen, parts or [Part(fen, accepted_on=SIGNED)]
    )
    return Case(
        world, supplier, purchaser, contract, account, other, world.designate(contract, account)
    )


def _drawn(
    tx: Tx, contract_id: UUID, bank_id: UUID, code: str, fen: int, rate_bp: str, on: date
) -> UUID:
    row = tx.db.execute(text("SELECT * FROM contract WHERE id = :id"), {"id": contract_id}).one()
    made = {name: new_id() for name in NAMES}
    values = {
        release: {
            "id": made["release"], "publisher": "p", "ocid": code, "release_id": "1",
            "digest": canonical.digest(made["release"].bytes), "raw": made["release"].bytes,
            "source": "s", "received_at": tx.now,
        },
        contract_version: {
            "id": made["version"], "contract_id": row.id, "n": int(made["version"]) % 9999 + 9,
            "release_id": made["release"], "digest": made["version"].hex, "created_at": tx.now,
            "facts": silent_facts(),
        },
        bank: {
            "id": bank_id, "code": code, "adapter": "rest_jws", "base_url": "",
            "poll_interval_s": 60, "answer_days": 5, "answer_key_pem": "",
        },
        product: {
            "id": made["product"], "bank_id": bank_id, "code": "P", "share_bp": 7000, "min_fen": 1,
            "cap_fen": 10**12, "tenor_min_days": 1, "tenor_max_days": 999, "rate_from_bp": rate_bp,
            "rate_to_bp": rate_bp, "day_basis": "ACT/360", "currency": row.currency,
            "valid_from": SIGNED,
        },
        consent: {
            "id": made["consent"], "contract_id": row.id, "contract_version_id": made["version"],
            "bank_id": bank_id, "supplier_id": row.supplier_id, "text_version": "1",
            "text_digest": "d", "given_at": tx.now,
        },
    }  # fmt: skip
    for table, columns in values.items():
        tx.db.execute(insert(table).values(**columns))
    asked = create(
        tx, "application", "draft", contract_id=row.id, contract_version_id=made["version"],
        bank_id=bank_id, supplier_id=row.supplier_id, product_id=made["product"], amount_fen=fen,
        currency=row.currency, tenor_days=90, request_id=new_id(), created_at=tx.now,
    )  # fmt: skip
    manifest = str(asked.id).encode()
    tx.db.execute(
        insert(packet).values(
            id=made["packet"], application_id=asked.id, contract_version_id=made["version"],
            identity=canonical.digest(manifest), manifest=manifest, signature=b"",
            account_digest="", issued_at=tx.now,
        )
    )  # fmt: skip
    move(
        tx, "application", asked.id, "submit",
        consent_id=made["consent"], packet_id=made["packet"],
    )  # fmt: skip
    for event in ("acked", "offer"):
        asked = move(tx, "application", asked.id, event)
    offered = create(
        tx, "offer", "make", application_id=asked.id, reference="O", revision=1, amount_fen=fen,
        currency=row.currency, rate_bp=rate_bp, day_basis="ACT/360", tenor_days=90,
        repayment="on_contract_payment", fees_fen=0, digest="d", valid_until=tx.now, made_at=tx.now,
    )  # fmt: skip
    claims.hold(tx, asked, fen)
    move(tx, "offer", offered.id, "accept")
    for event in ("accept_offer", "contract", "lock", "draw"):
        move(tx, "application", asked.id, event)
    signed = create(
        tx, "loan", "sign", application_id=asked.id, offer_id=offered.id, contract_id=row.id,
        bank_id=bank_id, principal_fen=fen, currency=row.currency, rate_bp=rate_bp,
        day_basis="ACT/360", drawn_fen=0, signed_on=on, due_on=date(2026, 12, 31),
    )  # fmt: skip
    version = tx.one(
        text("SELECT id, state FROM account_version WHERE contract_id = :id"), {"id": row.id}
    )
    if version is not None and version.state == "active":
        move(tx, "account_version", version.id, "lock", locked_by=asked.id)
        tx.db.execute(
            insert(drawdown).values(
                id=made["drawdown"], loan_id=signed.id, flow_reference="F", amount_fen=fen, on=on
            )
        )
    lines = [("PRINCIPAL", fen, 0), ("DISBURSED", 0, fen)]
    ledger.post(tx, "loan", signed.id, "drawdown", lines, on=on, currency=row.currency)
    move(tx, "loan", signed.id, "draw", drawn_fen=fen, interest_from=on)
    return UUID(str(signed.id))
