"""Every kind of notice: who gets it, and by which channels. The words are `notice.<KIND>`.

Recipients are roles around the case: its supplier, purchaser, and bank, the bureau, and the
platform's operator. Every notice lies in the inbox, recorded when it was written, delivered, and
opened. What asks for an act or must be evidence goes by e-mail too, to each person of the
recipient who has given an address, once a mail server is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Channel = Literal["inbox", "email"]

INBOX: Final[tuple[Channel, ...]] = ("inbox",)
BOTH: Final[tuple[Channel, ...]] = ("inbox", "email")


@dataclass(frozen=True, slots=True)
class Notice:
    kind: str
    to: tuple[str, ...]
    channels: tuple[Channel, ...]


CATALOGUE = (
    Notice("TELL-WINNER", ("supplier",), BOTH),
    Notice("TELL-CAPACITY", ("supplier",), BOTH),
    Notice("CONFIRM-ASK", ("purchaser",), BOTH),
    Notice("CONFIRM-LATE", ("purchaser", "supplier", "bureau"), BOTH),
    Notice("CONFIRMED", ("supplier",), INBOX),
    Notice("CONFIRM-REFUSED", ("supplier",), BOTH),
    Notice("ACCOUNT-ASK", ("purchaser",), BOTH),
    Notice("ACCOUNT-SET", ("supplier",), INBOX),
    Notice("LOCKED", ("supplier", "bank", "purchaser"), BOTH),
    Notice("APP-RECEIVED", ("supplier",), BOTH),
    Notice("APP-MORE", ("supplier",), BOTH),
    Notice("OFFER", ("supplier",), BOTH),
    Notice("OFFER-EXPIRED", ("supplier",), BOTH),
    Notice("REFUSED", ("supplier",), BOTH),
    Notice("ACCEPTED", ("bank",), BOTH),
    Notice("STALE", ("supplier", "bank"), BOTH),
    Notice("CONTRACTED", ("supplier",), INBOX),
    Notice("DRAWN", ("supplier", "bank"), BOTH),
    Notice("FAILED", ("supplier", "bureau"), BOTH),
    Notice("HOLD", ("bank", "operator"), BOTH),
    Notice("NEW-WORD", ("operator",), INBOX),
    Notice("PAYMENT-SAID", ("supplier", "operator"), INBOX),
    Notice("REPAID", ("supplier", "bank"), BOTH),
    Notice("RETURNED", ("supplier", "bank"), BOTH),
    Notice("DIFFERENCE", ("bank", "operator"), BOTH),
    Notice("SETTLED", ("supplier", "bank", "purchaser"), BOTH),
    Notice("OVERDUE-LOAN", ("supplier", "bank", "bureau"), BOTH),
    Notice("DIVERTED", ("bank", "bureau", "purchaser"), BOTH),
    Notice("EXCEPTION", ("operator",), INBOX),
    Notice("PAID", ("supplier", "bank", "purchaser"), BOTH),
    Notice("RETURNED-PAYMENT", ("bank", "purchaser"), BOTH),
)

BY_KIND = {notice.kind: notice for notice in CATALOGUE}
