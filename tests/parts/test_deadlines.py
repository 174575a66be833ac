"""Dated rules against cases reckoned by hand."""

from datetime import date

import pytest

from financing.rules.calendar import Due
from financing.rules.deadlines import RULES, obligations, pay_clock, pay_term
from financing.rules.profiles import profile

ZZ = profile("zhengzhou")


def due_on(
    rule: str, kind: str, trigger_on: date, *, sme: bool | None = None, trigger: str | None = None
) -> Due:
    found = {
        each.rule.kind: each.due
        for each in obligations(rule, ZZ, trigger_on, is_sme=sme, trigger=trigger)
    }
    return found[kind]  # type: ignore[index]  # the test's kinds are plain text


@pytest.mark.parametrize(
    ("rule", "kind", "trigger_on", "expected"),
    [
        # Award on Thursday; Saturday is a make-up day.
        ("SIGN", "plan", date(2026, 2, 12), date(2026, 2, 14)),
        # Thirty days end on a Saturday and roll to Monday.
        ("SIGN", "statutory", date(2026, 2, 12), date(2026, 3, 16)),
        # Over the Spring Festival.
        ("FILE", "plan", date(2026, 2, 13), date(2026, 2, 24)),
        ("FILE", "statutory", date(2026, 2, 13), date(2026, 3, 2)),
        # Over the National Day week.
        ("ANN", "statutory", date(2026, 9, 29), date(2026, 10, 8)),
        # Over New Year, into the first days of the plan.
        ("FILE", "plan", date(2020, 12, 31), date(2021, 1, 5)),
        ("ANN", "statutory", date(2020, 12, 31), date(2021, 1, 5)),
    ],
)
def test_terms_end_where_a_person_reckons_them(
    rule: str, kind: str, trigger_on: date, expected: date
) -> None:
    assert due_on(rule, kind, trigger_on) == (expected, False)


def test_thirty_days_for_payment_that_end_in_the_holidays_roll_to_the_first_working_day() -> None:
    assert due_on("PAY", "statutory", date(2026, 1, 20), sme=True, trigger="pay-clock") == (
        date(2026, 2, 24),
        False,
    )


def test_a_deadline_in_a_year_without_notice_is_provisional() -> None:
    assert due_on("SIGN", "plan", date(2026, 12, 31)) == (date(2027, 1, 4), True)


def test_an_obligation_is_judged_by_the_rule_in_force_when_it_falls_due() -> None:
    def source(day: date) -> list[str]:
        return [
            each.rule.source
            for each in obligations("PAY", ZZ, day, is_sme=True, trigger="pay-clock")
        ]

    assert source(date(2025, 4, 20)) == ["国务院令第728号 第八条"]
    assert source(date(2025, 5, 20)) == ["国务院令第802号 第九条"]
    assert source(date(2020, 6, 1)) == []


def test_rules_for_small_firms_bind_only_towards_firms_known_to_be_small() -> None:
    day = date(2026, 3, 2)
    assert due_on("CONFIRM", "plan", day, sme=None).on == date(2026, 3, 5)
    for size in (None, False):
        kinds = {each.rule.kind for each in obligations("CONFIRM", ZZ, day, is_sme=size)}
        assert kinds == {"plan"}
    kinds = {each.rule.kind for each in obligations("CONFIRM", ZZ, day, is_sme=True)}
    assert kinds == {"plan", "statutory"}


def test_contracts_of_other_places_fall_under_no_chinese_rule() -> None:
    for rule_id in {rule.id for rule in RULES}:
        assert obligations(rule_id, profile("generic"), date(2026, 3, 2), is_sme=True) == []


def test_on_one_day_one_kind_of_one_rule_has_one_row() -> None:
    for day in (date(2019, 8, 1), date(2021, 1, 1), date(2025, 6, 1), date(2026, 11, 24)):
        seen = [
            (rule.id, rule.kind, rule.trigger, rule.suppliers)
            for rule in RULES
            if rule.valid_from <= day and (rule.valid_to is None or day <= rule.valid_to)
        ]
        assert len(seen) == len(set(seen))
    assert {rule.id for rule in RULES} == {
        "NOTICE", "SIGN", "ANN", "FILE", "CONFIRM", "ACC", "PAY", "TELL-WINNER"
    }  # fmt: skip


def test_delayed_acceptance_does_not_delay_the_term_of_payment() -> None:
    inspected = date(2026, 3, 10)
    late = pay_clock("acceptance", accepted_on=date(2026, 5, 1), inspection_ends_on=inspected)
    assert late == (inspected, "inspection-ended")
    assert pay_clock("acceptance", inspection_ends_on=inspected) == (inspected, "inspection-ended")
    in_time = pay_clock("acceptance", accepted_on=date(2026, 3, 5), inspection_ends_on=inspected)
    assert in_time == (date(2026, 3, 5), "acceptance")


def test_a_start_that_nobody_knows_is_not_guessed() -> None:
    assert pay_clock("acceptance", delivered_on=date(2026, 3, 1)) is None
    assert pay_clock("settlement", accepted_on=date(2026, 3, 1)) is None
    assert pay_clock(None) is None
    assert pay_clock(None, delivered_on=date(2026, 3, 1)) == (date(2026, 3, 1), "delivery")


def test_a_longer_term_than_the_law_permits_counts_as_sixty_days() -> None:
    assert pay_term(None) == (30, False)
    assert pay_term(45) == (45, False)
    assert pay_term(90) == (60, True)
