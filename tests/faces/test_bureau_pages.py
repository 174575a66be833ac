"""The bureau sees what is late, five figures, and the rows of each; nobody else does."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, insert

from financing.rules.figures import FIGURES
from financing.store.tables import login, organisation
from financing.values.ids import new_id
from financing.web.session import hash_password, sign_in
from tests.conftest import Web
from tests.verifying import OPENING, World, release

PASSWORD = "a long enough password"


@pytest.fixture
def world(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(web.ctx, owner, set_clock)


def signed_in(world: World, role: str) -> str:
    """The cookie of somebody of this role, who signs in."""
    with world.ctx.begin() as tx:
        of = new_id()
        tx.db.execute(
            insert(organisation).values(
                id=of, kind=role, scheme="name", identifier=role, name=role, name_key=role,
                created_at=tx.now,
            )
        )  # fmt: skip
        tx.db.execute(
            insert(login).values(
                id=new_id(), name=role, password_hash=hash_password(PASSWORD), role=role,
                person="", organisation_id=of, created_at=tx.now,
            )
        )  # fmt: skip
    return sign_in(world.ctx, role, PASSWORD, "127.0.0.1")[0]


def page(world: World, path: str, token: str) -> tuple[int, str]:
    link = HTTPConnection(urlsplit(world.ctx.settings.url).netloc, timeout=30)
    try:
        link.request("GET", path, headers={"Cookie": f"session={token}"})
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    finally:
        link.close()


def seen(html: str) -> str:
    """What a reader sees: no tags, white space as one space."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html.partition("<main")[2]))


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_page_of_the_bureau_shows_the_contract_that_is_late(world: World, lang: str) -> None:
    (row,) = world.publish(release(x_financing__filing=None))
    token = signed_in(world, "bureau")
    status, html = page(world, f"/figures?lang={lang}", token)
    assert status == 200
    assert all(f'href="/figures/{figure.id}?' in html for figure in FIGURES)
    assert "&lt;" not in html
    status, html = page(world, f"/deadlines?lang={lang}&rule=FILE", token)
    assert status == 200
    assert row.number in html
    assert ("6个工作日" if lang == "zh" else "6 working days") in seen(html)
    status, html = page(world, f"/figures/P-FILE?lang={lang}&period=2026-Q1", token)
    assert status == 200
    assert row.number in html
    assert ("未按时" if lang == "zh" else "not on time") in seen(html)
    assert "&lt;" not in html


def test_every_figure_opens_to_its_rows(world: World) -> None:
    (row,) = world.publish(release())
    world.ask(row)
    token = signed_in(world, "bureau")
    for figure in FIGURES:
        status, html = page(world, f"/figures/{figure.id}", token)
        assert (status, figure.id) == (200, figure.id)
        assert (row.number in html) == (figure.subject != "bank")


def test_a_figure_that_does_not_exist_is_not_found(world: World) -> None:
    assert page(world, "/figures/B-NONE", signed_in(world, "bureau"))[0] == 404


@pytest.mark.parametrize("role", ["supplier", "purchaser", "bank"])
def test_for_others_the_bureau_s_pages_do_not_exist(world: World, role: str) -> None:
    token = signed_in(world, role)
    for path in ("/figures", "/figures/P-FILE", "/deadlines"):
        assert page(world, path, token)[0] == 404


def test_the_other_language_keeps_what_was_chosen(world: World) -> None:
    status, html = page(world, "/deadlines?rule=FILE&lang=en", signed_in(world, "bureau"))
    assert status == 200
    assert 'href="/deadlines?rule=FILE&amp;lang=zh"' in html
