"""What every page and form keeps: one effect, typed values, headers, limits, errors by format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from sqlalchemy import Engine, Row, insert

from financing.store.tables import login
from financing.values.ids import new_id, show
from financing.web.app import MOST_BODY_BYTES, MOST_FORM_BYTES
from tests.conftest import Web
from tests.faces.test_sign_in import HASH, Reader
from tests.verifying import BANK_CODE, FIRM, OPENING, World, release

Contract = Row[Any]
ACCOUNT = {
    "holder": FIRM,
    "bank_name": "某银行某支行",
    "cnaps": BANK_CODE,
    "number": "1702 0201 0920 0012 345",
}


@pytest.fixture
def world(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(web.ctx, owner, set_clock)


@pytest.fixture
def contract(world: World) -> Contract:
    (row,) = world.publish(release(1))
    return row


def person(web: Web, world: World, role: str, organisation: UUID) -> Reader:
    """Somebody of an organisation, signed in."""
    with world.ctx.begin() as tx:
        tx.db.execute(
            insert(login).values(
                id=new_id(), name="li", password_hash=HASH, role=role, person="李",
                organisation_id=organisation, created_at=tx.now,
            )
        )  # fmt: skip
    reader = Reader(web)
    assert reader.sign_in().status_code == 303
    return reader


@pytest.fixture
def supplier(web: Web, world: World, contract: Contract) -> Reader:
    return person(web, world, "supplier", contract.supplier_id)


def path(contract: Contract) -> str:
    return f"/contracts/{show('ct', contract.id)}"


def test_the_same_form_twice_is_one_effect_and_the_same_answer(
    web: Web,
    world: World,
    contract: Contract,
) -> None:
    """An acceptance of everything: sent anew it would be refused, for nothing is left."""
    purchaser = person(web, world, "purchaser", contract.purchaser_id)
    address = f"/acceptances/{show('ct', contract.id)}"
    form = {"on": "2026-03-02", "milestone": "all", "form_key": "pressed-twice"}
    answers = [purchaser.send(address, "/acceptances", **form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert world.events(contract.id).count("accept") == 1
    assert world.count("SELECT count(*) FROM form_key") == 1


def test_one_form_does_not_carry_two_contents(
    world: World,
    contract: Contract,
    supplier: Reader,
) -> None:
    address = path(contract) + "/account"
    first = supplier.send(address, address, form_key="k", **ACCOUNT)
    second = supplier.send(address, address, form_key="k", **ACCOUNT | {"bank_name": "另一银行"})
    assert (first.status_code, second.status_code) == (303, 409)
    assert "sent before with other content" in second.text
    assert world.count("SELECT count(*) FROM account_version") == 1


def test_a_refused_form_comes_back_with_what_was_typed_and_all_faults_by_name(
    world: World,
    contract: Contract,
    supplier: Reader,
) -> None:
    address = path(contract) + "/account"
    typed = {
        "holder": '<b>"别家"&公司</b>', "bank_name": "某银行", "cnaps": "12345", "number": "12",
    }  # fmt: skip
    answer = supplier.send(address, address, **typed)
    assert answer.status_code == 422
    assert "<title>Error: " in answer.text
    assert "3 things to correct" in answer.text
    assert "&lt;b&gt;&#34;别家&#34;&amp;公司&lt;/b&gt;" in answer.text
    assert "<b>&#34;" not in answer.text and '<b>"' not in answer.text
    for name in ("holder", "cnaps", "number"):
        assert f'<a href="#{name}">' in answer.text, "the summary leads to the field"
        assert f'id="{name}-err"' in answer.text, "the field says it too"
    assert 'id="bank_name-err"' not in answer.text
    assert world.count("SELECT count(*) FROM account_version") == 0
    assert world.count("SELECT count(*) FROM form_key") == 0, "nothing is half done"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Content-Type": "application/json"},
    ],
)
def test_a_form_that_another_site_sends_is_refused(
    world: World,
    contract: Contract,
    supplier: Reader,
    headers: dict[str, str],
) -> None:
    supplier.client.headers.update(headers)
    answer = supplier.send(path(contract) + "/confirmation", path(contract))
    assert answer.status_code in (400, 403)
    assert world.count("SELECT count(*) FROM confirmation") == 0


def test_looking_changes_nothing(
    world: World,
    contract: Contract,
    supplier: Reader,
) -> None:
    tables = ("audit", "outbox", "notice", "telling", "consent", "application", "form_key")

    def counts() -> list[int]:
        return [world.count(f"SELECT count(*) FROM {table}") for table in tables]

    before = counts()
    for address in ("/contracts", path(contract), path(contract) + "/apply", "/inbox"):
        assert supplier.open(address).status_code == 200
    assert counts() == before


def test_every_answer_carries_the_headers_that_bind_the_browser(web: Web) -> None:
    for address in ("/", "/nowhere", "/healthz", "/api/v1/nothing", "/static/style.css"):
        headers = Reader(web).open(address).headers
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert re.fullmatch(r"[0-9a-f]{16}", headers["Request-Id"])
        if "static" not in address:
            assert headers["Cache-Control"] == "no-store"


def test_an_error_is_a_page_for_people_and_a_problem_under_api(web: Web) -> None:
    page = Reader(web).open("/contracts/ct_nothing")
    assert page.headers["Content-Type"].startswith("text/html")
    missing = Reader(web).open("/nowhere")
    assert (missing.status_code, "There is no such page" in missing.text) == (404, True)
    answer = Reader(web).open("/api/v1/nothing")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == "/problems/not-found"
    assert document["status"] == 404
    assert document["request_id"] == answer.headers["Request-Id"]


def test_an_address_with_another_method_does_not_exist(web: Web) -> None:
    answer = Reader(web).client.delete(web.url + "/contracts", timeout=20)
    assert answer.status_code == 404


def test_what_is_too_large_is_refused_before_it_is_read(web: Web) -> None:
    reader = Reader(web)
    big = reader.send("/", "/", name="x" * (MOST_FORM_BYTES + 1), password="x")
    assert big.status_code == 413
    huge = reader.client.post(web.url + "/", data=b"x" * (MOST_BODY_BYTES + 1), timeout=20)
    assert huge.status_code in (400, 413)


def test_a_host_that_is_not_ours_is_refused(web: Web) -> None:
    link = HTTPConnection(urlsplit(web.url).netloc, timeout=20)
    link.request("GET", "/", headers={"Host": "elsewhere.example"})
    assert link.getresponse().status == 400
    link.close()


def test_watchers_learn_whether_the_process_is_up_and_ready(web: Web) -> None:
    assert Reader(web).open("/healthz").json() == {"status": "up"}
    ready = Reader(web).open("/readyz")
    assert (ready.status_code, json.loads(ready.text)) == (
        200,
        {"database": "ready", "queue": "ready"},
    )
