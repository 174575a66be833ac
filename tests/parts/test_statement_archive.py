"""A ZIP of statements is read member by member, within limits, and never unpacked by its names."""

from __future__ import annotations

import os
import warnings
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from financing.errors import Unreadable
from financing.formats import archive, readers
from financing.formats.recognise import recognise
from financing.formats.statement import Event, Statement
from financing.values.parked import Parked
from tests.statements_made import Line, Made, camt, mt940

ONE = Made((Line("100.00", "a", ref="R1"),))


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        warnings.simplefilter("ignore")  # two files of one name
        for name, content in members:
            made.writestr(name, content)
    return buffer.getvalue()


def read(data: bytes) -> list[Event]:
    return list(readers.read(BytesIO(data), "s.zip"))


def test_statements_of_any_format_are_read_and_say_where_they_stood() -> None:
    data = zipped(
        ("README.txt", b"hello"), ("a.xml", camt(ONE)), ("swift/b.sta", mt940(ONE)),
        ("inner.zip", zipped(("c.xml", camt(ONE)))),
    )  # fmt: skip
    assert recognise(BytesIO(data)) == "statement"
    events = read(data)
    assert [each.place for each in events if isinstance(each, Statement)] == [
        "a.xml/Stmt[1]", "swift/b.sta/:20:[1]",
    ]  # fmt: skip
    assert len(events) == 4


def test_a_bad_member_is_parked_and_the_others_are_read() -> None:
    events = read(zipped(("a.xml", b"<html></html>"), ("b.xml", camt(ONE))))
    assert [each.place for each in events if isinstance(each, Statement)] == ["b.xml/Stmt[1]"]
    assert isinstance(events[-1], Parked)
    assert (events[-1].where, events[-1].reason.split(":")[0]) == ("a.xml", "NOT-A-STATEMENT")


def damaged() -> bytes:
    """An archive whose only file is not what its directory says."""
    data = bytearray(zipped(("a.xml", camt(ONE))))
    at = data.index(b"a.xml") + 40
    data[at : at + 8] = os.urandom(8)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\x03\x04", "ARCHIVE-DAMAGED"),
        (zipped(("a.xml", camt(ONE)))[:-30], "ARCHIVE-DAMAGED"),
        (damaged(), "ARCHIVE-DAMAGED"),
        (zipped(("a.xml", camt(ONE)), ("a.xml", camt(ONE))), "ARCHIVE-DAMAGED: two files"),
        (zipped(("README.txt", b"hello")), "NOT-A-STATEMENT: a ZIP archive without a statement"),
        (zipped(("a.xml", b"<a/>")), "NOT-A-STATEMENT: the file looks like XML of another kind"),
        (zipped(("[Content_Types].xml", b"<a/>")), "NOT-A-STATEMENT: the file looks like a work"),
        (zipped(*((f"{n}.txt", b"") for n in range(1001))), "UNPACKED-TOO-LARGE"),
    ],
)  # fmt: skip
def test_what_cannot_be_unpacked_safely_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(data)
    assert refused.value.detail.startswith(reason)
    assert refused.value.remedy


def test_an_encrypted_member_is_refused() -> None:
    data = bytearray(zipped(("a.xml", camt(ONE))))
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(sign) + offset] |= 1
    with pytest.raises(Unreadable, match="ARCHIVE-ENCRYPTED"):
        read(bytes(data))


def test_an_archive_that_announces_more_than_the_limit_is_refused_unread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive, "MOST_UNPACKED", 100)
    with pytest.raises(Unreadable, match="UNPACKED-TOO-LARGE"):
        read(zipped(("a.xml", camt(ONE))))


def test_a_member_that_lies_about_its_size_gives_nothing() -> None:
    data = bytearray(zipped(("a.xml", camt(ONE))))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    with pytest.raises(Unreadable, match="ARCHIVE-DAMAGED"):
        read(bytes(data))


def test_names_that_climb_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    events = read(zipped(("../../up.xml", camt(ONE)), ("/abs.xml", camt(ONE))))
    assert len(events) == 4
    assert list(tmp_path.rglob("*")) == []
