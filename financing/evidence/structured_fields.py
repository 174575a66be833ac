"""Structured header fields, as far as signatures of messages need them.

A dictionary of inner lists (`sig1=("@method" "date");created=1`) and a dictionary of byte
sequences (`sig1=:AAAA:`). Strict: what the grammar does not allow is refused with its position,
and so is a member that comes twice, for two readers would choose differently.

Source: RFC 9651 (formerly 8941), sections 3.1, 3.2, 3.3, and 4.1 for writing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

Bare = int | str | bool | bytes
Parameters = Mapping[str, Bare]

_KEY: Final = re.compile(r"[a-z*][a-z0-9_.*-]*")
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}(?![0-9.A-Za-z])")
_STRING: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BYTES: Final = re.compile(r":([A-Za-z0-9+/]*={0,2}):")
_BETWEEN: Final = re.compile(r"[ \t]*,[ \t]*")
_SPACES: Final = re.compile(r" *")


class Malformed(ValueError):
    """The field is not in the grammar; says where, counted from 1."""


@dataclass(frozen=True, slots=True)
class InnerList:
    """Texts in order, each with its parameters, and the parameters of the whole."""

    items: tuple[tuple[str, Parameters], ...]
    parameters: Parameters

    def written(self) -> str:
        """The one spelling of this list."""
        return f"({' '.join(_text(text) + _after(own) for text, own in self.items)})" + _after(
            self.parameters
        )


def inner_lists(field: str) -> dict[str, InnerList]:
    """Read a dictionary whose members are inner lists of texts.

    Raises:
        Malformed: not such a dictionary.
    """
    reader = _Reader(field)
    return {name: reader.inner_list() for name in reader.members()}


def byte_sequences(field: str) -> dict[str, bytes]:
    """Read a dictionary whose members are byte sequences; parameters of theirs are dropped.

    Raises:
        Malformed: not such a dictionary.
    """
    reader = _Reader(field)
    found = {}
    for name in reader.members():
        found[name] = reader.bytes_()
        reader.parameters()
    return found


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _after(parameters: Parameters) -> str:
    return "".join(f";{name}{_value(value)}" for name, value in parameters.items())


def _value(value: Bare) -> str:
    if value is True:
        return ""
    if isinstance(value, bytes):
        return f"=:{base64.b64encode(value).decode()}:"
    if isinstance(value, str):
        return f"={_text(value)}"
    return "=?0" if value is False else f"={value}"


class _Reader:
    """A field and how far it has been read."""

    def __init__(self, field: str) -> None:
        self.field, self.at = field.strip(" "), 0

    def members(self) -> Iterator[str]:
        """Names of a dictionary's members, each read to its `=`; the caller reads the value."""
        known: set[str] = set()
        while not known or self.at < len(self.field):
            if known and not self.take(_BETWEEN):
                raise self.wrong("a comma")
            name = self.key()
            if name in known:
                raise self.wrong(f"no second {name}")
            known.add(name)
            self.expect("=")
            yield name

    def inner_list(self) -> InnerList:
        self.expect("(")
        items: list[tuple[str, Parameters]] = []
        while True:
            spaces = self.take(_SPACES) or ""
            if self.skip(")"):
                break
            if items and not spaces:
                raise self.wrong("a space between components")
            items.append((self.text(), self.parameters()))
        return InnerList(tuple(items), self.parameters())

    def text(self) -> str:
        match = _STRING.match(self.field, self.at)
        if match is None:
            raise self.wrong("a text in quotes")
        self.at = match.end()
        return re.sub(r"\\(.)", r"\1", match[1])

    def bytes_(self) -> bytes:
        match = _BYTES.match(self.field, self.at)
        if match is None:
            raise self.wrong("base64 between colons")
        try:
            data = base64.b64decode(match[1], validate=True)
        except binascii.Error as problem:
            raise self.wrong("base64 between colons") from problem
        self.at = match.end()
        return data

    def parameters(self) -> Parameters:
        found: dict[str, Bare] = {}
        while self.skip(";"):
            self.take(_SPACES)
            name = self.key()
            if name in found:
                raise self.wrong(f"no second {name}")
            found[name] = self.bare() if self.skip("=") else True
        return found

    def bare(self) -> Bare:
        ahead = self.field[self.at : self.at + 1]
        if ahead == '"':
            return self.text()
        if ahead == ":":
            return self.bytes_()
        if ahead == "?" and self.field[self.at + 1 : self.at + 2] in ("0", "1"):
            self.at += 2
            return self.field[self.at - 1] == "1"
        number = self.take(_INTEGER)
        if not number:
            raise self.wrong("a whole number, a text in quotes, or base64 between colons")
        return int(number)

    def key(self) -> str:
        name = self.take(_KEY)
        if not name:
            raise self.wrong("a name in lower case")
        return name

    def take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.field, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def skip(self, letter: str) -> bool:
        found = self.field.startswith(letter, self.at)
        self.at += found
        return found

    def expect(self, letter: str) -> None:
        if not self.skip(letter):
            raise self.wrong(letter)

    def wrong(self, wanted: str) -> Malformed:
        return Malformed(f"position {self.at + 1}: expected {wanted}")
