"""Bank statements in their normal form: what every reader of a format yields.

A reader yields the lines of a statement as they come and its `Statement` after the last one, so
that memory does not grow with the file and nothing is booked before the end was read. Nothing
after the reader knows the format.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

from financing.formats.faults import ASK_AGAIN
from financing.values.money import show_money
from financing.values.parked import Parked
from financing.values.text import number_search, search_text

SEARCHED: Final = 4096  # characters of a remittance in which a number is looked for
SHORTEST_NUMBER: Final = 6  # a shorter one is found in texts that do not mean it

Kind = Literal["books", "intraday", "notice"]
Status = Literal["booked", "pending", "information"]
Identity = Literal["reference", "balance", "text"]

_WORD: Final = re.compile(r"[^\s,;:|#*\"'!?<>=+，；：、。！？“”‘’]+")
_DIGIT: Final = re.compile("[0-9]")
_CODE: Final = re.compile(r"[0-9A-Z]+(?:[-_/.·‐‑‒–—―−][0-9A-Z]+)*")


@dataclass(frozen=True, slots=True)
class Account:
    """The account of a statement; its type belongs to its identity.

    Args:
        number: as received.
        type: the bank's word for a sub-account, empty where it gives none.
    """

    scheme: str
    number: str
    type: str
    currency: str
    servicer: str


@dataclass(frozen=True, slots=True)
class Balance:
    """A booked balance, signed; `on` is None where the bank gave no date."""

    code: str
    fen: int
    currency: str
    on: date | None


@dataclass(frozen=True, slots=True)
class Detail:
    """One payment inside a booking; without an amount it stands for the whole booking.

    Args:
        amount_fen: signed minor units of the booking's currency.
        counterparty: debtor of money that came in, creditor of money that went out.
        free: lines of the remittance, as folded by the bank.
        structured: references of the structured remittance.
        bank_text: what the bank itself wrote, looked at last.
        return_code: why a payment came back; None where it did not.
    """

    amount_fen: int | None
    end_to_end: str | None
    uetr: str | None
    instruction: str | None
    mandate: str | None
    counterparty: str | None
    counterparty_account: str | None
    counterparty_bank: str | None
    ultimate: str | None
    free: tuple[str, ...]
    structured: tuple[str, ...]
    bank_text: str | None
    return_code: str | None
    purpose: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One booking as the bank reports it.

    Args:
        statement: which statement of the file it belongs to, from 1.
        position: its place among the lines of that statement, from 1.
        place: where a person finds it in the file.
        amount_fen: signed minor units from the account's view: what comes in is positive.
        booking_on: None where the bank gives no date: then the day of the closing balance.
        reversal: it undoes an earlier booking; the sign is its own.
        marks: what a person should know of it: DATE-MISSING, DETAILS-DO-NOT-ADD,
            BATCH-WITHOUT-DETAILS.
        raw: the line as received (of XML, the element in UTF-8), kept as evidence.
        balance_fen: what the account held after the line, where the bank says so.
        identity: what tells it from another line of its day and amount; said by its format, never
            chosen by looking at a file: half a file would choose otherwise, and book twice.
    """

    statement: int
    position: int
    place: str
    amount_fen: int
    currency: str
    status: Status
    booking_on: date | None
    value_on: date | None
    reversal: bool
    bank_ref: str | None
    entry_ref: str | None
    code: str
    details: tuple[Detail, ...]
    marks: tuple[str, ...]
    raw: bytes
    balance_fen: int | None = None
    identity: Identity = "reference"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a whole statement cannot be booked."""

    reason: str
    value: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What is known of a statement after its last line.

    Args:
        number: the bank's own number of it with its year; two numbers are two statements.
        lines: how many lines the bank wrote, parked ones included.
        sum_fen: sum of the booked lines whose amount could be read, parked ones included.
        holds: opening + sum = closing; None where a balance is missing.
        fault: set where nothing of it may be booked.
        marks: `UNPROVEN` and the like: booked, and a person looks at it.
    """

    index: int
    place: str
    kind: Kind
    format: str
    account: Account | None
    message_id: str
    statement_id: str
    number: str | None
    created_at: datetime | None
    opening: Balance | None
    closing: Balance | None
    lines: int
    sum_fen: int
    holds: bool | None
    fault: Fault | None
    marks: tuple[str, ...]

    @property
    def family(self) -> str:
        """Formats of one family write the same references, so that their lines have equal keys."""
        if self.format.startswith("mt94"):
            return "mt940"
        return "camt" if self.format.startswith("camt") else self.format


Event = Entry | Parked | Statement  # what readers yield


def proof(opening: Balance | None, sum_fen: int, closing: Balance | None) -> bool | None:
    """Whether opening and lines make the closing balance; None where a balance is missing."""
    if opening is None or closing is None:
        return None
    return opening.fen + sum_fen == closing.fen


def equation(opening: Balance | None, sum_fen: int, closing: Balance | None) -> Fault | None:
    """Why opening and lines do not make the closing balance; None if they do, or nobody can tell.

    Args:
        sum_fen: all booked lines whose amount could be read, parked ones included.
    """
    if opening is None or closing is None or proof(opening, sum_fen, closing):
        return None
    missing = closing.fen - opening.fen - sum_fen
    first, lines, last, rest = (
        show_money(fen, opening.currency) for fen in (opening.fen, sum_fen, closing.fen, missing)
    )
    return Fault(
        f"BALANCE-BROKEN: opening {first} and lines {lines} do not make closing {last};"
        f" the difference is {rest}",
        str(missing),
        ASK_AGAIN,
    )


def tail(entry: Entry, looked_in: str) -> str:
    """What tells a line from another of its day and amount: the bank's own reference or the balance
    after it, else what the parties wrote. Never what a second sending may write differently.

    Args:
        looked_in: the line's remittance as `searched` gives it.
    """
    if entry.identity == "reference" and entry.bank_ref is not None:
        return f"ref:{entry.bank_ref}"
    if entry.identity == "balance" and entry.balance_fen is not None:
        return f"bal:{entry.balance_fen}"
    first = entry.details[0]
    account = first.counterparty_account or ""
    said = [str(entry.value_on or ""), first.end_to_end or "", account, looked_in]
    return "txt:" + hashlib.sha256("\x1f".join(said).encode()).hexdigest()


def remittance(detail: Detail) -> tuple[str, ...]:
    """The lines of a detail that may name a contract; the bank's own text only if nothing else."""
    said = (*detail.free, *detail.structured)
    return said or ((detail.bank_text,) if detail.bank_text else ())


def searched(lines: Iterable[str]) -> str:
    """Remittance lines as one text in which a number is looked for.

    Banks fold lines in the middle of a number, so the lines are joined without a blank.
    """
    return search_text("".join(lines)[: 4 * SEARCHED])[:SEARCHED]


def numbers(lines: Iterable[str]) -> tuple[str, ...]:
    """Words of a remittance that may be the number of a contract, in the form of `searched`.

    Both readings of a line break count: as a blank and as nothing.
    """
    lines = tuple(lines)
    found: dict[str, None] = {}
    for text in dict.fromkeys(glue.join(lines)[:SEARCHED] for glue in (" ", "")):
        folded = unicodedata.normalize("NFKC", text).upper()
        for pattern in (_WORD, _CODE):
            for word in pattern.findall(folded):
                if _DIGIT.search(word) is None:
                    continue  # most words: the dear part is what follows
                key = search_text(word)
                for spelt in (key, number_search(key)):
                    if len(spelt) >= SHORTEST_NUMBER:
                        found[spelt] = None
    return tuple(found)
