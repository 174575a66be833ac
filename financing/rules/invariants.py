"""What must always hold, as one table: each row's query returns the rows that offend.

The first column of a query names the offending row, the second says what is wrong. Words of each
row are `invariant.<id>` and `invariant.<id>.remedy`.
"""

# ruff: noqa: S608 - the queries are put together from constants of this file alone

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from financing.rules import seals
from financing.rules.jobs import BY_KIND
from financing.rules.lifecycles import BORN, LIFECYCLES, SAME


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
_STEPS: Final = ", ".join(
    f"('{kind}', '{step.event}', '{before}', '{before if step.after == SAME else step.after}')"
    for kind, steps in LIFECYCLES.items()
    for step in steps
    for before in step.before
)
# The key of the work that each step owes, with places for the columns of its row.
_OWED: Final = ", ".join(
    f"('{kind}', '{step.event}', '{before}', '{BY_KIND[job].key}')"
    for kind, steps in LIFECYCLES.items()
    for step in steps
    for before in step.before
    for job in (*step.jobs, *(("notify",) if step.notices else ()))
)
_SEALED: Final = " UNION ALL ".join(
    f"SELECT '{kind}' AS kind, id, {seals.digest(kind)} AS digest FROM {kind} x"
    for kind in seals.SEALED
)
# Entries of version 1 were written under another table of steps, and owed other work.
_OF_TODAYS_STEPS: Final = """CASE WHEN a.commitment = sha256(a.salt || a.body)
    THEN CAST(convert_from(a.body, 'UTF8') AS jsonb) ->> 'v' END IS DISTINCT FROM '1'"""
_LIVE_CLAIM: Final = "('accepted', 'contracted', 'locked', 'drawn')"
_NO_STATE: Final = f"'{BORN}'"
# A day on which an account version was the designated one.
_IN_FORCE: Final = "v.from_on <= p.value_on AND (v.to_on IS NULL OR p.value_on < v.to_on)"
# A batch that adds up is as many payments as it holds; anything else is one.
_PAID_IN: Final = """
    CASE WHEN jsonb_array_length(e.details -> 'parts') > 1
              AND NOT e.details -> 'marks' ? 'DETAILS-DO-NOT-ADD'
         THEN (SELECT coalesce(sum(CAST(part ->> 'amount_fen' AS bigint)), 0)
                 FROM jsonb_array_elements(e.details -> 'parts') part
                WHERE CAST(part ->> 'amount_fen' AS bigint) > 0
                  AND part ->> 'returned' IS NULL)
         ELSE e.amount_fen END
"""

INVARIANTS: Final = (
    Invariant("I1", "broken", """
        SELECT event_id, event || ' ' || currency || ': ' || sum(debit_fen) || ' <> '
               || sum(credit_fen)
          FROM ledger GROUP BY event_id, event, currency
        HAVING sum(debit_fen) <> sum(credit_fen)
    """),
    Invariant("I2", "broken", """
        SELECT c.id, 'ledger: cash ' || coalesce(l.cash, 0) || ', diverted '
               || coalesce(l.diverted, 0) || '; payments: ' || coalesce(p.cash, 0) || ', '
               || coalesce(p.diverted, 0)
          FROM contract c
          LEFT JOIN (SELECT subject_id,
                            sum(debit_fen - credit_fen) FILTER (WHERE account = 'CASH') AS cash,
                            sum(debit_fen - credit_fen) FILTER (WHERE account = 'DIVERTED')
                                AS diverted
                       FROM ledger WHERE book = 'contract' GROUP BY subject_id) l
            ON l.subject_id = c.id
          LEFT JOIN (SELECT contract_id,
                            sum(amount_fen) FILTER (WHERE state = 'allocated') AS cash,
                            sum(amount_fen) FILTER (WHERE state = 'diverted') AS diverted
                       FROM payment GROUP BY contract_id) p ON p.contract_id = c.id
         WHERE coalesce(l.cash, 0) <> coalesce(p.cash, 0)
            OR coalesce(l.diverted, 0) <> coalesce(p.diverted, 0)
         UNION ALL
        SELECT c.id, 'open ' || c.open_fen || ' is more than price less cash and diversions '
               || c.amount_fen - coalesce(l.gone, 0)
          FROM contract c
          LEFT JOIN (SELECT subject_id, sum(debit_fen - credit_fen) AS gone FROM ledger
                 WHERE book = 'contract' AND account IN ('CASH', 'DIVERTED')
                 GROUP BY subject_id) l ON l.subject_id = c.id
         WHERE c.open_fen > greatest(0, c.amount_fen - coalesce(l.gone, 0))
           AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.kind = 'verify' AND o.subject_id = c.id
                              AND o.done IS NULL)  -- it will be reckoned anew
    """),
    Invariant("I3", "broken", """
        SELECT c.id, 'held ' || c.held_fen || ' <> claims ' || coalesce(k.fen, 0)
          FROM contract c
          LEFT JOIN (SELECT contract_id, sum(held_fen) AS fen FROM claim
                      WHERE state = 'held' GROUP BY contract_id) k ON k.contract_id = c.id
         WHERE c.held_fen <> coalesce(k.fen, 0)
         UNION ALL
        SELECT c.id, 'held ' || c.held_fen || ' > open ' || c.open_fen
               || ', and nothing was booked since'
          FROM contract c
         WHERE c.held_fen > c.open_fen
           AND NOT EXISTS (SELECT 1 FROM ledger l WHERE l.book = 'contract'
                              AND l.subject_id = c.id)
           AND NOT EXISTS (SELECT 1 FROM audit a WHERE a."case" = c.id
                              AND a.event IN ('amend', 'terminate'))
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
         UNION ALL
        SELECT a."case", 'entry ' || a.n || ': no life cycle has ' || a.event || ' from '
               || coalesce(a.from_state, 'birth') || ' to ' || a.to_state
          FROM audit a
          LEFT JOIN (VALUES {_STEPS}) step(kind, event, before, after)
            ON step.kind = a.kind AND step.event = a.event
           AND step.before = coalesce(a.from_state, {_NO_STATE}) AND step.after = a.to_state
         WHERE step.kind IS NULL
         UNION ALL
        SELECT s.id, s.kind || ' says other than its chain has sealed'
          FROM ({_SEALED}) s
          JOIN (SELECT DISTINCT ON ("case") "case", body FROM audit
                 WHERE commitment = sha256(salt || body) ORDER BY "case", n DESC) e
            ON e."case" = s.id
         WHERE CAST(convert_from(e.body, 'UTF8') AS jsonb) ->> 'row' <> s.digest
         UNION ALL
        SELECT id, 'the record was changed after it was received' FROM release
         WHERE digest <> 'sha-256:' || encode(sha256(raw), 'hex')
    """),
    Invariant("I7", "broken", """
        SELECT "case", 'entry ' || n || ': ' || fault FROM (
            SELECT a."case", a.n, CASE
                WHEN commitment <> sha256(salt || body) THEN 'its body was changed'
                WHEN a.n <> row_number() OVER w THEN 'an entry is missing before it'
                WHEN said.prev IS DISTINCT FROM encode(lag(commitment) OVER w, 'hex')
                    THEN 'it does not follow the entry before it'
                WHEN (said."case", said.n, said.kind, said.event, said."to", said."at")
                     <> (a."case", a.n, a.kind, a.event, a.to_state, a."at")
                     OR said."from" IS DISTINCT FROM from_state
                    OR coalesce(CAST(login_id AS text), said.actor) <> said.actor
                    OR (login_id IS NULL AND said.actor ~ '^[0-9a-f]{8}-')
                    THEN 'its columns say other than its body'
                END AS fault
              FROM audit a
             CROSS JOIN LATERAL jsonb_to_record(  -- a body that was changed may be no JSON
                   CASE WHEN commitment = sha256(salt || body)
                        THEN CAST(convert_from(body, 'UTF8') AS jsonb) ELSE '{}' END) AS said(
                   kind text, "case" uuid, n int, actor text, event text, "from" text, "to" text,
                   "at" timestamptz, prev text)
            WINDOW w AS (PARTITION BY a."case" ORDER BY a.n)) chain
         WHERE fault IS NOT NULL
    """),
    Invariant("I9", "lost", f"""
        SELECT a.id, 'is ' || a.state || ' and nobody works on it' FROM application a
         WHERE a.state IN ('sending', 'asking')
           AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.subject_id = a.id
                              AND o.kind IN ('submit', 'ask') AND o.done IS NULL)
         UNION ALL
        SELECT owed."case", owed.event || ' owes work that is nowhere: ' || owed.key
          FROM (SELECT a."case", a.event, replace(replace(replace(replace(work.key,
                         '{{kind}}', a.kind), '{{id}}', CAST(a."case" AS text)),
                         '{{version}}', CAST(a.n AS text)),
                         '{{request_id}}', coalesce(CAST(p.request_id AS text), '')) AS key
                  FROM audit a
                  JOIN (VALUES {_OWED}) work(kind, event, before, key)
                    ON work.kind = a.kind AND work.event = a.event
                   AND work.before = coalesce(a.from_state, {_NO_STATE})
                  LEFT JOIN application p ON p.id = a."case"
                 WHERE {_OF_TODAYS_STEPS}) owed
          LEFT JOIN outbox o ON o.key = owed.key
         WHERE o.id IS NULL
    """),
    Invariant("I10", "lost", """
        SELECT o.subject_id, o.kind || ' ' || o.key || ' has been due since ' || o.due
          FROM outbox o
         WHERE o.done IS NULL AND o.parked IS NULL AND o.due < now() - interval '10 minutes'
           AND EXISTS (SELECT 1 FROM beat WHERE at > now() - interval '10 seconds')
           AND NOT EXISTS (SELECT 1 FROM bank b WHERE b.code = o.bank AND b.stopped_at IS NOT NULL)
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
    Invariant("I12", "broken", """
        SELECT s.id, 'the bank sent ' || s.lines || ' lines; booked ' || count(x.entry_id)
               || ', parked ' || (s.marks ->> 'parked_lines')
          FROM statement s LEFT JOIN entry_source x ON x.statement_id = s.id
         GROUP BY s.id
        HAVING s.lines <> count(x.entry_id) + CAST(s.marks ->> 'parked_lines' AS int)
    """),
    Invariant("I13", "broken", """
        SELECT s.id, 'opening ' || s.opening_fen || ' + lines ' || coalesce(e.fen, 0)
               || ' + parked ' || (s.marks ->> 'parked_fen') || ' <> closing ' || s.closing_fen
          FROM statement s
          LEFT JOIN (SELECT x.statement_id, sum(n.amount_fen) AS fen FROM entry_source x
                       JOIN entry n ON n.id = x.entry_id
                      WHERE x.is_booked GROUP BY x.statement_id) e ON e.statement_id = s.id
         WHERE s.holds
           AND s.opening_fen + coalesce(e.fen, 0) + CAST(s.marks ->> 'parked_fen' AS bigint)
               <> s.closing_fen
    """),
    Invariant("I14", "broken", f"""
        SELECT e.id, 'no statement holds this line' FROM entry e
         WHERE NOT EXISTS (SELECT 1 FROM entry_source x WHERE x.entry_id = e.id)
         UNION ALL
        SELECT e.id, 'line ' || e.amount_fen || ' <> payments ' || coalesce(p.fen, 0)
          FROM entry e
          LEFT JOIN (SELECT entry_id, sum(amount_fen) AS fen FROM payment GROUP BY entry_id) p
            ON p.entry_id = e.id
         WHERE e.status = 'booked' AND e.amount_fen > 0 AND NOT e.is_reversal
           AND NOT CAST(e.details -> 'is_returned' AS boolean)
           AND coalesce(p.fen, 0) <> {_PAID_IN}
         UNION ALL
        SELECT p.id, 'a payment of a line that is none' FROM payment p
          JOIN entry e ON e.id = p.entry_id
         WHERE e.status <> 'booked' OR e.amount_fen <= 0 OR e.is_reversal
         UNION ALL
        SELECT r.id, 'undoes ' || count(DISTINCT p.entry_id) || ' lines of ' || max(o.amount_fen)
          FROM payment p JOIN entry r ON r.id = p.reversed_by JOIN entry o ON o.id = p.entry_id
         GROUP BY r.id
        HAVING count(DISTINCT p.entry_id) <> 1 OR max(o.amount_fen) <> -r.amount_fen
            OR bool_or(o.account_id <> r.account_id)
         UNION ALL
        SELECT p.id, 'reversed by no line' FROM payment p
         WHERE (p.state = 'reversed') <> (p.reversed_by IS NOT NULL)
    """),
    Invariant("I15", "broken", """
        SELECT p.id, p.state || ' payment ' || p.amount_fen || ' <> booked ' || coalesce(l.fen, 0)
          FROM payment p
          LEFT JOIN (SELECT payment_id, sum(debit_fen - credit_fen) AS fen FROM ledger
                      WHERE book = 'contract' AND account IN ('CASH', 'DIVERTED')
                      GROUP BY payment_id) l ON l.payment_id = p.id
         WHERE coalesce(l.fen, 0) <> CASE WHEN p.state IN ('allocated', 'diverted', 'resolved')
                                          THEN p.amount_fen ELSE 0 END
         UNION ALL
        SELECT subject_id, book || ' book: ' || account || ' is ' || sum(debit_fen - credit_fen)
          FROM ledger
         WHERE (book = 'loan' AND account IN ('CLEARING', 'REMAINDER', 'FEES_DUE', 'PENALTY_DUE',
                                              'INTEREST_DUE', 'PRINCIPAL'))
            OR (book = 'contract' AND account IN ('RECEIVABLE', 'RETENTION', 'ADVANCE',
                                                  'OVERPAID'))
         GROUP BY book, subject_id, account
        HAVING CASE WHEN account IN ('CLEARING', 'REMAINDER') THEN sum(debit_fen - credit_fen) <> 0
                    WHEN account IN ('ADVANCE', 'OVERPAID') THEN sum(debit_fen - credit_fen) > 0
                    ELSE sum(debit_fen - credit_fen) < 0 END
         UNION ALL
        SELECT p.id, 'payment ' || p.amount_fen || ' < collected by loans ' || sum(l.debit_fen)
          FROM payment p JOIN ledger l ON l.payment_id = p.id
         WHERE l.book = 'loan' AND l.event = 'collected' AND l.account = 'COLLECTED'
         GROUP BY p.id, p.amount_fen HAVING sum(l.debit_fen) > p.amount_fen
    """),
    Invariant("I16", "broken", f"""
        SELECT p.id, 'not in the account designated on its day' FROM payment p
          LEFT JOIN account_version v ON v.id = p.account_version_id
         WHERE p.state IN ('matched', 'allocated')
           AND (v.id IS NULL OR v.account_id <> p.account_id OR v.contract_id <> p.contract_id
                OR NOT ({_IN_FORCE}))
         UNION ALL
        SELECT p.id, 'called diverted and in the designated account' FROM payment p
          JOIN account_version v ON v.contract_id = p.contract_id AND v.account_id = p.account_id
         WHERE p.state = 'diverted' AND v.state IN ('active', 'locked') AND {_IN_FORCE}
         UNION ALL
        SELECT p.id, 'nobody was told of the diversion within a minute' FROM payment p
          JOIN audit a ON a."case" = p.id AND a.event = 'divert'
         WHERE NOT EXISTS (SELECT 1 FROM notice n WHERE n.kind = 'DIVERTED' AND n.subject_id = p.id
                              AND n."at" <= a."at" + interval '1 minute')
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
        SELECT a.id, 'sent without consent for this bank, contract, and firm' FROM application a
          JOIN audit s ON s."case" = a.id AND s.event = 'submit'
          LEFT JOIN consent c ON c.id = a.consent_id
         WHERE c.id IS NULL OR c.bank_id <> a.bank_id OR c.contract_id <> a.contract_id
            OR c.supplier_id <> a.supplier_id OR c.given_at > s."at"
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
           AND NOT EXISTS (SELECT 1 FROM audit a WHERE a."case" = l.id AND a.event = 'unpay')
         UNION ALL
        SELECT d."case", 'paid out before its account was locked' FROM audit d
         WHERE d.kind = 'application' AND d.event = 'draw'
           AND NOT EXISTS (SELECT 1 FROM audit k WHERE k."case" = d."case" AND k.event = 'lock'
                              AND k.n < d.n)
    """),
    Invariant("I20", "broken", """
        SELECT (array_agg(a.id))[1], 'the bank reference ' || a.bank_reference || ' of '
               || count(*) || ' applications'
          FROM application a WHERE a.bank_reference IS NOT NULL
         GROUP BY a.bank_id, a.bank_reference HAVING count(*) > 1
         UNION ALL
        SELECT (array_agg(l.id))[1], count(*) || ' loans under one accepted offer'
          FROM loan l WHERE l.state <> 'cancelled' GROUP BY l.offer_id HAVING count(*) > 1
         UNION ALL
        SELECT l.id, 'a loan under an offer that is ' || o.state FROM loan l
          JOIN offer o ON o.id = l.offer_id
         WHERE o.state <> 'accepted' OR o.application_id <> l.application_id
    """),
    Invariant("TOLD", "lost", """
        SELECT c.id, 'its winner was not told' FROM contract c
         WHERE NOT EXISTS (SELECT 1 FROM telling t WHERE t.contract_id = c.id)
           AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.kind = 'tell' AND o.subject_id = c.id
                              AND o.done IS NULL)
    """),
)  # fmt: skip
