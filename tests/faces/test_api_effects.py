"""An effect happens once, whoever asks how often: keys, races, restarts, and lists that go on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text, update

from financing.store.tables import machine_answer
from financing.values.ids import show
from financing.values.times import wall_now
from financing.web.api.table import ROOT
from financing.web.app import create_app
from tests.asking import Machine, Town, build, buy, offered
from tests.conftest import Web
from tests.verifying import OPENING, World, release


@pytest.fixture
def town(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> Town:
    set_clock(OPENING)
    return build(web, World(web.ctx, owner, set_clock))


def events(town: Town, name: str) -> int:
    """How often it happened to the town's application."""
    return town.world.events(town.ids["ap"]).count(name)


# One key, one effect


def test_the_same_request_twice_is_one_effect_and_the_same_answer(town: Town) -> None:
    body = town.apply(0, "bank-b")
    first, again = (town["supplier"].post(f"{ROOT}/applications", body, key="k1") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert town.world.count("SELECT count(*) FROM application WHERE state = 'sending'") == 1


def test_a_key_carries_one_request_only(town: Town) -> None:
    body = town.apply(0, "bank-b")
    supplier = town["supplier"]
    assert supplier.post(f"{ROOT}/applications", body, key="k1").status_code == 201
    before = town.counts()
    other = supplier.post(f"{ROOT}/applications", body | {"tenor_days": 90}, key="k1")
    elsewhere = supplier.post(f"{ROOT}/applications/{town.shown('ap')}/cancel", key="k1")
    for answer in (other, elsewhere):
        assert answer.status_code == 422
        assert answer.json()["type"] == "/problems/idempotency-key-reused"
    assert town.counts() == before


def test_a_key_is_its_machines_own(town: Town) -> None:
    supplier = town["supplier"]
    answers = [
        who.post(f"{ROOT}/applications/{town.shown('ap')}/cancel", key="same")
        for who in (supplier, town.strangers["supplier"])
    ]
    assert [answer.status_code for answer in answers] == [200, 404]


def test_without_a_usable_key_nothing_happens(town: Town) -> None:
    before = town.counts()
    for key in ("", "x" * 65, "with space", "zwölf"):
        answer = town["supplier"].client.post(
            f"{town.web.url}{ROOT}/applications/{town.shown('ap')}/cancel",
            json={},
            headers={"Idempotency-Key": key.encode()} if key else {},
            timeout=20,
        )
        assert answer.status_code == 400
        assert answer.json()["type"] == "/problems/idempotency-key-missing"
    assert town.counts() == before


def test_a_refused_request_may_be_mended_under_the_same_key(town: Town) -> None:
    """Nothing happened, so nothing is remembered."""
    supplier, body = town["supplier"], town.apply(0, "bank-b")
    refused = supplier.post(f"{ROOT}/applications", body | {"tenor_days": 3}, key="k1")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/tenor_days"
    assert supplier.post(f"{ROOT}/applications", body, key="k1").status_code == 201


def test_many_at_once_are_one_effect(town: Town) -> None:
    """Whoever comes while the first is being answered is told so, or gets its answer."""
    path, body = f"{ROOT}/applications", town.apply(0, "bank-b")
    sent = [Machine(town.web, town["supplier"].id, "", town["supplier"].token) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda who: who.post(path, body, key="k1"), sent * 2))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["type"] == "/problems/idempotency-in-flight"
            assert answer.headers["Retry-After"] == "1"
    assert town.world.count("SELECT count(*) FROM application WHERE state = 'sending'") == 1
    assert sent[0].post(path, body, key="k1").status_code == 201


def test_while_it_is_being_answered_the_same_key_is_told_to_come_again(town: Town) -> None:
    path = f"{ROOT}/applications/{town.shown('ap')}/cancel"
    held = f"{town['supplier'].id} k1"
    with town.world.owner.begin() as link:
        link.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:held, 0))"), {"held": held}
        )
        answer = town["supplier"].post(path, key="k1")
        assert answer.status_code == 409
        assert answer.json()["type"] == "/problems/idempotency-in-flight"
        assert town["supplier"].post(path, key="k2").status_code == 200, "another key is free"
    assert town["supplier"].post(path, key="k1").status_code == 200


def test_a_restart_forgets_no_answer(town: Town) -> None:
    path, supplier = f"{ROOT}/applications/{town.shown('ap')}/cancel", town["supplier"]
    first = supplier.post(path, key="k1")
    fresh = create_app(town.web.ctx).test_client()
    again = fresh.post(
        path,
        json={},
        headers={
            "Idempotency-Key": "k1",
            "Authorization": f"Bearer {supplier.token}",
            "Host": town.web.url.removeprefix("http://"),
        },
    )
    assert (again.status_code, again.data) == (first.status_code, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert events(town, "withdraw") == 1


def test_answers_are_kept_for_thirty_days(town: Town) -> None:
    supplier, path = town["supplier"], f"{ROOT}/applications/{town.shown('ap')}/cancel"
    supplier.post(path, key="k1")
    for days, left in ((29, 1), (31, 0)):
        with town.world.owner.begin() as link:
            link.execute(
                update(machine_answer)
                .where(machine_answer.c.key == "k1")
                .values(at=wall_now() - timedelta(days=days))
            )
        buy(town.web, show("mc", supplier.id), supplier.secret)
        with town.world.owner.connect() as link:
            found = link.execute(select(machine_answer).where(machine_answer.c.key == "k1")).all()
            assert len(found) == left


# What the state of things forbids


def test_an_offer_is_accepted_as_it_was_read_and_only_once(town: Town) -> None:
    supplier = town["supplier"]
    path = f"{ROOT}/applications/{town.shown('ap')}"
    (read,) = supplier.get(f"{ROOT}/offers?application={town.shown('ap')}").json()["items"]
    newer = offered(town.world, town.ids["ap"], "SX2")
    stale = supplier.post(f"{path}/accept-offer", {"offer_digest": read["digest"]})
    assert stale.status_code == 409
    assert stale.json()["errors"][0]["pointer"] == "/offer_digest"
    assert stale.json()["errors"][0]["remedy"]
    assert events(town, "accept_offer") == 0
    done = [
        supplier.post(f"{path}/accept-offer", {"offer_digest": newer}) for _ in range(2)
    ]  # two keys: the natural one, the offer's digest, still makes it one effect
    assert [answer.status_code for answer in done] == [200, 200]
    assert done[0].json()["state"] == "accepted"
    assert events(town, "accept_offer") == 1
    late = supplier.post(f"{path}/cancel")
    assert late.status_code == 409
    assert "accepted" in late.json()["detail"]


def test_every_fault_of_an_application_is_named_at_its_place(town: Town) -> None:
    body = town.apply(0, "bank-b", "bank-c") | {"tenor_days": 3}
    body["banks"][1]["consent"] = "sha-256:" + "0" * 64
    body["amount"] = {"fen": 1, "currency": "CNY"}
    answer = town["supplier"].post(f"{ROOT}/applications", body)
    assert answer.status_code == 422
    pointers = {fault["pointer"] for fault in answer.json()["errors"]}
    assert pointers == {"/tenor_days", "/banks/1/consent", "/amount"}
    assert all(fault["remedy"] for fault in answer.json()["errors"])
    assert town.world.count("SELECT count(*) FROM application") == 2


def test_what_may_not_be_financed_says_why(town: Town) -> None:
    body = town.apply(1, "bank-b")
    answer = town["supplier"].post(f"{ROOT}/applications", body)
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["pointer"] == "/contract"


def test_a_parked_thing_is_read_again_and_stays_parked_while_it_is_broken(town: Town) -> None:
    before = town.world.count("SELECT count(*) FROM parked WHERE state = 'open'")
    for body in ({"items": [town.shown("pd")]}, {"cause": "NO-DATE"}):
        answer = town["operator"].post(f"{ROOT}/parked/replay", body)
        assert answer.json() == {"items": [{"id": town.shown("pd"), "is_replayed": False}]}
    assert town.world.count("SELECT count(*) FROM parked WHERE state = 'open'") == before


def test_parked_work_goes_back_once(town: Town) -> None:
    path = f"{ROOT}/jobs/{town.job}/retry"
    assert town["operator"].post(path).status_code == 200
    assert town["operator"].get(f"{ROOT}/jobs").json()["items"] == []
    assert town["operator"].post(path).status_code == 404


# Lists, and asking again


def test_a_list_goes_on_behind_its_last_row_whatever_comes_in_front(town: Town) -> None:
    town.world.publish(*(release(n) for n in range(10, 15)))
    supplier = town["supplier"]
    whole = [each["id"] for each in supplier.get(f"{ROOT}/contracts").json()["items"]]
    seen, path = [], f"{ROOT}/contracts?limit=2"
    while path:
        answer = supplier.get(path)
        seen += [each["id"] for each in answer.json()["items"]]
        if len(seen) == 2:
            town.world.publish(release(20))
        following = answer.json()["next"]
        link = answer.headers.get("Link", "")
        assert bool(following) == bool(link)
        path = link.removeprefix("<").partition(">")[0]
    assert seen == whole
    assert len(seen) == len(set(seen)) == 9


def test_reckoned_lists_go_on_too(town: Town) -> None:
    bureau = town["bureau"]
    whole = bureau.get(f"{ROOT}/figures").json()["items"]
    first = bureau.get(f"{ROOT}/figures?limit=2").json()
    rest = bureau.get(f"{ROOT}/figures?limit=200&after={first['next']}").json()
    assert first["items"] + rest["items"] == whole
    assert rest["next"] is None


def test_a_cursor_is_of_its_list_its_filters_and_its_reader(town: Town) -> None:
    supplier = town["supplier"]
    cursor = supplier.get(f"{ROOT}/contracts?limit=1").json()["next"]
    assert supplier.get(f"{ROOT}/contracts?limit=3&after={cursor}").status_code == 200
    changed = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for who, path in (
        (supplier, f"applications?after={cursor}"),
        (supplier, f"contracts?after={changed}"),
        (supplier, f"contracts?after={cursor}x"),
        (supplier, "contracts?after=%00"),
        (town["purchaser"], f"contracts?after={cursor}"),
        (supplier, f"applications?state=offered&after={cursor}"),
    ):
        answer = who.get(f"{ROOT}/{path}")
        assert answer.status_code == 422, path
        assert answer.json()["errors"][0]["pointer"] == "/after"


def test_what_did_not_change_is_not_sent_again(town: Town) -> None:
    supplier, path = town["supplier"], f"{ROOT}/applications/{town.shown('ap')}"
    first = supplier.get(path)
    tag = first.headers["ETag"]
    assert not tag.startswith("W/")
    same = supplier.get(path, **{"If-None-Match": f'"x", {tag}'})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    supplier.post(f"{path}/cancel")
    changed = supplier.get(path, **{"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.json()["state"] == "withdrawn"


def test_a_longer_list_takes_no_more_questions(town: Town) -> None:
    asked: list[str] = []

    def note(*given: Any) -> None:
        asked.append(str(given[2]))

    def statements(path: str) -> int:
        asked.clear()
        assert town["supplier"].get(path).status_code == 200
        return len(asked)

    event.listen(town.web.ctx.engine, "before_cursor_execute", note)
    try:
        paths = [f"{ROOT}/contracts", f"{ROOT}/applications", f"{ROOT}/inbox"]
        few = [statements(path) for path in paths]
        rows = town.world.publish(*(release(n) for n in range(30, 40)))
        assert len(rows) == 10
        for code in ("bank-b", "bank-c"):
            town.applied(0, code, 10_000_00)
        assert [statements(path) for path in paths] == few
    finally:
        event.remove(town.web.ctx.engine, "before_cursor_execute", note)


def test_looking_changes_nothing(town: Town) -> None:
    before = town.counts()
    for role, path in (
        ("supplier", "contracts"), ("supplier", "applications"), ("supplier", "inbox"),
        ("bank", "applications"), ("purchaser", "confirmations"), ("bureau", "deadlines"),
        ("bureau", "figures"), ("operator", "parked"),
    ):  # fmt: skip
        assert town[role].get(f"{ROOT}/{path}").status_code == 200
    assert town.counts() == before


def test_a_packet_is_byte_by_byte_what_the_bank_got(town: Town) -> None:
    path = f"{ROOT}/packets/{town.shown('pk')}"
    bank, supplier = town["bank"].get(path), town["supplier"].get(path)
    assert bank.content == supplier.content
    assert bank.content.startswith(b"PK")
    assert bank.headers["Content-Type"] == "application/vnd.etsi.asic-e+zip"
    assert bank.headers["X-Content-Type-Options"] == "nosniff"


def test_every_answer_says_its_number_and_stays_in_no_cache(town: Town) -> None:
    answers = [
        town["supplier"].get(f"{ROOT}/contracts"),
        town["supplier"].get(f"{ROOT}/nowhere"),
        town["supplier"].get(f"{ROOT}/contracts?x=1"),
    ]
    for answer in answers:
        assert len(answer.headers["Request-Id"]) == 16
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for answer in answers[1:]:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["Request-Id"]


def amounts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        own = [value[name] for name in ("fen", "minor") if name in value]
        return own + [each for inner in value.values() for each in amounts(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in amounts(inner)]
    return []


def test_amounts_are_whole_numbers_everywhere(town: Town) -> None:
    found = []
    for path in ("contracts", "applications", "offers", "loans", "payments"):
        found += amounts(town["supplier"].get(f"{ROOT}/{path}").json())
    assert len(found) > 5
    assert {type(each) for each in found} == {int}
