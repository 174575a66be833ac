"""Amounts as whole minor units (分 for CNY) with their currency; no floats anywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from financing.errors import Invalid

# Ten trillion yuan. Everything up to here also fits a JSON number that no reader rounds.
MOST_MINOR: Final = 10**15


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Source: ISO 4217, active currencies with their minor units; metals, test, and unit-of-account
# codes are left out because nothing is paid in them.
_TWO_DIGITS: Final = _codes(
    """AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN
    BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP
    GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP
    LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD
    PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC
    SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
    ZWL"""
)
_NO_DIGITS: Final = _codes("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF")
_THREE_DIGITS: Final = _codes("BHD IQD JOD KWD LYD OMR TND")
_FOUR_DIGITS: Final = _codes("CLF UYW")

_PLAIN: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


def minor_digits(currency: str) -> int:
    """How many digits of `currency` stand after the point.

    Raises:
        Invalid: no active ISO 4217 code.
    Source: ISO 4217.
    """
    if currency in _TWO_DIGITS:
        return 2
    if currency in _NO_DIGITS:
        return 0
    if currency in _THREE_DIGITS:
        return 3
    if currency in _FOUR_DIGITS:
        return 4
    raise Invalid(
        f"unknown currency {currency[:12]!r}",
        remedy="use the three letters of ISO 4217, as CNY",
    )


def to_minor(value: Decimal | int | str, currency: str) -> int:
    """Turn an amount in major units (元) into minor units (分), exactly.

    Args:
        value: number in major units; text must be plain digits with at most one point.
    Raises:
        Invalid: not a number, more digits after the point than the currency has, or too large.
    """
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, str)):
        raise Invalid(f"{value!r} is not an amount", remedy="write a decimal number")
    if isinstance(value, str) and _PLAIN.fullmatch(value) is None:
        raise Invalid(
            f"{value[:40]!r} is not an amount",
            remedy="write plain digits, as 1234.56, no commas",
        )
    digits = minor_digits(currency)
    number = Decimal(value)
    if not number.is_finite() or number.adjusted() > 18:
        raise Invalid(f"{str(value)[:40]} is no amount of money", remedy="correct the amount")
    sign, figures, exponent = number.as_tuple()
    whole = int("".join(map(str, figures)))
    places = int(exponent) + digits
    if places >= 0 or whole == 0:
        minor: int = whole * 10 ** max(places, 0)
    else:
        # Cut zeros after the last permitted digit; anything else there would be lost money.
        minor, rest = divmod(whole, 10 ** min(-places, 40))
        if rest or -places > 40:
            raise Invalid(
                f"{str(value)[:40]} has more digits than {currency} knows",
                remedy=f"round it to {digits} digits at the source",
            )
    if minor > MOST_MINOR:
        raise Invalid(f"{str(value)[:40]} is larger than we carry", remedy="check the unit")
    return -minor if sign else minor


def money_json(fen: int, currency: str) -> dict[str, int | str]:
    """The amount as every JSON document shows it: `fen` for CNY, `minor` for all others."""
    return {"fen" if currency == "CNY" else "minor": fen, "currency": currency}


def show_money(fen: int, currency: str, lang: str = "zh") -> str:
    """The amount for people: `¥1,234.56`, `MXN 1,234.56`; alike in both languages."""
    digits = minor_digits(currency)
    whole, part = divmod(abs(fen), 10**digits)
    text = f"{whole:,}" + (f".{part:0{digits}d}" if digits else "")
    sign = "-" if fen < 0 else ""
    return f"{sign}¥{text}" if currency == "CNY" else f"{sign}{currency} {text}"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount: whole minor units of one currency.

    Args:
        fen: minor units (分 for CNY), may be negative.
    """

    fen: int
    currency: str = "CNY"

    def __post_init__(self) -> None:
        if isinstance(self.fen, bool) or not isinstance(self.fen, int):
            raise Invalid(f"{self.fen!r} is not a whole number of minor units")
        minor_digits(self.currency)

    def __add__(self, other: Money) -> Money:
        return Money(self.fen + self._same(other).fen, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.fen - self._same(other).fen, self.currency)

    def _same(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise Invalid(f"{other.currency} cannot be added to {self.currency}")
        return other

    def share(self, weights: Sequence[int]) -> tuple[Money, ...]:
        """Divide by weights so that the parts add up to the whole again.

        Each part is its exact share rounded down; what is left goes, one minor unit each, to the
        parts that lost most by rounding, earlier ones first.

        Raises:
            Invalid: no weight above zero, or a negative one.
        """
        total = sum(weights)
        if total <= 0 or min(weights) < 0:
            raise Invalid("shares need weights of which none is negative and one is above zero")
        size, sign = abs(self.fen), -1 if self.fen < 0 else 1
        parts = [size * weight // total for weight in weights]
        lost = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % total), i))
        for i in lost[: size - sum(parts)]:
            parts[i] += 1
        return tuple(Money(sign * part, self.currency) for part in parts)
