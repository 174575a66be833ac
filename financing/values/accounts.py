"""Numbers of bank accounts and of banks (联行号)."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from stdnum.iso7064 import mod_11_10

_DROPPED: Final = frozenset("-‐‑‒–—―−﹣_")
_NUMBER: Final = re.compile(r"[0-9]{8,32}")
_CNAPS: Final = re.compile(r"[0-9]{12}")


def normalise(number: str) -> str:
    """An account number as it is compared: plain letters and digits, no blanks or dashes.

    Never refuses: statements carry numbers of other countries too. The number as received is kept.
    """
    folded = unicodedata.normalize("NFKC", number).upper()
    return "".join(
        c
        for c in folded
        if c not in _DROPPED and not c.isspace() and unicodedata.category(c) not in {"Cf", "Cc"}
    )


def problem(number: str) -> str | None:
    """What is wrong with a number proposed as designated account, or None.

    Company accounts have no national check digit, so only the form can be judged.

    Returns:
        `form`: not 8 to 32 digits once blanks and dashes are gone.
    """
    return None if _NUMBER.fullmatch(normalise(number)) else "form"


def cnaps_problem(code: str) -> str | None:
    """What is wrong with a bank's payment-system code, or None.

    Returns:
        `form` (not 12 digits) or `check-digit`.
    Source: GB/T 17710 (ISO 7064 MOD 11,10) over bank, region, and branch.
    """
    if _CNAPS.fullmatch(code) is None:
        return "form"
    return None if mod_11_10.is_valid(code) else "check-digit"


def make_cnaps(first: str) -> str:
    """A bank's code whose check digit holds, from its first eleven digits."""
    return first + str(mod_11_10.calc_check_digit(first))


def last4(number: str) -> str:
    """All that may be shown of an account number in public."""
    return normalise(number)[-4:]
