"""Contracts follow from records: who they are, their versions, and the parts of their price.

1. `record`        each contract of a set of processes: a new one, new versions of a known one, or
                   nothing
2. `write_parts`   milestones, published payments, and the book of a version

A newer release makes a new version; an older one is history. What contradicts a contract (a copy
of its release with another amount, a later release for another supplier) is kept beside it for a
person to look at, and overwrites nothing.

An award (中标结果) is recorded as soon as it is known, so that its winner is told then; the first
contract signed under it takes its row over. A second one is a contract of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, and_, cast, delete, func, insert, or_, select, tuple_, values
from sqlalchemy import column as named_column
from sqlalchemy.dialects.postgresql import insert as upsert

from financing.formats.ocds_awards import ENDED
from financing.formats.ocds_history import BEFORE_ALL, Life, Step
from financing.journeys import allocation
from financing.rules import lifecycles
from financing.store import outbox
from financing.store.db import Tx
from financing.store.move import create_many, move_many
from financing.store.tables import (
    altered_copy,
    application,
    contract,
    contract_version,
    milestone,
    offer,
    organisation,
    published_payment,
)
from financing.values import canonical, contract_facts
from financing.values.contract_facts import (
    ContractFacts,
    Party,
    award_key,
    is_same_party,
    key_in_process,
    substance,
)
from financing.values.ids import new_id
from financing.values.text import name_key, number_key, number_search

# Columns of a contract that its newest facts set.
COLUMNS = ("number", "title", "amount_fen", "currency", "signed_on", "ends_on")
# Columns that a purchaser may have set on the pages, so that a record's silence leaves them.
KEPT = ("filed_on", "announced_on", "delivered_on", "accepted_on")
STALE_FROM = ("submitted", "reviewing", "action-required", "offered")

PartyKey = tuple[str, str, str]


@dataclass(slots=True)
class Outcome:
    """Contract versions that came of a set."""

    new: int = 0
    changed: int = 0


@dataclass(slots=True)
class _Case:
    """One contract of the set: its row once it has one, and the versions still to be written."""

    row: Row[Any] | None
    current: ContractFacts | None
    steps: list[Step]
    altered: list[Step] = field(default_factory=list)


def record(tx: Tx, lives: Sequence[Life]) -> Outcome:
    """Write what the processes say now; the same again writes nothing."""
    cases = _cases(tx, lives)
    parties = _parties(tx, [step.facts for case in cases for step in case.steps])
    born = [case for case in cases if case.row is None and case.steps]
    _bear(tx, born, parties)
    outcome = Outcome(new=len(born))
    while waiting := [case for case in cases if case.steps]:
        _amend(tx, waiting, parties)
        outcome.changed += len(waiting)
    _keep_altered(tx, cases)
    return outcome


# ── Which contract it is ─────────────────────────────────────────────────────────────────────


def _cases(tx: Tx, lives: Sequence[Life]) -> list[_Case]:
    """Find the row of each life: by identity, else by process and id with the same parties.

    A contract without a row of its own takes over the row of its award.
    """
    known = _known(tx, [step.facts for life in lives for step in life.steps])
    by_identity = {case.row.identity: case for case in known if case.row is not None}
    by_code: dict[tuple[str, str, str, str], list[_Case]] = defaultdict(list)
    for one in known:
        if one.current is not None:
            by_code[_code(one.current)].append(one)
    for life in lives:
        facts = [step.facts for step in life.steps]
        names = [contract_facts.identity(each) for each in facts]
        same = by_code[_code(facts[-1])]
        case: _Case | None = next(
            (by_identity[name] for name in reversed(names) if name in by_identity), None
        )
        if case is None:
            case = next((other for other in same if _is_one(other, facts)), None)
        if case is None:
            case = next((other for other in known if _is_award_of(other, facts)), None)
        if case is None:
            case = _Case(None, None, [])
            known.append(case)
            for other in same:
                other.altered.append(life.steps[-1])
        by_identity.update(dict.fromkeys(names, case))
        case.steps = sorted(
            [*case.steps, *_news(case, life)],
            key=lambda step: step.facts.released_at or BEFORE_ALL,
        )
        case.altered += life.altered
    return known


def _known(tx: Tx, facts: Sequence[ContractFacts]) -> list[_Case]:
    """The contracts of these identities and of these processes, locked."""
    if not facts:
        return []
    identities = {contract_facts.identity(each) for each in facts}
    names = {(each.publisher, each.ocid) for each in facts}
    rows = tx.rows(
        select(contract)
        .where(
            or_(
                contract.c.identity.in_(identities),
                tuple_(contract.c.publisher, contract.c.ocid).in_(names),
            )
        )
        .order_by(contract.c.id)
        .with_for_update()
    )
    current = {
        row.contract_id: contract_facts.from_json(row.facts)
        for row in tx.rows(
            select(contract_version.c.contract_id, contract_version.c.facts).where(
                contract_version.c.id.in_([row.current_version_id for row in rows])
            )
        )
    }
    return [_Case(row, current.get(row.id), []) for row in rows]


def _code(facts: ContractFacts) -> tuple[str, str, str, str]:
    return (facts.publisher, facts.ocid, *key_in_process(facts))


def _is_one(case: _Case, facts: Sequence[ContractFacts]) -> bool:
    """The same parties, though the record has learnt their numbers or the award since."""
    known = case.current or (case.steps[-1].facts if case.steps else None)
    return known is not None and any(
        is_same_party(known.purchaser, each.purchaser)
        and is_same_party(known.supplier, each.supplier)
        for each in facts
    )


def _is_award_of(case: _Case, facts: Sequence[ContractFacts]) -> bool:
    """Whether the row is of the award alone under which this contract was signed."""
    known, last = case.current, facts[-1]
    if known is None or known.code or not last.code:
        return False
    is_taken = any(step.facts.code for step in case.steps)
    is_under = (known.publisher, known.ocid) == (last.publisher, last.ocid) and (
        award_key(last) == key_in_process(known)
    )
    return is_under and not is_taken and _is_one(case, [last])


def _news(case: _Case, life: Life) -> list[Step]:
    """The versions of a life that its contract does not have yet."""
    if case.current is None:
        return list(life.steps)
    current, last = case.current, life.steps[-1]
    since = current.released_at or BEFORE_ALL
    # Once there is a contract, what its award alone said is history.
    steps = [step for step in life.steps if step.facts.code or not current.code]
    newer = [step for step in steps if (step.facts.released_at or BEFORE_ALL) > since]
    is_signed_since = bool(last.facts.code) and not current.code
    if not newer and (is_signed_since or _code(current) == _code(last.facts)):
        # An older release came late and adds what the newest leaves out.
        newer = [last]
    told = substance(current)
    found = []
    for step in newer:
        if (mine := substance(step.facts)) != told:
            found.append(step)
            told = mine
    return found


def _parties(tx: Tx, facts: Sequence[ContractFacts]) -> dict[PartyKey, UUID]:
    """The organisations of these contracts, made where they are new."""
    named = {
        _party_key(kind, party): party
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
            # In one order everywhere, so that two imports never wait for each other in a ring.
            for (kind, scheme, identifier), party in sorted(named.items(), key=lambda one: one[0])
        ],
    )
    columns = (organisation.c.kind, organisation.c.scheme, organisation.c.identifier)
    return {
        (row.kind, row.scheme, row.identifier): row.id
        for row in tx.rows(
            select(organisation.c.id, *columns).where(tuple_(*columns).in_(list(named)))
        )
    }


def _party_key(kind: str, party: Party) -> PartyKey:
    return kind, party.scheme, party.identifier


# ── Versions ─────────────────────────────────────────────────────────────────────────────────


def _columns(
    facts: ContractFacts, parties: dict[PartyKey, UUID], row: Row[Any] | None = None
) -> dict[str, Any]:
    return {
        **{name: getattr(facts, name) for name in COLUMNS},
        **{
            name: getattr(facts, name) or (getattr(row, name) if row is not None else None)
            for name in KEPT
        },
        "identity": contract_facts.identity(facts),
        "number_key": number_key(facts.number),
        "number_search": number_search(facts.number),
        "award_fen": facts.award.amount_fen if facts.award else None,
        "award_on": facts.award.issued_on if facts.award else None,
        "purchaser_id": parties[_party_key("purchaser", facts.purchaser)],
        "supplier_id": parties[_party_key("supplier", facts.supplier)],
    }


def _bear(tx: Tx, cases: Sequence[_Case], parties: dict[PartyKey, UUID]) -> None:
    """Record the first version of contracts that are new."""
    by_event: dict[str, list[tuple[_Case, Step]]] = defaultdict(list)
    for case in cases:
        first = case.steps.pop(0)
        by_event["record_signed" if first.facts.signed_on else "record_award"].append((case, first))
    for event, items in by_event.items():
        born = [
            {
                "id": new_id(),
                "profile": tx.settings.profile,
                "publisher": step.facts.publisher,
                "ocid": step.facts.ocid,
                "current_version_id": new_id(),
                "record_version": 1,
                "held_fen": 0,
                "open_fen": 0,
                "created_at": tx.now,
                **_columns(step.facts, parties),
            }
            for _, step in items
        ]
        steps = [step for _, step in items]
        _write_versions(tx, [(values["id"], values) for values in born], steps)
        rows = create_many(tx, "contract", event, born, facts=[_audited(step) for step in steps])
        _written(tx, [(case, row, step) for (case, step), row in zip(items, rows, strict=True)])


def _amend(tx: Tx, cases: Sequence[_Case], parties: dict[PartyKey, UUID]) -> None:
    """Write the next version of each of these contracts."""
    by_event: dict[str, list[tuple[_Case, Row[Any], Step]]] = defaultdict(list)
    for case in cases:
        step = case.steps.pop(0)
        if case.row is not None:
            by_event[_event(case.row, step.facts)].append((case, case.row, step))
    stale: list[UUID] = []
    for event, items in by_event.items():
        known, steps = [row.id for _, row, _ in items], [step for _, _, step in items]
        amended = [
            {
                **_columns(step.facts, parties, row),
                "current_version_id": new_id(),
                "record_version": row.record_version + 1,
            }
            for _, row, step in items
        ]
        _write_versions(tx, list(zip(known, amended, strict=True)), steps)
        facts = [_audited(step) for step in steps]
        rows = move_many(tx, "contract", event, known, values=amended, facts=facts)
        stale += [
            row.id
            for _, row, step in items
            if (row.amount_fen, row.currency) != (step.facts.amount_fen, step.facts.currency)
        ]
        _written(tx, [(case, row, step) for (case, _, step), row in zip(items, rows, strict=True)])
    _make_stale(tx, stale)


def _event(row: Row[Any], facts: ContractFacts) -> str:
    """What happened to the contract, as its new facts tell."""
    is_amended = (row.amount_fen, row.currency) != (facts.amount_fen, facts.currency)
    happened = (
        ("sign", row.state == "awarded" and facts.signed_on is not None),
        ("terminate", facts.status in ENDED),
        ("amend", is_amended),
        ("accept", row.accepted_on is None and facts.accepted_on is not None),
        ("deliver", row.delivered_on is None and facts.delivered_on is not None),
        ("announce", row.announced_on is None and facts.announced_on is not None),
        ("file", row.filed_on is None and facts.filed_on is not None),
    )
    for event, has_happened in happened:
        if has_happened and lifecycles.step("contract", event, row.state) is not None:
            return event
    return "amend"


def _audited(step: Step) -> dict[str, Any]:
    return {
        "release": step.release_id,
        "amount_fen": step.facts.amount_fen,
        "record_digest": _digest(step.facts),
    }


def _digest(facts: ContractFacts) -> str:
    return canonical.digest_of(contract_facts.to_json(facts))


def _write_versions(
    tx: Tx, contracts: Sequence[tuple[UUID, dict[str, Any]]], steps: Sequence[Step]
) -> None:
    """The versions themselves: before the contract moves, so that its entry seals their facts."""
    tx.db.execute(
        insert(contract_version),
        [
            {
                "id": values["current_version_id"],
                "contract_id": contract_id,
                "n": values["record_version"],
                "release_id": step.release_id,
                "released_at": step.facts.released_at,
                "digest": _digest(step.facts),
                "facts": contract_facts.to_json(step.facts),
                "created_at": tx.now,
            }
            for (contract_id, values), step in zip(contracts, steps, strict=True)
        ],
    )


def _written(tx: Tx, items: Sequence[tuple[_Case, Row[Any], Step]]) -> None:
    """What hangs on a contract that has moved: the parts of its price."""
    write_parts(tx, [(row.id, step.facts) for _, row, step in items])
    for case, row, step in items:
        case.row, case.current = row, step.facts


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


def _keep_altered(tx: Tx, cases: Iterable[_Case]) -> None:
    """Keep what contradicts a contract, and look at the contract again."""
    rows = {
        (case.row.id, _digest(step.facts)): {
            "id": new_id(),
            "contract_id": case.row.id,
            "release_id": step.release_id,
            "digest": _digest(step.facts),
            "facts": contract_facts.to_json(step.facts),
            "created_at": tx.now,
        }
        for case in cases
        if case.row is not None
        for step in case.altered
    }
    if not rows:
        return
    key = (altered_copy.c.contract_id, altered_copy.c.digest)
    known = {tuple(row) for row in tx.rows(select(*key).where(tuple_(*key).in_(list(rows))))}
    fresh = [row for name, row in rows.items() if name not in known]
    if fresh:
        tx.db.execute(upsert(altered_copy).on_conflict_do_nothing(), fresh)
        outbox.enqueue_many(
            tx,
            "verify",
            [
                (f"verify:altered_copy:{row['id']}", "", row["contract_id"], {"kind": "contract"})
                for row in fresh
            ],
        )


# ── The parts of the price ───────────────────────────────────────────────────────────────────


def write_parts(tx: Tx, items: Sequence[tuple[UUID, ContractFacts]]) -> None:
    """Milestones and published payments of these contracts, and what their books leave open."""
    parts = [row for contract_id, facts in items for row in _parts(contract_id, facts)]
    if parts:
        _write_milestones(tx, parts)
    _write_payments(tx, items)
    ids = [contract_id for contract_id, _ in items]
    rows = tx.rows(select(contract).where(contract.c.id.in_(ids)).order_by(contract.c.id))
    allocation.open_books(tx, rows)
    allocation.refresh_open(tx, ids)


def _write_milestones(tx: Tx, parts: Sequence[dict[str, Any]]) -> None:
    statement = upsert(milestone)
    replaced = ("title", "position", "amount_fen", "retention_fen", "advance_fen", "due_on")
    told = ("delivered_on", "accepted_on")
    tx.db.execute(
        statement.on_conflict_do_update(
            index_elements=["contract_id", "code"],
            set_={
                **{name: statement.excluded[name] for name in replaced},
                # What a purchaser has accepted stays accepted.
                **{
                    name: func.coalesce(milestone.c[name], statement.excluded[name])
                    for name in told
                },
            },
        ),
        list(parts),
    )
    codes: dict[UUID, list[str]] = defaultdict(list)
    for part in parts:
        codes[part["contract_id"]].append(part["code"])
    _drop_unnamed(tx, codes)


def _drop_unnamed(tx: Tx, codes: dict[UUID, list[str]]) -> None:
    """Parts that a newer version names no more are gone, unless they were accepted."""
    rows = [(contract_id, code) for contract_id, some in codes.items() for code in some]
    named = values(
        named_column("contract_id", milestone.c.contract_id.type),
        named_column("code", Text),
        name="named",
    ).data(rows)
    tx.db.execute(
        delete(milestone).where(
            milestone.c.contract_id.in_(list(codes)),
            milestone.c.accepted_on.is_(None),
            ~select(named.c.code)
            .where(
                and_(
                    named.c.contract_id == milestone.c.contract_id,
                    cast(named.c.code, Text) == milestone.c.code,
                )
            )
            .exists(),
        )
    )


def _write_payments(tx: Tx, items: Sequence[tuple[UUID, ContractFacts]]) -> None:
    rows = [
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
    if not rows:
        return
    statement = upsert(published_payment)
    replaced = ("amount_fen", "currency", "paid_on", "payer_name")
    tx.db.execute(
        statement.on_conflict_do_update(
            index_elements=["contract_id", "code"],
            set_={name: statement.excluded[name] for name in replaced},
        ),
        rows,
    )


def _parts(contract_id: UUID, facts: ContractFacts) -> Iterator[dict[str, Any]]:
    """The parts of the price; a record whose parts do not add up has one: the whole.

    An award alone has none: its price is agreed when the contract is signed.
    """
    if facts.amount_fen is None:
        return
    priced = [part.amount_fen for part in facts.milestones if part.amount_fen]
    is_divided = len(priced) == len(facts.milestones) and sum(priced) == facts.amount_fen
    if not priced or not is_divided:
        yield {
            "id": new_id(),
            "contract_id": contract_id,
            "code": "whole",
            "title": facts.title,
            "position": 1,
            "amount_fen": facts.amount_fen,
            "retention_fen": facts.retention_fen or 0,
            "advance_fen": facts.advance_fen or 0,
            "due_on": None,
            "delivered_on": facts.delivered_on,
            "accepted_on": facts.accepted_on,
        }
        return
    for position, part in enumerate(facts.milestones, 1):
        yield {
            "id": new_id(),
            "contract_id": contract_id,
            "code": part.code,
            "title": part.title,
            "position": position,
            "amount_fen": part.amount_fen,
            "retention_fen": part.retention_fen or 0,
            "advance_fen": part.advance_fen or 0,
            "due_on": part.due_on,
            # Delivery and acceptance of the whole are those of each part.
            "delivered_on": part.delivered_on or facts.delivered_on,
            "accepted_on": part.accepted_on or facts.accepted_on,
        }
