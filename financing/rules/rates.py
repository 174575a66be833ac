"""Interest of loans, in whole fen and Decimal; rounded once, half up, at the end."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from financing.errors import Invalid

DAY_BASES: Final = {"ACT/360": 360, "ACT/365": 365}


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


def _half_up(numerator: Decimal, denominator: int) -> int:
    return int((numerator / denominator).quantize(Decimal(1), rounding=ROUND_HALF_UP))
