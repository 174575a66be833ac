"""What the checks look at, put together for a set of contracts in a handful of queries.

1. `dossiers` facts of the record, of the people, and of the books, one dossier per contract
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text

from financing.journeys.confirmation import is_of
from financing.journeys.receivable import Money, receivables
from financing.rules.calendar import Holidays, is_guess_between
from financing.rules.dossier import (
    AccountSeen,
    Award,
    ConfirmationSeen,
    Document,
    Dossier,
    LookAlike,
    Party,
)
from financing.rules.look_alike import WARNS, Traits, score
from financing.rules.profiles import profile
from financing.store import holidays, sealing
from financing.store.db import Tx
from financing.values.accounts import last4, normalise
from financing.values.contract_facts import ContractFacts, from_json
from financing.values.text import name_key
from financing.values.times import civil

_CONTRACTS: Final = text("""
    SELECT c.*, v.facts, first.facts AS first_facts,
           p.scheme AS purchaser_scheme, p.identifier AS purchaser_identifier,
           p.name AS purchaser_name, p.name_key AS purchaser_key,
           s.scheme AS supplier_scheme, s.identifier AS supplier_identifier,
           s.name AS supplier_name, s.name_key AS supplier_key, s.size AS supplier_size,
           (SELECT count(*) FROM altered_copy a WHERE a.contract_id = c.id) AS copies
      FROM contract c
      JOIN contract_version v ON v.id = c.current_version_id
      LEFT JOIN LATERAL (
           SELECT f.facts FROM contract_version f  -- an award alone has no amount yet
            WHERE f.contract_id = c.id AND f.facts ->> 'amount_fen' IS NOT NULL
            ORDER BY f.n LIMIT 1) first ON true
      JOIN organisation p ON p.id = c.purchaser_id
      JOIN organisation s ON s.id = c.supplier_id
     WHERE c.id = ANY(:ids)
""")
_ACCOUNTS: Final = text("""
    SELECT DISTINCT ON (v.contract_id)
           v.contract_id, v.state, v.is_holder_verified, a.holder, a.holder_key, a.last4,
           a.number_index, known.number AS known_number
      FROM account_version v JOIN bank_account a ON a.id = v.account_id
      LEFT JOIN LATERAL (  -- what the record named when this account was set
           SELECT f.facts -> 'account' ->> 'number' AS number FROM contract_version f
            WHERE f.contract_id = v.contract_id
              AND CAST(f.created_at AT TIME ZONE 'Asia/Shanghai' AS date)
                  <= coalesce(v.from_on, 'infinity')
            ORDER BY f.n DESC LIMIT 1) known ON true
     WHERE v.contract_id = ANY(:ids)
     ORDER BY v.contract_id, (v.state IN ('active', 'locked')) DESC, v.n DESC
""")
_CONFIRMATIONS: Final = text("""
    SELECT DISTINCT ON (contract_id) * FROM confirmation
     WHERE contract_id = ANY(:ids)
     ORDER BY contract_id, asked_at DESC, id DESC
""")
# Everybody else's contracts between the same two parties; each pair of parties is read once.
_NEIGHBOURS: Final = text("""
    SELECT c.id, c.purchaser_id, c.supplier_id, c.ocid, c.number, c.number_key, c.amount_fen,
           c.currency, c.signed_on, c.title, v.facts
      FROM contract c
      JOIN contract_version v ON v.id = c.current_version_id
      JOIN (SELECT DISTINCT purchaser_id, supplier_id FROM contract WHERE id = ANY(:ids)) pair
        ON pair.purchaser_id = c.purchaser_id AND pair.supplier_id = c.supplier_id
""")


@dataclass(frozen=True, slots=True)
class Seen:
    """A dossier with what the verdict is written back to.

    Args:
        alike: other contracts of the same parties that look like this one, with their scores.
    """

    row: Row[Any]
    dossier: Dossier
    alike: tuple[tuple[UUID, int], ...]


def dossiers(tx: Tx, ids: Sequence[UUID]) -> list[Seen]:
    """The dossiers of these contracts, in the order of their ids."""
    asked = {"ids": list(ids)}
    money = receivables(tx, ids)
    accounts = {row.contract_id: row for row in tx.rows(_ACCOUNTS, asked)}
    asked_of = {row.contract_id: row for row in tx.rows(_CONFIRMATIONS, asked)}
    near = _neighbours(tx.rows(_NEIGHBOURS, asked))
    known = holidays.known(tx)
    found = []
    for row in sorted(tx.rows(_CONTRACTS, asked), key=lambda each: each.id):
        facts = from_json(row.facts)
        alike, names = _alike(row, near[row.purchaser_id, row.supplier_id])
        dossier = _dossier(tx, row, facts, money[row.id])
        found.append(
            Seen(
                row,
                replace(
                    dossier,
                    account=_account(tx, accounts.get(row.id), facts),
                    confirmation=_confirmation(row, asked_of.get(row.id), known),
                    look_alikes=names,
                    holidays=known,
                ),
                alike,
            )
        )
    return found


Pair = tuple[UUID, UUID]  # purchaser, supplier


def _neighbours(rows: Sequence[Row[Any]]) -> dict[Pair, list[tuple[UUID, str, Traits]]]:
    """Contracts by the two parties that they bind, with what is compared of them."""
    near: dict[Pair, list[tuple[UUID, str, Traits]]] = defaultdict(list)
    for row in rows:
        near[row.purchaser_id, row.supplier_id].append((row.id, row.number, _traits(row)))
    return near


def _traits(row: Row[Any]) -> Traits:
    facts = row.facts
    award = facts.get("award_id") or (facts["award"]["id"] if facts.get("award") else "")
    return Traits(
        ocid=row.ocid,
        award=award,
        number=row.number_key,
        amount_fen=row.amount_fen,
        currency=row.currency,
        signed_on=row.signed_on,
        title=row.title,
        documents=frozenset(
            item["digest"] for item in facts.get("documents", ()) if item.get("digest")
        ),
    )


def _alike(
    row: Row[Any], near: Sequence[tuple[UUID, str, Traits]]
) -> tuple[tuple[tuple[UUID, int], ...], tuple[LookAlike, ...]]:
    """Other contracts that look like this one; an altered copy of its own record is the most."""
    own = _traits(row)
    scored = [
        (other_id, number, points)
        for other_id, number, traits in near
        if other_id != row.id and (points := score(own, traits)) >= WARNS
    ]
    names = [LookAlike(number, points) for _, number, points in scored]
    if row.copies:
        names.append(LookAlike(row.number, 100))
    return tuple((other_id, points) for other_id, _, points in scored), tuple(names)


def _dossier(tx: Tx, row: Row[Any], facts: ContractFacts, money: Money) -> Dossier:
    return Dossier(
        profile=profile(row.profile),
        today=tx.today,
        purchaser=Party(
            row.purchaser_scheme, row.purchaser_identifier, row.purchaser_name, row.purchaser_key
        ),
        supplier=Party(
            row.supplier_scheme, row.supplier_identifier, row.supplier_name, row.supplier_key
        ),
        currency=row.currency,
        amount_fen=row.amount_fen,
        first_amount_fen=row.first_facts["amount_fen"] if row.first_facts else None,
        amount_in_words=facts.amount_in_words or None,
        state=row.state,
        has_contract=bool(facts.code),
        record_status=facts.status,
        is_direct=facts.direct,
        award=_award(facts),
        budget_fen=facts.budget_fen,
        budget_currency=facts.budget_currency or "",
        signed_on=row.signed_on,
        signatories=frozenset(facts.signatories) or None,
        filed_on=row.filed_on,
        has_filing_receipt=bool(facts.filing_receipt),
        announced_on=row.announced_on,
        has_notice_digest=bool(facts.announcement_digest),
        is_secret=bool(facts.secret),
        delivered_on=row.delivered_on,
        accepted_on=row.accepted_on,
        ends_on=row.ends_on,
        first_paid_on=money.first_paid_on,
        last_paid_on=money.last_paid_on,
        documents=tuple(
            Document(item.title, item.digest or None, None) for item in facts.documents
        ),
        paid=money.paid,
        has_feed=money.has_feed,
        open_fen=money.open_fen,
        held_fen=money.held_fen,
        is_assignable=facts.assignable,
        declared_size=facts.sme_declared or None,
    )


def _award(facts: ContractFacts) -> Award | None:
    known = facts.award
    if known is None or (facts.award_id and known.link != "named"):
        return None  # a contract that names an award is under that one or under none
    winners = {party.identifier for party in known.suppliers}
    winners |= {name_key(party.name) for party in known.suppliers}
    return Award(
        id=known.id,
        on=known.issued_on,
        fen=known.amount_fen,
        currency=known.currency or "",
        suppliers=frozenset(winners - {""}),
        is_live=known.status not in ("cancelled", "unsuccessful"),
    )


def _account(tx: Tx, row: Row[Any] | None, facts: ContractFacts) -> AccountSeen | None:
    if row is None:
        return None
    return AccountSeen(
        row.state,
        row.holder,
        row.holder_key,
        row.last4,
        row.is_holder_verified,
        _renamed(tx, row, facts),
    )


def _renamed(tx: Tx, row: Row[Any], facts: ContractFacts) -> str:
    """The end of another account that the record names since this one was set; empty: none."""
    named = facts.account.number if facts.account else ""
    if not named or named == row.known_number:
        return ""
    digits = normalise(named)
    return "" if sealing.blind_index(tx.keys, digits) == row.number_index else last4(digits)


def _confirmation(row: Row[Any], asked: Row[Any] | None, rest: Holidays) -> ConfirmationSeen | None:
    if asked is None:
        return None
    return ConfirmationSeen(
        state=asked.state,
        asked_on=civil(asked.asked_at),
        due_on=asked.due_on,
        answered_on=civil(asked.answered_at) if asked.answered_at else None,
        is_of_this=is_of(row, asked.shown),
        paid_fen=asked.paid_fen,
        is_due_guessed=asked.due_on is not None
        and is_guess_between(civil(asked.asked_at), asked.due_on, rest),
    )
