"""Money, times, ids, names, codes: each value has one spelling and refuses the rest."""

import time
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from financing.errors import Invalid, NotFound
from financing.values import accounts, chinese_amounts, ids, text, uscc
from financing.values.money import MOST_MINOR, Money, minor_digits, money_json, show_money, to_minor
from financing.values.times import civil, end_of, parse_date, parse_instant, rfc3339, start_of

FEN = st.integers(0, MOST_MINOR)


@given(st.integers(-MOST_MINOR, MOST_MINOR), st.lists(st.integers(0, 10**9), min_size=1))
def test_shares_of_money_add_up_to_the_whole(fen: int, weights: list[int]) -> None:
    if sum(weights) == 0:
        with pytest.raises(Invalid):
            Money(fen).share(weights)
        return
    parts = Money(fen).share(weights)
    assert sum(part.fen for part in parts) == fen
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part.fen - Decimal(fen) * weight / sum(weights)) < 1


def test_the_odd_fen_goes_to_whoever_lost_most_by_rounding() -> None:
    assert [part.fen for part in Money(100).share([1, 1, 1])] == [34, 33, 33]
    assert [part.fen for part in Money(100).share([1, 2])] == [33, 67]
    assert [part.fen for part in Money(-100).share([1, 1, 1])] == [-34, -33, -33]


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("1234.56", "CNY", 123_456),
        ("1234.500", "CNY", 123_450),
        ("-0.01", "CNY", -1),
        (Decimal("1E+2"), "CNY", 10_000),
        (5, "MXN", 500),
        ("1500", "JPY", 1500),
        ("1.234", "KWD", 1234),
        (Decimal("0.00000"), "PYG", 0),
    ],
)
def test_major_units_become_minor_ones_exactly(
    value: Decimal | int | str, currency: str, minor: int
) -> None:
    assert to_minor(value, currency) == minor


@pytest.mark.parametrize(
    ("value", "currency"),
    [
        ("0.001", "CNY"),
        ("1.5", "JPY"),
        ("1,234.00", "CNY"),
        ("１２", "CNY"),
        ("1e5", "CNY"),
        ("", "CNY"),
        ("12", "XXX"),
        ("12", "cny"),
        (True, "CNY"),
        (Decimal("NaN"), "CNY"),
        (Decimal("1E+400"), "CNY"),
        (Decimal("1E-400"), "CNY"),
        ("10000000000000.01", "CNY"),
    ],
)
def test_what_is_no_exact_amount_is_refused(value: Decimal | int | str, currency: str) -> None:
    with pytest.raises(Invalid):
        to_minor(value, currency)


@given(st.integers(-MOST_MINOR, MOST_MINOR), st.sampled_from(["CNY", "JPY", "KWD", "CLF"]))
def test_an_amount_shown_reads_back_as_itself(fen: int, currency: str) -> None:
    shown = show_money(fen, currency).replace("¥", "").replace(f"{currency} ", "").replace(",", "")
    assert to_minor(shown, currency) == fen


def test_amounts_are_shown_with_their_currency() -> None:
    assert show_money(123_456, "CNY", "zh") == "¥1,234.56"
    assert show_money(123_456, "MXN", "en") == "MXN 1,234.56"
    assert show_money(-5, "CNY") == "-¥0.05"
    assert money_json(5, "CNY") == {"fen": 5, "currency": "CNY"}
    assert money_json(5, "MXN") == {"minor": 5, "currency": "MXN"}
    assert [minor_digits(c) for c in ("CNY", "JPY", "PYG", "KWD", "TND")] == [2, 0, 0, 3, 3]


def test_money_of_two_currencies_is_never_added() -> None:
    assert Money(1) + Money(2) - Money(5) == Money(-2)
    with pytest.raises(Invalid):
        Money(1) + Money(1, "MXN")


def test_a_civil_day_is_the_day_in_china() -> None:
    late_evening = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)
    assert civil(late_evening) == date(2026, 3, 2)
    assert start_of(date(2026, 3, 2)) == late_evening
    assert end_of(date(2026, 3, 2)) == late_evening + timedelta(days=1)
    with pytest.raises(Invalid):
        civil(late_evening.replace(tzinfo=None))


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_written_reads_back_as_itself(instant: datetime) -> None:
    assert parse_instant(rfc3339(instant)) == instant


def test_instants_need_a_zone_and_must_exist() -> None:
    expected = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    assert parse_instant("2026-03-02T09:30:00+08:00") == expected
    assert parse_instant("2026-03-02T01:30:00.1234567Z").microsecond == 123_456
    assert rfc3339(expected.astimezone(timezone(timedelta(hours=8)))) == "2026-03-02T01:30:00Z"
    for bad in (
        "2026-03-02T01:30:00",
        "2026-02-30T01:30:00Z",
        "2026-03-02 01:30:00Z",
        "2026-03-02",
        "0001-01-01T00:00:00+08:00",
        "２026-03-02T01:30:00Z",
    ):
        with pytest.raises(Invalid):
            parse_instant(bad)


@pytest.mark.parametrize("bad", ["2026-02-30", "20260302", "2026-3-2", "", "2026-03-02T00:00:00Z"])
def test_a_date_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(Invalid):
        parse_date(bad)


@given(st.uuids())
def test_an_id_shown_reads_back_as_itself(number: UUID) -> None:
    shown = ids.show("ap", number)
    assert len(shown) == 29
    assert ids.read("ap", shown) == number


@pytest.mark.parametrize(
    "bad",
    ["", "ap_", "ap_01", "ct_01JNB3K40000000000000000", "ap_" + "0" * 25 + "U", "ap_8" + "0" * 25],
)
def test_a_malformed_id_answers_like_one_that_does_not_exist(bad: str) -> None:
    with pytest.raises(NotFound):
        ids.read("ap", bad)


def test_lower_case_is_no_second_name_for_an_id() -> None:
    shown = ids.show("ap", ids.new_id())
    with pytest.raises(NotFound):
        ids.read("ap", shown.lower())


def test_later_ids_sort_later() -> None:
    made = []
    for _ in range(50):
        made.append(ids.new_id())
        started = time.perf_counter_ns()
        while time.perf_counter_ns() - started < 2_000:  # the id tells quarter microseconds apart
            pass
    assert made == sorted(made)
    assert all(each.version == 7 and each.variant == UUID(int=2 << 62).variant for each in made)


def test_numbers_of_one_contract_in_two_spellings_are_one() -> None:
    assert text.number_key("郑财购〔2020〕16号") == text.number_key("郑财购[2020]16")
    assert text.number_key("合同编号：ZZCG－2026—0113") == "ZZCG-2026-0113"
    assert text.number_key("zzcg_2026--0113") == "ZZCG-2026-0113"
    assert text.number_key("007/A") == "007/A"
    assert text.number_key("007") != text.number_key("7")


def test_names_differ_only_where_the_firms_do() -> None:
    assert text.name_key("郑州 示例(集团)有限公司") == text.name_key("郑州示例（集团）有限公司")
    assert text.name_key("示例公司郑州分公司") != text.name_key("示例公司")


def test_search_text_drops_what_people_write_differently() -> None:
    wanted = text.search_text("ZZCG-2026-0113-2")
    assert wanted == "ZZCG202601132"
    assert wanted in text.search_text("支付合同款 ＺＺＣＧ—2026‐01\n13（2）")


@given(st.text())
def test_keys_of_keys_are_the_same_keys(raw: str) -> None:
    for key in (text.search_text, text.name_key, text.number_key, text.clean):
        assert key(key(raw)) == key(raw)


@given(st.text())
def test_shown_text_carries_nothing_invisible(raw: str) -> None:
    kinds = {unicodedata.category(c) for c in text.clean(raw)}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    "code",
    [
        "91100000100003962T",
        "914403001922038216",
        "9144030071526726XG",
        "91410100MA9T00018F",
        "91410100MA9T00050T",
        "91410100MA9T00122K",
    ],
)
def test_published_credit_codes_hold(code: str) -> None:
    assert uscc.problem(code) is None
    assert uscc.make(code[:8], code[8:16]) == code


def test_a_false_organisation_digit_is_seen_though_the_last_digit_holds() -> None:
    assert uscc.problem("91100000100003963X") == "organisation-digit"


@given(
    st.sampled_from(["91100000100003962T", "91410100MA9T00018F"]),
    st.integers(0, 17),
    st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXY"),
)
def test_one_wrong_character_of_a_credit_code_is_always_seen(
    code: str, place: int, letter: str
) -> None:
    changed = code[:place] + letter + code[place + 1 :]
    assert (uscc.problem(changed) is None) == (changed == code)


@pytest.mark.parametrize(
    "bad", ["", "91100000100003962", "91100000100003962t", "9110000010000396IT"]
)
def test_a_code_of_another_form_is_told_apart(bad: str) -> None:
    assert uscc.problem(bad) == "form"


def test_account_numbers_are_compared_without_blanks_and_dashes() -> None:
    assert accounts.normalise(" １702-0201 0920\u200b0012345 ") == "1702020109200012345"
    assert accounts.problem("1702 0201 0920 0012 345") is None
    assert accounts.problem("1234567") == "form"
    assert accounts.last4("1702-0201-0920-0012-34 5") == "2345"


def test_a_banks_code_has_a_check_digit() -> None:
    code = accounts.make_cnaps("10249100001")
    assert accounts.cnaps_problem(code) is None
    wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
    assert accounts.cnaps_problem(wrong) == "check-digit"
    assert accounts.cnaps_problem("1024910000") == "form"


@given(FEN)
def test_an_amount_in_words_reads_back_as_itself(fen: int) -> None:
    assert chinese_amounts.parse(chinese_amounts.in_words(fen)) == fen


@pytest.mark.parametrize(
    ("fen", "words"),
    [
        (140_950, "人民币壹仟肆佰零玖元伍角"),
        (600_714, "人民币陆仟零柒元壹角肆分"),
        (32_504, "人民币叁佰贰拾伍元零肆分"),
        (100_000_000, "人民币壹佰万元整"),
        (1_000_000_001_000, "人民币壹佰亿零壹拾元整"),
        (0, "人民币零元整"),
    ],
)
def test_amounts_are_written_as_the_payment_rules_show(fen: int, words: str) -> None:
    assert chinese_amounts.in_words(fen) == words


@pytest.mark.parametrize(
    ("words", "fen"),
    [
        ("人民币壹仟陆佰捌拾元零叁角贰分", 168_032),
        ("壹仟陆佰捌拾圆叁角贰分", 168_032),
        ("人民币：壹拾万零柒仟元伍角叁分", 10_700_053),
        ("拾万元正", 10_000_000),
        ("壹万贰仟 元 整", 1_200_000),
        ("壹佰肆拾万零玖佰伍拾元整", 140_095_000),
        ("五分", 5),
    ],
)
def test_usual_variants_of_amounts_in_words_are_read(words: str, fen: int) -> None:
    assert chinese_amounts.parse(words) == fen


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "元",
        "整",
        "壹佰",
        "壹贰元",
        "壹佰仟元",
        "壹亿亿元",
        "万元",
        "伍角壹佰元",
        "1000元",
        "玖分叁角",
    ],
)
def test_what_is_no_amount_in_words_is_refused(bad: str) -> None:
    with pytest.raises(Invalid):
        chinese_amounts.parse(bad)
