"""What a store holds before anybody acts: the city's people, their sign-ins, the banks, a clock.

1. `emptied`   an empty store, or one that an earlier demo marked, is made new; any other is refused
2. `people`    organisations and sign-ins
3. `register`  the sandbox banks with what they printed about themselves
4. `set_clock` the business clock of the store; only the owner may move it
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final

from sqlalchemy import Engine, insert, inspect, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from financing.city.people import Organisation, Person
from financing.city.processes import BankLine
from financing.errors import Conflict
from financing.journeys import banks
from financing.settings import Settings
from financing.store.db import Tx
from financing.store.migrate import migrate
from financing.store.tables import bank, login, organisation
from financing.values.ids import new_id
from financing.values.text import name_key
from financing.values.times import SHANGHAI
from financing.web.session import DEMO_PASSWORD, hash_password

MORNING: Final = time(9, 0, tzinfo=SHANGHAI)
LEAST_FEN: Final = 1_000_000  # smallest loan of a sandbox bank
EVENING: Final = time(18, 0, tzinfo=SHANGHAI)
# A store that somebody used holds something in one of these.
_BROUGHT: Final = ("organisation", "login", "release", "import_file", "parked", "audit")


@dataclass(frozen=True, slots=True)
class Lender:
    """A sandbox bank as the city sets it up.

    Args:
        product: what `python -m bank_adapters.sandbox` lends, in its own words.
        behaviour: how it answers firms for which no outcome is fixed.
    """

    organisation: Organisation
    product: Mapping[str, Any]
    behaviour: Mapping[str, Any]
    product_name: Mapping[str, str]

    @property
    def code(self) -> str:
        return str(self.organisation.code)


def is_empty(engine: Engine) -> bool:
    """Whether the store holds nothing that anybody brought."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("organisation"):
            return True
        held = " OR ".join(f"EXISTS (SELECT FROM {table})" for table in _BROUGHT)
        return not connection.execute(text(f"SELECT {held}")).scalar_one()


def emptied(engine: Engine, settings: Settings) -> None:
    """Make the store new, with the books of its sandbox banks.

    Raises:
        Conflict: it holds what no demo brought; nothing is changed.
    """
    if not is_empty(engine) and not _is_played(engine):
        raise Conflict(
            "this store holds what no demo brought",
            where="DATABASE_URL" if settings.database_url else "FINANCING_DATA",
            remedy="Set FINANCING_DATA to another folder (and unset DATABASE_URL).",
        )
    if not is_empty(engine):
        with engine.begin() as connection:
            # Tables are dropped, not emptied: no guard against deletion has to be put aside.
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    migrate(engine)
    shutil.rmtree(settings.data / "banks", ignore_errors=True)


def _is_played(engine: Engine) -> bool:
    """Whether a demo played here: only it sets a business clock, and what it brought can go.

    A store that `serve` filled is marked too, and may hold what people have entered since.
    """
    with engine.connect() as connection:
        now = connection.execute(text("SELECT now FROM store_mark WHERE demo")).scalar()
    return now is not None


def is_demo(engine: Engine) -> bool:
    """Whether the city was brought into this store."""
    with engine.connect() as connection:
        marked = connection.execute(text("SELECT demo FROM store_mark")).scalar()
    return bool(marked)


def set_clock(engine: Engine, now: datetime | None) -> None:
    """Mark the store as the demo's, and set its business clock (None: the wall clock)."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO store_mark (demo, now) VALUES (true, :now)"
                " ON CONFLICT (one) DO UPDATE SET demo = true, now = excluded.now"
            ),
            {"now": now},
        )


def at(day: date, hour: time = MORNING) -> datetime:
    """An instant of a Chinese civil day."""
    return datetime.combine(day, hour)


def people(tx: Tx, organisations: Iterable[Organisation], persons: Iterable[Person]) -> None:
    """Write organisations and sign-ins; those that are there already stay as they are."""
    rows = [
        {
            "id": new_id(),
            "kind": one.kind,
            "scheme": one.scheme,
            "identifier": one.identifier,
            "name": one.name,
            "name_key": name_key(one.name),
            "code": one.code,
            "size": one.size or None,
            "created_at": tx.now,
        }
        for one in organisations
        if one.kind != "bank"  # a bank comes by its registration
    ]
    tx.db.execute(
        upsert(organisation).on_conflict_do_nothing(
            index_elements=["kind", "scheme", "identifier"]
        ),
        rows,
    )
    ids = {
        (row.kind, row.scheme, row.identifier): row.id
        for row in tx.rows(
            text("SELECT id, kind, scheme, identifier FROM organisation"),
        )
    }
    # One hash for all: each takes a tenth of a second, and the password is the same.
    password_hash = hash_password(DEMO_PASSWORD)
    tx.db.execute(
        insert(login),
        [
            {
                "id": new_id(),
                "name": person.login,
                "password_hash": password_hash,
                "role": person.role,
                "person": person.name,
                "language": "zh",
                "organisation_id": ids[
                    person.organisation.kind,
                    person.organisation.scheme,
                    person.organisation.identifier,
                ],
                "created_at": tx.now,
            }
            for person in persons
        ],
    )


def register(
    tx: Tx, lender: Lender, line: BankLine, *, since: date, currencies: Iterable[str]
) -> None:
    """Register a sandbox bank, or write down where one that is known listens now."""
    product = lender.product
    banks.register(
        tx,
        banks.Registration(
            code=lender.code,
            name=lender.organisation.name,
            identifier=lender.organisation.identifier,
            adapter="rest_jws",
            base_url=line.base_url,
            answer_key_pem=line.answer_key_pem,
            webhook_key=line.webhook_key,
            poll_interval_s=5,
            products=tuple(
                {
                    "code": f"{lender.code}-order",
                    "name": dict(lender.product_name),
                    "share_bp": product["share_bp"],
                    "min_fen": LEAST_FEN,
                    "cap_fen": product["cap"],
                    "tenor_min_days": 30,
                    "tenor_max_days": product["days"],
                    "rate_from_bp": product["rate_bp"],
                    "rate_to_bp": product["rate_bp"],
                    "day_basis": product["day_basis"],
                    "currency": currency,
                    "valid_from": since,
                }
                for currency in sorted(set(currencies))
            ),
        ),
    )
    tx.db.execute(update(bank).where(bank.c.code == lender.code).values(base_url=line.base_url))
