"""The city's contracts, from award to acceptance.

One seed makes the same contracts, with dates that keep or break the rules on purpose: the cast of
the demo first (`Part` says what each is there to show), then contracts that only fill the city.
How they are published: `records.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Final, Literal

from financing.city import people
from financing.city.people import Account, Organisation, People
from financing.rules.calendar import add_working_days

Part = Literal[
    "settled", "refused", "not-financeable", "diverted", "other-account", "two-parts", "new-year",
    "background",
]  # fmt: skip
Stage = Literal["award", "contract", "filing", "acceptance"]

PREFIX: Final = "ocds-zzhcp1"
OPENING: Final = date(2026, 10, 8)  # first business day of the demo, after the autumn holidays
NEW_YEAR_SIGNED: Final = date(2026, 12, 30)  # its terms end in a year without holiday notice
_BACKGROUND: Final = 8


@dataclass(frozen=True, slots=True)
class Milestone:
    """One part of the price: when it is delivered and accepted, and when the purchaser pays."""

    code: str
    title: str
    amount_fen: int
    due_on: date
    delivered_on: date
    paid_on: date


@dataclass(frozen=True, slots=True)
class CityContract:
    """One contract with everything that will ever be said about it.

    Args:
        filed_on: None where the city never sees a filing.
        announced_on: None where the contract is too new for its notice.
        accepted_on: when a release, not the page, says that all was accepted.
        account: which the supplier names for payment; None for contracts of the background.
    """

    part: Part
    ocid: str
    number: str
    title: str
    title_en: str
    purchaser: Organisation
    supplier: Organisation
    budget_line: str
    budget_fen: int
    award_fen: int
    amount_fen: int
    award_on: date
    signed_on: date
    filed_on: date | None
    announced_on: date | None
    accepted_on: date | None
    ends_on: date
    milestones: tuple[Milestone, ...]
    account: Account | None

    @property
    def award_id(self) -> str:
        return f"{self.ocid.removeprefix(f'{PREFIX}-')}-A1"

    @property
    def published(self) -> dict[Stage, date]:
        """On which day each stage that this contract reaches becomes public."""
        signed = self.announced_on or self.signed_on
        days: dict[Stage, date] = {"award": self.award_on, "contract": signed}
        if self.filed_on:
            days["filing"] = max(self.filed_on, signed)
        if self.accepted_on:
            days["acceptance"] = self.accepted_on
        return days

    @property
    def public_on(self) -> date:
        """The day on which the record is complete before delivery."""
        return max(day for stage, day in self.published.items() if stage != "acceptance")


@dataclass(frozen=True, slots=True)
class City:
    """People and contracts of one seed."""

    seed: int
    people: People
    contracts: tuple[CityContract, ...]

    def part(self, name: Part) -> CityContract:
        """The contract of the cast that plays this part."""
        return next(contract for contract in self.contracts if contract.part == name)


def make(seed: int, opening: date = OPENING) -> City:
    """The whole city; the same seed makes the same city.

    Args:
        opening: about the day of the first awards.
    """
    crowd = people.make(seed)
    dice = Random(f"contracts {seed}")  # noqa: S311  amounts and dates, not secrets
    cast = _cast(dice, crowd, opening)
    crew = [
        _contract(dice, crowd, n, "background", _any(dice, crowd.suppliers), opening)
        for n in range(len(cast) + 1, len(cast) + 1 + _BACKGROUND)
    ]
    return City(seed, crowd, (*cast, *crew))


# What firms of each trade deliver, by the end of their English name.
_GOODS: Final = {
    "Lighting Co.": (
        ("校舍照明改造", "School lighting renewal"),
        ("道路照明维护", "Upkeep of street lighting"),
    ),
    "Technology Co.": (
        ("智慧停车管理系统", "Parking management system"),
        ("政务大厅信息终端", "Terminals for the service hall"),
    ),
    "Devices Co.": (
        ("社区卫生服务中心设备", "Equipment for a community clinic"),
        ("急救站除颤仪", "Defibrillators for first-aid posts"),
    ),
    "Services Co.": (
        ("公园绿化养护", "Care of park greenery"),
        ("河道水质在线监测", "Online monitoring of river water"),
    ),
    "Furniture Co.": (
        ("中小学课桌椅更新", "New desks for schools"),
        ("阅览室桌椅", "Furniture for reading rooms"),
    ),
    "Books Co.": (
        ("图书馆年度图书", "Books of the year for the library"),
        ("社区书屋图书", "Books for community reading rooms"),
    ),
}


def _cast(dice: Random, crowd: People, opening: date) -> list[CityContract]:
    free = [firm for firm in crowd.suppliers if firm.identifier.startswith("91410100MA9T2")]
    roles: list[tuple[Part, Organisation]] = [
        ("settled", crowd.supplier(people.LENDS)),
        ("refused", crowd.supplier(people.REFUSED)),
        ("not-financeable", free[0]),
        ("other-account", free[1]),
        ("diverted", free[1]),
        ("two-parts", crowd.supplier(people.TWO_PARTS)),
        ("new-year", free[2]),
    ]
    cast = [
        _contract(dice, crowd, n, part, firm, opening) for n, (part, firm) in enumerate(roles, 1)
    ]
    # One purchaser pays both contracts of the same firm, and will mix up the accounts.
    cast[4] = replace(cast[4], purchaser=cast[3].purchaser)
    return [_shaped(dice, contract) for contract in cast]


def _shaped(dice: Random, contract: CityContract) -> CityContract:
    """Give a contract of the cast the one trait that it is there to show."""
    lender = people.BANK_B if contract.part in ("refused", "other-account") else people.BANK_A
    own = people.account(dice, contract.supplier.name, lender)
    shaped = replace(contract, account=own)
    if contract.part == "not-financeable":
        return replace(shaped, filed_on=None)
    if contract.part == "two-parts":
        first = contract.amount_fen * 2 // 5
        one, two = contract.milestones[0], contract.milestones[-1]
        between = two.delivered_on - timedelta(days=21)
        early = replace(
            one, code="1", title="第一期", amount_fen=first, delivered_on=between,
            paid_on=_after(between, 8), due_on=between + timedelta(days=30),
        )  # fmt: skip
        late = replace(two, code="2", title="第二期", amount_fen=contract.amount_fen - first)
        return replace(shaped, milestones=(early, late))
    if contract.part == "new-year":
        return _moved(shaped, NEW_YEAR_SIGNED)
    return shaped


def _contract(
    dice: Random, crowd: People, n: int, part: Part, supplier: Organisation, opening: date
) -> CityContract:
    """A contract whose purchaser keeps the plan's terms; one in the background may be slow."""
    goods = next(g for trade, g in _GOODS.items() if supplier.name_en.endswith(trade))
    title, title_en = dice.choice(goods)
    amount_fen = dice.randrange(900, 2_600) * 100_000
    award_on = _after(opening, dice.randrange(3))
    signed_on = _after(award_on, 1 + dice.randrange(2))
    is_slow = part == "background" and n % 3 == 0
    filed_on = _after(signed_on, 8 if is_slow else 1 + dice.randrange(2))
    announced_on = _after(signed_on, 1 + dice.randrange(2))
    ends_on = _after(signed_on, 100)
    purchaser = _any(dice, crowd.purchasers)
    delivered_on = _after(signed_on, 24 + dice.randrange(6))
    only = Milestone(
        "1", "验收后付款", amount_fen, delivered_on + timedelta(days=30), delivered_on,
        _after(delivered_on, 8 + dice.randrange(6)),
    )  # fmt: skip
    return CityContract(
        part=part,
        ocid=f"{PREFIX}-2026-{n:04d}",
        number=f"郑示采合〔2026〕{n}号",
        title=title,
        title_en=title_en,
        purchaser=purchaser,
        supplier=supplier,
        budget_line=f"2026-{purchaser.identifier[8:13]}-{n:03d}",
        budget_fen=amount_fen + dice.randrange(100) * 100_000,
        award_fen=amount_fen,
        amount_fen=amount_fen,
        award_on=award_on,
        signed_on=signed_on,
        filed_on=filed_on,
        announced_on=announced_on,
        accepted_on=delivered_on if part == "background" and n % 2 else None,
        ends_on=ends_on,
        milestones=(only,),
        account=None,
    )


def _moved(contract: CityContract, signed_on: date) -> CityContract:
    """The same contract, just signed on another day: neither filed nor announced yet."""
    gap = signed_on - contract.signed_on
    milestones = tuple(
        replace(
            part,
            due_on=part.due_on + gap,
            delivered_on=part.delivered_on + gap,
            paid_on=_after(part.paid_on + gap, 1),
        )
        for part in contract.milestones
    )
    return replace(
        contract,
        award_on=signed_on - timedelta(days=1),
        signed_on=signed_on,
        filed_on=None,
        announced_on=None,
        ends_on=contract.ends_on + gap,
        milestones=milestones,
    )


def _after(day: date, working_days: int) -> date:
    return add_working_days(day, working_days).on if working_days else day


def _any(dice: Random, among: Iterable[Organisation]) -> Organisation:
    return dice.choice(tuple(among))
