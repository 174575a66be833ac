"""What a contract's later life does to what was found before: records, refusals, years to come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy import Engine

from financing.context import Context
from financing.journeys import confirmation
from financing.values.text import number_search
from tests.verifying import BANK_CODE, FIRM, OPENING, World, release


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(ctx, owner, set_clock)


def test_a_later_record_that_names_another_account_stops_the_contract(world: World) -> None:
    (row,) = world.publish(release())
    row = world.ready(row)
    assert row.financeable
    account = {"holder": FIRM, "bankName": "某行", "cnaps": BANK_CODE, "number": "6222029999990004"}
    world.set_clock(datetime.fromisoformat("2026-03-05T02:00:00+00:00"))
    (row,) = world.publish(
        release(
            of_release={"id": "2", "date": "2026-03-04T09:00:00+08:00"},
            x_financing__designatedAccount=account,
        )
    )
    found = world.checks(row)["ACCOUNT"]
    assert (found.result, row.financeable) == ("fail", False)
    assert "0004" in found.seen["zh"] and "0004" in row.sentence["zh"]


def test_a_refusal_is_what_the_sentence_tells(world: World) -> None:
    (row,) = world.publish(release())
    world.set_account(row)
    world.ask(row)
    with world.ctx.begin(world.actor(row, "purchaser")) as tx:
        confirmation.answer(tx, row.id, same=False, note="金额应为一百二十万元")
    world.work()
    row = world.now(row)
    assert world.checks(row)["CONFIRMED"].result == "fail"
    assert world.checks(row)["CONFIRMED"].seen["zh"] in row.sentence["zh"]


def test_a_number_is_found_with_and_without_its_last_word() -> None:
    assert number_search("评审〔2026〕901号") == number_search("评审[2026]901") == "评审2026901"
