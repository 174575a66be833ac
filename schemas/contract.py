"""Contracts as our API shows them, with what is asked of a purchaser about them."""

from __future__ import annotations

from typing import get_args

from marshmallow import fields

from financing.rules.capacity import Source, TermName
from financing.rules.checks import Result
from schemas.fields import Day, Digest, Money, Text, Truth
from schemas.shown import (
    Amount,
    Asked,
    At,
    Both,
    Free,
    Id,
    Name,
    Number,
    On,
    Shown,
    Word,
    Yes,
    states_of,
)


class Contract(Shown):
    """One contract; `financeable` is null until it was checked.

    While only the award is known, `state` is awarded, `number` is empty, and `amount` is null.
    """

    id = Id("ct")
    version = Number()
    number = Name()
    title = Name(metadata={"example": "第1所学校照明改造"})
    state = Word(*states_of("contract"), metadata={"example": "signed"})
    purchaser = Name(attribute="purchaser_name", metadata={"example": "某区教育局"})
    supplier = Name(attribute="supplier_name", metadata={"example": "某照明有限公司"})
    amount = Amount(attribute="amount_fen", allow_none=True)
    award_on = On(allow_none=True)
    signed_on = On(allow_none=True)
    filed_on = On(allow_none=True)
    announced_on = On(allow_none=True)
    delivered_on = On(allow_none=True)
    accepted_on = On(allow_none=True)
    financeable = Yes(allow_none=True)
    sentence = Both(allow_none=True)


class Milestone(Shown):
    """A part of the price, named by its code within the contract."""

    code = Name(metadata={"example": "M1"})
    title = Name(metadata={"example": "验收后支付"})
    amount = Amount(attribute="amount_fen")
    retention = Amount(attribute="retention_fen")
    advance = Amount(attribute="advance_fen")
    due_on = On(allow_none=True)
    accepted_on = On(allow_none=True)


class Account(Shown):
    """The designated account; never its whole number."""

    state = Word(*states_of("account_version"), metadata={"example": "active"})
    holder = Name(metadata={"example": "某照明有限公司"})
    bank_name = Name(metadata={"example": "某银行郑州分行"})
    last4 = Name(metadata={"example": "2345"})
    digest = Name(metadata={"example": "sha-256:" + "41" * 32})
    from_on = On(allow_none=True)


class ContractWhole(Contract):
    """One contract with its parts, its account, and the last question to the purchaser."""

    milestones = fields.List(fields.Nested(Milestone()))
    account = fields.Nested(Account(), allow_none=True)
    confirmation = Id("cf", allow_none=True)
    confirmation_state = Word(
        *states_of("confirmation"), allow_none=True, metadata={"example": "confirmed"}
    )


class Check(Shown):
    """The result of one check: what was seen, by which source, and what to do."""

    id = Name(attribute="check_id", metadata={"example": "C-AMOUNT"})
    result = Word(*get_args(Result))
    blocks = Yes()
    seen = Both(allow_none=True)
    source = Name(metadata={"example": "政府采购法 46"})
    remedy = Both(allow_none=True)
    at = At()


class CapacityLine(Shown):
    """One line of the reckoning; what is taken off is negative."""

    name = Word(*get_args(TermName))
    amount = Amount(attribute="fen")
    source = Word(*get_args(Source))
    on = On(allow_none=True)


class Consent(Shown):
    """The text that the supplier agrees to; an application names its digest."""

    version = Name(metadata={"example": "consent/1"})
    zh = Name(metadata={"example": "我同意把该合同的数据包交给某银行……"})
    en = Name(metadata={"example": "I agree that the packet of this contract is given to …"})
    digest = Name(metadata={"example": "sha-256:" + "9f" * 32})


class Capacity(Shown):
    """What one bank could lend on a contract, line by line, and on what consent."""

    bank = Name(attribute="product.bank_code", metadata={"example": "bank-a"})
    bank_name = Name(attribute="bank", metadata={"example": "某银行"})
    product = Name(attribute="product.code", metadata={"example": "gov-contract-loan"})
    least = Amount(attribute="product.min_fen")
    most = Amount(attribute="fen")
    tenor_min_days = Number(attribute="product.tenor_min_days", metadata={"example": 30})
    tenor_max_days = Number(attribute="product.tenor_max_days", metadata={"example": 365})
    rate_from_bp = Name(attribute="product.rate_from_bp", metadata={"example": "345"})
    rate_to_bp = Name(attribute="product.rate_to_bp", metadata={"example": "435"})
    answer_days = Number(metadata={"example": 5})
    lines = fields.List(fields.Nested(CapacityLine()))
    consent = fields.Nested(Consent())
    application = Id("ap", attribute="live_id", allow_none=True)


class Capacities(Shown):
    """What every bank with a product could lend on a contract."""

    contract = Id("ct")
    banks = fields.List(fields.Nested(Capacity()))


class Confirmation(Shown):
    """A question to the purchaser: what was shown, and what was answered."""

    id = Id("cf")
    version = Number()
    contract = Id("ct", attribute="contract_id")
    number = Name()
    title = Name(metadata={"example": "第1所学校照明改造"})
    supplier = Name(attribute="supplier_name", metadata={"example": "某照明有限公司"})
    state = Word(*states_of("confirmation"))
    amount = Amount(attribute="amount_fen", allow_none=True)
    shown = Free()
    shown_digest = Name(metadata={"example": "sha-256:" + "9f" * 32})
    asked_at = At()
    due_on = On(allow_none=True)
    answered_at = At(allow_none=True)
    paid = Amount(attribute="paid_fen", allow_none=True)
    note = Name(metadata={"example": ""})


class AskConfirmation(Asked):
    """The supplier asks the purchaser to confirm a contract."""

    contract = Id("ct", required=True)


class AnswerConfirmation(Asked):
    """The purchaser says whether the figures shown are its own."""

    same = Truth(required=True)
    shown_digest = Digest(required=True)
    paid = Money(
        0, load_default=None, allow_none=True, metadata={"example": {"fen": 0, "currency": "CNY"}}
    )
    note = Text(500, load_default="")


class AcceptPerformance(Asked):
    """The purchaser accepts one part of a contract, or all that is left."""

    contract = Id("ct", required=True)
    on = Day(required=True, metadata={"example": "2026-03-02"})
    milestone = Text(200, load_default=None, allow_none=True, metadata={"example": None})
