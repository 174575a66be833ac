"""Published records of seventeen publishers: every one is read, and what is not used says why.

The expected counts are those of the folder's own description, made by another program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Engine, text

from financing.context import Context
from financing.formats import ocds
from financing.formats.ocds import Release
from financing.formats.recognise import plain, recognise
from financing.journeys import files
from financing.values.parked import Parked

UNITS = 884 + 91  # releases, and records of which each counts once
CONTRACTS = 788
DIFFERENT = 655  # publisher, ocid, contract id
RECORDED = 627
# Awards under which no contract was published: ten of Montreal, which publishes awards only, and
# one of Paraguay.
AWARDED = 11
# Unreadable pieces: three releases of a file in ISO-8859-1, two records of links alone, and eleven
# notices of a publisher who is named nowhere.
UNREAD = {"ENCODING": 3, "LINKED": 2, "PUBLISHER-UNKNOWN": 11}
# The 28 contracts that cannot be recorded, and why.
UNUSABLE = {
    "AMOUNT": 4,
    "AMOUNT-MISSING": 6,
    "PURCHASER-MISSING": 2,
    "SUPPLIER-MISSING": 8,
    "SUPPLIER-SEVERAL": 8,
}


@pytest.fixture
def records(real_data: Path) -> Path:
    folder = real_data / "ocds"
    if not folder.is_dir():
        pytest.skip("no published procurement records")
    return folder


def found_in(folder: Path) -> Iterator[Release | Parked]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as stream:
                if recognise(stream) == "records":
                    yield from ocds.read(plain(stream).read, str(path))


def test_every_release_and_record_is_read_or_named(records: Path) -> None:
    found = list(found_in(records))
    releases = [item for item in found if isinstance(item, Release)]
    parked = [item for item in found if isinstance(item, Parked)]
    assert len(found) == UNITS
    assert Counter(item.reason.split(":")[0] for item in parked) == UNREAD
    assert all(item.remedy and item.raw and item.where for item in parked)
    contracts = [
        (item.publisher, item.ocid, str(contract["id"]))
        for item in releases
        for contract in item.body.get("contracts") or []
    ]
    assert len(contracts) == CONTRACTS - 1  # one lies in the file in ISO-8859-1
    assert len(set(contracts)) == DIFFERENT


def test_the_bytes_of_each_release_stand_in_its_file_and_are_read_the_same_again(
    records: Path,
) -> None:
    for path in sorted(records.rglob("*")):
        if not path.is_file():
            continue
        with path.open("rb") as stream:
            if recognise(stream) != "records":
                continue
            whole = plain(stream).read()
            stream.seek(0)
            for item in ocds.read(plain(stream).read, str(path)):
                assert item.raw in whole
                if isinstance(item, Release):
                    again = ocds.reread(item.raw, item.source, item.where, item.publisher)
                    assert again == [item]


def test_all_of_it_comes_in_once_and_every_contract_is_recorded_or_parked(
    ctx: Context, owner: Engine, records: Path
) -> None:
    paths = sorted(path for path in records.rglob("*") if path.is_file())
    shuffled = Random(5).sample(paths, len(paths))
    first = files.import_paths(ctx, shuffled)
    assert sum(report.new for report in first) == RECORDED + AWARDED
    assert _one(owner, "SELECT count(*) FROM contract WHERE number = ''") == AWARDED
    assert _one(owner, "SELECT count(*) FROM parked WHERE place LIKE '%/awards/%/suppliers'") == 0
    refused = sum(report.kind == "refused" for report in first)
    assert refused == len({"ENCODING"}) + UNREAD["LINKED"] + UNREAD["PUBLISHER-UNKNOWN"]
    assert _open_contracts(owner) == UNUSABLE
    assert RECORDED + sum(UNUSABLE.values()) == DIFFERENT
    assert _one(owner, "SELECT count(*) FROM altered_copy") == 0
    before = _state(owner)
    again = files.import_paths(ctx, [records])
    assert [(r.new, r.changed, r.parked) for r in again if r.new or r.changed or r.parked] == []
    assert sum(report.unchanged for report in again) == sum(report.read for report in first)
    assert _state(owner) == before


def _open_contracts(owner: Engine) -> dict[str, int]:
    query = (
        "SELECT split_part(reason, ':', 1), count(DISTINCT (sha256(raw), place)) FROM parked"
        " WHERE state = 'open' AND (place LIKE '%/contracts/%/%' OR place LIKE '%/buyer')"
        " GROUP BY 1"
    )
    with owner.connect() as link:
        found = {row[0]: row[1] for row in link.execute(text(query))}
    # An id that stands twice in one release takes no contract away: the first of the two counts.
    found.pop("CONTRACT-ID", None)
    return found


def _one(owner: Engine, query: str) -> int:
    with owner.connect() as link:
        return int(link.execute(text(query)).scalar_one())


def _state(owner: Engine) -> list[object]:
    queries = (
        "SELECT count(*), sum(version), sum(amount_fen) FROM contract",
        "SELECT count(*) FROM contract_version",
        "SELECT state, count(*) FROM parked GROUP BY state ORDER BY state",
        "SELECT count(*) FROM release",
        "SELECT count(*) FROM audit",
    )
    with owner.connect() as link:
        return [link.execute(text(query)).all() for query in queries]


def test_published_payments_have_the_sums_that_the_publisher_shows(
    ctx: Context, owner: Engine, records: Path
) -> None:
    files.import_paths(ctx, [records / "mx-cdmx"])
    with owner.connect() as link:
        sums = link.execute(
            text(
                "SELECT p.currency, count(*), sum(p.amount_fen), c.amount_fen FROM contract c"
                " JOIN published_payment p ON p.contract_id = c.id"
                " GROUP BY c.id, p.currency ORDER BY 3"
            )
        ).all()
    assert [tuple(row) for row in sums] == [
        ("USD", 1, 7_546_496, 7_546_496),
        ("MXN", 4, 19_381_735, 19_381_735),
        ("MXN", 3, 76_746_528, 76_746_528),
        ("MXN", 11, 90_236_564, 98_439_888),
        ("MXN", 11, 91_721_432, 100_059_744),
        ("MXN", 11, 131_126_400, 131_126_400),
        ("MXN", 11, 572_682_648, 572_682_650),
    ]
