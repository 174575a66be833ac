"""The demo on published contracts: what a record holds is used, what it lacks people supply.

1. `read`      every contract of the files once, with the newest that any of them says
2. `_young`    the contract as it stood a day after its signing is imported
3. `_prepare`  its people name and confirm the account, and confirm the contract
4. `_borrow`   the supplier applies to both banks; one of them does not lend in that place
5. `_arrive`   each published payment arrives on its day as a line of the account's statement

Every contract is tried; of each that comes to nothing the story says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any, Final

from financing.city import people, published, run, seed
from financing.city.people import BANK_A, BANK_B, Organisation, Person
from financing.city.published import Process
from financing.city.run import Result
from financing.city.scenes import Deal, Play
from financing.city.seed import EVENING, Lender, at
from financing.errors import Conflict, Invalid, NotFound
from financing.formats import ocds, ocds_contracts
from financing.formats.recognise import recognise
from financing.journeys import files
from financing.settings import Settings
from financing.values.contract_facts import ContractFacts, Party, PaymentFacts
from financing.values.money import show_money
from financing.values.parked import Parked
from financing.words import both

MOST: Final = 60  # contracts that are played; of more, those with payments come first
TENOR_MOST_DAYS: Final = 730
TENOR_LEAST_DAYS: Final = 90

LENDERS: Final[tuple[Lender, ...]] = (
    replace(run.LENDER_A, product={**run.LENDER_A.product, "days": TENOR_MOST_DAYS}),
    replace(
        run.LENDER_B,
        product={**run.LENDER_B.product, "days": TENOR_MOST_DAYS},
        behaviour={"decision": "refuse", "reason_code": "R14"},  # it lends in its own city only
    ),
)
_ENGLISH: Final = {
    name: english
    for bank in (BANK_A, BANK_B)
    for name, english in (
        (bank.name, bank.name_en),
        (f"{bank.name}郑州分行", f"{bank.name_en}, Zhengzhou"),
    )
}


@dataclass(slots=True)
class Candidate:
    """One published contract.

    Args:
        facts: as the newest record has them, payments included.
        day: on which the demo looks at it.
        remarks: what no record holds and the demo supplied, or why it went no further.
    """

    process: Process
    contract: published.Body
    facts: ContractFacts
    day: date
    remarks: list[dict[str, str]] = field(default_factory=list)
    is_stopped: bool = False

    @property
    def name(self) -> tuple[str, str]:
        return self.process.ocid, self.facts.number

    @property
    def payments(self) -> list[tuple[date, list[PaymentFacts]]]:
        """What was paid in the contract's currency, by days; never before the demo's day."""
        known = [
            one
            for one in self.facts.payments
            if one.paid_on and one.amount_fen > 0 and one.currency == self.facts.currency
        ]
        days = sorted(known, key=lambda one: (self._on(one), one.code))
        return [(day, list(group)) for day, group in groupby(days, key=self._on)]

    def _on(self, payment: PaymentFacts) -> date:
        return max(payment.paid_on or self.day, self.day + timedelta(days=1))

    def remark(self, key: str, **named: Any) -> None:
        """Note something for the story."""
        self.remarks.append(both(f"supplied.{key}", **named))


def demo(
    settings: Settings,
    paths: Sequence[Path],
    *,
    out: Path | None,
    lang: str,
    say: Callable[[str], None],
) -> Result:
    """Carry published contracts through the chain; see `run.demo`.

    Raises:
        Invalid: the files hold no contract that can be read; nothing was changed.
    """
    started = time.perf_counter()
    candidates, left_out = read(paths)
    if not candidates:
        raise Invalid(
            "these files hold no contract that can be read",
            where=str(paths[0]),
            remedy="Give OCDS records with contracts, awards, and parties.",
        )
    first = min(one.day for one in candidates)
    currencies = sorted({one.facts.currency for one in candidates})
    given = replace(settings, profile="generic")
    with run.staged(given, LENDERS, currencies, first=first, lang=lang, say=say) as stage:
        crowd = people.make(1)
        staff = [one for one in crowd.persons if one.organisation.kind not in _PARTIES]
        with stage.ctx.begin() as tx:
            seed.people(tx, [crowd.bureau, crowd.platform], staff)
        dice = Random("accounts")  # noqa: S311  no secret
        company = _Company(run.new_play(stage, _ENGLISH, given), dice)
        for one in candidates:
            company.play.agenda.put(at(one.day), partial(_young, company, one))
        company.play.agenda.run()
        return run.finish(
            company.play,
            {one.name: one.remarks for one in candidates},
            left_out=left_out,
            lenders=LENDERS,
            out=out,
            started=started,
        )


_PARTIES: Final = ("supplier", "purchaser")


# ── 1. Reading ───────────────────────────────────────────────────────────────────────────────


def read(paths: Sequence[Path]) -> tuple[list[Candidate], list[dict[str, str]]]:
    """Every contract of these files once; beside them those that cannot be read, and why."""
    found: list[Candidate] = []
    left_out: list[dict[str, str]] = []
    for process in published.processes(_releases(paths)):
        for one in _contracts(process):
            if isinstance(one, Candidate):
                found.append(one)
            else:
                left_out.append({"ocid": process.ocid, "reason": one.reason, "remedy": one.remedy})
    played = sorted(found, key=lambda one: not one.payments)
    left_out += [
        {"ocid": one.process.ocid, "reason": f"beyond the first {MOST} contracts", "remedy": ""}
        for one in played[MOST:]
    ]
    return sorted(played[:MOST], key=lambda one: one.name), left_out


def _releases(paths: Sequence[Path]) -> Iterator[ocds.Release]:
    for path in files.files_below(paths):
        with Path(path).open("rb") as stream:
            if recognise(stream) == "records":
                found = ocds.read(stream.read, Path(path).name)
                yield from (item for item in found if isinstance(item, ocds.Release))


def _contracts(process: Process) -> Iterator[Candidate | Parked]:
    """Each contract of a process, read on its own so that facts and record stay together."""
    for contract in process.contracts:
        for facts in ocds_contracts.contracts_of([published.alone(process, contract)]):
            if isinstance(facts, Parked):
                yield facts
            elif facts.code:  # an award without a contract has nothing to be financed
                yield Candidate(process, contract, facts, _day_of(contract, facts))


def _day_of(contract: published.Body, facts: ContractFacts) -> date:
    """A day after signing; where that is not published, after the first day that is."""
    signed = published.day_after_signing(contract)
    known = (facts.award.issued_on if facts.award else None, facts.starts_on, facts.ends_on)
    return signed or next((day for day in known if day), _NO_DAY) + timedelta(days=1)


_NO_DAY: Final = date(2020, 1, 1)  # of a contract whose record holds no day at all


# ── 2. Young again ───────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Company:
    """The people whom the demo gives to the parties of published contracts."""

    play: Play
    dice: Random
    persons: dict[Organisation, Person] = field(default_factory=dict)

    def person(self, role: people.Role, party: Party) -> Person:
        """Who acts for this party; made when first needed, with a sign-in of its own."""
        kind: people.Kind = "supplier" if role == "supplier" else "purchaser"
        one = Organisation(kind, party.scheme, party.identifier, party.name, party.name)
        if one not in self.persons:
            n = 1 + sum(1 for other in self.persons if other.kind == kind)
            self.persons[one] = Person(f"{kind}{n}", role, party.name, party.name, one)
            with self.play.stage.ctx.begin() as tx:
                seed.people(tx, [one], [self.persons[one]])
        return self.persons[one]


def _young(company: _Company, one: Candidate) -> None:
    play, facts = company.play, one.facts
    path = play.write(
        "-".join("".join(c for c in part if c.isalnum()) for part in one.name),
        published.as_of(one.process, one.contract, one.day),
    )
    (report,) = play.imports([path])
    play.say("demo.imported", n=report.read)
    one.remark("as_of", day=str(one.day), n=len(facts.payments))
    row = play.stage.contract(*one.name)
    if row is None:
        return
    # A firm is spelled in many ways: the service keeps the one that it met first.
    (known,) = play.stage.rows("SELECT name FROM organisation WHERE id = :id", id=row.supplier_id)
    deal = Deal(
        ocid=one.process.ocid,
        number=facts.number,
        supplier=company.person("supplier", facts.supplier),
        purchaser=company.person("purchaser", facts.purchaser),
        account=people.account(company.dice, known.name, BANK_A),
        keeper=BANK_A,
        currency=facts.currency,
    )
    _put(play, at(one.day), one, partial(_prepare, play, deal, one))


def _put(play: Play, when: datetime, one: Candidate, step: Callable[[], object]) -> None:
    """Put a step down; a contract whose page refuses it goes no further, and the others go on."""

    def happen() -> None:
        if one.is_stopped:
            return
        try:
            step()
        except (Conflict, NotFound) as refusal:
            one.is_stopped = True
            one.remark("stopped", why=refusal.detail)

    play.agenda.put(when, happen)


# ── 3. Preparing ─────────────────────────────────────────────────────────────────────────────


def _prepare(play: Play, deal: Deal, one: Candidate) -> None:
    if play.contract(deal).state != "signed":
        play.look(deal)  # nothing that its people could say would make it a signed contract
        return
    play.prepare(deal)
    play.answer(deal)
    one.remark("account", bank=play.name(deal.keeper))
    one.remark("confirmation")
    if not play.checked(deal).financeable:
        play.look(deal)
    elif not one.payments:
        one.remark("no_payments")
    else:
        _borrow(play, deal, one)


# ── 4. Borrowing ─────────────────────────────────────────────────────────────────────────────


def _borrow(play: Play, deal: Deal, one: Candidate) -> None:
    fen = (one.facts.amount_fen or 0) * 6 // 10 // 100 * 100
    if fen < seed.LEAST_FEN:
        one.remark("too_small", least=show_money(seed.LEAST_FEN, deal.currency))
        return
    ends_on = one.facts.ends_on or one.payments[-1][0]
    tenor_days = min((ends_on - one.day).days + TENOR_LEAST_DAYS, TENOR_MOST_DAYS)
    answers = play.apply(deal, [BANK_A, BANK_B], fen, max(tenor_days, TENOR_LEAST_DAYS))
    one.remark("consent")
    if answers[str(BANK_A.code)].state != "offered":
        return
    play.take(deal, BANK_A)
    one.remark("arrive")
    first = one.payments[0][0]
    _put(play, at(first), one, partial(_accept, play, deal, one, first))
    for day, payments in one.payments:
        _put(play, at(day, EVENING), one, partial(_arrive, play, deal, day, payments))


def _accept(play: Play, deal: Deal, one: Candidate, on: date) -> None:
    play.accept_delivery(deal, on, None)
    one.remark("acceptance", day=str(on))


# ── 5. Being paid ────────────────────────────────────────────────────────────────────────────


def _arrive(play: Play, deal: Deal, on: date, payments: Sequence[PaymentFacts]) -> None:
    was_settled = _is_settled(play, deal)
    for payment in payments:
        payer = payment.payer or deal.purchaser.organisation.name
        said = f"{deal.number} {payment.code}"
        play.arrive(deal, fen=payment.amount_fen, on=on, payer=payer, remittance=said)
    play.book(deal, on)
    play.say(
        "demo.paid",
        purchaser=play.name(deal.purchaser.organisation),
        amount=show_money(sum(one.amount_fen for one in payments), deal.currency),
        bank=play.name(deal.keeper),
    )
    if not was_settled and _is_settled(play, deal):
        play.settle(deal, BANK_A)


def _is_settled(play: Play, deal: Deal) -> bool:
    row = play.stage.application(play.contract(deal).id, str(BANK_A.code))
    return row is not None and row.loan_state == "settled"
