"""The consistency check: what must always hold is recomputed from the rows.

1. `check` each invariant of the table as one query; the rows that offend are named
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import DataError

from financing.errors import Invalid
from financing.rules.invariants import INVARIANTS
from financing.store.db import Tx

SHOWN = 50
# Each invariant is one statement, so it sees one moment even while others write.
OFFENDING = "SELECT id, wrong, count(*) OVER () AS total FROM ({sql}) found(id, wrong) LIMIT :shown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant as it was found.

    Args:
        rows: (id of the row, what is wrong) of the first offending rows.
        count: how many offend in all.
    """

    id: str
    severity: str
    rows: tuple[tuple[str, str], ...]
    count: int

    @property
    def holds(self) -> bool:
        return self.count == 0


def check(tx: Tx, names: Sequence[str] = ()) -> list[Finding]:
    """Recompute these invariants, or all of them, in table order.

    Raises:
        Invalid: a name that the table does not have.
    """
    known = {row.id: row for row in INVARIANTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Invalid(
            f"there is no invariant {unknown[0]}",
            where="NAME",
            remedy=f"Use some of: {', '.join(known)}.",
        )
    found = []
    for row in INVARIANTS:
        if names and row.id not in names:
            continue
        try:
            with tx.db.begin_nested():
                offending = tx.rows(text(OFFENDING.format(sql=row.sql)), {"shown": SHOWN})
        except DataError as problem:  # what somebody wrote cannot even be read
            why = str(problem.orig).splitlines()[0]
            found.append(Finding(row.id, row.severity, (("", why),), 1))
            continue
        found.append(
            Finding(
                row.id,
                row.severity,
                tuple((str(one.id), str(one.wrong)) for one in offending),
                offending[0].total if offending else 0,
            )
        )
    return found


def _named(row_id: object, wrong: object) -> tuple[str, str]:
    return str(row_id), str(wrong)
