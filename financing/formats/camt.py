"""Statements of ISO 20022: camt.053, camt.052, camt.054 in all their versions, streamed.

Elements are found by their local names, so that every version, a missing namespace, and an
envelope around the document read alike.

Source: ISO 20022 message definitions camt.052 (report), camt.053 (statement), camt.054
(notification), versions .001.01 to .13.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import BinaryIO, Final, NamedTuple

from lxml import etree

from financing.errors import Unreadable
from financing.formats.camt_line import (
    MOST_DEPTH,
    Element,
    check_depth,
    child,
    code,
    day,
    details,
    entry_amount,
    first,
    instant,
    local,
    loose_day,
    minor,
    reference,
    status,
    text,
)
from financing.formats.faults import ASK_AGAIN, ASK_DAY, Cut, LineFault, looks_like
from financing.formats.mapping import SavedMapping
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
from financing.values.parked import Parked


class Message(NamedTuple):
    """A message of banks to their customers, and the element that holds one account's lines."""

    name: str
    container: str
    kind: Kind


MESSAGES: Final = {
    "BkToCstmrStmt": Message("camt.053", "Stmt", "books"),
    "BkToCstmrAcctRpt": Message("camt.052", "Rpt", "intraday"),
    "BkToCstmrDbtCdtNtfctn": Message("camt.054", "Ntfctn", "notice"),
}

CHUNK: Final = 1 << 16
MOST_BYTES: Final = 2 << 30
MOST_LINE_BYTES: Final = 8 << 20  # its tree takes some ten times as much memory
MOST_HEADER_CHILDREN: Final = 4096
NEWEST_VERSION: Final = 13  # a later one is read by the same names, and says so

_VERSION: Final = re.compile(r"camt\.05[234]\.001\.([0-9]{2})$")
_BOOKED: Final = ("OPBD", "PRCD", "CLBD", "ITBD")
_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def recognise(head: bytes) -> bool:
    """Whether a file is XML; which message it holds, its reader says."""
    plain = head.replace(b"\x00", b"")  # UTF-16
    for mark in _MARKS:
        plain = plain.removeprefix(mark)
    return plain.lstrip().startswith(b"<")


def read(stream: BinaryIO, source: str, _mapping: SavedMapping | None = None) -> Iterator[Event]:
    """Read a camt file: the lines of each statement as they come, then the statement itself.

    A statement that breaks off ends with a `Statement` whose fault says so; the complete ones
    before it stand.

    Args:
        source: the file's name, for what is parked.
    Raises:
        Unreadable: no statement of this message at all.
    """
    return _Reading(source).run(stream)


@dataclass(slots=True)
class _Running:
    """A statement while its lines are read."""

    message: Message
    index: int
    element: Element
    is_begun: bool = False
    currency: str = ""
    since: date | None = None
    until: date | None = None
    lines: int = 0
    booked: int = 0
    sum_fen: int = 0
    fault: Fault | None = None

    @property
    def place(self) -> str:
        return f"{self.message.container}[{self.index}]"

    def begin(self) -> None:
        """Take from the header what the lines need: currency and period."""
        self.is_begun = True
        amount = child(self.element, "Bal", "Amt")
        stated = amount.get("Ccy", "") if amount is not None else ""
        self.currency = text(self.element, "Acct", "Ccy") or stated
        span = child(self.element, "FrToDt")
        self.since = loose_day(first(span, ("FrDtTm",), ("FrDt",)))
        self.until = loose_day(first(span, ("ToDtTm",), ("ToDt",)))


@dataclass(slots=True)
class _Reading:
    """A file while it is read."""

    source: str
    message: Message | None = None
    format: str = ""
    message_id: str = ""
    marks: tuple[str, ...] = ()
    running: _Running | None = None
    count: int = 0
    growth: int = 0  # bytes fed since something was taken out of the tree

    def run(self, stream: BinaryIO) -> Iterator[Event]:
        parser = _parser()
        head, total = b"", 0
        try:
            while chunk := stream.read(CHUNK):
                head = head or chunk[:4096]
                total += len(chunk)
                self.growth += len(chunk)
                if total > MOST_BYTES or self.growth > MOST_LINE_BYTES:
                    raise Cut("ENTRY-TOO-LARGE", "a line or the file is longer than any statement")
                cut = _feed(parser, chunk)
                yield from self._events(parser)  # what was whole before a fault is whole
                if cut is not None:
                    raise cut
            root = _finish(parser)
            yield from self._events(parser)
        except Cut as cut:
            yield self._cut_short(cut, head)
            return
        if self.count == 0:
            if _has_doctype(root):
                raise self._refusal(_doctype())
            raise self._refusal(_not_a_statement(self.message, head, local(root)))

    def _events(self, parser: etree.XMLPullParser) -> Iterator[Event]:
        for action, element in parser.read_events():
            if not isinstance(element, Element):
                continue
            if action == "start":
                self._start(local(element), element)
            else:
                yield from self._end(local(element), element)

    def _start(self, name: str, element: Element) -> None:
        if self.message is None:
            if _has_doctype(element):
                raise _doctype()
            self.message = MESSAGES.get(name.removesuffix("V01"))
            if self.message is not None:
                self.format, self.marks = _version(element, self.message)
        elif name == self.message.container and self.running is None:
            self.count += 1
            self.running = _Running(self.message, self.count, element)

    def _end(self, name: str, element: Element) -> Iterator[Event]:
        run = self.running
        if run is None:
            if name == "GrpHdr":
                self.message_id = text(element, "MsgId") or ""
        elif element is run.element:
            yield self._close(run)
            _prune(element)
            self.running, self.growth = None, 0
        elif name == "Ntry" and element.getparent() is run.element:
            yield self._line(run, element)
            _prune(element)
            self.growth = 0
            if len(run.element) > MOST_HEADER_CHILDREN:
                raise Cut("ENTRY-TOO-LARGE", "the header of a statement does not end")

    def _cut_short(self, cut: Cut, head: bytes) -> Statement | Parked:
        """What to say of a file that cannot be read to its end."""
        if self.running is not None:
            self.running.fault = Fault(str(cut), "", cut.remedy)
            return self._close(self.running)
        if self.count:
            place = f"after statement {self.count}"
            return Parked("statement", self.source, place, "", str(cut), cut.remedy)
        if cut.reason in ("NOT-WELL-FORMED", "TRUNCATED") and not _names_a_message(head):
            raise self._refusal(_not_a_statement(None, head))
        raise self._refusal(cut)

    def _refusal(self, cut: Cut) -> Unreadable:
        return Unreadable(str(cut), where=self.source, remedy=cut.remedy)

    # ── A line ───────────────────────────────────────────────────────────────────────────────

    def _line(self, run: _Running, element: Element) -> Entry | Parked:
        if not run.is_begun:
            run.begin()
        run.lines += 1
        place = f"{run.place}/Ntry[{run.lines}]"
        raw = etree.tostring(element, encoding="utf-8", with_tail=False)
        if len(raw) > MOST_LINE_BYTES:
            raise Cut("ENTRY-TOO-LARGE", f"{place} is longer than {MOST_LINE_BYTES} bytes")
        check_depth(element, place)
        counted = 0
        try:
            word = status(element, place, run.message.kind)
            if not run.currency:
                amount = child(element, "Amt")
                run.currency = amount.get("Ccy", "") if amount is not None else ""
            amount_fen = entry_amount(element, run.currency, place)
            counted = amount_fen if word == "booked" else 0
            booking_on = day(child(element, "BookgDt"), place)
            value_on = day(child(element, "ValDt"), place)
            if booking_on is not None:
                _within(run, booking_on, place)
        except LineFault as fault:
            if fault.undecided and run.fault is None:
                run.fault = Fault(str(fault), fault.value, fault.remedy)
            run.sum_fen += counted
            return Parked("line", self.source, place, fault.value, str(fault), fault.remedy, raw)
        run.booked += word == "booked"
        run.sum_fen += counted
        payments, marks = details(element, amount_fen, run.currency)
        return Entry(
            statement=run.index,
            position=run.lines,
            place=place,
            amount_fen=amount_fen,
            currency=run.currency,
            status=word,
            booking_on=booking_on,
            value_on=value_on,
            reversal=text(element, "RvslInd") in ("true", "1"),
            bank_ref=reference(text(element, "AcctSvcrRef")),
            entry_ref=reference(text(element, "NtryRef")),
            code=code(child(element, "BkTxCd")),
            details=payments,
            marks=marks if booking_on is not None else (*marks, "DATE-MISSING"),
            raw=raw,
        )

    # ── The end of a statement ───────────────────────────────────────────────────────────────

    def _close(self, run: _Running) -> Statement:
        element = run.element
        account: Account | None = None
        balances: list[Balance] = []
        marks = list(self.marks)
        statement_id, number, created_at = "", None, None
        opening, closing, holds = None, None, None
        try:
            if not run.is_begun:
                run.begin()
            check_depth(element, run.place)
            account = _account(element, run.currency)
            statement_id = text(element, "Id") or ""
            created_at = instant(text(element, "CreDtTm"))
            balances, is_unsigned = _balances(element, run.currency, run.place)
            marks += ["BALANCE-SIGN-MISSING"] if is_unsigned else []
            if run.message.kind == "books":  # what only announces proves nothing
                opening, closing = _ends(balances, is_page=_is_page(element))
                number = _number(element, closing)
                if run.fault is None:  # else nobody knows the sum
                    run.fault = _verdict(run, opening, closing)
                    holds = proof(opening, run.sum_fen, closing)
                marks += ["UNPROVEN"] if holds is None else []
        except (LineFault, Cut) as fault:
            run.fault = run.fault or Fault(str(fault), fault.value, fault.remedy)
        return Statement(
            index=run.index,
            place=run.place,
            kind=run.message.kind,
            format=self.format,
            account=account,
            message_id=self.message_id,
            statement_id=statement_id,
            number=number,
            created_at=created_at,
            opening=opening,
            closing=closing,
            lines=run.lines,
            sum_fen=run.sum_fen,
            holds=holds,
            fault=run.fault,
            marks=tuple(marks),
        )


# ── The file as a whole ──────────────────────────────────────────────────────────────────────


def _parser() -> etree.XMLPullParser:
    names = [*MESSAGES, *(f"{name}V01" for name in MESSAGES), "GrpHdr", "Ntry"]
    names += [message.container for message in MESSAGES.values()]
    return etree.XMLPullParser(
        events=("start", "end"),
        tag=[f"{{*}}{name}" for name in names],
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _prune(element: Element) -> None:
    """Empty a finished element and drop its like before it, so that the tree stays small."""
    element.clear()
    before, parent = element.getprevious(), element.getparent()
    if before is not None and parent is not None and local(before) == local(element):
        parent.remove(before)


def _has_doctype(element: Element) -> bool:
    return element.getroottree().docinfo.internalDTD is not None


def _version(element: Element, message: Message) -> tuple[str, tuple[str, ...]]:
    found = _VERSION.search(etree.QName(element).namespace or "")
    if found is None:
        return message.name, ("VERSION-UNKNOWN",)
    is_known = 1 <= int(found[1]) <= NEWEST_VERSION
    return found[0], () if is_known else ("VERSION-UNKNOWN",)


def _feed(parser: etree.XMLPullParser, chunk: bytes) -> Cut | None:
    try:
        parser.feed(chunk)
    except etree.XMLSyntaxError as problem:
        line, why = problem.lineno, problem.msg.lower()
        if "depth" in why:
            return Cut("TOO-DEEP", f"line {line} is nested deeper than {MOST_DEPTH} levels")
        if "limit" in why or "too long" in why:
            return Cut("TEXT-TOO-LONG", f"a text in line {line} does not end")
        return Cut("NOT-WELL-FORMED", f"line {line} is no well-formed XML")
    return None


def _finish(parser: etree.XMLPullParser) -> Element:
    try:
        return parser.close()
    except etree.XMLSyntaxError as problem:
        where = f"the file breaks off in line {problem.lineno}"
        raise Cut("TRUNCATED", where, "Send the whole file.") from problem


def _doctype() -> Cut:
    return Cut("DOCTYPE", "the file declares a document type, behind which entities may hide")


def _not_a_statement(message: Message | None, head: bytes, root: str = "") -> Cut:
    if message is not None:
        return Cut("NOT-A-STATEMENT", f"{message.name} without a statement in it", ASK_AGAIN)
    looks = looks_like(head) or (f"XML of another kind, <{root}>" if root else "something else")
    return Cut(
        "NOT-A-STATEMENT", f"the file looks like {looks}", "Send camt.052, camt.053, or camt.054."
    )


def _names_a_message(head: bytes) -> bool:
    plain = head.replace(b"\x00", b"")  # UTF-16
    return any(name.encode() in plain for name in MESSAGES) or b"xsd:camt.05" in plain


# ── Header and balances ──────────────────────────────────────────────────────────────────────


def _within(run: _Running, on: date, place: str) -> None:
    if (run.since is not None and on < run.since) or (run.until is not None and on > run.until):
        raise LineFault(
            "DATE-OUTSIDE-PERIOD",
            f"{place} is booked outside the days of its statement",
            value=on.isoformat(),
            remedy=ASK_DAY,
            undecided=False,
        )


def _account(element: Element, currency: str) -> Account:
    account = child(element, "Acct")
    iban = text(account, "Id", "IBAN")
    number = iban or first(account, ("Id", "Othr", "Id"), ("Id", "PrtryAcct", "Id"), ("Id", "BBAN"))
    if number is None:
        raise Cut("ACCOUNT-MISSING", "the statement names no account", ASK_AGAIN)
    servicer = child(account, "Svcr", "FinInstnId")
    return Account(
        scheme="IBAN" if iban else "other",
        number=number,
        type=first(account, ("Tp", "Cd"), ("Tp", "Prtry")) or "",
        currency=currency,
        servicer=first(servicer, ("BICFI",), ("BIC",), ("ClrSysMmbId", "MmbId")) or "",
    )


def _balances(element: Element, currency: str, place: str) -> tuple[list[Balance], bool]:
    """Booked balances in the account's currency, in their order; whether one lacks its sign."""
    found: list[Balance] = []
    is_unsigned = False
    for each in element.iterchildren("{*}Bal"):
        word = first(each, ("Tp", "CdOrPrtry", "Cd"), ("Tp", "Cd"))  # .01 has no choice
        amount = child(each, "Amt")
        is_foreign = amount is not None and amount.get("Ccy", currency) != currency
        if word not in _BOOKED or is_foreign:
            continue
        try:
            units = minor(amount, currency, f"{place}/Bal {word}")
            on = day(child(each, "Dt"), f"{place}/Bal {word}")
        except LineFault as fault:
            raise LineFault(
                "BALANCE-UNREADABLE",
                str(fault),
                value=fault.value,
                remedy=ASK_AGAIN,
                undecided=True,
            ) from None
        side = text(each, "CdtDbtInd")
        is_unsigned = is_unsigned or side is None
        found.append(Balance(word, -units if side == "DBIT" else units, currency, on))
    return found, is_unsigned


def _is_page(element: Element) -> bool:
    """Whether a statement is one page of several: then interim balances count."""
    for holder, name in (
        (element, "StmtPgntn"),
        (child(element.getparent(), "GrpHdr"), "MsgPgntn"),
    ):
        page = child(holder, name)
        if page is not None:
            is_first = (text(page, "PgNb") or "1") == "1"
            is_last = (text(page, "LastPgInd") or "true") in ("true", "1")
            return not (is_first and is_last)
    return False


def _ends(balances: list[Balance], *, is_page: bool) -> tuple[Balance | None, Balance | None]:
    """Opening (else the previous closing) and last closing; available ones never count."""
    named = {word: [each for each in balances if each.code == word] for word in _BOOKED}
    opening = next(iter(named["OPBD"] or named["PRCD"]), None)
    closing = named["CLBD"][-1] if named["CLBD"] else None
    if is_page:
        interim = named["ITBD"]
        if opening is None and interim:
            opening = interim.pop(0)
        if closing is None and interim:
            closing = interim[-1]
    return opening, closing


def _verdict(run: _Running, opening: Balance | None, closing: Balance | None) -> Fault | None:
    """Why nothing of this statement may be booked, or None.

    The equation runs over all lines whose amount and sign could be read, parked ones included.
    """
    told = text(run.element, "TxsSummry", "TtlNtries", "NbOfNtries") or ""
    if re.fullmatch("[0-9]{1,15}", told) and int(told) not in (run.lines, run.booked):
        return Fault(
            f"COUNT-DIFFERS: the bank announces {told} lines and sends {run.lines}",
            told,
            "Ask the bank for the whole statement.",
        )
    return equation(opening, run.sum_fen, closing)


def _number(element: Element, closing: Balance | None) -> str | None:
    """The bank's number of the statement with its year; None where it proves nothing.

    A legal number stays when a statement is sent again, so it is preferred. A copy may carry a
    number of its own, so it proves nothing.
    """
    legal, electronic = text(element, "LglSeqNb"), text(element, "ElctrncSeqNb")
    number = legal or electronic
    on = closing.on if closing is not None else None
    on = on or loose_day(text(element, "FrToDt", "ToDtTm") or text(element, "CreDtTm"))
    if number is None or on is None or child(element, "CpyDplctInd") is not None:
        return None
    return f"{'legal' if legal else 'electronic'}:{on.year}/{number}"
