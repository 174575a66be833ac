"""What a loan costs its borrower: all of it, in yuan over the term and as one yearly rate.

Reckoned as one repayment at the end of the term: interest, and every fee that the supplier bears.
Two yearly rates: simple (单利), by which offers are compared, and compound (复利).

Source: the rule that all costs of a loan be shown as one annual rate (中国人民银行公告〔2021〕
第3号); its text was not at hand, so the simple rate is labelled as such wherever it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from financing.errors import Invalid
from financing.rules.rates import DAY_BASES, interest

DAYS_A_YEAR = 365


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one offer.

    Args:
        gets_fen: what reaches the supplier on the first day, upfront fees taken off.
        repays_fen: what is due at the end of the term.
        simple_bp, compound_bp: all-in yearly cost in basis points.
    """

    interest_fen: int
    fees_fen: int
    gets_fen: int
    repays_fen: int
    simple_bp: Decimal
    compound_bp: Decimal

    @property
    def total_fen(self) -> int:
        return self.interest_fen + self.fees_fen


def cost(
    amount_fen: int,
    rate_bp: str,
    days: int,
    basis: str,
    *,
    upfront_fen: int = 0,
    end_fen: int = 0,
) -> Cost | None:
    """The cost of a loan that is drawn at once and repaid at the end; None where it has none.

    Args:
        rate_bp: yearly rate in basis points, decimal text.
        upfront_fen: fees that are due at drawdown.
        end_fen: all other fees.
    """
    if basis not in DAY_BASES or days <= 0 or amount_fen <= upfront_fen:
        return None
    try:
        by_time = interest(amount_fen, rate_bp, days, basis)
    except Invalid:
        return None
    fees, gets = upfront_fen + end_fen, amount_fen - upfront_fen
    repays = amount_fen + by_time + end_fen
    simple = Decimal(by_time + fees) / amount_fen * DAYS_A_YEAR / days
    growth = (Decimal(repays) / gets) ** (Decimal(DAYS_A_YEAR) / days)
    return Cost(by_time, fees, gets, repays, simple * 10_000, (growth - 1) * 10_000)
