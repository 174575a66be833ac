"""The formats in which banks send statements, one row each.

A row says how a file is told by its first bytes and what reads it. A new format is a file beside
this one and a row here; nothing after the reader knows the format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from financing.errors import Unreadable
from financing.formats import camt, mt940
from financing.formats.faults import looks_like
from financing.formats.statement import Event

LOOK: Final = 4096  # bytes by which a file is told


@dataclass(frozen=True, slots=True)
class Reader:
    name: str
    recognise: Callable[[bytes], bool]
    read: Callable[[BinaryIO, str], Iterator[Event]]


READERS: Final = (
    Reader("camt", camt.recognise, camt.read),
    Reader("mt940", mt940.recognise, mt940.read),
)


def known(head: bytes) -> Reader | None:
    """The reader of a file that begins so."""
    return next((each for each in READERS if each.recognise(head)), None)


def read(stream: BinaryIO, source: str) -> Iterator[Event]:
    """Read a statement file of any format: lines as they come, each statement after its last.

    Args:
        stream: seekable; it is read from its beginning.
        source: the file's name, for what is parked.
    Raises:
        Unreadable: no statement, by name and with what the file looks like.
    """
    stream.seek(0)
    head = stream.read(LOOK)
    stream.seek(0)
    reader = known(head)
    if reader is None:
        raise Unreadable(
            f"NOT-A-STATEMENT: the file looks like {looks_like(head) or 'something else'}",
            where=source,
            remedy="Send camt.052, camt.053, camt.054, or MT940.",
        )
    return reader.read(stream, source)
