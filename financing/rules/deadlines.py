"""Dated rules: who owes what by when, and since when that is the rule.

One row is one rule of one source for one span of time; old rows stay when a rule changes. The
day of the trigger does not count (Civil Code art. 201). A term in natural days that ends on a
rest day ends on the next working day (art. 203; that a plain weekend is such a day is our
reading). A breach of the law and a breach of the city's plan are never one figure.

An obligation is judged by the row in force on the day on which it falls due.
"""

# ruff: noqa: E501 - the table of rules is read by columns, one line a rule

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal, NamedTuple

from financing.rules.calendar import LIBRARY_ONLY, Due, Holidays, add_working_days, roll_forward
from financing.rules.profiles import Profile

Kind = Literal["statutory", "plan", "notice"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One dated rule.

    Args:
        owner: who has to act.
        trigger: what starts the term, as a word of `rules.trigger.…`.
        limit: number of `unit`s; None means that the contract alone says when.
        unit: `wd` Chinese working days, `d` natural days.
        scope: `china` or a profile; see `Profile.scopes`.
        suppliers: whose contracts it protects, `all` or `sme`.
        confirmed: False where the text of the source was not at hand.
    """

    id: str
    owner: Literal["purchaser", "operator"]
    trigger: str
    limit: int | None
    unit: Literal["wd", "d"]
    kind: Kind
    scope: str
    suppliers: Literal["all", "sme"]
    valid_from: date
    valid_to: date | None
    source: str
    confirmed: bool = True


_LAW: Final = date(2003, 1, 1)
_DECREE: Final = date(2015, 3, 1)
_PLAN: Final = date(2021, 1, 1)
_SME: Final = date(2020, 9, 1)
_SME_NEW: Final = date(2025, 6, 1)
_SME_OLD_END: Final = date(2025, 5, 31)
_NOTICE_2023: Final = date(2023, 12, 15)

# fmt: off
RULES: Final = (
    #    id             owner        trigger             limit unit  kind         scope        for     from          to            source
    Rule("NOTICE",      "purchaser", "winner-decided",   2,    "wd", "statutory", "china",     "all",  _DECREE,      None,         "政府采购法实施条例 (国务院令第658号) 第四十三条"),
    Rule("SIGN",        "purchaser", "award-notice",     30,   "d",  "statutory", "china",     "all",  _LAW,         None,         "政府采购法 第四十六条"),
    Rule("SIGN",        "purchaser", "award-notice",     2,    "wd", "plan",      "zhengzhou", "all",  _PLAN,        None,         "郑财购〔2020〕16号 第14条"),
    Rule("ANN",         "purchaser", "contract-signed",  2,    "wd", "statutory", "china",     "all",  _DECREE,      None,         "政府采购法实施条例 第五十条"),
    Rule("FILE",        "purchaser", "contract-signed",  7,    "wd", "statutory", "china",     "all",  _LAW,         None,         "政府采购法 第四十七条"),
    Rule("FILE",        "purchaser", "contract-signed",  2,    "wd", "plan",      "zhengzhou", "all",  _PLAN,        None,         "郑财购〔2020〕16号 第14条"),
    Rule("CONFIRM",     "purchaser", "confirm-asked",    30,   "d",  "statutory", "china",     "sme",  _SME,         _SME_OLD_END, "保障中小企业款项支付条例 (国务院令第728号) 第十四条"),
    Rule("CONFIRM",     "purchaser", "confirm-asked",    30,   "d",  "statutory", "china",     "sme",  _SME_NEW,     None,         "保障中小企业款项支付条例 (国务院令第802号) 第十六条"),
    Rule("CONFIRM",     "purchaser", "confirm-asked",    3,    "wd", "plan",      "zhengzhou", "all",  _PLAN,        None,         "服务默认值 (default of this service)", confirmed=False),
    Rule("ACC",         "purchaser", "inspection-ends",  0,    "d",  "statutory", "china",     "all",  _SME,         _SME_OLD_END, "政府采购法 第四十一条; 国务院令第728号 第九条"),
    Rule("ACC",         "purchaser", "inspection-ends",  0,    "d",  "statutory", "china",     "all",  _SME_NEW,     None,         "政府采购法 第四十一条; 国务院令第802号 第十条"),
    Rule("PAY",         "purchaser", "pay-clock",        30,   "d",  "statutory", "china",     "sme",  _SME,         _SME_OLD_END, "国务院令第728号 第八条"),
    Rule("PAY",         "purchaser", "pay-clock",        30,   "d",  "statutory", "china",     "sme",  _SME_NEW,     None,         "国务院令第802号 第九条"),
    Rule("PAY",         "purchaser", "contract-due",     None, "d",  "statutory", "china",     "all",  _DECREE,      None,         "政府采购法实施条例 第五十一条"),
    Rule("PAY",         "purchaser", "invoice",          30,   "d",  "notice",    "zhengzhou", "all",  date(2019, 7, 26), date(2023, 12, 14), "财库〔2019〕38号", confirmed=False),
    Rule("PAY",         "purchaser", "invoice",          10,   "wd", "notice",    "zhengzhou", "all",  _NOTICE_2023, None,         "财办库〔2023〕243号", confirmed=False),
    Rule("TELL-WINNER", "operator",  "award-known",      1,    "wd", "plan",      "zhengzhou", "all",  _PLAN,        None,         "郑财购〔2020〕16号 第18条"),
)
# fmt: on

# An award without a contract that was older than this when it became known is history of which
# the service holds the beginning only: it says nothing about who is late today.
AWARD_HISTORY_DAYS: Final = 365
PAY_DEFAULT_DAYS: Final = 30
PAY_CAP_DAYS: Final = 60


class Obligation(NamedTuple):
    """A rule applied to one trigger."""

    rule: Rule
    due: Due


def due(
    rule: Rule, trigger_on: date, holidays: Holidays = LIBRARY_ONLY, *, limit: int | None = None
) -> Due:
    """The last day for an obligation; its end in Asia/Shanghai is the end of the term.

    Args:
        limit: overrides the row's number, where the contract may name its own.
    """
    units = rule.limit if limit is None else limit
    if rule.unit == "wd" and units:
        return add_working_days(trigger_on, units, holidays)
    last = trigger_on + timedelta(days=units or 0)
    return roll_forward(last, holidays)


def obligations(
    rule_id: str,
    profile: Profile,
    trigger_on: date,
    holidays: Holidays = LIBRARY_ONLY,
    *,
    is_sme: bool | None = None,
    trigger: str | None = None,
    limit: int | None = None,
) -> list[Obligation]:
    """What a trigger obliges to: at most one row of each kind, the one in force on its due day.

    Args:
        is_sme: whether the supplier is small or medium-sized; None (unknown) leaves out the rules
            that protect only such firms, rather than accuse a purchaser on a guess.
        trigger: only rows that this event starts.
        limit: overrides the rows' numbers, where the contract may name its own.
    """
    found = []
    for rule in RULES:
        if rule.id != rule_id or rule.scope not in profile.scopes:
            continue
        if trigger not in (None, rule.trigger) or (rule.suppliers == "sme" and not is_sme):
            continue
        ends = due(rule, trigger_on, holidays, limit=limit)
        if rule.valid_from <= ends.on and (rule.valid_to is None or ends.on <= rule.valid_to):
            found.append(Obligation(rule, ends))
    return found


class Clock(NamedTuple):
    """When the term of payment began, and by which of the rules: a word of `rules.clock.…`."""

    on: date
    by: Literal["settlement", "acceptance", "inspection-ended", "delivery"]


def pay_clock(
    start: str | None,
    *,
    settled_on: date | None = None,
    accepted_on: date | None = None,
    inspection_ends_on: date | None = None,
    delivered_on: date | None = None,
) -> Clock | None:
    """The day on which the term of payment begins, or None while it cannot be known.

    Acceptance that the purchaser delays does not delay the payment: then the term begins when
    the agreed inspection period ended.

    Args:
        start: what the contract agreed: `settlement`, `acceptance`, `delivery`, or None.
    Source: 保障中小企业款项支付条例, arts. 8 and 9 (728), 9 and 10 (802).
    """
    if start == "settlement":
        return Clock(settled_on, "settlement") if settled_on else None
    if start == "acceptance":
        if inspection_ends_on and (accepted_on is None or accepted_on > inspection_ends_on):
            return Clock(inspection_ends_on, "inspection-ended")
        return Clock(accepted_on, "acceptance") if accepted_on else None
    return Clock(delivered_on, "delivery") if delivered_on else None


class PayTerm(NamedTuple):
    """Days for payment, and whether the contract names more than the law lets it."""

    days: int
    is_capped: bool


def pay_term(agreed_days: int | None) -> PayTerm:
    """The term that binds towards a small or medium-sized supplier.

    Source: 保障中小企业款项支付条例, art. 8 (728), art. 9 (802): 30 days, agreed at most 60.
    """
    if agreed_days is None:
        return PayTerm(PAY_DEFAULT_DAYS, False)
    return PayTerm(min(agreed_days, PAY_CAP_DAYS), agreed_days > PAY_CAP_DAYS)
