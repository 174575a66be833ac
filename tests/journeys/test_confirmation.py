"""The purchaser's word: asked by the supplier, given once, on exactly what was shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from financing.context import Context
from financing.errors import Conflict, Invalid, NotFound
from financing.journeys import confirmation
from financing.store.db import Actor
from financing.values import canonical
from financing.values.ids import new_id
from tests.verifying import OPENING, World, release


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(ctx, owner, set_clock)


def asked_count(world: World) -> int:
    return world.count("SELECT count(*) FROM confirmation")


def test_asking_fixes_what_is_shown_and_by_when_the_answer_is_due(world: World) -> None:
    (row,) = world.publish(release())
    asked = world.ask(row)
    assert asked.shown["amount"] == {"fen": 128_000_000, "currency": "CNY"}
    assert asked.shown_digest == canonical.digest_of(asked.shown)
    # Three working days after Monday 2 March, by the plan; the law gives thirty days.
    assert asked.due_on == date(2026, 3, 5)
    assert world.events(asked.id) == ["ask"]


def test_asking_twice_is_one_question(world: World) -> None:
    (row,) = world.publish(release())
    assert world.ask(row).id == world.ask(row).id
    assert asked_count(world) == 1


def test_the_answer_is_kept_once_with_what_was_paid(world: World) -> None:
    (row,) = world.publish(release())
    asked = world.ask(row)
    first = world.answer(row, paid_fen=500, shown_digest=asked.shown_digest)
    assert (first.state, first.paid_fen) == ("confirmed", 500)
    again = world.answer(row, paid_fen=500)
    assert again == first
    assert world.events(asked.id) == ["ask", "confirm"]


def test_without_a_sum_the_purchaser_confirms_what_was_shown_as_paid(world: World) -> None:
    (row,) = world.publish(release())
    asked = world.ask(row)
    assert world.answer(row).paid_fen == asked.shown["paid_fen"] == 0


def test_a_refusal_needs_its_reason_and_can_be_followed_by_a_new_question(world: World) -> None:
    (row,) = world.publish(release())
    world.ask(row)
    with pytest.raises(Invalid) as caught:
        world.answer(row, same=False, note="  \u202e ")
    assert caught.value.where == "/note"
    refused = world.answer(row, same=False, note="金额不同")
    assert (refused.state, refused.note, refused.paid_fen) == ("refused", "金额不同", None)
    assert world.checks(row)["CONFIRMED"].result == "fail"
    with pytest.raises(Conflict):
        world.answer(row)
    world.ask(row)
    assert world.answer(row).state == "confirmed"
    assert world.checks(row)["CONFIRMED"].result == "pass"


def test_a_question_about_older_figures_cannot_be_answered_and_is_asked_anew(
    world: World,
) -> None:
    (row,) = world.publish(release())
    old = world.ask(row)
    amended = release(fen=130_000_000, of_release={"id": "2", "date": "2026-03-01T09:00:00+08:00"})
    (row,) = world.publish(amended)
    with pytest.raises(Conflict):
        world.answer(row)
    new = world.ask(row)
    assert new.id != old.id
    assert world.events(old.id) == ["ask", "lapse"]
    assert world.answer(row).state == "confirmed"


def test_a_screen_that_is_out_of_date_is_refused(world: World) -> None:
    (row,) = world.publish(release())
    world.ask(row)
    with pytest.raises(Conflict):
        world.answer(row, shown_digest="sha-256:" + "0" * 64)


@pytest.mark.parametrize("paid_fen", [-1, 128_000_001])
def test_a_sum_that_cannot_have_been_paid_is_refused(world: World, paid_fen: int) -> None:
    (row,) = world.publish(release())
    asked = world.ask(row)
    with pytest.raises(Invalid) as caught:
        world.answer(row, paid_fen=paid_fen)
    assert caught.value.where == "/paid_fen"
    assert world.events(asked.id) == ["ask"]


def test_an_unsigned_contract_cannot_be_confirmed(world: World) -> None:
    (row,) = world.publish(release(dateSigned=None))
    with pytest.raises(Conflict):
        world.ask(row)
    assert asked_count(world) == 0


def test_nothing_asked_is_nothing_to_answer(world: World) -> None:
    (row,) = world.publish(release())
    with pytest.raises(NotFound):
        world.answer(row)


@pytest.mark.parametrize("role", ["supplier", "purchaser", "bank", "operator"])
def test_another_organisations_contract_is_not_found(world: World, role: str) -> None:
    (row,) = world.publish(release())
    world.ask(row)
    stranger = Actor(role=role, organisation_id=new_id())
    acts: list[Callable[..., Any]] = [
        lambda tx: confirmation.ask(tx, row.id),
        lambda tx: confirmation.answer(tx, row.id, same=True),
    ]
    for act in acts:
        with pytest.raises(NotFound), world.ctx.begin(stranger) as tx:
            act(tx)
    assert asked_count(world) == 1


def test_an_unanswered_question_ends_after_thirty_days_and_can_be_asked_anew(
    world: World,
) -> None:
    (row,) = world.publish(release())
    asked = world.ask(row)
    for day, ended in ((date(2026, 4, 1), 0), (date(2026, 4, 2), 1), (date(2026, 4, 2), 0)):
        world.today(day)
        with world.ctx.begin() as tx:
            assert confirmation.lapse(tx) == ended
    world.work()
    assert world.checks(row)["CONFIRMED"].seen["en"] == "the purchaser did not answer in time"
    assert world.ask(row).id != asked.id
