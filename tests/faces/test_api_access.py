"""Whose it is: tokens, scopes, and every operation × role × foreign organisation."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from redis import Redis
from sqlalchemy import Engine, delete, select, text, update

from financing.rules.permissions import ROLES, may
from financing.store.tables import (
    application,
    login,
    machine_token,
    throttle,
)
from financing.store.tables import machine as machine_table
from financing.values.ids import new_id, show
from financing.values.times import wall_now
from financing.web import machines
from financing.web.api.openapi import OPERATIONS
from financing.web.api.table import ROOT, Operation
from financing.web.session import FREE_TRIES, digest
from tests.asking import Machine, Town, build, buy, nobody
from tests.conftest import Web
from tests.faces.test_api_examples import fit
from tests.verifying import OPENING, World

WATCHES = "bureau"  # sees every contract and payment: nobody's are foreign to it
OWN = [row for row in OPERATIONS if row.permits != ("public",)]
NAMED = [row for row in OWN if any(row.path_names.values())]


@pytest.fixture
def town(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> Town:
    set_clock(OPENING)
    return build(web, World(web.ctx, owner, set_clock))


def ask(who: Machine, row: Operation, path: str, body: Any) -> requests.Response:
    return who.post(path, body) if row.method == "POST" else who.get(path)


def test_another_organisations_id_is_not_found_on_any_operation(town: Town) -> None:
    before, leaks = town.counts(), []
    for row in NAMED:
        path, body = fit(row, town)
        (prefix,) = [prefix for prefix in row.path_names.values() if prefix]
        nowhere = path.replace(town.shown(prefix), show(prefix, new_id()))
        for role in ROLES:
            if role != WATCHES and any(may(role, name) for name in row.permits):
                stranger = town.strangers[role]
                theirs = ask(stranger, row, path, body)
                absent = ask(stranger, row, nowhere, body)
                said = [
                    {**answer.json(), "instance": "", "request_id": ""}
                    for answer in (theirs, absent)
                ]
                if (theirs.status_code, absent.status_code) != (404, 404) or said[0] != said[1]:
                    leaks.append(f"{role}: {row.name}: {theirs.status_code} {absent.status_code}")
    assert leaks == []
    assert town.counts() == before


def test_an_id_of_another_organisation_inside_a_body_is_not_found(town: Town) -> None:
    before = town.counts()
    supplier, purchaser = town.strangers["supplier"], town.strangers["purchaser"]
    answers = [
        supplier.post(f"{ROOT}/applications", town.apply(2, "bank-b")),
        supplier.post(f"{ROOT}/confirmations", {"contract": town.shown("ct")}),
        purchaser.post(f"{ROOT}/acceptances", {"contract": town.shown("ct"), "on": "2026-03-02"}),
        town.strangers["operator"].post(f"{ROOT}/parked/replay", {"items": [show("pd", new_id())]}),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert town.counts() == before


def test_lists_hold_nothing_of_another_organisation(town: Town) -> None:
    seen = []
    for row in OPERATIONS:
        if row.is_list and not row.path_names and row.permits[0] not in (
            "figures.read", "deadlines.read", "parked.read", "job.read", "bank.desk",
        ):  # fmt: skip
            for role in ROLES:
                if role != WATCHES and any(may(role, name) for name in row.permits):
                    answer = town.strangers[role].get(row.path)
                    assert answer.status_code == 200, answer.text
                    if answer.json()["items"]:
                        seen.append(f"{role}: {row.name}")
    assert seen == []


def test_its_own_parties_find_it(town: Town) -> None:
    """Without this the tests above would pass where nothing is ever found."""
    lost = []
    for row in NAMED:
        if row.method == "GET":
            for role in ROLES:
                if any(may(role, name) for name in row.permits) and (role, row.name) not in (
                    ("bank", "get_loan"),  # of another bank
                ):
                    answer = town[role].get(fit(row, town)[0])
                    if answer.status_code != 200:
                        lost.append(f"{role}: {row.name}: {answer.status_code}")
    assert lost == []


def test_a_role_without_the_permission_finds_no_such_address(town: Town) -> None:
    before, reached = town.counts(), []
    for row in OWN:
        path, body = fit(row, town)
        for role in ROLES:
            if not any(may(role, name) for name in row.permits):
                answer = ask(town[role], row, path, body)
                if answer.status_code != 404:
                    reached.append(f"{role}: {row.name}: {answer.status_code}")
    assert reached == []
    assert town.counts() == before


def test_nobody_reaches_anything_but_the_document(town: Town) -> None:
    before = town.counts()
    for who in (nobody(town.web), Machine(town.web, new_id(), "", "x" * 43)):
        for row in OWN:
            path, body = fit(row, town)
            answer = ask(who, row, path, body)
            assert answer.status_code == 401, row.name
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.json()["type"] == "/problems/unauthenticated"
    assert town.counts() == before


def test_a_cookie_opens_no_operation(town: Town) -> None:
    """A browser that is signed in cannot be made to act here by a page of somebody else."""
    who = nobody(town.web)
    who.client.cookies.set("session", town["supplier"].token)
    assert who.get(f"{ROOT}/contracts").status_code == 401
    answer = town["supplier"].get(f"{ROOT}/contracts", Cookie="visit=x")
    assert "Set-Cookie" not in answer.headers


def test_a_bank_sees_an_application_only_once_it_was_sent_to_it(town: Town) -> None:
    seen = town["bank"].get(f"{ROOT}/applications").json()["items"]
    assert [each["id"] for each in seen] == [town.shown("ap")]
    with town.world.owner.begin() as link:
        link.execute(
            update(application).where(application.c.id == town.ids["ap"]).values(request_id=None)
        )
    assert town["bank"].get(f"{ROOT}/applications").json()["items"] == []
    for path in (f"applications/{town.shown('ap')}", f"packets/{town.shown('pk')}"):
        assert town["bank"].get(f"{ROOT}/{path}").status_code == 404


def test_the_bureau_sees_every_contract_and_each_diverted_payment(town: Town) -> None:
    """Whatever organisation of its kind asks: but no application, offer, or loan."""
    bureau = town.strangers["bureau"]
    assert len(bureau.get(f"{ROOT}/contracts").json()["items"]) == 4
    assert bureau.get(f"{ROOT}/payments?state=diverted").json()["items"] == []
    with town.world.owner.begin() as link:
        link.execute(text("UPDATE payment SET state = 'diverted'"))
    (found,) = bureau.get(f"{ROOT}/payments?state=diverted").json()["items"]
    assert found["id"] == town.shown("pm")
    for path in ("applications", "offers", "loans", f"contracts/{town.shown('ct')}/capacity"):
        assert bureau.get(f"{ROOT}/{path}").status_code == 404


def test_a_bank_reads_its_own_exchange_alone(town: Town) -> None:
    (asked,) = town["bank"].get(f"{ROOT}/request-log").json()["items"]
    (told,) = town["bank"].get(f"{ROOT}/received-events").json()["items"]
    assert (asked["path"], told["id"]) == ("/bank-a", "msg_bank-a")


def test_a_token_of_a_machine_that_ends_at_this_moment_is_none(town: Town) -> None:
    """A token may be made while the machine ends: the machine's own row decides."""
    assert town["bureau"].get(f"{ROOT}/inbox").status_code == 200
    with town.world.owner.begin() as link:
        link.execute(update(machine_table).values(retired_at=wall_now()))
    assert town["bureau"].get(f"{ROOT}/inbox").status_code == 401


# Tokens


def test_a_token_carries_no_more_than_was_asked_for(town: Town) -> None:
    supplier = town["supplier"]
    name = show("mc", supplier.id)
    bought = buy(town.web, name, supplier.secret, scope="contract.read").json()
    assert bought["scope"] == "contract.read"
    narrow = Machine(town.web, supplier.id, supplier.secret, bought["access_token"])
    assert narrow.get(f"{ROOT}/contracts").status_code == 200
    answer = narrow.get(f"{ROOT}/applications")
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/insufficient-scope"
    assert "application.read" in answer.json()["detail"]
    wider = buy(town.web, name, supplier.secret, scope="contract.read parked.replay")
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")


def test_a_machine_has_what_operations_ask_for_and_no_more() -> None:
    for role in ROLES:
        assert set(machines.scopes_of(role)) == {
            name for row in OPERATIONS for name in row.permits if may(role, name)
        }


def test_the_store_knows_digests_alone(town: Town) -> None:
    supplier = town["supplier"]
    with town.world.owner.connect() as link:
        row = link.execute(
            select(machine_table).where(machine_table.c.login_id == supplier.id)
        ).one()
        tokens = link.execute(select(machine_token.c.digest)).scalars().all()
        dump = " ".join(
            str(each)
            for table in ("machine", "machine_token", "login")
            for each in link.execute(text(f"SELECT * FROM {table}")).all()
        )
    assert row.secret_digest == digest(supplier.secret)
    assert digest(supplier.token) in tokens
    assert supplier.secret not in dump and supplier.token not in dump


def test_a_token_ends_after_fifteen_minutes(town: Town) -> None:
    supplier = town["supplier"]
    with town.world.owner.begin() as link:
        ends_at = link.execute(
            select(machine_token.c.ends_at).where(machine_token.c.digest == digest(supplier.token))
        ).scalar_one()
        assert timedelta(minutes=14) < ends_at - wall_now() <= machines.LIFE
        link.execute(update(machine_token).values(ends_at=wall_now()))
    assert supplier.get(f"{ROOT}/contracts").status_code == 401


def test_a_retired_machine_and_its_tokens_end_at_once(town: Town) -> None:
    supplier = town["supplier"]
    with town.web.ctx.begin() as tx:
        machines.retire(tx, supplier.id)
        machines.retire(tx, supplier.id)
    assert supplier.get(f"{ROOT}/contracts").status_code == 401
    assert buy(town.web, show("mc", supplier.id), supplier.secret).status_code == 401


def test_a_machine_cannot_sign_in_as_a_person(town: Town) -> None:
    with town.world.owner.connect() as link:
        assert set(
            link.execute(
                select(login.c.disabled).join(machine_table, machine_table.c.login_id == login.c.id)
            ).scalars()
        ) == {True}


def test_only_client_credentials_are_taken(town: Town) -> None:
    for kind in ("password", "authorization_code", ""):
        answer = buy(town.web, show("mc", town["bank"].id), town["bank"].secret, grant_type=kind)
        assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


@pytest.mark.parametrize("given", ["", "Bearer x", "Basic !!", "Basic " + "QUFB"])
def test_no_secret_no_token(web: Web, given: str) -> None:
    with requests.Session() as client:
        client.trust_env = False
        answer = client.post(
            f"{web.url}/oauth/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": given} if given else {},
            timeout=20,
        )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert answer.headers["Cache-Control"] == "no-store"


def test_wrong_secrets_wait_longer_and_longer_and_unknown_ids_answer_alike(town: Town) -> None:
    name = show("mc", town["bank"].id)
    known = [buy(town.web, name, "wrong") for _ in range(FREE_TRIES)]
    with town.world.owner.begin() as link:
        link.execute(delete(throttle))
    unknown = buy(town.web, show("mc", new_id()), "wrong")
    assert {answer.status_code for answer in known} == {401}
    assert unknown.json() == known[0].json()
    for _ in range(FREE_TRIES):
        buy(town.web, name, "wrong")
    waits = buy(town.web, name, town["bank"].secret)
    assert waits.status_code == 429
    assert int(waits.headers["Retry-After"]) >= 1


def test_what_a_machine_did_stands_in_the_audit_under_its_own_name(town: Town) -> None:
    with town.world.owner.connect() as link:
        who = link.execute(
            text("SELECT login_id FROM audit WHERE \"case\" = :id AND event = 'submit'"),
            {"id": town.ids["ap"]},
        ).scalar_one()
    assert who == town["supplier"].id


# The rate


def test_a_machine_that_asks_too_often_waits_and_others_do_not(town: Town) -> None:
    first = town["bureau"].get(f"{ROOT}/inbox")
    assert first.headers["RateLimit-Policy"] == '"default";q=600;w=60'
    assert first.headers["RateLimit"].startswith('"default";r=')
    with Redis.from_url(str(town.web.ctx.settings.redis_url)) as redis:
        redis.hset(f"rate:{town['bureau'].id}", "left", "0")
        answer = town["bureau"].get(f"{ROOT}/inbox")
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["RateLimit"].startswith('"default";r=0;')
        assert answer.json()["type"] == "/problems/limited"
        assert town["operator"].get(f"{ROOT}/inbox").status_code == 200
        redis.flushdb()
    assert town["bureau"].get(f"{ROOT}/inbox").status_code == 200, "losing a bucket harms nobody"


# The operator's verb


def test_the_operator_makes_a_machine_lists_it_and_ends_it(
    town: Town, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return command("machines", *words)

    made = run("new", "--role", "bank", "--of", "bank-b", "--name", "核心系统", "--json")
    assert made.returncode == 0, made.stderr
    known = json.loads(made.stdout)
    assert "packet.read" in known["scopes"]
    answer = buy(town.web, known["id"], known["secret"])
    assert answer.status_code == 200
    listed = json.loads(run("list", "--json").stdout)["machines"]
    mine = next(each for each in listed if each["id"] == known["id"])
    assert (mine["name"], mine["retired_at"]) == ("核心系统", None)
    assert known["secret"] not in run("list").stdout
    assert run("retire", known["id"]).returncode == 0
    assert buy(town.web, known["id"], known["secret"]).status_code == 401
    for words, why in (
        (("new", "--role", "bank", "--of", "nobody", "--name", "x"), "no bank is known"),
        (
            ("new", "--role", "bank", "--of", "bank-b", "--name", "x", "--scope", "offer.accept"),
            "no permission",
        ),
        (("retire", show("mc", new_id())), "no such machine"),
    ):
        refused = run(*words)
        assert refused.returncode == 2
        assert why in refused.stderr


def test_a_basic_header_is_read_as_rfc_6749_writes_it(town: Town) -> None:
    secret = base64.b64encode(
        f"{show('mc', town['bank'].id)}:{town['bank'].secret}".encode()
    ).decode()
    with requests.Session() as client:
        client.trust_env = False
        answer = client.post(
            f"{town.web.url}/oauth/token",
            data="grant_type=client_credentials&scope=case.read+packet.read",
            headers={
                "Authorization": f"Basic {secret}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            timeout=20,
        )
    assert answer.json()["scope"] == "case.read packet.read"
    assert answer.json()["expires_in"] == 900
