"""The packet (融资数据包): everything that one bank needs of one application, signed.

1. `issue`      the parts are written, stored by digest, listed, and signed
2. `containers` the file is built again on demand, byte for byte what was issued

A packet is never rewritten: a new one names the one that it supersedes. Signing happens inside the
transaction that submits the application; it is some sixty microseconds of arithmetic on a key in
memory, so no row lock waits for anything outside.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from cryptography.x509 import load_der_x509_certificate
from cryptography.x509.oid import NameOID
from sqlalchemy import Row, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from financing import words
from financing.errors import Broken, Conflict, NotFound
from financing.evidence import asice
from financing.evidence.asice import Part
from financing.journeys import accounts, confirmation, verification
from financing.store import tables
from financing.store.db import Tx
from financing.store.tables import (
    bank_account,
    blob,
    check_result,
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

SCHEMA: Final = "financing-packet/1"
JSON: Final = "application/json"


def issue(tx: Tx, application: Row[Any]) -> Row[Any]:
    """Write, sign, and store the packet of an application, and return its row.

    `issued_at` and the signature's time are the wall clock; `as_of` is the business date on which
    the facts stand. An earlier packet of the same application is superseded.

    Raises:
        Conflict: the contract has no designated account in force.
        Invalid: the record is too large for a packet.
        Broken: the signing certificate has ended, or the account does not match its digest.
    """
    row = _one(tx, contract, application.contract_id)
    account = accounts.in_force(tx, row.id)
    if account is None:
        raise Conflict(
            words.t("packet.no_account", tx.actor.lang),
            where="/account",
            remedy=words.t("packet.set_account", tx.actor.lang),
        )
    previous = tx.one(
        select(packet)
        .where(packet.c.application_id == application.id)
        .order_by(packet.c.issued_at.desc(), packet.c.id.desc())
        .limit(1)
    )
    packet_id, at = new_id(), wall_now().replace(microsecond=0)
    documents = {
        "checks.json": _checks(tx, row),
        "confirmation.json": _confirmation(tx, row),
        "consent.json": _consent(tx, application),
        "capacity.json": _capacity(tx, application),
        "application.json": _application(tx, application),
        "account.json": _account(tx, row, account),
        "unknowns.json": _unknowns(tx, row),
        "status.json": {"as_of": rfc3339(at), "schema": "status/1", "status": "current"},
    }
    parts = [_record(tx, application)]
    parts += [
        Part.of(name, JSON, canonical.dumps(value))
        for name, value in documents.items()
        if value is not None
    ]
    index = _index(tx, application, row, documents, at) | {
        "parts": [_listed(part, documents.get(part.name)) for part in parts],
        "serial": str(packet_id),
        "supersedes": previous.identity if previous else None,
    }
    parts.insert(0, Part.of(asice.FIRST, JSON, canonical.dumps(index)))
    manifest = asice.manifest(parts)
    signature = tx.keys.signer.sign(manifest, at)
    asice.container(parts, manifest, signature)  # refuses here what would be too large to send
    tx.db.execute(
        insert(packet).values(
            id=packet_id,
            application_id=application.id,
            contract_version_id=application.contract_version_id,
            identity=asice.identity(manifest),
            manifest=manifest,
            signature=signature,
            supersedes_id=previous.id if previous else None,
            account_digest=account.digest,
            issued_at=at,
        )
    )
    _store(tx, packet_id, parts)
    return _one(tx, packet, packet_id)


def containers(tx: Tx, packet_ids: Iterable[UUID]) -> dict[UUID, bytes]:
    """The files of issued packets, byte for byte as they were issued.

    Raises:
        NotFound: one of the packets does not exist.
        Broken: a stored part is not what was signed.
    """
    wanted = set(packet_ids)
    parts: dict[UUID, list[Part]] = {packet_id: [] for packet_id in wanted}
    for row in tx.rows(
        select(packet_part, blob.c.bytes)
        .join(blob, blob.c.digest == packet_part.c.digest)
        .where(packet_part.c.packet_id.in_(wanted))
        .order_by(packet_part.c.packet_id, packet_part.c.position)
    ):
        parts[row.packet_id].append(Part.of(row.name, row.media_type, row.bytes))
    known = tx.rows(select(packet).where(packet.c.id.in_(wanted)))
    if len(known) != len(wanted):
        raise NotFound("no such packet", where="packet")
    for row in known:
        if not parts[row.id] or asice.manifest(parts[row.id]) != row.manifest:
            raise Broken("a stored part is not what was signed", where=row.identity)
    return {row.id: asice.container(parts[row.id], row.manifest, row.signature) for row in known}


# ── Parts ────────────────────────────────────────────────────────────────────────────────────


def _index(
    tx: Tx, application: Row[Any], row: Row[Any], documents: dict[str, Any], at: datetime
) -> dict[str, Any]:
    parties = {
        each.id: each
        for each in tx.rows(
            select(organisation).where(
                organisation.c.id.in_((row.supplier_id, row.purchaser_id, application.bank_id))
            )
        )
    }
    version = _one(tx, contract_version, application.contract_version_id)
    source = _one(tx, release, version.release_id)
    account = documents["account.json"]
    return {
        "account": {"last4": account["number"][-4:], "version": account["version"]},
        "application": {
            "id": ids.show("ap", application.id),
            "requested": money_json(application.amount_fen, application.currency),
            "tenor_days": application.tenor_days,
        },
        "as_of": tx.today.isoformat(),
        "contract": {
            "amount": None if row.amount_fen is None else money_json(row.amount_fen, row.currency),
            "identity": row.identity,
            "number": row.number,
            "ocid": row.ocid,
            "publisher": row.publisher,
            "record": {
                "digest": source.digest,
                "received_at": rfc3339(source.received_at),
                "release": source.release_id,
            },
            "signed_on": row.signed_on.isoformat() if row.signed_on else None,
            "title": row.title,
            "version": version.n,
        },
        "issued_at": rfc3339(at),
        "issuer": _issuer(tx),
        "purchaser": _party(parties[row.purchaser_id]),
        "recipient": {
            "bank": parties[application.bank_id].code,
            "certificate_sha256": None,  # the packet is not sealed for its recipient
            "name": parties[application.bank_id].name,
        },
        "schema": SCHEMA,
        "status": {"as_of": rfc3339(at), "status": "current"},
        "supplier": _party(parties[row.supplier_id]),
    }


def _issuer(tx: Tx) -> str:
    subject = load_der_x509_certificate(tx.keys.signer.certificate).subject
    return str(subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)


def _party(row: Row[Any]) -> dict[str, str]:
    if row.scheme == "CN-USCC":
        return {"name": row.name, "uscc": row.identifier}
    return {"id": row.identifier, "name": row.name, "scheme": row.scheme}


def _listed(part: Part, document: Any) -> dict[str, Any]:
    schema = document.get("schema") if isinstance(document, dict) else None
    if part.name == "contract/record.json":
        schema = "ocds-release"
    elif schema is None:
        schema = f"{part.name.removesuffix('.json')}/1"
    key = part.name.rpartition("/")[2].removesuffix(".json")
    return {"name": part.name, "schema": schema, "title": words.both(f"packet.part.{key}")}


def _record(tx: Tx, application: Row[Any]) -> Part:
    """The record as received: its publisher's bytes, never written again."""
    raw = tx.db.execute(
        select(release.c.raw)
        .join(contract_version, contract_version.c.release_id == release.c.id)
        .where(contract_version.c.id == application.contract_version_id)
    ).scalar_one()
    return Part.of("contract/record.json", JSON, raw)


def _results(tx: Tx, row: Row[Any]) -> list[Row[Any]]:
    return list(
        tx.rows(
            select(check_result)
            .where(check_result.c.contract_id == row.id)
            .order_by(check_result.c.position)
        )
    )


def _checks(tx: Tx, row: Row[Any]) -> list[dict[str, Any]]:
    return [
        {
            "at": rfc3339(each.at),
            "blocks": each.blocks,
            "id": each.check_id,
            "remedy": each.remedy,
            "result": each.result,
            "seen": each.seen,
            "source": each.source,
        }
        for each in _results(tx, row)
    ]


def _unknowns(tx: Tx, row: Row[Any]) -> list[dict[str, Any]]:
    """What could not be verified, one sentence each; an empty list is a statement too."""
    return [
        {"check": each.check_id, "sentence": each.seen}
        for each in _results(tx, row)
        if each.result == "unknown"
    ]


def _confirmation(tx: Tx, row: Row[Any]) -> dict[str, Any] | None:
    """The purchaser's newest confirmation, if it is of these figures; else it is an unknown."""
    table = tables.confirmation
    last = tx.one(
        select(table)
        .where(table.c.contract_id == row.id, table.c.state == "confirmed")
        .order_by(table.c.answered_at.desc(), table.c.id.desc())
        .limit(1)
    )
    if last is None or not confirmation.is_of(row, last.shown):
        return None
    return {
        "answered_at": rfc3339(last.answered_at),
        "answered_by": str(last.answered_by) if last.answered_by else None,
        "asked_at": rfc3339(last.asked_at),
        "paid": None if last.paid_fen is None else money_json(last.paid_fen, row.currency),
        "schema": "confirmation/1",
        "shown": last.shown,
        "shown_digest": last.shown_digest,
    }


def _consent(tx: Tx, application: Row[Any]) -> dict[str, Any]:
    given = _one(tx, tables.consent, application.consent_id)
    return {
        "bank": _one(tx, tables.bank, given.bank_id).code,
        "given_at": rfc3339(given.given_at),
        "given_by": str(given.given_by) if given.given_by else None,
        "schema": "consent/1",
        "text_digest": given.text_digest,
        "text_version": given.text_version,
    }


def _capacity(tx: Tx, application: Row[Any]) -> dict[str, Any]:
    """Every term of the sum that the supplier was shown for this bank's product."""
    chosen = _one(tx, product, application.product_id)
    reckoned = verification.capacity(tx, application.contract_id, chosen)
    currency = application.currency
    return {
        "capacity": money_json(reckoned.fen, currency),
        "product": {"code": chosen.code, "name": chosen.name, "share_bp": chosen.share_bp},
        "requested": money_json(application.amount_fen, currency),
        "schema": "capacity/1",
        "terms": [
            {
                "amount": money_json(term.fen, currency),
                "name": term.name,
                "on": term.on.isoformat() if term.on else None,
                "source": term.source,
            }
            for term in reckoned.terms
        ],
    }


def _application(tx: Tx, application: Row[Any]) -> dict[str, Any]:
    return {
        "amount": money_json(application.amount_fen, application.currency),
        "created_at": rfc3339(application.created_at),
        "id": ids.show("ap", application.id),
        "product": _one(tx, product, application.product_id).code,
        "schema": "application/1",
        "tenor_days": application.tenor_days,
    }


def _account(tx: Tx, row: Row[Any], version: Row[Any]) -> dict[str, Any]:
    """The canonical account object with its whole number; its SHA-256 is the account digest."""
    held = _one(tx, bank_account, version.account_id)
    whole = accounts.account_object(
        cnaps=held.cnaps,
        identity=row.identity,
        holder=held.holder,
        holder_id=_one(tx, organisation, row.supplier_id).identifier,
        number=accounts.number_of(tx, held),
        salt=version.salt,
        version=version.n,
    )
    if canonical.digest_of(whole) != version.digest:
        raise Broken("an account does not match its digest", where=f"account_version {version.id}")
    return whole


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────


def _one(tx: Tx, table: Any, row_id: UUID) -> Row[Any]:
    return tx.db.execute(select(table).where(table.c.id == row_id)).one()


def _digest(part: Part) -> str:
    return f"sha-256:{part.digest.hex()}"


def _store(tx: Tx, packet_id: UUID, parts: list[Part]) -> None:
    """Keep the bytes by digest: what several packets carry, as the record, is there once."""
    tx.db.execute(
        upsert(blob).on_conflict_do_nothing(index_elements=["digest"]),
        [{"digest": _digest(part), "bytes": part.data} for part in parts],
    )
    tx.db.execute(
        insert(packet_part),
        [
            {
                "packet_id": packet_id,
                "position": position,
                "name": part.name,
                "media_type": part.media_type,
                "digest": _digest(part),
            }
            for position, part in enumerate(parts)
        ],
    )
