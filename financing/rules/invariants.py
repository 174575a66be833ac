"""What must always hold, as one table: each row's query returns the rows that offend.

The first column of a query names the offending row, the second says what is wrong. Words of each
row are `invariant.<id>` and `invariant.<id>.remedy`.
"""

# ruff: noqa: S608 - the queries are put together from constants of this file alone

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from financing.rules.lifecycles import LIFECYCLES


@dataclass(frozen=True, slots=True)
class Invariant:
    """One row.

    Args:
        severity: `broken` where money or evidence is wrong, `lost` where work is missing.
    """

    id: str
    severity: Literal["broken", "lost"]
    sql: str


_STATES: Final = " UNION ALL ".join(
    f"SELECT '{kind}' AS kind, id, state, version FROM {kind}" for kind in LIFECYCLES
)
_PREV: Final = "convert_from(body, 'UTF8')::jsonb ->> 'prev'"
_LIVE_CLAIM: Final = "('accepted', 'contracted', 'locked', 'drawn')"

INVARIANTS: Final = (
    Invariant("I1", "broken", """
        SELECT event_id, event || ' ' || currency || ': ' || sum(debit_fen) || ' <> '
               || sum(credit_fen)
          FROM ledger GROUP BY event_id, event, currency
        HAVING sum(debit_fen) <> sum(credit_fen)
    """),
    Invariant("I2", "broken", """
        SELECT c.id, 'cash ' || coalesce(l.fen, 0) || ' <> payments ' || coalesce(p.fen, 0)
          FROM contract c
          LEFT JOIN (SELECT subject_id, sum(debit_fen - credit_fen) AS fen FROM ledger
                      WHERE book = 'contract' AND account = 'CASH' GROUP BY subject_id) l
            ON l.subject_id = c.id
          LEFT JOIN (SELECT contract_id, sum(amount_fen) AS fen FROM payment
                      WHERE state = 'allocated' GROUP BY contract_id) p ON p.contract_id = c.id
         WHERE coalesce(l.fen, 0) <> coalesce(p.fen, 0)
    """),
    Invariant("I3", "broken", """
        SELECT c.id, 'held ' || c.held_fen || ' <> claims ' || coalesce(k.fen, 0)
          FROM contract c
          LEFT JOIN (SELECT contract_id, sum(held_fen) AS fen FROM claim
                      WHERE state = 'held' GROUP BY contract_id) k ON k.contract_id = c.id
         WHERE c.held_fen <> coalesce(k.fen, 0)
    """),
    Invariant("I4", "broken", f"""
        SELECT k.id, 'application is ' || a.state FROM claim k
          JOIN application a ON a.id = k.application_id
         WHERE k.state = 'held' AND a.state NOT IN {_LIVE_CLAIM}
         UNION ALL
        SELECT a.id, 'no claim is held' FROM application a
         WHERE a.state IN {_LIVE_CLAIM}
           AND NOT EXISTS (SELECT 1 FROM claim k WHERE k.application_id = a.id
                              AND k.state IN ('held', 'discharged'))
    """),
    Invariant("I5", "broken", """
        SELECT l.id, 'drawn ' || l.drawn_fen || ', payouts ' || coalesce(d.fen, 0) || ', ledger '
               || coalesce(b.fen, 0) || ', offer ' || o.amount_fen
          FROM loan l JOIN offer o ON o.id = l.offer_id
          LEFT JOIN (SELECT loan_id, sum(amount_fen) AS fen FROM drawdown GROUP BY loan_id) d
            ON d.loan_id = l.id
          LEFT JOIN (SELECT subject_id, sum(debit_fen) AS fen FROM ledger
                      WHERE book = 'loan' AND event = 'drawdown' AND account = 'PRINCIPAL'
                      GROUP BY subject_id) b ON b.subject_id = l.id
         WHERE l.drawn_fen <> coalesce(d.fen, 0) OR l.drawn_fen <> coalesce(b.fen, 0)
            OR l.drawn_fen > l.principal_fen OR l.principal_fen > o.amount_fen
    """),
    Invariant("I6", "broken", f"""
        SELECT s.id, s.kind || ' is ' || s.state || ' v' || s.version || ', its chain says '
               || coalesce(e.to_state, 'nothing') || ' v' || coalesce(e.n, 0)
          FROM ({_STATES}) s
          LEFT JOIN (SELECT DISTINCT ON ("case") "case", n, to_state FROM audit
                      ORDER BY "case", n DESC) e ON e."case" = s.id
         WHERE e.to_state IS DISTINCT FROM s.state OR e.n IS DISTINCT FROM s.version
         UNION ALL
        SELECT "case", 'entry ' || n || ' begins in ' || coalesce(from_state, 'birth')
               || ', the one before ended in ' || coalesce(before, 'nothing')
          FROM (SELECT "case", n, from_state,
                       lag(to_state) OVER (PARTITION BY "case" ORDER BY n) AS before
                  FROM audit) steps
         WHERE from_state IS DISTINCT FROM before
    """),
    Invariant("I7", "broken", f"""
        SELECT "case", 'entry ' || n || ': ' || fault FROM (
            SELECT "case", n, CASE
                WHEN commitment <> sha256(salt || body) THEN 'its body was changed'
                WHEN n <> row_number() OVER w THEN 'an entry is missing before it'
                WHEN {_PREV} IS DISTINCT FROM encode(lag(commitment) OVER w, 'hex')
                    THEN 'it does not follow the entry before it'
                END AS fault
              FROM audit WINDOW w AS (PARTITION BY "case" ORDER BY n)) chain
         WHERE fault IS NOT NULL
    """),
    Invariant("I9", "lost", """
        SELECT a.id, 'is ' || a.state || ' and nobody works on it' FROM application a
         WHERE a.state IN ('sending', 'asking')
           AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.subject_id = a.id
                              AND o.kind IN ('submit', 'ask') AND o.done IS NULL)
    """),
    Invariant("I11", "lost", """
        SELECT i.id, CASE WHEN i.digest <> encode(sha256(i.raw), 'hex')
                          THEN 'its bytes were changed' ELSE 'nobody has read it' END
          FROM inbox i
         WHERE i.digest <> encode(sha256(i.raw), 'hex')
            OR (i.outcome IS NULL AND NOT EXISTS (
                SELECT 1 FROM outbox o WHERE o.kind = 'answer' AND o.subject_id = i.id
                   AND o.done IS NULL))
    """),
    Invariant("I13", "broken", """
        SELECT s.id, 'opening ' || s.opening_fen || ' + lines ' || coalesce(e.fen, 0)
               || ' <> closing ' || s.closing_fen
          FROM statement s
          LEFT JOIN (SELECT x.statement_id, sum(n.amount_fen) AS fen FROM entry_source x
                       JOIN entry n ON n.id = x.entry_id GROUP BY x.statement_id) e
            ON e.statement_id = s.id
         WHERE s.holds AND s.opening_fen + coalesce(e.fen, 0) <> s.closing_fen
           AND s.lines = (SELECT count(*) FROM entry_source x WHERE x.statement_id = s.id)
    """),
    Invariant("I14", "broken", """
        SELECT e.id, 'entry ' || e.amount_fen || ' <> payments ' || coalesce(sum(p.amount_fen), 0)
          FROM entry e JOIN payment p ON p.entry_id = e.id
         GROUP BY e.id, e.amount_fen HAVING sum(p.amount_fen) <> e.amount_fen
    """),
    Invariant("I15", "broken", """
        SELECT p.id, 'payment ' || p.amount_fen || ' <> booked ' || coalesce(l.fen, 0)
          FROM payment p
          LEFT JOIN (SELECT payment_id, sum(debit_fen - credit_fen) AS fen FROM ledger
                      WHERE book = 'contract' AND account = 'CASH' GROUP BY payment_id) l
            ON l.payment_id = p.id
         WHERE p.state = 'allocated' AND coalesce(l.fen, 0) <> p.amount_fen
         UNION ALL
        SELECT subject_id, 'clearing is ' || sum(debit_fen - credit_fen) FROM ledger
         WHERE book = 'loan' AND account = 'CLEARING'
         GROUP BY subject_id HAVING sum(debit_fen - credit_fen) <> 0
    """),
    Invariant("I16", "broken", """
        SELECT p.id, 'allocated from another account than the designated one' FROM payment p
          JOIN account_version v ON v.id = p.account_version_id
         WHERE p.state IN ('matched', 'allocated') AND v.account_id <> p.account_id
         UNION ALL
        SELECT p.id, 'nobody was told of the diversion' FROM payment p
         WHERE p.state = 'diverted'
           AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.kind = 'DIVERTED' AND n.subject_id = p.id)
           AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.kind = 'notify' AND o.subject_id = p.id
                              AND o.done IS NULL)
    """),
    Invariant("I17", "broken", """
        SELECT id, 'its manifest was changed' FROM packet
         WHERE identity <> 'sha-256:' || encode(sha256(manifest), 'hex')
         UNION ALL
        SELECT p.packet_id, 'part ' || p.name || ' was changed' FROM packet_part p
          JOIN blob b ON b.digest = p.digest
         WHERE b.digest <> 'sha-256:' || encode(sha256(b.bytes), 'hex')
         UNION ALL
        SELECT a.id, 'its packet is of another contract version' FROM application a
          JOIN packet k ON k.id = a.packet_id
         WHERE k.contract_version_id <> a.contract_version_id OR k.application_id <> a.id
    """),
    Invariant("I18", "broken", """
        SELECT a.id, 'no consent for this bank, contract, and firm' FROM application a
          LEFT JOIN consent c ON c.id = a.consent_id
         WHERE a.state <> 'draft' AND (c.id IS NULL OR c.bank_id <> a.bank_id
            OR c.contract_id <> a.contract_id OR c.supplier_id <> a.supplier_id
            OR c.given_at > a.changed_at)
    """),
    Invariant("I19", "broken", """
        SELECT v.id, 'in force without both consents' FROM account_version v
         WHERE v.state IN ('active', 'locked') AND (
               SELECT count(DISTINCT role) FROM account_consent c
                WHERE c.account_version_id = v.id AND c.digest = v.digest
                  AND c.role IN ('supplier', 'purchaser')) < 2
         UNION ALL
        SELECT l.id, 'money is out and no account is locked for it' FROM loan l
         WHERE l.state IN ('active', 'repaying', 'overdue')
           AND NOT EXISTS (SELECT 1 FROM account_version v WHERE v.contract_id = l.contract_id
                              AND v.state = 'locked' AND v.locked_by = l.application_id)
    """),
    Invariant("TOLD", "lost", """
        SELECT c.id, 'its winner was not told' FROM contract c
         WHERE NOT EXISTS (SELECT 1 FROM telling t WHERE t.contract_id = c.id)
           AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.kind = 'tell' AND o.subject_id = c.id
                              AND o.done IS NULL)
    """),
)  # fmt: skip
