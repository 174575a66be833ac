"""The demo's pure parts: a page read as a person reads it, the agenda, the story, the recipe."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from financing.city import browser, story
from financing.city.agenda import Agenda
from financing.city.history import Application, Case, Payment, Told
from financing.errors import NotFound

PAGE = """<!doctype html><title>no</title><style>p{}</style>
<form method="post" action="/things/7/apply">
 <input type="hidden" name="proof" value="secret"><input name="amount" value="100.00">
 <input type="checkbox" name="bank" value="a" checked><input type="checkbox" name="bank" value="b">
 <input type="radio" name="same" value="yes"><input type="radio" name="same" value="no">
 <select name="part"><option value="1">one</option><option value="2" selected>two</option></select>
 <textarea name="note">as it was</textarea><input name="off" disabled value="x">
 <button name="act" value="go">Go</button></form>
<p>Price <b>1,280,000</b></p><a href="/things/8">the other thing</a>"""


def test_a_form_is_sent_as_it_stands_with_only_what_was_changed() -> None:
    page = browser.read("http://here/things/7", 200, PAGE)
    form = page.form("/apply")
    assert form.action == "http://here/things/7/apply"
    assert form.filled({}) == [
        ("proof", "secret"), ("amount", "100.00"), ("bank", "a"), ("part", "2"),
        ("note", "as it was"),
    ]  # fmt: skip
    sent = form.filled({"bank": ["b"], "same": "yes", "act": "go"})
    assert ("bank", "a") not in sent
    assert {("bank", "b"), ("same", "yes"), ("act", "go"), ("proof", "secret")} <= set(sent)


def test_what_a_page_does_not_offer_cannot_be_done() -> None:
    page = browser.read("http://here/things/7", 200, PAGE)
    with pytest.raises(NotFound, match="no field"):
        page.form("/apply").filled({"limit": "1"})
    with pytest.raises(NotFound, match="no form"):
        page.form("/accept")


def test_a_page_is_read_without_its_markup() -> None:
    page = browser.read("http://here/things/7", 200, PAGE)
    assert "Price\n1,280,000" in page.text
    assert "p{}" not in page.text
    assert page.links == [("http://here/things/8", "the other thing")]


def test_what_a_page_wants_mended_is_heard() -> None:
    markup = '<p>Menu</p><div role="alert"><h2>1 fault</h2><a href="#x">No<br>number</a></div>Foot'
    assert browser.read("http://here/", 422, markup).alert == "1 fault No number"
    assert browser.read("http://here/", 200, PAGE).alert == ""


def test_things_happen_in_order_and_the_clock_moves_once_for_each_instant() -> None:
    moves: list[datetime] = []
    seen: list[str] = []
    start = datetime(2026, 3, 2, tzinfo=UTC)
    agenda = Agenda(moves.append, start)

    def late() -> None:
        seen.append("late")
        agenda.put(start, lambda: seen.append("at once"))

    agenda.put(start + timedelta(days=2), late)
    agenda.put(start + timedelta(days=1), lambda: seen.append("first"))
    agenda.put(start + timedelta(days=1), lambda: seen.append("second"))
    agenda.run()
    assert seen == ["first", "second", "late", "at once"]
    assert moves == [start + timedelta(days=1), start + timedelta(days=2)]


AT = datetime(2026, 3, 2, 1, tzinfo=UTC)
LOAN = Application(
    id="ap_1", bank="甲银行", bank_code="a", state="closed", packet="sha-256:00", packet_id=None,
    amount_fen=60_000_00, reason_code=None, loan="settled",
)  # fmt: skip
CASE = Case(
    id=UUID(int=1), contract="合同〔2026〕1号", ocid="ocds-zzhcp1-1", title="照明",
    supplier="某公司", purchaser="某局", amount_fen=100_000_00, currency="CNY", state="paid",
    is_financeable=False,
    sentence={"zh": "已全部付清。", "en": "Paid in full."}, applications=(LOAN,),
    payments=(Payment(100_000_00, "CNY", "4821", "allocated", date(2026, 5, 4)),),
    story=(Told(AT, "contract.pay", {}),),
)  # fmt: skip
REFUSED = replace(
    CASE,
    id=UUID(int=2),
    applications=(replace(LOAN, state="refused", reason_code="R41", loan=None),),
)
ENDING = story.Ending(
    cases=(CASE, REFUSED),
    verified={CASE.id: story.Verification(True, {"zh": "可以融资。", "en": "Financeable."})},
    remarks={CASE.id: [{"zh": "演示人员确认", "en": "confirmed by the demo's people"}]},
    banks=({"code": "a"},),
    days=(date(2026, 3, 2), date(2026, 12, 31)),
    hundredths=1234,
    broken=(),
)


def test_the_document_says_what_the_checks_said_when_the_supplier_applied() -> None:
    document = story.document(ENDING)
    first, second = document["cases"]
    assert first["verification"] == {
        "financeable": True,
        "sentence": {"zh": "可以融资。", "en": "Financeable."},
    }
    assert second["verification"]["financeable"] is False
    assert first["applications"][0]["loan"] == {"state": "settled"}
    assert second["applications"][0]["loan"] is None
    assert first["payments"][0]["amount"] == {"fen": 100_000_00, "currency": "CNY"}
    assert first["story"][0]["at"] == "2026-03-02T01:00:00Z"
    assert set(first["story"][0]["text"]) == {"zh", "en"}
    assert document["timing"]["seconds"] == 12.34


def test_it_is_good_only_with_a_settled_loan_a_refusal_and_a_check_that_holds() -> None:
    assert ENDING.is_good
    assert not replace(ENDING, cases=(CASE,)).is_good
    assert not replace(ENDING, cases=(REFUSED,)).is_good
    assert not replace(ENDING, broken=("chains-whole",)).is_good


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_case_ends_with_its_outcome_in_both_languages(lang: str) -> None:
    lines = story.text(ENDING, lambda name, _: name, lang)
    ends = [line for line in lines if "→" in line]
    assert len(ends) == len(ENDING.cases)
    assert "R41" in ends[1]
    assert any("合同〔2026〕1号" in line for line in lines)


def test_the_recipe_survives_blanks_and_quotes_in_paths(tmp_path: Path) -> None:
    odd = tmp_path / "a b'c 数据"
    odd.mkdir()
    lines = story.recipe(odd / "p.asice", odd / "ca.pem", odd / "p")
    for line in lines:
        done = subprocess.run(["sh", "-n", "-c", line], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr)
    assert "-no-CAfile -no-CApath -no-CAstore" in lines[1]
