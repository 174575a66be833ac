"""Cells of a mapped table: amounts, days, accounts, as the mapping says they are written.

`Decimal` and `int` alone would take `NaN`, `1e5`, `1_000`, and `１２３`; a cell is taken only in
the form that its mapping declares.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime
from typing import Final

from financing.errors import Invalid
from financing.formats.faults import ASK_DAY, LineFault
from financing.formats.mapping import Moment, Table, squeezed
from financing.values.money import MOST_MINOR, minor_digits

MAPPING: Final = "Say in the mapping how the amount is written, or ask the bank."
YEARS: Final = range(1990, 2100)

_MARKS: Final = str.maketrans("", "", "¥￥元")
_FLOAT: Final = re.compile(r"[0-9](\.[0-9]+)?[eE]\+?[0-9]{2}")


def is_empty(cell: str, table: Table) -> bool:
    """Whether a cell means nothing: blank, or a word that the mapping calls empty."""
    bare = cell.strip()
    return not bare or bare in table.empty


def minor(cell: str, table: Table, currency: str, place: str) -> int:
    """A signed amount in minor units.

    Raises:
        LineFault: not written as the mapping says, or more digits than the currency has.
    """
    text = unicodedata.normalize("NFKC", cell) if table.full_width else cell
    text = "".join(text.translate(_MARKS).split())
    is_negative = False
    if table.negative == "brackets" and text.startswith("(") and text.endswith(")"):
        text, is_negative = text[1:-1], True
    elif table.negative == "trailing" and text.endswith("-"):
        text, is_negative = text[:-1], True
    mark = re.escape("".join((table.thousands or "").split()))
    grouped = f"[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|" if mark else ""
    found = re.fullmatch(
        f"([+-]?)({grouped}[0-9]{{1,15}})(?:{re.escape(table.decimal)}([0-9]{{1,6}}))?", text
    )
    if found is None or (is_negative and found[1]):
        raise LineFault(
            "AMOUNT-UNREADABLE",
            f"{place} has no amount as the mapping says it is written",
            value=cell,
            remedy=MAPPING,
            undecided=True,
        )
    whole = re.sub("[^0-9]", "", found[2])
    digits = minor_digits(currency)
    part = found[3] or ""
    units = int(whole + part[:digits].ljust(digits, "0"))
    if part[digits:].strip("0") or units > MOST_MINOR:
        raise LineFault(
            "AMOUNT-PRECISION",
            f"{place} has an amount that {currency} cannot express",
            value=cell,
            remedy=MAPPING,
            undecided=True,
        )
    return -units if is_negative or found[1] == "-" else units


def day(cell: str, moment: Moment, table: Table, place: str) -> date:
    """A civil day, from the form that the mapping declares.

    Raises:
        LineFault: no such day, or written otherwise.
    """
    if not cell:
        raise LineFault(
            "DATE-MISSING", f"{place} has no day", value="", remedy=ASK_DAY, undecided=False
        )
    text = unicodedata.normalize("NFKC", cell) if table.full_width else cell
    try:
        if not text.isascii():
            raise ValueError
        found = datetime.strptime(text.strip(), moment.format).date()  # noqa: DTZ007  # civil
    except ValueError:
        found = None
    if found is None or found.year not in YEARS:
        raise LineFault(
            "DATE-IMPOSSIBLE",
            f"{place} has no day of the form {moment.format}",
            value=cell,
            remedy=ASK_DAY,
            undecided=False,
        )
    return found


def currency(cell: str, table: Table, place: str) -> str:
    """The currency that a cell names, by the words of the mapping or by its code.

    Raises:
        LineFault: no known currency.
    """
    bare = squeezed(cell)
    words = {squeezed(word): code for word, code in table.currency_words}
    code = words.get(bare, bare)
    try:
        minor_digits(code)
    except Invalid:
        raise LineFault(
            "CURRENCY-UNKNOWN",
            f"{place} is in no known currency",
            value=cell,
            remedy="Say in the mapping which currency the word means.",
            undecided=True,
        ) from None
    return code


def has_lost_digits(cell: str) -> bool:
    """Whether a number was turned into a float of 15 digits by the program that wrote the file."""
    return _FLOAT.match("".join(cell.split())) is not None
