"""The table of checks: every case of every row, and what blocks where."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from financing import words
from financing.rules.calendar import Holidays
from financing.rules.checks import CHECKS, Word, examine, first_blocking
from financing.rules.dossier import (
    AccountSeen,
    Award,
    ConfirmationSeen,
    Document,
    Dossier,
    LookAlike,
    Party,
)
from financing.rules.profiles import profile
from financing.values import uscc

PURCHASER = Party("CN-USCC", uscc.make("11410100", "00525000"), "某区教育局", "某区教育局")
SUPPLIER = Party("CN-USCC", "91410100MA9T00018F", "某照明有限公司", "某照明有限公司")
AWARD = Award(
    "A1", date(2026, 2, 11), 128_000_000, "CNY", frozenset({SUPPLIER.identifier, SUPPLIER.key})
)
# The holidays of that year are not announced: no term in it is certain.
NEXT_YEAR = {"signed_on": date(2030, 1, 29), "today": date(2030, 3, 20)}
ACCOUNT = AccountSeen("active", SUPPLIER.name, SUPPLIER.key, "2345", True)
CONFIRMED = ConfirmationSeen(
    "confirmed", date(2026, 2, 25), date(2026, 2, 28), date(2026, 2, 26), True, 0
)
GUESSED = replace(CONFIRMED, state="asked", due_on=date(2030, 2, 24), is_due_guessed=True)
GOOD = Dossier(
    profile=profile("zhengzhou"),
    today=date(2026, 3, 2),
    purchaser=PURCHASER,
    supplier=SUPPLIER,
    currency="CNY",
    amount_fen=128_000_000,
    first_amount_fen=128_000_000,
    amount_in_words="人民币壹佰贰拾捌万元整",
    award=AWARD,
    budget_fen=130_000_000,
    budget_currency="CNY",
    signed_on=date(2026, 2, 12),
    signatories=frozenset({"purchaser", "supplier"}),
    filed_on=date(2026, 2, 13),
    announced_on=date(2026, 2, 13),
    ends_on=date(2026, 8, 31),
    documents=(Document("合同", "sha-256:aa", "sha-256:aa"),),
    account=ACCOUNT,
    confirmation=CONFIRMED,
    open_fen=128_000_000,
    paid=(("purchaser", 0),),
    is_assignable=True,
    declared_size="small",
)
BAD_CODE = replace(SUPPLIER, identifier="91410100MA9T00018G")
FOREIGN = replace(SUPPLIER, scheme="MX-RFC", identifier="CES031203IG0")

# check, what differs from the good contract, result, case
CASES: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("PARTY-ID", {}, "pass", "pass"),
    ("PARTY-ID", {"supplier": BAD_CODE}, "fail", "fail"),
    ("PARTY-ID", {"supplier": FOREIGN}, "unknown", "unknown"),
    ("PARTY-LIVE", {}, "unknown", "unknown"),
    ("AWARD-MATCH", {}, "pass", "pass"),
    ("AWARD-MATCH", {"award": None}, "fail", "none"),
    ("AWARD-MATCH", {"award": None, "is_direct": True}, "not-applicable", "spared"),
    ("AWARD-MATCH", {"award": replace(AWARD, is_live=False)}, "fail", "cancelled"),
    ("AWARD-MATCH", {"award": replace(AWARD, suppliers=frozenset())}, "unknown", "unknown"),
    ("AWARD-MATCH", {"award": replace(AWARD, suppliers=frozenset({"别家"}))}, "fail", "other"),
    ("AMOUNT", {}, "pass", "pass"),
    ("AMOUNT", {"amount_fen": None}, "unknown", "none"),
    ("AMOUNT", {"amount_fen": None, "has_contract": False}, "unknown", "unsigned"),
    ("AMOUNT", {"amount_fen": 140_800_000}, "pass", "pass"),
    ("AMOUNT", {"amount_fen": 140_800_001}, "fail", "supplement"),
    ("AMOUNT", {"award": replace(AWARD, fen=None)}, "unknown", "award"),
    ("AMOUNT", {"award": replace(AWARD, currency="USD")}, "unknown", "award"),
    ("AMOUNT", {"award": None, "is_direct": True}, "not-applicable", "direct"),
    ("AMOUNT", {"budget_fen": None}, "unknown", "budget"),
    ("AMOUNT", {"award": replace(AWARD, fen=127_999_999)}, "fail", "above-award"),
    ("AMOUNT", {"budget_fen": 127_999_999}, "fail", "above-budget"),
    ("WORDS", {}, "pass", "pass"),
    ("WORDS", {"amount_in_words": "人民币壹佰贰拾柒万元整"}, "fail", "fail"),
    ("WORDS", {"amount_in_words": "约一百万"}, "unknown", "unknown"),
    ("WORDS", {"amount_in_words": None}, "not-applicable", "spared"),
    ("DATES", {}, "pass", "pass"),
    ("DATES", {"announced_on": date(2026, 3, 3)}, "fail", "future"),
    ("DATES", {"signed_on": date(2026, 2, 10)}, "fail", "order"),
    ("DATES", {"first_paid_on": date(2026, 2, 11)}, "fail", "order"),
    ("DATES", {"filed_on": date(2026, 2, 11)}, "fail", "order"),
    ("DATES", {"award": replace(AWARD, on=None)}, "unknown", "unknown"),
    ("SIGNED", {}, "pass", "pass"),
    ("SIGNED", {"signed_on": None}, "fail", "fail"),
    ("SIGNED", {"signed_on": None, "has_contract": False}, "fail", "awarded"),
    ("SIGNED", {"signatories": None}, "unknown", "unknown"),
    ("SIGNED", {"signatories": frozenset({"supplier"})}, "fail", "half"),
    ("FILED", {}, "pass", "pass"),
    ("FILED", {"filed_on": None, "has_filing_receipt": True}, "pass", "pass"),
    # Seven working days after Thursday 12 February, over the Spring Festival.
    ("FILED", {"filed_on": None, "today": date(2026, 2, 28)}, "unknown", "in-term"),
    ("FILED", {"filed_on": None, "today": date(2026, 3, 1)}, "fail", "fail"),
    ("FILED", {"filed_on": None, **NEXT_YEAR}, "unknown", "guess"),
    ("FILED", {"filed_on": None, "signed_on": None}, "unknown", "unsigned"),
    ("FILED", {"filed_on": None, "signed_on": date(2002, 5, 5)}, "unknown", "no-rule"),
    ("ANNOUNCED", {}, "pass", "pass"),
    ("ANNOUNCED", {"is_secret": True, "announced_on": None}, "not-applicable", "spared"),
    ("ANNOUNCED", {"announced_on": None, "today": date(2026, 2, 14)}, "unknown", "in-term"),
    ("ANNOUNCED", {"announced_on": None, "today": date(2026, 2, 15)}, "fail", "fail"),
    ("ANNOUNCED", {"announced_on": None, **NEXT_YEAR}, "unknown", "guess"),
    ("ANNOUNCED", {"announced_on": None, "signed_on": None}, "unknown", "unsigned"),
    ("ANNOUNCED", {"announced_on": None, "profile": profile("generic")}, "unknown", "no-rule"),
    ("ALIVE", {}, "pass", "pass"),
    ("ALIVE", {"ends_on": None}, "pass", "no-end"),
    ("ALIVE", {"state": "terminated"}, "fail", "terminated"),
    ("ALIVE", {"record_status": "cancelled"}, "fail", "terminated"),
    ("ALIVE", {"ends_on": date(2026, 3, 1)}, "fail", "expired"),
    ("ALIVE", {"ends_on": date(2026, 3, 1), "accepted_on": date(2026, 2, 27)}, "pass", "pass"),
    ("UNPAID", {}, "pass", "pass"),
    ("UNPAID", {"paid": (("purchaser", 0), ("record", 128_000_000))}, "fail", "fail"),
    ("UNPAID", {"paid": ()}, "unknown", "unknown"),
    ("UNPAID", {"paid": (), "has_feed": True}, "pass", "pass"),
    ("UNPAID", {"amount_fen": None}, "unknown", "no-amount"),
    ("UNPAID", {"amount_fen": None, "has_contract": False}, "unknown", "unsigned"),
    ("ACCOUNT", {}, "pass", "pass"),
    ("ACCOUNT", {"account": None}, "fail", "fail"),
    ("ACCOUNT", {"account": replace(ACCOUNT, state="rejected")}, "fail", "fail"),
    ("ACCOUNT", {"account": replace(ACCOUNT, state="proposed")}, "unknown", "proposed"),
    ("ACCOUNT", {"account": replace(ACCOUNT, renamed="9876")}, "fail", "renamed"),
    ("HOLDER", {}, "pass", "pass"),
    ("HOLDER", {"account": None}, "unknown", "none"),
    ("HOLDER", {"account": replace(ACCOUNT, holder_key="某照明公司")}, "fail", "fail"),
    ("HOLDER", {"account": replace(ACCOUNT, is_holder_verified=False)}, "fail", "fail"),
    ("HOLDER", {"account": replace(ACCOUNT, is_holder_verified=None)}, "unknown", "unknown"),
    ("DOC-DIGEST", {}, "pass", "pass"),
    ("DOC-DIGEST", {"documents": (Document("a", "x", "y"),)}, "fail", "fail"),
    ("DOC-DIGEST", {"documents": (Document("a", "x", None),)}, "unknown", "unknown"),
    ("DOC-DIGEST", {"documents": ()}, "unknown", "none"),
    ("DOC-SIG", {}, "unknown", "unknown"),
    ("CONFIRMED", {}, "pass", "pass"),
    ("CONFIRMED", {"confirmation": None}, "unknown", "never"),
    ("CONFIRMED", {"confirmation": replace(CONFIRMED, state="asked")}, "unknown", "asked"),
    ("CONFIRMED", {"confirmation": GUESSED}, "unknown", "guess"),
    ("CONFIRMED", {"confirmation": replace(CONFIRMED, state="refused")}, "fail", "refused"),
    ("CONFIRMED", {"confirmation": replace(CONFIRMED, state="expired")}, "unknown", "lapsed"),
    ("CONFIRMED", {"confirmation": replace(CONFIRMED, is_of_this=False)}, "fail", "other-figures"),
    ("CONFIRMED", {"today": date(2026, 3, 28)}, "pass", "pass"),
    ("CONFIRMED", {"today": date(2026, 3, 29)}, "unknown", "old"),
    ("ENCUMBERED", {}, "pass", "pass"),
    ("ENCUMBERED", {"held_fen": 128_000_000}, "fail", "fail"),
    ("ENCUMBERED", {"open_fen": 0}, "fail", "nothing-open"),
    ("ENCUMBERED", {"open_fen": 0, "has_contract": False}, "unknown", "unsigned"),
    ("LOOK-ALIKE", {}, "pass", "none"),
    ("LOOK-ALIKE", {"look_alikes": (LookAlike("B", 49),)}, "pass", "none"),
    ("LOOK-ALIKE", {"look_alikes": (LookAlike("B", 50), LookAlike("C", 79))}, "pass", "warns"),
    ("LOOK-ALIKE", {"look_alikes": (LookAlike("B", 80),)}, "unknown", "unknown"),
    ("ASSIGNABLE", {}, "pass", "pass"),
    ("ASSIGNABLE", {"is_assignable": False}, "fail", "fail"),
    ("ASSIGNABLE", {"is_assignable": None}, "unknown", "unknown"),
    ("SME", {}, "pass", "pass"),
    ("SME", {"declared_size": None}, "unknown", "unknown"),
    ("DISPUTE", {}, "unknown", "unknown"),
)
ROWS = {check.id: check for check in CHECKS}


@pytest.mark.parametrize(("check", "changes", "result", "case"), CASES)
def test_each_case_has_its_result_and_its_words(
    check: str, changes: dict[str, Any], result: str, case: str
) -> None:
    found = ROWS[check].look(replace(GOOD, **changes))
    assert (found.result, found.case) == (result, case)
    named = {
        name: words.both(value.key) if isinstance(value, Word) else value
        for name, value in found.named.items()
    }
    assert all(words.both(f"check.{check}.{case}", **named).values())
    if result in ("fail", "unknown"):
        assert all(words.both(f"check.{check}.{case}.remedy").values())


def test_every_word_of_a_check_is_reached_by_a_case() -> None:
    reached = {f"check.{check}.{case}" for check, _, _, case in CASES}
    told = {
        key
        for key in words.words()
        if key.startswith("check.") and key.split(".")[1] in ROWS and not key.endswith(".remedy")
    }
    assert told == reached | {f"check.{check}.name" for check in ROWS}


def test_there_are_twenty_one_rows_and_each_says_what_blocks_in_each_profile() -> None:
    assert len(ROWS) == 21
    assert all(set(check.blocks) == {"zhengzhou", "generic"} for check in CHECKS)


def test_a_good_contract_is_financeable_though_three_registers_are_not_connected() -> None:
    findings = examine(GOOD)
    assert first_blocking(findings) is None
    unknown = {each.check.id for each in findings if each.outcome.result == "unknown"}
    assert unknown == {"PARTY-LIVE", "DOC-SIG", "DISPUTE"}


@pytest.mark.parametrize(
    ("changes", "zhengzhou", "generic"),
    [
        ({"supplier": FOREIGN, "award": replace(AWARD, suppliers=frozenset({FOREIGN.key}))},
         "PARTY-ID", None),
        ({"award": replace(AWARD, fen=None)}, "AMOUNT", None),
        ({"budget_fen": None}, None, None),
        ({"signatories": None}, "SIGNED", None),
        ({"filed_on": None}, "FILED", None),
        ({"announced_on": None}, "ANNOUNCED", None),
        ({"paid": ()}, "UNPAID", "UNPAID"),
        ({"account": None}, "ACCOUNT", "ACCOUNT"),
        ({"account": replace(ACCOUNT, is_holder_verified=None)}, None, None),
        ({"confirmation": None}, "CONFIRMED", "CONFIRMED"),
        ({"confirmation": replace(CONFIRMED, state="refused")}, "CONFIRMED", "CONFIRMED"),
        ({"held_fen": 10**12}, "ENCUMBERED", "ENCUMBERED"),
        ({"look_alikes": (LookAlike("B", 100),)}, "LOOK-ALIKE", "LOOK-ALIKE"),
        ({"is_assignable": False, "declared_size": None}, None, None),
        ({"documents": ()}, None, None),
    ],
)  # fmt: skip
def test_what_blocks_is_what_the_profile_says(
    changes: dict[str, Any], zhengzhou: str | None, generic: str | None
) -> None:
    for name, expected in (("zhengzhou", zhengzhou), ("generic", generic)):
        first = first_blocking(examine(replace(GOOD, profile=profile(name), **changes)))
        assert (first and first.check.id) == expected, name


def test_the_first_blocking_row_by_table_order_is_the_one_told() -> None:
    first = first_blocking(examine(replace(GOOD, account=None, signed_on=None, filed_on=None)))
    assert first is not None
    assert first.check.id == "SIGNED"


def test_a_loaded_notice_moves_the_term_of_a_check() -> None:
    storm = Holidays(frozenset({(date(2026, 2, 28), "rest")}))
    late = replace(GOOD, filed_on=None, today=date(2026, 3, 1), holidays=storm)
    assert ROWS["FILED"].look(late).case == "in-term"
