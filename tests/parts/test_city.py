"""The synthetic city: the same from the same seed, valid, each thing after its cause."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from typing import get_args

import pytest

from financing.city import contracts, people, records
from financing.rules.calendar import is_announced, is_working_day
from financing.values import accounts, uscc
from financing.values.chinese_amounts import parse
from financing.values.times import civil, parse_instant

SEEDS = (1, 2, 7, 2026)


def test_one_seed_makes_one_city_and_another_seed_another() -> None:
    assert contracts.make(1) == contracts.make(1)
    assert contracts.make(1) != contracts.make(2)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_organisation_has_a_valid_code_of_its_own(seed: int) -> None:
    crowd = people.make(seed)
    codes = [one.identifier for one in crowd.organisations]
    assert [code for code in codes if uscc.problem(code)] == []
    assert len(set(codes)) == len(codes)
    assert len({one.name for one in crowd.organisations}) == len(codes)


@pytest.mark.parametrize("seed", SEEDS)
def test_everybody_who_acts_has_one_sign_in(seed: int) -> None:
    crowd = people.make(seed)
    names = Counter(person.login for person in crowd.persons)
    assert max(names.values()) == 1
    assert {person.organisation for person in crowd.persons} == set(crowd.organisations)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_cast_is_complete_and_accounts_are_well_formed(seed: int) -> None:
    city = contracts.make(seed)
    parts = Counter(contract.part for contract in city.contracts)
    cast = set(get_args(contracts.Part)) - {"background"}
    assert {part for part in parts if part != "background"} == cast
    named = [contract.account for contract in city.contracts if contract.account]
    assert [a for a in named if accounts.cnaps_problem(a.cnaps) or accounts.problem(a.number)] == []
    assert len({account.number for account in named}) == len(named) == len(cast)


@pytest.mark.parametrize("seed", SEEDS)
def test_dates_of_a_contract_follow_each_other_on_working_days(seed: int) -> None:
    for contract in contracts.make(seed).contracts:
        order = [contract.award_on, contract.signed_on]
        order += [day for day in (contract.announced_on,) if day]
        order += [contract.milestones[0].delivered_on, contract.milestones[-1].paid_on]
        assert order == sorted(order), contract.number
        assert contract.filed_on is None or contract.filed_on >= contract.signed_on
        assert is_working_day(contract.signed_on)
        assert all(is_working_day(part.paid_on) for part in contract.milestones)
        assert sum(part.amount_fen for part in contract.milestones) == contract.amount_fen


@pytest.mark.parametrize("seed", SEEDS)
def test_one_contract_is_signed_when_its_terms_end_in_a_year_without_holiday_notice(
    seed: int,
) -> None:
    contract = contracts.make(seed).part("new-year")
    assert contract.signed_on == date(2026, 12, 30)
    assert is_announced(2026)
    assert not is_announced(2027)


@pytest.mark.parametrize("seed", SEEDS)
def test_packages_say_each_thing_once_and_nothing_of_their_future(seed: int) -> None:
    city = contracts.make(seed)
    packages = records.packages(city.contracts)
    assert list(packages) == sorted(packages)
    releases = [one for package in packages.values() for one in package["releases"]]
    assert len({one["id"] for one in releases}) == len(releases)
    for day, package in packages.items():
        for one in package["releases"]:
            assert civil(parse_instant(one["date"])) == day
            json.dumps(one, allow_nan=False)
    for contract in city.contracts:
        signed = records.release(contract, "contract")["contracts"][0]
        assert signed["awardID"] == records.release(contract, "award")["awards"][0]["id"]
        assert signed["value"]["amount"] * 100 == contract.amount_fen
        assert parse(signed["x_financing"]["amountInWords"]) == contract.amount_fen
