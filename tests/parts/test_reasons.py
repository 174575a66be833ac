"""Refusal codes: every one has words for what happened and for what would change it."""

from financing import words
from financing.rules.reasons import OTHER, REASONS, reason


def test_every_code_has_words_in_both_languages() -> None:
    assert len(REASONS) == 32
    for row in REASONS.values():
        for key in (f"reason.{row.code}", f"reason.mend.{row.mend}"):
            assert all(words.both(key).values()), key


def test_a_code_that_no_row_has_is_other() -> None:
    assert reason("R41").category == "CREDIT"
    assert reason("ZZ9") is reason(None) is OTHER
