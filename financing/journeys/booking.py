"""One statement into the books: its staged lines as sets, each line once.

1. `book`       all lines of a statement or none, from the stage
2. `attach`     what is known already, by key, by the bank's reference, or from another format
3. `insert_new` the rest become entries; what another format may have booked stays out
4. `fill`       fuller details win, and a batch that is explained late is taken apart
5. `pay_in`     what came in becomes payments, each part of a batch its own

Only lines booked on a statement of kind `books` touch payments. An intraday report (camt.052,
MT942) announces: its lines wait as pending. A notification (camt.054) explains: its lines carry
details to the entry of the same reference, before or after that is booked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, insert, select, text

from financing.formats.statement import Kind, Statement, numbers, searched
from financing.journeys import announced, returns
from financing.store import sealing
from financing.store.db import Tx
from financing.store.move import create_many, move_many
from financing.store.parking import park
from financing.store.tables import entry, payment, statement
from financing.values.parked import Parked
from financing.values.text import name_key
from financing.values.times import civil

BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the lines of a file; read is the sum of the rest."""

    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    parked: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.read + other.read,
            self.new + other.new,
            self.changed + other.changed,
            self.unchanged + other.unchanged,
            self.parked + other.parked,
        )


# ── 1. A statement ───────────────────────────────────────────────────────────────────────────

# A report says `booked` of what its statement will book; here it stays an announcement.
AS_TOLD: Final[dict[Kind, str]] = {"intraday": "pending", "notice": "information"}
LOWER: Final = text("UPDATE stage SET status = :told WHERE status = 'booked' OR :told <> 'pending'")


def book(
    tx: Tx,
    file_id: UUID,
    statement_id: UUID,
    account: Row[Any],
    found: Statement,
    source: str,
) -> Counts:
    """Book the staged lines of one statement, each once, and pay in what is new."""
    is_books = found.kind == "books"
    given = {
        "account_id": account.id,
        "type": found.account.type if found.account else "",
        "number": found.number if is_books else None,
        "statement_id": statement_id,
        "closing_on": found.closing.on if found.closing else None,
        "opening_on": found.opening.on if found.opening else None,
        "created_on": civil(found.created_at) if found.created_at else None,
        "is_books": is_books,
        "family": found.family,
    }
    if not is_books:
        tx.db.execute(LOWER, {"told": AS_TOLD[found.kind]})
    tx.db.execute(text("ANALYZE stage"))
    attach(tx, given)
    doubtful = park(tx, _doubtful(tx, given, source)) if is_books else 0
    insert_new(tx, given)
    changed, explained = fill(tx)
    _keep_statement(tx, file_id, account, found, given)
    tx.db.execute(SOURCES, given)
    for batch in _fresh(tx):
        pay_in(tx, batch)
    _itemise(tx, explained)
    announced.close(tx)
    returns.undo(tx, account.id)
    returns.note_batches(tx)
    staged, new = tx.db.execute(
        text("SELECT count(*), count(*) FILTER (WHERE is_new) FROM stage")
    ).one()
    return Counts(
        read=staged + doubtful,
        new=new,
        changed=changed,
        unchanged=staged - new - changed,
        parked=doubtful,
    )


# ── 2. What is known already ─────────────────────────────────────────────────────────────────

KEYS: Final = text("""
    UPDATE stage SET
        booking_on = coalesce(booking_on, :closing_on, value_on, :created_on),
        value_on = coalesce(value_on, booking_on, :closing_on, :created_on),
        key = sha256(convert_to(jsonb_build_array(CAST(:account_id AS text), CAST(:type AS text),
            currency, coalesce(booking_on, :closing_on, value_on, :created_on), amount_fen,
            is_reversal, tail)::text, 'UTF8'))
""")

# A line attaches to an equal entry that this statement has not taken yet, unless every source of
# that entry is certainly another statement: two numbers of the bank's own that differ. Equal
# entries are taken in the order of their ordinals.
ATTACH: Final = text("""
    UPDATE stage s SET entry_id = pair.entry_id, is_new = false,
                       is_fresh = pair.status <> 'booked' AND s.status = 'booked'
      FROM (SELECT l.id, e.id AS entry_id, e.status
              FROM (SELECT id, key, row_number() OVER (PARTITION BY key ORDER BY position) AS n
                      FROM stage) l
              JOIN (SELECT e.id, e.key, e.status,
                           row_number() OVER (PARTITION BY e.key ORDER BY e.ordinal) AS n
                      FROM entry e
                     WHERE e.account_id = :account_id AND e.key IN (SELECT key FROM stage)
                       AND (CAST(:number AS text) IS NULL OR EXISTS (
                            SELECT 1 FROM entry_source o JOIN statement t ON t.id = o.statement_id
                             WHERE o.entry_id = e.id
                               AND (t.sequence IS NULL OR t.sequence = :number
                                    OR split_part(t.sequence, ':', 1)
                                       <> split_part(:number, ':', 1))))) e
                ON e.key = l.key AND e.n = l.n) pair
     WHERE s.id = pair.id
""")

# A report and its statement may name type of account and day differently, so that their keys
# differ: the bank's reference and the amount then say that they mean one booking. Never two lines
# that are both booked.
ANNOUNCED: Final = text("""
    UPDATE stage s SET entry_id = pair.entry_id, is_new = false,
                       is_renamed = CAST(:is_books AS bool),
                       is_fresh = pair.status <> 'booked' AND s.status = 'booked'
      FROM (SELECT l.id, e.id AS entry_id, e.status
              FROM (SELECT id, told, amount_fen, is_reversal,
                           row_number() OVER (PARTITION BY told, amount_fen, is_reversal
                                              ORDER BY position) AS n
                      FROM (SELECT id, position, amount_fen, is_reversal, coalesce(bank_ref,
                                   booking_on || ' ' || (details ->> 'entry_ref')) AS told
                              FROM stage WHERE entry_id IS NULL) unknown
                     WHERE told IS NOT NULL) l
              JOIN (SELECT id, status, told, amount_fen, is_reversal,
                           row_number() OVER (PARTITION BY told, amount_fen, is_reversal
                                              ORDER BY booking_on, ordinal, id) AS n
                      FROM (SELECT id, status, booking_on, ordinal, amount_fen, is_reversal,
                                   coalesce(bank_ref, booking_on || ' ' ||
                                            (details ->> 'entry_ref')) AS told
                              FROM entry
                             WHERE account_id = :account_id
                               AND (status <> 'booked' OR NOT CAST(:is_books AS bool))
                               AND id NOT IN (SELECT entry_id FROM stage
                                               WHERE entry_id IS NOT NULL)) known
                     WHERE told IN (SELECT coalesce(bank_ref, booking_on || ' ' ||
                                                    (details ->> 'entry_ref')) FROM stage)) e
                ON e.told = l.told AND e.amount_fen = l.amount_fen AND e.n = l.n
               AND e.is_reversal = l.is_reversal) pair
     WHERE s.id = pair.id
""")

# Another format of the same account writes other references, so keys differ. As many lines of a
# day and amount as it booked are taken for the same bookings.
SAME_DAY: Final = text("""
    UPDATE stage s SET entry_id = pair.entry_id, is_new = false, is_fresh = pair.status <> 'booked'
      FROM (SELECT l.id, e.id AS entry_id, e.status
              FROM (SELECT id, booking_on, amount_fen,
                           row_number() OVER (PARTITION BY booking_on, amount_fen
                                              ORDER BY position) AS n
                      FROM stage WHERE entry_id IS NULL AND status = 'booked') l
              JOIN (SELECT e.id, e.status, e.booking_on, e.amount_fen,
                           row_number() OVER (PARTITION BY e.booking_on, e.amount_fen
                                              ORDER BY e.ordinal, e.id) AS n
                      FROM entry e
                     WHERE e.account_id = :account_id AND e.status <> 'information'
                       AND coalesce(e.details ->> 'family', 'camt') <> :family
                       AND (e.booking_on, e.amount_fen) IN (
                            SELECT booking_on, amount_fen FROM stage WHERE entry_id IS NULL)
                       AND e.id NOT IN (SELECT entry_id FROM stage WHERE entry_id IS NOT NULL)
                       AND NOT EXISTS (
                            SELECT 1 FROM entry_source o JOIN statement t ON t.id = o.statement_id
                             WHERE o.entry_id = e.id
                               AND split_part(t.sequence, ':', 1) = split_part(:number, ':', 1)
                               AND t.sequence <> :number)) e
                ON e.booking_on = l.booking_on AND e.amount_fen = l.amount_fen AND e.n = l.n) pair
     WHERE s.id = pair.id
""")


def attach(tx: Tx, given: dict[str, Any]) -> None:
    """Say of each staged line which entry it is, where one is known."""
    tx.db.execute(KEYS, given)
    tx.db.execute(ATTACH, given)
    tx.db.execute(ANNOUNCED, given)
    if given["is_books"]:
        tx.db.execute(SAME_DAY, given)


# ── 3. What is new ───────────────────────────────────────────────────────────────────────────

SURPLUS: Final = text("""
    DELETE FROM stage s
     WHERE s.entry_id IS NULL AND s.status = 'booked' AND EXISTS (
           SELECT 1 FROM entry e
            WHERE e.account_id = :account_id AND e.booking_on = s.booking_on
              AND e.amount_fen = s.amount_fen AND e.status = 'booked'
              AND coalesce(e.details ->> 'family', 'camt') <> :family)
    RETURNING s.position, s.place, s.amount_fen, s.booking_on, s.raw
""")
NEW: Final = text("""
    UPDATE stage SET entry_id = id, is_new = true, is_fresh = (status = 'booked')
     WHERE entry_id IS NULL
""")
INSERT_ENTRIES: Final = text("""
    INSERT INTO entry (id, account_id, key, ordinal, amount_fen, currency, booking_on, value_on,
                       is_reversal, status, bank_ref, end_to_end, counterparty, counterparty_key,
                       remittance, search, details)
    SELECT s.id, :account_id, s.key,
           coalesce(top.ordinal, 0) + row_number() OVER (PARTITION BY s.key ORDER BY s.position),
           s.amount_fen, s.currency, s.booking_on, s.value_on, s.is_reversal, s.status, s.bank_ref,
           s.end_to_end, s.counterparty, s.counterparty_key, s.remittance, s.search,
           s.details || jsonb_build_object('family', CAST(:family AS text))
      FROM stage s
      LEFT JOIN (SELECT key, max(ordinal) AS ordinal FROM entry
                  WHERE account_id = :account_id AND key IN (SELECT key FROM stage)
                  GROUP BY key) top ON top.key = s.key
     WHERE s.is_new
""")
# What was announced takes the name under which it is booked, so that its statement finds it again.
RENAME: Final = text("""
    UPDATE entry e SET key = n.key, ordinal = n.ordinal, booking_on = n.booking_on,
                       value_on = n.value_on, bank_ref = coalesce(n.bank_ref, e.bank_ref),
                       details = e.details || jsonb_build_object('family', CAST(:family AS text))
      FROM (SELECT s.entry_id, s.key, s.booking_on, s.value_on, s.bank_ref,
                   coalesce(top.ordinal, 0)
                   + row_number() OVER (PARTITION BY s.key ORDER BY s.position) AS ordinal
              FROM stage s
              LEFT JOIN (SELECT key, max(ordinal) AS ordinal FROM entry
                          WHERE account_id = :account_id AND key IN (SELECT key FROM stage)
                          GROUP BY key) top ON top.key = s.key
             WHERE s.is_renamed) n
     WHERE e.id = n.entry_id
""")


def insert_new(tx: Tx, given: dict[str, Any]) -> None:
    """Let what no entry is known of become entries; equal ones get the next ordinals."""
    tx.db.execute(RENAME, given)
    tx.db.execute(NEW)
    tx.db.execute(INSERT_ENTRIES, given)


def _doubtful(tx: Tx, given: dict[str, Any], source: str) -> list[Parked]:
    """Lines of a day and amount of which another format booked some, but fewer."""
    return [
        Parked(
            "line",
            source,
            row.place,
            str(row.amount_fen),
            f"POSSIBLE-DUPLICATE: {row.place} has day and amount of what another format booked,"
            " which has fewer of them",
            "Import the other format up to this day; then it is known whether this is another.",
            sealing.unseal(tx.keys, "entry_source", "raw", given["statement_id"], row.raw),
        )
        for row in sorted(tx.rows(SURPLUS, given), key=lambda each: each.position)
    ]


# ── 4. Fuller details ────────────────────────────────────────────────────────────────────────

# A status only moves forward, and the fuller details win; both sendings stay as sources. Payments
# that are decided keep the parts from which they were made.
FULLER: Final = text("""
    UPDATE entry e SET
        status = CASE WHEN s.status = 'booked' THEN 'booked' ELSE e.status END,
        remittance = CASE WHEN length(s.remittance) > length(e.remittance)
                          THEN s.remittance ELSE e.remittance END,
        search = CASE WHEN length(s.search) > length(e.search) THEN s.search ELSE e.search END,
        end_to_end = coalesce(e.end_to_end, s.end_to_end),
        counterparty = coalesce(e.counterparty, s.counterparty),
        counterparty_key = coalesce(e.counterparty_key, s.counterparty_key),
        details = CASE WHEN s.is_fuller
                       THEN s.details || jsonb_build_object('family', e.details -> 'family')
                       ELSE e.details END
      FROM (SELECT s.*, o.id AS known_id,
                   (jsonb_array_length(s.details -> 'parts'), length(s.remittance))
                   > (jsonb_array_length(o.details -> 'parts'), length(o.remittance))
                   AND (NOT EXISTS (SELECT 1 FROM payment p WHERE p.entry_id = o.id)
                        OR (NOT EXISTS (SELECT 1 FROM payment p WHERE p.entry_id = o.id
                                           AND (p.part > 1
                                                OR p.state NOT IN ('unmatched', 'exception')))
                            AND NOT jsonb_path_exists(s.details,
                                '$.parts[*] ? (@.amount_fen < 0 || @.returned != null)')))
                   AS is_fuller
              FROM stage s JOIN entry o ON o.id = s.entry_id
             WHERE NOT s.is_new) s
     WHERE e.id = s.known_id
       AND (s.is_fresh OR s.is_fuller OR length(s.remittance) > length(e.remittance)
            OR (e.counterparty IS NULL AND s.counterparty IS NOT NULL))
    RETURNING e.id, s.is_fuller AND NOT s.is_fresh AS is_explained
""")


def fill(tx: Tx) -> tuple[int, list[UUID]]:
    """Give known entries what this statement knows better.

    Returns:
        How many entries changed, and those whose payments have other parts now.
    """
    rows = tx.rows(FULLER)
    return len(rows), [row.id for row in rows if row.is_explained]


def _itemise(tx: Tx, entry_ids: Sequence[UUID]) -> None:
    """Take payments apart whose details came later, while nobody has decided what they are."""
    for start in range(0, len(entry_ids), BATCH):
        known = {
            row.id: row
            for row in tx.rows(
                select(entry).where(entry.c.id.in_(entry_ids[start : start + BATCH]))
            )
        }
        waiting = tx.rows(
            select(payment)
            .where(
                payment.c.entry_id.in_(list(known)), payment.c.state.in_(("unmatched", "exception"))
            )
            .order_by(payment.c.id)
            .with_for_update()
        )
        whole, rest = [], []
        for row in waiting:
            first, *others = _payments(tx, known[row.entry_id])
            whole.append((row.id, first))
            rest += others
        kept = ("amount_fen", "payer", "payer_key", "search", "numbers", "outcome", "candidates")
        move_many(
            tx,
            "payment",
            "itemise",
            [row_id for row_id, _ in whole],
            values=[{name: part[name] for name in kept} for _, part in whole],
            facts=[{"amount_fen": part["amount_fen"]} for _, part in whole],
        )
        _create(tx, rest)


# ── 5. Payments ──────────────────────────────────────────────────────────────────────────────

# From the entry, not from the line: a notification may have told more of it before.
FRESH: Final = text("""
    SELECT e.id, e.account_id, e.amount_fen, e.currency, e.value_on, e.counterparty, e.details
      FROM stage s JOIN entry e ON e.id = s.entry_id
     WHERE s.is_fresh AND e.amount_fen > 0 AND NOT e.is_reversal
       AND NOT (e.details -> 'is_returned')::boolean
     ORDER BY s.position
""")


def _fresh(tx: Tx) -> Iterator[Sequence[Row[Any]]]:
    streamed = {"stream_results": True, "max_row_buffer": BATCH}
    yield from tx.db.execute(FRESH, execution_options=streamed).partitions(BATCH)


def pay_in(tx: Tx, rows: Iterable[Row[Any]]) -> None:
    """Let what came in become payments, each part of a batch its own."""
    _create(tx, [each for row in rows for each in _payments(tx, row)])


def _create(tx: Tx, payments: Sequence[dict[str, Any]]) -> None:
    facts = [
        {"entry": each["entry_id"], "part": each["part"], "amount_fen": each["amount_fen"]}
        for each in payments
    ]
    create_many(tx, "payment", "book", payments, facts=facts)


def _payments(tx: Tx, row: Row[Any]) -> list[dict[str, Any]]:
    return [
        {
            "entry_id": row.id,
            "part": n,
            "account_id": row.account_id,
            "amount_fen": part["amount_fen"],
            "currency": row.currency,
            "value_on": row.value_on,
            "payer": part["payer"],
            "payer_key": name_key(part["payer"]),
            "search": searched(part["lines"]),
            "numbers": list(numbers(part["lines"])),
            "outcome": "unmatched",
            "created_at": tx.now,
            "candidates": [],
        }
        for n, part in enumerate(_parts(row), start=1)
    ]


def _parts(row: Row[Any]) -> list[dict[str, Any]]:
    """The payments inside a booking: its details where they add up, else the booking itself.

    What a batch gives back stays out: it is no payment of a purchaser.
    """
    parts: list[dict[str, Any]] = row.details["parts"]
    if len(parts) > 1 and "DETAILS-DO-NOT-ADD" not in row.details["marks"]:
        return [part for part in parts if part["amount_fen"] > 0 and not part["returned"]]
    lines = [line for part in parts for line in part["lines"]]
    return [{"amount_fen": row.amount_fen, "payer": row.counterparty or "", "lines": lines}]


# ── The statement itself ─────────────────────────────────────────────────────────────────────

SOURCES: Final = text("""
    INSERT INTO entry_source (entry_id, statement_id, place, is_booked, raw)
    SELECT entry_id, :statement_id, place, status = 'booked', raw FROM stage
""")
STAGED_SUM: Final = text("""
    SELECT count(*) AS lines,
           CAST(coalesce(sum(amount_fen) FILTER (WHERE status = 'booked'), 0) AS bigint) AS fen
      FROM stage
""")
# What the account held before. A statement without closing balance has none of its own: its
# opening balance and lines say it, and the next opening balance proves or contradicts them.
PREVIOUS: Final = text("""
    SELECT coalesce(s.closing_fen, s.opening_fen + CAST(s.marks ->> 'parked_fen' AS bigint) + (
               SELECT coalesce(sum(e.amount_fen), 0) FROM entry_source x
                 JOIN entry e ON e.id = x.entry_id
                WHERE x.statement_id = s.id AND x.is_booked)) AS closing_fen
      FROM statement s
     WHERE s.account_id = :account_id AND s.account_type = :type AND s.id <> :statement_id
       AND coalesce(s.closing_on, s.opening_on) <= :opening_on
       AND coalesce(s.closing_fen, s.opening_fen) IS NOT NULL
     ORDER BY coalesce(s.closing_on, s.opening_on) DESC, s.at DESC LIMIT 1
""")


def _keep_statement(
    tx: Tx, file_id: UUID, account: Row[Any], found: Statement, given: dict[str, Any]
) -> None:
    marks = list(found.marks)
    staged = tx.db.execute(STAGED_SUM).one()
    before = tx.one(PREVIOUS, given) if found.opening and found.opening.on else None
    if before is not None and found.opening and before.closing_fen != found.opening.fen:
        marks.append("CHAIN-GAP")
    tx.db.execute(
        insert(statement).values(
            id=given["statement_id"],
            file_id=file_id,
            account_id=account.id,
            format=found.format,
            message_id=found.message_id or found.statement_id,
            account_type=given["type"],
            sequence=given["number"],
            opening_fen=found.opening.fen if found.opening else None,
            closing_fen=found.closing.fen if found.closing else None,
            opening_on=given["opening_on"],
            closing_on=given["closing_on"],
            currency=account.currency,
            lines=found.lines,
            holds=found.holds,
            marks={
                "place": found.place,
                "kind": found.kind,
                "marks": marks,
                # What was parked of it, so that lines and balance can be recomputed for ever.
                "parked_lines": found.lines - staged.lines,
                "parked_fen": found.sum_fen - staged.fen if given["is_books"] else 0,
            },
            at=tx.now,
        )
    )
