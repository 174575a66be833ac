"""Likeness of contracts: copies stop, lots and renewals do not."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from financing.rules.look_alike import STOPS, WARNS, Traits, score

ONE = Traits(
    ocid="ocds-zzhcp1-2026-0117",
    award="2026-0117-A1",
    number="ZZCG-2026-0117-1",
    amount_fen=128_000_000,
    currency="CNY",
    signed_on=date(2026, 2, 12),
    title="校舍照明改造",
    documents=frozenset({"sha-256:aa"}),
)
BLANK = replace(ONE, documents=frozenset())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 100),
        ({"number": "XJ-900", "signed_on": date(2025, 1, 1), "title": "别的项目"}, 80),
        ({"award": "2026-0117-A2", "number": "XJ-900"}, 45),
        ({"award": "2026-0117-A2", "number": "ZZCG-2026-0117-2", "amount_fen": 90_000_000}, 20),
        ({"award": "2026-0117-A2", "amount_fen": 127_000_000}, 40),
        ({"award": "", "number": "XJ-900"}, 81),
        ({"currency": "USD"}, 65),
    ],
)
def test_points_are_given_for_what_both_records_hold(
    changes: dict[str, object], expected: int
) -> None:
    assert score(BLANK, replace(BLANK, **changes)) == expected  # type: ignore[arg-type]


def test_the_same_award_and_amount_under_another_number_always_stop() -> None:
    other = replace(
        BLANK, number="XJ-900", signed_on=date(2020, 1, 1), title="x", ocid="ocds-other-1"
    )
    assert score(BLANK, other) >= STOPS
    assert score(replace(BLANK, title="", signed_on=None), other) >= STOPS


def test_short_award_ids_of_two_records_are_not_one_award() -> None:
    mine = replace(BLANK, award="1")
    assert score(mine, replace(mine, ocid="ocds-zzhcp1-2025-0009", number="XJ-900")) < STOPS


def test_an_equal_document_is_an_equal_contract() -> None:
    other = Traits("o", "", "", None, "CNY", None, "", frozenset({"sha-256:aa", "sha-256:bb"}))
    assert score(ONE, other) == 100
    assert score(replace(other, documents=frozenset()), ONE) == 0


def test_numbers_that_differ_by_zeros_and_dashes_are_alike() -> None:
    base = replace(BLANK, award="", amount_fen=None, signed_on=None, title="")
    for other in ("ZZCG20260117/1", "ZZCG-2026-00117-01", "ZZCG-2026-0117-2", "ZZCG-2026-0117"):
        assert score(base, replace(base, number=other)) == (0 if other.endswith("0117") else 100)
    assert score(base, replace(base, number="ZZCG-2026-0117-1X")) == 100


def test_a_yearly_renewal_warns_at_most() -> None:
    renewal = replace(
        BLANK, ocid="ocds-zzhcp1-2027-0117", award="2027-0117-A1", number="ZZCG-2027-0117-1",
        signed_on=date(2027, 2, 12),
    )  # fmt: skip
    assert WARNS <= score(BLANK, renewal) < STOPS


@given(st.text("ZC-0127", max_size=8), st.text("ZC-0127", max_size=8), st.integers(0, 200))
def test_likeness_has_no_direction_and_stays_within_a_hundred(
    one: str, other: str, fen: int
) -> None:
    a = replace(BLANK, number=one, title=other, amount_fen=100)
    b = replace(BLANK, number=other, title=one, amount_fen=fen)
    assert score(a, b) == score(b, a)
    assert 0 <= score(a, b) <= 100
