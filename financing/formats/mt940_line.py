"""Fields of an MT940 or MT942 message: one booking (:61:), a balance, an account, a number.

Nothing is guessed: what cannot be read raises `LineFault`, and its reader parks it.

Source: SWIFT user handbook, category 9, MT940 customer statement and MT942 interim report.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final, NamedTuple

from financing.errors import Invalid
from financing.formats.faults import ASK_AGAIN, ASK_DAY, LineFault
from financing.formats.statement import Account, Balance, Status
from financing.values.money import MOST_MINOR, minor_digits

MOST_AMOUNT: Final = 15  # characters, the comma counted

_BOOKING: Final = re.compile(
    r"(?P<value>[0-9]{6})(?P<entry>[0-9]{4}| {4})?\s*(?P<mark>RC|RD|EC|ED|C|D)(?P<third>[A-Z])??"
    r"\s*(?P<amount>[0-9,.][0-9,. ]*)"
    r"(?P<type>[A-Z][A-Z0-9 ]{3})?(?P<rest>.*)",
    re.DOTALL,
)
_DAYS: Final = re.compile(r"[0-9]{6}(?:[0-9]{4}| {4})?\s*")
_BALANCE: Final = re.compile(r"([CD])([0-9]{6})([A-Z]{3})?(.*)")
# Words that mean none, or that the reference stands in the :86: field.
_NO_REFERENCE: Final = re.compile(r"NONREF|NOREF|NOTPROVIDED|[EKMP]REF\+?|MARF|-")
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}")


class Booking(NamedTuple):
    """A :61: field; `booking_on` is None where the bank gives no entry date."""

    amount_fen: int
    status: Status
    reversal: bool
    code: str
    entry_ref: str | None
    bank_ref: str | None
    supplement: str


class Days(NamedTuple):
    booking_on: date | None
    value_on: date | None


def booking(field: str, currency: str, place: str) -> Booking:
    """Amount, sign, type, and references of a :61: field.

    The letter behind the sign is the third of the currency: `RCR` is the reversal of a credit in
    EUR. The reversal of a credit takes money out, the reversal of a debit brings it back.

    Raises:
        LineFault: no sign, or an amount that is none.
    """
    found = _whole(field)
    if found is None:
        days = _DAYS.match(field)
        rest = field[days.end() if days else 0 :]
        if re.match(r"(RC|RD|EC|ED|C|D)", rest) is None:
            raise LineFault(
                "SIGN-UNKNOWN",
                f"{place} says neither credit nor debit",
                value=field,
                remedy=ASK_AGAIN,
                undecided=True,
            )
        raise _no_amount(field, place)
    units = minor(found["amount"], currency, place)
    mark = found["mark"]
    customer, _, behind = found["rest"].partition("\n")[0].partition("//")
    return Booking(
        amount_fen=units if mark in ("C", "EC", "RD") else -units,
        status="pending" if mark in ("EC", "ED") else "booked",
        reversal=mark in ("RC", "RD"),
        code=(found["type"] or "").strip(),
        entry_ref=reference(customer),
        bank_ref=reference(behind),
        supplement=found["rest"].partition("\n")[2].strip(),
    )


def _whole(field: str) -> re.Match[str] | None:
    """The parts of the field; some banks break its line in front of the amount."""
    found = _BOOKING.match(field)
    if found is None and "\n" in field:
        found = _BOOKING.match(field.replace("\n", "", 1))
    return found


def days(field: str, place: str, *, thirty_day_months: bool) -> Days:
    """Entry date and value date; an entry date has no year and takes the nearest.

    Args:
        thirty_day_months: the bank counts interest in months of thirty days, so that a value date
            may be the 30th of February; it is then none.
    Raises:
        LineFault: a day that does not exist.
    """
    found = _whole(field)
    value, entry = (found["value"], (found["entry"] or "").strip()) if found else ("", "")
    value_on = _six(value)
    if value_on is None and not (thirty_day_months and entry and value[4:] in ("29", "30")):
        raise _no_day(value, place)
    if not entry:
        return Days(None, value_on)
    near = value_on or date(2000 + int(value[:2]), int(value[2:4]), 28)
    years = [_date(near.year + step, entry[:2], entry[2:]) for step in (0, -1, 1)]
    known = [each for each in years if each is not None]
    if not known:
        raise _no_day(entry, place)
    return Days(min(known, key=lambda each: abs(each - near)), value_on)


def minor(written: str, currency: str, place: str) -> int:
    """An amount with a decimal comma, `12,` and `,50` too, in minor units.

    Raises:
        LineFault: anything else, an unknown currency, or more digits than the currency has.
    """
    if len(written) > MOST_AMOUNT + 1 or not re.fullmatch(
        r"[0-9]+,[0-9]*|,[0-9]+|0+", written.strip()
    ):
        raise _no_amount(written, place)
    try:
        digits = minor_digits(currency)
    except Invalid:
        raise LineFault(
            "CURRENCY-UNKNOWN",
            f"{place} is in no known currency",
            value=currency,
            remedy=ASK_AGAIN,
            undecided=True,
        ) from None
    whole, _, part = written.strip().partition(",")
    units = int((whole or "0") + part[:digits].ljust(digits, "0"))
    if part[digits:].strip("0") or units > MOST_MINOR:
        raise LineFault(
            "AMOUNT-PRECISION",
            f"{place} has an amount that {currency} cannot express",
            value=written,
            remedy=ASK_AGAIN,
            undecided=True,
        )
    return units


def balance(tag: str, field: str, currency: str) -> Balance:
    """A :60: or :62: field; a day that does not exist leaves the balance without one.

    Args:
        currency: of the account, for the banks that leave it out.
    Raises:
        LineFault: not a balance.
    """
    found = _BALANCE.match(field.partition("\n")[0].strip())
    if found is None:
        raise LineFault(
            "BALANCE-UNREADABLE",
            f":{tag}: is no balance",
            value=field,
            remedy=ASK_AGAIN,
            undecided=True,
        )
    known = found[3] or currency
    try:
        units = minor(found[4], known, f":{tag}:")
    except LineFault as fault:
        raise LineFault(
            "BALANCE-UNREADABLE",
            f":{tag}: has no amount that can be read",
            value=fault.value,
            remedy=ASK_AGAIN,
            undecided=True,
        ) from None
    return Balance(tag, units if found[1] == "C" else -units, known, _six(found[2]))


def account(field: str, currency: str) -> Account:
    """A :25: field: `bank/number`, number, or IBAN, with the currency behind it or not."""
    line, _, bic = field.partition("\n")
    head, slash, tail = line.strip().partition("/")
    servicer, number = (head, tail) if slash and tail else ("", head)
    trimmed = re.fullmatch(r"(.*[0-9].*?)[ /]*([A-Z]{3})", number.strip())
    if trimmed and _is_currency(trimmed[2]):
        number, currency = trimmed[1], currency or trimmed[2]
    number = number.strip()
    compact = number.replace(" ", "")
    return Account(
        scheme="IBAN" if _IBAN.fullmatch(compact) else "other",
        number=number,
        type="",
        currency=currency,
        servicer=bic.strip() or servicer,
    )


def reference(written: str) -> str | None:
    """A reference, or None where a word means none or says that it stands elsewhere."""
    text = written.strip()
    return None if not text or _NO_REFERENCE.fullmatch(text.upper()) else text


def counterparty_iban(reference_field: str | None) -> str | None:
    """The other side's account, which some banks write in place of a reference."""
    if reference_field is None:
        return None
    head = reference_field.split()[0]
    return head if _IBAN.fullmatch(head) and len(head) >= 15 else None


def _is_currency(word: str) -> bool:
    try:
        minor_digits(word)
    except Invalid:
        return False
    return True


def _six(written: str) -> date | None:
    """YYMMDD; 00–79 is 20xx."""
    if re.fullmatch("[0-9]{6}", written) is None:
        return None
    year = int(written[:2])
    return _date((2000 if year < 80 else 1900) + year, written[2:4], written[4:])


def _date(year: int, month: str, day: str) -> date | None:
    try:
        return date(year, int(month), int(day))
    except ValueError:
        return None


def _no_amount(written: str, place: str) -> LineFault:
    return LineFault(
        "AMOUNT-UNREADABLE",
        f"{place} has no plain number with a comma as amount",
        value=written,
        remedy=ASK_AGAIN,
        undecided=True,
    )


def _no_day(written: str, place: str) -> LineFault:
    return LineFault(
        "DATE-IMPOSSIBLE",
        f"{place} names a day that does not exist",
        value=written,
        remedy=ASK_DAY,
        undecided=False,
    )
