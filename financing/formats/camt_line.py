"""One booking of a camt message: amount and sign, dates, status, and the payments inside it.

What differs between versions of the message is tried in each of its places; nothing is guessed:
a line whose amount, sign, or day cannot be read raises `LineFault` and is parked by its reader.

Source: ISO 20022 message definitions camt.052, camt.053, camt.054, versions .001.01 to .13.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final

from lxml import etree

from financing.errors import Invalid
from financing.formats.faults import ASK_AGAIN, ASK_DAY, Cut, LineFault
from financing.formats.statement import Detail, Kind, Status
from financing.values.money import MOST_MINOR, minor_digits
from financing.values.times import civil, parse_instant

Element = etree._Element

MOST_TEXT: Final = 64 << 10
MOST_DEPTH: Final = 64
MOST_DETAILS: Final = 100_000

_AMOUNT: Final = re.compile(r"\+?([0-9]{1,18})(?:\.([0-9]{0,18}))?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NO_REFERENCE: Final = frozenset({"", "-", "NOTPROVIDED", "NONREF", "NOTAVAILABLE"})
_DEEPER: Final = etree.XPath("boolean(" + "/".join(["*"] * (MOST_DEPTH - 4)) + ")")


# ── Elements by local name ───────────────────────────────────────────────────────────────────


def local(element: Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def child(element: Element | None, *path: str) -> Element | None:
    """The first element on a path of local names."""
    for name in path:
        if element is None:
            return None
        element = next(element.iterchildren(f"{{*}}{name}"), None)
    return element


def text(element: Element | None, *path: str) -> str | None:
    """The text on a path, or None where there is none.

    Raises:
        Cut: it is longer than any text of a statement.
    """
    found = child(element, *path)
    if found is None or found.text is None:
        return None
    if len(found.text) > MOST_TEXT:
        raise Cut("TEXT-TOO-LONG", f"{local(found)} has {len(found.text)} characters")
    return found.text.strip() or None


def first(element: Element | None, *paths: tuple[str, ...]) -> str | None:
    """The text on the first path that has any."""
    for path in paths:
        if (found := text(element, *path)) is not None:
            return found
    return None


def check_depth(element: Element, place: str) -> None:
    """Refuse what is nested deeper than any statement."""
    if _DEEPER(element):
        raise Cut("TOO-DEEP", f"{place} is nested deeper than {MOST_DEPTH} levels")


# ── Values ───────────────────────────────────────────────────────────────────────────────────


def minor(element: Element | None, currency: str, place: str) -> int:
    """An amount in minor units; more digits than the currency has are fine if they are zeros.

    Raises:
        LineFault: no plain number, no known currency, or an amount that it cannot express.
    """
    written = (element.text or "").strip() if element is not None else ""
    fault: dict[str, Any] = {"value": written, "remedy": ASK_AGAIN, "undecided": True}
    found = _AMOUNT.fullmatch(written)
    if found is None:
        raise LineFault("AMOUNT-UNREADABLE", f"{place} has no plain number as amount", **fault)
    try:
        digits = minor_digits(currency)
    except Invalid:
        fault["value"] = currency
        raise LineFault("CURRENCY-UNKNOWN", f"{place} is in no known currency", **fault) from None
    whole, part = found[1], found[2] or ""
    units = int(whole + part[:digits].ljust(digits, "0"))
    if part[digits:].strip("0") or units > MOST_MINOR:
        raise LineFault(
            "AMOUNT-PRECISION", f"{place} has an amount that {currency} cannot express", **fault
        )
    return units


def entry_amount(element: Element, account_currency: str, place: str) -> int:
    """The signed amount of a booking, in the account's currency.

    A reversal's sign is its own: a credit that is a reversal is money that came back.
    """
    amount = child(element, "Amt")
    currency = (amount.get("Ccy") if amount is not None else None) or account_currency
    units = minor(amount, currency, place)
    side = text(element, "CdtDbtInd")
    if side not in ("CRDT", "DBIT"):
        raise LineFault(
            "SIGN-UNKNOWN",
            f"{place} says neither credit nor debit",
            value=side or "",
            remedy=ASK_AGAIN,
            undecided=True,
        )
    if currency != account_currency:
        raise LineFault(
            "CURRENCY-NOT-ACCOUNTS",
            f"{place} is in {currency}, the account in {account_currency}",
            value=currency,
            remedy="Ask the bank for the amount in the account's currency.",
            undecided=False,
        )
    return units if side == "CRDT" else -units


def status(element: Element, place: str, kind: Kind) -> Status:
    """Booked, pending, or information; up to .06 a text, from .07 on a code of its own.

    Where there is none, a statement means booked, and an intraday report pending.
    """
    silent = "PDNG" if kind == "intraday" else "BOOK"
    word = first(element, ("Sts", "Cd"), ("Sts", "Prtry"), ("Sts",)) or silent
    if word == "BOOK":
        return "booked"
    if word == "PDNG":
        return "pending"
    if word in ("INFO", "FUTR"):
        return "information"
    raise LineFault(
        "UNKNOWN-STATUS",
        f"{place} is neither booked nor pending nor information",
        value=word,
        remedy="Ask the bank what the status means.",
        undecided=False,
    )


def day(element: Element | None, place: str) -> date | None:
    """The civil date of a choice of date and time; None where the bank gives none.

    Raises:
        LineFault: a day that does not exist.
    """
    written = first(element, ("Dt",), ("DtTm",))
    if written is None:
        return None
    found = loose_day(written)
    if found is None:
        raise LineFault(
            "DATE-IMPOSSIBLE",
            f"{place} names a day that does not exist",
            value=written,
            remedy=ASK_DAY,
            undecided=False,
        )
    return found


def loose_day(written: str | None) -> date | None:
    """A date, or the day in China of a time with zone; a time without zone keeps its day."""
    if written is None:
        return None
    try:
        if len(written) > 10 and (moment := instant(written)) is not None:
            return civil(moment)
        return date.fromisoformat(written[:10]) if _DATE.match(written) else None
    except (ValueError, OverflowError):
        return None


def instant(written: str | None) -> datetime | None:
    """A time with its zone, or None."""
    try:
        return None if written is None else parse_instant(written)
    except Invalid:
        return None


def reference(written: str | None) -> str | None:
    """A reference, or None where banks write a word that means none."""
    return None if written is None or written.upper() in _NO_REFERENCE else written


def code(element: Element | None) -> str:
    """The bank's transaction code: of the domain, else its own."""
    domain = child(element, "Domn")
    parts = (text(domain, "Cd"), text(domain, "Fmly", "Cd"), text(domain, "Fmly", "SubFmlyCd"))
    return "/".join(part for part in parts if part) or text(element, "Prtry", "Cd") or ""


# ── Payments inside a booking ────────────────────────────────────────────────────────────────


def details(
    entry: Element, amount_fen: int, currency: str
) -> tuple[tuple[Detail, ...], tuple[str, ...]]:
    """The payments inside a booking, and marks where they do not explain it."""
    found: list[Element] = []
    announced = 0
    for holder in (*entry.iterchildren("{*}NtryDtls"), entry):  # in .01 the entry holds them
        found += holder.iterchildren("{*}TxDtls")
        told = text(holder, "Btch", "NbOfTxs") or ""
        announced += int(told) if re.fullmatch("[0-9]{1,9}", told) else 0
    if len(found) > MOST_DETAILS:
        raise Cut("ENTRY-TOO-LARGE", f"more than {MOST_DETAILS} payments in one line")
    # Without details the entry stands for itself; its own elements hold no remittance.
    payments = tuple(_detail(each, amount_fen, currency, entry) for each in found or [entry])
    marks = ["BATCH-WITHOUT-DETAILS"] if announced > len(payments) else []
    amounts = [payment.amount_fen for payment in payments]
    is_alone = amounts == [None]
    if not is_alone and (None in amounts or sum(a or 0 for a in amounts) != amount_fen):
        marks.append("DETAILS-DO-NOT-ADD")
    return payments, tuple(marks)


def _detail(element: Element, entry_fen: int, currency: str, entry: Element) -> Detail:
    amount = None if element is entry else _detail_amount(element, entry_fen, currency)
    side = "Dbtr" if (entry_fen if amount is None else amount) >= 0 else "Cdtr"
    refs, parties = child(element, "Refs"), child(element, "RltdPties")
    account = child(parties, f"{side}Acct", "Id")
    agent = child(element, "RltdAgts", f"{side}Agt", "FinInstnId")
    remittance, returned = child(element, "RmtInf"), child(element, "RtrInf")
    return_code = first(returned, ("Rsn", "Cd"), ("Rsn", "Prtry"), ("RtrRsn", "Cd"))
    return Detail(
        amount_fen=amount,
        end_to_end=reference(text(refs, "EndToEndId")),
        uetr=text(refs, "UETR"),
        instruction=reference(text(refs, "InstrId")),
        mandate=text(refs, "MndtId"),
        counterparty=_name(child(parties, side)),
        counterparty_account=first(
            account, ("IBAN",), ("Othr", "Id"), ("PrtryAcct", "Id"), ("BBAN",)
        ),
        counterparty_bank=first(
            agent, ("BICFI",), ("BIC",), ("ClrSysMmbId", "MmbId"), ("CmbndId", "BIC")
        ),
        ultimate=_name(child(parties, f"Ultmt{side}")),
        free=_texts(remittance, "Ustrd"),
        structured=_structured(remittance),
        bank_text=text(element, "AddtlTxInf") or text(entry, "AddtlNtryInf"),
        return_code=None if returned is None else return_code or "UNSTATED",
        purpose=first(element, ("Purp", "Cd"), ("Purp", "Prtry")),
    )


def _detail_amount(element: Element, entry_fen: int, currency: str) -> int | None:
    """The signed amount of a detail in the booking's currency, or None.

    The instructed amount may be in another currency and is never taken.
    """
    amount = child(element, "Amt")
    if amount is None:  # .01 and .02
        amount = child(element, "AmtDtls", "TxAmt", "Amt")
    if amount is None or amount.get("Ccy", currency) != currency:
        return None
    try:
        units = minor(amount, currency, "a detail")
    except LineFault:
        return None  # the details then do not add up, and the booking counts as a whole
    side = text(element, "CdtDbtInd")
    is_debit = side == "DBIT" if side in ("CRDT", "DBIT") else entry_fen < 0
    return -units if is_debit else units


def _name(party: Element | None) -> str | None:
    return first(party, ("Nm",), ("Pty", "Nm"), ("Agt", "FinInstnId", "Nm"))


def _texts(element: Element | None, name: str) -> tuple[str, ...]:
    if element is None:
        return ()
    found = (text(each) for each in element.iterchildren(f"{{*}}{name}"))
    return tuple(each for each in found if each)


def _structured(remittance: Element | None) -> tuple[str, ...]:
    if remittance is None:
        return ()
    found: list[str] = []
    for part in remittance.iterchildren("{*}Strd"):
        own = first(part, ("CdtrRefInf", "Ref"), ("CdtrRefInf", "CdtrRef"))
        documents = [text(each, "Nb") for each in part.iterchildren("{*}RfrdDocInf")]
        found += [each for each in (own, *documents, text(part, "RfrdDocNb")) if each]
        found += _texts(part, "AddtlRmtInf")
    return tuple(found)
