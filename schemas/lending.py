"""Applications, offers, loans, and payments as our API shows and takes them."""

from __future__ import annotations

from marshmallow import fields, validate

from schemas.fields import Count, Digest, Money, Text
from schemas.shown import Amount, Asked, At, Free, Id, Name, Number, On, Shown, Word, states_of


class Application(Shown):
    """One application of a supplier to one bank."""

    id = Id("ap")
    version = Number()
    contract = Id("ct", attribute="contract_id")
    number = Name()
    title = Name(metadata={"example": "第1所学校照明改造"})
    supplier = Name(attribute="supplier_name", metadata={"example": "某照明有限公司"})
    purchaser = Name(attribute="purchaser_name", metadata={"example": "某区教育局"})
    bank = Name(attribute="bank_code", metadata={"example": "bank-a"})
    bank_name = Name(metadata={"example": "某银行"})
    state = Word(*states_of("application"), metadata={"example": "submitted"})
    amount = Amount(attribute="amount_fen")
    tenor_days = Number(metadata={"example": 180})
    packet = Id("pk", attribute="packet_id", allow_none=True)
    needs = Free()
    reason_code = Name(allow_none=True, metadata={"example": None})
    reason_text = Name(allow_none=True, metadata={"example": None})
    submitted_at = At(allow_none=True)
    decided_at = At(allow_none=True)
    created_at = At()


class Applications(Shown):
    """The applications that one request made, one for each bank."""

    items = fields.List(fields.Nested(Application()))


class Offer(Shown):
    """A bank's offer; an acceptance names its digest. `terms` is the offer as it was received."""

    id = Id("of")
    version = Number()
    application = Id("ap", attribute="application_id")
    bank = Name(attribute="bank_code", metadata={"example": "bank-a"})
    state = Word(*states_of("offer"))
    reference = Name(metadata={"example": "SX1"})
    revision = Number()
    amount = Amount(attribute="amount_fen")
    rate_bp = Name(metadata={"example": "435"})
    day_basis = Name(metadata={"example": "ACT/360"})
    tenor_days = Number(metadata={"example": 180})
    repayment = Name(metadata={"example": "on_contract_payment"})
    fees = Amount(attribute="fees_fen", metadata={"example": {"fen": 0, "currency": "CNY"}})
    digest = Name(metadata={"example": "sha-256:" + "9f" * 32})
    terms = Free()
    made_at = At()
    valid_until = At(metadata={"example": "2026-03-10T16:00:00Z"})


class Loan(Shown):
    """A loan as the bank signed it and paid it out."""

    id = Id("ln")
    version = Number()
    application = Id("ap", attribute="application_id")
    contract = Id("ct", attribute="contract_id")
    bank = Name(attribute="bank_code", metadata={"example": "bank-a"})
    state = Word(*states_of("loan"), metadata={"example": "active"})
    reference = Name(allow_none=True, metadata={"example": "DK20260305"})
    principal = Amount(attribute="principal_fen")
    drawn = Amount(attribute="drawn_fen")
    rate_bp = Name(metadata={"example": "435"})
    day_basis = Name(metadata={"example": "ACT/360"})
    signed_on = On(allow_none=True)
    due_on = On(allow_none=True)


class Payment(Shown):
    """A payment found in a statement that belongs to a contract."""

    id = Id("pm")
    version = Number()
    contract = Id("ct", attribute="contract_id")
    state = Word(*states_of("payment"), metadata={"example": "allocated"})
    amount = Amount(attribute="amount_fen")
    value_on = On()
    payer = Name(metadata={"example": "某区教育局"})
    outcome = Name(metadata={"example": "allocated"})


class Consented(Shown):
    """A consent that was given: for which contract, to which bank, over which text."""

    contract = Id("ct", attribute="contract_id")
    bank = Name(attribute="bank_code", metadata={"example": "bank-a"})
    version = Name(attribute="text_version", metadata={"example": "consent/1"})
    digest = Name(attribute="text_digest", metadata={"example": "sha-256:" + "9f" * 32})
    given_at = At()


class Request(Shown):
    """One request to the bank, as it went; `error` is null where the answer could be used."""

    verb = Name(metadata={"example": "submit"})
    method = Name(metadata={"example": "POST"})
    path = Name(metadata={"example": "/applications"})
    status = Number(allow_none=True, metadata={"example": 200})
    elapsed_ms = Number(metadata={"example": 41})
    bytes_out = Number(metadata={"example": 30100})
    bytes_in = Number(metadata={"example": 612})
    error = Name(allow_none=True, metadata={"example": None})
    at = At()


class Event(Shown):
    """One event of the bank; `outcome` is null until it was looked at."""

    id = Name(attribute="message_id", metadata={"example": "msg_01JNB3Q7"})
    digest = Name(metadata={"example": "9f" * 32})
    received_at = At()
    handled_at = At(allow_none=True)
    outcome = Name(allow_none=True, metadata={"example": "applied"})
    outcome_why = Name(allow_none=True, metadata={"example": None})


class Apply(Asked):
    """An application to one or more banks for one amount."""

    class ToBank(Asked):
        """A bank, and the digest of the consent text that names it."""

        bank = Text(64, required=True, metadata={"example": "bank-a"})
        consent = Digest(required=True)

    contract = Id("ct", required=True)
    amount = Money(required=True)
    tenor_days = Count(1, 3660, required=True)
    banks = fields.List(
        fields.Nested(ToBank()), required=True, validate=validate.Length(min=1, max=20)
    )


class AcceptOffer(Asked):
    """The offer that was read, by its digest."""

    offer_digest = Digest(required=True)


class Nothing(Asked):
    """No member: the address says all."""
