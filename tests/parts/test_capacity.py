"""What may still be financed, against the worked example and at random."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from financing.rules.capacity import (
    Receivable,
    Term,
    TermName,
    capacity,
    held_by,
    open_fen,
    retention_fen,
)

DAY = date(2026, 3, 2)
FEN = st.integers(0, 10**13)


def term(name: TermName, fen: int) -> Term:
    return Term(name, fen, "record", DAY)


def receivable(a: int, p: int = 0, v: int = 0, r: int = 0, d: int = 0, x: int = 0) -> Receivable:
    return Receivable(
        amount=term("amount", a), paid=term("paid", p), advances=term("advances", v),
        retention=term("retention", r), deducted=term("deducted", d), diverted=term("diverted", x),
    )  # fmt: skip


EXAMPLE = receivable(386_420_000, 77_284_000, 38_642_000, retention_fen(386_420_000, 500))


def test_the_worked_example_term_by_term() -> None:
    assert retention_fen(386_420_000, 500) == 19_321_000
    assert open_fen(EXAMPLE) == 251_173_000
    held = held_by(50_000_000, 7000)
    assert held == 71_428_572
    bank_b = capacity(EXAMPLE, held_fen=held, share_bp=8000, cap_fen=300_000_000)
    assert {line.name: line.fen for line in bank_b.terms} == {
        "amount": 386_420_000, "paid": -77_284_000, "advances": -38_642_000,
        "retention": -19_321_000, "deducted": 0, "diverted": 0, "open": 251_173_000,
        "held": -71_428_572, "available": 179_744_428, "share": 143_795_542,
        "cap": 300_000_000, "capacity": 143_795_542,
    }  # fmt: skip
    assert bank_b.fen == 143_795_542
    assert capacity(EXAMPLE, held_fen=held, share_bp=7000, cap_fen=10**12).fen == 125_821_099


def test_after_everything_is_drawn_nothing_is_left_and_nothing_is_negative() -> None:
    held = held_by(50_000_000, 7000) + held_by(143_795_542, 8000)
    assert held == 251_173_000
    assert capacity(EXAMPLE, held_fen=held, share_bp=8000, cap_fen=10**12).fen == 0


def test_a_diverted_payment_is_taken_off_until_made_good() -> None:
    assert open_fen(receivable(1000, x=400)) == 600


def test_the_smallest_limit_rules() -> None:
    whole = receivable(10_000)
    assert capacity(whole, held_fen=0, share_bp=10_000, cap_fen=9_000).fen == 9_000
    small = capacity(whole, held_fen=0, share_bp=10_000, cap_fen=9_000, limit_fen=5)
    assert small.fen == 5
    assert [line.name for line in small.terms][-2:] == ["limit", "capacity"]


@given(FEN, FEN, FEN, FEN, FEN, FEN, FEN, st.integers(1, 10_000), FEN)
def test_capacity_is_never_negative_and_its_loan_never_takes_more_than_is_available(
    a: int, p: int, v: int, r: int, d: int, x: int, held: int, share: int, cap: int
) -> None:
    known = receivable(a, p, v, r, d, x)
    got = capacity(known, held_fen=held, share_bp=share, cap_fen=cap)
    lines = {line.name: line.fen for line in got.terms}
    assert min(lines["open"], lines["available"], lines["share"], got.fen) >= 0
    assert held_by(got.fen, share) <= max(0, open_fen(known) - held)
