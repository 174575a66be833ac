"""What the command says with its exit code when a verb does not end by itself."""

from __future__ import annotations

import sys

import click
import pytest
from sqlalchemy.exc import OperationalError

from financing.cli import main


def test_an_interrupted_verb_says_130_even_when_stopping_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command()
    def verb() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise OperationalError("ROLLBACK", {}, Exception("canceling statement"))

    monkeypatch.setattr(main, "cli", verb)
    monkeypatch.setattr(sys, "argv", ["financing"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 130


def test_a_fault_that_nobody_foresaw_is_shown_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command()
    def verb() -> None:
        raise OperationalError("SELECT", {}, Exception("no such table"))

    monkeypatch.setattr(main, "cli", verb)
    monkeypatch.setattr(sys, "argv", ["financing"])
    with pytest.raises(OperationalError):
        main.main()
