"""What each contract of the synthetic cast goes through, put down on the agenda day by day.

The purchaser's clerk pays the contract `diverted` into the account of the firm's other contract;
everything else goes as it should, or is refused.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import Final

from financing.city import records
from financing.city.contracts import City, CityContract, Milestone
from financing.city.people import BANK_A, BANK_B
from financing.city.scenes import Deal, Play
from financing.city.seed import EVENING, at
from financing.rules.calendar import add_working_days

GRACE_DAYS: Final = 90
ASKED_AGAIN: Final = date(2026, 12, 25)  # when the first confirmation is too old to lend on


def put_down(play: Play, city: City) -> None:
    """Put everything that will happen in the city down on the agenda."""
    for day, package in records.packages(city.contracts).items():
        play.agenda.put(at(day, EVENING), partial(play.publish, str(day), package))
    for contract in city.contracts:
        if contract.account is not None:
            _put(play, city, contract, deal_of(city, contract))


def deal_of(city: City, contract: CityContract) -> Deal:
    """A contract of the cast with its people."""
    account = contract.account
    if account is None:
        raise ValueError(f"{contract.number} has no account")
    return Deal(
        ocid=contract.ocid,
        number=contract.number,
        supplier=city.people.person(contract.supplier),
        purchaser=city.people.person(contract.purchaser),
        account=account,
        keeper=BANK_B if BANK_B.name in account.bank_name else BANK_A,
        currency="CNY",
    )


def _put(play: Play, city: City, contract: CityContract, deal: Deal) -> None:
    put, public = play.agenda.put, contract.public_on
    if contract.part == "new-year":
        put(at(_later(contract.signed_on, 1)), lambda: play.look(deal))
        return
    if contract.part == "not-financeable":
        put(at(_later(contract.signed_on, 10)), lambda: play.look(deal))
        return
    if contract.part == "other-account":
        # Shortly before the purchaser mixes up the two accounts of this firm.
        mixed_up = city.part("diverted").milestones[0].paid_on
        public = mixed_up - timedelta(days=7)
    asked, answered = _later(public, 1), _later(public, 2)
    put(at(asked), lambda: play.prepare(deal))
    put(at(answered), lambda: play.answer(deal))
    if contract.part == "other-account":
        put(at(_later(ASKED_AGAIN, 1)), lambda: play.ask_again(deal))
        put(at(_later(ASKED_AGAIN, 2)), lambda: play.answer_again(deal))
        return
    if contract.part == "settled":
        put(at(_later(contract.award_on, 1)), lambda: play.won(deal))
    bank = BANK_B if contract.part == "refused" else BANK_A
    fen = contract.amount_fen * 6 // 10 // 100_000 * 100_000
    applied = _later(public, 3)
    tenor_days = (contract.milestones[-1].due_on - applied).days + GRACE_DAYS
    put(at(applied), partial(play.apply, deal, [bank], fen, tenor_days))
    if contract.part == "refused":
        return
    put(at(_later(public, 4)), lambda: play.take(deal, bank))
    for part in contract.milestones:
        _put_milestone(play, city, contract, deal, part)
    if contract.part != "diverted":
        last = contract.milestones[-1].paid_on
        put(at(last, EVENING), lambda: play.settle(deal, bank))


def _put_milestone(
    play: Play, city: City, contract: CityContract, deal: Deal, part: Milestone
) -> None:
    only = len(contract.milestones) == 1
    code = None if only else part.code
    accepted = _later(part.delivered_on - timedelta(days=1), 1)
    play.agenda.put(at(accepted), lambda: play.accept_delivery(deal, accepted, code))
    said = f"付 {contract.number} 合同款 {part.title}"
    if contract.part != "diverted":
        play.agenda.put(
            at(part.paid_on),
            partial(play.pay, deal, fen=part.amount_fen, on=part.paid_on, remittance=said),
        )
        return
    # The purchaser's clerk picks the account of the firm's other contract.
    other = deal_of(city, city.part("other-account"))
    play.agenda.put(
        at(part.paid_on),
        partial(play.pay, deal, fen=part.amount_fen, on=part.paid_on, remittance=said, into=other),
    )


def _later(day: date, working_days: int) -> date:
    return add_working_days(day, working_days).on
