"""The unified social credit code (统一社会信用代码) with both of its check digits."""

from __future__ import annotations

import re
from typing import Final

from stdnum.cn import uscc as stdnum_uscc
from stdnum.exceptions import InvalidChecksum

_FORM: Final = re.compile(r"[0-9A-HJ-NP-RTUWXY]{18}")
_ORGANISATION_WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)


def problem(code: str) -> str | None:
    """What is wrong with a code, or None.

    Returns:
        `form` (not 18 of its letters), `organisation-digit` (17th), `check-digit` (18th).
    Source: GB 32100-2015 for digit 18, GB 11714-1997 for digit 17.
    """
    if _FORM.fullmatch(code) is None:
        return "form"
    if organisation_digit(code[8:16]) != code[16]:
        return "organisation-digit"
    try:
        expected = stdnum_uscc.calc_check_digit(code[:17])
    except InvalidChecksum:  # pragma: no cover - the form was checked above
        return "form"
    return None if expected == code[17] else "check-digit"


def organisation_digit(organisation: str) -> str:
    """The ninth character of an organisation code (组织机构代码) from its first eight.

    `python-stdnum` leaves this digit unchecked, so a code with a false one passes there.
    Source: GB 11714-1997.
    """
    values = (int(letter, 36) for letter in organisation)
    rest = sum(value * weight for value, weight in zip(values, _ORGANISATION_WEIGHTS, strict=True))
    return "0X987654321"[rest % 11]


def make(first: str, organisation: str) -> str:
    """A code whose two check digits hold, from its first eight and the organisation's eight."""
    body = first + organisation + organisation_digit(organisation)
    return body + str(stdnum_uscc.calc_check_digit(body))
