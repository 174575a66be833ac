"""Money is conserved to the fen in both books, whatever their balances are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from financing.rules.postings import (
    ORDER,
    Event,
    accepted,
    evened,
    is_paid,
    owed_fen,
    priced,
    received,
    taken,
)

fen = st.integers(1, 10**12)
some = st.integers(0, 10**12)
contract_books = st.fixed_dictionaries(
    {"UNDELIVERED": some, "RECEIVABLE": some, "RETENTION": some, "ADVANCE": some.map(lambda n: -n)}
)
loan_books = st.fixed_dictionaries(dict.fromkeys(ORDER, some))


def balances(event: Event) -> bool:
    return sum(debit - credit for _, debit, credit in event.lines) == 0


def after(book: dict[str, int], *events: Event) -> dict[str, int]:
    book = dict(book)
    for event in events:
        for account, debit, credit in event.lines:
            book[account] = book.get(account, 0) + debit - credit
    return book


@given(contract_books, fen, st.booleans())
def test_a_payment_is_what_was_due_ahead_and_over(
    book: dict[str, int], paid: int, is_repeat: bool
) -> None:
    got = received(book, paid, is_repeat=is_repeat)
    assert all(map(balances, got.events))
    assert got.due_fen + got.advance_fen + got.over_fen == paid
    then = after(book, *got.events)
    assert then["CASH"] == paid
    assert min(then["RECEIVABLE"], then["RETENTION"]) >= 0
    if book["UNDELIVERED"] >= -book["ADVANCE"]:
        assert then["UNDELIVERED"] + then["ADVANCE"] >= 0
    if got.over_fen:
        assert then["RECEIVABLE"] == 0
        assert then["UNDELIVERED"] + then["ADVANCE"] <= 0


@given(loan_books, fen)
def test_the_bank_takes_in_its_order_and_the_rest_passes_on(
    book: dict[str, int], paid: int
) -> None:
    got = taken(book, paid)
    assert all(map(balances, got.events))
    assert sum(got.split.values()) + got.rest_fen == paid
    then = after(book, *got.events)
    assert then["CLEARING"] == 0
    assert then.get("REMAINDER", 0) == 0
    assert owed_fen(then) == max(0, owed_fen(book) - paid)
    assert got.rest_fen == max(0, paid - owed_fen(book))
    for n, account in enumerate(ORDER):  # nothing later is served while something earlier is owed
        if then[account]:
            assert not any(got.split[later] for later in ORDER[n + 1 :])


@given(contract_books, fen, some, some, some)
def test_acceptance_moves_the_price_and_invents_nothing(
    book: dict[str, int], part: int, retention: int, planned: int, later: int
) -> None:
    event = accepted(
        book,
        part,
        retention_fen=retention,
        planned_recovery_fen=planned,
        later_recovery_fen=later,
    )
    assert balances(event)
    then = after(book, event)
    assert then["ADVANCE"] <= 0
    assert then["UNDELIVERED"] == book["UNDELIVERED"] - min(part, book["UNDELIVERED"])
    assert then["RECEIVABLE"] >= book["RECEIVABLE"]


@given(some, some)
def test_the_price_follows_the_contracts_amount(first: int, second: int) -> None:
    book: dict[str, int] = {}
    for amount in (first, second):
        event = priced(book, amount)
        if event is not None:
            assert balances(event)
            book = after(book, event)
    assert -book.get("PRICE", 0) == second
    assert priced(book, second) is None


def test_a_planned_advance_is_recovered_as_planned_and_an_early_payment_at_once() -> None:
    book = {"UNDELIVERED": 1000, "ADVANCE": -300}
    planned = accepted(book, 500, planned_recovery_fen=100, later_recovery_fen=200)
    assert after(book, planned)["RECEIVABLE"] == 400
    early = accepted(book, 500)
    assert after(book, early) == {
        "UNDELIVERED": 500, "ADVANCE": 0, "RECEIVABLE": 200, "RETENTION": 0,
    }  # fmt: skip


@given(contract_books, st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_setting_off_leaves_no_debt_beside_an_overpayment(
    book: dict[str, int], advance: int, over: int
) -> None:
    book |= {"ADVANCE": advance, "OVERPAID": over}
    event = evened(book)
    if event is not None:
        assert balances(event)
        book = after(book, event)
    assert max(book["ADVANCE"], book["OVERPAID"]) <= 0
    assert book["OVERPAID"] == 0 or book["RECEIVABLE"] == 0
    assert evened(book) is None


def test_a_contract_is_paid_when_nothing_of_its_price_is_open() -> None:
    assert is_paid({"PRICE": -100, "CASH": 100})
    assert not is_paid({"PRICE": -100, "RETENTION": 5, "CASH": 95})
    assert not is_paid({"PRICE": -100, "UNDELIVERED": 100, "ADVANCE": -100, "CASH": 100})
    assert not is_paid({})
