"""The document is true: every example is sent, and every answer is what its schema says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from sqlalchemy import Engine

from financing.values.ids import show
from financing.web.api.openapi import OPERATIONS, document, filters, statuses
from financing.web.api.table import ROOT, Operation
from financing.web.app import create_app
from tests.asking import Machine, Town, build, nobody, offered
from tests.conftest import Web
from tests.verifying import OPENING, World

FIRST = {
    "contract.read": "supplier", "purchase.read": "purchaser", "application.read": "supplier",
    "application.write": "supplier", "offer.accept": "supplier", "offer.read": "supplier",
    "confirmation.ask": "supplier", "case.read": "bank", "packet.read": "bank",
    "contract.confirm": "purchaser", "performance.accept": "purchaser", "figures.read": "bureau",
    "deadlines.read": "bureau", "parked.read": "operator", "parked.replay": "operator",
    "job.read": "operator", "job.retry": "operator", "bank.desk": "operator",
    "inbox.read": "supplier", "exchange.read": "bank", "loan.read": "supplier",
    "payment.read": "supplier",
}  # fmt: skip


@pytest.fixture
def town(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> Town:
    set_clock(OPENING)
    return build(web, World(web.ctx, owner, set_clock))


@cache
def validator(name: str) -> Draft202012Validator:
    """A check of a document against a component of ours, references followed."""
    whole = {"$ref": f"#/components/schemas/{name}", "components": document("en")["components"]}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def schema_of(row: Operation, status: int) -> dict[str, Any]:
    said = document("en")["paths"][row.template][row.method.lower()]["responses"][str(status)]
    (content,) = said["content"].values()
    schema: dict[str, Any] = content["schema"]
    return schema


def closed(value: Any) -> Any:
    """The document with its known words as the only ones: today's answers hold no other."""
    if isinstance(value, dict):
        inner = {name: closed(each) for name, each in value.items()}
        if "x-known-values" in value:
            inner["enum"] = [*value["x-known-values"], None]
        return inner
    return [closed(each) for each in value] if isinstance(value, list) else value


def check(row: Operation, answer: requests.Response) -> None:
    """An answer of any status is what the document says of that status."""
    schema = schema_of(row, answer.status_code) | {"components": components()}
    Draft202012Validator(schema).validate(answer.json())


@cache
def components() -> Any:
    return closed(document("en")["components"])


def fit(row: Operation, town: Town) -> tuple[str, dict[str, Any] | None]:
    """The example's address and body, its ids and digests replaced by those of the town."""
    path = re.sub(
        r"([a-z]{2})_01JNB3K4M5N6P7Q8R9S0T1V2W3", lambda found: town.shown(found[1]),
        row.example_path,
    )  # fmt: skip
    if row.takes is None:
        return path, None
    body = dict(row.example_body or {})
    if row.name == "apply":
        body = town.apply(0, "bank-b") | {"tenor_days": body["tenor_days"]}
    if "contract" in body:
        body["contract"] = body["contract"] if row.name == "apply" else town.shown("ct")
    if "items" in body:
        body["items"] = [town.shown("pd")]
    if row.name == "accept_offer":
        body["offer_digest"] = offers(town)[0]["digest"]
    if row.name == "answer_confirmation":
        body["shown_digest"] = (
            town["purchaser"].get(path.removesuffix("/answer")).json()["shown_digest"]
        )
    return path, body


def offers(town: Town) -> list[Any]:
    found: list[Any] = town["supplier"].get(f"{ROOT}/offers").json()["items"]
    return [each for each in found if each["state"] == "open"]


def asks(town: Town, row: Operation) -> Machine:
    return nobody(town.web) if row.permits == ("public",) else town[FIRST[row.permits[0]]]


def query_of(row: Operation, town: Town) -> Mapping[str, str]:
    """The filters' examples; those that name a row name the town's."""
    given = {name: str(example) for name, (_, example) in filters(row).items() if example}
    return {
        name: town.shown({"contract": "ct", "application": "ap"}[name])
        if name in ("contract", "application")
        else value
        for name, value in given.items()
    }


def test_the_document_is_openapi_3_1_in_both_languages(web: Web) -> None:
    for lang in ("zh", "en"):
        answer = nobody(web).get(f"{ROOT}/openapi.json", **{"Accept-Language": lang})
        assert answer.status_code == 200
        assert answer.json() == document(lang)
        assert answer.json()["openapi"].startswith("3.1")
        validate(answer.json())
    assert document("zh")["paths"]["/contracts"]["get"]["summary"] == "列出本单位的合同"


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_an_example_is_what_its_schema_says(row: Operation) -> None:
    if row.takes is not None:
        validator(type(row.takes).__name__).validate(row.example_body)
    if row.gives is not None:
        schema = schema_of(row, row.status) | {"components": document("en")["components"]}
        Draft202012Validator(schema).validate(row.example_answer)


def test_every_example_is_answered_as_the_document_says(town: Town) -> None:
    wrong = []
    for row in OPERATIONS:
        path, body = fit(row, town)
        machine = asks(town, row)
        if row.name in ("decline_offer", "cancel_application"):
            # What was accepted can be neither declined nor taken back: another case of its own.
            made = town.applied(2 if row.name == "decline_offer" else 0, "bank-c", 10_000_00)
            if row.name == "decline_offer":
                offered(town.world, made)
            path = path.replace(town.shown("ap"), show("ap", made))
        if row.method == "POST":
            answer = machine.post(path, body)
        else:
            asked = query_of(row, town)
            answer = machine.client.get(town.web.url + path, params=asked, timeout=20)
        if answer.status_code != row.status:
            wrong.append(f"{row.name}: {answer.status_code} {answer.text[:300]}")
            continue
        assert answer.headers["Content-Type"] == row.media_type, row.name
        if row.gives is not None:
            check(row, answer)
    assert wrong == []


def test_lists_of_the_town_are_not_empty(town: Town) -> None:
    """Without this an empty list would pass as any."""
    empty = [
        row.name
        for row in OPERATIONS
        if row.is_list
        and not asks(town, row).get(fit(row, town)[0]).json()["items"]
        and row.name != "list_figure_rows"
    ]
    assert empty == []


def test_every_address_of_the_api_is_a_row_of_the_table(web: Web) -> None:
    rules = {
        (method, rule.rule)
        for rule in create_app(web.ctx).url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD"}
    }
    known = {(row.method, row.rule) for row in OPERATIONS}
    # A bank's event is proved by its signature, not by a token: docs/banks.md.
    assert {rule for _, rule in rules - known} == {"/api/v1/webhooks/banks/<bank_code>"}
    assert known <= rules


def test_every_operation_names_what_it_needs_and_how_it_refuses() -> None:
    names = [row.name for row in OPERATIONS]
    assert len(names) == len(set(names))
    for row in OPERATIONS:
        said = document("en")["paths"][row.template][row.method.lower()]
        assert said["x-permission"] == list(row.permits), row.name
        assert {str(status) for status in statuses(row)} < set(said["responses"]), row.name
        assert (row.method == "POST") == (row.takes is not None), row.name
