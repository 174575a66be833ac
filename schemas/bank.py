"""A bank's entry at the register: what it hands to the operator, as one JSON file."""

from __future__ import annotations

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from schemas.fields import Count, Day, Rate, Text


class NameIn(Schema):
    zh = Text(100, required=True)
    en = Text(100, required=True)


class ProductIn(Schema):
    """One product in one currency; amounts in minor units, the share in basis points."""

    code = Text(40, required=True, pattern="[A-Za-z0-9-]+")
    name = fields.Nested(NameIn, required=True)
    currency = Text(3, required=True, pattern="[A-Z]{3}")
    share_bp = Count(required=True, least=1, most=10_000)
    min_fen = Count(required=True, least=1)
    cap_fen = Count(required=True, least=1)
    tenor_min_days = Count(required=True, least=1, most=3650)
    tenor_max_days = Count(required=True, least=1, most=3650)
    rate_from_bp = Rate(required=True)
    rate_to_bp = Rate(required=True)
    day_basis = Text(10, required=True, validate=validate.OneOf(("ACT/360", "ACT/365")))
    valid_from = Day(required=True)
    valid_to = Day(load_default=None)

    @validates_schema
    def _is_in_order(self, given: dict[str, int], **_: object) -> None:
        for low, high in (("min_fen", "cap_fen"), ("tenor_min_days", "tenor_max_days")):
            if given[low] > given[high]:
                raise ValidationError(f"less than {low}", high)


class BankIn(Schema):
    """The entry itself."""

    code = Text(40, required=True, pattern="[a-z0-9-]+")
    name = Text(100, required=True)
    identifier = Text(18, required=True)  # USCC
    adapter = Text(40, required=True)
    base_url = Text(500, required=True, pattern="https?://[^ ]+")
    answer_key_pem = Text(2000, required=True, lines=True)
    webhook_key = Text(200, required=True, pattern="whpk_[A-Za-z0-9+/]{43}=")
    poll_interval_s = Count(load_default=300, least=5, most=86_400)
    answer_days = Count(load_default=3, least=1, most=30)
    products = fields.List(
        fields.Nested(ProductIn), required=True, validate=validate.Length(min=1, max=50)
    )
