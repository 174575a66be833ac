"""The bureau's figures are made of rows, and open to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, Row, insert

from financing.context import Context
from financing.errors import NotFound
from financing.journeys import figures
from financing.journeys.figures import Line, Period, Standing
from financing.store.move import create, move
from financing.store.tables import bank, consent, organisation, product
from financing.values.ids import new_id
from tests.verifying import OPENING, World, release

QUARTER = Period(date(2026, 1, 1), date(2026, 3, 31))
LENT = 10_000_00


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(ctx, owner, set_clock)


def standing(world: World, figure: str, period: Period = QUARTER) -> tuple[Standing, list[Line]]:
    with world.ctx.begin() as tx:
        return figures.standing(tx, figure, period)


def counted(world: World, figure: str, period: Period = QUARTER) -> tuple[int, int]:
    whole, found = standing(world, figure, period)
    assert len(found) == whole.denominator
    return whole.numerator, whole.denominator


def a_bank(world: World, name: str) -> UUID:
    bank_id = new_id()
    with world.ctx.begin() as tx:
        tx.db.execute(
            insert(organisation).values(
                id=bank_id, kind="bank", scheme="name", identifier=name, name=name, name_key=name,
                code=name, created_at=tx.now,
            )
        )  # fmt: skip
        tx.db.execute(
            insert(bank).values(
                id=bank_id, code=name, adapter="rest_jws", base_url="", poll_interval_s=60,
                answer_days=5, answer_key_pem="",
            )
        )  # fmt: skip
        tx.db.execute(
            insert(product).values(
                id=bank_id, bank_id=bank_id, code="P", share_bp=7000, min_fen=1, cap_fen=10**12,
                tenor_min_days=1, tenor_max_days=999, rate_from_bp="360", rate_to_bp="360",
                day_basis="ACT/360", currency="CNY", valid_from=date(2026, 1, 1),
            )
        )  # fmt: skip
    return bank_id


def taken(world: World, row: Row[Any], bank_id: UUID) -> UUID:
    """An application that the bank has taken at the world's hour."""
    with world.ctx.begin() as tx:
        basis = {
            "contract_id": row.id, "contract_version_id": row.current_version_id,
            "bank_id": bank_id, "supplier_id": row.supplier_id,
        }  # fmt: skip
        given = new_id()
        tx.db.execute(
            insert(consent).values(
                id=given, **basis, text_version="1", text_digest="d", given_at=tx.now
            )
        )
        asked = create(
            tx, "application", "draft", **basis, product_id=bank_id, amount_fen=LENT,
            currency="CNY", tenor_days=90, request_id=new_id(), created_at=tx.now,
        )  # fmt: skip
        move(tx, "application", asked.id, "submit", consent_id=given)
        move(tx, "application", asked.id, "acked", submitted_at=tx.now)
        return UUID(str(asked.id))


def offers(world: World, application_id: UUID) -> None:
    with world.ctx.begin() as tx:
        create(
            tx, "offer", "make", application_id=application_id, reference="O", revision=1,
            amount_fen=LENT, currency="CNY", rate_bp="360", day_basis="ACT/360", tenor_days=90,
            repayment="on_contract_payment", fees_fen=0, digest="d",
            valid_until=tx.now + timedelta(days=9), made_at=tx.now,
        )  # fmt: skip
        move(tx, "application", application_id, "offer", decided_at=tx.now)


def refuses(world: World, application_id: UUID) -> None:
    with world.ctx.begin() as tx:
        move(tx, "application", application_id, "refuse", decided_at=tx.now, reason_code="CREDIT")


def hours_later(world: World, hours: int) -> None:
    world.set_clock(OPENING + timedelta(hours=hours))


# Banks


def test_one_bank_offers_and_one_refuses_half_is_approved(world: World) -> None:
    (row,) = world.publish(release())
    offers(world, taken(world, row, a_bank(world, "bank-a")))
    refuses(world, taken(world, row, a_bank(world, "bank-b")))
    taken(world, row, a_bank(world, "bank-c"))
    whole, found = standing(world, "B-APPR")
    assert (whole.numerator, whole.denominator, whole.value) == (1, 2, Decimal("50.0"))
    assert whole.is_few
    assert {(line.who, line.number, line.counts) for line in found} == {
        ("bank-a", row.number, True),
        ("bank-b", row.number, False),
    }
    assert [(who, one.numerator, one.denominator) for who, one in figures.by_who(whole, found)] == [
        ("bank-a", 1, 1),
        ("bank-b", 0, 1),
    ]


def test_a_decision_counts_in_the_quarter_of_its_day_in_china(world: World) -> None:
    (row,) = world.publish(release())
    # 16:30 in Greenwich on 31 March is half past midnight on 1 April in China.
    world.set_clock(datetime(2026, 3, 31, 16, 30, tzinfo=OPENING.tzinfo))
    offers(world, taken(world, row, a_bank(world, "bank-a")))
    assert counted(world, "B-APPR") == (0, 0)
    assert counted(world, "B-APPR", figures.quarter(date(2026, 4, 1))) == (1, 1)


def test_the_time_to_decision_is_the_middle_one_and_open_cases_count(world: World) -> None:
    (row,) = world.publish(release())
    cases = [taken(world, row, a_bank(world, f"bank-{n}")) for n in range(3)]
    hours_later(world, 5)
    offers(world, cases[0])
    hours_later(world, 30)
    refuses(world, cases[1])
    hours_later(world, 90)
    whole, found = standing(world, "B-T50")
    assert sorted(line.measure or 0 for line in found) == [5, 30, 90]
    assert (whole.numerator, whole.denominator, whole.value) == (2, 3, Decimal(30))


def test_a_bank_does_not_answer_for_the_hours_in_which_the_firm_was_asked(world: World) -> None:
    (row,) = world.publish(release())
    case = taken(world, row, a_bank(world, "bank-a"))
    for hours, event in ((2, "need_more"), (26, "supplied")):
        hours_later(world, hours)
        with world.ctx.begin() as tx:
            move(tx, "application", case, event)
    hours_later(world, 30)
    offers(world, case)
    assert [line.measure for line in standing(world, "B-T50")[1]] == [6]


# Purchasers and this service


def test_a_contract_filed_after_the_plan_s_term_is_within_the_law_alone(world: World) -> None:
    # Signed on Thursday 12 February: plan Saturday 14 (a make-up day), law Saturday 28.
    (row,) = world.publish(release(x_financing__filing={"date": "2026-02-25", "receipt": "B"}))
    whole, (line,) = standing(world, "P-FILE")
    assert (whole.numerator, whole.denominator, whole.lawful) == (0, 1, (1, 1))
    assert (line.number, line.due, line.until) == (row.number, date(2026, 2, 14), date(2026, 2, 25))


def test_a_contract_filed_on_the_last_day_is_on_time(world: World) -> None:
    world.publish(release(x_financing__filing={"date": "2026-02-14", "receipt": "B"}))
    assert counted(world, "P-FILE") == (1, 1)


def test_what_is_not_filed_is_late_by_law_only_once_that_term_has_ended(world: World) -> None:
    world.today(date(2026, 2, 24))
    world.publish(release(x_financing__filing=None))
    assert standing(world, "P-FILE")[0].lawful is None
    world.today(date(2026, 3, 2))
    assert standing(world, "P-FILE")[0].lawful == (0, 1)


def test_winners_told_in_time_with_delivery_count(world: World) -> None:
    world.publish(release(1), release(2))
    assert counted(world, "S-TELL") == (2, 2)
    with world.owner.begin() as link:
        link.exec_driver_sql(
            "UPDATE notice SET delivered_at = NULL WHERE id ="
            " (SELECT id FROM notice WHERE kind = 'TELL-WINNER' LIMIT 1)"
        )
    world.today(date(2026, 3, 9))
    assert counted(world, "S-TELL") == (1, 2)


def test_every_figure_of_an_empty_store_is_empty_not_nought(world: World) -> None:
    with world.ctx.begin() as tx:
        found = figures.figures(tx)
    assert len(found) == 5
    assert {(one.denominator, one.value) for one in found} == {(0, None)}


def test_a_figure_that_nobody_defined_is_not_found(world: World) -> None:
    with pytest.raises(NotFound), world.ctx.begin() as tx:
        figures.lines(tx, "B-NONE", QUARTER)


def test_quarters_end_on_the_last_day_of_their_third_month() -> None:
    ends = [figures.quarter(date(2026, month, 15)).last_on for month in (1, 6, 8, 12)]
    assert ends == [date(2026, 3, 31), date(2026, 6, 30), date(2026, 9, 30), date(2026, 12, 31)]
