"""Statements as SWIFT messages: MT940, and MT942 as its intraday report, streamed.

A tag at the beginning of a line opens a field; whatever follows belongs to the field before it.
Line breaks stay until each part of a field decides what they mean, since banks fold anywhere.

Source: SWIFT user handbook, category 9, MT940 customer statement and MT942 interim report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

from financing.errors import Unreadable
from financing.formats import mt940_line
from financing.formats.faults import ASK_AGAIN, Cut, LineFault
from financing.formats.mapping import SavedMapping, Swift
from financing.formats.mt940_text import detail
from financing.formats.statement import (
    Account,
    Balance,
    Entry,
    Event,
    Fault,
    Kind,
    Statement,
    equation,
    proof,
)
from financing.values.money import show_money
from financing.values.parked import Parked

MOST_BYTES: Final = 2 << 30
MOST_LINE: Final = 64 << 10
MOST_WAITING: Final = 10_000  # lines before the first balance, whose currency is not known yet
MOST_UNKNOWN: Final = 5  # tags that are named; more are counted only
END: Final = "-"  # the tag of a message's end

_TAG: Final = re.compile(rb":([0-9]{2}[A-Z]?|NS):")
_BLOCK: Final = re.compile(rb"\{[1-5]:")
_REPORT: Final = re.compile(rb"\{2:[IO]942")
_BETWEEN: Final = re.compile(rb"-\}|\{[1-5]:|:94[02]1?:")
# What follows a dash that ends a message: the next one, or a line of the bank's own before it.
_FOLLOWS: Final = re.compile(
    rb":2[05]P?:|:?94[02]1?:?[0-9]{0,2}$|[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3,4})?$"
)
_LOOKS: Final = re.compile(rb"(?:^|\n)(?::(?:[0-9]{2}[A-Z]?|NS):|\{1:F01)")
_STATED: Final = ("20", "21", "25", "25P", "28", "28C", "60F", "60M", "62F", "62M", "64", "65")
_REPORTS: Final = ("34F", "13D", "90C", "90D")
_KNOWN: Final = frozenset((*_STATED, *_REPORTS, "13", "61", "86", "NS"))
_COUNT: Final = re.compile(r"([0-9]{1,5})[A-Z]{3}")


class Field(NamedTuple):
    """A field as received; `raw` is its bytes with the tag."""

    tag: str
    content: bytes
    raw: bytes


def recognise(head: bytes) -> bool:
    """Whether a file's first bytes look like a message of this family."""
    return _LOOKS.search(head.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"\n")) is not None


def read(stream: BinaryIO, source: str, mapping: SavedMapping | None = None) -> Iterator[Event]:
    """Read a file of messages: the lines of each statement as they come, then the statement.

    Args:
        source: the file's name, for what is parked.
        mapping: the encoding, of which a line that is not in it is parked, and the bank's months.
    Raises:
        Unreadable: no statement in it.
    """
    if isinstance(mapping, Swift):
        encoding = mapping.encoding.removesuffix("-sig")
        return _Reading(source, encoding, mapping.thirty_day_months).run(stream)
    return _Reading(source).run(stream)


@dataclass(slots=True)
class _Run:
    """A statement while its fields are read."""

    index: int
    message: str = "mt940"
    reference: str = ""
    account: str | None = None
    number: str = ""
    currency: str = ""
    opening: Balance | None = None
    closing: Balance | None = None
    lines: int = 0
    counted: list[int] = field(default_factory=lambda: [0, 0])  # credits and debits read
    told: int | None = None  # lines that the bank announces
    sum_fen: int = 0
    fault: Fault | None = None
    unknown: dict[str, int] = field(default_factory=dict)
    waiting: list[tuple[int, list[Field]]] = field(default_factory=list)

    @property
    def place(self) -> str:
        return f":20:[{self.index}]"

    @property
    def kind(self) -> Kind:
        return "books" if self.message == "mt940" else "intraday"

    @property
    def is_page(self) -> bool:
        return self.closing is not None and self.closing.code == "62M"

    @property
    def is_empty(self) -> bool:
        return not (self.lines or self.opening or self.closing or self.fault)


@dataclass(slots=True)
class _Reading:
    """A file while it is read."""

    source: str
    encoding: str = "utf-8"
    thirty_day_months: bool = False
    run_now: _Run | None = None
    coming: _Run | None = None  # the header after a page, until its balance says what it is
    line: list[Field] = field(default_factory=list)  # a :61: with what belongs to it
    count: int = 0
    is_report: bool = False
    breaks_off: bool = False  # the last line has no end

    def run(self, stream: BinaryIO) -> Iterator[Event]:
        try:
            for each in self._fields(_lines(stream)):
                yield from self._field(each)
            yield from self._flush()
            yield from self._turn(None)
            if self.breaks_off and self.run_now is not None and self.run_now.closing is None:
                raise Cut("TRUNCATED", "the file breaks off in a line", "Send the whole file.")
            yield from self._close()
        except Cut as cut:
            yield from self._cut_short(cut)
            return
        if not self.count:
            raise Unreadable(
                "NOT-A-STATEMENT: MT940 without a statement in it",
                where=self.source,
                remedy=ASK_AGAIN,
            )

    def _cut_short(self, cut: Cut) -> Iterator[Event]:
        self.line = []
        self.run_now = self.run_now or self.coming
        self.coming = None
        if self.run_now is None or self.run_now.is_empty:
            raise Unreadable(str(cut), where=self.source, remedy=cut.remedy)
        self.run_now.fault = Fault(str(cut), "", cut.remedy)
        yield from self._close()

    # ── Fields ───────────────────────────────────────────────────────────────────────────────

    def _fields(self, lines: Iterator[bytes]) -> Iterator[Field]:
        """Cut lines into fields; an END field ends a message.

        A lone dash ends one only where a message, its header, or nothing follows: it may as well
        be a line of the text.
        """
        tag, kept = "", list[bytes]()
        dashes: list[bytes] = []
        line = b"\n"
        for line in lines:
            bare = line.strip()
            if bare == b"-" or (dashes and not bare):
                dashes.append(line)
                continue
            opened = _TAG.match(line)
            is_end = _BETWEEN.match(bare) is not None
            if dashes:
                is_end = is_end or _FOLLOWS.match(bare) is not None
                kept += [] if is_end else dashes
                dashes = []
            if (opened or is_end) and tag:
                yield _cut(tag, kept)
                tag, kept = "", []
            if is_end:
                yield Field(END, b"", b"")
            if _BLOCK.match(bare):
                self.is_report = self.is_report or _REPORT.search(bare) is not None
                opened = _TAG.match(line := line.rpartition(b"{4:")[2])
            if opened:
                tag, kept = opened[1].decode(), [line]
            elif tag:
                kept.append(line)
        if tag:
            yield _cut(tag, kept)
        if not dashes and not line.endswith((b"\n", b"\r")):
            self.breaks_off = tag in ("61", "86")

    def _text(self, each: Field) -> str:
        """A field's text; outside of a line it must be in the file's encoding.

        Raises:
            LineFault: it is not.
        """
        try:
            return each.content.decode(self.encoding).replace("\r", "").replace("\x00", "")
        except UnicodeDecodeError:
            raise LineFault(
                "ENCODING",
                f":{each.tag}: is not written in {self.encoding}",
                value=each.content.hex(),
                remedy="Say the encoding of the file in a mapping.",
                undecided=False,
            ) from None

    # ── One field after the other ────────────────────────────────────────────────────────────

    def _field(self, each: Field) -> Iterator[Event]:
        tag = each.tag
        if tag == "61":
            yield from self._flush()
            yield from self._turn(None)
            self.line = [each]
            return
        if tag in ("86", "NS") or (tag not in _KNOWN and tag != END):
            if self.line:
                self.line.append(each)
            self._note(tag)
            return
        yield from self._flush()
        if tag == END:
            yield from self._end_message()
            return
        try:
            yield from self._header(tag, self._text(each))
        except LineFault as fault:
            run = self.coming or self._current()
            run.fault = run.fault or Fault(str(fault), fault.value, fault.remedy)

    def _note(self, tag: str) -> None:
        run = self.coming or self._current()
        if tag not in _KNOWN:
            run.unknown[tag] = run.unknown.get(tag, 0) + 1

    def _header(self, tag: str, text: str) -> Iterator[Event]:
        text = text.strip("\n")
        if tag == "20":
            yield from self._open(text.strip())
            return
        is_over = self.run_now is not None and self.run_now.closing is not None
        if tag in ("25", "25P") and is_over and self.coming is None:
            yield from self._open("")
        if tag in ("60F", "60M", "62F", "62M"):
            yield from self._balance(tag, text)
            return
        run = self.coming or self._current()
        if tag in ("25", "25P"):
            run.account = text
        elif tag in ("28", "28C"):
            run.number = "".join(text.split())
        elif tag in _REPORTS and run.opening is None:
            self._report(run, tag, text)

    def _report(self, run: _Run, tag: str, text: str) -> None:
        run.message = "mt942"
        if tag == "34F" and re.match("[A-Z]{3}", text):
            run.currency = run.currency or text[:3]
        counted = _COUNT.match(text) if tag in ("90C", "90D") else None
        if counted is not None and int(counted[1]) != run.counted[tag == "90D"]:
            run.fault = run.fault or Fault(
                f"COUNT-DIFFERS: :{tag}: announces {int(counted[1])} lines, there are"
                f" {run.counted[tag == '90D']}",
                counted[1],
                "Ask the bank for the whole statement.",
            )

    def _balance(self, tag: str, text: str) -> Iterator[Event]:
        target = self.coming or self._current()
        known = target.currency or (self.run_now.currency if self.run_now else "")
        found = mt940_line.balance(tag, text, known)
        yield from self._turn(found)
        run = self._current()
        run.currency = run.currency or found.currency
        if found.currency != run.currency:
            raise LineFault(
                "BALANCE-UNREADABLE",
                f":{tag}: is in another currency than the account",
                value=found.currency,
                remedy=ASK_AGAIN,
                undecided=True,
            )
        if tag.startswith("60"):
            run.opening = run.opening or found
        else:
            run.closing = found
        yield from self._settle_waiting(run)

    # ── Messages and pages ───────────────────────────────────────────────────────────────────

    def _current(self) -> _Run:
        if self.run_now is None:
            self.count += 1
            self.run_now = self._born(self.count)
        return self.run_now

    def _born(self, index: int) -> _Run:
        return _Run(index, message="mt942" if self.is_report else "mt940")

    def _open(self, reference: str) -> Iterator[Event]:
        """A message begins: after a page it may be the next page of the same statement."""
        yield from self._turn(None)
        if self.run_now is not None and self.run_now.is_page:
            self.coming = self._born(self.count + 1)
            self.coming.reference = reference
            return
        yield from self._close()
        self._current().reference = reference

    def _turn(self, opening: Balance | None) -> Iterator[Event]:
        """Decide what the message after a page is: its next page, or another statement."""
        run, coming = self.run_now, self.coming
        if coming is None or run is None:
            return
        self.coming = None
        is_next = (
            opening is not None
            and opening.code == "60M"
            and coming.account == run.account
            and coming.number.partition("/")[0] == run.number.partition("/")[0]
        )
        if is_next and opening is not None and run.closing is not None:
            if opening.fen != run.closing.fen:
                run.fault = run.fault or Fault(
                    "BALANCE-BROKEN: a page ends with"
                    f" {show_money(run.closing.fen, run.closing.currency)}, the next begins with"
                    f" {show_money(opening.fen, opening.currency)}",
                    str(opening.fen - run.closing.fen),
                    ASK_AGAIN,
                )
            return
        yield from self._close()
        self.count += 1
        self.run_now = coming

    def _end_message(self) -> Iterator[Event]:
        yield from self._flush()
        yield from self._turn(None)
        if self.run_now is not None and not self.run_now.is_page:
            yield from self._close()

    def _close(self) -> Iterator[Event]:
        """End the statement under way; a lone :20:, some banks' file header, is none."""
        yield from self._flush()
        run, self.run_now = self.run_now, None
        if run is None:
            return
        if run.is_empty:
            self.count -= 1
            return
        yield from self._settle_waiting(run)
        yield _statement(run)

    # ── A line ───────────────────────────────────────────────────────────────────────────────

    def _flush(self) -> Iterator[Event]:
        if not self.line:
            return
        line, self.line = self.line, []
        run = self._current()
        run.lines += 1
        if not run.currency:
            run.currency = mt940_line.account(run.account or "", "").currency
        if run.currency:
            yield self._entry(run, run.lines, line)
            return
        if len(run.waiting) >= MOST_WAITING:
            raise Cut("CURRENCY-UNKNOWN", "no balance says in which currency the lines are")
        run.waiting.append((run.lines, line))

    def _settle_waiting(self, run: _Run) -> Iterator[Event]:
        waiting, run.waiting = run.waiting, []
        for position, line in waiting:
            yield self._entry(run, position, line)

    def _entry(self, run: _Run, position: int, line: list[Field]) -> Entry | Parked:
        place = f"{run.place}/:61:[{position}]"
        raw = b"".join(each.raw for each in line)
        plain = line[0].content.decode("ascii", "replace").replace("\r", "").strip("\n")
        counted = 0
        try:
            booking = mt940_line.booking(plain, run.currency, place)
            counted = booking.amount_fen if booking.status == "booked" else 0
            run.counted[booking.amount_fen < 0] += booking.status == "booked"
            days = mt940_line.days(plain, place, thirty_day_months=self.thirty_day_months)
            texts = [self._text(each).strip("\n") for each in line if each.tag in ("86", "NS")]
            text = self._text(line[0]).strip("\n")
            whole = mt940_line.booking(text, run.currency, place) if text != plain else booking
        except LineFault as fault:
            if fault.undecided and run.fault is None:
                run.fault = Fault(str(fault), fault.value, fault.remedy)
            return Parked("line", self.source, place, fault.value, str(fault), fault.remedy, raw)
        finally:
            run.sum_fen += counted
        return Entry(
            statement=run.index,
            position=position,
            place=place,
            amount_fen=booking.amount_fen,
            currency=run.currency,
            status=booking.status,
            booking_on=days.booking_on,
            value_on=days.value_on,
            reversal=booking.reversal,
            bank_ref=whole.bank_ref,
            entry_ref=whole.entry_ref,
            code=booking.code,
            details=(
                detail(
                    "\n".join(texts),
                    code=booking.code,
                    entry_ref=whole.entry_ref,
                    supplement=whole.supplement,
                ),
            ),
            marks=() if days.booking_on is not None else ("DATE-MISSING",),
            raw=raw,
        )


# ── The file as lines, the statement as a whole ──────────────────────────────────────────────


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines with their ends; old Macintosh ends are none.

    Raises:
        Cut: a line or the file is longer than any statement.
    """
    total = 0
    while line := stream.readline(MOST_LINE + 1):
        if not total:
            line = line.removeprefix(b"\xef\xbb\xbf")
        total += len(line)
        if len(line) > MOST_LINE or total > MOST_BYTES:
            raise Cut("TEXT-TOO-LONG", f"a line has more than {MOST_LINE} bytes")
        yield line


def _cut(tag: str, kept: list[bytes]) -> Field:
    raw = b"".join(kept)
    if len(raw) > MOST_LINE:
        raise Cut("TEXT-TOO-LONG", f":{tag}: has more than {MOST_LINE} bytes")
    return Field(tag, raw[len(tag) + 2 :].rstrip(b"\r\n"), raw)


def _statement(run: _Run) -> Statement:
    account: Account | None = None
    fault = run.fault
    if run.account is not None and run.account.strip():
        account = mt940_line.account(run.account, run.currency)
    is_books = run.kind == "books"
    opening, closing = (run.opening, run.closing) if is_books else (None, None)
    holds = None
    if fault is None:  # else nobody knows the sum
        fault = equation(opening, run.sum_fen, closing)
        holds = proof(opening, run.sum_fen, closing)
    if account is None:
        fault = fault or Fault("ACCOUNT-MISSING: the statement names no account", "", ASK_AGAIN)
    marks = [f"UNKNOWN-TAG {tag}: {n}" for tag, n in list(run.unknown.items())[:MOST_UNKNOWN]]
    return Statement(
        index=run.index,
        place=run.place,
        kind=run.kind,
        format=run.message,
        account=account,
        message_id=run.reference,
        statement_id=run.number,
        number=_number(run),
        created_at=None,
        opening=opening,
        closing=closing,
        lines=run.lines,
        sum_fen=run.sum_fen,
        holds=holds,
        fault=fault,
        marks=tuple(marks if holds is not None or not is_books else [*marks, "UNPROVEN"]),
    )


def _number(run: _Run) -> str | None:
    """The bank's number with its year; zeros are no number, and a page's number proves nothing."""
    digits = run.number.partition("/")[0]
    on = (run.closing.on if run.closing else None) or (run.opening.on if run.opening else None)
    if on is None or not re.fullmatch("[0-9]{1,8}", digits) or not int(digits):
        return None
    return f"28C:{on.year}/{int(digits)}"
