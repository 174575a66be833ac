"""Amounts in words (大写) as contracts carry them: written one way, read in every usual way."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from financing.errors import Invalid
from financing.values.money import MOST_MINOR

_DIGITS: Final = "零壹贰叁肆伍陆柒捌玖"
_UNITS: Final = ("", "拾", "佰", "仟")
_VARIANTS: Final = str.maketrans(
    "〇○一二两三四五六七八九十百千貳貮叄參陸億萬圓圆块正",
    "零零壹贰贰叁肆伍陆柒捌玖拾佰仟贰贰叁叁陆亿万元元元整",
)
_DIGIT: Final = f"[{_DIGITS[1:]}]"
# Up to 9,999: units in falling order, 零 wherever a place is empty.
_SECTION: Final = re.compile(
    rf"零?(?:({_DIGIT})仟)?零?(?:({_DIGIT})佰)?零?(?:({_DIGIT}?)拾)?零?({_DIGIT})?零?"
)
_AMOUNT: Final = re.compile(
    rf"(?:人民币)?:?(?:([{_DIGITS}拾佰仟万亿]+)元)?"
    rf"(?:零?({_DIGIT})角|零角)?(?:零?({_DIGIT})分|零分)?整?"
)


def in_words(fen: int) -> str:
    """Write an amount of CNY in words: 140950 → 人民币壹仟肆佰零玖元伍角.

    Raises:
        Invalid: negative, or more than any amount we carry.
    Source: 支付结算办法 (1997), annex 1: 正确填写票据和结算凭证的基本规定.
    """
    if not 0 <= fen <= MOST_MINOR:
        raise Invalid(f"{fen} fen cannot be written in words", remedy="check the amount")
    yuan, part = divmod(fen, 100)
    jiao, cents = divmod(part, 10)
    text = f"{_whole(yuan)}元" if yuan or not part else ""
    if jiao:
        text += f"{_DIGITS[jiao]}角"
    if cents:
        text += ("零" if yuan and not jiao else "") + f"{_DIGITS[cents]}分"
    return "人民币" + text + ("" if part else "整")


def parse(words: str) -> int:
    """Read an amount in words and return fen.

    Taken alike: 圆 for 元, 正 for 整, everyday for formal digits, 零 present or left out.

    Raises:
        Invalid: not an amount in words, or one that can be read in two ways.
    """
    text = unicodedata.normalize("NFKC", words).translate(_VARIANTS)
    text = "".join(text.split())
    found = _AMOUNT.fullmatch(text)
    if found is None or not re.search("[元角分]", text):
        raise _unreadable(words)
    whole, jiao, cents = found.groups()
    fen = _parse_whole(whole, words) * 100 if whole else 0
    fen += _DIGITS.index(jiao) * 10 if jiao else 0
    fen += _DIGITS.index(cents) if cents else 0
    if fen > MOST_MINOR:
        raise _unreadable(words)
    return fen


def _whole(yuan: int) -> str:
    if yuan == 0:
        return "零"
    text = ""
    for size, unit in ((10**12, "万"), (10**8, "亿"), (10**4, "万"), (1, "")):
        section = yuan // size % 10**4
        if section:
            text += ("零" if text and section < 1000 else "") + _section(section) + unit
        if size == 10**8 and yuan >= 10**12 and not section:
            text += unit  # 壹万亿: the 亿 belongs to the 万 before it
    return text


def _section(number: int) -> str:
    text = ""
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if digit:
            empty = text and number // 10 ** (place + 1) % 10 == 0
            text += ("零" if empty else "") + _DIGITS[digit] + _UNITS[place]
    return text


def _parse_whole(text: str, words: str) -> int:
    if set(text) == {"零"}:
        return 0
    high, unit, low = text.rpartition("亿")
    if "亿" in high:
        raise _unreadable(words)
    above = _parse_ten_thousands(high, words) if unit else 0
    below = _parse_ten_thousands(low, words) if low else 0
    if unit and not above:
        raise _unreadable(words)
    return above * 10**8 + below


def _parse_ten_thousands(text: str, words: str) -> int:
    high, unit, low = text.rpartition("万")
    above = _parse_section(high, words) if unit else 0
    if unit and not above:
        raise _unreadable(words)
    return above * 10**4 + (_parse_section(low, words) if low else 0)


def _parse_section(text: str, words: str) -> int:
    found = _SECTION.fullmatch(text)
    if found is None:
        raise _unreadable(words)
    total = 0
    for digit, size in zip(found.groups(), (1000, 100, 10, 1), strict=True):
        if digit is not None:  # 拾 alone at the head means 壹拾
            total += size * (_DIGITS.index(digit) if digit else 1)
    return total


def _unreadable(words: str) -> Invalid:
    return Invalid(
        f"{words[:60]!r} is not an amount in words",
        remedy="write it as 人民币壹仟肆佰零玖元伍角",
    )
