"""What records say about contracts: whose, how much, since when, and which release said it."""

from __future__ import annotations

import json
import re
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from financing.formats import ocds, odd_dates
from financing.formats.ocds_contracts import contracts_of
from financing.formats.ocds_history import Kept, Process, lives_of
from financing.values import contract_facts
from financing.values.contract_facts import ContractFacts, from_json, substance, to_json
from financing.values.parked import Parked
from tests.parts.test_ocds import body, dumped, read

ROOT = Path(__file__).parents[2]


def said(*bodies: dict[str, Any]) -> list[ContractFacts | Parked]:
    history = [item for one in bodies for item in read(dumped(one))]
    return contracts_of([item for item in history if isinstance(item, ocds.Release)])


def facts(*bodies: dict[str, Any]) -> ContractFacts:
    found = said(*bodies)
    assert len(found) == 1, found
    assert isinstance(found[0], ContractFacts), found[0]
    return found[0]


def laid(path: str, value: Any, one: dict[str, Any] | None = None) -> dict[str, Any]:
    """A release with one value laid over it; `contracts/0/value/amount` leads there."""
    whole: dict[str, Any] = json.loads(json.dumps(one or body()))
    inner: Any = whole
    *before, last = path.split("/")
    for key in before:
        inner = inner[int(key)] if isinstance(inner, list) else inner.setdefault(key, {})
    if isinstance(inner, list):
        inner[int(last)] = value
    else:
        inner[last] = value
    return whole


C = "contracts/0/"


@pytest.mark.parametrize(
    ("path", "value", "reason", "where"),
    [
        (C + "value/amount", "1234.50", "AMOUNT", "/contracts/0/value/amount"),
        (C + "value/amount", 1234.567, "AMOUNT", "/contracts/0/value/amount"),
        (C + "value/amount", -1, "AMOUNT", "/contracts/0/value/amount"),
        (C + "value/amount", True, "AMOUNT", "/contracts/0/value/amount"),
        (C + "value/amount", {"$numberLong": "5"}, "AMOUNT", "/contracts/0/value/amount"),
        (C + "value/amount", 1e30, "AMOUNT", "/contracts/0/value/amount"),
        (C + "value", None, "AMOUNT-MISSING", "/contracts/0/value"),
        (C + "value/currency", "XYZ", "CURRENCY-UNKNOWN", "/contracts/0/value/currency"),
        (C + "value/currency", "人民币", "CURRENCY-UNKNOWN", "/contracts/0/value/currency"),
        (C + "value/currency", None, "CURRENCY-MISSING", "/contracts/0/value/currency"),
        (C + "dateSigned", "2026-02-30", "DATE", "/contracts/0/dateSigned"),
        (C + "dateSigned", "26-02-12", "DATE", "/contracts/0/dateSigned"),
        (C + "dateSigned", "0000-00-00T00:00:00Z", "DATE", "/contracts/0/dateSigned"),
        (C + "dateSigned", "9999-12-31", "DATE", "/contracts/0/dateSigned"),
        (C + "dateSigned", 20260212, "DATE", "/contracts/0/dateSigned"),
        (C + "id", None, "CONTRACT-ID", "/contracts/0/id"),
        ("awards", [], "SUPPLIER-MISSING", "/contracts/0/awardID"),
        ("awards/0/suppliers", [{"name": ""}], "SUPPLIER-MISSING", "/contracts/0/awardID"),
        (
            "awards/0/suppliers",
            [{"name": "甲"}, {"name": "乙"}],
            "SUPPLIER-SEVERAL",
            "/contracts/0/awardID",
        ),
        ("buyer", None, "PURCHASER-MISSING", "/buyer"),
        ("contracts/0", "text", "CONTRACT-ID", "/contracts/0/id"),
    ],
)
def test_a_contract_that_cannot_be_recorded_is_parked_with_place_and_remedy(
    path: str, value: Any, reason: str, where: str
) -> None:
    (found,) = said(laid(path, value))
    assert isinstance(found, Parked)
    assert (found.reason.split(":")[0], found.where) == (reason, where)
    assert found.remedy
    assert ocds.reread(found.raw, "f", "", "p")


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (C + "period", {"endDate": "2026-13-01"}, "DATE"),
        (C + "implementation", {"transactions": [{"id": 1, "value": {"amount": 1.234}}]}, "AMOUNT"),
        ("awards/0/value", {"amount": 1, "currency": "MNX"}, "CURRENCY-UNKNOWN"),
        ("planning", {"budget": {"amount": {"amount": "1", "currency": "CNY"}}}, "AMOUNT"),
        (C + "x_financing", {"retention": {"value": {"amount": 1, "currency": "USD"}}}, "CURRENCY"),
        (C + "x_financing", {"announcement": {"digest": "md5:1"}}, "DIGEST"),
    ],
)
def test_a_field_that_cannot_be_read_is_parked_alone_and_named_in_the_facts(
    path: str, value: Any, reason: str
) -> None:
    found, parked = said(laid(path, value))
    assert isinstance(found, ContractFacts)
    assert isinstance(parked, Parked)
    assert parked.reason.split(":")[0] == reason
    assert [reason in entry for entry in found.unread] == [True]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2015-11-09T00:00:00.-06:00", date(2015, 11, 9)),
        ("2015-11-09T23:30:00-06:00", date(2015, 11, 9)),
        ("2015-11-09", date(2015, 11, 9)),
        ("2015-11-09T10:00:00", date(2015, 11, 9)),
        ("2015-11-09 10:00", date(2015, 11, 9)),
        ("2026-02-11T16:00:00Z", date(2026, 2, 12)),  # midnight in China
        ("2026-02-12T06:00:00.000Z", date(2026, 2, 12)),  # midnight in Mexico
        ("2026-02-12T00:00:00+0800", date(2026, 2, 12)),
    ],
)
def test_an_odd_date_is_taken_for_its_day_where_the_day_is_beyond_doubt(
    text: str, day: date
) -> None:
    written = odd_dates.read(text)
    assert written is not None
    assert written.day == day
    assert facts(laid(C + "dateSigned", text)).signed_on == day


@given(st.text(max_size=30))
def test_any_text_is_a_date_or_none(text: str) -> None:
    written = odd_dates.read(text)
    assert written is None or written.instant.tzinfo is not None


def test_a_currency_in_small_letters_is_taken_in_capitals() -> None:
    found = facts(laid(C + "value/currency", "cny"))
    assert (found.amount_fen, found.currency) == (123_450, "CNY")


def test_parties_of_both_versions_of_the_standard_are_the_same() -> None:
    by_reference = body() | {
        "buyer": {"id": "X-ORG-B1", "name": "某局"},
        "parties": [
            {
                "id": "X-ORG-B1",
                "name": "某局",
                "roles": ["buyer"],
                "identifier": {"scheme": "X-ORG", "id": "B1"},
            },
            {
                "id": "1",
                "name": "某公司",
                "roles": ["supplier"],
                "identifier": {"scheme": "X-ORG", "id": "S1"},
                "details": {"scale": "Small"},
            },
        ],
    }
    by_reference["awards"][0]["suppliers"] = [{"id": "1", "name": "某公司"}]
    embedded, referred = facts(body()), facts(by_reference)
    assert contract_facts.identity(embedded) == contract_facts.identity(referred)
    assert referred.supplier.size == "small"


@pytest.mark.parametrize("number", ["", "N/A", "000000", "XAXX010101000", None])
def test_a_number_that_is_nobodys_makes_no_two_firms_one(number: str | None) -> None:
    one = laid("awards/0/suppliers/0/identifier/id", number)
    found = facts(one)
    assert found.supplier.scheme == "name"
    other = facts(laid("awards/0/suppliers/0/name", "另一公司", one))
    assert found.supplier.identifier != other.supplier.identifier


def test_a_bare_party_id_of_one_record_names_nobody_in_another() -> None:
    one = laid("awards/0/suppliers", [{"id": "1", "name": "甲公司"}])
    two = laid("awards/0/suppliers", [{"id": "1", "name": "乙公司"}])
    assert facts(one).supplier.identifier != facts(two).supplier.identifier


@pytest.mark.parametrize(
    ("award_id", "link", "supplier"),
    [("a", "named", "某公司"), (None, "only", "某公司"), ("No Aplica.", "dangling", "某公司")],
)
def test_how_an_award_was_found_is_said(award_id: str | None, link: str, supplier: str) -> None:
    found = facts(laid(C + "awardID", award_id))
    assert found.award is not None
    assert (found.award.link, found.supplier.name) == (link, supplier)


def test_two_awards_with_one_id_are_one_only_if_they_name_one_supplier() -> None:
    award = body()["awards"][0]
    assert facts(laid("awards", [award, award])).supplier.name == "某公司"
    other = award | {"suppliers": [{"name": "另一公司"}]}
    (parked,) = said(laid("awards", [award, other]))
    assert isinstance(parked, Parked)
    assert parked.reason.startswith("AWARD-AMBIGUOUS")


def test_a_contract_published_twice_word_for_word_is_one_and_otherwise_the_second_is_parked() -> (
    None
):
    contract = body()["contracts"][0]
    assert facts(laid("contracts", [contract, contract])).code == "c"
    first, second = said(laid("contracts", [contract, contract | {"title": "x"}]))
    assert isinstance(first, ContractFacts)
    assert isinstance(second, Parked)
    assert second.reason.startswith("CONTRACT-ID")


def test_payments_of_both_versions_of_the_standard_are_read_and_a_repeated_id_counts_twice() -> (
    None
):
    old = {
        "id": "1",
        "amount": {"amount": 10, "currency": "CNY"},
        "date": "2026-03-01T00:00:00.-06:00",
        "providerOrganization": {"legalName": "国库"},
        "receiverOrganization": {"id": "S1", "legalName": "某公司"},
    }
    new = {
        "id": "1",
        "value": {"amount": 20},
        "date": "2026-03-02",
        "payer": {"name": "国库"},
        "payee": {"id": "S1", "name": "某公司"},
    }
    nothing = {"id": "2", "value": {"amount": 0}}
    found = facts(laid(C + "implementation", {"transactions": [old, new, nothing]}))
    assert [
        (paid.code, paid.amount_fen, paid.currency, paid.paid_on, paid.payer, paid.payee_id)
        for paid in found.payments
    ] == [
        ("1", 1000, "CNY", date(2026, 3, 1), "国库", "S1"),
        ("1#2", 2000, "CNY", date(2026, 3, 2), "国库", "S1"),
    ]


def test_contracts_with_the_same_short_id_in_two_processes_are_two() -> None:
    one, two = facts(body(1)), facts(body(2))
    assert (one.number, two.number) == ("ocds-abc123-1/c", "ocds-abc123-2/c")
    assert contract_facts.identity(one) != contract_facts.identity(two)


def test_a_number_of_the_publishers_makes_a_contract_one_in_every_spelling() -> None:
    one = facts(laid(C + "x_financing", {"number": "郑财购〔2020〕16号"}, body(1)))
    two = facts(laid(C + "x_financing", {"number": " 郑财购[2020]16"}, body(2)))
    assert contract_facts.identity(one) == contract_facts.identity(two)


def test_the_example_of_the_extension_is_read_whole() -> None:
    text = (ROOT / "docs" / "ocds-extension.md").read_text("utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    found = facts(json.loads(example))
    assert found.unread == ()
    assert (found.number, found.amount_fen, found.currency) == (
        "区财购〔2026〕17号",
        128_000_000,
        "CNY",
    )
    assert (found.signed_on, found.filed_on, found.announced_on) == (
        date(2026, 2, 12),
        date(2026, 2, 13),
        date(2026, 2, 13),
    )
    assert found.signatories == ("purchaser", "supplier")
    assert found.account is not None
    assert found.account.cnaps == "102491000013"
    assert [(part.amount_fen, part.retention_fen) for part in found.milestones] == [
        (64_000_000, None),
        (64_000_000, 6_400_000),
    ]
    assert (found.retention_fen, found.sme_declared, found.assignable) == (6_400_000, "small", True)
    assert (found.budget_line, found.budget_fen) == ("2026-教-017", 130_000_000)


def test_facts_survive_their_json() -> None:
    found = facts(laid(C + "implementation", {"transactions": [{"amount": {"amount": 1}}]}))
    assert from_json(json.loads(json.dumps(to_json(found)))) == found


# ── Through the releases of a process ────────────────────────────────────────────────────────


def lives(*bodies: dict[str, Any]) -> Process:
    """The lives told by releases that came in this order."""
    kept = []
    for n, one in enumerate(bodies):
        (item,) = ocds.read(BytesIO(dumped(one)).read, "f")
        assert isinstance(item, ocds.Release)
        kept.append(Kept(UUID(int=n), item))
    return lives_of(kept)


def dated(n: int, path: str = "tag", value: Any = None) -> dict[str, Any]:
    """Release number n of one process, a day after the one before."""
    return laid(path, value, body()) | {"id": str(n), "date": f"2026-03-{n:02d}T00:00:00+08:00"}


AMOUNTS = [dated(n, C + "value/amount", 1000 + n % 3) for n in range(1, 6)]


@given(st.permutations(AMOUNTS))
def test_releases_in_any_order_of_arrival_make_the_same_versions(order: list[Any]) -> None:
    (life,) = lives(*order).lives
    assert [step.facts.amount_fen for step in life.steps] == [
        100_100, 100_200, 100_000, 100_100, 100_200,
    ]  # fmt: skip
    assert [step.release_id for step in life.steps] == [
        UUID(int=order.index(release)) for release in AMOUNTS
    ]
    assert life.altered == ()


def test_an_older_release_adds_what_newer_ones_leave_out_and_overwrites_nothing() -> None:
    newer = dated(2, C + "value/amount", 2000)
    older = dated(1, "planning", {"budget": {"id": "B-7"}})
    (life,) = lives(newer, older).lives
    assert (life.steps[-1].facts.amount_fen, life.steps[-1].facts.budget_line) == (200_000, "B-7")


def test_a_release_that_says_nothing_new_makes_no_version() -> None:
    (life,) = lives(dated(1), dated(2), dated(3, "tender", {"description": "x"})).lives
    assert len(life.steps) == 1


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (C + "value/amount", 9999),
        (C + "value/currency", "USD"),
        ("awards/0/value/amount", 9999),
        ("awards/0/suppliers/0/identifier/id", "S2"),
        ("buyer/identifier/id", "B2"),
    ],
)
def test_a_copy_of_a_release_with_other_figures_or_parties_is_altered_and_counts_for_nothing(
    path: str, value: Any
) -> None:
    (life,) = lives(dated(1), dated(1, path, value)).lives
    assert len(life.steps) == 1
    assert life.steps[0].facts.amount_fen == 123_450
    assert [step.release_id for step in life.altered] == [UUID(int=1)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("tag", ["compiled"]),
        ("awards/0/suppliers/0/identifier", None),
        ("awards/0/value", None),
        (C + "title", "x"),
    ],
)
def test_the_same_release_in_another_form_is_the_same_release(path: str, value: Any) -> None:
    (life,) = lives(dated(1), dated(1, path, value)).lives
    assert (len(life.steps), life.altered) == (1, ())


def test_a_firm_that_gets_its_number_later_is_the_same_firm() -> None:
    bare = dated(1, "awards/0/suppliers/0/identifier", None)
    (life,) = lives(bare, dated(2)).lives
    assert [step.facts.supplier.scheme for step in life.steps] == ["name", "X-ORG"]


def test_a_later_release_for_another_supplier_is_another_contract_against_the_first() -> None:
    first, second = lives(dated(1), dated(2, "awards/0/suppliers/0/identifier/id", "S2")).lives
    assert [step.facts.supplier.identifier for step in first.steps] == ["S1"]
    assert [step.facts.supplier.identifier for step in second.steps] == ["S2"]
    assert [step.release_id for step in first.altered] == [UUID(int=1)]
    assert second.altered == ()


def test_a_contract_apart_from_its_award_is_joined_over_the_releases() -> None:
    award = {key: value for key, value in dated(1).items() if key != "contracts"}
    contract = {key: value for key, value in dated(2).items() if key != "awards"}
    process = lives(contract, award)
    assert process.parked == []
    (life,) = process.lives
    assert substance(life.steps[-1].facts)["supplier"]["name"] == "某公司"
    alone = lives(contract)
    assert alone.lives == []
    assert [item.reason.split(":")[0] for item in alone.parked] == ["SUPPLIER-MISSING"]


# ── Awards that stand alone ──────────────────────────────────────────────────────────────────


def won(n: int, *ids: str, **of_award: Any) -> dict[str, Any]:
    """Release number n: awards of these ids, each to the same firm, and no contract."""
    whole = dated(n)
    (one,) = whole["awards"]
    del whole["contracts"]
    return whole | {"awards": [one | {"id": name} | of_award for name in ids]}


def codes(process: Process) -> list[tuple[str, str, int]]:
    """Of each life its contract, the award of its last step, and how many steps it has."""
    return [
        (life.steps[-1].facts.code, life.steps[-1].facts.award_id, len(life.steps))
        for life in process.lives
    ]


@pytest.mark.parametrize(
    ("of_award", "count"),
    [
        ({"status": "active"}, 1),
        ({"status": None}, 1),
        ({"status": "pending"}, 0),
        ({"status": "cancelled"}, 0),
        ({"status": "unsuccessful"}, 0),
        ({"suppliers": []}, 0),
        ({"suppliers": [{"name": ""}]}, 0),
    ],
)
def test_an_award_stands_alone_if_it_is_decided_and_names_its_winner(
    of_award: dict[str, Any], count: int
) -> None:
    process = lives(won(1, "a", **of_award))
    assert (len(process.lives), process.parked) == (count, [])


def test_an_award_alone_holds_no_number_and_no_price_of_a_contract() -> None:
    ((one,),) = [life.steps for life in lives(won(1, "a")).lives]
    facts = one.facts
    assert (facts.code, facts.number, facts.amount_fen, facts.currency) == ("", "", None, "CNY")
    assert facts.award is not None
    assert (facts.award_id, facts.award.link, facts.award.amount_fen) == ("a", "named", 123_450)


@pytest.mark.parametrize(
    ("release", "reason", "where"),
    [
        (won(1, ""), "AWARD-ID", "/awards/0/id"),
        (won(1, "a", suppliers=[{"name": "甲"}, {"name": "乙"}]), "SUPPLIER-SEVERAL",
         "/awards/0/suppliers"),
        (won(1, "a") | {"buyer": None}, "PURCHASER-MISSING", "/buyer"),
    ],
)  # fmt: skip
def test_an_award_whose_winner_could_not_be_told_is_parked(
    release: dict[str, Any], reason: str, where: str
) -> None:
    process = lives(release)
    assert process.lives == []
    assert [(one.reason.split(":")[0], one.where) for one in process.parked] == [(reason, where)]


def test_a_contract_that_names_no_award_is_under_the_only_one_to_its_supplier() -> None:
    two = laid("awards/0/id", "a", dated(1))
    two["awards"].append({"id": "b", "suppliers": [{"name": "另一公司"}]})
    two["contracts"][0] |= {"awardID": None, "suppliers": two["awards"][0]["suppliers"]}
    assert codes(lives(two)) == [("c", "", 1), ("", "b", 1)]
    two["awards"][1]["suppliers"] = two["awards"][0]["suppliers"]
    assert [code for code, _, _ in codes(lives(two))] == ["c", "", ""], "under which is not known"


def test_a_contract_for_another_than_the_winner_leaves_the_award_open() -> None:
    other = dated(2, C + "suppliers", [{"name": "另一公司"}])
    assert codes(lives(won(1, "a"), other)) == [("", "a", 1), ("c", "a", 1)]


def test_a_contract_that_cannot_be_read_covers_the_award_that_it_names() -> None:
    process = lives(dated(1, C + "value", None))
    assert process.lives == []
    assert [one.where for one in process.parked] == ["/contracts/0/value"]


def test_the_first_contract_goes_on_where_its_award_began() -> None:
    assert codes(lives(won(1, "a", "b"), dated(2))) == [("c", "a", 2), ("", "b", 1)]
