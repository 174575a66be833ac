"""Figures, deadlines, notices, parked things, work, and banks as our API shows them."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from financing.rules.deadlines import RULES
from schemas.fields import Text
from schemas.shown import Asked, At, Exact, Id, Name, Number, On, Shown, Word, Yes

JUDGED = ("bank", "purchaser", "service")
SOURCE = "政府采购法 第四十七条"


class Share(Shown):
    """So many of so many."""

    numerator = Number()
    denominator = Number()


class Figure(Shown):
    """A figure of a period; null without lines, few where it may not be published."""

    id = Name(attribute="figure.id", metadata={"example": "B-APPR"})
    name = Name(metadata={"example": "银行批准率"})
    definition = Name(metadata={"example": "……"})
    source = Name(attribute="figure.source", metadata={"example": SOURCE})
    definition_version = Number(attribute="figure.version")
    subject = Word(*JUDGED, attribute="figure.subject")
    unit = Word("percent", "hours", "days", attribute="figure.unit")
    first_on = On(attribute="period.first_on")
    last_on = On(attribute="period.last_on")
    numerator = Number()
    denominator = Number()
    value = Exact(allow_none=True)
    by_law = fields.Nested(Share(), allow_none=True)
    is_few = Yes()
    provisional = Yes()


class FigureLine(Shown):
    """One thing that a figure counts."""

    contract = Id("ct", attribute="contract_id")
    number = Name()
    who = Name(metadata={"example": "某银行"})
    since = On()
    until = On(allow_none=True)
    counts = Yes()
    by_law = Yes(allow_none=True)
    measure = Number(allow_none=True)
    due = On(allow_none=True)
    provisional = Yes()


class Late(Shown):
    """One obligation that is late, counted in Chinese working days."""

    rule = Word(*dict.fromkeys(row.id for row in RULES), metadata={"example": "PAY"})
    contract = Id("ct", attribute="contract_id")
    number = Name(attribute="contract")
    who = Name(metadata={"example": "某区教育局"})
    what = Name(metadata={"example": ""})
    due = On()
    working_days_late = Number()
    kind = Word("statutory", "plan", "notice")
    source = Name(metadata={"example": SOURCE})
    provisional = Yes()


class Notice(Shown):
    """A notice to the organisation."""

    id = Id("nt")
    kind = Name(metadata={"example": "offer"})
    title = Name(attribute="said_title", metadata={"example": "有新的授信方案"})
    text = Name(attribute="said_text", metadata={"example": "……"})
    contract = Id("ct", attribute="of_contract", allow_none=True)
    number = Name(allow_none=True)
    at = At()
    opened_at = At(allow_none=True)


class Parked(Shown):
    """Something that could not be used: where it stood, why, and what to do."""

    id = Id("pd")
    kind = Word("record", "statement", "line", "event")
    source = Name(metadata={"example": "records.json"})
    place = Name(metadata={"example": "/releases/3"})
    value = Name(metadata={"example": ""})
    reason = Name(metadata={"example": "NO-AMOUNT: the contract has no amount"})
    remedy = Name(metadata={"example": "ask the publisher"})
    state = Word("open", "replayed")
    at = At()


class ReplayParked(Asked):
    """Which parked things to read again: these, or all of one cause."""

    items = fields.List(Id("pd"), load_default=None, validate=validate.Length(min=1, max=200))
    cause = Text(64, load_default=None, metadata={"example": None}, allow_none=True)

    @validates_schema
    def _one_of_both(self, data: Any, **_: Any) -> None:
        if (data["items"] is None) == (data["cause"] is None):
            raise ValidationError("either items or cause", "items")


class Replayed(Shown):
    """What became of one parked thing."""

    id = Id("pd")
    is_replayed = Yes()


class ReplayedAll(Shown):
    """What became of each."""

    items = fields.List(fields.Nested(Replayed()))


class Job(Shown):
    """Work that cannot succeed by itself and waits for a person."""

    id = Name(attribute="key", metadata={"example": "submit:0195"})
    kind = Name(metadata={"example": "submit"})
    bank = Name(metadata={"example": "bank-a"})
    attempt = Number()
    last_error = Name(allow_none=True, metadata={"example": "the bank answered 400"})
    created_at = At()
    parked_at = At(attribute="parked")


class Retried(Shown):
    """Work that goes back into its lane."""

    id = Name(metadata={"example": "submit:0195"})


class Bank(Shown):
    """How a bank answers: what waits for it, and how its last calls were."""

    code = Name(metadata={"example": "bank-a"})
    name = Name(metadata={"example": "某银行"})
    adapter = Name(metadata={"example": "rest_jws"})
    stopped_at = At(allow_none=True, metadata={"example": None})
    stopped_why = Name(allow_none=True, metadata={"example": None})
    waiting = Number()
    parked = Number()
    calls = Number()
    failures = Number()
    last_at = At(allow_none=True)
    last_status = Number(allow_none=True, metadata={"example": 200})
