"""Every kind of notice: who gets it. The words are `notice.<KIND>` in both languages.

Recipients are roles around the case: its supplier, purchaser, and bank, the bureau, and the
platform's operator. Every notice is recorded when it was written, delivered, and opened.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    kind: str
    to: tuple[str, ...]


CATALOGUE = (
    Notice("TELL-WINNER", ("supplier",)),
    Notice("TELL-CAPACITY", ("supplier",)),
    Notice("CONFIRM-ASK", ("purchaser",)),
    Notice("CONFIRM-LATE", ("purchaser", "supplier", "bureau")),
    Notice("CONFIRMED", ("supplier",)),
    Notice("CONFIRM-REFUSED", ("supplier",)),
    Notice("ACCOUNT-ASK", ("purchaser",)),
    Notice("ACCOUNT-SET", ("supplier",)),
    Notice("LOCKED", ("supplier", "bank", "purchaser")),
    Notice("APP-RECEIVED", ("supplier",)),
    Notice("APP-MORE", ("supplier",)),
    Notice("OFFER", ("supplier",)),
    Notice("OFFER-EXPIRED", ("supplier",)),
    Notice("REFUSED", ("supplier",)),
    Notice("ACCEPTED", ("bank",)),
    Notice("STALE", ("supplier", "bank")),
    Notice("CONTRACTED", ("supplier",)),
    Notice("DRAWN", ("supplier", "bank")),
    Notice("FAILED", ("supplier", "bureau")),
    Notice("HOLD", ("bank", "operator")),
    Notice("NEW-WORD", ("operator",)),
    Notice("PAYMENT-SAID", ("supplier", "operator")),
    Notice("REPAID", ("supplier", "bank")),
    Notice("RETURNED", ("supplier", "bank")),
    Notice("DIFFERENCE", ("bank", "operator")),
    Notice("SETTLED", ("supplier", "bank", "purchaser")),
    Notice("OVERDUE-LOAN", ("supplier", "bank", "bureau")),
    Notice("DIVERTED", ("bank", "bureau", "purchaser")),
    Notice("EXCEPTION", ("operator",)),
    Notice("PAID", ("supplier", "bank", "purchaser")),
    Notice("RETURNED-PAYMENT", ("bank", "purchaser")),
)

BY_KIND = {notice.kind: notice for notice in CATALOGUE}
