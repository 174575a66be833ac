"""What is wrong with a request, in the reader's language.

Fields say their fault in one English sentence of few kinds; here each kind has its words, and what
to do about it. What a journey refuses comes in the reader's language already and passes through.
"""

from __future__ import annotations

import re
from typing import Final

from financing import words

# how the sentence reads → its key: `api.fault.…` says it, `api.mend.…` what to do about it
_KINDS: Final = tuple(
    (re.compile(pattern, re.DOTALL), key)
    for pattern, key in (
        (r"Unknown field\.", "unknown"),
        (r"Missing data for required field\.", "missing"),
        (r"Field may not be null\.", "null"),
        (r"Not a valid list\.", "list"),
        (r"Invalid (?:input )?type\.", "object"),
        (r"(?:Shorter than|Longer than|Length must be).*", "length"),
        (r"not text", "text"),
        (r"longer than (?P<most>\d+) characters", "long"),
        (r"a control character", "control"),
        (r"not of the form (?P<form>.*)", "form"),
        (r"not a whole number", "whole"),
        (r"not within (?P<least>-?\d+) to (?P<most>\d+)", "range"),
        (r"neither true nor false", "truth"),
        (r"not an object with an amount and its currency", "money"),
        (r"without currency", "money"),
        (
            r"an amount in (?P<currency>.{0,3}) has (?P<unit>\w+) and currency only",
            "unit",
        ),
        (r"unknown currency (?P<currency>.*)", "currency"),
        (r"not the contract's currency, (?P<currency>\w+)", "other_currency"),
        (r"not an id that begins with (?P<prefix>\w\w)_", "id"),
        (r"not sha-256: and 64 hex digits", "digest"),
        (r"not a cursor of this list", "cursor"),
        (r"no such bank", "bank"),
        (r"named twice", "bank_twice"),
        (r"no such milestone", "milestone"),
        (r"either items or cause", "either"),
        (r"not a date|.* is not a date|.* is a day that does not exist", "day"),
        (r"\d+ bytes, at most (?P<most>\d+) are read", "large"),
        (r"not UTF-8", "utf8"),
        (r"not JSON: (?P<why>.*)", "json"),
        (r"key (?P<name>.*) occurs twice in one object", "key_twice"),
        (r"(?P<name>NaN|-?Infinity) is not a JSON number", "nan"),
        (
            r"(?:whole )?number (?P<number>.*?)…? (?:out of range|beyond 2\*\*53)",
            "number",
        ),
        (r"nested deeper than (?P<most>\d+) levels", "deep"),
        (r"U\+0000 in text", "control"),
        (r"half a surrogate pair in text", "control"),
        (
            r"(?P<kind>[\w ]+) is (?P<state>[\w-]+); (?P<event>\w+) is not possible now",
            "state",
        ),
    )
)


def said(detail: str, remedy: str, lang: str) -> tuple[str, str]:
    """A fault and its remedy in a language; what is of no known kind stays as it is."""
    for pattern, key in _KINDS:
        found = pattern.fullmatch(detail)
        if found is not None:
            named = found.groupdict()
            return (
                words.t(f"api.fault.{key}", lang, **named),
                words.t(f"api.mend.{key}", lang, **named),
            )
    return detail, remedy
