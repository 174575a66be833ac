"""Procurement records come in: releases are kept as received, contracts follow from them.

1. `take`      a set of releases or parked pieces: kept once, parked once
2. `compile_`  the processes that new releases touch are merged and read again
3. `record`    contracts by identity: a new one, a new version of a known one, or nothing
4. `replay`    a parked piece is read again from its bytes

Everything works on sets of a few hundred releases: a fixed number of statements for each set.
A newer release makes a new version; an older one is history; the same release with other facts is
kept as an altered copy for a person to look at and overwrites nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert

from financing.formats import ocds, ocds_contracts
from financing.formats.ocds import Release
from financing.journeys import allocation
from financing.rules import lifecycles
from financing.store.db import Tx
from financing.store.move import create_many, move_many
from financing.store.parking import park
from financing.store.tables import (
    altered_copy,
    application,
    contract,
    contract_version,
    milestone,
    offer,
    organisation,
    published_payment,
    release,
)
from financing.values import canonical, contract_facts
from financing.values.contract_facts import ContractFacts, Party
from financing.values.ids import new_id
from financing.values.parked import Parked
from financing.values.text import name_key, number_key, search_text

Process = tuple[str, str]  # publisher, ocid
FIRST = datetime(1, 1, 1, tzinfo=UTC)

# Columns of a contract that its newest facts set.
COLUMNS = (
    "number",
    "title",
    "amount_fen",
    "currency",
    "signed_on",
    "filed_on",
    "announced_on",
    "delivered_on",
    "accepted_on",
    "ends_on",
)
STALE_FROM = ("submitted", "reviewing", "action-required", "offered")


@dataclass(slots=True)
class Counts:
    """What became of one file: releases read, contract versions, and what was parked."""

    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    parked: int = 0

    def add(self, other: Counts) -> None:
        """Add the counts of another set."""
        for name in ("read", "new", "changed", "unchanged", "parked"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class _Found:
    """What the merged releases of one process say now."""

    facts: list[ContractFacts] = field(default_factory=list)
    altered: list[tuple[ContractFacts, UUID]] = field(default_factory=list)
    newest: UUID | None = None


def take(tx: Tx, items: Iterable[Release | Parked]) -> Counts:
    """Take a set of what a reader found; the same set again changes nothing."""
    counts = Counts()
    releases: list[Release] = []
    for item in items:
        counts.read += 1
        if isinstance(item, Parked):
            counts.parked += park(tx, [item])
        else:
            releases.append(item)
    touched = _keep(tx, releases)
    counts.add(record(tx, compile_(tx, touched)))
    counts.unchanged = max(0, len(releases) - counts.new - counts.changed)
    return counts


def _keep(tx: Tx, releases: Sequence[Release]) -> set[Process]:
    """Keep new releases as received; returns the processes that they touch."""
    rows = {
        (item.publisher, item.ocid, digest): {
            "id": new_id(),
            "publisher": item.publisher,
            "ocid": item.ocid,
            "release_id": item.release_id,
            "released_at": item.released_at,
            "digest": digest,
            "raw": item.raw,
            "source": f"{item.source} {item.where}".strip(),
            "received_at": tx.now,
        }
        for item in releases
        for digest in ["sha-256:" + hashlib.sha256(item.raw).hexdigest()]
    }
    if not rows:
        return set()
    fresh = tx.rows(
        upsert(release)
        .values(list(rows.values()))
        .on_conflict_do_nothing(index_elements=["publisher", "ocid", "digest"])
        .returning(release.c.publisher, release.c.ocid)
    )
    return {(row.publisher, row.ocid) for row in fresh}


# ── 2. Merge what touches ────────────────────────────────────────────────────────────────────


def compile_(tx: Tx, touched: Iterable[Process]) -> list[_Found | Parked]:
    """Merge all releases of each touched process and read its contracts."""
    wanted = sorted(touched)
    if not wanted:
        return []
    rows: dict[Process, list[Row[Any]]] = defaultdict(list)
    for row in tx.rows(
        select(release)
        .where(tuple_(release.c.publisher, release.c.ocid).in_(wanted))
        .order_by(release.c.released_at.asc().nulls_first(), release.c.received_at, release.c.id)
    ):
        rows[(row.publisher, row.ocid)].append(row)
    found: list[_Found | Parked] = []
    for process in wanted:
        found += _process(rows[process])
    return found


def _process(rows: Sequence[Row[Any]]) -> list[_Found | Parked]:
    """One process: its releases in order of their date, copies of one release apart."""
    history: list[Release] = []
    copies: list[tuple[int, Release, UUID]] = []
    seen: dict[tuple[str, datetime | None], int] = {}
    newest: UUID | None = None
    for row in rows:
        for item in ocds.reread(bytes(row.raw), row.source, "", row.publisher):
            if isinstance(item, Parked):
                continue  # was parked when it came
            name = (row.release_id, row.released_at)
            if row.release_id and name in seen:
                copies.append((seen[name], item, row.id))
            else:
                seen[name] = len(history)
                history.append(item)
                newest = row.id
    if not history:
        return []
    result = _Found(newest=newest)
    parked: list[_Found | Parked] = []
    for said in ocds_contracts.contracts_of(history):
        if isinstance(said, Parked):
            parked.append(said)
        else:
            result.facts.append(said)
    known = {contract_facts.identity(facts): facts for facts in result.facts}
    for position, item, row_id in copies:
        other = [item if n == position else each for n, each in enumerate(history)]
        for said in ocds_contracts.contracts_of(other):
            if isinstance(said, Parked):
                continue
            twin = known.get(contract_facts.identity(said))
            if twin is not None and _digest(said) != _digest(twin):
                result.altered.append((said, row_id))
    return [result, *parked]


# ── 3. Contracts follow ──────────────────────────────────────────────────────────────────────


def record(tx: Tx, found: Iterable[_Found | Parked]) -> Counts:
    """Write what the processes say now: new contracts, new versions, altered copies."""
    counts = Counts()
    newest: dict[str, tuple[ContractFacts, UUID]] = {}
    altered: list[tuple[str, ContractFacts, UUID]] = []
    for item in found:
        if isinstance(item, Parked):
            counts.parked += park(tx, [item])
            continue
        if item.newest is None:
            continue
        for facts in item.facts:
            newest[contract_facts.identity(facts)] = (facts, item.newest)
        altered += [(contract_facts.identity(f), f, release_id) for f, release_id in item.altered]
    parties = _parties(tx, [facts for facts, _ in newest.values()])
    known = {
        row.identity: row
        for row in tx.rows(
            select(contract)
            .where(contract.c.identity.in_(list(newest)))
            .order_by(contract.c.id)
            .with_for_update()
        )
    }
    fresh = {name: pair for name, pair in newest.items() if name not in known}
    counts.new = _record_new(tx, fresh, parties)
    counts.changed = _amend(
        tx, [(known[name], *pair) for name, pair in newest.items() if name in known]
    )
    _keep_altered(tx, altered)
    return counts


def _parties(tx: Tx, facts: Sequence[ContractFacts]) -> dict[tuple[str, str, str], UUID]:
    """The organisations of these contracts, made where they are new."""
    named = {
        (kind, party.scheme, party.identifier): party
        for item in facts
        for kind, party in (("purchaser", item.purchaser), ("supplier", item.supplier))
    }
    if not named:
        return {}
    tx.db.execute(
        upsert(organisation).on_conflict_do_nothing(
            index_elements=["kind", "scheme", "identifier"]
        ),
        [
            {
                "id": new_id(),
                "kind": kind,
                "scheme": scheme,
                "identifier": identifier,
                "name": party.name,
                "name_key": name_key(party.name),
                "size": party.size or None,
                "created_at": tx.now,
            }
            for (kind, scheme, identifier), party in named.items()
        ],
    )
    columns = (organisation.c.kind, organisation.c.scheme, organisation.c.identifier)
    return {
        (row.kind, row.scheme, row.identifier): row.id
        for row in tx.rows(
            select(organisation.c.id, *columns).where(tuple_(*columns).in_(list(named)))
        )
    }


def _party_key(kind: str, party: Party) -> tuple[str, str, str]:
    return kind, party.scheme, party.identifier


def _columns(facts: ContractFacts) -> dict[str, Any]:
    return {
        **{name: getattr(facts, name) for name in COLUMNS},
        "number_key": number_key(facts.number),
        "number_search": search_text(facts.number),
        "award_fen": facts.award.amount_fen if facts.award else None,
        "award_on": facts.award.issued_on if facts.award else None,
    }


def _record_new(
    tx: Tx,
    fresh: dict[str, tuple[ContractFacts, UUID]],
    parties: dict[tuple[str, str, str], UUID],
) -> int:
    by_event: dict[str, list[tuple[dict[str, Any], ContractFacts, UUID]]] = defaultdict(list)
    for name, (facts, release_id) in fresh.items():
        row = {
            "id": new_id(),
            "identity": name,
            "profile": tx.settings.profile,
            "publisher": facts.publisher,
            "ocid": facts.ocid,
            "purchaser_id": parties[_party_key("purchaser", facts.purchaser)],
            "supplier_id": parties[_party_key("supplier", facts.supplier)],
            "current_version_id": new_id(),
            "record_version": 1,
            "held_fen": 0,
            "open_fen": 0,
            "created_at": tx.now,
            **_columns(facts),
        }
        event = "record_signed" if facts.signed_on else "record_award"
        by_event[event].append((row, facts, release_id))
    for event, items in by_event.items():
        create_many(
            tx,
            "contract",
            event,
            [row for row, _, _ in items],
            facts=[
                {"release": release_id, "amount_fen": facts.amount_fen}
                for _, facts, release_id in items
            ],
        )
        _write_versions(
            tx, [(row["id"], row["current_version_id"], 1, f, r) for row, f, r in items]
        )
        _write_parts(tx, [(row["id"], facts) for row, facts, _ in items])
    return len(fresh)


def _amend(tx: Tx, pairs: Sequence[tuple[Row[Any], ContractFacts, UUID]]) -> int:
    """New versions of known contracts; facts that some version already held change nothing."""
    digests = {
        (row.contract_id, row.digest)
        for row in tx.rows(
            select(contract_version.c.contract_id, contract_version.c.digest).where(
                contract_version.c.contract_id.in_([row.id for row, _, _ in pairs])
            )
        )
    }
    by_event: dict[str, list[tuple[Row[Any], ContractFacts, UUID, UUID]]] = defaultdict(list)
    for row, facts, release_id in pairs:
        if (row.id, _digest(facts)) in digests:
            continue
        event = _event(row, facts)
        if lifecycles.step("contract", event, row.state) is None:
            event = "amend"
        if lifecycles.step("contract", event, row.state) is not None:
            by_event[event].append((row, facts, release_id, new_id()))
    for event, items in by_event.items():
        move_many(
            tx,
            "contract",
            event,
            [row.id for row, *_ in items],
            values=[
                {
                    **_columns(facts),
                    "current_version_id": version_id,
                    "record_version": row.record_version + 1,
                }
                for row, facts, _, version_id in items
            ],
            facts=[
                {"release": release_id, "amount_fen": facts.amount_fen}
                for _, facts, release_id, _ in items
            ],
        )
        _write_versions(tx, [(r.id, v, r.record_version + 1, f, rel) for r, f, rel, v in items])
        _write_parts(tx, [(row.id, facts) for row, facts, _, _ in items])
    _make_stale(
        tx,
        [
            row.id
            for items in by_event.values()
            for row, facts, _, _ in items
            if (row.amount_fen, row.currency) != (facts.amount_fen, facts.currency)
        ],
    )
    return sum(len(items) for items in by_event.values())


def _event(row: Row[Any], facts: ContractFacts) -> str:
    """What happened to the contract, as its new facts tell."""
    if row.state == "awarded" and facts.signed_on:
        return "sign"
    if facts.status == "terminated":
        return "terminate"
    if (row.amount_fen, row.currency) != (facts.amount_fen, facts.currency):
        return "amend"
    if row.filed_on is None and facts.filed_on:
        return "file"
    if row.announced_on is None and facts.announced_on:
        return "announce"
    return "amend"


def _digest(facts: ContractFacts) -> str:
    return canonical.digest_of(contract_facts.substance(facts))


def _write_versions(tx: Tx, items: Sequence[tuple[UUID, UUID, int, ContractFacts, UUID]]) -> None:
    tx.db.execute(
        insert(contract_version),
        [
            {
                "id": version_id,
                "contract_id": contract_id,
                "n": n,
                "release_id": release_id,
                "released_at": facts.released_at,
                "digest": _digest(facts),
                "facts": contract_facts.to_json(facts),
                "created_at": tx.now,
            }
            for contract_id, version_id, n, facts, release_id in items
        ],
    )


def _write_parts(tx: Tx, items: Sequence[tuple[UUID, ContractFacts]]) -> None:
    """Milestones and published payments of these contracts, and what their books leave open."""
    parts = [row for contract_id, facts in items for row in _milestones(contract_id, facts)]
    if parts:
        statement = upsert(milestone)
        kept = ("title", "position", "amount_fen", "retention_fen", "advance_fen", "due_on")
        tx.db.execute(
            statement.on_conflict_do_update(
                index_elements=["contract_id", "code"],
                set_={
                    **{name: statement.excluded[name] for name in kept},
                    "delivered_on": func.coalesce(
                        milestone.c.delivered_on, statement.excluded.delivered_on
                    ),
                    "accepted_on": func.coalesce(
                        milestone.c.accepted_on, statement.excluded.accepted_on
                    ),
                },
            ),
            parts,
        )
    payments = [
        {
            "id": new_id(),
            "contract_id": contract_id,
            "code": paid.code,
            "amount_fen": paid.amount_fen,
            "currency": paid.currency,
            "paid_on": paid.paid_on,
            "payer_name": paid.payer,
        }
        for contract_id, facts in items
        for paid in facts.payments
    ]
    if payments:
        tx.db.execute(upsert(published_payment).on_conflict_do_nothing(), payments)
    ids = [contract_id for contract_id, _ in items]
    rows = tx.rows(select(contract).where(contract.c.id.in_(ids)).order_by(contract.c.id))
    allocation.open_books(tx, rows)
    allocation.refresh_open(tx, ids)


def _milestones(contract_id: UUID, facts: ContractFacts) -> list[dict[str, Any]]:
    """The parts of the price; a record whose parts do not add up has one: the whole."""
    parts = facts.milestones
    priced = [part.amount_fen for part in parts if part.amount_fen]
    if not parts or len(priced) != len(parts) or sum(priced) != facts.amount_fen:
        return [
            {
                "id": new_id(),
                "contract_id": contract_id,
                "code": "whole",
                "title": facts.title,
                "position": 1,
                "amount_fen": facts.amount_fen or 0,
                "retention_fen": facts.retention_fen or 0,
                "advance_fen": facts.advance_fen or 0,
                "due_on": None,
                "delivered_on": facts.delivered_on,
                "accepted_on": facts.accepted_on,
            }
        ]
    return [
        {
            "id": new_id(),
            "contract_id": contract_id,
            "code": part.code,
            "title": part.title,
            "position": position,
            "amount_fen": part.amount_fen,
            "retention_fen": part.retention_fen or 0,
            "advance_fen": part.advance_fen or 0,
            "due_on": part.due_on,
            "delivered_on": part.delivered_on,
            "accepted_on": part.accepted_on,
        }
        for position, part in enumerate(parts, 1)
    ]


def _make_stale(tx: Tx, contract_ids: Sequence[UUID]) -> None:
    """An application whose contract changed its price waits for a new packet."""
    if not contract_ids:
        return
    live = tx.rows(
        select(application.c.id)
        .where(application.c.contract_id.in_(contract_ids), application.c.state.in_(STALE_FROM))
        .order_by(application.c.id)
    )
    ids = [row.id for row in live]
    offers = tx.rows(
        select(offer.c.id).where(offer.c.application_id.in_(ids), offer.c.state == "open")
    )
    move_many(tx, "application", "stale", ids)
    move_many(tx, "offer", "withdraw", [row.id for row in offers])


def _keep_altered(tx: Tx, altered: Sequence[tuple[str, ContractFacts, UUID]]) -> None:
    if not altered:
        return
    known = {
        row.identity: row.id
        for row in tx.rows(
            select(contract.c.id, contract.c.identity).where(
                contract.c.identity.in_([name for name, _, _ in altered])
            )
        )
    }
    rows = [
        {
            "id": new_id(),
            "contract_id": known[name],
            "release_id": release_id,
            "digest": _digest(facts),
            "facts": contract_facts.to_json(facts),
            "created_at": tx.now,
        }
        for name, facts, release_id in altered
        if name in known
    ]
    if rows:
        tx.db.execute(upsert(altered_copy).on_conflict_do_nothing(), rows)


# ── 4. Again ─────────────────────────────────────────────────────────────────────────────────


def replay(tx: Tx, item: Row[Any]) -> bool:
    """Read a parked record again from its bytes; True when it could be used this time."""
    read = ocds.reread(bytes(item.raw), item.source, item.place, "")
    good = [found for found in read if not isinstance(found, Parked)]
    if not good:
        return False
    counts = take(tx, good)
    return counts.parked == 0 and counts.new + counts.changed > 0
