"""How much two contracts of one supplier and one purchaser look like one contract twice.

A score is whole percent of what both records hold; 80 and more stops for a person, from 50 on it
warns. Usual false alarms are call-offs, lots, and yearly renewals, so a person decides, never this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

STOPS: Final = 80
WARNS: Final = 50

_AWARD: Final = 45
_AMOUNT: Final = 35
_AMOUNT_NEAR: Final = 20
_NUMBER: Final = 10
_SIGNED: Final = 5
_TITLE: Final = 5
_NEAR_DAYS: Final = 7
# Short award ids such as "1" name an award only together with their record.
_TELLING_AWARD: Final = 8


@dataclass(frozen=True, slots=True)
class Traits:
    """What is compared of a contract.

    Args:
        number: normalised (`number_key`).
        amount_fen: None where the record has none.
        documents: digests of its documents.
    """

    ocid: str
    award: str
    number: str
    amount_fen: int | None
    currency: str
    signed_on: date | None
    title: str
    documents: frozenset[str] = frozenset()


def score(one: Traits, other: Traits) -> int:
    """Likeness of two contracts with different identities, 0 to 100."""
    if one.documents & other.documents:
        return 100
    held = gained = 0
    if one.award and other.award:
        held += _AWARD
        gained += _AWARD * _same_award(one, other)
    if one.amount_fen is not None and other.amount_fen is not None:
        held += _AMOUNT
        gained += _amount_points(one, other)
    if one.number and other.number:
        held += _NUMBER
        gained += _NUMBER * _like_numbers(one.number, other.number)
    if one.signed_on and other.signed_on:
        held += _SIGNED
        gained += _SIGNED * (abs((one.signed_on - other.signed_on).days) <= _NEAR_DAYS)
    if one.title and other.title:
        held += _TITLE
        gained += _TITLE * _like_titles(one.title, other.title)
    return 100 * gained // held if held else 0


def _same_award(one: Traits, other: Traits) -> bool:
    if one.award != other.award:
        return False
    return one.ocid == other.ocid or len(one.award) >= _TELLING_AWARD


def _amount_points(one: Traits, other: Traits) -> int:
    a, b = one.amount_fen or 0, other.amount_fen or 0
    if one.currency != other.currency:
        return 0
    if a == b:
        return _AMOUNT
    return _AMOUNT_NEAR if abs(a - b) * 100 <= max(a, b) else 0


def _like_numbers(one: str, other: str) -> bool:
    return (
        _joined(one) == _joined(other)
        or _segments(one) == _segments(other)
        or _is_one_edit(one, other)
    )


def _joined(number: str) -> str:
    return "".join(letter for letter in number if letter.isalnum())


def _segments(number: str) -> list[str]:
    """Runs of letters and of digits, the latter without leading zeros."""
    return [run.lstrip("0") or "0" for run in re.findall(r"[0-9]+|[^\W0-9_]+", number)]


def _is_one_edit(one: str, other: str) -> bool:
    """Whether one letter inserted, left out, or changed turns one number into the other."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    at = next((i for i, letter in enumerate(short) if letter != long[i]), len(short))
    rest = at + (len(short) == len(long))
    return short[rest:] == long[at + 1 :]


def _like_titles(one: str, other: str) -> bool:
    a, b = _trigrams(one), _trigrams(other)
    return len(a & b) * 10 >= len(a | b) * 9


def _trigrams(text: str) -> frozenset[str]:
    padded = f"  {text.casefold()} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))
