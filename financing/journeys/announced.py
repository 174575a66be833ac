"""What an intraday report announced and no statement booked: after three working days, a case.

1. `lapse` the announced lines that are overdue become cases
2. `close` a case ends when its line is booked after all
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import text, update

from financing.rules.calendar import add_working_days
from financing.store import holidays
from financing.store.db import Tx
from financing.store.parking import park
from financing.store.tables import parked
from financing.values.parked import Parked

CONFIRMED_WITHIN: Final = 3  # working days after the day of the report

ANNOUNCED: Final = text("""
    SELECT e.id, e.booking_on, e.amount_fen, f.path FROM entry e
      JOIN LATERAL (SELECT i.path FROM entry_source o
                      JOIN statement s ON s.id = o.statement_id
                      JOIN import_file i ON i.id = s.file_id
                     WHERE o.entry_id = e.id AND s.marks ->> 'kind' = 'intraday'
                     ORDER BY s.at LIMIT 1) f ON true
     WHERE e.status = 'pending' AND e.booking_on < :today
     ORDER BY e.booking_on, e.id
""")
BOOKED: Final = text("""
    SELECT p.id FROM parked p JOIN stage s ON p.place = 'entry ' || s.entry_id
     WHERE p.state = 'open' AND s.is_fresh
""")


def lapse(tx: Tx) -> int:
    """Make a case of each announced line that no statement has booked in time.

    Returns:
        How many cases are new; the same line is a case once.
    """
    rows = tx.rows(ANNOUNCED, {"today": tx.today})
    known = holidays.known(tx)
    last = {
        day: add_working_days(day, CONFIRMED_WITHIN, known).on
        for day in {row.booking_on for row in rows}
    }
    return park(
        tx,
        [
            Parked(
                "line",
                row.path,
                f"entry {row.id}",
                str(row.amount_fen),
                f"NOT-CONFIRMED: announced for {row.booking_on}, and no statement has booked it",
                "Import the statement of that day, or ask the bank whether it was withdrawn.",
                row.id.bytes,
            )
            for row in rows
            if last[row.booking_on] < tx.today
        ],
    )


def close(tx: Tx) -> None:
    """End the cases of lines that the statement on the stage has booked."""
    ids = tx.db.execute(BOOKED).scalars().all()
    if ids:
        tx.db.execute(update(parked).where(parked.c.id.in_(ids)).values(state="replayed"))
