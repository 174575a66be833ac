"""Why a bank said no: one code list for all banks, with what the supplier can do about it.

Words are `reason.<code>` (what) and `reason.mend.<mend>` (what would change it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Class = Literal[
    "CREDIT", "LIMIT", "TENOR", "CONTRACT", "PURCHASER", "ACCOUNT", "DOCUMENTS", "DUPLICATE",
    "POLICY", "OTHER", "NONE",
]  # fmt: skip
Mend = Literal[
    "no", "yes", "later", "resolve", "other-bank", "new-packet", "smaller", "other-product",
    "other-tenor", "account-change", "other-account", "supply", "resend", "new-consent", "anew",
    "repay", "ask",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reason:
    """One refusal code.

    Args:
        category: class in the figure of refusals; `NONE` is not a bank's decision.
        mend: what would change the answer.
    """

    code: str
    category: Class
    mend: Mend


OTHER: Final = Reason("R99", "OTHER", "ask")

REASONS: Final = {
    reason.code: reason
    for reason in (
        Reason("R11", "POLICY", "no"),
        Reason("R12", "POLICY", "later"),
        Reason("R13", "DOCUMENTS", "yes"),
        Reason("R14", "POLICY", "other-bank"),
        Reason("R21", "CONTRACT", "yes"),
        Reason("R22", "CONTRACT", "new-packet"),
        Reason("R23", "CONTRACT", "no"),
        Reason("R24", "PURCHASER", "other-bank"),
        Reason("R25", "TENOR", "no"),
        Reason("R26", "CONTRACT", "other-bank"),
        Reason("R31", "LIMIT", "smaller"),
        Reason("R32", "LIMIT", "other-product"),
        Reason("R33", "TENOR", "other-tenor"),
        Reason("R34", "LIMIT", "later"),
        Reason("R41", "CREDIT", "later"),
        Reason("R42", "CREDIT", "later"),
        Reason("R43", "CREDIT", "resolve"),
        Reason("R44", "CREDIT", "resolve"),
        Reason("R45", "CREDIT", "no"),
        Reason("R51", "ACCOUNT", "account-change"),
        Reason("R52", "ACCOUNT", "other-account"),
        Reason("R61", "DOCUMENTS", "supply"),
        Reason("R62", "DOCUMENTS", "resend"),
        Reason("R63", "DOCUMENTS", "new-packet"),
        Reason("R64", "DOCUMENTS", "new-consent"),
        Reason("R71", "POLICY", "no"),
        Reason("R72", "POLICY", "other-bank"),
        Reason("R81", "NONE", "anew"),
        Reason("R82", "NONE", "anew"),
        Reason("R83", "NONE", "repay"),
        Reason("R84", "DUPLICATE", "no"),
        OTHER,
    )
}


def reason(code: str | None) -> Reason:
    """The row of a code; a code that no row has is R99, and the bank's own text goes beside it."""
    return REASONS.get(code or "", OTHER)
