"""A mapped table: the CSV export of a bank, read as its mapping says.

The table carries no balance of its own; where it has a running balance, the lines must follow
from each other in the order of the file or in reverse, and only then are they booked.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import BinaryIO, Final, NamedTuple

from financing.errors import Unreadable
from financing.formats import table_cells as cells
from financing.formats.faults import ASK_AGAIN, Cut, LineFault
from financing.formats.mapping import Table, squeezed
from financing.formats.statement import (
    Account,
    Balance,
    Detail,
    Entry,
    Event,
    Fault,
    Statement,
)
from financing.values.parked import Parked

MOST_LINE: Final = 64 << 10
MOST_BYTES: Final = 2 << 30
MOST_ABOVE: Final = 50  # lines in which the header is looked for
MOST_FOLDED: Final = 20  # lines over which a quoted cell may run
PLACE: Final = "table"

_MEND: Final = "Correct the mapping, or choose the one of this bank and account."
_ENCODING: Final = "Set the encoding in the mapping."


class Row(NamedTuple):
    """Cells of a line of the table, or why there are none."""

    number: int
    cells: list[str]
    raw: bytes
    fault: LineFault | None = None


def read(stream: BinaryIO, source: str, table: Table) -> Iterator[Event]:
    """Read a table: its lines as they come, then the one statement that they are.

    Args:
        source: the file's name, for what is parked.
    Raises:
        Unreadable: the header of the mapping is not in it, or not once.
    """
    reading = _Reading(source, table)
    rows = _rows(stream, table)
    try:
        reading.find_header(rows)
    except Cut as cut:
        raise Unreadable(str(cut), where=source, remedy=cut.remedy) from cut
    yield from reading.lines(rows)
    yield reading.statement()


@dataclass(slots=True)
class _Running:
    """A running balance, checked in both orders at once while rows come.

    Args:
        down: the place where it broke off in the order of the file, `up` in reverse; "" if not.
    """

    count: int = 0
    first: tuple[int, int] = (0, 0)  # amount and balance of the first row, of the last below
    last: tuple[int, int] = (0, 0)
    down: str = ""
    up: str = ""
    is_broken: bool = False  # a row without balance or amount: nobody can tell

    def add(self, amount: int | None, balance: int | None, place: str) -> None:
        if amount is None or balance is None:
            self.is_broken = True
            return
        if self.count:
            before_amount, before = self.last
            if not self.down and before + amount != balance:
                self.down = place
            if not self.up and balance + before_amount != before:
                self.up = place
        else:
            self.first = (amount, balance)
        self.last = (amount, balance)
        self.count += 1


@dataclass(slots=True)
class _Reading:
    """A table while it is read."""

    source: str
    table: Table
    at: dict[str, int] = field(default_factory=dict)  # column → place in the row
    header: list[str] = field(default_factory=list)
    account: str | None = None
    currency: str = ""
    read: int = 0
    told: int | None = None
    sum_fen: int = 0
    running: _Running = field(default_factory=_Running)
    since: date | None = None
    until: date | None = None
    fault: Fault | None = None

    # ── Above the lines ──────────────────────────────────────────────────────────────────────

    def find_header(self, rows: Iterator[Row]) -> None:
        """Take account and header from the first lines.

        Raises:
            Cut: the header is not among them, or a column is in it twice.
        """
        table = self.table
        self.account, self.currency = table.account, table.currency or ""
        wanted = [squeezed(each) for each in (*table.header, *table.columns)]
        for row in rows:
            found = [squeezed(each) for each in row.cells]
            if all(each in found for each in wanted):
                twice = next((each for each in wanted if found.count(each) > 1), None)
                if twice is not None:
                    raise Cut("COLUMN-TWICE", f"the header holds {twice} twice", _MEND)
                self.header = found
                self.at = {each: found.index(squeezed(each)) for each in table.columns}
                return
            self._look_for_account(row.cells, found)
            if row.number >= MOST_ABOVE:
                break
        raise Cut(
            "HEADER-MISSING",
            f"no row of the first {MOST_ABOVE} holds all of: {', '.join(table.columns)}",
            _MEND,
        )

    def _look_for_account(self, row: list[str], found: list[str]) -> None:
        """The number beside its label, or behind it in the same cell."""
        if self.table.account_cell is None or self.account is not None:
            return
        label = squeezed(self.table.account_cell).rstrip(":")
        for n, each in enumerate(found):
            if not each.startswith(label):
                continue
            behind = each[len(label) :].lstrip(":")
            after = [cell.strip() for cell in row[n + 1 :] if cell.strip()]
            self.account = behind or next(iter(after), None)
            return

    # ── Lines ────────────────────────────────────────────────────────────────────────────────

    def lines(self, rows: Iterator[Row]) -> Iterator[Event]:
        try:
            for row in rows:
                if row.fault is None and self._is_no_line(row.cells):
                    continue
                self.read += 1
                yield self._line(row)
        except Cut as cut:
            self.fault = Fault(str(cut), "", cut.remedy)

    def _is_no_line(self, row: list[str]) -> bool:
        """A blank row, the foot, or the header once more, as where sheets were joined."""
        first = next((each.strip() for each in row if each.strip()), "")
        if not first:
            return True
        if self.table.foot is not None and (foot := self.table.foot.search(first)):
            told = foot.groupdict().get("count") or ""
            self.told = int(told) if re.fullmatch("[0-9]{1,9}", told) else self.told
            return True
        return [squeezed(each) for each in row] == self.header

    def _line(self, row: Row) -> Entry | Parked:
        place = f"{PLACE}/row[{row.number}]"
        amount: int | None = None
        balance: int | None = None
        try:
            if row.fault is not None:
                raise row.fault
            code = self._currency(row, place)
            if code != self.currency:
                raise LineFault(
                    "CURRENCY-NOT-ACCOUNTS",
                    f"{place} is in {code}, the account in {self.currency}",
                    value=code,
                    remedy="Ask the bank for an export of one currency.",
                    undecided=False,
                )
            amount = self._amount(row, place)
            balance = self._balance(row, place)
            booking_on = cells.day(
                self._cell(row, self.table.date.column), self.table.date, self.table, place
            )
            moment = self.table.value_date
            written = self._cell(row, moment.column) if moment else ""
            value_on = cells.day(written, moment, self.table, place) if moment and written else None
        except LineFault as fault:
            if fault.undecided and self.fault is None:
                self.fault = Fault(str(fault), fault.value, fault.remedy)
            return Parked(
                "line", self.source, place, fault.value, str(fault), fault.remedy, row.raw
            )
        finally:
            self.sum_fen += amount or 0
            if self.table.balance is not None:
                self.running.add(amount, balance, place)
        self.since = min(self.since or booking_on, booking_on)
        self.until = max(self.until or booking_on, booking_on)
        account = self._cell(row, self.table.other_account)
        is_lost = cells.has_lost_digits(account)
        return Entry(
            statement=1,
            position=self.read,
            place=place,
            amount_fen=amount,
            currency=self.currency,
            status="booked",
            booking_on=booking_on,
            value_on=value_on,
            reversal=False,
            bank_ref=self._cell(row, self.table.reference) or None,
            entry_ref=None,
            code="",
            details=(self._detail(row, amount, "" if is_lost else account),),
            marks=("ACCOUNT-DIGITS-LOST",) if is_lost else (),
            raw=row.raw,
            balance_fen=balance,
            identity=self.table.identity,
        )

    def _cell(self, row: Row, column: str | None) -> str:
        """A cell as text; empty where the row is shorter or the cell means nothing."""
        n = self.at[column] if column is not None else len(row.cells)
        text = row.cells[n].strip() if n < len(row.cells) else ""
        return "" if cells.is_empty(text, self.table) else text

    def _currency(self, row: Row, place: str) -> str:
        column = self.table.currency_column
        if column is None:
            return self.currency
        code = cells.currency(self._cell(row, column), self.table, place)
        self.currency = self.currency or code
        return code

    def _balance(self, row: Row, place: str) -> int | None:
        written = self._cell(row, self.table.balance)
        return self._minor(written, place) if written else None

    def _minor(self, written: str, place: str) -> int:
        return cells.minor(written, self.table, self.currency, place)

    def _amount(self, row: Row, place: str) -> int:
        way = self.table.amount
        if way.signed is not None:
            return self._minor(self._cell(row, way.signed), place)
        if way.column is not None:
            fen = self._minor(self._cell(row, way.column), place)
            return fen if self._came_in(row, place) else -fen
        written = [self._cell(row, column) for column in (way.into, way.out)]
        fens = [self._minor(each, place) if each else 0 for each in written]
        if all(fens) or not any(written):
            what = "both columns" if all(fens) else "neither column"
            raise LineFault(
                "BOTH-COLUMNS" if all(fens) else "AMOUNT-UNREADABLE",
                f"{place} has an amount in {what}, of what came in and of what went out",
                value=" ".join(written),
                remedy=ASK_AGAIN,
                undecided=True,
            )
        return fens[0] + fens[1] if way.are_signed else fens[0] - fens[1]

    def _came_in(self, row: Row, place: str) -> bool:
        way = self.table.amount
        written = self._cell(row, way.direction)
        if way.direction is not None:
            words = {squeezed(word): sign for word, sign in way.words}
            sign = words.get(squeezed(written))
        else:
            own = squeezed(self.account or "")
            payer, payee = (squeezed(self._cell(row, each)) for each in (way.payer, way.payee))
            written = f"{payer} {payee}"
            sign = {(True, False): "+", (False, True): "-"}.get((payee == own, payer == own))
        if sign is None:
            raise LineFault(
                "SIGN-UNKNOWN",
                f"{place} does not say whether the money came in",
                value=written,
                remedy="Say in the mapping what the word means.",
                undecided=True,
            )
        return sign == "+"

    def _detail(self, row: Row, amount: int, account: str) -> Detail:
        table = self.table
        name = self._cell(row, table.name)
        if table.payer_name or table.payee_name:
            name = self._cell(row, table.payer_name if amount >= 0 else table.payee_name) or name
        way = table.amount
        other = self._cell(row, way.payer if amount >= 0 else way.payee) if way.payer else ""
        return Detail(
            amount_fen=None,
            end_to_end=None,
            uetr=None,
            instruction=None,
            mandate=None,
            counterparty=name or None,
            counterparty_account=account or other or None,
            counterparty_bank=self._cell(row, table.other_bank) or None,
            ultimate=None,
            free=tuple(text for each in table.text if (text := self._cell(row, each))),
            structured=(),
            bank_text=None,
            return_code=None,
            purpose=None,
        )

    # ── The table as a statement ─────────────────────────────────────────────────────────────

    def statement(self) -> Statement:
        opening, closing, holds = self._ends()
        fault = self.fault
        if fault is None and holds is False:
            fault = Fault(
                "BALANCE-BROKEN: the running balance does not follow from the lines, in the order"
                f" of the file from {self.running.down} on, in reverse from {self.running.up} on",
                "",
                "Ask the bank for the export again, of one account and currency.",
            )
        if fault is None and self.told is not None and self.told != self.read:
            fault = Fault(
                f"COUNT-DIFFERS: the foot announces {self.told} lines, there are {self.read}",
                str(self.told),
                "Ask the bank for the whole export.",
            )
        account: Account | None = None
        if self.account:
            account = Account("other", self.account, "", self.currency, "")
        else:
            fault = fault or Fault("ACCOUNT-MISSING: no account above the header", "", _MEND)
        return Statement(
            index=1,
            place=PLACE,
            kind="books",
            format=f"table:{self.table.id}:{self.table.identity}",
            account=account,
            message_id=f"{self.table.id}/{self.table.version}",
            statement_id="",
            number=None,
            created_at=None,
            opening=opening,
            closing=closing,
            lines=self.read,
            sum_fen=self.sum_fen,
            holds=holds,
            fault=fault,
            marks=() if holds is not None else ("UNPROVEN",),
        )

    def _ends(self) -> tuple[Balance | None, Balance | None, bool | None]:
        """Balances before the oldest and after the newest line, and whether they are proved.

        One line proves nothing: its balance fits whatever its sign is.
        """
        run = self.running
        if self.fault is not None or run.is_broken or not run.count:
            return None, None, None
        is_up = bool(run.down) or (not run.up and self.table.newest_first)
        oldest, newest = (run.last, run.first) if is_up else (run.first, run.last)
        opening = Balance("running", oldest[1] - oldest[0], self.currency, self.since)
        closing = Balance("running", newest[1], self.currency, self.until)
        if run.down and run.up:
            return opening, closing, False
        return opening, closing, True if run.count > 1 else None


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────


def _rows(stream: BinaryIO, table: Table) -> Iterator[Row]:
    """Rows with their numbers, as CSV; a quote that does not close costs its own line alone.

    Raises:
        Cut: a line or the file is longer than any statement.
    """
    waiting: deque[tuple[int, bytes, str | None]] = deque()
    lines = enumerate(_lines(stream, table.encoding), start=1)

    def following(n: int) -> bool:
        while len(waiting) <= n:
            each = next(lines, None)
            if each is None:
                return False
            waiting.append((each[0], *each[1]))
        return True

    while following(0):
        number, raw, text = waiting[0]
        found: list[str] | None = None
        taken = 1
        if text is not None:
            found = _cut(text, table.delimiter)
            while found is None and taken < MOST_FOLDED and following(taken):
                _, more, part = waiting[taken]
                if part is None or len(raw) + len(more) > MOST_LINE:
                    break
                text, raw, taken = text + part, raw + more, taken + 1
                found = _cut(text, table.delimiter)
        if found is None:
            number, raw, text = waiting.popleft()
            yield Row(number, [], raw, _unread(raw, table) if text is None else _unquoted(raw))
            continue
        for _ in range(taken):
            waiting.popleft()
        yield Row(number, found, raw)


def _cut(line: str, delimiter: str) -> list[str] | None:
    """The cells of a line, or None where its quotes do not close."""
    try:
        rows = list(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if rows else []


def _lines(stream: BinaryIO, encoding: str) -> Iterator[tuple[bytes, str | None]]:
    """Lines as received and as text; None where they are not in the encoding."""
    if encoding == "utf-16":
        yield from _wide_lines(stream)
        return
    total = 0
    while raw := stream.readline(MOST_LINE + 1):
        plain = raw if total else raw.removeprefix(b"\xef\xbb\xbf")
        total += len(raw)
        _check(len(raw), total)
        try:
            yield raw, plain.decode(encoding.removesuffix("-sig")).replace("\x00", "")
        except UnicodeDecodeError:
            yield raw, None


def _wide_lines(stream: BinaryIO) -> Iterator[tuple[bytes, str | None]]:
    """Lines of UTF-16, whose line ends are no single bytes; kept as UTF-8."""
    text = io.TextIOWrapper(stream, "utf-16", errors="replace", newline="")
    total = 0
    try:
        while line := text.readline(MOST_LINE + 1):
            raw = line.encode("utf-8", "replace")
            total += len(raw)
            _check(len(raw), total)
            yield raw, None if "\ufffd" in line else line.replace("\x00", "")
    except UnicodeError as problem:
        raise Cut("ENCODING", "the file is not UTF-16", _ENCODING) from problem
    finally:
        text.detach()


def _check(length: int, total: int) -> None:
    if length > MOST_LINE or total > MOST_BYTES:
        raise Cut("TEXT-TOO-LONG", f"a line has more than {MOST_LINE} bytes")


def _unread(raw: bytes, table: Table) -> LineFault:
    return LineFault(
        "ENCODING",
        f"a row is not written in {table.encoding}",
        value=raw.hex(),
        remedy=_ENCODING,
        undecided=True,
    )


def _unquoted(raw: bytes) -> LineFault:
    return LineFault(
        "ROW-UNREADABLE",
        "the quotes of a row do not close",
        value=raw.decode("utf-8", "replace"),
        remedy="Ask the bank for the export again.",
        undecided=True,
    )
