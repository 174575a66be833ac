"""The signed financing packet (融资数据包): one per application and contract version.

1. `issue`      build the parts, sign their manifest, store each part once under its digest
2. `containers` the same bytes again, whenever somebody asks

The signature takes microseconds in memory, so it is made inside the transaction that submits.
The plain container is what a bank gets; nothing is sealed for one bank yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from financing.errors import Conflict
from financing.evidence import asice
from financing.journeys import accounts, verification
from financing.store.db import Tx
from financing.store.tables import (
    account_version,
    bank,
    bank_account,
    blob,
    check_result,
    confirmation,
    consent,
    contract,
    contract_version,
    organisation,
    packet,
    packet_part,
    product,
    release,
)
from financing.values import canonical, ids
from financing.values.ids import new_id
from financing.values.money import money_json
from financing.values.times import rfc3339, wall_now

SCHEMA = "financing-packet/1"
ISSUER = "政府采购合同融资平台"

# name, media type, schema, title; in the order of the container, after packet.json
PARTS = (
    ("contract/record.json", "ocds-release/1.1", "合同记录（原样）"),
    ("checks.json", "checks/1", "核验结果"),
    ("confirmation.json", "confirmation/1", "采购人确认"),
    ("consent.json", "consent/1", "供应商同意"),
    ("capacity.json", "capacity/1", "可融资额度"),
    ("application.json", "application/1", "融资申请"),
    ("account.json", "account/1", "指定账户"),
    ("unknowns.json", "unknowns/1", "未能核实的事项"),
    ("status.json", "status/1", "签发时的状态"),
)
JSON = "application/json"


def issue(tx: Tx, application: Row[Any]) -> Row[Any]:
    """Build, sign, and store the packet of an application; returns its row.

    Raises:
        Conflict: no designated account is in force.
    """
    row = tx.db.execute(select(contract).where(contract.c.id == application.contract_id)).one()
    version = accounts.in_force(tx, row.id)
    if version is None:
        raise Conflict("no designated account is in force", where="/account")
    at = wall_now().replace(microsecond=0)
    serial = new_id()
    content = _contents(tx, application, row, version, str(serial), rfc3339(at))
    index = _index(tx, application, row, version, str(serial), rfc3339(at), list(content))
    parts = [
        asice.Part.of(name, JSON, data)
        for name, data in {"packet.json": canonical.dumps(index), **content}.items()
    ]
    manifest = asice.manifest(parts)
    tx.db.execute(
        upsert(blob).on_conflict_do_nothing(index_elements=["digest"]),
        [{"digest": _named(part), "bytes": part.data} for part in parts],
    )
    tx.db.execute(
        insert(packet).values(
            id=serial,
            application_id=application.id,
            contract_version_id=application.contract_version_id,
            identity=asice.identity(manifest),
            manifest=manifest,
            signature=tx.keys.signer.sign(manifest, at),
            account_digest=version.digest,
            issued_at=at,
        )
    )
    tx.db.execute(
        insert(packet_part),
        [
            {
                "packet_id": serial,
                "position": position,
                "name": part.name,
                "media_type": part.media_type,
                "digest": _named(part),
            }
            for position, part in enumerate(parts)
        ],
    )
    return tx.db.execute(select(packet).where(packet.c.id == serial)).one()


def containers(tx: Tx, packet_ids: Sequence[UUID]) -> dict[UUID, bytes]:
    """The containers of these packets, byte for byte as they were issued."""
    rows = tx.rows(select(packet).where(packet.c.id.in_(list(packet_ids))))
    parts: dict[UUID, list[asice.Part]] = {row.id: [] for row in rows}
    for part in tx.rows(
        select(packet_part, blob.c.bytes)
        .join(blob, blob.c.digest == packet_part.c.digest)
        .where(packet_part.c.packet_id.in_(list(packet_ids)))
        .order_by(packet_part.c.packet_id, packet_part.c.position)
    ):
        parts[part.packet_id].append(asice.Part.of(part.name, part.media_type, part.bytes))
    return {row.id: asice.container(parts[row.id], row.manifest, row.signature) for row in rows}


def _named(part: asice.Part) -> str:
    return f"sha-256:{part.digest.hex()}"


def _contents(
    tx: Tx, case: Row[Any], row: Row[Any], version: Row[Any], serial: str, at: str
) -> dict[str, bytes]:
    """The parts after the index, in container order."""
    record = tx.db.execute(
        select(release.c.raw, release.c.digest, release.c.source, release.c.received_at)
        .join(contract_version, contract_version.c.release_id == release.c.id)
        .where(contract_version.c.id == case.contract_version_id)
    ).one()
    checks = tx.rows(
        select(check_result)
        .where(check_result.c.contract_id == row.id)
        .order_by(check_result.c.position)
    )
    documents: dict[str, Any] = {
        "checks.json": [
            {
                "id": check.check_id,
                "result": check.result,
                "blocks": check.blocks,
                "seen": check.seen,
                "source": check.source,
                "remedy": check.remedy,
                "record": {
                    "digest": record.digest,
                    "source": record.source,
                    "received_at": rfc3339(record.received_at),
                },
            }
            for check in checks
        ],
        "confirmation.json": _confirmation(tx, row),
        "consent.json": _consent(tx, case),
        "capacity.json": _capacity(tx, case, row),
        "application.json": {
            "id": ids.show("ap", case.id),
            "amount": money_json(case.amount_fen, case.currency),
            "tenor_days": case.tenor_days,
        },
        "account.json": _account(tx, row, version),
        "unknowns.json": [
            {"id": check.check_id, **check.seen} for check in checks if check.result == "unknown"
        ],
        "status.json": {
            "serial": serial,
            "status": "current",
            "as_of": at,
            "published": False,
        },
    }
    built = {name: canonical.dumps(value) for name, value in documents.items()}
    return {"contract/record.json": bytes(record.raw), **built}


def _index(
    tx: Tx,
    case: Row[Any],
    row: Row[Any],
    version: Row[Any],
    serial: str,
    at: str,
    names: list[str],
) -> dict[str, Any]:
    firms = {
        firm.id: firm
        for firm in tx.rows(
            select(organisation).where(organisation.c.id.in_([row.supplier_id, row.purchaser_id]))
        )
    }
    code = tx.db.execute(select(bank.c.code).where(bank.c.id == case.bank_id)).scalar_one()
    last4 = tx.db.execute(
        select(bank_account.c.last4).where(bank_account.c.id == version.account_id)
    ).scalar_one()
    titles = {name: (schema, title) for name, schema, title in PARTS}
    return {
        "schema": SCHEMA,
        "serial": serial,
        "issuer": ISSUER,
        "issued_at": at,
        "as_of": tx.today.isoformat(),
        "contract": {
            "identity": row.identity,
            "publisher": row.publisher,
            "ocid": row.ocid,
            "number": row.number,
            "title": row.title,
            "version": row.record_version,
            "amount": money_json(row.amount_fen, row.currency),
            "signed_on": row.signed_on.isoformat() if row.signed_on else None,
        },
        "supplier": _party(firms[row.supplier_id]),
        "purchaser": _party(firms[row.purchaser_id]),
        "application": {
            "id": ids.show("ap", case.id),
            "requested": money_json(case.amount_fen, case.currency),
            "tenor_days": case.tenor_days,
        },
        "account": {"last4": last4, "version": version.n, "digest": version.digest},
        "recipient": {"bank": code, "certificate_sha256": None},
        "supersedes": None,
        "parts": [
            {"name": name, "schema": titles[name][0], "title": titles[name][1]} for name in names
        ],
    }


def _party(firm: Row[Any]) -> dict[str, str]:
    return {"name": firm.name, "scheme": firm.scheme, "uscc": firm.identifier}


def _confirmation(tx: Tx, row: Row[Any]) -> dict[str, Any] | None:
    known = tx.one(
        select(confirmation)
        .where(confirmation.c.contract_id == row.id, confirmation.c.state == "confirmed")
        .order_by(confirmation.c.answered_at.desc())
    )
    if known is None:
        return None
    return {
        "asked_at": rfc3339(known.asked_at),
        "answered_at": rfc3339(known.answered_at),
        "answered_by": str(known.answered_by) if known.answered_by else None,
        "shown_digest": known.shown_digest,
        "shown": known.shown,
        "paid_fen": known.paid_fen,
    }


def _consent(tx: Tx, case: Row[Any]) -> dict[str, Any]:
    given = tx.db.execute(
        select(consent, bank.c.code)
        .join(bank, bank.c.id == consent.c.bank_id)
        .where(consent.c.id == case.consent_id)
    ).one()
    return {
        "bank": given.code,
        "text_version": given.text_version,
        "text_digest": given.text_digest,
        "given_at": rfc3339(given.given_at),
    }


def _capacity(tx: Tx, case: Row[Any], row: Row[Any]) -> dict[str, Any]:
    chosen = tx.db.execute(select(product).where(product.c.id == case.product_id)).one()
    found = verification.capacity(tx, row.id, chosen)
    return {
        "requested": money_json(case.amount_fen, case.currency),
        "currency": row.currency,
        "terms": [
            {
                "name": term.name,
                "fen": term.fen,
                "source": term.source,
                "on": term.on.isoformat() if term.on else None,
            }
            for term in found.terms
        ],
    }


def _account(tx: Tx, row: Row[Any], version: Row[Any]) -> dict[str, Any]:
    known = tx.db.execute(
        select(bank_account, organisation.c.identifier)
        .join(organisation, organisation.c.id == bank_account.c.organisation_id)
        .join(account_version, account_version.c.account_id == bank_account.c.id)
        .where(account_version.c.id == version.id)
    ).one()
    shape = accounts.account_object(
        cnaps=known.cnaps,
        identity=row.identity,
        holder=known.holder,
        holder_id=known.identifier,
        number=accounts.number_of(tx, known),
        salt=version.salt,
        version=version.n,
    )
    return {**shape, "bank_name": known.bank_name, "last4": known.last4}
