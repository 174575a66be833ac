"""Whether a contract may be financed: the whole table, through import, people, and books."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from financing.context import Context
from financing.errors import NotFound
from financing.journeys import verification
from financing.rules.checks import CHECKS
from financing.store import holidays
from financing.values.ids import new_id
from tests.verifying import OPENING, PURCHASER, SUPPLIER, World, release

SMALL_AWARD = {
    "id": "2026-0001-A1",
    "value": {"amount": 1, "currency": "CNY"},
    "suppliers": [{"id": f"CN-USCC-{SUPPLIER}"}],
}


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(ctx, owner, set_clock)


def test_a_new_contract_has_all_checks_and_a_sentence_that_says_why_not(world: World) -> None:
    (row,) = world.publish(release())
    checks = world.checks(row)
    assert list(checks) == [check.id for check in CHECKS]
    assert row.financeable is False
    first = next(each for each in checks.values() if each.blocks and each.result == "fail")
    assert first.check_id == "ACCOUNT"
    assert first.seen["zh"] in row.sentence["zh"]
    assert first.remedy["zh"] in row.sentence["zh"]
    assert row.sentence["en"].startswith("Not financeable: there is no designated account;")


def test_account_and_confirmation_make_it_financeable_and_the_winner_is_told_again(
    world: World,
) -> None:
    (row,) = world.publish(release())
    kinds = "SELECT count(*) FROM telling WHERE contract_id = :id AND kind = :kind"
    assert world.count(kinds, id=row.id, kind="general") == 1
    assert world.count(kinds, id=row.id, kind="capacity") == 0
    row = world.ready(row)
    assert row.financeable is True
    assert row.sentence == {"zh": "可以申请融资。", "en": "This contract can be financed."}
    assert world.events(row.id).count("became_financeable") == 1
    assert world.count(kinds, id=row.id, kind="capacity") == 1


def test_verifying_again_with_nothing_changed_writes_nothing(world: World) -> None:
    (row,) = world.publish(release())
    row = world.ready(row)
    before = world.events(row.id), world.checks(row), world.now(row)
    with world.ctx.begin() as tx:
        verification.verify(tx, [row.id])
    assert (world.events(row.id), world.checks(row), world.now(row)) == before


def test_the_first_blocking_row_by_table_order_is_the_sentence(world: World) -> None:
    (row,) = world.publish(release(x_financing__filing=None, x_financing__signatories=["supplier"]))
    assert row.sentence["en"].startswith(
        "Not financeable: signed on 2026-02-12, but not by the purchaser;"
    )


@pytest.mark.parametrize(
    ("changes", "check", "result"),
    [
        ({"x_financing__amountInWords": "人民币壹佰贰拾柒万元整"}, "WORDS", "fail"),
        ({"dateSigned": "2026-02-10T00:00:00+08:00"}, "DATES", "fail"),
        ({"x_financing__filing": None}, "FILED", "fail"),
        ({"x_financing__announcement": None}, "ANNOUNCED", "fail"),
        ({"status": "terminated"}, "ALIVE", "fail"),
        ({"x_financing__assignable": False}, "ASSIGNABLE", "fail"),
        ({"x_financing__smeDeclaration": None}, "SME", "unknown"),
        ({"awardID": "no-such-award"}, "AWARD-MATCH", "fail"),
        ({"of_release": {"awards": [SMALL_AWARD]}}, "AMOUNT", "fail"),
    ],
)  # fmt: skip
def test_what_the_record_says_reaches_its_check(
    world: World, changes: dict[str, Any], check: str, result: str
) -> None:
    (row,) = world.publish(release(**changes))
    found = world.checks(row)[check]
    assert found.result == result
    blocks_here = next(each for each in CHECKS if each.id == check).blocks["zhengzhou"]
    assert found.blocks is (result == "fail" and blocks_here != "W")


def test_a_false_check_digit_of_the_purchaser_is_seen(world: World) -> None:
    wrong = PURCHASER[:-1] + ("1" if PURCHASER[-1] != "1" else "2")
    body = release()
    body["parties"][0]["identifier"]["id"] = wrong
    (row,) = world.publish(body)
    assert world.checks(row)["PARTY-ID"].result == "fail"
    assert wrong in row.sentence["zh"]


def test_a_contract_raised_by_more_than_a_tenth_after_confirmation_is_not_financeable(
    world: World,
) -> None:
    (row,) = world.publish(release())
    row = world.ready(row)
    later = release(fen=142_000_000, of_release={"id": "2", "date": "2026-03-01T09:00:00+08:00"})
    (row,) = world.publish(later)
    checks = world.checks(row)
    assert checks["AMOUNT"].result == "fail"
    assert checks["CONFIRMED"].result == "fail"
    assert row.financeable is False
    assert world.events(row.id)[-1] == "verified"


def test_a_later_release_that_only_adds_a_filing_leaves_the_confirmation_standing(
    world: World,
) -> None:
    (row,) = world.publish(release(x_financing__filing=None))
    row = world.ready(row)
    assert row.financeable is False
    filed = release(of_release={"id": "2", "date": "2026-03-01T09:00:00+08:00"})
    (row,) = world.publish(filed)
    assert world.checks(row)["CONFIRMED"].result == "pass"
    assert row.financeable is True


def test_a_copy_under_another_number_stops_both_contracts_for_a_person(world: World) -> None:
    (first,) = world.publish(release())
    first = world.ready(first)
    assert first.financeable is True
    copy = release(of_release={"ocid": "ocds-zzhcp1-2026-0900"}, id="区财购〔2026〕900号")
    (second,) = world.publish(copy)
    for row in (world.now(first), second):
        found = world.checks(row)["LOOK-ALIKE"]
        assert (found.result, found.blocks) == ("unknown", True)
        assert row.financeable is False


def test_two_different_contracts_of_the_same_parties_do_not_stop_each_other(world: World) -> None:
    rows = world.publish(release(1), release(2, fen=90_000_000))
    assert {world.checks(row)["LOOK-ALIKE"].result for row in rows} == {"pass"}


def test_a_term_that_runs_out_changes_the_verdict_once_a_day(world: World) -> None:
    (row,) = world.publish(release(x_financing__announcement=None))
    world.today(date(2026, 2, 13))
    with world.ctx.begin() as tx:
        verification.verify(tx, [row.id])
    assert world.checks(row)["ANNOUNCED"].result == "unknown"
    world.today(date(2026, 3, 3))
    for _ in range(2):
        with world.ctx.begin() as tx:
            verification.recheck(tx)
    assert world.work() == 1
    assert world.checks(row)["ANNOUNCED"].result == "fail"


def test_a_confirmation_grows_old(world: World) -> None:
    (row,) = world.publish(release())
    row = world.ready(row)
    world.today(date(2026, 4, 2))
    with world.ctx.begin() as tx:
        verification.recheck(tx)
    world.work()
    row = world.now(row)
    assert row.financeable is False
    assert "older than 30 days" in row.sentence["en"]


def test_a_holiday_row_of_the_operator_moves_the_term(world: World) -> None:
    with world.owner.begin() as link:
        link.execute(text("INSERT INTO holiday VALUES ('2026-02-14', 'rest', 'storm')"))
    world.today(date(2026, 2, 15))
    (row,) = world.publish(release(x_financing__announcement=None))
    with world.ctx.begin() as tx:
        assert len(holidays.known(tx).rows) == 1
    assert world.checks(row)["ANNOUNCED"].result == "unknown"


def test_capacity_shows_what_the_purchaser_says_was_paid_and_what_is_retained(
    world: World,
) -> None:
    (row,) = world.publish(release(x_financing__retention={"shareBp": 500, "until": "2027-08-31"}))
    world.set_account(row)
    world.ask(row)
    world.answer(row, paid_fen=28_000_000)
    with world.ctx.begin() as tx:
        product = SimpleNamespace(share_bp=7000, cap_fen=10**9)
        reckoned = verification.capacity(tx, row.id, product)  # type: ignore[arg-type]
    terms = {term.name: (term.fen, term.source) for term in reckoned.terms}
    assert terms["amount"] == (128_000_000, "record")
    assert terms["paid"] == (-28_000_000, "purchaser")
    assert terms["retention"] == (-6_400_000, "record")
    assert terms["open"] == (93_600_000, "reckoned")
    assert reckoned.fen == 65_520_000
    # The guard of acceptance stands on the same figure.
    assert world.now(row).open_fen == 93_600_000


def test_retention_that_fell_due_is_open_again(world: World) -> None:
    (row,) = world.publish(release(x_financing__retention={"shareBp": 500, "until": "2026-03-01"}))
    assert row.open_fen == 128_000_000


def test_capacity_of_no_contract_is_not_found(world: World) -> None:
    with pytest.raises(NotFound), world.ctx.begin() as tx:
        verification.capacity(tx, new_id(), SimpleNamespace(share_bp=1, cap_fen=1))  # type: ignore[arg-type]


def test_the_number_of_statements_does_not_grow_with_the_contracts(world: World) -> None:
    few = world.publish(release(1), release(2, fen=90_000_000))
    many = world.publish(*(release(n, fen=n * 7_000_000) for n in range(3, 23)))
    counts = []
    for rows in (few, many):
        with world.owner.begin() as link:
            link.execute(text("DELETE FROM check_result"))
        seen: list[str] = []

        def note(*arguments: object, seen: list[str] = seen) -> None:
            seen.append(str(arguments[2]))

        event.listen(world.ctx.engine, "before_cursor_execute", note)
        with world.ctx.begin() as tx:
            verification.verify(tx, [row.id for row in rows])
        event.remove(world.ctx.engine, "before_cursor_execute", note)
        counts.append(len(seen))
    assert counts[0] == counts[1]
