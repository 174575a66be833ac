"""What an offer costs: golden cases by another program, and what must hold of every offer."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from financing.rules.cost import cost


@pytest.mark.parametrize(
    ("fen", "rate", "days", "basis", "upfront", "interest", "simple", "compound"),
    [
        (80_000_000, "435", 180, "ACT/360", 0, 1_740_000, "4.4104", "4.4597"),
        (80_000_000, "435", 180, "ACT/365", 0, 1_716_164, "4.3500", "4.3980"),
        (80_000_000, "435", 180, "ACT/360", 400_000, 1_740_000, "5.4243", "5.5269"),
        (80_000_000, "435", 91, "ACT/360", 0, 879_667, "4.4104", "4.4840"),
        (33_333_333, "399", 365, "ACT/360", 0, 1_348_472, "4.0454", "4.0454"),
        (1, "435", 180, "ACT/360", 0, 0, "0", "0"),
    ],
)
def test_the_cost_of_an_offer(
    fen: int, rate: str, days: int, basis: str, upfront: int, interest: int, simple: str,
    compound: str,
) -> None:  # fmt: skip
    found = cost(fen, rate, days, basis, upfront_fen=upfront)
    assert found is not None
    assert found.interest_fen == interest
    assert round(found.simple_bp / 100, 4) == Decimal(simple)
    assert round(found.compound_bp / 100, 4) == Decimal(compound)


@given(
    fen=st.integers(1, 10**12), rate=st.integers(0, 3000), days=st.integers(1, 1000),
    upfront=st.integers(0, 10**6), end=st.integers(0, 10**6),
)  # fmt: skip
def test_what_is_repaid_is_what_was_got_and_every_cost(
    fen: int, rate: int, days: int, upfront: int, end: int
) -> None:
    found = cost(fen, str(rate), days, "ACT/360", upfront_fen=upfront, end_fen=end)
    if found is not None:
        assert found.repays_fen - found.gets_fen == found.total_fen
        assert found.simple_bp >= 0


@pytest.mark.parametrize(("days", "basis", "upfront"), [(0, "ACT/360", 0), (9, "30E/360", 0)])
def test_a_cost_that_cannot_be_reckoned_is_unknown(days: int, basis: str, upfront: int) -> None:
    assert cost(100, "400", days, basis, upfront_fen=upfront) is None
