"""Which contract a booked payment belongs to, decided for a set of payments at once.

1. `match_due`  the job: payments of newly booked lines
2. `match`      candidates by number, then by everything; decide; move; allocate, or raise alarm
3. `candidates` what speaks for each contract, in two queries for any number of payments

A match needs the designated account in force on the value date. A payment to another account of
the supplier that certainly names the contract is a diversion (挪付): bank, bureau, and purchaser
are told in the same transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select, text

from financing.formats.statement import SHORTEST_NUMBER
from financing.journeys import allocation
from financing.rules.matching import (
    Candidate,
    Decision,
    decide,
    payer_evidence,
    stands_alone,
)
from financing.store.db import Tx, lock
from financing.store.move import move_many
from financing.store.outbox import Work
from financing.store.tables import contract, payment


def match_due(tx: Tx, works: Sequence[Work]) -> None:
    """Match the payments of these works; one that has moved on meanwhile is left alone."""
    match(tx, [work.subject_id for work in works if work.subject_id is not None])


def match(tx: Tx, payment_ids: Sequence[UUID]) -> None:
    """Match, divert, or raise a case for each payment that is still unmatched.

    Source: rulebook, life cycle of a payment.
    """
    wanted = select(payment).where(payment.c.id.in_(list(payment_ids)))
    waiting = tx.rows(wanted.where(payment.c.state == "unmatched"))
    found = candidates(tx, waiting)
    # Contracts before payments: the order of locks. What another worker moved meanwhile is left.
    lock(tx, contract, {each.contract_id for several in found.values() for each in several})
    ids = [row.id for row in lock(tx, payment, [row.id for row in waiting])]
    still = {row.id for row in tx.rows(wanted.where(payment.c.state == "unmatched"))}
    designated = _on_designated_accounts(tx, ids)
    decisions = {
        each: decide(found[each], is_designated=each in designated) for each in ids if each in still
    }
    matched = _move(tx, decisions, "matched", "match")
    diverted = _move(tx, decisions, "diverted", "divert")
    _move(tx, decisions, "exception", "doubt")
    allocation.allocate(tx, matched)
    allocation.divert(tx, diverted)


def _move(tx: Tx, decisions: dict[UUID, Decision], word: str, event: str) -> list[Row[Any]]:
    chosen = [(each, made) for each, made in decisions.items() if made.word == word]
    values, facts = [], []
    for _, made in chosen:
        shown = [
            {"contract": str(each.contract_id), "score": each.score, "why": list(each.evidence)}
            for each in made.candidates
        ]
        value: dict[str, Any] = {"outcome": word, "candidates": shown}
        fact: dict[str, Any] = {"candidates": [each["contract"] for each in shown]}
        if made.chosen is not None:
            value |= {
                "contract_id": made.chosen.contract_id,
                "account_version_id": made.chosen.account_version_id,
                "rule": made.rule,
                "score": made.chosen.score,
            }
            fact = {
                "contract": made.chosen.contract_id,
                "account_version": made.chosen.account_version_id,
                "rule": made.rule,
                "score": made.chosen.score,
            }
        values.append(value)
        facts.append(fact)
    return move_many(tx, "payment", event, [each for each, _ in chosen], values=values, facts=facts)


DESIGNATED: Final = text("""
    SELECT DISTINCT p.id FROM payment p
      JOIN account_version v ON v.account_id = p.account_id AND v.state IN ('active', 'locked')
                            AND v.from_on <= p.value_on
                            AND (v.to_on IS NULL OR p.value_on < v.to_on)
     WHERE p.id = ANY(:ids)
""")


def _on_designated_accounts(tx: Tx, ids: Sequence[UUID]) -> set[UUID]:
    return set(tx.db.execute(DESIGNATED, {"ids": list(ids)}).scalars())


# ── 3. Candidates ────────────────────────────────────────────────────────────────────────────

# Only contracts of the account's own holder can be meant. First those whose number is a word of
# the text (an index finds them); for payments without any, all contracts of the holder.
BY_NUMBER: Final = """
    SELECT p.id AS payment_id, c.id AS contract_id
      FROM payment p CROSS JOIN LATERAL unnest(p.numbers) AS w(word)
      JOIN contract c ON c.number_search = w.word
      JOIN bank_account a ON a.id = p.account_id AND a.organisation_id = c.supplier_id
     WHERE p.id = ANY(:ids)
"""
BY_HOLDER: Final = """
    SELECT p.id AS payment_id, c.id AS contract_id
      FROM payment p
      JOIN bank_account a ON a.id = p.account_id
      JOIN contract c ON c.supplier_id = a.organisation_id
      JOIN organisation o ON o.id = c.purchaser_id
     WHERE p.id = ANY(:ids)
       AND ((length(c.number_search) >= :shortest AND position(c.number_search IN p.search) > 0)
            OR p.payer_key = o.name_key
            OR (p.payer_key <> '' AND (starts_with(o.name_key, p.payer_key)
                                       OR starts_with(p.payer_key, o.name_key)))
            OR EXISTS (SELECT 1 FROM account_version v WHERE v.contract_id = c.id
                          AND v.account_id = p.account_id AND v.state IN ('active', 'locked')))
"""
EVIDENCE: Final = """
    SELECT pair.payment_id, pair.contract_id, c.number_search, o.name_key,
           c.amount_fen IS NOT NULL AND c.currency = p.currency
               AND c.state NOT IN ('awarded', 'terminated') AS usable,
           here.id AS here_id, other.id AS other_id,
           p.amount_fen IN (c.open_fen, c.amount_fen, due.fen) OR EXISTS (
               SELECT 1 FROM milestone m WHERE m.contract_id = c.id
                  AND m.amount_fen - m.retention_fen - m.advance_fen = p.amount_fen) AS fits,
           NOT EXISTS (
               SELECT 1 FROM contract rival
                 LEFT JOIN account_version v ON v.contract_id = rival.id
                      AND v.state IN ('active', 'locked') AND v.account_id = p.account_id
                WHERE rival.id <> c.id AND rival.state NOT IN ('paid', 'terminated')
                  AND rival.amount_fen IS NOT NULL
                  AND ((rival.supplier_id = c.supplier_id
                        AND rival.purchaser_id = c.purchaser_id) OR v.id IS NOT NULL)) AS is_only
      FROM (SELECT DISTINCT payment_id, contract_id FROM ({pairs}) every) pair
      JOIN payment p ON p.id = pair.payment_id
      JOIN contract c ON c.id = pair.contract_id
      JOIN organisation o ON o.id = c.purchaser_id
      LEFT JOIN account_version here
        ON here.contract_id = c.id AND here.account_id = p.account_id
       AND here.state IN ('active', 'locked') AND here.from_on <= p.value_on
       AND (here.to_on IS NULL OR p.value_on < here.to_on)
      LEFT JOIN account_version other
        ON other.contract_id = c.id AND other.account_id <> p.account_id
       AND other.state IN ('active', 'locked') AND other.from_on <= p.value_on
       AND (other.to_on IS NULL OR p.value_on < other.to_on)
      LEFT JOIN LATERAL (
           SELECT sum(l.debit_fen - l.credit_fen) AS fen FROM ledger l
            WHERE l.book = 'contract' AND l.subject_id = c.id AND l.account = 'RECEIVABLE') due
        ON true
"""


def candidates(tx: Tx, payments: Sequence[Row[Any]]) -> defaultdict[UUID, list[Candidate]]:
    """What speaks for each contract, for each of these payments."""
    given = {"ids": [row.id for row in payments], "shortest": SHORTEST_NUMBER}
    by_id = {row.id: row for row in payments}
    found = _weigh(by_id, tx.rows(text(EVIDENCE.format(pairs=BY_NUMBER)), given))
    given["ids"] = [each for each in by_id if not found[each]]
    if given["ids"]:
        found |= _weigh(by_id, tx.rows(text(EVIDENCE.format(pairs=BY_HOLDER)), given))
    return found


def _weigh(
    payments: dict[UUID, Row[Any]], rows: Sequence[Row[Any]]
) -> defaultdict[UUID, list[Candidate]]:
    grouped: defaultdict[UUID, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        grouped[row.payment_id].append(row)
    found: defaultdict[UUID, list[Candidate]] = defaultdict(list)
    for payment_id, several in grouped.items():
        numbers = [row.number_search for row in several]
        for row in several:
            found[payment_id].append(_candidate(payments[payment_id], row, numbers))
    return found


def _candidate(paid: Row[Any], row: Row[Any], numbers: Sequence[str]) -> Candidate:
    evidence = [
        _number_evidence(paid, row.number_search, numbers),
        "amount" if row.fits else None,
        payer_evidence(paid.payer_key, row.name_key),
        _only_contract(row),
    ]
    is_elsewhere = row.here_id is None and row.other_id is not None
    return Candidate(
        contract_id=row.contract_id,
        account_version_id=row.here_id or row.other_id,
        account="here" if row.here_id else "elsewhere" if is_elsewhere else "none",
        evidence=tuple(each for each in evidence if each)
        + (("other-account",) if is_elsewhere else ()),
        usable=bool(row.usable),
    )


def _only_contract(row: Row[Any]) -> str | None:
    """A number like `1` can never be found in a text, so its absence says nothing against it."""
    is_nameless = len(row.number_search) < SHORTEST_NUMBER
    return "only-contract" if is_nameless and row.is_only and row.here_id else None


def _number_evidence(paid: Row[Any], number: str, numbers: Sequence[str]) -> str | None:
    """How the text names this contract; part of another contract's number counts as loose."""
    if len(number) < SHORTEST_NUMBER:
        return None
    if number in paid.numbers:
        return "number"
    alone = stands_alone(number, paid.search)
    if alone is None:
        return None
    is_part = any(number != other and number in other and other in paid.search for other in numbers)
    return "number" if alone and not is_part else "number-loose"
