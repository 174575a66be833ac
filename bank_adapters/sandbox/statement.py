"""Accounts at this bank: booking, and the statement of one account as camt.053.001.08.

Source: ISO 20022, Bank to Customer Statement V08.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import date, datetime

from bank_adapters.sandbox.books import CHINA, Books, Row, rfc3339

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
# What moved, as (domain, family, sub-family) of the bank transaction code.
KINDS = {
    "received": ("PMNT", "RCDT", "DMCT"),
    "collected": ("LDAS", "FTLN", "PPAY"),
    "returned": ("PMNT", "RRCT", "DMCT"),
}
_NO_DIGITS = {"JPY", "KRW", "CLP", "PYG", "VND", "ISK", "UGX", "XAF", "XOF", "XPF", "RWF"}
_THREE_DIGITS = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}


class Unbookable(Exception):
    """The payment cannot be booked; says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One booking; a positive amount came in, a negative one went out. Minor units."""

    account: str
    amount: int
    currency: str
    on: date
    other_name: str
    other_account: str = ""
    end_to_end: str = ""
    remittance: str = ""
    kind: str = "received"
    reversal: bool = False


def number(text: str) -> str:
    """An account number without what people put between its digits."""
    return "".join(letter for letter in text if letter.isalnum()).upper()


def open_account(books: Books, account: str, holder: str, currency: str) -> None:
    """Open an account; one that is open keeps its holder unless it had none."""
    with books.writing() as db:
        db.execute(
            "INSERT INTO account VALUES (?, ?, ?) ON CONFLICT (number) DO UPDATE SET holder = "
            "CASE WHEN account.holder = '' THEN excluded.holder ELSE account.holder END",
            (account, holder, currency),
        )


def book(books: Books, entry: Entry) -> str:
    """Book one entry; returns its reference.

    Raises:
        Unbookable: the account keeps another currency.
    """
    with books.writing() as db:
        open_account(books, entry.account, "", entry.currency)
        kept = books.one("SELECT currency FROM account WHERE number = ?", entry.account)
        if kept is None or kept["currency"] != entry.currency:
            raise Unbookable(f"the account does not keep {entry.currency}")
        reference = f"LS{books.next_number('entry'):010d}"
        db.execute(
            "INSERT INTO entry VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                reference,
                entry.account,
                entry.on.isoformat(),
                entry.amount,
                entry.other_name,
                entry.other_account,
                entry.end_to_end,
                entry.remittance,
                entry.kind,
                int(entry.reversal),
            ),
        )
        return reference


def camt(books: Books, bank: str, account: str, since: date, until: date) -> bytes | None:
    """The statement of an account from one day to another, both included; None if not kept here.

    The same account, days, and entries give the same bytes.
    """
    kept = books.one("SELECT * FROM account WHERE number = ?", account)
    if kept is None:
        return None
    before = books.one(
        "SELECT coalesce(sum(amount), 0) AS total FROM entry WHERE account = ? AND booked_on < ?",
        account,
        since.isoformat(),
    )
    entries = books.rows(
        "SELECT * FROM entry WHERE account = ? AND booked_on BETWEEN ? AND ? ORDER BY booked_on, n",
        account,
        since.isoformat(),
        until.isoformat(),
    )
    opening = int(before["total"]) if before else 0
    closing = opening + sum(entry["amount"] for entry in entries)
    currency = kept["currency"]
    root = ET.Element("Document", {"xmlns": NAMESPACE})
    message = ET.SubElement(root, "BkToCstmrStmt")
    name = f"{account[-8:]}-{since:%Y%m%d}-{until:%Y%m%d}-{len(entries)}"
    # Made on the evening of its last day: the same statement again is the same file.
    made = rfc3339(_evening(until))
    _put(message, "GrpHdr", MsgId=f"{bank.upper()[:10]}-{name}"[:35], CreDtTm=made)
    statement = _put(message, "Stmt", Id=name[:35], CreDtTm=made)
    _put(statement, "FrToDt", FrDtTm=f"{since}T00:00:00+08:00", ToDtTm=f"{until}T23:59:59+08:00")
    owner = _put(statement, "Acct")
    _put(_put(_put(owner, "Id"), "Othr"), "Id").text = account
    _put(owner, "Ccy").text = currency
    if kept["holder"]:
        _put(owner, "Ownr", Nm=kept["holder"][:140])
    for code, total, day in (("OPBD", opening, since), ("CLBD", closing, until)):
        balance = _put(statement, "Bal")
        _put(_put(_put(balance, "Tp"), "CdOrPrtry"), "Cd").text = code
        _amount(balance, total, currency)
        _put(balance, "Dt", Dt=day.isoformat())
    for entry in entries:
        _entry(statement, entry, currency)
    ET.indent(root, " ")
    content: bytes = ET.tostring(root, "utf-8", xml_declaration=True)
    return content + b"\n"


def _entry(statement: ET.Element, entry: Row, currency: str) -> None:
    top = _put(statement, "Ntry", NtryRef=entry["reference"])
    _amount(top, entry["amount"], currency)
    if entry["reversal"]:
        _put(top, "RvslInd").text = "true"
    _put(top, "Sts", Cd="BOOK")
    _put(top, "BookgDt", Dt=entry["booked_on"])
    _put(top, "ValDt", Dt=entry["booked_on"])
    _put(top, "AcctSvcrRef").text = entry["reference"]
    domain, family, sub = KINDS[entry["kind"]]
    code = _put(_put(top, "BkTxCd"), "Domn", Cd=domain)
    _put(code, "Fmly", Cd=family, SubFmlyCd=sub)
    detail = _put(_put(top, "NtryDtls"), "TxDtls")
    end_to_end = entry["end_to_end"] or "NOTPROVIDED"
    _put(detail, "Refs", AcctSvcrRef=entry["reference"], EndToEndId=end_to_end[:35])
    _amount(detail, entry["amount"], currency)
    side = "Dbtr" if entry["amount"] > 0 else "Cdtr"
    parties = _put(detail, "RltdPties")
    _put(_put(_put(parties, side), "Pty"), "Nm").text = entry["other_name"][:140]
    if entry["other_account"]:
        other = _put(_put(_put(parties, f"{side}Acct"), "Id"), "Othr")
        _put(other, "Id").text = entry["other_account"][:34]
    if entry["remittance"]:
        text = _put(detail, "RmtInf")
        for start in range(0, len(entry["remittance"]), 140):
            _put(text, "Ustrd").text = entry["remittance"][start : start + 140]


def _amount(parent: ET.Element, minor: int, currency: str) -> None:
    digits = 0 if currency in _NO_DIGITS else 3 if currency in _THREE_DIGITS else 2
    whole, part = divmod(abs(minor), 10**digits)
    shown = f"{whole}.{part:0{digits}d}" if digits else str(whole)
    amount = _put(parent, "Amt")
    amount.set("Ccy", currency)
    amount.text = shown
    _put(parent, "CdtDbtInd").text = "CRDT" if minor >= 0 else "DBIT"


def _put(parent: ET.Element, tag: str, **texts: str) -> ET.Element:
    element = ET.SubElement(parent, tag)
    for name, text in texts.items():
        ET.SubElement(element, name).text = text
    return element


def _evening(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=CHINA)
