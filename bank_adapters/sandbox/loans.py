"""The bank's loan arithmetic: interest by the day, and the order in which a payment is taken."""

from __future__ import annotations

from datetime import date

from bank_adapters.sandbox.books import Books, Row, money
from bank_adapters.sandbox.config import BASES

ORDER = ("fees", "penalty", "interest", "principal")


def interest(principal: int, rate_bp: str, days: int, day_basis: str) -> int:
    """Simple interest of one period, rounded half up to the minor unit, once, at the end.

    The rate is decimal text; whole numbers throughout, so nothing is rounded before the end.
    """
    whole, _, part = rate_bp.partition(".")
    numerator = principal * int(whole + part) * days
    denominator = 10_000 * BASES[day_basis] * int("1" + "0" * len(part))
    return (2 * numerator + denominator) // (2 * denominator)


def accrue(books: Books, case: Row, on: date) -> Row:
    """Add the interest since the last change of the principal; the first day does not count."""
    since = date.fromisoformat(case["interest_to"])
    days = max((on - since).days, 0)
    more = interest(case["principal"], case["rate_bp"], days, case["day_basis"])
    books.update(
        case["reference"],
        interest=case["interest"] + more,
        interest_to=max(on, since).isoformat(),
    )
    return books.known(case["reference"])


def pay_out(books: Books, case: Row, amount: int, part: int, parts: int) -> None:
    """Pay out one part of a loan today."""
    with books.writing():
        on = books.today()
        if case["interest_to"] is None:
            books.update(case["reference"], interest_to=on.isoformat())
            case = books.known(case["reference"])
        case = accrue(books, case, on)
        books.update(
            case["reference"],
            drawn=case["drawn"] + amount,
            principal=case["principal"] + amount,
        )
        books.say(
            case["reference"],
            "loan.disbursed",
            "disbursed",
            state="drawn",
            money=money(amount, case["currency"]),
            on=on.isoformat(),
            part=part,
            parts=parts,
            loan_reference=case["loan_reference"],
            flow_reference=f"FK{books.next_number('flow'):08d}",
            echo_amount=money(case["contracted"], case["currency"]),
        )


def take_payment(books: Books, account: str, amount: int, on: date, flow: str) -> int:
    """Take from money that came into a locked account what its loans owe; returns what was taken.

    The rest stays in the account and belongs to the supplier.
    """
    left = amount
    with books.writing():
        for case in books.rows(
            "SELECT * FROM credit_case WHERE account = ? AND state IN ('drawn', 'overdue') "
            "ORDER BY signed_on, reference",
            account,
        ):
            if left:
                left -= _repay(books, accrue(books, case, on), left, on, flow)
    return amount - left


def _repay(books: Books, case: Row, most: int, on: date, flow: str) -> int:
    taken: dict[str, int] = {}
    left = most
    for name in ORDER:
        taken[name] = min(case[name], left)
        left -= taken[name]
    books.update(case["reference"], **{name: case[name] - taken[name] for name in ORDER})
    books.say(
        case["reference"],
        "loan.repaid",
        "repaid",
        money=money(most - left, case["currency"]),
        split={
            "principal": taken["principal"],
            "interest": taken["interest"],
            "fee": taken["fees"],
            "penalty": taken["penalty"],
        },
        on=on.isoformat(),
        loan_reference=case["loan_reference"],
        flow_reference=flow,
        source="contract_payment",
    )
    after = books.known(case["reference"])
    if all(after[name] == 0 for name in ORDER) and after["drawn"] == after["contracted"]:
        books.say(
            case["reference"],
            "loan.settled",
            "settled",
            state="settled",
            on=on.isoformat(),
            money=money(0, case["currency"]),
            loan_reference=case["loan_reference"],
        )
    return most - left


def fall_due(books: Books) -> None:
    """Say of each loan whose day has passed with money outstanding that it is overdue."""
    today = books.today()
    late = (
        "SELECT * FROM credit_case WHERE state = 'drawn' AND principal > 0 AND due_on < ?",
        today.isoformat(),
    )
    if not books.rows(*late):
        return
    with books.writing():
        for case in books.rows(*late):
            books.say(
                case["reference"],
                "loan.overdue",
                "overdue",
                state="overdue",
                on=today.isoformat(),
                money=money(case["principal"], case["currency"]),
                loan_reference=case["loan_reference"],
            )
