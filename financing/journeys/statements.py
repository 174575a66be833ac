"""Bank statements in: each line booked once, however often and in whatever pieces it comes.

1. `import_statement` one file: its digest first, then each of its statements on its own
2. `book`             one statement: all lines or none, as sets; what came in becomes payments
3. `replay`           a parked statement or return again, with what is known today

Lines are staged while the file is read and booked only when the end of their statement was seen
and its balance holds. What cannot be booked is parked with its reason; other statements go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, BinaryIO, Final
from uuid import UUID

from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from financing.formats import camt
from financing.formats.statement import (
    Entry,
    Statement,
    numbers,
    searched,
)
from financing.journeys import returns, staging
from financing.store import sealing
from financing.store.db import Tx
from financing.store.move import create_many
from financing.store.parking import park
from financing.store.tables import bank_account, blob, entry, import_file, parked, statement
from financing.values import accounts
from financing.values.ids import new_id
from financing.values.parked import Parked
from financing.values.text import name_key

BATCH: Final = 1000
MOST_KEPT: Final = 32 << 20  # bytes of a file kept with what is parked of it


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


# ── 1. A file ────────────────────────────────────────────────────────────────────────────────


def import_statement(tx: Tx, stream: BinaryIO, source: str) -> Counts:
    """Book what a file of statements holds; the same file again changes nothing.

    Args:
        stream: seekable; it is read twice, for its digest and for its lines.
        source: the file's name.
    Raises:
        Unreadable: the file holds no statement of a kind that is booked.
    """
    return _import(tx, stream, source).counts


def _import(tx: Tx, stream: BinaryIO, source: str) -> _Reading:
    file = _file(tx, stream, source)
    reading = _Reading(tx, file.id, source)
    if file.counts.get("read") is not None and not file.counts["parked"]:
        reading.counts = Counts(read=file.counts["read"], unchanged=file.counts["read"])
        return reading
    tx.db.execute(staging.STAGE)
    stream.seek(0)
    for event in camt.read(stream, source):
        reading.take(event)
    _park_whole(reading, stream, file.digest)
    # What is parked today may be mended tomorrow: such a file is read again when it comes again.
    kept = {"read": reading.counts.read, "parked": reading.held_back}
    tx.db.execute(update(import_file).where(import_file.c.id == file.id).values(counts=kept))
    return reading


def _file(tx: Tx, stream: BinaryIO, source: str) -> Row[Any]:
    stream.seek(0)
    running = hashlib.sha256()
    while chunk := stream.read(1 << 20):
        running.update(chunk)
    digest = f"sha-256:{running.hexdigest()}"
    tx.db.execute(
        upsert(import_file)
        .values(id=new_id(), digest=digest, path=source, kind="statement", at=tx.now)
        .on_conflict_do_nothing(index_elements=["digest"])
    )
    return tx.db.execute(
        select(import_file).where(import_file.c.digest == digest).with_for_update()
    ).one()


@dataclass(slots=True)
class _Reading:
    """A file on its way into the books."""

    tx: Tx
    file_id: UUID
    source: str
    counts: Counts = Counts()
    held_back: int = 0  # lines that are parked, whether this run parked them or an earlier one
    statement_id: UUID = field(default_factory=new_id)
    staged: list[tuple[Any, ...]] = field(default_factory=list)
    faulty: list[Parked] = field(default_factory=list)  # lines of the statement under way
    whole: list[tuple[Parked, int]] = field(default_factory=list)  # statements, with their lines

    def take(self, event: camt.Event) -> None:
        if isinstance(event, Entry):
            if event.booking_on is not None and event.booking_on > self.tx.today:
                self.faulty.append(_in_future(event, self.source))
                return
            self.staged.append(staging.staged(self.tx, self.statement_id, event))
            if len(self.staged) >= BATCH:
                self._flush()
        elif isinstance(event, Parked):
            if event.kind == "line":
                self.faulty.append(event)
            else:
                self.whole.append((event, 0))
        else:
            self._flush()
            self._end(event)
            self.tx.db.execute(text("TRUNCATE stage"))
            self.statement_id, self.faulty = new_id(), []

    def _flush(self) -> None:
        staging.copy(self.tx, self.staged)
        self.staged = []

    def _end(self, found: Statement) -> None:
        fault = _whole_fault(self.tx, found)
        if fault is not None:
            reason, value, remedy = fault
            self.whole.append(
                (
                    Parked("statement", self.source, found.place, value, reason, remedy),
                    found.lines,
                )
            )
            return
        account = _account(self.tx, found)
        if account is None or _is_booked(self.tx, self.file_id, found.place):
            self.counts += Counts(read=found.lines, unchanged=found.lines)
            self.held_back += len(self.faulty)
            return
        booked = book(self.tx, self.file_id, self.statement_id, account, found)
        new = park(self.tx, self.faulty)
        self.held_back += len(self.faulty)
        self.counts += booked + Counts(
            read=len(self.faulty), unchanged=len(self.faulty) - new, parked=new
        )


def _park_whole(reading: _Reading, stream: BinaryIO, digest: str) -> None:
    """Park the statements that could not be booked; the bytes of their file are kept once."""
    if not reading.whole:
        return
    stream.seek(0)
    raw = stream.read(MOST_KEPT + 1)
    is_kept = len(raw) <= MOST_KEPT
    if is_kept:
        reading.tx.db.execute(
            upsert(blob).values(digest=digest, bytes=raw).on_conflict_do_nothing()
        )
    for item, lines in reading.whole:
        remedy = item.remedy if is_kept else f"{item.remedy} Then import the file itself again."
        new = park(reading.tx, [replace(item, remedy=remedy, raw=digest.encode())])
        reading.held_back += max(lines, 1)
        reading.counts += Counts(
            read=lines, unchanged=0 if new else lines, parked=lines if new else 0
        )


def _in_future(event: Entry, source: str) -> Parked:
    return Parked(
        "line",
        source,
        event.place,
        str(event.booking_on),
        f"DATE-IN-FUTURE: {event.place} is booked on a day that has not come",
        "Ask the bank which day it means.",
        event.raw,
    )


# ── 2. A statement ───────────────────────────────────────────────────────────────────────────


def _whole_fault(tx: Tx, found: Statement) -> tuple[str, str, str] | None:
    """Why nothing of a statement can be booked: reason, value, remedy; or None."""
    if found.fault is not None:
        reason = found.fault.reason
        if reason.startswith("BALANCE-BROKEN") and (line := _explains(tx, found)):
            reason += f"; {line}"
        return reason, found.fault.value, found.fault.remedy
    account = _account(tx, found)
    last4 = accounts.last4(found.account.number) if found.account else ""
    if account is None:
        return (
            f"UNKNOWN-ACCOUNT: no account ending in {last4} is registered",
            last4,
            "Register the account, then replay.",
        )
    if found.account is not None and found.account.currency not in ("", account.currency):
        return (
            f"CURRENCY-NOT-ACCOUNTS: the account ending in {last4} is registered in"
            f" {account.currency}",
            found.account.currency,
            "Register the account in its currency, or ask the bank.",
        )
    closing_on = found.closing.on if found.closing is not None else None
    if closing_on is None and tx.one(text("SELECT 1 FROM stage WHERE booking_on IS NULL LIMIT 1")):
        return (
            "DATE-MISSING: lines without a day, and no closing balance that has one",
            "",
            "Ask the bank for the statement again.",
        )
    return None


def _explains(tx: Tx, found: Statement) -> str:
    """The one line whose double or whose sign would explain a broken balance, if there is one."""
    if found.opening is None or found.closing is None:
        return ""
    excess = found.opening.fen + found.sum_fen - found.closing.fen
    for share, words in ((1, "is counted twice"), (2, "has the wrong sign")):
        lines = tx.rows(
            text(
                "SELECT place FROM stage WHERE status = 'booked' AND amount_fen * :share = :excess"
                " ORDER BY position LIMIT 2"
            ),
            {"share": share, "excess": excess},
        )
        if len(lines) == 1:
            return f"it would hold if {lines[0].place} {words}"
    return ""


def _account(tx: Tx, found: Statement) -> Row[Any] | None:
    if found.account is None:
        return None
    index = sealing.blind_index(tx.keys, accounts.normalise(found.account.number))
    return tx.one(
        select(bank_account)
        .where(bank_account.c.number_index == index)
        .with_for_update(key_share=True)
    )


def _is_booked(tx: Tx, file_id: UUID, place: str) -> bool:
    known = select(statement.c.id).where(
        statement.c.file_id == file_id, statement.c.marks["place"].astext == place
    )
    return tx.one(known) is not None


KEYS: Final = text("""
    UPDATE stage SET
        booking_on = coalesce(booking_on, :closing_on),
        value_on = coalesce(value_on, booking_on, :closing_on),
        key = sha256(convert_to(jsonb_build_array(CAST(:account_id AS text), CAST(:type AS text),
            currency, coalesce(booking_on, :closing_on), amount_fen, is_reversal, tail)::text,
            'UTF8'))
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
           s.end_to_end, s.counterparty, s.counterparty_key, s.remittance, s.search, s.details
      FROM stage s
      LEFT JOIN (SELECT key, max(ordinal) AS ordinal FROM entry
                  WHERE account_id = :account_id AND key IN (SELECT key FROM stage)
                  GROUP BY key) top ON top.key = s.key
     WHERE s.is_new
""")

# A status only moves forward, and the fuller details win; both sendings stay as sources.
FULLER: Final = text("""
    UPDATE entry e SET
        status = CASE WHEN s.status = 'booked' THEN 'booked' ELSE e.status END,
        remittance = CASE WHEN length(s.remittance) > length(e.remittance)
                          THEN s.remittance ELSE e.remittance END,
        search = CASE WHEN length(s.search) > length(e.search) THEN s.search ELSE e.search END,
        counterparty = coalesce(e.counterparty, s.counterparty),
        counterparty_key = coalesce(e.counterparty_key, s.counterparty_key),
        details = CASE WHEN length(s.remittance) > length(e.remittance)
                       THEN s.details ELSE e.details END
      FROM stage s
     WHERE e.id = s.entry_id AND NOT s.is_new
       AND (s.is_fresh OR length(s.remittance) > length(e.remittance)
            OR (e.counterparty IS NULL AND s.counterparty IS NOT NULL))
""")

SOURCES: Final = text("""
    INSERT INTO entry_source (entry_id, statement_id, place, is_booked, raw)
    SELECT entry_id, :statement_id, place, status = 'booked', raw FROM stage
""")

STAGED_SUM: Final = text("""
    SELECT count(*) AS lines,
           CAST(coalesce(sum(amount_fen) FILTER (WHERE status = 'booked'), 0) AS bigint) AS fen
      FROM stage
""")

PREVIOUS: Final = text("""
    SELECT closing_fen FROM statement
     WHERE account_id = :account_id AND account_type = :type AND closing_on <= :opening_on
       AND closing_fen IS NOT NULL AND id <> :statement_id
     ORDER BY closing_on DESC, at DESC LIMIT 1
""")


def book(tx: Tx, file_id: UUID, statement_id: UUID, account: Row[Any], found: Statement) -> Counts:
    """Book the staged lines of one statement, each once, and pay in what is new."""
    given = {
        "account_id": account.id,
        "type": found.account.type if found.account else "",
        "number": found.number,
        "statement_id": statement_id,
        "closing_on": found.closing.on if found.closing else None,
        "opening_on": found.opening.on if found.opening else None,
    }
    tx.db.execute(text("ANALYZE stage"))
    tx.db.execute(KEYS, given)
    tx.db.execute(ATTACH, given)
    tx.db.execute(NEW)
    tx.db.execute(INSERT_ENTRIES, given)
    changed = tx.db.execute(FULLER).rowcount
    _keep_statement(tx, file_id, account, found, given)
    tx.db.execute(SOURCES, given)
    for batch in _fresh(tx):
        _pay_in(tx, account, batch)
    returns.undo(tx, account.id)
    staged, new = tx.db.execute(
        text("SELECT count(*), count(*) FILTER (WHERE is_new) FROM stage")
    ).one()
    return Counts(read=staged, new=new, changed=changed, unchanged=staged - new - changed)


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
            sequence=found.number,
            opening_fen=found.opening.fen if found.opening else None,
            closing_fen=found.closing.fen if found.closing else None,
            opening_on=given["opening_on"],
            closing_on=given["closing_on"],
            currency=account.currency,
            lines=found.lines,
            holds=found.holds,
            marks={
                "place": found.place,
                "marks": marks,
                # What was parked of it, so that lines and balance can be recomputed for ever.
                "parked_lines": found.lines - staged.lines,
                "parked_fen": found.sum_fen - staged.fen,
            },
            at=tx.now,
        )
    )


FRESH: Final = text("""
    SELECT position, entry_id, amount_fen, currency, value_on, counterparty, remittance,
           search, details
      FROM stage
     WHERE is_fresh AND amount_fen > 0 AND NOT is_reversal
       AND NOT (details -> 'is_returned')::boolean AND position > :after
     ORDER BY position LIMIT :n
""")


def _fresh(tx: Tx) -> Iterator[Sequence[Row[Any]]]:
    after = 0
    while rows := tx.rows(FRESH, {"after": after, "n": BATCH}):
        yield rows
        after = rows[-1].position


def _pay_in(tx: Tx, account: Row[Any], rows: Iterable[Row[Any]]) -> None:
    """Let what came in become payments, each part of a batch its own."""
    payments: list[dict[str, Any]] = []
    facts: list[dict[str, Any]] = []
    for row in rows:
        for n, part in enumerate(_parts(row), start=1):
            payments.append(
                {
                    "entry_id": row.entry_id,
                    "part": n,
                    "account_id": account.id,
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
            )
            facts.append({"entry": row.entry_id, "part": n, "amount_fen": part["amount_fen"]})
    create_many(tx, "payment", "book", payments, facts=facts)


def _parts(row: Row[Any]) -> list[dict[str, Any]]:
    """The payments inside a booking: its details where they add up, else the booking itself.

    What a batch gives back stays out: it is no payment of a purchaser.
    """
    parts: list[dict[str, Any]] = row.details["parts"]
    if len(parts) > 1 and "DETAILS-DO-NOT-ADD" not in row.details["marks"]:
        return [part for part in parts if part["amount_fen"] > 0 and not part["returned"]]
    lines = [line for part in parts for line in part["lines"]]
    return [{"amount_fen": row.amount_fen, "payer": row.counterparty or "", "lines": lines}]


# ── 3. Again ─────────────────────────────────────────────────────────────────────────────────


def replay(tx: Tx, item: Row[Any]) -> bool:
    """Try again what is parked of a statement; True when nothing of it is left to mend.

    Args:
        item: a row of `parked`: a whole statement, or a return that waits for its original.
    """
    if item.kind == "line" and item.place.startswith("entry "):
        account = select(entry.c.account_id).where(entry.c.id == UUID(item.value))
        returns.undo(tx, tx.db.execute(account).scalar_one())
        state = select(parked.c.state).where(parked.c.id == item.id)
        return bool(tx.db.execute(state).scalar_one() != "open")
    if item.kind != "statement":
        return False
    raw = tx.db.execute(select(blob.c.bytes).where(blob.c.digest == item.raw.decode())).scalar()
    if raw is None:
        return False
    reading = _import(tx, BytesIO(raw), item.source)
    return item.place not in {fault.where for fault, _ in reading.whole}
