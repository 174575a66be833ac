"""A bank's offer (授信方案) on the wire, and the digest that an acceptance names.

The canonical offer is the object as the bank sent it, without its member `digest`, in RFC 8785
form. Bank and broker compute the same digest from it without agreeing on a list of fields.
"""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from financing.values import canonical
from schemas.fields import Count, Day, Digest, FromBank, Instant, Money, Rate, Text


class FeeIn(FromBank):
    code = Text(40, required=True)
    payer = Text(40, load_default="supplier")
    fen = Count(0, 10**15, required=True)  # minor units of the offer's currency
    due = Text(20, load_default="end")
    to = Text(100, load_default="")


class ConditionIn(FromBank):
    code = Text(40, required=True)
    text = Text(1000, lines=True, load_default="")
    due = Day(load_default=None, allow_none=True)


class OfferIn(FromBank):
    reference = Text(64, required=True, validate=validate.Length(min=1))
    revision = Count(1, 10_000, required=True)
    amount = Money(required=True)
    rate_bp = Rate(required=True)
    rate_kind = Text(20, load_default="fixed", validate=validate.OneOf(("fixed", "floating")))
    benchmark = Text(40, load_default=None, allow_none=True)
    spread_bp = Rate(signed=True, load_default=None, allow_none=True)
    day_basis = Text(10, required=True, validate=validate.OneOf(("ACT/360", "ACT/365", "30E/360")))
    tenor_days = Count(1, 3660, load_default=None, allow_none=True)
    matures_on = Day(load_default=None, allow_none=True)
    repayment = Text(40, required=True)
    fees = fields.List(fields.Nested(FeeIn()), load_default=list)
    prepayment = Text(200, load_default=None, allow_none=True)
    penalty_bp = Rate(load_default=None, allow_none=True)
    conditions = fields.List(fields.Nested(ConditionIn()), load_default=list)
    valid_until = Instant(required=True)
    digest = Digest(load_default=None, allow_none=True)

    @validates_schema
    def _has_a_term(self, data: Any, **_: Any) -> None:
        if data.get("tenor_days") is None and data.get("matures_on") is None:
            raise ValidationError("neither tenor_days nor matures_on", "tenor_days")


def canonical_offer(received: dict[str, Any]) -> bytes:
    """The bytes whose digest an acceptance names.

    Raises:
        Invalid: a float, or a key that is no ASCII text.
    Source: RFC 8785.
    """
    return canonical.dumps({key: value for key, value in received.items() if key != "digest"})
