"""Bank statements in: each line booked once, however often and in whatever pieces it comes.

1. `import_statement` one file: its digest first, then each of its statements on its own
2. `book`             (`booking.py`) one statement: all lines or none, as sets
3. `replay`           a parked statement or return again, with what is known today

Lines are staged while the file is read and booked only when the end of their statement was seen
and its balance holds. What cannot be booked is parked with its reason; other statements go on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, BinaryIO, Final
from uuid import UUID

from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from financing.formats import readers
from financing.formats.mapping import SavedMapping, parse
from financing.formats.statement import (
    Entry,
    Event,
    Statement,
)
from financing.journeys import returns, staging
from financing.journeys.booking import BATCH, Counts, book
from financing.store import sealing
from financing.store.db import Tx
from financing.store.parking import park
from financing.store.tables import bank_account, blob, entry, import_file, parked, statement
from financing.values import accounts
from financing.values.ids import new_id
from financing.values.parked import Parked

MOST_KEPT: Final = 32 << 20  # bytes of a file kept with what is parked of it


# ── 1. A file ────────────────────────────────────────────────────────────────────────────────


def import_statement(
    tx: Tx, stream: BinaryIO, source: str, mapping: SavedMapping | None = None
) -> Counts:
    """Book what a file of statements holds; the same file again changes nothing.

    Args:
        stream: seekable; it is read twice, for its digest and for its lines.
        source: the file's name.
        mapping: what a table means; it is kept with the file, for what is replayed.
    Raises:
        Unreadable: the file holds no statement.
    """
    return _import(tx, stream, source, mapping).counts


def _import(tx: Tx, stream: BinaryIO, source: str, mapping: SavedMapping | None) -> _Reading:
    file = _file(tx, stream, source)
    reading = _Reading(tx, file.id, source)
    if file.counts.get("read") is not None and not file.counts["parked"]:
        reading.counts = Counts(read=file.counts["read"], unchanged=file.counts["read"])
        return reading
    tx.db.execute(staging.STAGE)
    for event in readers.read(stream, source, mapping):
        reading.take(event)
    _park_whole(reading, stream, file.digest)
    # What is parked today may be mended tomorrow: such a file is read again when it comes again.
    kept: dict[str, Any] = {"read": reading.counts.read, "parked": reading.held_back}
    if mapping is not None:
        kept["mapping"] = _keep(tx, mapping.document)
    tx.db.execute(update(import_file).where(import_file.c.id == file.id).values(counts=kept))
    return reading


def _keep(tx: Tx, content: bytes) -> str:
    digest = f"sha-256:{hashlib.sha256(content).hexdigest()}"
    tx.db.execute(upsert(blob).values(digest=digest, bytes=content).on_conflict_do_nothing())
    return digest


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
    counts: Counts = field(default_factory=Counts)
    held_back: int = 0  # lines that are parked, whether this run parked them or an earlier one
    statement_id: UUID = field(default_factory=new_id)
    staged: list[tuple[Any, ...]] = field(default_factory=list)
    faulty: list[Parked] = field(default_factory=list)  # lines of the statement under way
    whole: list[tuple[Parked, int]] = field(default_factory=list)  # statements, with their lines

    def take(self, event: Event) -> None:
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
        booked = book(self.tx, self.file_id, self.statement_id, account, found, self.source)
        new = park(self.tx, self.faulty)
        self.held_back += len(self.faulty) + booked.parked
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
    for item, found in reading.whole:
        lines = max(found, 1)  # a file that breaks off before its first line has one thing parked
        remedy = item.remedy if is_kept else f"{item.remedy} Then import the file itself again."
        new = park(reading.tx, [replace(item, remedy=remedy, raw=digest.encode())])
        reading.held_back += lines
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
    stated = found.closing.on if found.closing is not None else found.created_at
    is_undated = UNDATED if found.kind == "books" else UNDATED_TOLD
    if stated is None and tx.one(is_undated):
        return (
            "DATE-MISSING: lines without a day, and no closing balance that has one",
            "",
            "Ask the bank for the statement again.",
        )
    return None


UNDATED: Final = text("SELECT 1 FROM stage WHERE booking_on IS NULL LIMIT 1")
# A report has no closing balance; a value date is good enough for an announcement.
UNDATED_TOLD: Final = text(
    "SELECT 1 FROM stage WHERE booking_on IS NULL AND value_on IS NULL LIMIT 1"
)


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


# ── 3. Again ─────────────────────────────────────────────────────────────────────────────────


def replay(tx: Tx, item: Row[Any]) -> bool:
    """Try again what is parked of a statement; True when nothing of it is left to mend.

    Args:
        item: a row of `parked`: a whole statement, or a return that waits for its original.
    """
    if item.kind == "line" and item.reason.startswith("REVERSAL-"):
        account = select(entry.c.account_id).where(entry.c.id == UUID(item.value))
        returns.undo(tx, tx.db.execute(account).scalar_one())
        state = select(parked.c.state).where(parked.c.id == item.id)
        return bool(tx.db.execute(state).scalar_one() != "open")
    if item.kind != "statement":
        return False
    digest = item.raw.decode()
    raw = _kept(tx, digest)
    if raw is None:
        return False
    counts = tx.db.execute(
        select(import_file.c.counts).where(import_file.c.digest == digest)
    ).scalar_one()
    document = _kept(tx, counts["mapping"]) if "mapping" in counts else None
    mapping = parse(document, item.source) if document is not None else None
    reading = _import(tx, BytesIO(raw), item.source, mapping)
    return item.place not in {fault.where for fault, _ in reading.whole}


def _kept(tx: Tx, digest: str) -> bytes | None:
    return tx.db.execute(select(blob.c.bytes).where(blob.c.digest == digest)).scalar()
