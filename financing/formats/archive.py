"""A ZIP of statements: its members one after the other, within limits.

The names inside are labels only: nothing is ever written under them. The whole directory is looked
at before the first byte is unpacked, and each member is unpacked whole before it is read, so that
a damaged one gives nothing.

Source: APPNOTE.TXT, ZIP file format, sections 4.3 and 4.4.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, cast

from financing.errors import Unreadable

MOST_MEMBERS: Final = 1000
MOST_UNPACKED: Final = 2 << 30  # bytes, all members together

_ENCRYPTED: Final = 0x1
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    ValueError,
)


def recognise(head: bytes) -> bool:
    """Whether a file's first bytes are those of an archive."""
    return head.startswith(b"PK\x03\x04")


@contextmanager
def opened(stream: BinaryIO, source: str) -> Iterator[zipfile.ZipFile]:
    """The archive, once its directory was found to be within the limits.

    Raises:
        Unreadable: no archive, encrypted, with two members of one name, or too large.
    """
    try:
        archive = zipfile.ZipFile(stream)
    except _DAMAGE as problem:
        raise Unreadable(
            "ARCHIVE-DAMAGED: the ZIP archive has no readable directory",
            where=source,
            remedy="Send the archive again, or the files in it.",
        ) from problem
    with archive:
        _check(archive.infolist(), source)
        yield archive


def _check(members: list[zipfile.ZipInfo], source: str) -> None:
    names = [each.filename for each in members]
    if "[Content_Types].xml" in names:
        raise Unreadable(
            "NOT-A-STATEMENT: the file looks like a workbook of Excel",
            where=source,
            remedy="Save its sheet as CSV.",
        )
    faults = {
        "UNPACKED-TOO-LARGE: more than 1000 files or 2 GiB in the archive": (
            len(members) > MOST_MEMBERS or sum(each.file_size for each in members) > MOST_UNPACKED
        ),
        "ARCHIVE-ENCRYPTED: a file in the archive is encrypted": any(
            each.flag_bits & _ENCRYPTED for each in members
        ),
        "ARCHIVE-DAMAGED: two files of one name are in the archive": len(set(names)) < len(names),
    }
    for reason, is_wrong in faults.items():
        if is_wrong:
            raise Unreadable(reason, where=source, remedy="Unpack it, and send the files in it.")


@contextmanager
def member(archive: zipfile.ZipFile, name: str, source: str) -> Iterator[BinaryIO]:
    """One file of the archive, unpacked to a nameless file on disk.

    Raises:
        Unreadable: it is not what the directory says.
    """
    with tempfile.TemporaryFile() as unpacked:
        try:
            with archive.open(name) as packed:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
        except _DAMAGE as problem:
            raise Unreadable(
                "ARCHIVE-DAMAGED: a file in the archive cannot be unpacked",
                where=f"{source}/{name}",
                remedy="Send the archive again, or the files in it.",
            ) from problem
        unpacked.seek(0)
        yield cast("BinaryIO", unpacked)
