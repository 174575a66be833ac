"""What the city's people do, click by click, on the pages of the service.

1. `sign_in`
2. `name_account`, `ask_confirmation`  the supplier prepares a contract
3. `confirm`, `set_account`            the purchaser answers
4. `apply`, `accept_offer`             the supplier borrows
5. `accept_delivery`                   the purchaser accepts what was delivered

Each opens the page that a person would open, and sends the form that stands on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from financing.city.browser import Browser, Page
from financing.city.people import Account
from financing.errors import NotFound
from financing.values.ids import show
from financing.values.money import minor_digits
from financing.web.session import DEMO_PASSWORD


def sign_in(browser: Browser, login: str) -> Page:
    """Sign in with the city's password; the answer is the first page of the role."""
    return browser.send(
        browser.open(f"/?lang={browser.lang}"), "/", {"name": login, "password": DEMO_PASSWORD}
    )


def name_account(supplier: Browser, contract_id: UUID, account: Account) -> Page:
    """Name the account into which this contract shall be paid."""
    page = supplier.open(f"/contracts/{show('ct', contract_id)}/account")
    return supplier.send(
        page,
        "/account",
        {
            "holder": account.holder,
            "bank_name": account.bank_name,
            "cnaps": account.cnaps,
            "number": account.number,
        },
    )


def ask_confirmation(supplier: Browser, contract_id: UUID) -> Page:
    """Ask the purchaser to confirm the contract."""
    page = supplier.open(f"/contracts/{show('ct', contract_id)}")
    return supplier.send(page, "/confirmation")


def confirm(purchaser: Browser, number: str) -> Page:
    """Find the question about the contract of this number, and say that its figures are ours.

    Raises:
        NotFound: no open question is about it.
    """
    listed = purchaser.open("/confirmations")
    for address, _ in listed.links:
        if "/confirmations/" not in address:
            continue
        page = purchaser.open(address)
        if number in page.text and page.has_form(address.rpartition("/")[2]):
            return purchaser.send(page, address.rpartition("/")[2], {"same": "yes"})
    raise NotFound("no question about this contract is open", where=listed.url)


def set_account(purchaser: Browser, contract_id: UUID) -> Page:
    """Set the account that the supplier named."""
    name = show("ct", contract_id)
    return purchaser.send(purchaser.open(f"/accounts/{name}"), f"/accounts/{name}")


def apply(
    supplier: Browser,
    contract_id: UUID,
    *,
    bank_ids: Sequence[UUID],
    fen: int,
    currency: str,
    tenor_days: int,
) -> Page:
    """Apply for one amount: tick banks and consents, look at what would be sent, send it."""
    name = show("ct", contract_id)
    page = supplier.open(f"/contracts/{name}/apply")
    form = page.form("/apply/check")
    banks = [str(one) for one in bank_ids]
    wish: dict[str, str | Sequence[str]] = {
        "bank": banks,
        "amount": typed_amount(fen, currency),
        "tenor_days": str(tenor_days),
    }
    for bank in banks:
        wish[f"consent-{bank}"] = form.choices[f"consent-{bank}"][:1]
    checked = supplier.send(page, "/apply/check", wish)
    return supplier.send(checked, f"/{name}/apply")


def typed_amount(fen: int, currency: str) -> str:
    """An amount as a person types it: `1234.50`."""
    digits = minor_digits(currency)
    whole, part = divmod(fen, 10**digits)
    return f"{whole}.{part:0{digits}d}" if digits else str(whole)


def accept_offer(supplier: Browser, application_id: UUID) -> Page:
    """Look at the bank's offer once more, and accept exactly that one."""
    name = show("ap", application_id)
    return supplier.send(supplier.open(f"/applications/{name}/accept"), f"/{name}/accept")


def accept_delivery(
    purchaser: Browser, contract_id: UUID, on: date, milestone_id: UUID | None = None
) -> Page:
    """Accept one part of the delivery, or all that is left."""
    name = show("ct", contract_id)
    page = purchaser.open(f"/acceptances/{name}")
    part = {"milestone": str(milestone_id)} if milestone_id else {"milestone": "all"}
    return purchaser.send(page, f"/acceptances/{name}", {"on": on.isoformat(), **part})


def contract_path(contract_id: UUID) -> str:
    """The address of a contract's page."""
    return f"/contracts/{show('ct', contract_id)}"
