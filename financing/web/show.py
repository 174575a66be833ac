"""How values look on a page: dates, instants, amounts, rates, in the reader's language."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

from markupsafe import Markup, escape

from financing import words
from financing.values.money import minor_digits, show_money
from financing.values.text import clean
from financing.values.times import SHANGHAI

# fmt: off
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# fmt: on
_HAN_DAYS = "一二三四五六日"
_BOLD = re.compile(r"\*(.+?)\*")


def day(on: date | None, lang: str) -> str:
    """A civil date: 2026年3月5日; 5 March 2026. None is a dash: does not apply."""
    if on is None:
        return "—"
    if lang == "zh":
        return f"{on.year}年{on.month}月{on.day}日"
    return f"{on.day} {_MONTHS[on.month - 1]} {on.year}"


def day_week(on: date, lang: str) -> str:
    """A civil date with its weekday."""
    if lang == "zh":
        return f"{day(on, lang)}（星期{_HAN_DAYS[on.weekday()]}）"
    return f"{_DAYS[on.weekday()]} {day(on, lang)}"


def instant(at: datetime | None, lang: str) -> str:
    """A moment to the minute, in China time."""
    if at is None:
        return "—"
    local = at.astimezone(SHANGHAI)
    return f"{day(local.date(), lang)} {local:%H:%M}"


def money(fen: int | None, currency: str, lang: str) -> str:
    """An amount with its currency sign; None is a dash."""
    return "—" if fen is None else show_money(fen, currency, lang).replace("-", "−")


def amount(fen: int, currency: str) -> str:
    """An amount under a heading that names the currency: 1,234.56, −1.00."""
    digits = minor_digits(currency)
    whole, part = divmod(abs(fen), 10**digits)
    sign = "−" if fen < 0 else ""
    return f"{sign}{whole:,}" + (f".{part:0{digits}d}" if digits else "")


def percent(rate_bp: Decimal | str | int) -> str:
    """Basis points as a percentage with two digits: 435 → 4.35%."""
    return f"{(Decimal(rate_bp) / 100).quantize(Decimal('0.01'), ROUND_HALF_UP)}%"


def rich(key: str, lang: str, **named: words.Named) -> Markup:
    """A sentence of the words table in which `*…*` is set in bold; values are escaped."""
    marked = _BOLD.sub(r'<b class="nb">\1</b>', str(escape(words.form(key, lang, named.get("n")))))
    return Markup(marked).format_map(  # noqa: S704 the table's words are escaped above, values by format
        {name: words.value_of(value, lang) for name, value in named.items()}
    )


def shown(text: str | None) -> str:
    """A name or text of others, safe on one line."""
    return clean(text or "")
