"""`financing statement`: read a bank statement and say what would be booked; opens no store.

A file may be as long as it likes: the lines of a statement wait on disk until its end was read.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import click

from financing.cli import shared
from financing.errors import Unreadable
from financing.formats import readers
from financing.formats.mapping import SavedMapping
from financing.formats.statement import (
    Balance,
    Entry,
    Event,
    Statement,
    remittance,
    searched,
    tail,
)
from financing.values import accounts
from financing.values.money import money_json, show_money
from financing.values.parked import Parked
from financing.values.text import clean
from financing.words import t

MOST_TEXT: Final = 2000  # characters of a remittance that are shown
WIDTHS: Final = (10, 18, 24, 42)  # day, amount, other side, text: 100 columns with the gaps


@click.command("statement", epilog="Example: financing statement 2026-08.xml")
@click.argument("file", metavar="FILE")
@shared.mapping
@shared.options
def statement(file: str, mapping: SavedMapping | None, as_json: bool, lang: str) -> int:
    """Say what a bank statement would book, and whether its balance holds; changes nothing.

    Exit 1 where a statement would not be booked, 3 where a balance cannot be decided.
    """
    verdict = _Verdict()
    try:
        with Path(file).open("rb") as stream, _spool() as lines:
            events = verdict.over(readers.read(stream, Path(file).name, mapping))
            if as_json:
                _document(events, lines)
            else:
                _for_people(events, lines, lang)
    except OSError as problem:
        raise Unreadable(
            f"the file cannot be opened: {problem.strerror}", where=file, remedy="Check the path."
        ) from problem
    return verdict.exit_code


@dataclass(slots=True)
class _Verdict:
    """What the exit code must say of all that was read."""

    is_refused: bool = False
    is_open: bool = False

    def over(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, Parked) and event.kind == "statement":
                self.is_open = True  # what follows the last whole one
            elif isinstance(event, Statement):
                is_open = event.kind == "books" and event.holds is None
                self.is_open = self.is_open or is_open
                self.is_refused = self.is_refused or (event.fault is not None and not is_open)
            yield event

    @property
    def exit_code(self) -> int:
        return 3 if self.is_open else int(self.is_refused)


# ── One document ─────────────────────────────────────────────────────────────────────────────


def _document(events: Iterable[Event], lines: IO[str]) -> None:
    """Write the document piece by piece: statements as they end, then what is parked."""
    parked: list[dict[str, str]] = []
    is_first = True
    for event in events:
        if isinstance(event, Entry):
            lines.write(_json(_entry(event)) + "\n")
            continue
        if isinstance(event, Parked):
            parked.append(_told(event.where, event.value, event.reason, event.remedy))
            continue
        if event.fault is not None:
            fault = event.fault
            parked.append(_told(event.place, fault.value, fault.reason, fault.remedy))
        _write('{"statements":[' if is_first else ",")
        is_first = False
        _write(_json(_head(event))[:-1] + ',"entries":[')
        for n, one in enumerate(_taken(lines)):
            _write(("," if n else "") + _json(_identified(one, event)))
        _write("]}")
    _write(('{"statements":[' if is_first else "") + f'],"parked":{_json(parked)}}}\n')


def _write(text: str) -> None:
    click.echo(text, nl=False)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _head(found: Statement) -> dict[str, Any]:
    account = found.account
    return {
        "place": found.place,
        "kind": found.kind,
        "format": found.format,
        "account": accounts.last4(account.number) if account else None,
        "currency": account.currency if account else None,
        "number": found.number,
        "lines": found.lines,
        "marks": list(found.marks),
        "books": found.kind == "books" and found.fault is None,
        "balance": {
            "holds": found.holds,
            "opening": _balance(found.opening),
            "closing": _balance(found.closing),
        },
    }


def _balance(found: Balance | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "amount": money_json(found.fen, found.currency),
        "date": found.on.isoformat() if found.on else None,
    }


def _entry(event: Entry) -> dict[str, Any]:
    said = [clean(line) for part in event.details for line in remittance(part)]
    names = {part.counterparty for part in event.details if part.counterparty}
    return {
        "place": event.place,
        "date": event.booking_on.isoformat() if event.booking_on else None,
        "value_date": event.value_on.isoformat() if event.value_on else None,
        "amount": money_json(abs(event.amount_fen), event.currency),
        "direction": "out" if event.amount_fen < 0 else "in",
        "counterparty": clean(names.pop()) if len(names) == 1 else None,
        "remittance": " ".join(said)[:MOST_TEXT],
        "status": event.status,
        "reversal": event.reversal,
        "parts": len(event.details),
        "marks": list(event.marks),
        "tail": tail(event, searched(said)),
        "signed": event.amount_fen,
    }


def _identified(one: dict[str, Any], found: Statement) -> dict[str, Any]:
    """A line with its key: alike wherever the same line is reported again."""
    day = one["date"] or (
        found.closing.on.isoformat() if found.closing and found.closing.on else ""
    )
    account = found.account
    parts = [
        accounts.normalise(account.number) if account else "",
        account.type if account else "",
        one["amount"]["currency"],
        day,
        one.pop("signed"),
        one["reversal"],
        one.pop("tail"),
    ]
    key = hashlib.sha256(_json(parts).encode()).hexdigest()
    return {"key": key, **one, "date": day or None}


def _told(where: str, value: str, reason: str, remedy: str) -> dict[str, str]:
    return {"where": where, "value": value[:80], "reason": reason, "remedy": remedy}


# ── For people ───────────────────────────────────────────────────────────────────────────────


def _for_people(events: Iterable[Event], lines: IO[str], lang: str) -> None:
    """A table for each statement, then in one sentence what it would book."""
    faulty: list[Parked] = []
    for event in events:
        if isinstance(event, Entry):
            lines.write(_json(_entry(event)) + "\n")
            continue
        if isinstance(event, Parked) and event.kind == "line":
            faulty.append(event)
            continue
        if isinstance(event, Statement):
            _title(event, lang)
            booked = 0
            for one in _taken(lines):
                booked += one["status"] == "booked" or event.kind != "books"
                shared.say(_row(one, event, lang))
            _sentence(event, booked, lang)
        for item in faulty if isinstance(event, Statement) else [event]:
            shared.say(t("statement.parked", lang, where=item.where, reason=item.reason))
            shared.say(t("statement.remedy", lang, remedy=item.remedy))
        faulty = []


def _title(found: Statement, lang: str) -> None:
    account = found.account
    shared.say(
        t(
            "statement.head",
            lang,
            place=found.place,
            format=found.format,
            account=accounts.last4(account.number) if account else t("statement.none", lang),
            currency=account.currency if account else "",
        ).rstrip()
    )


def _row(one: dict[str, Any], found: Statement, lang: str) -> str:
    words = [one["remittance"]]
    if found.kind == "books" and one["status"] != "booked":
        told = t(f"statement.status.{one['status']}", lang)
        words.insert(0, f"[{told}]")
    if one["reversal"]:
        words.insert(0, f"[{t('statement.reversal', lang)}]")
    amount = show_money(one["signed"], one["amount"]["currency"], lang)
    cells = (one["date"] or "", amount, one["counterparty"] or "", " ".join(words))
    day, money, other, said = (_cell(c, w) for c, w in zip(cells, WIDTHS, strict=True))
    return f"{day}  {_right(money, WIDTHS[1])}  {other}  {said}".rstrip()


def _sentence(found: Statement, booked: int, lang: str) -> None:
    if found.fault is not None:
        shared.say(t("statement.refused", lang, reason=found.fault.reason))
        if found.holds is False:
            shared.say(_equation("statement.broken", found, lang))
        shared.say(t("statement.remedy", lang, remedy=found.fault.remedy))
        return
    if found.kind != "books":
        key = "statement.kind_notice" if found.kind == "notice" else "statement.kind_intraday"
        shared.say(t(key, lang, n=booked))
        return
    shared.say(t("statement.booked", lang, n=booked))
    if found.holds:
        shared.say(_equation("statement.holds", found, lang))
    else:
        shared.say(t("statement.unproven", lang))


def _equation(key: str, found: Statement, lang: str) -> str:
    shown = {
        name: show_money(each.fen, each.currency, lang) if each else ""
        for name, each in (("opening", found.opening), ("closing", found.closing))
    }
    currency = found.closing.currency if found.closing else ""
    return t(key, lang, sum=show_money(found.sum_fen, currency, lang), **shown)


def _cell(text: str, width: int) -> str:
    """Text cut or filled to a width in columns, of which a Chinese character takes two."""
    taken, kept = 0, ""
    for letter in text:
        wide = 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if taken + wide > width:
            break
        taken, kept = taken + wide, kept + letter
    return kept + " " * (width - taken)


def _right(cell: str, width: int) -> str:
    return cell.rstrip().rjust(width)


# ── Lines that wait ──────────────────────────────────────────────────────────────────────────


def _spool() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8")


def _taken(lines: IO[str]) -> Iterator[dict[str, Any]]:
    """The lines that waited, which are forgotten then."""
    lines.seek(0)
    for line in lines:
        yield json.loads(line)
    lines.seek(0)
    lines.truncate()
