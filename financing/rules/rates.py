"""Interest: the published one-year rate (LPR), interest of loans, and late interest.

All in whole fen and Decimal; each interest is rounded once, half up, at the end.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, NamedTuple

from financing.errors import Invalid

DAY_BASES: Final = {"ACT/360": 360, "ACT/365": 365}
LATE_PPM_A_DAY: Final = 500


class Lpr(NamedTuple):
    """One published one-year loan prime rate, in force until the next row."""

    valid_from: date
    rate_bp: Decimal
    confirmed: bool


# Publisher: National Interbank Funding Center. Typed from memory of the series: unconfirmed until
# an operator has compared it, so whatever rests on a row says provisional.
LPR_1Y: Final = tuple(
    Lpr(date.fromisoformat(day), Decimal(rate), confirmed=False)
    for day, rate in (
        ("2020-04-20", "385"),
        ("2021-12-20", "380"),
        ("2022-01-20", "370"),
        ("2022-08-22", "365"),
        ("2023-06-20", "355"),
        ("2023-08-21", "345"),
        ("2024-07-22", "335"),
        ("2024-10-21", "310"),
        ("2025-05-20", "300"),
    )
)
# The day from which a newer rate may have been published that is not in the table.
LPR_KNOWN_BEFORE: Final = date(2025, 6, 20)


class Rate(NamedTuple):
    """A yearly rate in basis points; `provisional` while it rests on an unconfirmed row."""

    rate_bp: Decimal
    provisional: bool


def lpr_on(day: date) -> Rate | None:
    """The one-year LPR in force on a day, or None before the table begins."""
    rows = [row for row in LPR_1Y if row.valid_from <= day]
    if not rows:
        return None
    newest = rows[-1]
    return Rate(newest.rate_bp, not newest.confirmed or day >= LPR_KNOWN_BEFORE)


def interest(principal_fen: int, rate_bp: Decimal | str, days: int, basis: str = "ACT/365") -> int:
    """Simple interest of a span: principal × yearly rate × days ÷ basis, half up to the fen.

    Args:
        rate_bp: basis points a year (435 is 4.35 %).
        days: natural days; the first day does not count, the last does.
        basis: `ACT/360` or `ACT/365`.
    Raises:
        Invalid: another basis, or a negative span.
    """
    if basis not in DAY_BASES:
        raise Invalid(
            f"day basis {basis[:20]!r} is unknown", remedy=f"use {' or '.join(DAY_BASES)}"
        )
    if days < 0:
        raise Invalid(f"interest over {days} days", remedy="check the two dates")
    return _half_up(principal_fen * Decimal(rate_bp) * days, 10_000 * DAY_BASES[basis])


class LateInterest(NamedTuple):
    """Late interest and the rule that gave its rate: `agreed`, `lpr-floor`, or `statutory`."""

    fen: int
    by: str
    provisional: bool


def late_interest(
    unpaid_fen: int,
    due_on: date,
    paid_on: date,
    *,
    contract_on: date,
    agreed_bp: Decimal | None = None,
    basis: str = "ACT/365",
) -> LateInterest:
    """Interest that a purchaser owes on one late part of a price.

    The agreed rate counts, but no less than the one-year LPR of the day of the contract; where
    nothing is agreed, 0.05 % a day. Days are natural ones; the day of payment counts.

    Args:
        contract_on: the day on which the contract was concluded.
    Source: 保障中小企业款项支付条例, art. 15 (728), art. 17 (802).
    """
    days = max(0, (paid_on - due_on).days)
    if agreed_bp is None:
        fen = _half_up(Decimal(unpaid_fen * days * LATE_PPM_A_DAY), 1_000_000)
        return LateInterest(fen, "statutory", False)
    floor = lpr_on(contract_on)
    if floor is None:
        return LateInterest(interest(unpaid_fen, agreed_bp, days, basis), "agreed", True)
    is_floored = floor.rate_bp > agreed_bp
    fen = interest(unpaid_fen, max(agreed_bp, floor.rate_bp), days, basis)
    return LateInterest(fen, "lpr-floor" if is_floored else "agreed", floor.provisional)


def _half_up(numerator: Decimal, denominator: int) -> int:
    return int((numerator / denominator).quantize(Decimal(1), rounding=ROUND_HALF_UP))
