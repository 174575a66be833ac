"""A small world in which contracts are published, confirmed, and verified through the journeys."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, Row, select, text

from financing import work
from financing.context import Context
from financing.formats import ocds
from financing.journeys import accounts, confirmation, intake
from financing.store.db import Actor
from financing.store.tables import contract
from financing.values import uscc
from financing.values.accounts import make_cnaps
from financing.values.chinese_amounts import in_words

OPENING = datetime(2026, 3, 2, 1, tzinfo=UTC)
PURCHASER = uscc.make("11410100", "00525205")
SUPPLIER = uscc.make("91410100", "MA9T0001")
BANK_CODE = make_cnaps("10249100001")
FIRM = "某照明有限公司"


def release(
    n: int = 1,
    /,
    *,
    fen: int = 128_000_000,
    of_release: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """A good contract of the city as one release.

    `changes` are laid over its contract, `of_release` over the release itself. A key with two
    underscores reaches inside (`x_financing__filing`); None leaves a thing out.
    """
    money = {"amount": fen // 100, "currency": "CNY"}
    body: dict[str, Any] = {
        "ocid": f"ocds-zzhcp1-2026-{n:04d}",
        "id": "1",
        "date": "2026-02-13T10:20:00+08:00",
        "tag": ["contract"],
        "parties": [
            _party(PURCHASER, "某区教育局", "buyer"),
            _party(SUPPLIER, FIRM, "supplier") | {"details": {"scale": "small"}},
        ],
        "buyer": {"id": f"CN-USCC-{PURCHASER}", "name": "某区教育局"},
        "planning": {"budget": {"id": "2026-教-017", "amount": money}},
        "awards": [
            {
                "id": f"2026-{n:04d}-A1",
                "status": "active",
                "date": "2026-02-11T00:00:00+08:00",
                "value": money,
                "suppliers": [{"id": f"CN-USCC-{SUPPLIER}", "name": FIRM}],
            }
        ],
        "contracts": [
            {
                "id": f"区财购〔2026〕{n}号",
                "awardID": f"2026-{n:04d}-A1",
                "title": f"第{n}所学校照明改造",
                "status": "active",
                "value": money,
                "dateSigned": "2026-02-12T00:00:00+08:00",
                "period": {"endDate": "2026-08-31T00:00:00+08:00"},
                "x_financing": {
                    "amountInWords": in_words(fen),
                    "signatories": ["purchaser", "supplier"],
                    "filing": {"date": "2026-02-13", "receipt": "BA-2026-000171"},
                    "announcement": {"date": "2026-02-13", "url": "https://ccgp.example/171"},
                    "paymentTerms": {"days": 30, "start": "acceptance"},
                    "smeDeclaration": {"size": "small", "date": "2026-01-30"},
                    "assignable": True,
                },
            }
        ],
    }
    for key, value in changes.items():
        _lay(body["contracts"][0], key.split("__"), value)
    for key, value in (of_release or {}).items():
        _lay(body, key.split("__"), value)
    return body


def _party(code: str, name: str, role: str) -> dict[str, Any]:
    known = {"scheme": "CN-USCC", "id": code, "legalName": name}
    return {"id": f"CN-USCC-{code}", "name": name, "roles": [role], "identifier": known}


def _lay(onto: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        onto = onto[key]
    if value is None:
        onto.pop(path[-1], None)
    else:
        onto[path[-1]] = deepcopy(value)


@dataclass(frozen=True)
class World:
    """The store with its clock; every method is one act of one party."""

    ctx: Context
    owner: Engine
    set_clock: Callable[[datetime], None]

    def today(self, day: date) -> None:
        """Move the business clock to the morning of a day in China."""
        self.set_clock(datetime(day.year, day.month, day.day, 1, tzinfo=UTC))

    def publish(self, *bodies: dict[str, Any]) -> list[Row[Any]]:
        """Import releases, do what follows from them, and return their contracts."""
        with self.ctx.begin() as tx:
            for body in bodies:
                data = json.dumps(body, ensure_ascii=False).encode()
                intake.take(tx, ocds.read(BytesIO(data).read, "test"))
        self.work()
        return [self.by_ocid(body["ocid"]) for body in bodies]

    def work(self) -> int:
        """Do all local work that is due."""
        return work.run_due(self.ctx, errands=False)

    def by_ocid(self, ocid: str) -> Row[Any]:
        with self.ctx.begin() as tx:
            return tx.db.execute(select(contract).where(contract.c.ocid == ocid)).one()

    def now(self, row: Row[Any]) -> Row[Any]:
        """The contract as it is now."""
        return self.by_ocid(row.ocid)

    def actor(self, row: Row[Any], role: str) -> Actor:
        return Actor(role=role, organisation_id=row._mapping[f"{role}_id"])

    def ask(self, row: Row[Any]) -> Row[Any]:
        with self.ctx.begin(self.actor(row, "supplier")) as tx:
            asked = confirmation.ask(tx, row.id)
        self.work()
        return asked

    def answer(self, row: Row[Any], *, same: bool = True, **named: Any) -> Row[Any]:
        with self.ctx.begin(self.actor(row, "purchaser")) as tx:
            answered = confirmation.answer(tx, row.id, same=same, **named)
        self.work()
        return answered

    def set_account(self, row: Row[Any], number: str = "1702020109200012345") -> None:
        with self.ctx.begin(self.actor(row, "supplier")) as tx:
            accounts.propose(
                tx, row.id, holder=FIRM, bank_name="某银行郑州分行", cnaps=BANK_CODE, number=number
            )
        with self.ctx.begin(self.actor(row, "purchaser")) as tx:
            accounts.confirm(tx, row.id)
        self.work()

    def ready(self, row: Row[Any]) -> Row[Any]:
        """Bring a good contract to where it may be financed."""
        self.set_account(row)
        self.ask(row)
        self.answer(row, paid_fen=0)
        return self.now(row)

    def checks(self, row: Row[Any]) -> dict[str, Row[Any]]:
        with self.owner.connect() as link:
            found = link.execute(
                text("SELECT * FROM check_result WHERE contract_id = :id ORDER BY position"),
                {"id": row.id},
            ).all()
        return {each.check_id: each for each in found}

    def events(self, row_id: UUID) -> list[str]:
        """The audit chain of a case, oldest first."""
        with self.owner.connect() as link:
            found = link.execute(
                text('SELECT event FROM audit WHERE "case" = :id ORDER BY n'), {"id": row_id}
            )
            return [each.event for each in found]

    def count(self, query: str, **named: Any) -> int:
        with self.owner.connect() as link:
            return int(link.execute(text(query), named).scalar_one())
