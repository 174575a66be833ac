"""Faults that the bank can be told to have: for a broker's tests, and for a bank's engineer.

A fault is set for one firm until it is cleared, or for the next so many occasions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from bank_adapters.sandbox.books import Books, Row, rfc3339

Where = Literal["request", "mind", "payout", "event", "decision"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table.

    Args:
        where: at which moments it may strike.
        seconds: how long it lasts, where it lasts; of `late` by the bank's clock.
    """

    where: tuple[Where, ...]
    says: str
    seconds: float = 0


FAULTS = {
    "timeout-before": Fault(("request",), "sleeps past the deadline, records nothing", 60),
    "timeout-after": Fault(("request",), "records, then sleeps", 60),
    "error-after": Fault(("request",), "records, answers 500"),
    "slow-drip": Fault(("request",), "records, answers one byte a second"),
    "endless": Fault(("request",), "records, answers without end"),
    "html-200": Fault(("request",), "a login page with 200, records nothing"),
    "maintenance": Fault(("request",), "503 with Retry-After in seconds, records nothing", 1800),
    "busy": Fault(("request",), "429 with Retry-After as a date, records nothing", 60),
    "silence": Fault(("mind",), "takes and never says more"),
    "unknown-status": Fault(("mind",), "says a word that nobody documented before it decides"),
    "status-back": Fault(("payout",), "says reviewing when the money is paid out"),
    "partial-payout": Fault(("payout",), "pays out in two parts"),
    "over-payout": Fault(("payout",), "pays out a tenth more than was contracted"),
    "batch-part": Fault(("request",), "takes all of a batch but its last, which has no receipt"),
    "foreign-reference": Fault(("request", "event"), "names another application than was sent"),
    "contradict": Fault(("decision",), "the event of a decision says what the feed does not"),
    "rotate-key": Fault(("event",), "signed by the bank's next key, and the one after by this one"),
    "duplicate": Fault(("request", "event"), "every receipt twice; every event twice, at once"),
    "late": Fault(("event",), "event held for hours of the bank's clock", 4 * 3600),
    "reordered": Fault(("event",), "next three events in reverse"),
    "bad-signature": Fault(("event",), "one bit of the signature wrong"),
    "old-timestamp": Fault(("event",), "signs with a time ten minutes past"),
}


def add(books: Books, slug: str, firm: str | None, occasions: int | None, seconds: float) -> None:
    """Set a fault for a firm, or for the next occasions."""
    with books.writing() as db:
        db.execute(
            "INSERT INTO fault (slug, firm, remaining, seconds) VALUES (?, ?, ?, ?)",
            (slug, firm, None if firm else occasions or 1, seconds or FAULTS[slug].seconds),
        )


def clear(books: Books) -> None:
    """Take all faults away; the history stays."""
    with books.writing() as db:
        db.execute("DELETE FROM fault")


def strike(books: Books, where: Where, firms: Iterable[str], about: str) -> dict[str, Row]:
    """The faults that strike now, by slug; each occasion is counted and kept."""
    known = set(firms)
    struck: dict[str, Row] = {}
    with books.writing() as db:
        for row in db.execute("SELECT * FROM fault ORDER BY n").fetchall():
            if where not in FAULTS[row["slug"]].where or row["slug"] in struck:
                continue
            if row["firm"] not in known if row["firm"] else row["remaining"] <= 0:
                continue
            struck[row["slug"]] = row
            db.execute(
                "UPDATE fault SET used = used + 1, remaining = remaining - 1 WHERE n = ?",
                (row["n"],),
            )
            db.execute(
                "INSERT INTO fault_history (slug, about, at) VALUES (?, ?, ?)",
                (row["slug"], about, rfc3339(books.now())),
            )
    return struck


def listed(books: Books) -> dict[str, list[dict[str, Any]]]:
    """Faults set, their history, and those there are."""
    return {
        "set": [dict(row) for row in books.rows("SELECT * FROM fault ORDER BY n")],
        "history": [dict(row) for row in books.rows("SELECT * FROM fault_history ORDER BY n")],
        "known": [
            {"fault": slug, "where": fault.where, "says": fault.says, "seconds": fault.seconds}
            for slug, fault in FAULTS.items()
        ],
    }
