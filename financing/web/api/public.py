"""What every machine may ask: the table of operations itself, and its notices."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Row

from financing import words
from financing.reads import inbox
from financing.reads.listing import Piece
from financing.store.db import Tx
from financing.web.api.table import Call, operation
from schemas import desk as shown


@operation("GET", "/inbox", permits=("inbox.read",), gives=shown.Notice(), is_list=True)
def list_notices(tx: Tx, call: Call) -> Piece:
    """What is new for the organisation."""
    found = inbox.piece(tx, call.window)
    return replace(found, rows=[_said(row, call.lang) for row in found.rows])


def _said(row: Row[Any], lang: str) -> SimpleNamespace:
    title, text = (words.t(f"notice.{row.kind}.{part}", lang) for part in ("title", "text"))
    return SimpleNamespace(**row._mapping, said_title=title, said_text=text)
