"""What could not be used: kept once per fault, listed, and replayed by its journey."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy.dialects.postgresql import insert

from financing.store.db import Tx
from financing.store.tables import parked
from financing.values.ids import new_id
from financing.values.parked import Parked


def fingerprint(item: Parked) -> str:
    """The same fault of the same bytes is one parked thing, however often it comes."""
    parts = (
        item.kind,
        item.where,
        item.reason.split(":")[0],
        # A fault without bytes, as the missing end of a file, is told apart by its file.
        hashlib.sha256(item.raw).hexdigest() if item.raw else item.source,
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def park(tx: Tx, items: Iterable[Parked]) -> int:
    """Keep what could not be used; returns how many are new."""
    rows = [
        {
            "id": new_id(),
            "fingerprint": fingerprint(item),
            "kind": item.kind,
            "source": item.source,
            "place": item.where,
            "value": item.value[:80],
            "reason": item.reason,
            "remedy": item.remedy,
            "raw": item.raw,
            "at": tx.now,
        }
        for item in items
    ]
    if not rows:
        return 0
    new = tx.rows(
        insert(parked)
        .values(rows)
        .on_conflict_do_nothing(index_elements=["fingerprint"])
        .returning(parked.c.id)
    )
    return len(new)
