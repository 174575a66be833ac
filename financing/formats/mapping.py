"""A saved mapping: what the columns of a bank's table mean, said once by a person.

Nothing of it is guessed at import. A file of TOML or JSON; `docs/statements.md` shows one.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn

from financing.errors import Invalid, Unreadable
from financing.formats.statement import Identity
from financing.values.money import minor_digits
from financing.values.strict_json import loads
from schemas.fields import read
from schemas.mapping import CurrencyIn, SwiftIn, TableIn

MOST_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Moment:
    """A column of days and how they are written."""

    column: str
    format: str


@dataclass(frozen=True, slots=True)
class Amounts:
    """How a row says its amount and whether it came in; one way is set.

    Args:
        signed: one column with a sign.
        into, out: two columns; `are_signed` where what went out is written with a minus.
        column: an amount without sign, whose direction is a word, or follows from who paid whom.
    """

    signed: str | None = None
    into: str | None = None
    out: str | None = None
    are_signed: bool = False
    column: str | None = None
    direction: str | None = None
    words: tuple[tuple[str, str], ...] = ()
    payer: str | None = None
    payee: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of lines.

    Args:
        account: its number, if the mapping is of one account.
        account_cell: else the text before the number, in the lines above the header.
        header: texts by which the header row is found.
        foot: first cells of rows that are no lines; a group `count` announces how many lines.
        currency: the constant, or None and `currency_column` with its words.
        identity: what tells two lines of one day and amount apart.
    """

    id: str
    version: int
    account: str | None
    account_cell: str | None
    encoding: str
    delimiter: str
    header: tuple[str, ...]
    foot: re.Pattern[str] | None
    newest_first: bool
    date: Moment
    value_date: Moment | None
    amount: Amounts
    currency: str | None
    currency_column: str | None
    currency_words: tuple[tuple[str, str], ...]
    decimal: str
    thousands: str | None
    negative: Literal["minus", "trailing", "brackets"]
    full_width: bool
    empty: frozenset[str]
    balance: str | None
    reference: str | None
    name: str | None
    payer_name: str | None
    payee_name: str | None
    other_account: str | None
    other_bank: str | None
    text: tuple[str, ...]
    identity: Identity
    document: bytes  # the mapping file as received, kept with what was read by it

    @property
    def columns(self) -> tuple[str, ...]:
        """Texts of the header that the rows are read by."""
        way = self.amount
        named = (
            self.date.column, self.value_date.column if self.value_date else None,
            way.signed, way.into, way.out, way.column, way.direction, way.payer, way.payee,
            self.currency_column, self.balance, self.reference, self.name, self.payer_name,
            self.payee_name, self.other_account, self.other_bank, *self.text,
        )  # fmt: skip
        return tuple(dict.fromkeys(each for each in named if each is not None))


@dataclass(frozen=True, slots=True)
class Swift:
    """How a bank writes its MT940 messages.

    Args:
        thirty_day_months: it counts interest in months of thirty days, so that a value date may
            be the 30th of February.
    """

    id: str
    version: int
    encoding: str
    thirty_day_months: bool
    document: bytes


SavedMapping = Table | Swift


def squeezed(cell: str) -> str:
    """A cell's text as headers are compared: NFKC, without any white space."""
    return "".join(unicodedata.normalize("NFKC", cell).split())


def parse(data: bytes, where: str) -> SavedMapping:
    """Read a mapping file.

    Args:
        where: the file's name, for what is wrong with it.
    Raises:
        Unreadable: neither TOML nor JSON.
        Invalid: a field is missing, unknown, or contradicts another; all at once.
    """
    document = _document(data, where)
    kind = document.get("format", "table")
    if kind not in ("table", "mt940"):
        _refuse(where, "/format", "neither table nor mt940")
    try:
        given = read(SwiftIn() if kind == "mt940" else TableIn(), document)
        if kind == "table" and not isinstance(given["currency"], str):
            given["currency"] = read(CurrencyIn(), given["currency"], at=("currency",))
    except Invalid as problem:
        raise Invalid(
            "; ".join(f"{place or '/'}: {why}" for place, why, _ in problem.fields),
            where=where,
            remedy="Correct the mapping; docs/statements.md shows one.",
            fields=problem.fields,
        ) from problem
    if kind == "mt940":
        return Swift(
            given["id"], given["version"], given["encoding"], given["thirty_day_months"], data
        )
    return _table(given, where, data)


def _document(data: bytes, where: str) -> dict[str, Any]:
    if len(data) > MOST_BYTES:
        raise Unreadable("larger than any mapping", where=where, remedy="Send the mapping itself.")
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        found = loads(data.removeprefix(b"\xef\xbb\xbf"))
    else:
        try:
            found = tomllib.loads(data.decode("utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise Unreadable(
                f"the mapping is neither TOML nor JSON: {problem}",
                where=where,
                remedy="docs/statements.md shows one.",
            ) from problem
    if not isinstance(found, dict):
        _refuse(where, "/", "not an object")
    return found


def _table(given: dict[str, Any], where: str, data: bytes) -> Table:
    constant, column, words = _currency(given["currency"], where)
    way = given["amount"]
    moment = given["value_date"]
    balance = given["balance"]
    return Table(
        id=given["id"],
        version=given["version"],
        account=given["account"]["number"],
        account_cell=given["account"]["cell"],
        encoding=given["encoding"],
        delimiter=given["delimiter"],
        header=tuple(given["header"]),
        foot=_pattern(given["foot"], where),
        newest_first=given["order"] == "newest",
        date=Moment(**given["date"]),
        value_date=Moment(**moment) if moment else None,
        amount=Amounts(**{**way, "words": tuple(way.get("words", {}).items())}),
        currency=constant,
        currency_column=column,
        currency_words=words,
        decimal=given["decimal"],
        thousands=given["thousands"],
        negative=given["negative"],
        full_width=given["full_width"],
        empty=frozenset(given["empty"]),
        balance=balance,
        reference=given["reference"],
        name=given["name"],
        payer_name=given["payer_name"],
        payee_name=given["payee_name"],
        other_account=given["other_account"],
        other_bank=given["other_bank"],
        text=tuple(given["text"]),
        identity=given["identity"] or ("balance" if balance else "text"),
        document=data,
    )


def _currency(
    given: str | dict[str, Any], where: str
) -> tuple[str | None, str | None, tuple[tuple[str, str], ...]]:
    """A constant, or a column with the words in it."""
    if isinstance(given, str):
        try:
            minor_digits(given)
        except Invalid as problem:
            _refuse(where, "/currency", problem.detail)
        return given, None, ()
    return None, given["column"], tuple(given["words"].items())


def _pattern(given: str | None, where: str) -> re.Pattern[str] | None:
    try:
        return re.compile(given) if given else None
    except re.error as problem:
        _refuse(where, "/foot", f"no regular expression: {problem}")


def _refuse(where: str, place: str, why: str) -> NoReturn:
    raise Invalid(
        f"{place}: {why}",
        where=where,
        remedy="Correct the mapping; docs/statements.md shows one.",
        fields=((place, why, ""),),
    )
