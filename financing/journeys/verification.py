"""Verification (核验): whether a contract may be financed, and in one sentence why not.

1. `verify`     the table of checks over a set of contracts; what changed is written, nothing else
2. `verify_due` the same for the contracts whose inputs changed
3. `recheck`    contracts whose verdict the day alone may change
4. `capacity`   how much one bank's product may lend on a contract, term by term
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import insert

from financing import words
from financing.errors import NotFound
from financing.journeys import allocation
from financing.journeys.dossiers import Seen, dossiers
from financing.journeys.receivable import receivables
from financing.rules import capacity as reckoning
from financing.rules import lifecycles
from financing.rules.capacity import Capacity
from financing.rules.checks import Finding, Word, examine, first_blocking
from financing.rules.look_alike import STOPS
from financing.store import outbox
from financing.store.db import Tx, lock
from financing.store.move import move_many
from financing.store.outbox import Work
from financing.store.tables import check_result, contract
from financing.values import canonical

# Which contract a changed row is about.
SUBJECTS = {
    "contract": text("SELECT id AS contract_id FROM contract WHERE id = ANY(:ids)"),
    "confirmation": text("SELECT contract_id FROM confirmation WHERE id = ANY(:ids)"),
    "account_version": text("SELECT contract_id FROM account_version WHERE id = ANY(:ids)"),
    "claim": text("SELECT contract_id FROM claim WHERE id = ANY(:ids)"),
    "payment": text(
        "SELECT contract_id FROM payment WHERE id = ANY(:ids) AND contract_id IS NOT NULL"
    ),
}


def verify_due(tx: Tx, works: Sequence[Work]) -> None:
    """Verify the contracts that these changed rows are about, each once."""
    ids: set[UUID] = set()
    for kind, subject in SUBJECTS.items():
        wanted = [work.subject_id for work in works if work.args["kind"] == kind]
        if wanted:
            rows = tx.rows(subject, {"ids": wanted})
            ids |= {row.contract_id for row in rows}
    verify(tx, sorted(ids))


def verify(tx: Tx, contract_ids: Sequence[UUID]) -> None:
    """Run the checks over a set of contracts and keep what they found.

    A contract that becomes financeable rings the telling of its capacity.
    """
    if not contract_ids:
        return
    before = {row.id: row for row in lock(tx, contract, contract_ids)}
    allocation.refresh_open(tx, contract_ids)
    known = _known(tx, contract_ids)
    fresh: list[dict[str, Any]] = []
    verified: list[tuple[UUID, bool, dict[str, str], str]] = []
    looked = dossiers(tx, contract_ids)
    _ring_the_alike(tx, looked)
    for seen in looked:
        findings = examine(seen.dossier)
        rows = [_as_row(tx, seen.row.id, n, found) for n, found in enumerate(findings)]
        fresh += [
            row for row in rows if known.get((row["contract_id"], row["check_id"])) != _told(row)
        ]
        blocking = first_blocking(findings)
        verified.append(
            (
                seen.row.id,
                blocking is None,
                _sentence(blocking),
                canonical.digest_of([[row["check_id"], row["result"]] for row in rows]),
            )
        )
    if fresh:
        statement = insert(check_result)
        kept = ("position", "result", "blocks", "seen", "source", "remedy", "at")
        tx.db.execute(
            statement.on_conflict_do_update(
                index_elements=["contract_id", "check_id"],
                set_={name: statement.excluded[name] for name in kept},
            ),
            fresh,
        )
    _conclude(tx, before, verified)


def _ring_the_alike(tx: Tx, looked: Sequence[Seen]) -> None:
    """A contract that a new one resembles is looked at again itself, once for each pair."""
    own = {seen.row.id for seen in looked}
    outbox.enqueue_many(
        tx,
        "verify",
        [
            (f"verify:alike:{other}:{seen.row.id}", "", other, {"kind": "contract"})
            for seen in looked
            for other, points in seen.alike
            if points >= STOPS and other not in own
        ],
    )


def _known(tx: Tx, contract_ids: Sequence[UUID]) -> dict[tuple[UUID, str], tuple[Any, ...]]:
    return {
        (row.contract_id, row.check_id): (row.result, row.blocks, row.seen, row.remedy)
        for row in tx.rows(
            select(check_result).where(check_result.c.contract_id.in_(list(contract_ids)))
        )
    }


def _told(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["result"], row["blocks"], row["seen"], row["remedy"]


def _as_row(tx: Tx, contract_id: UUID, position: int, found: Finding) -> dict[str, Any]:
    return {
        "contract_id": contract_id,
        "check_id": found.check.id,
        "position": position,
        "result": found.outcome.result,
        "blocks": found.is_blocking,
        "seen": said(found),
        "source": found.check.source,
        "remedy": remedy(found),
        "at": tx.now,
    }


def said(found: Finding) -> dict[str, str]:
    """What a check saw, in both languages."""
    return words.both(_key(found), **_named(found))


def remedy(found: Finding) -> dict[str, str]:
    """What mends it, in both languages; empty where nothing is to be mended."""
    if found.outcome.result not in ("fail", "unknown"):
        return {}
    return words.both(f"{_key(found)}.remedy", **_named(found))


def _key(found: Finding) -> str:
    case = found.outcome.case
    return "check.elsewhere" if case == "elsewhere" else f"check.{found.check.id}.{case}"


def _named(found: Finding) -> dict[str, Any]:
    return {
        name: words.both(value.key) if isinstance(value, Word) else value
        for name, value in found.outcome.named.items()
    }


def _sentence(blocking: Finding | None) -> dict[str, str]:
    """Why not, in one sentence: the first blocking row by table order."""
    if blocking is None:
        return words.both("verification.sentence.ready")
    return words.both("verification.sentence.not", seen=said(blocking), remedy=remedy(blocking))


def _conclude(
    tx: Tx,
    before: dict[UUID, Row[Any]],
    verified: Sequence[tuple[UUID, bool, dict[str, str], str]],
) -> None:
    """Write verdicts that changed; becoming financeable is an event of its own."""
    events: dict[str, list[tuple[UUID, bool, dict[str, str], str]]] = {}
    for item in verified:
        row = before[item[0]]
        if row.financeable == item[1] and row.sentence == item[2]:
            continue
        event = "became_financeable" if item[1] and not row.financeable else "verified"
        if lifecycles.step("contract", event, row.state) is None:
            continue  # a closed contract keeps its last verdict
        events.setdefault(event, []).append(item)
    for event, items in events.items():
        move_many(
            tx,
            "contract",
            event,
            [contract_id for contract_id, *_ in items],
            values=[
                {"financeable": financeable, "sentence": sentence}
                for _, financeable, sentence, _ in items
            ],
            facts=[{"checks": digest, "financeable": ok} for _, ok, _, digest in items],
        )


# A term that runs out, a confirmation that grows old, a contract that ends, a day that comes.
_BY_DAY = text("""
    SELECT c.id FROM contract c
     WHERE c.financeable OR EXISTS (
           SELECT 1 FROM check_result r
            WHERE r.contract_id = c.id
              AND (r.check_id IN ('FILED', 'ANNOUNCED') AND r.result = 'unknown'
                   OR r.check_id = 'DATES' AND r.result = 'fail'))
""")


def recheck(tx: Tx) -> None:
    """Ring the verification of contracts whose verdict the day alone may change, once a day."""
    rows = tx.rows(_BY_DAY)
    outbox.enqueue_many(
        tx,
        "verify",
        [(f"verify:day:{row.id}:{tx.today}", "", row.id, {"kind": "contract"}) for row in rows],
    )


def capacity(tx: Tx, contract_id: UUID, product: Row[Any]) -> Capacity:
    """How much a bank's product may lend on a contract today, term by term.

    Raises:
        NotFound: no such contract.
    """
    known = receivables(tx, [contract_id]).get(contract_id)
    if known is None:
        raise NotFound("no such contract", where="contract")
    return reckoning.capacity(
        known.known,
        held_fen=known.held_fen,
        share_bp=product.share_bp,
        cap_fen=product.cap_fen,
        today=tx.today,
    )
