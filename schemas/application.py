"""The answers of the `rest_jws` profile: receipts and pages of the feed."""

from __future__ import annotations

from marshmallow import fields

from schemas.fields import Count, Digest, FromBank, Money, Text, Truth


class EchoIn(FromBank):
    """What the bank says it is speaking of; what is absent stays silent."""

    contract_number = Text(200, load_default=None, allow_none=True)
    packet_digest = Digest(load_default=None, allow_none=True)
    account_digest = Digest(load_default=None, allow_none=True)
    amount = Money(load_default=None, allow_none=True)


class RefusalIn(FromBank):
    code = Text(40, required=True)
    text = Text(2000, lines=True, load_default="", allow_none=True)


class ReceiptIn(FromBank):
    request_id = Text(64, required=True)
    application = Text(64, load_default=None, allow_none=True)
    outcome = Text(40, required=True)  # a word that is not ours counts as unknown
    bank_reference = Text(64, load_default=None, allow_none=True)
    refusal = fields.Nested(RefusalIn(), load_default=None, allow_none=True)
    echo = fields.Nested(EchoIn(), load_default=None, allow_none=True)
    retry_after_s = Count(0, 86_400, load_default=None, allow_none=True)


class ReceiptsIn(FromBank):
    receipts = fields.List(fields.Nested(ReceiptIn()), required=True)


class PageIn(FromBank):
    """A page of the feed; its items are read one by one, `schemas.event.SaidIn`."""

    items = fields.List(fields.Raw(), required=True)
    cursor = Text(200, load_default=None, allow_none=True)
    more = Truth(load_default=False)
    never_seen = fields.List(Text(64), load_default=list)
