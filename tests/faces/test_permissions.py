"""Who sees what, on every route: what is not yours answers like what does not exist."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import pytest
import requests
from sqlalchemy import Engine, insert, select, text, update

from financing.journeys import confirmation
from financing.rules.permissions import BY_NAME, ROLES, may
from financing.store.db import Actor
from financing.store.tables import application, contract, login, packet, session
from financing.values import ids
from financing.values.ids import new_id
from financing.values.times import wall_now
from financing.web.app import ROWS
from financing.web.routes import Route
from financing.web.session import digest, form_token
from tests.conftest import Web
from tests.paying import NOW, World, case

WITH_ID = [row for row in ROWS if re.search(r"<(ct|ap|cf|pk):", row.path)]
SIGNED_IN = [
    row for row in ROWS if row.permit not in ("public", "signed-in") and row.proof == "form"
]


@dataclass(frozen=True)
class Somebody:
    """A person of an organisation, signed in."""

    web: Web
    token: str

    def ask(self, row: Route, path: str) -> requests.Response:
        client = requests.Session()
        client.trust_env = False
        with client:
            form = {"proof": form_token(self.token), "form_key": new_id().hex}
            return client.request(
                row.method,
                self.web.url + path,
                data=form if row.method == "POST" else None,
                cookies={"session": self.token},
                headers={"Accept-Language": "en"},
                allow_redirects=False,
                timeout=20,
            )


@dataclass(frozen=True)
class Town:
    """One whole case, its parties, and for each role a person of another organisation."""

    world: World
    web: Web
    named: dict[str, UUID]  # prefix of an id → an id of the case
    parties: dict[str, Somebody]
    strangers: dict[str, Somebody]

    def path(self, row: Route, named: dict[str, UUID] | None = None) -> str:
        known = self.named if named is None else named
        return re.sub(
            r"<(\w\w):\w+>", lambda found: ids.show(found[1], known[found[1]]), row.path
        ).replace("<figure_id>", "x")

    def count(self) -> list[int]:
        tables = ("audit", "outbox", "consent", "account_version", "confirmation", "application")
        with self.world.owner.connect() as link:
            return [
                link.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables
            ]


def person(world: World, web: Web, role: str, organisation: UUID) -> Somebody:
    token, now = f"token-{new_id().hex}", wall_now()
    with world.ctx.begin() as tx:
        row_id = new_id()
        tx.db.execute(
            insert(login).values(
                id=row_id, name=row_id.hex, password_hash="x", role=role, person="某人",
                organisation_id=organisation, created_at=now,
            )
        )  # fmt: skip
        tx.db.execute(
            insert(session).values(
                digest=digest(token), login_id=row_id, created_at=now, seen_at=now,
                ends_at=now + timedelta(hours=1),
            )
        )  # fmt: skip
    return Somebody(web, token)


@pytest.fixture
def town(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> Town:
    set_clock(NOW)
    world = World(web.ctx, owner)
    known = case(world)
    world.loan(known.contract, "bank-a", 100_00)
    with world.ctx.begin() as tx:
        asked = tx.db.execute(select(application)).one()
        sealed = new_id()
        tx.db.execute(
            insert(packet).values(
                id=sealed, application_id=asked.id, identity="sha-256:0", manifest=b"",
                signature=b"", account_digest="", issued_at=tx.now,
                contract_version_id=asked.contract_version_id,
            )
        )  # fmt: skip
        # The made-up packet has no parts: its case page would rightly call the store broken.
        tx.db.execute(update(application).values(packet_id=None))
        tx.db.execute(
            update(contract)
            .where(contract.c.id == known.contract)
            .values(current_version_id=asked.contract_version_id)
        )
    with world.ctx.begin(Actor("supplier", organisation_id=known.supplier)) as tx:
        question = confirmation.ask(tx, known.contract)
    of = {"supplier": known.supplier, "purchaser": known.purchaser, "bank": asked.bank_id}
    kinds = {"operator": "platform"}
    others = {role: world.party(kinds.get(role, role), f"另一{role}", role) for role in ROLES}
    return Town(
        world,
        web,
        {"ct": known.contract, "ap": asked.id, "cf": question.id, "pk": sealed},
        {role: person(world, web, role, organisation) for role, organisation in of.items()},
        {role: person(world, web, role, organisation) for role, organisation in others.items()},
    )


def test_another_organisations_id_is_not_found_on_any_route(town: Town) -> None:
    before = town.count()
    nowhere = dict.fromkeys(town.named, new_id())
    leaks = []
    for row in WITH_ID:
        for role in BY_NAME[row.permit].roles:
            given = town.strangers[role].ask(row, town.path(row))
            absent = town.strangers[role].ask(row, town.path(row, nowhere))
            if (given.status_code, absent.status_code) != (404, 404):
                leaks.append(f"{role}: {row.name}: {given.status_code}, {absent.status_code}")
    assert leaks == []
    assert town.count() == before


def test_its_own_parties_find_it(town: Town) -> None:
    """Without this the test above would pass where nothing is ever found."""
    lost = []
    for row in WITH_ID:
        for role in BY_NAME[row.permit].roles:
            # A packet without parts is none, the page of an offer needs an open one, and what an
            # application comes to needs its figures.
            if (
                row.method == "GET"
                and not row.path.startswith("/packets")
                and not row.path.endswith(("/accept", "/check"))
            ):
                answer = town.parties[role].ask(row, town.path(row))
                if answer.status_code != 200:
                    lost.append(f"{role}: {row.name}: {answer.status_code}")
    assert lost == []


def test_a_role_without_the_permission_finds_no_such_page(town: Town) -> None:
    before = town.count()
    everybody = {**town.strangers, **town.parties}
    reached = [
        f"{role}: {row.name}: {answer.status_code}"
        for row in SIGNED_IN
        for role in ROLES
        if not may(role, row.permit)
        and (answer := everybody[role].ask(row, town.path(row))).status_code != 404
    ]
    assert reached == []
    assert town.count() == before


def test_nobody_signed_in_is_shown_the_sign_in_and_nothing_else(town: Town) -> None:
    nobody = Somebody(town.web, "no-such-token")
    shown = [
        f"{row.name}: {answer.status_code} {answer.headers.get('Location')}"
        for row in SIGNED_IN
        if not (answer := nobody.ask(row, town.path(row))).is_redirect
        or not answer.headers["Location"].startswith("/")
        or answer.headers["Location"].partition("?")[0] != "/"
    ]
    assert shown == []


def test_a_form_of_another_session_is_refused(town: Town) -> None:
    before = town.count()
    writes = [row for row in WITH_ID if row.method == "POST"]
    mine, other = town.parties["supplier"], town.strangers["supplier"]
    for row in writes:
        if may("supplier", row.permit):
            with requests.Session() as client:
                client.trust_env = False
                answer = client.post(
                    town.web.url + town.path(row),
                    data={"proof": form_token(other.token), "form_key": "k"},
                    cookies={"session": mine.token},
                    allow_redirects=False,
                    timeout=20,
                )
            assert answer.status_code == 403, row.name
    assert town.count() == before


def test_every_route_names_a_permission_that_exists() -> None:
    assert [row.name for row in ROWS if row.permit not in BY_NAME] == []
    assert [row.name for row in ROWS if row.method == "GET" and row.form and row.bare] == []
