"""The checks of a contract: one row each, in the order in which a reader is told of them.

Every check answers pass, fail, unknown (not enough was seen: it says what is missing), or
not applicable. What blocks financing stands in the row, per profile: a failure (`F`), also what
is unknown (`FU`), nothing (`W`, it warns), or the row does not apply there (`-`).

Words are `check.<id>.name`, `check.<id>.<case>` for what was seen, and `check.<id>.<case>.remedy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from financing.errors import Invalid
from financing.rules.deadlines import obligations
from financing.rules.dossier import Dossier, Party
from financing.rules.look_alike import STOPS, WARNS
from financing.values import chinese_amounts, uscc
from financing.values.money import show_money

Result = Literal["pass", "fail", "unknown", "not-applicable"]
Blocks = Literal["F", "FU", "W", "-"]


class Word(NamedTuple):
    """A placeholder's value that is itself a key of the words: it differs by language."""

    key: str


Named = str | int | Word


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check found.

    Args:
        case: which words tell it.
        named: values for the words' placeholders.
        is_soft: an unknown of this kind does not block, though the row says that unknown does.
    """

    result: Result
    case: str
    named: Mapping[str, Named]
    is_soft: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One row.

    Args:
        blocks: what blocks, by profile.
        source: regulation or standard that asks for it.
    """

    id: str
    look: Callable[[Dossier], Outcome]
    blocks: Mapping[str, Blocks]
    source: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A check applied to one contract."""

    check: Check
    outcome: Outcome
    is_blocking: bool


def _passed(case: str = "pass", **named: Named) -> Outcome:
    return Outcome("pass", case, named)


def _failed(case: str = "fail", **named: Named) -> Outcome:
    return Outcome("fail", case, named)


def _unknown(case: str = "unknown", *, soft: bool = False, **named: Named) -> Outcome:
    return Outcome("unknown", case, named, soft)


def _spared(case: str = "spared", **named: Named) -> Outcome:
    return Outcome("not-applicable", case, named)


def party_id(seen: Dossier) -> Outcome:
    """Identifiers of both parties by the check digits of their scheme."""
    unread: list[Party] = []
    for party in (seen.purchaser, seen.supplier):
        if party.scheme != "CN-USCC":
            unread.append(party)
        elif uscc.problem(party.identifier):
            return _failed(name=party.name, code=party.identifier)
    if unread:
        return _unknown(name=unread[0].name, scheme=unread[0].scheme or "-")
    return _passed(purchaser=seen.purchaser.identifier, supplier=seen.supplier.identifier)


def party_live(seen: Dossier) -> Outcome:
    """Standing of the firm; no register is connected yet, so nothing is claimed."""
    return _unknown(name=seen.supplier.name)


def award_match(seen: Dossier) -> Outcome:
    """The award names this supplier."""
    if seen.award is None:
        return _spared() if seen.is_direct else _failed("none")
    if not seen.award.is_live:
        return _failed("cancelled", award=seen.award.id)
    if not seen.award.suppliers:
        return _unknown(award=seen.award.id)
    if not {seen.supplier.identifier, seen.supplier.key} & seen.award.suppliers:
        return _failed("other", award=seen.award.id, name=seen.supplier.name)
    return _passed(award=seen.award.id, name=seen.supplier.name)


def amount(seen: Dossier) -> Outcome:
    """Contract ≤ award ≤ budget; supplements together at most a tenth of the first amount."""
    if not seen.has_contract:
        return _unknown("unsigned", soft=True)  # SIGNED says it
    if seen.amount_fen is None:
        return _unknown("none")
    here = show_money(seen.amount_fen, seen.currency)
    first = seen.first_amount_fen
    if first is not None and (seen.amount_fen - first) * 10 > first:
        return _failed("supplement", amount=here, first=show_money(first, seen.currency))
    award = seen.award
    if award is None or award.fen is None or award.currency != seen.currency:
        return _spared("direct", amount=here) if seen.is_direct else _unknown("award", amount=here)
    won = show_money(award.fen, award.currency)
    # Supplements lift a contract above its award lawfully: the first amount is what was awarded.
    if min(seen.amount_fen, first if first is not None else seen.amount_fen) > award.fen:
        return _failed("above-award", amount=here, award=won)
    if seen.budget_fen is None or seen.budget_currency != seen.currency:
        return _unknown("budget", soft=True, amount=here, award=won)
    planned = show_money(seen.budget_fen, seen.currency)
    if award.fen > seen.budget_fen:
        return _failed("above-budget", award=won, budget=planned)
    return _passed(amount=here, award=won, budget=planned)


def words(seen: Dossier) -> Outcome:
    """The amount in words says the same as the figures."""
    if not seen.amount_in_words or seen.currency != "CNY" or seen.amount_fen is None:
        return _spared()
    figures = show_money(seen.amount_fen, "CNY")
    try:
        read = chinese_amounts.parse(seen.amount_in_words)
    except Invalid:
        return _unknown(words=seen.amount_in_words[:60])
    if read != seen.amount_fen:
        return _failed(words=seen.amount_in_words[:60], figures=figures)
    return _passed(words=seen.amount_in_words[:60], figures=figures)


def dates(seen: Dossier) -> Outcome:
    """The days of the record stand in the order in which things can happen, none in the future.

    A filing after acceptance, or an advance before it, is late or usual, not impossible.
    """
    known = {
        "award": seen.award.on if seen.award else None,
        "signed": seen.signed_on,
        "announced": seen.announced_on,
        "filed": seen.filed_on,
        "delivered": seen.delivered_on,
        "accepted": seen.accepted_on,
        "paid": seen.first_paid_on,
    }
    for name, day in (*known.items(), ("paid", seen.last_paid_on)):
        if day is not None and day > seen.today:
            return _failed("future", what=Word(f"date.{name}"), day=day.isoformat())
    for earlier, later in _ORDER:
        before, after = known[earlier], known[later]
        if before is not None and after is not None and after < before:
            return _failed(
                "order",
                earlier=Word(f"date.{earlier}"),
                earlier_day=before.isoformat(),
                later=Word(f"date.{later}"),
                later_day=after.isoformat(),
            )
    for name in ("award", "signed"):
        if known[name] is None and not (name == "award" and seen.is_direct):
            return _unknown(what=Word(f"date.{name}"))
    return _passed()


_ORDER: Final = (
    ("award", "signed"),
    ("signed", "announced"),
    ("signed", "filed"),
    ("signed", "delivered"),
    ("signed", "accepted"),
    ("delivered", "accepted"),
    ("signed", "paid"),
)


def signed(seen: Dossier) -> Outcome:
    """Signed, and by both."""
    if not seen.has_contract:
        return _failed("awarded")
    if seen.signed_on is None:
        return _failed()
    day = seen.signed_on.isoformat()
    if seen.signatories is None:
        return _unknown(day=day)
    missing = {"purchaser", "supplier"} - seen.signatories
    if missing:
        return _failed("half", day=day, who=Word(f"party.{min(missing)}"))
    return _passed(day=day)


def filed(seen: Dossier) -> Outcome:
    """A copy lies with the finance bureau."""
    return _published(seen, "FILE", seen.filed_on is not None or seen.has_filing_receipt)


def announced(seen: Dossier) -> Outcome:
    """The contract was announced in public."""
    if seen.is_secret:
        return _spared()
    return _published(seen, "ANN", seen.announced_on is not None)


def _published(seen: Dossier, rule_id: str, is_done: bool) -> Outcome:
    done_on = seen.filed_on if rule_id == "FILE" else seen.announced_on
    if is_done:
        return _passed(day=done_on.isoformat() if done_on else "-")
    if seen.signed_on is None:
        return _unknown("unsigned")
    law = [
        each
        for each in obligations(rule_id, seen.profile, seen.signed_on, seen.holidays)
        if each.rule.kind == "statutory"
    ]
    if not law:
        return _unknown("no-rule")
    due = law[0].due
    if due.provisional:  # nobody has announced that year's holidays: no day of it is certain
        return _unknown("guess", due=due.on.isoformat())
    if seen.today > due.on:
        return _failed(due=due.on.isoformat())
    return _unknown("in-term", due=due.on.isoformat())


def alive(seen: Dossier) -> Outcome:
    """Not terminated; its end has not passed before anything was delivered and accepted."""
    if seen.state in ("terminated", "closed") or seen.record_status in ("terminated", "cancelled"):
        return _failed("terminated")
    is_over = seen.ends_on is not None and seen.ends_on < seen.today
    if is_over and seen.accepted_on is None and seen.ends_on is not None:
        return _failed("expired", day=seen.ends_on.isoformat())
    if seen.ends_on is None:
        return _passed("no-end")
    return _passed(day=seen.ends_on.isoformat())


def unpaid(seen: Dossier) -> Outcome:
    """Something is still to be paid, by every source that tells of payments."""
    if not seen.has_contract:
        return _unknown("unsigned")
    if seen.amount_fen is None:
        return _unknown("no-amount")
    if not seen.has_feed and not seen.paid:
        return _unknown()
    paid_fen = max((fen for _, fen in seen.paid), default=0)
    paid, whole = show_money(paid_fen, seen.currency), show_money(seen.amount_fen, seen.currency)
    if paid_fen >= seen.amount_fen:
        return _failed(paid=paid, amount=whole)
    return _passed(paid=paid, amount=whole)


def account(seen: Dossier) -> Outcome:
    """A designated account is in force."""
    if seen.account is None or seen.account.state in ("rejected", "superseded"):
        return _failed()
    if seen.account.state == "proposed":
        return _unknown("proposed", last4=seen.account.last4)
    if seen.account.renamed:
        return _failed("renamed", last4=seen.account.last4, other=seen.account.renamed)
    return _passed(last4=seen.account.last4)


def holder(seen: Dossier) -> Outcome:
    """The account is the supplier's own."""
    if seen.account is None:
        return _unknown("none")
    if seen.account.holder_key != seen.supplier.key or seen.account.is_holder_verified is False:
        return _failed(holder=seen.account.holder, name=seen.supplier.name)
    if seen.account.is_holder_verified is None:
        return _unknown(holder=seen.account.holder)
    return _passed(holder=seen.account.holder)


def doc_digest(seen: Dossier) -> Outcome:
    """Each document that we hold is the one that the record describes."""
    compared = [each for each in seen.documents if each.recorded and each.held]
    for each in compared:
        if each.recorded != each.held:
            return _failed(name=each.name)
    if not seen.documents:
        return _unknown("none")
    if not compared:
        return _unknown(n=len(seen.documents))
    return _passed(n=len(compared))


def doc_sig(seen: Dossier) -> Outcome:
    """Signatures on the contract file are not examined yet, and nothing else is claimed."""
    return _unknown(n=len(seen.documents))


def confirmed(seen: Dossier) -> Outcome:
    """The purchaser confirmed these figures lately."""
    last = seen.confirmation
    if last is None:
        return _unknown("never")
    if last.state == "asked" and last.due_on is not None and last.is_due_guessed:
        return _unknown("guess", due=last.due_on.isoformat())
    if last.state == "asked":
        return _unknown("asked", due=last.due_on.isoformat() if last.due_on else "-")
    if last.state == "refused":
        return _failed("refused")
    if last.state != "confirmed" or last.answered_on is None:
        return _unknown("lapsed")
    if not last.is_of_this:
        return _failed("other-figures", day=last.answered_on.isoformat())
    age_days = (seen.today - last.answered_on).days
    if age_days > seen.profile.confirmation_days:
        return _unknown("old", day=last.answered_on.isoformat(), n=seen.profile.confirmation_days)
    return _passed(day=last.answered_on.isoformat())


def encumbered(seen: Dossier) -> Outcome:
    """Something is left of the receivable after the claims held in this service."""
    if not seen.has_contract:
        return _unknown("unsigned")
    opened = show_money(seen.open_fen, seen.currency)
    held = show_money(seen.held_fen, seen.currency)
    if seen.open_fen == 0:
        return _failed("nothing-open")
    if seen.open_fen - seen.held_fen <= 0:
        return _failed(open=opened, held=held)
    return _passed(open=opened, held=held)


def look_alike(seen: Dossier) -> Outcome:
    """No other contract of the same two parties looks like this one."""
    if not seen.look_alikes:
        return _passed("none")
    nearest = max(seen.look_alikes, key=lambda each: (each.score, each.number))
    if nearest.score >= STOPS:
        return _unknown(number=nearest.number, score=nearest.score)
    if nearest.score >= WARNS:
        return _passed("warns", number=nearest.number, score=nearest.score)
    return _passed("none")


def assignable(seen: Dossier) -> Outcome:
    """No clause forbids to assign the receivable."""
    if seen.is_assignable is None:
        return _unknown()
    return _passed() if seen.is_assignable else _failed()


def sme(seen: Dossier) -> Outcome:
    """The supplier declared its size; no register is connected that could contradict it."""
    if seen.declared_size is None:
        return _unknown()
    return _passed(size=Word(f"size.{seen.declared_size}"))


def dispute(seen: Dossier) -> Outcome:
    """Open challenges and complaints; no register is connected yet, so nothing is claimed."""
    return _unknown(name=seen.supplier.name)


def _by(zhengzhou: Blocks, generic: Blocks) -> Mapping[str, Blocks]:
    return {"zhengzhou": zhengzhou, "generic": generic}


# fmt: off
CHECKS: Final = (
    #     id             looks         blocks in zhengzhou, generic  source
    Check("PARTY-ID",    party_id,     _by("FU", "F"),  "GB 32100-2015; GB 11714-1997"),
    Check("PARTY-LIVE",  party_live,   _by("F",  "W"),  "政府采购法 第二十二条"),
    Check("AWARD-MATCH", award_match,  _by("FU", "F"),  "政府采购法 第四十六条"),
    Check("AMOUNT",      amount,       _by("FU", "F"),  "政府采购法 第四十九条; 实施条例 第三十条"),
    Check("WORDS",       words,        _by("F",  "F"),  "支付结算办法 附一"),
    Check("DATES",       dates,        _by("F",  "F"),  "政府采购法 第四十六条"),
    Check("SIGNED",      signed,       _by("FU", "F"),  "政府采购法 第四十四条"),
    Check("FILED",       filed,        _by("FU", "-"),  "政府采购法 第四十七条"),
    Check("ANNOUNCED",   announced,    _by("FU", "W"),  "政府采购法实施条例 第五十条"),
    Check("ALIVE",       alive,        _by("F",  "F"),  "政府采购法 第五十条; 实施条例 第五十四条"),
    # Before what was paid: the purchaser answers both, and a refusal must not hide behind it.
    Check("CONFIRMED",   confirmed,    _by("FU", "FU"), "国务院令第802号 第十六条"),
    Check("UNPAID",      unpaid,       _by("FU", "FU"), "民法典 第五百五十七条"),
    Check("ACCOUNT",     account,      _by("FU", "FU"), "郑财购〔2020〕16号 第18条"),
    Check("HOLDER",      holder,       _by("F",  "F"),  "郑财购〔2020〕16号 第18条"),
    Check("DOC-DIGEST",  doc_digest,   _by("F",  "F"),  "FIPS 180-4 (SHA-256)"),
    Check("DOC-SIG",     doc_sig,      _by("W",  "W"),  "电子签名法 第十四条"),
    Check("ENCUMBERED",  encumbered,   _by("F",  "F"),  "民法典 第四百四十五条, 第七百六十八条"),
    Check("LOOK-ALIKE",  look_alike,   _by("FU", "FU"), "民法典 第七百六十三条"),
    Check("ASSIGNABLE",  assignable,   _by("W",  "W"),  "民法典 第五百四十五条"),
    Check("SME",         sme,          _by("W",  "-"),  "财库〔2020〕46号"),
    Check("DISPUTE",     dispute,      _by("W",  "W"),  "民法典 第五百四十九条"),
)
# fmt: on


def examine(seen: Dossier) -> tuple[Finding, ...]:
    """Run the whole table over one contract, in table order."""
    findings = []
    for check in CHECKS:
        blocks = check.blocks[seen.profile.id]
        outcome = check.look(seen) if blocks != "-" else _spared("elsewhere")
        stops = outcome.result == "fail" and "F" in blocks
        waits = outcome.result == "unknown" and "U" in blocks and not outcome.is_soft
        findings.append(Finding(check, outcome, stops or waits))
    return tuple(findings)


def first_blocking(findings: tuple[Finding, ...]) -> Finding | None:
    """The finding that the sentence on the page tells; None: the contract is financeable.

    What failed comes before what is not known yet: no answer to the second would mend the first.
    """
    blocking = [each for each in findings if each.is_blocking]
    failed = (each for each in blocking if each.outcome.result == "fail")
    return next(failed, next(iter(blocking), None))
