"""Bad input at the API's door: named at its place, with its remedy, and nothing half done."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sqlalchemy import Engine

from financing.errors import Unreadable
from financing.values import strict_json
from financing.values.ids import new_id, show
from financing.web.api.openapi import OPERATIONS, document
from financing.web.api.table import ROOT
from financing.web.app import MOST_BODY_BYTES
from tests.asking import Town, build
from tests.conftest import Web
from tests.faces.test_api_examples import FIRST, check, fit
from tests.verifying import OPENING, World

APPLY = f"{ROOT}/applications"


@pytest.fixture
def town(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> Town:
    set_clock(OPENING)
    return build(web, World(web.ctx, owner, set_clock))


def is_problem(answer: requests.Response) -> None:
    assert answer.headers["Content-Type"] == "application/problem+json"
    whole = {"$ref": "#/components/schemas/Problem", "components": document("en")["components"]}
    Draft202012Validator(whole).validate(answer.json())


def has_han(text: str) -> bool:
    return any("\u4e00" <= c <= "\u9fff" for c in text)


UNREADABLE = {
    "nothing at all": (b"", 400),
    "white space": (b"  \n", 400),
    "another format": (b"<application/>", 400),
    "cut in the middle": (b'{"contract": "ct_', 400),
    "two documents": (b"{} {}", 400),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400),
    "GB18030": ('{"contract": "合同"}'.encode("gb18030"), 400),
    "UTF-16": ("{}".encode("utf-16"), 400),
    "broken UTF-8": (b'{"contract": "\xc3\x28"}', 400),
    "NaN": (b'{"tenor_days": NaN}', 400),
    "infinity": (b'{"tenor_days": -Infinity}', 400),
    "beyond any float": (b'{"tenor_days": 1e400}', 400),
    "a number bomb": (b'{"tenor_days": 1e300000}', 400),
    "five thousand digits": (b'{"tenor_days": ' + b"9" * 5000 + b"}", 400),
    "beyond 2**53": (b'{"tenor_days": 9007199254740993}', 400),
    "a key twice": (b'{"contract": "a", "contract": "b"}', 400),
    "U+0000": (b'{"contract": "a\\u0000b"}', 400),
    "half a surrogate pair": (b'{"contract": "\\ud800"}', 400),
    "ten thousand brackets": (b"[" * 10_000, 400),
    "nested too deep": (b'{"a":' * 40 + b"1" + b"}" * 40, 400),
    "too large": (b'{"a": "' + b"x" * MOST_BODY_BYTES + b'"}', 413),
}


def test_what_cannot_be_read_is_refused_whole_in_both_languages(town: Town) -> None:
    before, faults = town.counts(), []
    for name, (data, status) in UNREADABLE.items():
        for lang in ("zh", "en"):
            answer = town["supplier"].send(APPLY, data, **{"Accept-Language": lang})
            if answer.status_code != status:
                faults.append(f"{name}: {answer.status_code} {answer.text}")
                continue
            is_problem(answer)
            said = answer.json()
            spoken = said["title"], said["detail"].split("：")[0]
            if said["type"] != "/problems/unreadable" or {has_han(each) for each in spoken} != {
                lang == "zh"
            }:
                faults.append(f"{name} in {lang}: {said}")
    assert faults == []
    assert town.counts() == before


def test_a_body_of_another_kind_is_refused(town: Town) -> None:
    before = town.counts()
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/xml"},
        {"Content-Encoding": "gzip"},
    ):
        answer = town["supplier"].send(APPLY, b"{}", **headers)
        assert answer.status_code == 415
        assert answer.json()["type"] == "/problems/unsupported-media-type"
    assert town.counts() == before


CNY = {"currency": "CNY"}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "amount as text": ({"amount": {"fen": "20000000"} | CNY}, "/amount"),
    "amount with a point": ({"amount": {"fen": 1.5} | CNY}, "/amount"),
    "amount with a point and nothing behind": ({"amount": {"fen": 20000000.0} | CNY}, "/amount"),
    "amount as truth": ({"amount": {"fen": True} | CNY}, "/amount"),
    "amount below zero": ({"amount": {"fen": -1} | CNY}, "/amount"),
    "amount of nothing": ({"amount": {"fen": 0} | CNY}, "/amount"),
    "amount beyond what we carry": ({"amount": {"fen": 10**15 + 1} | CNY}, "/amount"),
    "full-width digits": ({"amount": {"fen": "２０"} | CNY}, "/amount"),
    "amount alone": ({"amount": 20000000}, "/amount"),
    "no currency": ({"amount": {"fen": 20000000}}, "/amount"),
    "no such currency": ({"amount": {"minor": 1, "currency": "ZZZ"}}, "/amount"),
    "minor for fen": ({"amount": {"minor": 20000000} | CNY}, "/amount"),
    "another currency": ({"amount": {"minor": 20000000, "currency": "USD"}}, "/amount/currency"),
    "days as text": ({"tenor_days": "180"}, "/tenor_days"),
    "days with a point": ({"tenor_days": 180.0}, "/tenor_days"),
    "days null": ({"tenor_days": None}, "/tenor_days"),
    "no days": ({"tenor_days": 0}, "/tenor_days"),
    "an id of another kind": ({"contract": show("ap", new_id())}, "/contract"),
    "a path for an id": ({"contract": "../../etc/passwd"}, "/contract"),
    "a number for an id": ({"contract": 7}, "/contract"),
    "banks as text": ({"banks": "bank-a"}, "/banks"),
    "no bank": ({"banks": []}, "/banks"),
    "a bank as text": ({"banks": ["bank-a"]}, "/banks/0"),
    "no such bank": (
        {"banks": [{"bank": "x'; DROP TABLE bank; --", "consent": "sha-256:" + "0" * 64}]},
        "/banks/0/bank",
    ),
    "a control character": (
        {"banks": [{"bank": "a\nb", "consent": "sha-256:" + "0" * 64}]},
        "/banks/0/bank",
    ),
    "a digest of another form": (
        {"banks": [{"bank": "bank-b", "consent": "SHA256:00"}]},
        "/banks/0/consent",
    ),
    "an unknown field": ({"amout": 1}, "/amout"),
    "an unknown field inside": (
        {"banks": [{"bank": "bank-b", "consent": "sha-256:" + "0" * 64, "rate": 1}]},
        "/banks/0/rate",
    ),
    "a field named by a path": ({"a/b~c": 1}, "/a~1b~0c"),
}


def test_what_is_wrong_is_named_at_its_place_with_its_remedy_in_both_languages(
    town: Town,
) -> None:
    before, good, faults = town.counts(), town.apply(0, "bank-b"), []
    for name, (change, pointer) in WRONG.items():
        for lang in ("zh", "en"):
            answer = town["supplier"].post(APPLY, good | change, **{"Accept-Language": lang})
            if answer.status_code != 422:
                faults.append(f"{name}: {answer.status_code} {answer.text}")
                continue
            is_problem(answer)
            errors = answer.json()["errors"]
            if pointer not in [error["pointer"] for error in errors]:
                faults.append(f"{name}: {errors}")
            faults += [
                f"{name} in {lang}: {error}"
                for error in errors
                if not error["problem"]
                or not error["remedy"]
                or has_han(error["problem"] + error["remedy"]) != (lang == "zh")
            ]
    assert faults == []
    assert town.counts() == before


def test_a_day_that_cannot_be_is_refused(town: Town) -> None:
    before = town.counts()
    for on in (
        "2026-02-30", "26-03-02", "2026-03-02T00:00:00", "02.03.2026", "2027-01-01", "0000-01-01",
    ):  # fmt: skip
        answer = town["purchaser"].post(
            f"{ROOT}/acceptances", {"contract": town.shown("ct"), "on": on}
        )
        assert answer.status_code == 422, on
        assert answer.json()["errors"][0]["pointer"] == "/on"
        assert answer.json()["errors"][0]["remedy"]
    assert town.counts() == before


def test_a_parameter_that_is_none_is_named(town: Town) -> None:
    for path, pointer in (
        ("contracts?limit=0", "/limit"),
        ("contracts?limit=201", "/limit"),
        ("contracts?limit=１０", "/limit"),
        ("contracts?limit=1e1", "/limit"),
        ("contracts?limit=1&limit=2", "/limit"),
        ("contracts?page=2", "/page"),
        ("contracts?lang=en", "/lang"),
        ("applications?state=%00", "/state"),
        ("offers?application=ap_x", "/application"),
        ("openapi.json?x=1", "/x"),
    ):
        answer = town["supplier"].get(f"{ROOT}/{path}")
        assert answer.status_code == 422, answer.text
        is_problem(answer)
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_an_address_that_is_none_is_not_found(town: Town) -> None:
    for path in (
        "nowhere", "contracts/", "contracts/ct_1", "contracts/%2e%2e%2fetc", "contracts/ct_%00",
        "contracts/' OR 1=1", "CONTRACTS", "figures/nothing", "figures/%F0%9F%92%A3/rows",
    ):  # fmt: skip
        role = "bureau" if path.startswith("figures") else "supplier"
        answer = town[role].get(f"{ROOT}/{path}")
        assert answer.status_code == 404, path
        is_problem(answer)
        assert answer.json()["type"] == "/problems/not-found"


def test_another_method_is_no_address(town: Town) -> None:
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        answer = town["supplier"].client.request(
            method, f"{town.web.url}{ROOT}/contracts", timeout=20
        )
        assert answer.status_code == 404, method
        assert "Allow" not in answer.headers


def test_markup_and_tricks_in_a_text_are_kept_as_text_and_shown_escaped(town: Town) -> None:
    note = "<script>alert(1)</script> =1+1 \u202egnp"
    path = f"{ROOT}/confirmations/{town.shown('cf')}"
    digest = town["purchaser"].get(path).json()["shown_digest"]
    answer = town["purchaser"].post(
        f"{path}/answer", {"same": False, "shown_digest": digest, "note": note}
    )
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert "\u202e" not in answer.json()["note"]
    assert "<script>alert(1)</script>" in answer.json()["note"]
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_value_that_comes_back_in_a_problem_breaks_no_document(town: Town) -> None:
    body = town.apply(0, "bank-b") | {'"}<b>\n': 1}
    answer = town["supplier"].post(APPLY, body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == '/"}<b>\n'


# Any document at all

ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20)
    | st.floats(allow_nan=True),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def test_no_document_breaks_an_operation(town: Town) -> None:
    """What the schema refuses is 422, what is no JSON 400: never a fault of ours."""
    writes = [row for row in OPERATIONS if row.takes is not None]
    fitted = {row.name: fit(row, town) for row in writes}

    @given(st.sampled_from(writes), st.data())
    @settings(
        max_examples=150, suppress_health_check=list(HealthCheck), deadline=None, database=None
    )
    def try_one(row: Any, data: st.DataObject) -> None:
        path, body = fitted[row.name]
        names = list(row.takes.fields)
        changed = dict(body or {})
        if names and data.draw(st.booleans()):
            changed[data.draw(st.sampled_from(names))] = data.draw(ANY)
            sent: Any = changed
        else:
            sent = data.draw(ANY)
        raw = json.dumps(sent).encode()
        answer = town[FIRST[row.permits[0]]].send(path, raw)
        assert answer.status_code < 500, (row.name, raw, answer.text)
        check(row, answer)
        try:
            strict_json.loads(raw)
        except Unreadable:
            assert answer.status_code == 400

    try_one()


def test_no_parameter_breaks_an_operation(town: Town) -> None:
    reads = [row for row in OPERATIONS if row.method == "GET" and row.permits != ("public",)]
    fitted = {row.name: fit(row, town)[0] for row in reads}
    names = st.sampled_from(
        ["limit", "after", "state", "period", "rule", "on", "cause", "contract", "application", "x"]
    )

    @given(st.sampled_from(reads), st.dictionaries(names, st.text(max_size=30), max_size=3))
    @settings(
        max_examples=150, suppress_health_check=list(HealthCheck), deadline=None, database=None
    )
    def try_one(row: Any, asked: dict[str, str]) -> None:
        machine = town[FIRST[row.permits[0]]]
        answer = machine.client.get(town.web.url + fitted[row.name], params=asked, timeout=20)
        assert answer.status_code < 500, (row.name, asked, answer.text)
        if row.gives is not None or answer.status_code >= 400:
            check(row, answer)

    try_one()
