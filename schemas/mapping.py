"""A mapping file: what a table of statement lines means, or in which encoding messages come."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from schemas.fields import Count, Text, Truth

ENCODINGS: Final = ("utf-8-sig", "gb18030", "utf-16", "iso-8859-1", "iso-8859-2", "cp1252", "cp852")
SIGNS: Final = ("+", "-")


class Column(Text):
    """The text of a cell of the header row."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(100, **rest)


class DateIn(Schema):
    column = Column(required=True)
    format = Text(
        40, required=True, pattern=r".*%[Yy].*%m.*%d.*|.*%d.*%m.*%[Yy].*|.*%m.*%d.*%[Yy].*"
    )


class CurrencyIn(Schema):
    column = Column(required=True)
    words = fields.Dict(Text(20), Text(3, pattern="[A-Z]{3}"), load_default=dict)


class AccountIn(Schema):
    number = Text(64, load_default=None)
    cell = Text(100, load_default=None)  # above the header, before or beside the number

    @validates_schema
    def _is_one(self, given: Any, **_: Any) -> None:
        if (given.get("number") is None) == (given.get("cell") is None):
            raise ValidationError("either number or cell")


class AmountIn(Schema):
    """One of: signed · in and out · column with direction and words · column, payer, payee."""

    signed = Column()
    into = Column(data_key="in")
    out = Column()
    are_signed = Truth(data_key="signed_columns")
    column = Column()
    direction = Column()
    words = fields.Dict(Text(20), Text(1, validate=validate.OneOf(SIGNS)))
    payer = Column()
    payee = Column()

    @validates_schema
    def _is_one_way(self, given: Any, **_: Any) -> None:
        ways = (
            {"signed"},
            {"into", "out"},
            {"into", "out", "are_signed"},
            {"column", "direction", "words"},
            {"column", "payer", "payee"},
        )
        if set(given) not in ways:
            raise ValidationError(
                "one of: signed; in and out; column, direction, words; column, payer, payee"
            )


class TableIn(Schema):
    id = Text(40, required=True, pattern="[a-z0-9][a-z0-9-]*")
    version = Count(1, 9999, required=True)
    format = Text(10, load_default="table", validate=validate.Equal("table"))
    bank = Text(100, load_default="")
    account = fields.Nested(AccountIn(), required=True)
    encoding = Text(20, required=True, validate=validate.OneOf(ENCODINGS))
    delimiter = Text(
        1, load_default=",", lines=True, validate=validate.OneOf((",", ";", "\t", "|"))
    )
    header = fields.List(Column(), load_default=list)
    foot = Text(200, load_default=None)
    order = Text(6, load_default=None, validate=validate.OneOf(("oldest", "newest")))
    date = fields.Nested(DateIn(), required=True)
    value_date = fields.Nested(DateIn(), load_default=None)
    amount = fields.Nested(AmountIn(), required=True)
    currency = fields.Raw(required=True)
    decimal = Text(1, load_default=".", validate=validate.OneOf((".", ",")))
    thousands = Text(1, load_default=None, validate=validate.OneOf((",", ".", " ", "'")))
    negative = Text(
        11, load_default="minus", validate=validate.OneOf(("minus", "trailing", "brackets"))
    )
    full_width = Truth(load_default=False)
    empty = fields.List(Text(40), load_default=list)
    balance = Column(load_default=None)
    reference = Column(load_default=None)
    name = Column(load_default=None)
    payer_name = Column(load_default=None)
    payee_name = Column(load_default=None)
    other_account = Column(load_default=None)
    other_bank = Column(load_default=None)
    text = fields.List(Column(), load_default=list)
    identity = Text(9, load_default=None, validate=validate.OneOf(("reference", "balance", "text")))

    @validates_schema
    def _agrees_with_itself(self, given: Any, **_: Any) -> None:
        if given.get("thousands") == given.get("decimal"):
            raise ValidationError("the same mark as decimal", "thousands")
        for way, column in (("balance", "balance"), ("reference", "reference")):
            if given.get("identity") == way and given.get(column) is None:
                raise ValidationError(f"needs a {column} column", "identity")


class SwiftIn(Schema):
    id = Text(40, required=True, pattern="[a-z0-9][a-z0-9-]*")
    version = Count(1, 9999, required=True)
    format = Text(10, required=True, validate=validate.Equal("mt940"))
    bank = Text(100, load_default="")
    encoding = Text(20, load_default="utf-8-sig", validate=validate.OneOf(ENCODINGS))
    thirty_day_months = Truth(load_default=False)
