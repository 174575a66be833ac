"""What is late on a day, in working days, the law and the plan apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from financing.context import Context
from financing.journeys.lateness import late
from tests.verifying import OPENING, World, release


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(ctx, owner, set_clock)


def listed(world: World, on: date, *rules: str) -> list[tuple[str, str, date, int]]:
    with world.ctx.begin() as tx:
        found = late(tx, on)
    return [
        (each.rule, each.kind, each.due, each.working_days_late)
        for each in found
        if not rules or each.rule in rules
    ]


def test_a_contract_in_order_is_not_listed(world: World) -> None:
    world.publish(release())
    assert listed(world, date(2026, 3, 2)) == []


def test_law_and_plan_are_two_rows_and_the_day_counts_in_working_days(world: World) -> None:
    world.publish(release(x_financing__filing=None))
    # Signed on Thursday 12 February: plan Saturday 14 (a make-up day), law Saturday 28.
    assert listed(world, date(2026, 2, 14)) == []
    assert listed(world, date(2026, 2, 24)) == [("FILE", "plan", date(2026, 2, 14), 1)]
    assert listed(world, date(2026, 3, 2)) == [
        ("FILE", "plan", date(2026, 2, 14), 6),
        ("FILE", "statutory", date(2026, 2, 28), 1),
    ]


def test_what_was_done_later_was_still_late_on_the_day_before(world: World) -> None:
    world.publish(release(x_financing__filing={"date": "2026-02-25", "receipt": "B"}))
    assert listed(world, date(2026, 2, 24), "FILE") == [("FILE", "plan", date(2026, 2, 14), 1)]
    assert listed(world, date(2026, 2, 25), "FILE") == []


def test_an_award_without_signed_contract_is_late_after_two_working_days(world: World) -> None:
    (row,) = world.publish(release(dateSigned=None))
    assert row.state == "awarded"
    found = listed(world, date(2026, 3, 17), "SIGN")
    assert [(rule, kind) for rule, kind, _, _ in found] == [("SIGN", "plan"), ("SIGN", "statutory")]


def test_a_secret_contract_need_not_be_announced(world: World) -> None:
    world.publish(release(x_financing__announcement=None, x_financing__secret=True))
    assert listed(world, date(2026, 3, 2), "ANN") == []


def test_an_unanswered_request_to_confirm_is_late_by_plan_then_by_law(world: World) -> None:
    (row,) = world.publish(release())
    world.ask(row)
    assert listed(world, date(2026, 3, 5), "CONFIRM") == []
    assert listed(world, date(2026, 3, 6), "CONFIRM") == [("CONFIRM", "plan", date(2026, 3, 5), 1)]
    by_law = listed(world, date(2026, 4, 2), "CONFIRM")
    assert ("CONFIRM", "statutory", date(2026, 4, 1), 1) in by_law
    world.today(date(2026, 3, 9))
    world.answer(row)
    assert listed(world, date(2026, 3, 9), "CONFIRM") == []
    assert listed(world, date(2026, 3, 6), "CONFIRM") == [("CONFIRM", "plan", date(2026, 3, 5), 1)]


def test_a_rule_whose_text_nobody_has_confirmed_is_provisional(world: World) -> None:
    (row,) = world.publish(release())
    world.ask(row)
    with world.ctx.begin() as tx:
        found = {each.kind: each for each in late(tx, date(2026, 4, 2)) if each.rule == "CONFIRM"}
    assert found["plan"].provisional
    assert not found["statutory"].provisional


def test_a_deadline_in_a_year_without_notice_is_provisional(world: World) -> None:
    dates: dict[str, Any] = {
        "dateSigned": "2026-12-30T00:00:00+08:00",
        "x_financing__filing": None,
        "x_financing__announcement": None,
        "period__endDate": "2027-08-31T00:00:00+08:00",
    }
    world.today(date(2027, 1, 20))
    world.publish(release(**dates))
    with world.ctx.begin() as tx:
        found = [each for each in late(tx) if each.rule in ("FILE", "ANN")]
    assert {each.kind for each in found} == {"plan", "statutory"}
    assert all(each.provisional for each in found)
    with world.owner.begin() as link:
        link.execute(text("INSERT INTO holiday VALUES ('2027-01-01', 'rest', 'notice')"))
    with world.ctx.begin() as tx:
        assert not any(each.provisional for each in late(tx) if each.rule in ("FILE", "ANN"))


def accepted(**changes: Any) -> dict[str, Any]:
    return release(
        x_financing__delivery={"date": "2026-03-01"},
        x_financing__acceptance={"date": "2026-03-02"},
        **changes,
    )


def test_payment_to_a_small_firm_is_due_by_law_after_the_agreed_days(world: World) -> None:
    world.today(date(2026, 6, 1))
    world.publish(accepted(x_financing__paymentTerms={"days": 45, "start": "acceptance"}))
    # 2 March and 45 days are Thursday 16 April.
    assert listed(world, date(2026, 4, 16), "PAY") == []
    assert listed(world, date(2026, 4, 17), "PAY") == [("PAY", "statutory", date(2026, 4, 16), 1)]


def test_a_term_beyond_sixty_days_counts_as_sixty(world: World) -> None:
    world.today(date(2026, 6, 1))
    world.publish(accepted(x_financing__paymentTerms={"days": 180, "start": "acceptance"}))
    # Sixty days end on Friday 1 May, in the holidays, and roll to Wednesday 6 May.
    assert listed(world, date(2026, 5, 7), "PAY") == [("PAY", "statutory", date(2026, 5, 6), 1)]


def test_payment_that_the_record_shows_is_not_late(world: World) -> None:
    paid = [
        {"id": "1", "date": "2026-03-20T00:00:00+08:00",
         "value": {"amount": 1280000, "currency": "CNY"}}
    ]  # fmt: skip
    world.today(date(2026, 6, 1))
    world.publish(accepted(implementation={"transactions": paid}))
    assert listed(world, date(2026, 6, 1), "PAY") == []


@pytest.mark.parametrize("scale", ["small", "large"])
def test_what_nobody_reported_as_delivered_is_not_owed(world: World, scale: str) -> None:
    world.today(date(2026, 6, 1))
    world.publish(_with_due_day(release(), scale))
    assert listed(world, date(2026, 6, 1), "PAY") == []


def test_payment_to_a_large_firm_is_due_on_the_contracts_own_day(world: World) -> None:
    world.today(date(2026, 6, 1))
    world.publish(_with_due_day(accepted(), "large"))
    # The contract says Saturday 4 April, in the Qingming holidays.
    assert listed(world, date(2026, 4, 8), "PAY") == [("PAY", "statutory", date(2026, 4, 7), 1)]


def _with_due_day(body: dict[str, Any], scale: str) -> dict[str, Any]:
    body["parties"][1]["details"]["scale"] = scale
    del body["contracts"][0]["x_financing"]["smeDeclaration"]
    body["contracts"][0]["milestones"] = [
        {"id": "1", "title": "全部", "dueDate": "2026-04-04T00:00:00+08:00",
         "x_financing": {"value": {"amount": 1280000, "currency": "CNY"}}}
    ]  # fmt: skip
    return body


def test_parts_of_a_price_are_covered_in_their_order(world: World) -> None:
    parts = [
        {"id": str(n), "title": f"第{n}期", "x_financing": {
            "value": {"amount": 640000, "currency": "CNY"}, "delivered": "2026-03-02",
            "accepted": "2026-03-02"}}
        for n in (1, 2)
    ]  # fmt: skip
    paid = [
        {"id": "1", "date": "2026-03-20T00:00:00+08:00",
         "value": {"amount": 700000, "currency": "CNY"}}
    ]  # fmt: skip
    world.today(date(2026, 6, 1))
    world.publish(release(milestones=parts, implementation={"transactions": paid}))
    with world.ctx.begin() as tx:
        found = [each.what for each in late(tx) if each.rule == "PAY"]
    assert found == ["第2期"]


def test_acceptance_is_late_once_the_agreed_inspection_has_ended(world: World) -> None:
    world.today(date(2026, 6, 1))
    world.publish(release(x_financing__acceptance={"inspectionEnds": "2026-03-10"}))
    assert listed(world, date(2026, 3, 10), "ACC") == []
    assert listed(world, date(2026, 3, 11), "ACC") == [("ACC", "statutory", date(2026, 3, 10), 1)]


def test_a_winner_who_was_not_told_is_our_own_lateness(world: World) -> None:
    (row,) = world.publish(release())
    with world.owner.begin() as link:
        link.execute(text("DELETE FROM telling"))
    with world.ctx.begin() as tx:
        found = [each for each in late(tx, date(2026, 3, 4)) if each.rule == "TELL-WINNER"]
    assert [(each.due, each.contract_id) for each in found] == [(date(2026, 3, 3), row.id)]
    assert found[0].who == "平台运营方"


def test_contracts_of_other_places_are_under_no_chinese_rule(world: World) -> None:
    world.publish(release(x_financing__filing=None, x_financing__announcement=None))
    with world.owner.begin() as link:
        link.execute(text("UPDATE contract SET profile = 'generic'"))
    assert listed(world, date(2026, 12, 1)) == []
