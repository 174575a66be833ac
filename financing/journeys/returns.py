"""Money that goes back: a reversal or return undoes exactly one earlier payment.

1. `undo`         pairs what went out of an account with the payment that it undoes, and undoes it
2. `note_batches` returns that hide among other payments of one booking are cases

A return may be imported before its original, so every import of the account looks again at what
still waits. What nobody can tell is a case for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text, update

from financing.journeys import allocation
from financing.store.db import Tx
from financing.store.parking import park
from financing.store.tables import parked
from financing.values.parked import Parked

RETURN_DAYS: Final = 30  # how far back a return without a reference looks for its payment

# Money that went out again, and the bookings that it may undo: the same account, the same amount,
# not undone yet. `named` where a reference of the original says so. Locks nothing: the payments
# of one account change only under the lock of its row.
RETURNS: Final = text("""
    SELECT r.id AS return_id, r.value_on, o.id AS entry_id,
           (r.end_to_end IS NOT NULL AND r.end_to_end = o.end_to_end)
           OR (r.bank_ref IS NOT NULL AND r.bank_ref = o.bank_ref) AS named,
           o.value_on BETWEEN r.value_on - :days AND r.value_on AS near
      FROM entry r
      LEFT JOIN entry o
        ON o.account_id = r.account_id AND o.amount_fen = -r.amount_fen AND o.status = 'booked'
       AND EXISTS (SELECT 1 FROM payment p WHERE p.entry_id = o.id)
       AND NOT EXISTS (SELECT 1 FROM payment p WHERE p.entry_id = o.id AND p.state = 'reversed')
     WHERE r.account_id = :account_id AND r.amount_fen < 0 AND r.status = 'booked'
       AND (r.is_reversal OR (r.details -> 'is_returned')::boolean)
       AND NOT EXISTS (SELECT 1 FROM payment p WHERE p.reversed_by = r.id)
     ORDER BY r.booking_on, r.id, o.booking_on, o.id
""")


def undo(tx: Tx, account_id: UUID) -> int:
    """Undo the payment of each reversal or return, exactly one; returns how many were undone.

    A return that names no original undoes the only payment of its amount in 30 days; where there
    is none or more than one, a person picks, and each later import looks again.
    """
    choices: dict[UUID, list[Row[Any]]] = {}
    for row in tx.rows(RETURNS, {"account_id": account_id, "days": RETURN_DAYS}):
        choices.setdefault(row.return_id, []).append(row)
    taken: set[UUID] = set()
    undone: list[tuple[UUID, UUID]] = []
    cases: list[Parked] = []
    for return_id, rows in choices.items():
        left = [row for row in rows if row.entry_id is not None and row.entry_id not in taken]
        named = [row for row in left if row.named]
        fitting = named or [row for row in left if row.near]
        if len(fitting) == 1:
            taken.add(fitting[0].entry_id)
            undone.append((return_id, fitting[0].entry_id))
        else:
            cases.append(_return_case(return_id, len(fitting)))
    if undone:
        days = {return_id: rows[0].value_on for return_id, rows in choices.items()}
        allocation.reverse(tx, undone, days)
        _close_cases(tx, [return_id for return_id, _ in undone])
    park(tx, cases)
    return len(undone)


def _return_case(return_id: UUID, fitting: int) -> Parked:
    reason = (
        f"REVERSAL-AMBIGUOUS: {fitting} payments of this amount may be meant"
        if fitting
        else "REVERSAL-WITHOUT-ORIGINAL: no payment of this amount is known"
    )
    return Parked(
        "line",
        "statement",
        f"entry {return_id}",
        str(return_id),
        reason,
        "Import the statement with the original, or ask the bank which payment it means.",
        return_id.bytes,
    )


def _close_cases(tx: Tx, return_ids: Sequence[UUID]) -> None:
    tx.db.execute(
        update(parked)
        .where(
            parked.c.place.in_([f"entry {each}" for each in return_ids]),
            parked.c.state == "open",
        )
        .values(state="replayed")
    )


# ── 2. Batches ───────────────────────────────────────────────────────────────────────────────

IN_BATCHES: Final = text("""
    SELECT e.id, e.booking_on, s.place, jsonb_array_length(e.details -> 'parts') AS parts,
           jsonb_array_length(jsonb_path_query_array(e.details,
               '$.parts[*] ? (@.returned != null)')) AS returned
      FROM stage s JOIN entry e ON e.id = s.entry_id
     WHERE e.status = 'booked' AND NOT (e.details -> 'is_returned')::boolean
       AND jsonb_path_exists(e.details, '$.parts[*] ? (@.returned != null)')
     ORDER BY s.position
""")


def note_batches(tx: Tx) -> None:
    """Make a case of each booking on the stage that holds returns beside other payments.

    One booking undoes one payment or none, so these wait for a person; they are no payments.
    """
    park(
        tx,
        [
            Parked(
                "line",
                "statement",
                f"entry {row.id}",
                str(row.id),
                f"REVERSAL-IN-BATCH: {row.returned} of {row.parts} payments of {row.place},"
                f" booked on {row.booking_on}, came back",
                "Ask the bank for the returns one by one, or which payments they undo.",
                row.id.bytes,
            )
            for row in tx.rows(IN_BATCHES)
        ],
    )
