"""A payment finds its contract by evidence, never by more than its evidence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from financing.context import Context
from financing.journeys.matching import match
from financing.rules.matching import (
    LEAD,
    THRESHOLD,
    WEIGHTS,
    Candidate,
    decide,
    payer_evidence,
    stands_alone,
)
from financing.work import run_due
from tests.paying import NOW, OTHER_ACCOUNT, PURCHASER, Case, World, case
from tests.statements_made import Line, Made


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(NOW)
    return World(ctx, owner)


@pytest.fixture
def known(world: World) -> Case:
    return case(world)


def test_a_contract_number_in_the_text_decides(known: Case) -> None:
    known.world.arrive(Made((Line("10.00", "支付合同ＺＺＣＧ—2026—001 款", name="国库"),)))
    paid = known.world.payments()[0]
    assert (paid.state, paid.contract_id) == ("allocated", known.contract)
    assert (paid.account_version_id, paid.rule, paid.score) == (known.version, "number", 80)


@pytest.mark.parametrize(
    "said",
    ["ZZCG-20\n26-001", "zzcg/2026/001", "付合同(ZZCG 2026 001)第2期", "ZZCG-2026-001 2026年"],
)
def test_a_number_is_found_as_banks_write_it(known: Case, said: str) -> None:
    known.world.arrive(Made((Line("10.00", said, name="国库"),)))
    assert known.world.payments()[0].contract_id == known.contract


def test_exact_amount_and_the_purchasers_name_decide_without_a_number(known: Case) -> None:
    known.world.arrive(Made((Line("1000.00", "货款"), Line("10.00", "货款", ref="2"))))
    assert known.world.outcomes() == [("allocated", "allocated"), ("exception", "exception")]
    assert known.world.payments()[0].rule == "amount+payer"


def test_a_name_that_the_bank_cut_does_not_decide_alone(world: World) -> None:
    long = "郑州市金水区教育局第一办公室设备采购管理中心"
    known = case(world)
    purchaser = world.party("purchaser", long)
    contract = world.contract(known.supplier, purchaser, "ZZCG-2026-777", 500_00)
    world.designate(contract, known.account)
    world.arrive(Made((Line("500.00", "货款", name=long[:12]),)))
    paid = world.payments()[0]
    assert (paid.state, paid.contract_id) == ("exception", None)
    assert paid.candidates[0] == {
        "contract": str(contract), "score": 60, "why": ["amount", "payer-cut"],
    }  # fmt: skip


def test_two_contracts_that_fit_alike_are_for_a_person(known: Case) -> None:
    twin = known.world.contract(known.supplier, known.purchaser, "ZZCG-2026-002", 1_000_00)
    known.world.designate(twin, known.account)
    known.world.arrive(Made((Line("1000.00", "货款"),)))
    paid = known.world.payments()[0]
    assert paid.state == "exception"
    assert {each["contract"] for each in paid.candidates} == {str(known.contract), str(twin)}
    assert known.world.book("contract", known.contract) == {}


def test_a_longer_number_is_not_taken_for_the_shorter_one(known: Case) -> None:
    longer = known.world.contract(known.supplier, known.purchaser, "ZZCG-2026-0012", 50_00)
    known.world.designate(longer, known.account)
    known.world.arrive(Made((Line("10.00", "付合同ZZCG-2026-0012款", name="国库"),)))
    assert known.world.payments()[0].contract_id == longer


def test_the_longest_number_in_a_text_is_the_one_that_is_meant(known: Case) -> None:
    both = [
        known.world.contract(known.supplier, known.purchaser, number, 50_00)
        for number in ("ZZCG-2026-A", "ZZCG-2026-A12")
    ]
    for each in both:
        known.world.designate(each, known.account)
    known.world.arrive(Made((Line("10.00", "付 ZZCG 2026 A12 款", name="国库"),)))
    assert known.world.payments()[0].contract_id == both[1]


def test_part_of_an_unknown_longer_number_decides_nothing(known: Case) -> None:
    known.world.arrive(Made((Line("10.00", "ZZCG-2026-00199", name="国库"),)))
    paid = known.world.payments()[0]
    assert (paid.state, paid.candidates[0]["why"]) == ("exception", ["number-loose"])


def test_another_suppliers_contract_is_never_meant(known: Case) -> None:
    stranger = known.world.party("supplier", "乙公司")
    other = known.world.contract(stranger, known.purchaser, "ZZCG-2026-900", 10_00)
    known.world.arrive(Made((Line("10.00", "ZZCG-2026-900"),)))
    paid = known.world.payments()[0]
    assert paid.state == "exception"
    assert str(other) not in str(paid.candidates)


def test_an_account_counts_from_the_day_it_was_set(world: World) -> None:
    known = case(world)
    late = world.contract(known.supplier, known.purchaser, "ZZCG-2026-555", 70_00)
    world.designate(late, known.other, on=date(2026, 3, 10))
    said = Line("10.00", "ZZCG-2026-555", name="国库")
    world.arrive(Made((said,), account=OTHER_ACCOUNT))
    later = Line("11.00", "ZZCG-2026-555", name="国库", on="2026-03-10")
    world.arrive(Made((later,), account=OTHER_ACCOUNT, opening="10.00", on="2026-03-10"))
    assert [row.state for row in world.payments()] == ["exception", "allocated"]


def test_ordinary_money_on_an_ordinary_account_stays_unmatched(known: Case) -> None:
    known.world.arrive(Made((Line("12.00", "房租", name="某公司"),), account=OTHER_ACCOUNT))
    assert known.world.outcomes() == [("unmatched", "unmatched")]


def test_a_contract_in_another_currency_is_never_matched(world: World) -> None:
    supplier, purchaser = world.party("supplier", "甲公司"), world.party("purchaser", PURCHASER)
    account = world.account(supplier, OTHER_ACCOUNT)
    contract = world.contract(supplier, purchaser, "ZZCG-2026-001", 100_00, currency="EUR")
    world.designate(contract, account)
    world.arrive(Made((Line("100.00", "ZZCG-2026-001"),), account=OTHER_ACCOUNT))
    assert world.outcomes() == [("exception", "exception")]


# Diversion


def test_a_payment_to_another_account_that_names_the_contract_is_a_diversion(known: Case) -> None:
    bank = known.world.loan(known.contract, "bank-a", 500_00)
    bureau = known.world.party("bureau", "财政局")
    known.world.imports(Made((Line("1000.00", "ZZCG-2026-001 货款"),), account=OTHER_ACCOUNT))
    run_due(known.world.ctx, errands=False)
    paid = known.world.payments()[0]
    assert (paid.state, paid.outcome, paid.contract_id) == (
        "diverted", "diverted", known.contract,
    )  # fmt: skip
    assert paid.account_version_id == known.version
    book = known.world.book("contract", known.contract)
    assert (book["DIVERTED"], book["DIVERSION_OPEN"]) == (1_000_00, -1_000_00)
    assert book["RECEIVABLE"] == 1_000_00  # the debt is not called paid
    assert known.world.rows("SELECT open_fen FROM contract")[0].open_fen == 0
    told = known.world.rows(
        "SELECT o.kind, n.at - p.changed_at AS late FROM notice n"
        " JOIN organisation o ON o.id = n.organisation_id JOIN payment p ON p.id = n.subject_id"
        " WHERE n.kind = 'DIVERTED' ORDER BY o.kind"
    )
    assert [row.kind for row in told] == ["bank", "bureau", "purchaser"]
    assert max(row.late.total_seconds() for row in told) <= 60
    assert bank
    assert bureau


def test_the_alarm_commits_with_the_diversion(known: Case) -> None:
    known.world.arrive(Made((Line("1000.00", "ZZCG-2026-001"),), account=OTHER_ACCOUNT))
    same = known.world.rows(
        "SELECT o.xmin = p.xmin AS same FROM payment p"
        " JOIN outbox o ON o.subject_id = p.id AND o.kind = 'notify'"
        " WHERE p.state = 'diverted' AND o.args ->> 'notices' LIKE '%DIVERTED%'"
    )
    assert len(same) == 1


def test_a_number_alone_on_another_account_is_a_case_and_no_alarm(known: Case) -> None:
    known.world.arrive(Made((Line("7.00", "ZZCG-2026-001", name="甲公司"),), account=OTHER_ACCOUNT))
    assert known.world.outcomes() == [("exception", "exception")]
    assert known.world.book("contract", known.contract) == {}


# As a set


def test_a_set_takes_as_many_statements_as_one_payment(known: Case) -> None:
    def statements_for(count: int, start: int) -> int:
        lines = tuple(Line("1.00", f"ZZCG-2026-001 {n}", ref=f"R{start}-{n}") for n in range(count))
        known.world.imports(Made(lines, opening=f"{start}.00"), f"{start}.xml")
        with known.world.ctx.begin() as tx:
            ids = [row.id for row in known.world.payments() if row.state == "unmatched"]
            seen = 0

            def count_one(*_: object) -> None:
                nonlocal seen
                seen += 1

            event.listen(known.world.ctx.engine, "before_cursor_execute", count_one)
            try:
                match(tx, ids)
            finally:
                event.remove(known.world.ctx.engine, "before_cursor_execute", count_one)
        return seen

    statements_for(1, 0)
    assert statements_for(2, 100) == statements_for(40, 200)


def test_the_same_work_again_changes_nothing(known: Case) -> None:
    known.world.arrive(Made((Line("10.00", "ZZCG-2026-001"),)))
    before = known.world.rows("SELECT count(*) FROM audit"), known.world.rows("TABLE ledger")
    with known.world.ctx.begin() as tx:
        match(tx, [row.id for row in known.world.payments()])
    assert (
        known.world.rows("SELECT count(*) FROM audit"),
        known.world.rows("TABLE ledger"),
    ) == before


# The table of evidence

NAMES = [weight.name for weight in WEIGHTS if weight.points]
candidates = st.builds(
    Candidate,
    contract_id=st.builds(uuid4),
    account_version_id=st.none() | st.builds(uuid4),
    account=st.sampled_from(["here", "elsewhere", "none"]),
    evidence=st.lists(st.sampled_from(NAMES), unique=True).map(tuple),
    usable=st.booleans(),
)


@given(st.lists(candidates, max_size=6), st.booleans())
def test_a_decision_never_exceeds_its_evidence(found: list[Candidate], designated: bool) -> None:
    made = decide(found, is_designated=designated)
    if made.chosen is None:
        assert made.word in ("exception", "unmatched")
        return
    rivals = [each.score for each in found if each is not made.chosen]
    assert made.chosen.usable
    assert made.chosen.score >= THRESHOLD
    assert all(made.chosen.score - score >= LEAD for score in rivals)
    assert (made.word, made.chosen.account) in (("matched", "here"), ("diverted", "elsewhere"))
    if made.word == "diverted":
        assert "number" in made.chosen.evidence
        assert len(made.chosen.evidence) > 1


@given(st.permutations(range(3)))
def test_the_order_of_candidates_does_not_matter(order: list[int]) -> None:
    some = [
        Candidate(UUID(int=n), None, "here", evidence)
        for n, evidence in enumerate([("number",), ("amount", "payer"), ("payer",)])
    ]
    made = decide([some[n] for n in order], is_designated=True)
    assert made == decide(some, is_designated=True)
    assert made.word == "exception"


@pytest.mark.parametrize(
    ("number", "text", "alone"),
    [
        ("AB12", "XAB12", False), ("AB12", "款AB12款", True), ("AB12", "AB123", False),
        ("AB12", "AB12X", True), ("AB12", "AB123AB12", True), ("AB12", "CD34", None),
    ],
)  # fmt: skip
def test_a_number_stands_alone_or_inside_a_longer_one(
    number: str, text: str, alone: bool | None
) -> None:
    assert stands_alone(number, text) is alone


def test_a_payer_is_the_purchaser_or_its_beginning_or_neither() -> None:
    assert payer_evidence("郑州市教育局", "郑州市教育局") == "payer"
    assert payer_evidence("郑州市金水区第一中", "郑州市金水区第一中学") == "payer-cut"
    assert payer_evidence("郑州市教育局", "郑州市教育局第二分局") is None
    assert payer_evidence("", "郑州市教育局") is None
