"""Strict fields: what a lax reader would turn into something else is refused.

marshmallow's own `Integer` takes `"12"`, 12.9, and full-width digits, its `String` takes U+0000
and any length, its `DateTime` takes times without zone; these do not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from marshmallow import INCLUDE, Schema, ValidationError
from marshmallow.fields import Field

from financing.errors import Invalid
from financing.values.money import MOST_MINOR, minor_digits
from financing.values.money import Money as Amount
from financing.values.strict_json import MOST_INT, pointer
from financing.values.times import parse_date, parse_instant

_RATE: Final = re.compile(r"(?:0|[1-9][0-9]{0,4})(?:\.[0-9]{1,4})?")
_DIGEST: Final = re.compile(r"sha-256:[0-9a-f]{64}")


class Text(Field[str]):
    """Text of limited length, normalised (NFC), without control characters.

    Args:
        most: characters.
        lines: line ends and tabs are taken.
        pattern: regular expression that the whole text must match.
    """

    def __init__(
        self, most: int = 200, *, lines: bool = False, pattern: str = "", **rest: Any
    ) -> None:
        super().__init__(**rest)
        self.most = most
        self.allowed = "\n\r\t" if lines else ""
        self.pattern = re.compile(pattern) if pattern else None

    def _deserialize(self, value: Any, attr: Any, data: Any, **rest: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("not text")
        text = unicodedata.normalize("NFC", value)
        if len(text) > self.most:
            raise ValidationError(f"longer than {self.most} characters")
        if any(unicodedata.category(c) in ("Cc", "Cs") and c not in self.allowed for c in text):
            raise ValidationError("a control character")
        if self.pattern is not None and self.pattern.fullmatch(text) is None:
            raise ValidationError(f"not of the form {self.pattern.pattern}")
        return text


class Count(Field[int]):
    """A whole number within limits; text, 12.0, and booleans are none."""

    def __init__(self, least: int = 0, most: int = MOST_INT, **rest: Any) -> None:
        super().__init__(**rest)
        self.least, self.most = least, most

    def _deserialize(self, value: Any, attr: Any, data: Any, **rest: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("not a whole number")
        if not self.least <= value <= self.most:
            raise ValidationError(f"not within {self.least} to {self.most}")
        return value


class Truth(Field[bool]):
    """true or false; "yes" and 1 are neither."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **rest: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("neither true nor false")
        return value


class Money(Field[Amount]):
    """`{"fen": 80000000, "currency": "CNY"}`; other currencies `minor` instead of `fen`.

    Args:
        least: smallest number of minor units that is taken.
    """

    def __init__(self, least: int = 1, **rest: Any) -> None:
        super().__init__(**rest)
        self.number = Count(least, MOST_MINOR)

    def _deserialize(self, value: Any, attr: Any, data: Any, **rest: Any) -> Amount:
        if not isinstance(value, Mapping):
            raise ValidationError("not an object with an amount and its currency")
        currency = value.get("currency")
        if not isinstance(currency, str):
            raise ValidationError("without currency")
        unit = "fen" if currency == "CNY" else "minor"
        if set(value) != {unit, "currency"}:
            raise ValidationError(f"an amount in {currency[:3]} has {unit} and currency only")
        try:
            minor_digits(currency)
        except Invalid as problem:
            raise ValidationError(problem.detail) from problem
        number: int = self.number._deserialize(value[unit], unit, value)
        return Amount(number, currency)


class Rate(Field[str]):
    """Basis points a year as decimal text, `"435"` is 4.35 %; at most four places.

    Args:
        signed: a minus is taken, for a spread below its benchmark.
    """

    def __init__(self, *, signed: bool = False, **rest: Any) -> None:
        super().__init__(**rest)
        self.signed = signed

    def _deserialize(self, value: Any, attr: Any, data: Any, **rest: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError('not decimal text, as "435" for 4.35 %')
        if _RATE.fullmatch(value.removeprefix("-") if self.signed else value) is None:
            raise ValidationError("not basis points with at most four places")
        return value


class Instant(Field[datetime]):
    """An RFC 3339 time with its zone, in UTC."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **rest: Any) -> datetime:
        if not isinstance(value, str):
            raise ValidationError("not a time")
        try:
            return parse_instant(value)
        except Invalid as problem:
            raise ValidationError(problem.detail) from problem


class Day(Field[date]):
    """A civil date, `YYYY-MM-DD`."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **rest: Any) -> date:
        if not isinstance(value, str):
            raise ValidationError("not a date")
        try:
            return parse_date(value)
        except Invalid as problem:
            raise ValidationError(problem.detail) from problem


class Digest(Field[str]):
    """`sha-256:` and 64 hex digits in lower case."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **rest: Any) -> str:
        if not isinstance(value, str) or _DIGEST.fullmatch(value) is None:
            raise ValidationError("not sha-256: and 64 hex digits")
        return value


class FromBank(Schema):
    """A message of a bank: fields that we do not know are kept, never an error."""

    class Meta:
        unknown = INCLUDE


def read(schema: Schema, value: object, *, at: tuple[str | int, ...] = ()) -> Any:
    """Read a value by a schema.

    Args:
        at: where the value stands in its document, for the pointers of what is wrong.
    Raises:
        Invalid: carries all wrong fields at once, each with its JSON pointer.
    """
    try:
        return schema.load(value)  # type: ignore[arg-type]  # what is no object is said so
    except ValidationError as problem:
        wrong = tuple(_wrong(problem.messages, at))
        raise Invalid(
            wrong[0][1], where=wrong[0][0], remedy="Send it as documented.", fields=wrong
        ) from problem


def _wrong(messages: Any, path: tuple[str | int, ...]) -> list[tuple[str, str, str]]:
    """marshmallow's nested messages, flattened to (pointer, problem, remedy)."""
    if not isinstance(messages, dict):
        return [(pointer(path), "; ".join(map(str, messages)), "")]
    return [
        found
        for key, inner in messages.items()
        for found in _wrong(inner, path if key in ("_schema", "value", "key") else (*path, key))
    ]
