"""Who gets in, who does not, and what a session is worth."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.cookiejar import Cookie
from urllib.parse import quote
from uuid import UUID

import pytest
import requests
from sqlalchemy import Engine, insert, select, text, update

from financing.store.tables import login, organisation, session, throttle
from financing.values.ids import new_id
from financing.values.times import wall_now
from financing.web.session import FREE_TRIES, digest, hash_password
from tests.conftest import Web

PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD)


@dataclass
class Reader:
    """A browser: it keeps cookies and sends forms as the page holds them."""

    web: Web
    client: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.client.trust_env = False
        self.client.headers["Accept-Language"] = "en"

    def open(self, path: str) -> requests.Response:
        return self.client.get(self.web.url + path, allow_redirects=False, timeout=20)

    def send(self, path: str, form_of: str, **typed: str) -> requests.Response:
        page = self.open(form_of).text
        hidden = dict(re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)">', page))
        return self.client.post(
            self.web.url + path, data=hidden | typed, allow_redirects=False, timeout=20
        )

    def sign_in(
        self, name: str = "li", password: str = PASSWORD, back: str = "/"
    ) -> requests.Response:
        return self.send("/", back, name=name, password=password)

    def session_cookie(self) -> Cookie | None:
        return next((one for one in self.client.cookies if one.name == "session"), None)


@pytest.fixture
def li(web: Web) -> UUID:
    """A supplier's person, who may sign in."""
    with web.ctx.begin() as tx:
        firm, person = new_id(), new_id()
        tx.db.execute(
            insert(organisation).values(
                id=firm, kind="supplier", scheme="name", identifier="x", name="某公司",
                name_key="某公司", created_at=tx.now,
            )
        )  # fmt: skip
        tx.db.execute(
            insert(login).values(
                id=person, name="li", password_hash=HASH, role="supplier", person="李",
                organisation_id=firm, created_at=tx.now,
            )
        )  # fmt: skip
    return person


def test_name_and_password_open_the_first_page_of_the_role(web: Web, li: UUID) -> None:
    reader = Reader(web)
    answer = reader.sign_in()
    assert (answer.status_code, answer.headers["Location"]) == (303, "/contracts")
    assert reader.open("/contracts").status_code == 200
    assert reader.open("/").headers["Location"] == "/contracts"


def test_the_cookie_is_for_this_browser_alone_and_the_store_holds_its_digest(
    web: Web, li: UUID, owner: Engine
) -> None:
    reader = Reader(web)
    answer = reader.sign_in()
    kept = reader.session_cookie()
    assert kept is not None
    assert {"HttpOnly", "SameSite=Lax"} <= set(answer.headers["Set-Cookie"].split("; "))
    with owner.connect() as link:
        assert link.execute(select(session.c.digest)).scalars().all() == [digest(str(kept.value))]


@pytest.mark.parametrize(("name", "password"), [("li", "wrong"), ("nobody", PASSWORD), ("", "")])
def test_every_cause_of_failure_gets_the_same_sentence(
    web: Web, li: UUID, name: str, password: str
) -> None:
    reader = Reader(web)
    answer = reader.sign_in(name, password)
    assert answer.status_code == 422
    assert "Name and password do not fit together." in answer.text
    assert f'value="{name}"' in answer.text, "the typed name is kept"
    assert password not in answer.text or not password, "a password never comes back"
    assert reader.session_cookie() is None


def test_after_some_failures_even_the_right_password_waits(
    web: Web, li: UUID, owner: Engine
) -> None:
    for _ in range(FREE_TRIES):
        Reader(web).sign_in(password="wrong")
    answer = Reader(web).sign_in()
    assert answer.status_code == 429
    assert "wait" in answer.text
    with owner.begin() as link:
        assert link.execute(select(throttle.c.subject)).scalars().all()
        link.execute(update(throttle).values(until=wall_now() - timedelta(seconds=1)))
    assert Reader(web).sign_in().status_code == 303


def test_the_wait_doubles_up_to_a_quarter_of_an_hour(web: Web, li: UUID, owner: Engine) -> None:
    waits = []
    for failures in (4, 5, 6, 40):
        with owner.begin() as link:
            link.execute(text("DELETE FROM throttle"))
            link.execute(
                insert(throttle).values(subject="account:li", failures=failures, until=wall_now())
            )
        Reader(web).sign_in(password="wrong")
        with owner.connect() as link:
            until: datetime = link.execute(
                select(throttle.c.until).where(throttle.c.subject == "account:li")
            ).scalar_one()
        waits.append(round((until - wall_now()).total_seconds()))
    assert waits == [1, 2, 4, 900]


def test_a_disabled_login_stays_out_at_once(web: Web, li: UUID, owner: Engine) -> None:
    reader = Reader(web)
    reader.sign_in()
    with owner.begin() as link:
        link.execute(update(login).values(disabled=True))
    assert reader.open("/contracts").status_code == 303
    assert Reader(web).sign_in().status_code == 422


@pytest.mark.parametrize(
    "aged",
    [
        {"seen_at": timedelta(minutes=31)},
        {"ends_at": timedelta(seconds=1)},
    ],
)
def test_a_session_ends_when_idle_and_when_old(
    web: Web, li: UUID, owner: Engine, aged: dict[str, timedelta]
) -> None:
    reader = Reader(web)
    reader.sign_in()
    with owner.begin() as link:
        link.execute(update(session).values(**{k: wall_now() - v for k, v in aged.items()}))
    answer = reader.open("/contracts")
    assert answer.headers["Location"] == "/?next=%2Fcontracts"


def test_signing_out_ends_the_session_and_not_only_the_cookie(
    web: Web, li: UUID, owner: Engine
) -> None:
    reader = Reader(web)
    reader.sign_in()
    stolen = str(reader.session_cookie().value)  # type: ignore[union-attr]  # just signed in
    assert reader.send("/sign-out", "/contracts").headers["Location"].startswith("/?told=")
    thief = Reader(web)
    thief.client.cookies.set("session", stolen)
    assert thief.open("/contracts").status_code == 303
    with owner.connect() as link:
        assert link.execute(select(session)).first() is None


def test_a_sign_in_is_a_session_of_its_own_whatever_cookie_came(
    web: Web, li: UUID, owner: Engine
) -> None:
    reader = Reader(web)
    reader.client.headers["Cookie"] = "session=planted-by-somebody-else; visit=planted"
    answer = reader.sign_in()
    assert answer.status_code == 303
    with owner.connect() as link:
        known = link.execute(select(session.c.digest)).scalars().all()
    assert len(known) == 1
    assert digest("planted-by-somebody-else") not in known


@pytest.mark.parametrize(
    ("back", "to"),
    [
        ("/inbox", "/inbox"),
        ("https://elsewhere.example/", "/contracts"),
        ("//elsewhere.example", "/contracts"),
        ("/\\elsewhere.example", "/contracts"),
    ],
)
def test_a_sign_in_leads_back_to_our_own_pages_only(web: Web, li: UUID, back: str, to: str) -> None:
    answer = Reader(web).sign_in(back=f"/?next={quote(back)}")
    assert answer.headers["Location"] == to


def test_a_sign_in_form_of_another_browser_is_refused(web: Web, li: UUID) -> None:
    page = Reader(web).open("/").text
    proof = re.findall(r'name="proof" value="([^"]*)"', page)[0]
    other = Reader(web)
    other.open("/")
    answer = other.client.post(
        web.url + "/", data={"proof": proof, "name": "li", "password": PASSWORD}, timeout=20
    )
    assert answer.status_code == 403


def test_the_demos_people_are_named_on_a_demos_store_only(
    web: Web, li: UUID, set_clock: Callable[[datetime], None]
) -> None:
    assert "<code>li</code>" not in Reader(web).open("/").text
    set_clock(wall_now())
    assert "<code>li</code>" in Reader(web).open("/").text


def test_the_language_is_the_readers_choice_and_is_remembered(web: Web, li: UUID) -> None:
    reader = Reader(web)
    assert '<html lang="en">' in reader.open("/").text
    assert '<html lang="zh-CN">' in reader.open("/?lang=zh").text
    assert '<html lang="zh-CN">' in reader.open("/").text
    reader.sign_in()
    assert "我的合同" in reader.open("/contracts").text
