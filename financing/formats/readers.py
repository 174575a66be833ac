"""The formats in which banks send statements, one row each.

A row says how a file is told by its first bytes and what reads it. A new format is a file beside
this one and a row here; nothing after the reader knows the format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from financing.errors import Unreadable
from financing.formats import archive, camt, mt940, table
from financing.formats.faults import looks_like
from financing.formats.mapping import SavedMapping, Table
from financing.formats.statement import Event
from financing.values.parked import Parked

TAKEN: Final = "Send camt.052, camt.053, camt.054, or MT940, or make a mapping of the table."
LOOK: Final = 4096  # bytes by which a file is told


@dataclass(frozen=True, slots=True)
class Reader:
    name: str
    recognise: Callable[[bytes], bool]
    read: Callable[[BinaryIO, str, SavedMapping | None], Iterator[Event]]


def read(stream: BinaryIO, source: str, mapping: SavedMapping | None = None) -> Iterator[Event]:
    """Read a statement file of any format: lines as they come, each statement after its last.

    Args:
        stream: seekable; it is read from its beginning.
        source: the file's name, for what is parked.
        mapping: what a table means, or how the bank writes MT940.
    Raises:
        Unreadable: no statement, by name and with what the file looks like.
    """
    reader = _reader(stream)
    if reader is None and isinstance(mapping, Table):
        return table.read(stream, source, mapping)
    if reader is None:
        looks = looks_like(stream.read(LOOK)) or "something else"
        raise Unreadable(
            f"NOT-A-STATEMENT: the file looks like {looks}",
            where=source,
            remedy=TAKEN,
        )
    return reader.read(stream, source, mapping)


def _reader(stream: BinaryIO) -> Reader | None:
    stream.seek(0)
    head = stream.read(LOOK)
    stream.seek(0)
    return known(head)


def _zipped(stream: BinaryIO, source: str, mapping: SavedMapping | None) -> Iterator[Event]:
    """The statements in a ZIP; what is none is left aside, what is a bad one is parked.

    Raises:
        Unreadable: no statement in it.
    """
    is_any = False
    refused: list[tuple[str, Unreadable]] = []
    with archive.opened(stream, source) as opened:
        for name in opened.namelist():
            try:
                with archive.member(opened, name, source) as unpacked:
                    reader = _reader(unpacked)
                    is_table = reader is None and isinstance(mapping, Table)
                    if not is_table and (reader is None or reader.name == "zip"):
                        continue
                    for event in read(unpacked, source, mapping):
                        is_any = True
                        yield _inside(event, name)
            except Unreadable as problem:
                refused.append((name, problem))
    if not is_any and refused:
        raise refused[0][1]
    if not is_any:
        raise Unreadable(
            "NOT-A-STATEMENT: a ZIP archive without a statement in it",
            where=source,
            remedy=TAKEN,
        )
    for name, why in refused:
        yield Parked("statement", source, name, "", why.detail, why.remedy)


def _inside(event: Event, name: str) -> Event:
    """An event whose place says in which file of the archive it is."""
    if isinstance(event, Parked):
        return replace(event, where=f"{name}/{event.where}")
    return replace(event, place=f"{name}/{event.place}")


READERS: Final = (
    Reader("camt", camt.recognise, camt.read),
    Reader("mt940", mt940.recognise, mt940.read),
    Reader("zip", archive.recognise, _zipped),
)


def known(head: bytes) -> Reader | None:
    """The reader of a file that begins so."""
    return next((each for each in READERS if each.recognise(head)), None)
