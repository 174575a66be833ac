"""Interest to the fen."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from financing.errors import Invalid
from financing.rules.rates import interest


@pytest.mark.parametrize(
    ("principal_fen", "rate_bp", "days", "basis", "expected_fen"),
    [
        (80_000_000, "435", 180, "ACT/360", 1_740_000),
        (80_000_000, "435", 180, "ACT/365", 1_716_164),
        (80_000_000, "435", 19, "ACT/360", 183_667),
        (80_000_000, "435", 92, "ACT/360", 889_333),
        (80_000_000, "435", 91, "ACT/360", 879_667),
        (33_333_333, "399", 365, "ACT/360", 1_348_472),
        (1, "435", 180, "ACT/360", 0),
    ],
)
def test_interest_is_rounded_once_half_up(
    principal_fen: int, rate_bp: str, days: int, basis: str, expected_fen: int
) -> None:
    assert interest(principal_fen, rate_bp, days, basis) == expected_fen


def test_half_a_fen_is_a_whole_one() -> None:
    assert interest(100, "50", 365) == 1
    assert interest(98, "50", 365) == 0


def test_an_unknown_day_basis_is_refused() -> None:
    with pytest.raises(Invalid, match="day basis"):
        interest(100, "435", 30, "30/360?")


@given(st.integers(0, 10**13), st.integers(0, 3000), st.integers(0, 4000))
def test_interest_is_within_half_a_fen_of_the_exact_sum(fen: int, rate: int, days: int) -> None:
    exact = Decimal(fen) * rate * days / (10_000 * 365)
    assert abs(interest(fen, Decimal(rate), days) - exact) <= Decimal("0.5")
