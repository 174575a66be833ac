"""The supplier's pages: what may be financed and why not, one amount, and a look before sending."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest
import requests
from sqlalchemy import Engine, Row

from financing import words
from financing.journeys import banks
from financing.journeys.banks import Registration
from financing.journeys.verification import capacity
from financing.values.ids import show
from tests.asking import machine_of
from tests.conftest import Web
from tests.faces.test_forms import person
from tests.faces.test_sign_in import Reader
from tests.verifying import OPENING, World, release

NUMBER = "1702020109200012345"
Contract = Row[Any]


@pytest.fixture
def world(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(web.ctx, owner, set_clock)


def bank(world: World, code: str, share_bp: int, cap_fen: int) -> UUID:
    with world.ctx.begin() as tx:
        return banks.register(
            tx,
            Registration(
                code=code,
                name=f"银行{code}",
                identifier=code,
                adapter="rest_jws",
                base_url="http://127.0.0.1:9",
                answer_key_pem="",
                webhook_key=b"0" * 32,
                products=(
                    {
                        "code": "loan",
                        "name": {"zh": "政采贷", "en": "Loan"},
                        "share_bp": share_bp,
                        "min_fen": 10_000_00,
                        "cap_fen": cap_fen,
                        "tenor_min_days": 30,
                        "tenor_max_days": 365,
                        "rate_from_bp": "345",
                        "rate_to_bp": "435",
                        "day_basis": "ACT/360",
                        "currency": "CNY",
                        "valid_from": date(2020, 1, 1),
                    },
                ),
            ),
        )


@pytest.fixture
def two(world: World) -> list[UUID]:
    return [bank(world, "a", 7000, 10_000_000_00), bank(world, "b", 8000, 500_000_00)]


@pytest.fixture
def ready(world: World, two: list[UUID]) -> Contract:
    (row,) = world.publish(release(1))
    return world.ready(row)


@pytest.fixture
def supplier(web: Web, world: World, ready: Contract) -> Reader:
    return person(web, world, "supplier", ready.supplier_id)


def wish(page: str, banks: list[UUID], **typed: str) -> dict[str, list[str]]:
    """The form filled in: these banks and their consents ticked."""
    consents = dict(re.findall(r'name="(consent-[\w-]+)" value="([^"]+)"', page))
    ticked = {f"consent-{bank}": [consents[f"consent-{bank}"]] for bank in banks}
    return {"bank": [str(bank) for bank in banks], **ticked} | {k: [v] for k, v in typed.items()}


def look(supplier: Reader, row: Contract, filled: dict[str, list[str]]) -> requests.Response:
    return supplier.client.get(
        f"{supplier.web.url}/contracts/{show('ct', row.id)}/apply/check",
        params=filled,
        timeout=20,
    )


def test_a_contract_that_may_not_be_financed_says_why_and_what_helps(
    web: Web, world: World, two: list[UUID]
) -> None:
    (row,) = world.publish(release(1))
    reader = person(web, world, "supplier", row.supplier_id)
    page = reader.open("/contracts").text
    assert world.now(row).sentence["en"] in page
    assert "/apply" not in page, "no way leads to an application that would be refused"
    whole = reader.open(f"/contracts/{show('ct', row.id)}").text
    results = re.findall(
        r'class="tag (ok|bad|warn|off)">(?:passed|failed|not known|does not)', whole
    )
    assert results == sorted(results, key=["bad", "warn", "ok", "off"].index), "worst first"


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("value", [{"amount": 1_280_000, "currency": "CNY"}, None])
def test_a_won_award_says_that_it_waits_for_its_contract_and_shows_no_broken_field(
    web: Web, world: World, two: list[UUID], lang: str, value: dict[str, Any] | None
) -> None:
    body = release(1)
    del body["contracts"]
    body["awards"][0]["value"] = value
    (row,) = world.publish(body)
    reader = person(web, world, "supplier", row.supplier_id)
    whole = f"/contracts/{show('ct', row.id)}"
    for address in ("/contracts", whole):
        page = reader.open(f"{address}?lang={lang}").text
        assert row.sentence[lang] in page
        assert words.t("award.not_signed", lang) in page
        assert words.t("award.untitled", lang) in page
        assert words.t("award.amount", lang) in page
        assert ("¥1,280,000.00" if value else words.t("word.unknown", lang)) in page
        assert words.t("contract.number", lang) not in page
        assert "None" not in page
        assert "¥0.00" not in page
        assert not re.search(r"/(apply|account|confirmation)\"", page), "nothing leads to a refusal"
    assert words.t("telling.kind.general", lang) in reader.open(f"{whole}?lang={lang}").text
    inbox = reader.open(f"/inbox?lang={lang}").text
    assert words.t("award.not_signed", lang) in inbox
    assert words.t("award.untitled", lang) in inbox


def test_software_sees_an_award_without_number_price_or_terms(
    web: Web, world: World, two: list[UUID]
) -> None:
    body = release(1)
    del body["contracts"], body["awards"][0]["value"]
    (row,) = world.publish(body)
    supplier = machine_of(web, "supplier", row.supplier_id)
    one = f"/api/v1/contracts/{show('ct', row.id)}"
    said = supplier.get(one).json()
    assert (said["state"], said["number"], said["amount"]) == ("awarded", "", None)
    assert (said["milestones"], said["financeable"]) == ([], False)
    assert supplier.get(f"{one}/capacity").json()["banks"] == []
    refused = supplier.post("/api/v1/confirmations", {"contract": show("ct", row.id)})
    assert refused.status_code == 409, refused.text


def test_the_list_the_contract_and_the_form_name_one_limit(
    world: World, ready: Contract, supplier: Reader, two: list[UUID]
) -> None:
    with world.ctx.begin(world.actor(ready, "supplier")) as tx:
        products = banks.products_of(tx, two, "CNY").values()
        most = max(capacity(tx, ready.id, product).fen for product in products)
    limit = f"¥{most // 100:,}.{most % 100:02d}"
    for address in ("/contracts", f"/contracts/{show('ct', ready.id)}"):
        assert limit in supplier.open(address).text
    assert limit in supplier.open(f"/contracts/{show('ct', ready.id)}/apply").text


def test_looking_at_the_application_sends_nothing(
    world: World, ready: Contract, supplier: Reader, two: list[UUID]
) -> None:
    page = supplier.open(f"/contracts/{show('ct', ready.id)}/apply").text
    checked = look(supplier, ready, wish(page, two, amount="45万", tenor_days="150"))
    assert checked.status_code == 200
    assert "¥450,000.00" in checked.text, "the page shows what was understood"
    assert world.count("SELECT count(*) FROM application") == 0
    assert world.count("SELECT count(*) FROM consent") == 0


def test_sending_it_makes_one_application_for_each_bank(
    world: World, ready: Contract, supplier: Reader, two: list[UUID]
) -> None:
    address = f"/contracts/{show('ct', ready.id)}/apply"
    filled = wish(supplier.open(address).text, two, amount="450,000.00", tenor_days="150")
    checked = look(supplier, ready, filled).text
    form = checked[checked.index(f'action="{address}"') :].partition("</form>")[0]
    mine = re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)">', form)
    sent = supplier.client.post(
        supplier.web.url + address, data=mine, allow_redirects=False, timeout=20
    )
    assert sent.status_code == 303
    assert sent.headers["Location"].startswith("/applications/ap_")
    assert world.count("SELECT count(*) FROM application WHERE state = 'sending'") == 2
    assert world.count("SELECT count(*) FROM application WHERE amount_fen = 45000000") == 2
    assert world.count("SELECT count(DISTINCT bank_id) FROM consent") == 2
    follow = supplier.open(sent.headers["Location"])
    assert follow.status_code == 200
    assert "The application is on its way." in follow.text


@pytest.mark.parametrize(
    ("typed", "fields"),
    [
        ({"amount": "600,000.00", "tenor_days": "150"}, {"amount"}),
        ({"amount": "much", "tenor_days": "soon"}, {"amount", "tenor_days"}),
        ({"amount": "450000", "tenor_days": "9"}, {"tenor_days"}),
    ],
)
def test_a_form_that_cannot_be_sent_comes_back_with_its_faults(
    ready: Contract, supplier: Reader, two: list[UUID], typed: dict[str, str], fields: set[str]
) -> None:
    page = supplier.open(f"/contracts/{show('ct', ready.id)}/apply").text
    answer = look(supplier, ready, wish(page, two, **typed))
    assert answer.status_code == 422
    assert set(re.findall(r'<a href="#(\w+)">', answer.text)) - {"main"} == fields
    for value in typed.values():
        assert f'value="{value}"' in answer.text, "what was typed is kept"
    assert len(re.findall(r'type="checkbox"[^>]*checked', answer.text)) == 4, "ticks are kept"


def test_a_bank_without_its_consent_is_named(
    ready: Contract, supplier: Reader, two: list[UUID]
) -> None:
    page = supplier.open(f"/contracts/{show('ct', ready.id)}/apply").text
    filled = wish(page, two, amount="450000", tenor_days="150")
    del filled[f"consent-{two[1]}"]
    answer = look(supplier, ready, filled)
    assert answer.status_code == 422
    assert f'<a href="#consent-{two[1]}">' in answer.text
    assert f'<a href="#consent-{two[0]}">' not in answer.text


@pytest.mark.parametrize("given", ["the other bank's", "sha-256:" + "0" * 64])
def test_a_consent_is_for_one_bank_and_its_own_text(
    world: World, ready: Contract, supplier: Reader, two: list[UUID], given: str
) -> None:
    page = supplier.open(f"/contracts/{show('ct', ready.id)}/apply").text
    filled = wish(page, two, amount="450000", tenor_days="150")
    other = filled[f"consent-{two[0]}"]
    filled[f"consent-{two[1]}"] = other if given.startswith("the") else given
    answer = look(supplier, ready, filled)
    assert answer.status_code == 422
    assert f'<a href="#consent-{two[1]}">' in answer.text
    assert world.count("SELECT count(*) FROM consent") == 0


def test_no_page_shows_a_whole_account_number(
    web: Web, world: World, ready: Contract, supplier: Reader
) -> None:
    contract = f"/contracts/{show('ct', ready.id)}"
    for address in ("/contracts", contract, contract + "/account", contract + "/apply", "/inbox"):
        assert NUMBER not in supplier.open(address).text.replace(" ", "")
    assert f"ending {NUMBER[-4:]}" in supplier.open(contract).text
