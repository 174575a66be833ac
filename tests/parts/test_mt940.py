"""MT940 and MT942 as banks really write them: what is read, what is parked, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from io import BytesIO

import pytest

from financing.errors import Unreadable
from financing.formats import mt940, readers
from financing.formats.recognise import recognise
from financing.formats.statement import Entry, Event, Statement, numbers, searched
from financing.values.parked import Parked
from tests.statements_made import Line, Made
from tests.statements_made import mt940 as made_file

ONE = Made((Line("100.00", "合同 ZZCG-2026-001", ref="R1"),))
HEAD = ":20:M\n:25:6222020200112233\n:28C:7/1\n:60F:C260301EUR0,00\n"


def read(data: bytes | str) -> list[Event]:
    content = data.encode() if isinstance(data, str) else data
    return list(readers.read(BytesIO(content), "s.sta"))


def message(*fields: str, closing: str = "0,00", head: str = HEAD) -> str:
    return head + "\n".join(fields) + f"\n:62F:C260302EUR{closing}\n-\n"


def entry(*fields: str) -> Entry:
    found = read(message(*fields))[0]
    assert isinstance(found, Entry), found
    return found


def parked(*fields: str) -> tuple[str, str | None]:
    """Why the first line is parked, and why its statement is."""
    line, statement = read(message(*fields))
    assert isinstance(line, Parked)
    assert isinstance(statement, Statement)
    assert line.raw.startswith(b":61:")
    fault = statement.fault
    return line.reason.split(":")[0], fault.reason.split(":")[0] if fault else None


def test_a_message_reads_as_lines_and_a_statement() -> None:
    first, second, statement = read(
        made_file(
            Made(
                (
                    Line("1234.50", "货款 ZZCG-2026-001", ref="R1", value="2026-03-03"),
                    Line("-34.50", "手续费", end_to_end="E2"),
                ),
                number="12",
            )
        )
    )
    assert isinstance(first, Entry)
    assert isinstance(second, Entry)
    assert isinstance(statement, Statement)
    assert (first.amount_fen, second.amount_fen) == (123450, -3450)
    assert (first.booking_on, first.value_on) == (date(2026, 3, 2), date(2026, 3, 3))
    assert (first.bank_ref, first.entry_ref, second.bank_ref) == ("R1", None, None)
    assert first.details[0].counterparty == "金水区教育局"
    assert second.details[0].end_to_end == "E2"
    assert statement.number == "28C:2026/12"
    assert (statement.holds, statement.fault, statement.kind) == (True, None, "books")


@pytest.mark.parametrize(
    ("mark", "fen", "reversal", "status"),
    [
        ("C", 500, False, "booked"),
        ("D", -500, False, "booked"),
        ("RC", -500, True, "booked"),  # the reversal of a credit takes money out
        ("RD", 500, True, "booked"),
        ("CR", 500, False, "booked"),  # the third letter of EUR, not a word for credit
        ("DR", -500, False, "booked"),
        ("RCR", -500, True, "booked"),
        ("EC", 500, False, "pending"),
        ("ED", -500, False, "pending"),
    ],
)
def test_the_mark_says_sign_reversal_and_whether_it_is_booked(
    mark: str, fen: int, reversal: bool, status: str
) -> None:
    found = entry(f":61:2603020302{mark}5,00NTRFNONREF//B1")
    assert (found.amount_fen, found.reversal, found.status) == (fen, reversal, status)


def test_what_is_only_expected_is_not_counted() -> None:
    line, statement = read(message(":61:260302EC5,00NTRFNONREF"))
    assert isinstance(line, Entry)
    assert isinstance(statement, Statement)
    assert statement.holds is True


@pytest.mark.parametrize(("written", "fen"), [("12,", 1200), (",50", 50), ("000000000012,3", 1230)])
def test_amounts_have_a_comma_somewhere(written: str, fen: int) -> None:
    assert entry(f":61:260302C{written}NTRFNONREF").amount_fen == fen


@pytest.mark.parametrize(
    ("field", "reason", "fault"),
    [
        (":61:260302C1.00NTRFX", "AMOUNT-UNREADABLE", "AMOUNT-UNREADABLE"),
        (":61:260302C1 0,00NTRFX", "AMOUNT-UNREADABLE", "AMOUNT-UNREADABLE"),
        (":61:260302C100NTRFX", "AMOUNT-UNREADABLE", "AMOUNT-UNREADABLE"),
        (":61:260302C1,005NTRFX", "AMOUNT-PRECISION", "AMOUNT-PRECISION"),
        (":61:260302C1234567890123456,0NTRFX", "AMOUNT-UNREADABLE", "AMOUNT-UNREADABLE"),
        (":61:260302CNTRFX", "AMOUNT-UNREADABLE", "AMOUNT-UNREADABLE"),
        (":61:260302C１,00NTRFX", "AMOUNT-UNREADABLE", "AMOUNT-UNREADABLE"),
        (":61:260302X1,00NTRFX", "SIGN-UNKNOWN", "SIGN-UNKNOWN"),
        (":61:260230C0,00NTRFX", "DATE-IMPOSSIBLE", None),
        (":61:2602280230C0,00NTRFX", "DATE-IMPOSSIBLE", None),
    ],
)  # fmt: skip
def test_what_cannot_be_read_parks_the_line_and_the_statement_only_if_undecided(
    field: str, reason: str, fault: str | None
) -> None:
    assert parked(field) == (reason, fault)


def test_a_line_parked_for_its_date_leaves_the_balance_decidable() -> None:
    line, statement = read(message(":61:260230C5,00NTRFX", closing="5,00"))
    assert isinstance(line, Parked)
    assert isinstance(statement, Statement)
    assert (statement.holds, statement.lines, statement.sum_fen) == (True, 1, 500)


@pytest.mark.parametrize(
    ("days", "booking", "value"),
    [
        ("2512310102", date(2026, 1, 2), date(2025, 12, 31)),
        ("2601021231", date(2025, 12, 31), date(2026, 1, 2)),
        ("2402290301", date(2024, 3, 1), date(2024, 2, 29)),
        ("2403010229", date(2024, 2, 29), date(2024, 3, 1)),
        ("260302", None, date(2026, 3, 2)),
        ("260302    ", None, date(2026, 3, 2)),
    ],
)
def test_the_entry_date_takes_the_year_that_brings_it_nearest(
    days: str, booking: date | None, value: date
) -> None:
    found = entry(f":61:{days}C0,00NTRFNONREF")
    assert (found.booking_on, found.value_on) == (booking, value)
    assert ("DATE-MISSING" in found.marks) == (booking is None)


@pytest.mark.parametrize(
    ("rest", "customer", "bank"),
    [
        ("REF1//BANK1", "REF1", "BANK1"),
        ("NONREF//BANK1\nsupplement", None, "BANK1"),
        ("EREF", None, None),
        ("KREF+//NONREF", None, None),
        ("NL81ASNB9999999999\njanssen", "NL81ASNB9999999999", None),
    ],
)
def test_markers_are_no_references(rest: str, customer: str | None, bank: str | None) -> None:
    found = entry(f":61:260302C0,00NTRF{rest}")
    assert (found.entry_ref, found.bank_ref, found.code) == (customer, bank, "NTRF")


def test_an_account_in_place_of_a_reference_is_the_other_sides() -> None:
    found = entry(":61:260302C0,00NTRFNL81ASNB9999999999\njanssen")
    assert found.details[0].counterparty_account == "NL81ASNB9999999999"
    assert found.details[0].bank_text == "janssen"


# The three ways of :86:


@pytest.mark.parametrize("separator", ["?", ">"])
def test_a_structured_text_is_glued_and_cut_at_its_labels(separator: str) -> None:
    text = (
        "166?00GUTSCHR?20EREF+E-1?21KREF+K1?22MREF+M1?23SV\nWZ+合同 ZZCG-20?2426-001"
        "?30BANKX?31123?32甲公\n司?33有限"
    )
    detail = entry(":61:260302C0,00NTRFNONREF", ":86:" + text.replace("?", separator)).details[0]
    assert (detail.end_to_end, detail.instruction, detail.mandate) == ("E-1", "K1", "M1")
    assert (detail.counterparty, detail.counterparty_account) == ("甲公司有限", "123")
    assert (detail.counterparty_bank, detail.bank_text) == ("BANKX", "GUTSCHR")
    assert "ZZCG2026001" in searched(detail.free)
    assert "ZZCG2026001" in numbers(detail.free)


def test_a_number_over_two_parts_without_labels_is_found() -> None:
    found = entry(":61:260302C0,00NTRFNONREF", ":86:166?00X?20款 ZZCG-20?2126-001 期")
    assert "ZZCG2026001" in searched(found.details[0].free)


def test_slashes_are_cut_at_known_codes_only() -> None:
    text = "/TRTP/SEPA/IBAN/NL1/BIC/RABO/NAME/A/B bv/REMI/19-08/2014 ZZCG-2\n026-001/EREF/E/7"
    detail = entry(":61:260302C0,00NTRFNONREF", ":86:" + text).details[0]
    assert (detail.counterparty, detail.counterparty_account) == ("A/B bv", "NL1")
    assert detail.end_to_end == "E/7"
    assert detail.free == ("19-08/2014 ZZCG-2026-001",)


def test_the_other_side_of_ing_stands_in_one_part() -> None:
    text = "/RTRN/MS03//EREF/E1//CNTP/NL2/INGB/J.Jan\nssen///REMI/USTD//Nota 7/"
    detail = entry(":61:260302C0,00NRTIEREF", ":86:" + text).details[0]
    assert (detail.counterparty, detail.counterparty_account) == ("J.Janssen", "NL2")
    assert (detail.counterparty_bank, detail.return_code) == ("INGB", "MS03")
    assert detail.free == ("Nota 7",)


def test_free_lines_are_kept_as_lines_and_found_across_their_breaks() -> None:
    detail = entry(
        ":61:260302C0,00NTRFNONREF", ":86:payment ZZCG-2026", "-001 thanks", ":86:twice"
    ).details[0]
    assert detail.free == ("payment ZZCG-2026", "-001 thanks", "twice")
    assert "ZZCG2026001" in searched(detail.free)


def test_a_lone_dash_inside_a_text_ends_nothing() -> None:
    events = read(message(":61:260302C0,00NTRFX", ":86:one", "-", "two", "-", ":64:C260302EUR0,0"))
    assert len(events) == 2
    assert isinstance(events[0], Entry)
    assert events[0].details[0].free == ("one", "-", "two", "-")


def test_a_line_that_begins_with_a_colon_is_text_unless_it_is_a_tag() -> None:
    found = entry(":61:260302C0,00NTRFX", ":86:one", ":two", ": three")
    assert found.details[0].free == ("one", ":two", ": three")


# Statements


def test_blocks_headers_and_a_lone_reference_are_no_statements() -> None:
    body = message(":61:260302C0,00NTRFX").removesuffix("-\n")
    blocks = "{1:F01ABNANL2AXXXX0000000000}{2:I940ABNANL2AXXXXN}{4:\n" + body + "-}{5:}\n"
    headers = "ABNANL2A\n940\nABNANL2A\n:20:FILE\n-\nABNANL2A\n940\n" + body + "-\n:940:\n" + body
    assert [type(each) for each in read(blocks)] == [Entry, Statement]
    assert recognise(BytesIO(blocks.encode())) == "statement"  # though it begins like JSON
    events = read(headers)
    assert [type(each) for each in events] == [Entry, Statement, Entry, Statement]
    assert [each.place for each in events if isinstance(each, Statement)] == [":20:[1]", ":20:[2]"]


@pytest.mark.parametrize(
    ("field", "number", "servicer"),
    [
        ("6222020200112233", "6222020200112233", ""),
        ("NL77INGB0574908765EUR", "NL77INGB0574908765", ""),
        ("NL50RABO0156750961 EUR", "NL50RABO0156750961", ""),
        ("10020030/0001234567", "0001234567", "10020030"),
        ("UBRTHUHB/123456789/HUF", "123456789", "UBRTHUHB"),
        ("TRIODOSBANK/0390123456", "0390123456", "TRIODOSBANK"),
    ],
)
def test_the_account_is_the_number_without_bank_and_currency(
    field: str, number: str, servicer: str
) -> None:
    statement = read(message(head=HEAD.replace("6222020200112233", field)))[-1]
    assert isinstance(statement, Statement)
    assert statement.account is not None
    assert (statement.account.number, statement.account.servicer) == (number, servicer)


@pytest.mark.parametrize(
    ("field", "number"),
    [("7/1", "28C:2026/7"), ("00000/001", None), ("0", None), ("123\n45/1", "28C:2026/12345")],
)
def test_the_number_of_a_statement_is_one_only_if_the_bank_numbers(
    field: str, number: str | None
) -> None:
    statement = read(message(head=HEAD.replace("7/1", field)))[-1]
    assert isinstance(statement, Statement)
    assert statement.number == number


def test_pages_of_one_number_are_one_statement() -> None:
    first = HEAD + ":61:260302C5,00NTRFA\n:62M:C260302EUR5,00\n-\n"
    second = HEAD.replace("7/1", "7/2").replace(":60F:C260301EUR0", ":60M:C260302EUR5")
    events = read(first + second + ":61:260302C2,00NTRFB\n:62F:C260302EUR7,00\n-\n")
    assert [type(each) for each in events] == [Entry, Entry, Statement]
    statement = events[-1]
    assert isinstance(statement, Statement)
    assert (statement.lines, statement.sum_fen, statement.holds) == (2, 700, True)
    torn = read(first + second.replace("EUR5", "EUR4") + ":62F:C260302EUR5,00\n-\n")[-1]
    assert isinstance(torn, Statement)
    assert torn.fault is not None
    assert torn.fault.reason.startswith("BALANCE-BROKEN: a page ends with EUR 5.00")


def test_a_page_whose_neighbour_is_missing_stands_alone() -> None:
    first = HEAD + ":61:260302C5,00NTRFA\n:62M:C260302EUR5,00\n-\n"
    events = read(first + HEAD.replace("7/1", "9/1") + ":62F:C260302EUR0,00\n-\n")
    statements = [each for each in events if isinstance(each, Statement)]
    assert [(each.lines, each.holds, each.number) for each in statements] == [
        (1, True, "28C:2026/7"), (0, True, "28C:2026/9"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("closing", "reason"),
    [
        (":62F:C260302EUR1,00", "BALANCE-BROKEN"),
        (":62F:C260302EUR1 0,00", "BALANCE-UNREADABLE"),
        (":62F:C260302USD0,00", "BALANCE-UNREADABLE"),
        (":62F:whatever", "BALANCE-UNREADABLE"),
    ],
)
def test_a_balance_that_does_not_fit_or_read_faults_the_statement(
    closing: str, reason: str
) -> None:
    statement = read(f"{HEAD}{closing}\n-\n")[-1]
    assert isinstance(statement, Statement)
    assert statement.fault is not None
    assert statement.fault.reason.startswith(reason)


@pytest.mark.parametrize(
    "closing", [":62F:C261131EUR0,00", ":62F:C2603020,00", ":65:null\n:62F:C260302EUR0,00"]
)
def test_a_day_or_currency_that_a_balance_lacks_costs_nothing(closing: str) -> None:
    statement = read(f"{HEAD}{closing}\n-\n")[-1]
    assert isinstance(statement, Statement)
    assert (statement.fault, statement.holds) == (None, True)


def test_a_missing_closing_balance_leaves_the_statement_unproven() -> None:
    statement = read(f"{HEAD}:61:2603020302C5,00NTRFX\n-\n")[-1]
    assert isinstance(statement, Statement)
    assert (statement.holds, statement.fault, statement.marks) == (None, None, ("UNPROVEN",))


def test_a_file_that_breaks_off_faults_its_last_statement() -> None:
    data = made_file(ONE, ONE)
    events = read(data[: data.rindex(b":62F:") - 5])
    statements = [each for each in events if isinstance(each, Statement)]
    assert [each.fault is None for each in statements] == [True, False]
    assert statements[1].fault is not None
    assert statements[1].fault.reason.startswith("TRUNCATED")
    assert statements[1].lines == 1


def test_an_unknown_tag_is_counted_and_kept_and_costs_nothing() -> None:
    line, statement = read(message(":61:260302C0,00NTRFX", ":37J:what", ":86:text"))
    assert isinstance(line, Entry)
    assert isinstance(statement, Statement)
    assert b":37J:what" in line.raw
    assert line.details[0].free == ("text",)
    assert statement.marks == ("UNKNOWN-TAG 37J: 1",)
    assert statement.fault is None


def test_a_text_in_another_encoding_parks_its_line_alone() -> None:
    data = message(":61:260302C5,00NTRFX", ":86:教育局", ":61:260302C0,00NTRFY", closing="5,00")
    line, other, statement = read(data.encode("gb18030"))
    assert isinstance(line, Parked)
    assert line.reason.startswith("ENCODING")
    assert isinstance(other, Entry)
    assert isinstance(statement, Statement)
    assert (statement.holds, statement.fault) == (True, None)


def test_lines_wait_for_the_balance_that_names_their_currency() -> None:
    line, statement = read(":20:M\n:25:12345678\n:61:260302C5,00NTRFX\n:62F:C260302JPY5,\n-\n")[:2]
    assert isinstance(line, Entry)
    assert (line.amount_fen, line.currency) == (5, "JPY")
    assert isinstance(statement, Statement)
    assert statement.lines == 1


def test_lines_of_no_currency_are_parked() -> None:
    line, statement = read(":20:M\n:25:12345678\n:61:260302C5,00NTRFX\n-\n")
    assert isinstance(line, Parked)
    assert line.reason.startswith("CURRENCY-UNKNOWN")
    assert isinstance(statement, Statement)
    assert statement.fault is not None


def test_an_mt942_is_an_intraday_report_whose_counts_must_fit() -> None:
    head = ":20:M\n:25:12345678\n:28C:7/1\n:34F:EURD0,\n:13D:2603021200+0800\n"
    line = ":61:2603020302C5,00NTRFX\n"
    events = read(f"{head}{line}:90D:0EUR0,\n:90C:1EUR5,00\n-\n")
    assert isinstance(events[0], Entry)
    assert isinstance(events[1], Statement)
    assert (events[1].kind, events[1].format, events[1].holds) == ("intraday", "mt942", None)
    assert (events[1].fault, events[1].marks) == (None, ())
    short = read(f"{head}{line}:90C:2EUR9,00\n-\n")[-1]
    assert isinstance(short, Statement)
    assert short.fault is not None
    assert short.fault.reason.startswith("COUNT-DIFFERS")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "NOT-A-STATEMENT: the file looks like something else"),
        (b"%PDF-1.7", "NOT-A-STATEMENT: the file looks like a PDF document"),
        (b"1\n2\n3\n", "NOT-A-STATEMENT: the file looks like something else"),
        (b":20:FILE\n-\n", "NOT-A-STATEMENT: MT940 without a statement in it"),
        (b":86:" + b"x" * 70_000, "TEXT-TOO-LONG"),
    ],
)
def test_what_is_no_statement_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(data)
    assert refused.value.detail.startswith(reason)
    assert refused.value.remedy


def test_any_cut_of_a_file_is_read_or_refused() -> None:
    data = made_file(ONE, replace(ONE, number="8", account="4100555566667777"))
    for end in range(len(data)):
        try:
            events = list(mt940.read(BytesIO(data[:end]), "s"))
        except Unreadable as refused:
            assert ": " in refused.detail
            continue
        assert isinstance(events[-1], Statement)
