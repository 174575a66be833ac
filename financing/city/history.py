"""What happened to each contract, read from the store after the fact.

1. `cases`     one `Case` per contract: applications, payments, and everything that was recorded
2. `_told`     audit entries, tellings, and alerts of a contract, in order

The audit entries tell the story, not the demo that caused them: what is not in the store did not
happen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Row, text

from financing import words
from financing.rules.deadlines import obligations
from financing.rules.profiles import profile
from financing.store import holidays
from financing.store.db import Tx
from financing.values.ids import show
from financing.values.money import show_money
from financing.values.times import start_of

Both = Mapping[str, str]


class Told(NamedTuple):
    """One thing that happened: when, its name `kind.event`, and what its sentence needs."""

    at: datetime
    event: str
    named: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Application:
    """One application to one bank and what became of it; `loan` is the state of its loan."""

    id: str
    bank: str
    bank_code: str
    state: str
    packet: str | None
    packet_id: UUID | None
    amount_fen: int
    reason_code: str | None
    loan: str | None


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment that a statement showed; `account` is its last four digits."""

    amount_fen: int
    currency: str
    account: str
    outcome: str
    on: date


@dataclass(frozen=True, slots=True)
class Case:
    """One contract from first record to now."""

    id: UUID
    contract: str
    ocid: str
    title: str
    supplier: str
    purchaser: str
    amount_fen: int | None
    currency: str
    state: str
    is_financeable: bool
    sentence: Both
    applications: tuple[Application, ...]
    payments: tuple[Payment, ...]
    story: tuple[Told, ...]


_CONTRACTS: Final = text("""
    SELECT c.*, p.name AS purchaser, s.name AS supplier FROM contract c
      JOIN organisation p ON p.id = c.purchaser_id JOIN organisation s ON s.id = c.supplier_id
     WHERE c.id = ANY(:ids) ORDER BY c.ocid, c.number
""")
_APPLICATIONS: Final = text("""
    SELECT a.*, b.name AS bank, b.code AS bank_code, k.identity, l.state AS loan_state,
           f.rate_bp, l.principal_fen,
           f.tenor_days AS offered_days, f.amount_fen AS offered_fen
      FROM application a JOIN organisation b ON b.id = a.bank_id
      LEFT JOIN packet k ON k.id = a.packet_id LEFT JOIN loan l ON l.application_id = a.id
      LEFT JOIN LATERAL (SELECT * FROM offer o WHERE o.application_id = a.id
                          ORDER BY o.id DESC LIMIT 1) f ON true
     WHERE a.contract_id = ANY(:ids) ORDER BY a.id
""")
_PAYMENTS: Final = text("""
    SELECT p.*, b.last4, b.bank_name FROM payment p JOIN bank_account b ON b.id = p.account_id
     WHERE p.contract_id = ANY(:ids) ORDER BY p.value_on, p.id
""")
_VERSIONS: Final = text("""
    SELECT v.id, b.last4, b.bank_name FROM account_version v
      JOIN bank_account b ON b.id = v.account_id WHERE v.contract_id = ANY(:ids)
""")
# The rows whose lives belong to a contract, and what each life's rows are called in the story.
_ENTRIES: Final = text("""
    WITH lives AS (
        SELECT 'contract' AS kind, id, id AS contract_id, NULL::uuid AS application_id
          FROM contract WHERE id = ANY(:ids)
         UNION ALL SELECT 'confirmation', id, contract_id, NULL FROM confirmation
         UNION ALL SELECT 'account_version', id, contract_id, locked_by FROM account_version
         UNION ALL SELECT 'application', id, contract_id, id FROM application
         UNION ALL SELECT 'loan', id, contract_id, application_id FROM loan
         UNION ALL SELECT 'claim', id, contract_id, application_id FROM claim
         UNION ALL SELECT 'payment', id, contract_id, NULL FROM payment)
    SELECT x.contract_id, x.application_id, a.id AS n, a.at, a.kind, a.event, a."case", a.body
      FROM lives x JOIN audit a ON a.kind = x.kind AND a."case" = x.id
     WHERE x.contract_id = ANY(:ids) ORDER BY a.at, a.id
""")
_TELLINGS: Final = text("""
    SELECT contract_id, kind, sent_at FROM telling WHERE contract_id = ANY(:ids) ORDER BY sent_at
""")
_ALERTS: Final = text("""
    SELECT n.contract_id, min(n.at) AS at, array_agg(o.name ORDER BY o.name) AS whom FROM notice n
      JOIN organisation o ON o.id = n.organisation_id
     WHERE n.kind = 'DIVERTED' AND n.contract_id = ANY(:ids) GROUP BY n.contract_id, n.subject_id
""")


def cases(tx: Tx, contract_ids: Sequence[UUID], names: Mapping[str, str]) -> list[Case]:
    """Each contract with what became of it.

    Args:
        names: English names by the name of the record, where there are any.
    """
    ids = {"ids": list(contract_ids)}
    applications = tx.rows(_APPLICATIONS, ids)
    payments = tx.rows(_PAYMENTS, ids)
    told = _told(tx, ids, applications, payments, names)
    return [
        Case(
            id=row.id,
            contract=row.number,
            ocid=row.ocid,
            title=row.title,
            supplier=row.supplier,
            purchaser=row.purchaser,
            amount_fen=row.amount_fen,
            currency=row.currency,
            state=row.state,
            is_financeable=bool(row.financeable),
            sentence=row.sentence,
            applications=tuple(
                _application(one) for one in applications if one.contract_id == row.id
            ),
            payments=tuple(
                Payment(one.amount_fen, one.currency, one.last4, one.outcome, one.value_on)
                for one in payments
                if one.contract_id == row.id
            ),
            story=tuple(sorted(told.get(row.id, ()), key=lambda one: one.at)),
        )
        for row in tx.rows(_CONTRACTS, ids)
    ]


def _application(row: Row[Any]) -> Application:
    return Application(
        id=show("ap", row.id),
        bank=row.bank,
        bank_code=row.bank_code,
        state=row.state,
        packet=row.identity,
        packet_id=row.packet_id,
        amount_fen=row.amount_fen,
        reason_code=row.reason_code,
        loan=row.loan_state,
    )


def _told(
    tx: Tx,
    ids: Mapping[str, Any],
    applications: Sequence[Row[Any]],
    payments: Sequence[Row[Any]],
    names: Mapping[str, str],
) -> dict[UUID, list[Told]]:
    def both(name: str) -> Both:
        return {"zh": name, "en": names.get(name, name)}

    contracts = {row.id: row for row in tx.rows(_CONTRACTS, ids)}
    of_application = {row.id: row for row in applications}
    of_payment = {row.id: row for row in payments}
    accounts = {row.id: row for row in tx.rows(_VERSIONS, ids)}
    told: dict[UUID, list[Told]] = {}
    for entry in tx.rows(_ENTRIES, ids):
        event = f"{entry.kind}.{entry.event}"
        if f"story.{event}" not in words.words():
            continue
        contract = contracts[entry.contract_id]
        facts = json.loads(entry.body)["facts"]
        named = _of_contract(contract, both)
        # An account that was released no longer names its loan; the entry of the lock does.
        application = entry.application_id or _uuid(facts.get("application"))
        if application in of_application:
            named |= _of_application(of_application[application], both)
        account = accounts.get(entry.case) or of_payment.get(entry.case)
        if account is not None:
            named |= {"last4": account.last4, "account_bank": both(account.bank_name)}
        if entry.case in of_payment:
            named |= _of_payment(of_payment[entry.case], both)
            named |= _split(facts, contract.currency, both(contract.supplier))
        named |= _of_facts(facts, contract.currency)
        told.setdefault(contract.id, []).append(Told(entry.at, event, named))
    for row in tx.rows(_TELLINGS, ids):
        named = _of_contract(contracts[row.contract_id], both)
        told[row.contract_id].append(Told(row.sent_at, f"telling.{row.kind}", named))
    for row in tx.rows(_ALERTS, ids):
        whom = {lang: _listed(row.whom, both, lang) for lang in words.LANGUAGES}
        told[row.contract_id].append(Told(row.at, "alert.diverted", {"whom": whom}))
    for row in contracts.values():
        told[row.id] += _provisional(tx, row)
    return told


def _uuid(value: object) -> UUID | None:
    return UUID(value) if isinstance(value, str) else None


def _listed(whom: Sequence[str], both: Any, lang: str) -> str:
    return ("、" if lang == "zh" else ", ").join(both(name)[lang] for name in whom)


def _of_contract(row: Row[Any], both: Any) -> dict[str, Any]:
    return {
        "number": row.number,
        "title": both(row.title),
        "purchaser": both(row.purchaser),
        "supplier": both(row.supplier),
        "price": show_money(row.amount_fen or 0, row.currency),
        "award_on": str(row.award_on),
        "signed_on": str(row.signed_on),
        "filed_on": str(row.filed_on),
        "announced_on": str(row.announced_on),
        "why": row.sentence,
    }


def _of_application(row: Row[Any], both: Any) -> dict[str, Any]:
    code = row.reason_code
    return {
        "bank": both(row.bank),
        "asked": show_money(row.amount_fen, row.currency),
        "amount": show_money(row.offered_fen or row.amount_fen, row.currency),
        "rate": _percent(row.rate_bp) if row.rate_bp else "",
        "days": str(row.offered_days or row.tenor_days),
        "packet": (row.identity or "")[:19],
        "code": code or "",
        "reason": words.both(f"reason.{code}") if code else "",
    }


def _of_payment(row: Row[Any], both: Any) -> dict[str, Any]:
    return {
        "amount": show_money(row.amount_fen, row.currency),
        "payer": both(row.payer),
        "on": str(row.value_on),
        "outcome": words.both(f"story.outcome.{row.outcome}"),
    }


def _split(facts: Mapping[str, Any], currency: str, supplier: Both) -> dict[str, Any]:
    """What of a payment repaid loans, and what is left for the supplier."""
    loans = facts.get("loans")
    if not loans:
        return {"split": {"zh": "", "en": ""}}
    repaid = sum(fen for parts in loans.values() for name, fen in parts.items() if name != "rest")
    named = {
        "repaid": show_money(repaid, currency),
        "rest": show_money(facts["amount_fen"] - repaid, currency),
    }
    return {
        "split": {
            lang: words.t("story.split", lang, supplier=supplier[lang], **named)
            for lang in words.LANGUAGES
        }
    }


def _of_facts(facts: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """What the entry itself holds comes before what its row says by now."""
    fen = facts.get("amount_fen", facts.get("principal_fen"))
    known = {"amount": show_money(fen, currency)} if isinstance(fen, int) else {}
    return known | ({"on": facts["on"]} if isinstance(facts.get("on"), str) else {})


def _percent(rate_bp: str) -> str:
    """Basis points as people read them: 345 → 3.45 %."""
    whole, _, part = rate_bp.partition(".")
    return f"{int(whole) // 100}.{int(whole) % 100:02d}{part} %"


def _provisional(tx: Tx, row: Row[Any]) -> list[Told]:
    """Terms of this contract that end in a year whose holidays nobody knows yet."""
    if row.signed_on is None:
        return []
    rest = holidays.known(tx)
    terms = [
        one
        for rule in ("FILE", "ANN")
        for one in obligations(rule, profile(row.profile), row.signed_on, rest)
        if one.due.provisional
    ]
    return [
        Told(
            start_of(row.signed_on),
            f"deadline.{one.rule.id}",
            {"due": str(one.due.on), "year": str(one.due.on.year), "source": one.rule.source},
        )
        for one in terms
    ]
