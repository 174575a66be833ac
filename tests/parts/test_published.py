"""A published contract as it stood a day after its signing: nothing later is in the copy."""

from __future__ import annotations

import io
import json
from datetime import date
from typing import Any

import pytest

from financing.city import published
from financing.formats import ocds

OLD: dict[str, Any] = {
    "ocid": "ocds-aaaaaa-1",
    "id": "01",
    "date": "2015-12-22T00:00:00-06:00",
    "tag": ["tender"],
    "buyer": {"name": "Finance"},
    "tender": {
        "documents": [
            {"id": "early", "datePublished": "2015-11-01T00:00:00-06:00"},
            {"id": "late", "datePublished": "2016-06-01T00:00:00-06:00"},
        ]
    },
    "awards": [{"id": "A", "date": "2015-12-20T00:00:00-06:00"}],
    "contracts": [
        {
            "id": "1",
            "title": "CA-1/2016",
            "dateSigned": "2015-12-30T00:00:00-06:00",
            "status": "pending",
            "value": {"amount": 100, "currency": "MXN"},
            "implementation": {"transactions": [{"id": "p1"}]},
            "amendments": [{"date": "2016-05-01"}],
        },
        {"id": "2", "title": "CA-2/2016"},
    ],
}
NEW = {
    **OLD,
    "id": "02",
    "date": "2017-06-05T00:00:00-06:00",
    "contracts": [{"id": "1", "value": {"amount": 200, "currency": "MXN"}}],
}


def processes(*bodies: dict[str, Any]) -> list[published.Process]:
    releases = [
        item
        for body in bodies
        for item in ocds.read(io.BytesIO(json.dumps(body).encode()).read, "x.json")
        if isinstance(item, ocds.Release)
    ]
    assert len(releases) == len(bodies)
    return published.processes(releases)


@pytest.mark.parametrize("bodies", [(OLD, NEW), (NEW, OLD)])
def test_several_files_of_one_process_are_one_and_the_newest_word_counts(
    bodies: tuple[dict[str, Any], ...],
) -> None:
    (process,) = processes(*bodies)
    first, second = process.contracts
    assert first["value"]["amount"] == 200
    assert first["title"] == "CA-1/2016"
    assert second["id"] == "2"


def test_the_copy_holds_one_contract_and_nothing_that_came_later() -> None:
    (process,) = processes(OLD)
    contract = process.contracts[0]
    day = published.day_after_signing(contract)
    assert day == date(2015, 12, 31)
    copy = published.as_of(process, contract, day)
    (young,) = copy["contracts"]
    assert young["id"] == "1"
    assert young["status"] == "active"
    assert not young.keys() & {"implementation", "amendments"}
    assert [one["id"] for one in copy["tender"]["documents"]] == ["early"]
    assert copy["date"].startswith("2015-12-31")
    assert copy["awards"] == OLD["awards"]
    json.dumps(copy, allow_nan=False)


def test_the_copy_leaves_the_record_as_it_was() -> None:
    (process,) = processes(OLD)
    before = json.dumps(process.body, sort_keys=True)
    published.as_of(process, process.contracts[0], date(2015, 12, 31))
    assert json.dumps(process.body, sort_keys=True) == before


def test_without_a_day_of_signing_there_is_no_day_after_it() -> None:
    (process,) = processes(OLD)
    assert published.day_after_signing(process.contracts[1]) is None
