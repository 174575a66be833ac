"""A JSON text of any length, walked value by value, with the bytes of each value as received.

Memory is bounded by the largest single value, never by the text. What cannot be read is skipped by
its brackets, so that one bad value does not take its neighbours along.
"""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from financing.errors import Unreadable
from financing.values import strict_json
from financing.values.strict_json import Json, pointer

Path = tuple[str | int, ...]

MOST_CHARS: Final = 16 << 20  # of one value; larger ones are refused by name
KEPT_CHARS: Final = 1 << 20  # of a refused value that is larger than that
MOST_DEPTH: Final = 64
MOST_TEXT: Final = 64 << 10
MOST_ITEMS: Final = 10_000
_CHUNK: Final = 64 << 10
_NEAR_END: Final = 16  # a literal, number sign, or escape that the window cuts is shorter

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SLUG: Final = re.compile(r"[A-Z][A-Z-]+: ")
_SCALAR: Final = re.compile(r"[^,\]}\n]+")
_LINE: Final = re.compile(r"\n")
_OUTSIDE: Final = re.compile(r'["\[\]{}]')
_INSIDE: Final = re.compile(r'"|\\.', re.DOTALL)
_SUSPECT: Final = re.compile(r"\\u(?:0000|[dD][89abAB])")
_ESCAPED_BYTE: Final = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A value that was read, and its bytes."""

    value: Json
    raw: bytes
    path: Path
    line: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """A value that could not be read.

    Args:
        reason: slug in capitals with a sentence.
        raw: its bytes, or their beginning where they are more than a value may have.
        is_end: nothing after it can be read either.
    """

    path: Path
    line: int
    reason: str
    remedy: str
    raw: bytes
    is_end: bool


@dataclass(slots=True)
class Window:
    """The part of a text that is in memory; `at` is the place of the reader in it.

    Args:
        read: gives at most so many bytes, none at the end.
        by_line: each value has a line to itself, so that a bad one ends with its line.
        held: what lies behind the reader is kept, so that positions stay valid.
    """

    read: Callable[[int], bytes]
    text: str = ""
    at: int = 0
    by_line: bool = False
    held: bool = False
    is_last: bool = False
    was_cut: bool = False  # the compression ends, or breaks, in the middle
    lines_before: int = 0
    _passed_bytes: int = 0
    _lines_at: int = 0
    _decoder: codecs.IncrementalDecoder = field(
        # Bytes that are not UTF-8 survive the decoding, so that only the value that holds them is
        # refused, with its bytes unchanged.
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("surrogateescape")
    )
    _json: json.JSONDecoder = field(default_factory=lambda: strict_json.decoder(big_ints=True))

    def more(self) -> bool:
        """Read on: at least one chunk, and as much again as the window holds ahead."""
        if self.is_last:
            return False
        if not self.held:
            self._forget()
        try:
            data = self.read(max(_CHUNK, len(self.text) - self.at))
        except (EOFError, OSError, zlib.error):
            # The gzip reader says so when its stream ends or breaks before its own end mark.
            data, self.was_cut = b"", True
        self.is_last = not data
        if not self.text and not self._passed_bytes and data.startswith(codecs.BOM_UTF8):
            # RFC 8259, section 8.1: readers may ignore a byte order mark.
            data, self._passed_bytes = data[3:], 3
        self.text += self._decoder.decode(data, final=self.is_last)
        return not self.is_last

    def _forget(self) -> None:
        if not self.at:
            return
        self.line()
        self._lines_at = 0
        self._passed_bytes += len(encoded(self.text[: self.at]))
        self.text, self.at = self.text[self.at :], 0

    def hold(self) -> None:
        """Keep everything from here on until `held` is taken back."""
        # Not at each value: the copies would cost more than the reading.
        if self.at > _CHUNK and self.at > len(self.text) // 2:
            self._forget()
        self.held = True

    def peek(self) -> str:
        """The next character that is no blank, or nothing at the end."""
        while True:
            found = _SPACE.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more() and self.at >= len(self.text):
                return ""

    def value(self) -> Json:
        """Read the value at the reader's place and move behind it.

        Raises:
            json.JSONDecodeError: malformed, or the text ends in it.
            Unreadable: a key twice, NaN, a number out of range, nesting, or size.
        """
        while True:
            try:
                value, end = self._json.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if self.may_be_cut(error) and self._grow():
                    continue
                raise
            except RecursionError as error:
                raise Unreadable(
                    f"DEPTH: nested deeper than {MOST_DEPTH} levels",
                    remedy="publish a flatter record",
                ) from error
            # A number may go on behind the window; anything else shows its end.
            if end == len(self.text) and self.text[end - 1] not in '}]"' and self._grow():
                continue
            self.at = end
            return value  # type: ignore[no-any-return]  # json is untyped

    def may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether more text might mend this error."""
        return error.msg.startswith("Unterminated") or error.pos >= len(self.text) - _NEAR_END

    def _grow(self) -> bool:
        length = len(self.text) - self.at
        if length > MOST_CHARS:
            raise _too_large()
        self.more()
        return len(self.text) - self.at > length

    def skip(self) -> tuple[str, bool]:
        """Move behind the value at the reader's place without reading it: by brackets, or by line.

        Returns:
            its text, cut where it is larger than a value may be; whether its end was found.
        """
        if not self.by_line and self.text[self.at : self.at + 1] not in ("{", "[", '"'):
            start, found = self.at, _SCALAR.match(self.text, self.at)
            self.at = found.end() if found else min(self.at + 1, len(self.text))
            return self.text[start : self.at], self.at < len(self.text)
        kept: list[str] = []
        size, depth, pattern = 0, 0, _LINE if self.by_line else _OUTSIDE
        while True:
            start = self.at
            found_end = False
            while (found := pattern.search(self.text, self.at)) is not None:
                self.at = found.end()
                mark = found.group()
                if pattern is _INSIDE:
                    pattern = _OUTSIDE if mark == '"' else _INSIDE
                elif mark == '"':
                    pattern = _INSIDE
                elif pattern is _OUTSIDE:
                    depth += 1 if mark in "[{" else -1
                if depth <= 0 and pattern is not _INSIDE:
                    found_end = True
                    break
            if not found_end:
                # A backslash at the very end belongs with the character after it.
                is_open = pattern is _INSIDE and self.text.endswith("\\") and not self.is_last
                self.at = max(self.at, len(self.text) - is_open)
            kept.append(self.text[start : self.at])
            size += self.at - start
            if size > MOST_CHARS:
                kept, self.held = ["".join(kept)[:KEPT_CHARS]], False
            if found_end or (not self.more() and self.at >= len(self.text)):
                return "".join(kept), found_end or self.by_line

    def rest(self) -> str:
        """Move to the end of the text, or of the line where each has one; give what lay there."""
        kept, size = "", 0
        while True:
            found = _LINE.search(self.text, self.at) if self.by_line else None
            end = found.start() if found else len(self.text)
            kept += self.text[self.at : end]
            size += end - self.at
            if size > MOST_CHARS:
                kept, self.held = kept[:KEPT_CHARS], False
            self.at = end
            if found or not self.more():
                return kept

    def line(self) -> int:
        """The number of the reader's line, from 1."""
        self.lines_before += self.text.count("\n", self._lines_at, self.at)
        self._lines_at = max(self._lines_at, self.at)
        return self.lines_before + 1

    def byte(self, at: int) -> int:
        """The position of a place of the window in the stream."""
        return self._passed_bytes + len(encoded(self.text[:at]))


def encoded(text: str) -> bytes:
    """The bytes that a window's text was read from."""
    return text.encode("utf-8", "surrogateescape")


def read_piece(window: Window, path: Path) -> Piece | Flaw:
    """Read one whole value, or say why it cannot be read and move behind it."""
    window.peek()
    was_held = window.held
    if not was_held:
        window.hold()
    line, start = window.line(), window.at
    try:
        value = window.value()
    except (json.JSONDecodeError, Unreadable) as error:
        window.held = was_held
        return flaw(window, path, error)
    text = window.text[start : window.at]
    window.held = was_held
    try:
        examine(value, text, lambda: window.byte(start))
    except Unreadable as error:
        inner = f" (at {error.where})" if error.where else ""
        kept = text if len(text) <= MOST_CHARS else text[:KEPT_CHARS]
        return Flaw(path, line, error.detail + inner, error.remedy, encoded(kept), is_end=False)
    return Piece(value, encoded(text), path, line)


def flaw(
    window: Window,
    path: Path,
    error: json.JSONDecodeError | Unreadable,
    *,
    to_end: bool = False,
) -> Flaw:
    """The value at the reader's place cannot be read; move behind it where its end shows.

    Args:
        to_end: nothing that follows can be read either.
    """

    def skip() -> tuple[str, bool]:
        return (window.rest(), window.by_line) if to_end else window.skip()

    line, start = window.line(), window.byte(window.at)
    if isinstance(error, Unreadable):
        known = _SLUG.match(error.detail)
        reason = error.detail if known else f"JSON: {error.detail}, in the value at byte {start}"
        raw, found = skip()
        return Flaw(path, line, reason, error.remedy, encoded(raw), is_end=not found)
    might = window.may_be_cut(error)
    reason = f"JSON: {error.msg} at byte {window.byte(error.pos)}"
    remedy = "publish valid JSON"
    raw, found = skip()
    if might and window.is_last and (not found or window.by_line):
        reason = f"TRUNCATED: the file ends inside the value that begins at byte {start}"
        remedy = "send the file again, whole"
    return Flaw(path, line, reason, remedy, encoded(raw), is_end=not found)


def examine(value: Json, text: str, start: Callable[[], int]) -> None:
    """Refuse what a lax reader would let through.

    Args:
        start: the position of the text in the stream.
    Raises:
        Unreadable: size, bytes that are not UTF-8, nesting, a text or a list that is too long,
            U+0000, or half a surrogate pair.
    """
    if len(text) > MOST_CHARS:
        raise _too_large()
    if not text.isascii():
        found = _ESCAPED_BYTE.search(text)
        if found is not None:
            at = start() + len(encoded(text[: found.start()]))
            raise Unreadable(
                f"ENCODING: not UTF-8: byte {at} is 0x{ord(found.group()) - 0xDC00:02x}",
                remedy="publish the record in UTF-8",
            )
    _measure(value, (), is_large=len(text) > MOST_ITEMS)
    if _SUSPECT.search(text):
        _check_letters(value, ())


def _too_large() -> Unreadable:
    return Unreadable(
        f"SIZE: larger than {MOST_CHARS >> 20} MiB", remedy="publish it in several releases"
    )


def _measure(value: Json, path: Path, *, is_large: bool) -> None:
    # Depth first over containers alone: leaves are many, and few of them can be too long.
    if len(path) >= MOST_DEPTH and isinstance(value, dict | list):
        raise Unreadable(
            f"DEPTH: nested deeper than {MOST_DEPTH} levels", remedy="publish a flatter record"
        )
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list):
                _measure(inner, (*path, key), is_large=is_large)
            elif is_large and isinstance(inner, str) and len(inner) > MOST_TEXT:
                raise Unreadable(
                    f"SIZE: a text of {len(inner)} characters, at most {MOST_TEXT} are read",
                    where=pointer((*path, key)),
                    remedy="publish long texts as documents",
                )
    elif isinstance(value, list):
        if len(value) > MOST_ITEMS:
            raise Unreadable(
                f"SIZE: a list of {len(value)} items, at most {MOST_ITEMS} are read",
                where=pointer(path),
                remedy="publish it in several releases",
            )
        for i, inner in enumerate(value):
            if isinstance(inner, dict | list):
                _measure(inner, (*path, i), is_large=is_large)


def _check_letters(value: Json, path: Path) -> None:
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Unreadable(
                "CHARACTER: U+0000 or half a surrogate pair",
                where=pointer(path),
                remedy="publish whole characters",
            )
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_letters(key, path)
            _check_letters(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            _check_letters(inner, (*path, i))
