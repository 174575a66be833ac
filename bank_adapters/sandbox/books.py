"""The bank's books: one SQLite file; each change of a case is a numbered row that is never lost.

`change` is the feed and the source of every webhook. `todo` is what the bank still has to do, so
that a restart goes on where it was.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

CHINA = timezone(timedelta(hours=8))
STRANGER = "ap_00000000000000000000000001"  # an application that nobody has sent here

_TABLES = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS number (kind TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS answered (
  request_id TEXT PRIMARY KEY, digest TEXT NOT NULL, answer TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS credit_case (
  reference TEXT PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, application TEXT NOT NULL,
  contract_number TEXT NOT NULL, supplier TEXT NOT NULL, purchaser TEXT NOT NULL,
  amount INTEGER NOT NULL, currency TEXT NOT NULL, tenor_days INTEGER NOT NULL,
  packet_digest TEXT NOT NULL, account_digest TEXT NOT NULL, packet BLOB NOT NULL,
  supersedes TEXT, state TEXT NOT NULL, sequence INTEGER NOT NULL DEFAULT 0,
  offer TEXT, offer_digest TEXT, account TEXT, holder TEXT,
  loan_reference TEXT UNIQUE, signed_on TEXT, due_on TEXT, rate_bp TEXT, day_basis TEXT,
  contracted INTEGER NOT NULL DEFAULT 0, drawn INTEGER NOT NULL DEFAULT 0,
  principal INTEGER NOT NULL DEFAULT 0, interest INTEGER NOT NULL DEFAULT 0,
  fees INTEGER NOT NULL DEFAULT 0, penalty INTEGER NOT NULL DEFAULT 0, interest_to TEXT);
CREATE INDEX IF NOT EXISTS case_by_account ON credit_case (account, state);
CREATE TABLE IF NOT EXISTS todo (
  n INTEGER PRIMARY KEY AUTOINCREMENT, reference TEXT NOT NULL, step TEXT NOT NULL,
  stuck TEXT);
CREATE TABLE IF NOT EXISTS change (
  n INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, reference TEXT NOT NULL,
  type TEXT NOT NULL, status TEXT NOT NULL, occurred_at TEXT NOT NULL, said TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS change_by_case ON change (reference, n);
CREATE TABLE IF NOT EXISTS delivery (
  event_id TEXT PRIMARY KEY, n INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
  next_at REAL NOT NULL, not_before TEXT, last TEXT);
CREATE TABLE IF NOT EXISTS account (
  number TEXT PRIMARY KEY, holder TEXT NOT NULL, currency TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
  n INTEGER PRIMARY KEY AUTOINCREMENT, reference TEXT NOT NULL UNIQUE, account TEXT NOT NULL,
  booked_on TEXT NOT NULL, amount INTEGER NOT NULL, other_name TEXT NOT NULL,
  other_account TEXT NOT NULL, end_to_end TEXT NOT NULL, remittance TEXT NOT NULL,
  kind TEXT NOT NULL, reversal INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS entry_by_account ON entry (account, booked_on, n);
CREATE TABLE IF NOT EXISTS fault (
  n INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL, firm TEXT, remaining INTEGER,
  seconds REAL NOT NULL, used INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS fault_history (
  n INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL, about TEXT NOT NULL, at TEXT NOT NULL);
"""

Row = sqlite3.Row


def rfc3339(instant: datetime) -> str:
    """An instant as the interface writes it."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Books:
    """The file and its lock: one writer at a time, as one teller writes in one ledger."""

    def __init__(self, path: Path, *, delivers: bool) -> None:
        self.delivers = delivers  # False: the feed alone says what happened
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_TABLES)
        self.rang = threading.Condition()  # something was written: look again
        self.written = 0

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; within another it is part of that one."""
        with self._lock:
            if self._db.in_transaction:
                yield self._db
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        with self.rang:
            self.written += 1
            self.rang.notify_all()

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """All rows of a question."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> Row | None:
        """The first row of a question."""
        with self._lock:
            row: Row | None = self._db.execute(sql, values).fetchone()
            return row

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # ── The bank's clock ─────────────────────────────────────────────────────────────────────

    def now(self) -> datetime:
        """The bank's clock: as it was last set, or the wall clock."""
        row = self.one("SELECT value FROM fact WHERE name = 'now'")
        return datetime.fromisoformat(row["value"]) if row else datetime.now(UTC)

    def today(self) -> date:
        """The civil date of the bank's clock, in China."""
        return self.now().astimezone(CHINA).date()

    def set_clock(self, instant: datetime) -> None:
        """Set the bank's clock; it stands until it is set again."""
        with self.writing() as db:
            db.execute(
                "INSERT INTO fact VALUES ('now', ?) ON CONFLICT (name) DO UPDATE "
                "SET value = excluded.value",
                (rfc3339(instant),),
            )

    def next_number(self, kind: str) -> int:
        """The next of a running number; call while writing."""
        with self.writing() as db:
            row = db.execute(
                "INSERT INTO number VALUES (?, 1) ON CONFLICT (kind) DO UPDATE "
                "SET last = last + 1 RETURNING last",
                (kind,),
            ).fetchone()
            return int(row["last"])

    # ── Cases and what happens to them ───────────────────────────────────────────────────────

    def case(self, reference: str) -> Row | None:
        """A case by the bank's own reference."""
        return self.one("SELECT * FROM credit_case WHERE reference = ?", reference)

    def known(self, reference: str) -> Row:
        """A case that is known to be here: none is ever deleted."""
        case = self.case(reference)
        if case is None:
            raise KeyError(reference)
        return case

    def put_on_list(self, reference: str, step: str) -> None:
        """Put a step on the bank's list."""
        with self.writing() as db:
            db.execute("INSERT INTO todo (reference, step) VALUES (?, ?)", (reference, step))

    def update(self, reference: str, **values: Any) -> None:
        """Change columns of a case."""
        names = ", ".join(f"{name} = ?" for name in values)
        with self.writing() as db:
            db.execute(
                f"UPDATE credit_case SET {names} WHERE reference = ?",  # noqa: S608  our names
                (*values.values(), reference),
            )

    def say(
        self,
        reference: str,
        kind: str,
        status: str,
        *,
        state: str | None = None,
        **data: Any,
    ) -> str:
        """Record that something happened to a case: one numbered change, one event to deliver.

        Args:
            state: the case's new state, where it has one.
        Returns: the event's id.
        """
        with self.writing() as db:
            case = db.execute(
                "UPDATE credit_case SET sequence = sequence + 1, state = coalesce(?, state) "
                "WHERE reference = ? RETURNING *",
                (state, reference),
            ).fetchone()
            event_id = f"ev_{reference}_{case['sequence']}"
            at = rfc3339(self.now())
            said = _item(case, event_id, status, at, data)
            n = db.execute(
                "INSERT INTO change VALUES (NULL, ?, ?, ?, ?, ?, ?)",
                (event_id, reference, kind, status, at, json.dumps(said, ensure_ascii=False)),
            ).lastrowid
            if self.delivers:
                db.execute(
                    "INSERT INTO delivery VALUES (?, ?, 'new', 0, 0, NULL, NULL)", (event_id, n)
                )
            return event_id


def money(amount: int, currency: str) -> dict[str, Any]:
    """An amount as the interface writes it."""
    return {"fen" if currency == "CNY" else "minor": amount, "currency": currency}


def _item(case: Row, event_id: str, status: str, at: str, data: dict[str, Any]) -> dict[str, Any]:
    """What is said of a case, once and for all: the feed and every delivery show these words."""
    echo = {
        "contract_number": case["contract_number"],
        "packet_digest": case["packet_digest"],
        "amount": data.pop("echo_amount", money(case["amount"], case["currency"])),
    }
    if case["account"]:  # only what the bank has read in the packet itself
        echo["account_digest"] = case["account_digest"]
    return {
        "schema": 1,
        "event_id": event_id,
        "request_id": case["request_id"],
        "application": case["application"],
        "bank_reference": case["reference"],
        "status": status,
        "sequence": case["sequence"],
        "occurred_at": at,
        "echo": echo,
        **data,
    }
