"""Long lists in pieces: newest first, each piece begins behind the last row of the one before.

The order is total (time, then id), so a row that is added meanwhile moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, cast, literal, tuple_

from financing.store.db import Tx


@dataclass(frozen=True, slots=True)
class Window:
    """Which piece is asked for.

    Args:
        most: how many rows at most.
        after: the place of the last row before, as `Piece.last` gave it.
    """

    most: int
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a list; `last` is the place of the last one where more follow, else empty."""

    rows: Sequence[Any]
    last: tuple[str, ...] = ()


def newest_first(
    tx: Tx,
    query: Select[Any],
    at: ColumnElement[Any],
    row_id: ColumnElement[Any],
    window: Window,
) -> Piece:
    """One piece of what a query finds.

    Args:
        at: when a row came to be, which never changes.
        row_id: tells rows of one instant apart.
    """
    if window.after:
        place = (
            cast(literal(value), column.type)
            for value, column in zip(window.after, (at, row_id), strict=True)
        )
        query = query.where(tuple_(at, row_id) < tuple_(*place))
    found = tx.rows(
        query.add_columns(at.label("listed_at"), row_id.label("listed_id"))
        .order_by(at.desc(), row_id.desc())
        .limit(window.most + 1)
    )
    return _cut(found, window, lambda row: (row.listed_at.isoformat(), str(row.listed_id)))


def in_order(rows: Sequence[Any], place: Any, window: Window) -> Piece:
    """One piece of rows that were reckoned, in the order of their places.

    Args:
        place: gives the place of a row: a tuple of texts; equal ones are told apart by their turn.
    """
    turns: dict[tuple[str, ...], int] = {}
    placed = []
    for row in sorted(rows, key=place):
        where = place(row)
        turns[where] = turns.get(where, 0) + 1
        placed.append((*where, f"{turns[where]:06}"))
    ordered = dict(zip(placed, sorted(rows, key=place), strict=True))
    rest = [where for where in placed if where > window.after]
    last = rest[window.most - 1] if len(rest) > window.most else ()
    return Piece([ordered[where] for where in rest[: window.most]], last)


def _cut(found: Sequence[Row[Any]], window: Window, place: Any) -> Piece:
    rows = found[: window.most]
    return Piece(rows, place(rows[-1]) if len(found) > window.most else ())
