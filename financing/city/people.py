"""Who lives in the synthetic city: purchasers, suppliers, the bureau, banks, and their people.

Every name is invented; the districts do not exist. The codes are valid (both check digits), and
the first suppliers carry the codes for which a sandbox bank has a fixed outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from financing.values import accounts, uscc

Kind = Literal["supplier", "purchaser", "bank", "bureau", "platform"]
Role = Literal["supplier", "purchaser", "bank", "bureau", "operator"]

ZHENGZHOU: Final = "91410100"  # 9 commerce, 1 company, 410100 the city
BODY: Final = "11410100"  # 1 establishment, 1 public body
REGION: Final = "4910"  # the city in the codes of banks

# Codes with a fixed outcome at a sandbox bank, by what that outcome is.
LENDS: Final = uscc.make(ZHENGZHOU, "MA9T0001")
REFUSED: Final = uscc.make(ZHENGZHOU, "MA9T0002")
TWO_PARTS: Final = uscc.make(ZHENGZHOU, "MA9T0008")


@dataclass(frozen=True, slots=True)
class Organisation:
    """One organisation; `name` is what records say, `name_en` what an English story says."""

    kind: Kind
    scheme: str
    identifier: str
    name: str
    name_en: str
    size: str = ""
    code: str | None = None

    @property
    def id(self) -> str:
        """The party's id in a record."""
        return f"{self.scheme}-{self.identifier}"


@dataclass(frozen=True, slots=True)
class Person:
    """One person who signs in."""

    login: str
    role: Role
    name: str
    name_en: str
    organisation: Organisation


@dataclass(frozen=True, slots=True)
class Account:
    """An account (账户): holder, the bank that keeps it, and its number."""

    holder: str
    bank_name: str
    cnaps: str
    number: str


@dataclass(frozen=True, slots=True)
class People:
    """All organisations of the city and one person for each."""

    purchasers: tuple[Organisation, ...]
    suppliers: tuple[Organisation, ...]
    banks: tuple[Organisation, ...]
    bureau: Organisation
    platform: Organisation
    persons: tuple[Person, ...]

    @property
    def organisations(self) -> tuple[Organisation, ...]:
        return (*self.purchasers, *self.suppliers, *self.banks, self.bureau, self.platform)

    def person(self, organisation: Organisation) -> Person:
        """Who acts for this organisation."""
        return next(p for p in self.persons if p.organisation == organisation)

    def supplier(self, code: str) -> Organisation:
        """The supplier with this code."""
        return next(firm for firm in self.suppliers if firm.identifier == code)


_DISTRICTS = (
    ("嵩岳区", "Songyue"),
    ("贾鲁区", "Jialu"),
    ("索须区", "Suoxu"),
    ("双槐区", "Shuanghuai"),
)
_BODIES = (
    ("教育局", "Education Bureau"),
    ("卫生健康委员会", "Health Commission"),
    ("城市管理局", "Urban Management Bureau"),
    ("文化旅游局", "Culture and Tourism Bureau"),
    ("水务局", "Water Bureau"),
)
_MARKS = (
    ("禾屿", "Heyu"),
    ("澄砚", "Chengyan"),
    ("砺舟", "Lizhou"),
    ("启榆", "Qiyu"),
    ("云杼", "Yunzhu"),
    ("拾麦", "Shimai"),
    ("朴川", "Puchuan"),
    ("栖桐", "Qitong"),
    ("明坞", "Mingwu"),
    ("望垣", "Wangyuan"),
    ("青陌", "Qingmo"),
    ("和砚", "Heyan"),
)
_TRADES = (
    ("照明工程有限公司", "Lighting Co."),
    ("信息技术有限公司", "Information Technology Co."),
    ("医疗器械有限公司", "Medical Devices Co."),
    ("环境服务有限公司", "Environmental Services Co."),
    ("家具有限公司", "Furniture Co."),
    ("图书有限公司", "Books Co."),
)
_FAMILY = (("张", "Zhang"), ("王", "Wang"), ("李", "Li"), ("赵", "Zhao"), ("陈", "Chen"),
           ("刘", "Liu"), ("杨", "Yang"), ("周", "Zhou"), ("吴", "Wu"), ("孙", "Sun"))  # fmt: skip
_GIVEN = (("宁", "Ning"), ("晓禾", "Xiaohe"), ("文博", "Wenbo"), ("静怡", "Jingyi"),
          ("远", "Yuan"), ("思齐", "Siqi"), ("立群", "Liqun"), ("若兰", "Ruolan"))  # fmt: skip

_FIXED = (LENDS, REFUSED, TWO_PARTS)
_SUPPLIERS = 8
_PURCHASERS = 5

BANK_A: Final = Organisation(
    "bank", "CN-USCC", uscc.make("91410000", "MA9B0001"), "嵩阳示范银行", "Songyang Model Bank",
    code="sandbox-a",
)  # fmt: skip
BANK_B: Final = Organisation(
    "bank", "CN-USCC", uscc.make("91410000", "MA9B0002"), "黄淮示范银行", "Huanghuai Model Bank",
    code="sandbox-b",
)  # fmt: skip
BUREAU: Final = Organisation(
    "bureau", "CN-USCC", uscc.make(BODY, "00500001"), "郑州市财政局（示范）",
    "Zhengzhou Finance Bureau (model)",
)  # fmt: skip
PLATFORM: Final = Organisation(
    "platform", "CN-USCC", uscc.make(ZHENGZHOU, "MA9P0001"), "融资撮合平台运营中心",
    "Platform operator",
)  # fmt: skip


def make(seed: int) -> People:
    """The city's people; the same seed makes the same people."""
    dice = Random(f"people {seed}")  # noqa: S311  names, not secrets
    purchasers = tuple(_purchasers(dice))
    suppliers = tuple(_suppliers(dice))
    staff = [(o, "supplier") for o in suppliers] + [(o, "purchaser") for o in purchasers]
    staff += [(BANK_A, "bank"), (BANK_B, "bank"), (BUREAU, "bureau"), (PLATFORM, "operator")]
    persons = tuple(_persons(dice, staff))
    return People(purchasers, suppliers, (BANK_A, BANK_B), BUREAU, PLATFORM, persons)


def account(dice: Random, holder: str, bank: Organisation) -> Account:
    """A new account of a firm at one of the banks."""
    branch = 1 + (BANK_A, BANK_B).index(bank)
    digits = "".join(dice.choice("0123456789") for _ in range(13))
    return Account(
        holder=holder,
        bank_name=f"{bank.name}郑州分行",
        cnaps=accounts.make_cnaps(f"99{branch}{REGION}0001"),
        number=f"60{branch}{branch}02{digits}",
    )


def _purchasers(dice: Random) -> list[Organisation]:
    places = [(d, b) for d in _DISTRICTS for b in _BODIES]
    chosen = dice.sample(places, _PURCHASERS)
    return [
        Organisation(
            "purchaser",
            "CN-USCC",
            uscc.make(BODY, f"005{dice.randrange(10_000, 99_999)}"),
            f"郑州市{district}{body}",
            f"{district_en} District {body_en}",
        )
        for (district, district_en), (body, body_en) in chosen
    ]


def _suppliers(dice: Random) -> list[Organisation]:
    marks = dice.sample(_MARKS, _SUPPLIERS)
    codes = [*_FIXED] + [uscc.make(ZHENGZHOU, f"MA9T{2000 + n}") for n in range(_SUPPLIERS)]
    firms = []
    for (mark, mark_en), code in zip(marks, codes, strict=False):
        trade, trade_en = dice.choice(_TRADES)
        size = dice.choice(("micro", "small", "small", "medium"))
        name, name_en = f"郑州{mark}{trade}", f"Zhengzhou {mark_en} {trade_en}"
        firms.append(Organisation("supplier", "CN-USCC", code, name, name_en, size))
    return firms


def _persons(dice: Random, staff: list[tuple[Organisation, str]]) -> list[Person]:
    names = dice.sample([(f, g) for f in _FAMILY for g in _GIVEN], len(staff))
    count: dict[str, int] = {}
    persons = []
    for (organisation, role), ((family, family_en), (given, given_en)) in zip(
        staff, names, strict=True
    ):
        count[role] = count.get(role, 0) + 1
        persons.append(
            Person(
                login=login_name(organisation, role, count[role]),
                role=role,  # type: ignore[arg-type]  # the list above holds roles only
                name=f"{family}{given}",
                name_en=f"{given_en} {family_en}",
                organisation=organisation,
            )
        )
    return persons


def login_name(organisation: Organisation, role: str, n: int) -> str:
    """How this person signs in: `supplier1`, `sandbox-a`, `bureau`, `operator`."""
    if organisation.code:
        return organisation.code
    return f"{role}{n}" if role in ("supplier", "purchaser") else role
