"""Why something of a statement cannot be used, in the words that every reader shares."""

from __future__ import annotations

from typing import Final

from financing.values.text import clean

MOST_VALUE: Final = 80  # characters that are shown of what is wrong

ASK_AGAIN: Final = "Ask the bank for the statement again."
ASK_CLEAN: Final = "Ask the bank for a clean export."
ASK_DAY: Final = "Ask the bank which day it means."

_LOOKS: Final = (
    (b"%PDF", "a PDF document"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"<!DOCTYPE html", "a page of HTML"),
    (b"<html", "a page of HTML"),
    (b"pain.001", "a payment order (pain.001)"),
)


def looks_like(head: bytes) -> str | None:
    """What a file that is no statement seems to be, by its first bytes."""
    return next((name for sign, name in _LOOKS if sign in head), None)


class Cut(Exception):
    """Nothing after this place can be read."""

    value = ""

    def __init__(self, reason: str, detail: str, remedy: str = ASK_CLEAN) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.remedy = reason, remedy


class LineFault(Exception):
    """One line or balance cannot be used; `undecided` when the balance then proves nothing."""

    def __init__(self, reason: str, detail: str, *, value: str, remedy: str, undecided: bool):
        super().__init__(f"{reason}: {detail}")
        self.value, self.remedy, self.undecided = clean(value[:MOST_VALUE]), remedy, undecided
