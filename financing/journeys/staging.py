"""Lines on their way into the books: a temporary table that one transaction fills and empties.

1. `staged` a line as a row of the stage
2. `copy`   many rows into the stage, in one stream
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import text

from financing.errors import Broken
from financing.formats.statement import Entry, remittance, searched, tail
from financing.store import sealing
from financing.store.db import Tx
from financing.values.ids import new_id
from financing.values.text import clean, name_key

# What is staged of a line, in the order of `staged`, and the type that the wire carries.
STAGED: Final = {
    "id": "uuid",
    "position": "int4",
    "place": "text",
    "amount_fen": "int8",
    "currency": "text",
    "booking_on": "date",
    "value_on": "date",
    "is_reversal": "bool",
    "status": "text",
    "bank_ref": "text",
    "tail": "text",
    "end_to_end": "text",
    "counterparty": "text",
    "counterparty_key": "text",
    "remittance": "text",
    "search": "text",
    "details": "jsonb",
    "raw": "bytea",
}
STAGE: Final = text(
    "CREATE TEMPORARY TABLE IF NOT EXISTS stage ("
    + ", ".join(f"{name} {kind}" for name, kind in STAGED.items())
    + ", key bytea, entry_id uuid, is_new bool, is_fresh bool, is_renamed bool) ON COMMIT DROP"
)
COPY: Final = f"COPY stage ({', '.join(STAGED)}) FROM STDIN (FORMAT BINARY)"


def staged(tx: Tx, statement_id: UUID, event: Entry) -> tuple[Any, ...]:
    """One line as a row of the stage; its bytes are sealed for its statement."""
    first = event.details[0]
    lines = [clean(line) for part in event.details for line in remittance(part)]
    looked_in = searched(lines)
    names = [part.counterparty for part in event.details if part.counterparty]
    name = clean(names[0]) if len(set(names)) == 1 else None
    return (
        new_id(),
        event.position,
        event.place,
        event.amount_fen,
        event.currency,
        event.booking_on,
        event.value_on,
        event.reversal,
        event.status,
        event.bank_ref,
        tail(event, looked_in),
        first.end_to_end if len(event.details) == 1 else None,
        name,
        name_key(name) if name else None,
        "\n".join(lines),
        looked_in,
        Jsonb(_details(event)),
        sealing.seal(tx.keys, "entry_source", "raw", statement_id, event.raw),
    )


def _details(event: Entry) -> dict[str, Any]:
    """What is kept of the payments inside a booking; numbers of accounts are not."""
    return {
        "marks": list(event.marks),
        "code": event.code,
        "entry_ref": event.entry_ref,
        "is_returned": all(part.return_code for part in event.details),
        "parts": [
            {
                "amount_fen": part.amount_fen,
                "payer": clean(part.counterparty or ""),
                "end_to_end": part.end_to_end,
                "returned": part.return_code,
                "lines": [clean(line) for line in remittance(part)],
            }
            for part in event.details
        ],
    }


def copy(tx: Tx, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write rows into the stage."""
    if not rows:
        return
    driver = tx.db.connection.driver_connection
    if driver is None:
        raise Broken("a transaction without a connection")
    with driver.cursor() as cursor, cursor.copy(COPY) as stream:
        stream.set_types(list(STAGED.values()))
        for row in rows:
            stream.write_row(row)
