"""What a bank says happened: the same fields in an event and in an item of its feed.

A table names each type of event, the status it stands for, and what it cannot do without. A type
or status that is not in the table is kept and moves nothing.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from marshmallow import ValidationError, fields, validates_schema

from schemas.application import EchoIn
from schemas.fields import Count, Day, Digest, FromBank, Instant, Money, Text
from schemas.offer import OfferIn


class Kind(NamedTuple):
    """A status in our words, and the fields without which a report of it says nothing."""

    status: str
    needs: tuple[str, ...] = ()


EVENTS: Final = {
    "application.received": Kind("received"),
    "application.reviewing": Kind("reviewing"),
    "application.info_required": Kind("info_required", ("needs",)),
    "application.refused": Kind("refused", ("reason_code",)),
    "offer.made": Kind("offered", ("offer",)),
    "offer.amended": Kind("offered", ("offer",)),
    "offer.withdrawn": Kind("offer_withdrawn", ("offer_reference",)),
    "offer.expired": Kind("offer_expired", ("offer_reference",)),
    "offer.acceptance_confirmed": Kind("accepted", ("offer_digest",)),
    "loan.contracted": Kind("contracted", ("loan_reference", "money", "on")),
    "account.locked": Kind("account_locked", ("account_digest",)),
    "loan.disbursed": Kind("disbursed", ("money", "on")),
    "loan.repaid": Kind("repaid", ("money", "split", "on")),
    "loan.settled": Kind("settled", ("on",)),
    "loan.overdue": Kind("overdue", ("on",)),
    "loan.written_off": Kind("written_off", ("on",)),
    "application.cancelled": Kind("cancelled"),
    "payment.received": Kind("payment_received", ("money", "on", "flow_reference")),
}
# What an item of the feed needs, by its status.
STATUSES: Final = {kind.status: kind for kind in EVENTS.values()}


class NeedIn(FromBank):
    code = Text(40, required=True)
    text = Text(1000, lines=True, load_default="")
    until = Day(load_default=None, allow_none=True)


class SplitIn(FromBank):
    """Minor units of the repayment's currency."""

    principal = Count(0, 10**15, required=True)
    interest = Count(0, 10**15, required=True)
    fee = Count(0, 10**15, load_default=0)
    penalty = Count(0, 10**15, load_default=0)


class SaidIn(FromBank):
    """The data of an event, and an item of the feed."""

    event_id = Text(64, load_default=None, allow_none=True)
    request_id = Text(64, load_default=None, allow_none=True)
    application = Text(64, load_default=None, allow_none=True)
    bank_reference = Text(64, load_default=None, allow_none=True)
    status = Text(64, load_default=None, allow_none=True)
    sequence = Count(1, 10**9, load_default=None, allow_none=True)
    occurred_at = Instant(load_default=None, allow_none=True)
    echo = fields.Nested(EchoIn(), load_default=None, allow_none=True)
    offer = fields.Nested(OfferIn(), load_default=None, allow_none=True)
    offer_reference = Text(64, load_default=None, allow_none=True)
    offer_digest = Digest(load_default=None, allow_none=True)
    account_digest = Digest(load_default=None, allow_none=True)
    reason_code = Text(40, load_default=None, allow_none=True)
    text = Text(2000, lines=True, load_default="", allow_none=True)
    needs = fields.List(fields.Nested(NeedIn()), load_default=list)
    money = Money(0, load_default=None, allow_none=True)
    split = fields.Nested(SplitIn(), load_default=None, allow_none=True)
    on = Day(load_default=None, allow_none=True)
    due_on = Day(load_default=None, allow_none=True)
    loan_reference = Text(64, load_default=None, allow_none=True)
    flow_reference = Text(64, load_default=None, allow_none=True)
    part = Count(1, 1000, load_default=None, allow_none=True)
    parts = Count(1, 1000, load_default=None, allow_none=True)
    next_step = Text(64, load_default=None, allow_none=True)

    @validates_schema
    def _split_adds_up(self, data: Any, **_: Any) -> None:
        split, money = data.get("split"), data.get("money")
        if split and money is not None:
            total = sum(split[name] for name in ("principal", "interest", "fee", "penalty"))
            if total != money.fen:
                raise ValidationError(f"the parts add up to {total}, not {money.fen}", "split")


class EventIn(FromBank):
    """The envelope of a signed event; `data` is read by its type."""

    type = Text(64, required=True)
    timestamp = Instant(required=True)
    data = fields.Raw(load_default=None, allow_none=True)


def missing(kind: Kind, said: Any) -> tuple[str, ...]:
    """Fields that a report of this kind cannot do without, and has not."""
    return tuple(name for name in kind.needs if not said.get(name))
