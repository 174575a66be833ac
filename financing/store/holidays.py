"""The operator's holiday rows, which overrule the library and add the years it does not know."""

from __future__ import annotations

from sqlalchemy import select

from financing.rules.calendar import Holidays
from financing.store.db import Tx
from financing.store.tables import holiday


def known(tx: Tx) -> Holidays:
    """All rows that an operator has loaded."""
    return Holidays(
        frozenset((row.day, row.kind) for row in tx.rows(select(holiday.c.day, holiday.c.kind)))
    )
