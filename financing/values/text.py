"""Text as it is compared and as it is shown; the text as received is kept beside either."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_OPENING: Final = "([{<〔【「『《〈［｛（〖〘"
_CLOSING: Final = ")]}>〕】」』》〉］｝）〗〙"
_BRACKETS: Final = frozenset(_OPENING + _CLOSING)
_DASHES: Final = "-‐‑‒–—―−﹣－_"
_TO_ROUND: Final = str.maketrans({**dict.fromkeys(_OPENING, "（"), **dict.fromkeys(_CLOSING, "）")})
_TO_SQUARE: Final = str.maketrans(
    {
        **dict.fromkeys("([{〔【［（", "["),
        **dict.fromkeys(")]}〕】］）", "]"),
        **dict.fromkeys(_DASHES, "-"),
    }
)
_INVISIBLE: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp", "Zs"))
_NUMBER_HEAD: Final = re.compile(r"^(?:(?:合同)?编号:?)+")
_NUMBER_TAIL: Final = re.compile(r"号+$")


def _folded(text: str) -> str:
    """NFKC and upper case; composed again because capitals may come apart."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).upper())


def _is_invisible(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter) in _INVISIBLE


def _joined(letters: Iterable[str]) -> str:
    """The visible letters; composed once more, as neighbours may now belong together."""
    return unicodedata.normalize("NFC", "".join(c for c in letters if not _is_invisible(c)))


def search_text(text: str) -> str:
    """Text in which a number is looked for: no blanks, dashes, points, brackets; upper case.

    Full-width letters become plain ones; the dashes that NFKC leaves alone are dropped too.
    """
    dropped = _BRACKETS.union(_DASHES, "/·.")
    return _joined(c for c in _folded(text) if c not in dropped)


def name_key(name: str) -> str:
    """A firm's name as it is compared: NFKC, full-width round brackets, no blanks.

    Two names are equal only if these are equal: a branch (分公司) is not its parent.
    """
    folded = unicodedata.normalize("NFKC", name).translate(_TO_ROUND)
    return _joined(folded)


def number_key(number: str) -> str:
    """A contract's or project's number as it is compared.

    `郑财购〔2020〕16号` and `郑财购[2020]16` are one; leading zeros, slashes, and letters stay.
    """
    folded = _folded(number).translate(_TO_SQUARE)
    bare = _NUMBER_TAIL.sub("", _NUMBER_HEAD.sub("", _joined(folded)))
    return re.sub(r"-{2,}", "-", bare)


def number_search(number: str) -> str:
    """A contract's number in the form in which `search_text` of a remittance holds it.

    Payers leave the closing 号 away; without it both spellings hold this text.
    """
    return _NUMBER_TAIL.sub("", search_text(number))


def clean(text: str) -> str:
    """Text safe to show on one line: no control characters, nothing that turns its direction."""
    spaced = "".join(" " if c.isspace() or c in "\u2028\u2029" else c for c in text)
    shown = "".join(c for c in spaced if unicodedata.category(c) not in {"Cc", "Cf", "Cs"})
    return unicodedata.normalize("NFC", " ".join(shown.split()))
