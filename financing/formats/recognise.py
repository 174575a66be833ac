"""What a file is, by its content, never by its name."""

from __future__ import annotations

import gzip
import zlib
from typing import BinaryIO, Final, Literal, cast

from financing.formats import readers

Kind = Literal["records", "statement", "ignored"]

_BLANK: Final = b" \t\r\n"
_GZIP: Final = b"\x1f\x8b"
_UTF8_MARK: Final = b"\xef\xbb\xbf"


def recognise(stream: BinaryIO) -> Kind:
    """Say what a seekable file holds; it is left at its beginning.

    `records` is JSON (also JSON Lines, also compressed), `statement` is what a row of the table of
    readers takes; whether either is good is for its reader to say. Everything else is `ignored`: a
    README beside the data.
    """
    try:
        head = plain(stream).read(readers.LOOK)
    except (OSError, EOFError, zlib.error):
        head = b"{"  # broken compression: the reader of records says where
    stream.seek(0)
    first = head.removeprefix(_UTF8_MARK).lstrip(_BLANK)[:1]
    if readers.known(head):  # first: an envelope of SWIFT begins like JSON
        return "statement"
    return "records" if first in (b"{", b"[") else "ignored"


def plain(stream: BinaryIO) -> BinaryIO:
    """The stream without its compression, from its beginning."""
    is_compressed = stream.read(2) == _GZIP
    stream.seek(0)
    return cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if is_compressed else stream
