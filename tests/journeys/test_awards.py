"""A winner is told at the award; the contract that follows takes the award's row over."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from financing.context import Context
from financing.errors import Conflict
from financing.journeys import accounts
from financing.journeys.checking import check
from financing.journeys.lateness import late
from tests.verifying import BANK_CODE, FIRM, OPENING, SUPPLIER, World, release

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(ctx, owner, set_clock)


def award(n: int = 1, day: int = 1, /, **of_award: Any) -> dict[str, Any]:
    """The award notice of contract n alone, published on a day of March."""
    body = release(n, of_release={"id": f"a{day}", "date": f"2026-03-{day:02d}T09:00:00+08:00"})
    del body["contracts"]
    body["awards"][0] |= {"date": "2026-02-27T00:00:00+08:00"} | of_award
    return body


def contract(n: int = 1, day: int = 5, /, **changes: Any) -> dict[str, Any]:
    """The contract that names the award, in a release of its own."""
    named = {"id": f"c{day}", "date": f"2026-03-{day:02d}T09:00:00+08:00", "awards": None}
    return release(n, of_release=named, **{"dateSigned": "2026-03-02", **changes})


def rows(world: World, query: str) -> list[tuple[Any, ...]]:
    with world.owner.connect() as link:
        return [tuple(row) for row in link.execute(text(query))]


TOLD = "SELECT kind, count(*) FROM telling GROUP BY 1 ORDER BY 1"


def test_the_winner_is_told_at_the_award_and_reads_why_it_has_to_wait(world: World) -> None:
    (row,) = world.publish(award())
    assert (row.state, row.number, row.amount_fen) == ("awarded", "", None)
    assert (row.award_fen, row.award_on, row.currency) == (128_000_000, date(2026, 2, 27), "CNY")
    assert rows(world, TOLD) == [("general", 1)]
    assert rows(world, "SELECT kind FROM notice") == [("TELL-WINNER",)]
    assert row.financeable is False
    assert row.sentence == {
        "zh": "暂不能融资：已中标，尚未收到已签订的合同；签订并公布合同后即可申请。",
        "en": "Not financeable: the award is won, but no signed contract is known yet;"
        " once it is signed and published, you can apply.",
    }
    assert world.count("SELECT count(*) FROM milestone") == 0
    assert world.count("SELECT count(*) FROM ledger") == 0


def test_the_contract_takes_the_row_of_its_award_over_and_nobody_is_told_twice(
    world: World,
) -> None:
    (won,) = world.publish(award(1, 1, date="2026-02-11"))
    (row,) = world.publish(contract(1, 5, dateSigned="2026-02-12"))
    assert (row.id, row.state, row.number) == (won.id, "signed", "区财购〔2026〕1号")
    assert (row.record_version, row.amount_fen) == (2, 128_000_000)
    assert row.identity != won.identity
    events = [name for name in world.events(row.id) if name != "verified"]
    assert events == ["record_award", "sign"]
    assert rows(world, TOLD) == [("general", 1)]
    row = world.ready(row)
    assert row.financeable is True, row.sentence
    assert rows(world, TOLD) == [("capacity", 1), ("general", 1)]
    assert world.count("SELECT count(*) FROM notice WHERE kind = 'TELL-WINNER'") == 1
    with world.ctx.begin() as tx:
        assert [found.id for found in check(tx) if not found.holds] == []


def test_the_award_notice_that_comes_after_its_contract_makes_no_second_row(world: World) -> None:
    whole = release(of_release={"date": "2026-03-05T09:00:00+08:00"})
    world.publish(whole)
    (row,) = world.publish(award(1, 1))
    assert (row.state, row.record_version) == ("signed", 1)
    (row,) = world.publish(award(1, 9))
    assert row.state == "signed"
    assert rows(world, TOLD) == [("general", 1)]


def test_a_second_contract_under_the_award_is_a_contract_of_its_own(world: World) -> None:
    (won,) = world.publish(award())
    world.publish(contract())
    second = contract(1, 6, id="另一合同", title="另一批", value={"amount": 1, "currency": "CNY"})
    with pytest.raises(Exception, match="Multiple rows"):
        world.publish(second)
    found = rows(world, "SELECT id, number, state FROM contract ORDER BY number")
    assert [(number, state) for _, number, state in found] == [
        ("ocds-zzhcp1-2026-0001/另一合同", "signed"),
        ("区财购〔2026〕1号", "signed"),
    ]
    assert found[1][0] == won.id
    world.work()
    assert rows(world, TOLD) == [("general", 2)]


@pytest.mark.parametrize("status", ["pending", "cancelled", "unsuccessful"])
def test_an_award_that_is_not_decided_or_ended_makes_nothing(world: World, status: str) -> None:
    with pytest.raises(Exception, match="No row"):
        world.publish(award(1, 1, status=status))
    assert world.count("SELECT count(*) FROM parked") == 0


@pytest.mark.parametrize("status", ["active", None])
def test_an_award_that_says_nothing_of_its_status_names_a_winner_all_the_same(
    world: World, status: str | None
) -> None:
    (row,) = world.publish(award(1, 1, status=status))
    assert row.state == "awarded"


def test_an_award_that_is_cancelled_later_is_terminated_and_watched_no_more(world: World) -> None:
    world.publish(award())
    assert late_rules(world, date(2026, 4, 20)) == {"SIGN"}
    (row,) = world.publish(award(1, 3, status="cancelled"))
    assert (row.state, row.sentence["en"].split(";")[0]) == (
        "terminated",
        "Not financeable: award 2026-0001-A1 was cancelled",
    )
    assert late_rules(world, date(2026, 4, 20)) == set()


def test_of_an_award_cancelled_before_anybody_could_be_told_nobody_is(world: World) -> None:
    with pytest.raises(Exception, match="No row"):
        world.publish(award(1, 3, status="cancelled"))
    (row,) = world.publish(award())
    assert row.state == "terminated"
    assert rows(world, TOLD) == []
    assert late_rules(world, date(2026, 4, 20)) == set()


def test_several_who_won_together_are_parked_until_the_contract_names_its_own(
    world: World,
) -> None:
    both = [{"id": f"CN-USCC-{SUPPLIER}", "name": FIRM}, {"name": "另一公司"}]
    with pytest.raises(Exception, match="No row"):
        world.publish(award(1, 1, suppliers=both))
    assert rows(world, "SELECT place, split_part(reason, ':', 1), state FROM parked") == [
        ("/awards/0/suppliers", "SUPPLIER-SEVERAL", "open")
    ]
    (row,) = world.publish(contract(1, 5, suppliers=both[:1]))
    assert row.state == "signed"
    assert rows(world, "SELECT state FROM parked") == [("replayed",)]


def test_an_award_without_amount_or_date_is_told_all_the_same(world: World) -> None:
    (row,) = world.publish(award(1, 1, value=None, date=None))
    assert (row.award_fen, row.award_on, row.currency) == (None, None, "")
    assert rows(world, TOLD) == [("general", 1)]
    (row,) = world.publish(contract())
    assert (row.state, row.currency, row.amount_fen) == ("signed", "CNY", 128_000_000)


def test_supplements_are_measured_against_the_first_price_not_against_the_award(
    world: World,
) -> None:
    world.publish(award())
    world.publish(contract())
    more = {"amount": 1_280_000 * 12 // 10, "currency": "CNY"}
    (row,) = world.publish(contract(1, 9, value=more, x_financing__amountInWords=None))
    assert "by more than a tenth" in world.checks(row)["AMOUNT"].seen["en"]


def test_no_account_is_named_for_an_award(world: World) -> None:
    (row,) = world.publish(award())
    with (
        world.ctx.begin(world.actor(row, "supplier")) as tx,
        pytest.raises(Conflict, match="尚无已签订") as refusal,
    ):
        accounts.propose(
            tx, row.id, holder=FIRM, bank_name="某银行", cnaps=BANK_CODE,
            number="1702020109200012345",
        )  # fmt: skip
    assert refusal.value.remedy


# ── Deadlines ────────────────────────────────────────────────────────────────────────────────


def late_rules(world: World, on: date) -> set[str]:
    with world.ctx.begin() as tx:
        return {each.rule for each in late(tx, on)}


def test_an_award_that_nobody_signs_is_late_by_plan_then_by_law_in_working_days(
    world: World,
) -> None:
    world.publish(award())  # of Friday 27 February; Saturday 28 is a make-up day
    assert late_rules(world, date(2026, 3, 2)) == set()
    with world.ctx.begin() as tx:
        (first,) = late(tx, date(2026, 3, 4))
        plan, law = late(tx, date(2026, 3, 31))
    assert (first.rule, first.kind, first.due, first.working_days_late) == (
        "SIGN", "plan", date(2026, 3, 2), 2,
    )  # fmt: skip
    assert first.contract == "中标 2026-0001-A1（尚无已签订的合同）"
    assert (plan.kind, plan.working_days_late) == ("plan", 21)
    assert (law.kind, law.due, law.working_days_late) == ("statutory", date(2026, 3, 30), 1)
    world.publish(contract(1, 5, dateSigned="2026-03-04"))
    assert late_rules(world, date(2026, 3, 31)) == set()
    assert late_rules(world, date(2026, 3, 3)) == {"SIGN"}, "on that day it was late"


@pytest.mark.parametrize(("issued", "rules"), [("2025-03-02", {"SIGN"}), ("2025-03-01", set())])
def test_an_award_of_years_ago_is_told_but_accuses_nobody_today(
    world: World, issued: str, rules: set[str]
) -> None:
    world.publish(award(1, 1, date=issued))
    assert late_rules(world, date(2026, 3, 2)) == rules
    assert rows(world, TOLD) == [("general", 1)]


# ── Any order of arrival ─────────────────────────────────────────────────────────────────────

TURN = count(100)
END = """
    SELECT c.number, c.state, c.amount_fen, c.signed_on, c.filed_on,
           v.facts -> 'award' ->> 'id', count(t.id)
      FROM contract c JOIN contract_version v ON v.id = c.current_version_id
      LEFT JOIN telling t ON t.contract_id = c.id AND t.kind = 'general'
     WHERE c.ocid = 'ocds-zzhcp1-2026-{n:04d}' GROUP BY c.id, v.id ORDER BY c.number, 6
"""
PIECES = ("first award", "second award", "contract", "another", "filing", "of the second award")


def piece(n: int, name: str, day: int) -> dict[str, Any]:
    """One release of process n; each says only what it is called after."""
    if "award" in name and name != "of the second award":
        return award(n, day, id=f"A{PIECES.index(name)}")
    changes: dict[str, Any] = {
        "contract": {"id": "第一份合同编号一二三四五六七八九", "awardID": "A0"},
        "filing": {"id": "第一份合同编号一二三四五六七八九", "awardID": "A0"},
        "another": {"id": "另一份合同编号一二三四五六七八九", "awardID": "A0"},
        "of the second award": {"id": "第二中标合同编号一二三四五六七八", "awardID": "A1"},
    }[name]
    if name == "filing":
        body = contract(n, day, **changes)
        body["contracts"][0] = {
            **{key: body["contracts"][0][key] for key in ("id", "awardID")},
            "x_financing": {"filing": {"date": "2026-03-03", "receipt": "B"}},
        }
        del body["parties"], body["buyer"], body["planning"]
        return body
    return contract(n, day, x_financing__filing=None, **changes)


@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.generate],  # to shrink over a real database takes minutes
)
@given(
    days=st.permutations(range(1, 1 + len(PIECES))),
    left_out=st.sets(st.sampled_from(PIECES), max_size=2),
    orders=st.tuples(st.permutations(PIECES), st.permutations(PIECES)),
)
def test_releases_in_any_order_end_in_the_same_rows_each_told_once(
    world: World, days: list[int], left_out: set[str], orders: tuple[list[str], list[str]]
) -> None:
    if "contract" in left_out:
        left_out |= {"filing"}  # of a contract without a price nothing is recorded
    ends = []
    for order in orders:
        n = next(TURN)
        for name in order:
            if name not in left_out:
                try:
                    world.publish(piece(n, name, days[PIECES.index(name)]))
                except Exception as several:  # `publish` wants one row, and there may be others
                    assert "row" in str(several)
        world.work()
        ends.append(rows(world, END.format(n=n)))
    mine, theirs = ends
    assert mine == theirs
    assert all(row[-1] == 1 for row in mine)
    names = [row[0] for row in mine]
    assert len({(row[0], row[5]) for row in mine}) == len(mine), names
    if "first award" not in left_out:
        stands_alone = "" in [row[0] for row in mine if row[5] == "A0"]
        assert stands_alone == ({"contract", "another"} <= left_out)


# ── The command line ─────────────────────────────────────────────────────────────────────────


def test_the_verbs_show_an_award_as_what_it_is(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(award(), ensure_ascii=False), "utf-8")
    done = command("import", str(tmp_path), "--json")
    assert json.loads(done.stdout)["total"] == {
        "read": 1, "new": 1, "changed": 0, "unchanged": 0, "parked": 0,
    }  # fmt: skip
    again = json.loads(command("import", str(tmp_path), "--json").stdout)["total"]
    assert (again["read"], again["unchanged"]) == (1, 1)
    (one,) = json.loads(command("contracts", "--json").stdout)["contracts"]
    assert (one["number"], one["state"], one["award"]) == ("", "awarded", "2026-0001-A1")
    assert (one["amount"], one["award_amount"]) == (None, {"fen": 128_000_000, "currency": "CNY"})
    shown = command("contracts", "--lang", "en").stdout
    assert "award 2026-0001-A1 (no signed contract yet)" in shown
    assert "no signed contract is known yet; once it is signed and published" in shown
    on = json.loads(command("late", "--on", "2026-03-04", "--json").stdout)["late"]
    assert ("SIGN", "plan", 2) in [
        (each["rule"], each["kind"], each["working_days_late"]) for each in on
    ]
