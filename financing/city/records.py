"""The city's contracts as its procurement site publishes them: OCDS 1.1 release packages.

What OCDS has no field for stands where `docs/ocds-extension.md` says. A record grows release by
release: award, contract, filing, acceptance, each on its own day.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, Final

from financing.city.contracts import PREFIX, CityContract, Milestone, Stage
from financing.city.people import Organisation
from financing.values import canonical
from financing.values.chinese_amounts import in_words
from financing.values.times import SHANGHAI, rfc3339

STAGES: Final[tuple[Stage, ...]] = ("award", "contract", "filing", "acceptance")
_TAGS: Final = {"award": "award", "contract": "contract"}


def packages(contracts: Iterable[CityContract]) -> dict[date, dict[str, Any]]:
    """One release package for each day on which something became public, in order of days."""
    days: dict[date, list[dict[str, Any]]] = {}
    for contract in contracts:
        for stage, day in contract.published.items():
            days.setdefault(day, []).append(release(contract, stage))
    return {day: _package(day, days[day]) for day in sorted(days)}


def _package(day: date, releases: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "uri": f"https://zfcg.example/ocds/{day.isoformat()}.json",
        "version": "1.1",
        "publishedDate": _stamp(day),
        "publisher": {"name": "郑州政府采购网（示范）", "uri": "https://zfcg.example"},
        "license": "https://creativecommons.org/publicdomain/zero/1.0/",
        "releases": releases,
    }


def release(contract: CityContract, stage: Stage) -> dict[str, Any]:
    """What became public at one stage; it repeats nothing of an earlier one but the joining ids."""
    write = {
        "award": _award,
        "contract": _signed,
        "filing": _filed,
        "acceptance": _accepted,
    }[stage]
    return {
        "ocid": contract.ocid,
        "id": f"{contract.ocid}-{1 + STAGES.index(stage):02d}",
        "date": _stamp(contract.published[stage]),
        "tag": [_TAGS.get(stage, "contractUpdate")],
        "initiationType": "tender",
        "language": "zh",
        **write(contract),
    }


def _award(contract: CityContract) -> dict[str, Any]:
    purchaser, supplier = contract.purchaser, contract.supplier
    return {
        "parties": [
            _party(purchaser, "buyer"),
            _party(supplier, "supplier") | {"details": {"scale": supplier.size}},
        ],
        "buyer": _short(purchaser),
        "planning": {
            "budget": {"id": contract.budget_line, "amount": value(contract.budget_fen)},
        },
        "tender": {
            "id": contract.ocid.removeprefix(f"{PREFIX}-"),
            "title": contract.title,
            "status": "complete",
            "procurementMethod": "open",
        },
        "awards": [
            {
                "id": contract.award_id,
                "title": contract.title,
                "status": "active",
                "date": _day(contract.award_on),
                "value": value(contract.award_fen),
                "suppliers": [_short(supplier)],
            }
        ],
    }


def _signed(contract: CityContract) -> dict[str, Any]:
    return {
        "contracts": [
            {
                "id": contract.number,
                "awardID": contract.award_id,
                "title": contract.title,
                "status": "active",
                "value": value(contract.amount_fen),
                "dateSigned": _day(contract.signed_on),
                "period": {
                    "startDate": _day(contract.signed_on),
                    "endDate": _day(contract.ends_on),
                },
                "milestones": [_milestone(part) for part in contract.milestones],
                "x_financing": _terms(contract),
            }
        ],
    }


def _terms(contract: CityContract) -> dict[str, Any]:
    terms: dict[str, Any] = {
        "amountInWords": in_words(contract.amount_fen),
        "signatories": ["purchaser", "supplier"],
        "secret": False,
        "paymentTerms": {"days": 30, "start": "acceptance"},
        "smeDeclaration": {
            "size": contract.supplier.size,
            "date": (contract.award_on - timedelta(days=14)).isoformat(),
            "digest": _digest(contract, "sme"),
        },
        "assignable": True,
    }
    if contract.announced_on:
        terms["announcement"] = {
            "date": contract.announced_on.isoformat(),
            "url": f"https://zfcg.example/notice/{contract.ocid}",
            "digest": _digest(contract, "announcement"),
        }
    if contract.account:
        terms["designatedAccount"] = {
            "holder": contract.account.holder,
            "bankName": contract.account.bank_name,
            "cnaps": contract.account.cnaps,
            "number": contract.account.number,
        }
    return terms


def _filed(contract: CityContract) -> dict[str, Any]:
    on, receipt = contract.filed_on, f"BA-2026-{contract.ocid[-4:]}"
    return _said(contract, {"filing": {"date": str(on), "receipt": receipt}})


def _accepted(contract: CityContract) -> dict[str, Any]:
    on = str(contract.accepted_on)
    proof = {"date": on, "digest": _digest(contract, "acceptance")}
    return _said(contract, {"delivery": {"date": on}, "acceptance": proof})


def _said(contract: CityContract, fields: dict[str, Any]) -> dict[str, Any]:
    ids = {"id": contract.number, "awardID": contract.award_id}
    return {"contracts": [{**ids, "x_financing": fields}]}


def _milestone(part: Milestone) -> dict[str, Any]:
    return {
        "id": part.code,
        "title": part.title,
        "type": "payment",
        "status": "scheduled",
        "dueDate": _day(part.due_on),
        "x_financing": {"value": value(part.amount_fen)},
    }


def _party(one: Organisation, role: str) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "roles": [role],
        "identifier": {"scheme": one.scheme, "id": one.identifier, "legalName": one.name},
    }


def _short(one: Organisation) -> dict[str, str]:
    return {"id": one.id, "name": one.name}


def value(fen: int) -> dict[str, Any]:
    """An OCDS value of whole yuan; the city's prices have no smaller part."""
    yuan, rest = divmod(fen, 100)
    if rest:
        raise ValueError(f"{fen} fen is no whole number of yuan")
    return {"amount": yuan, "currency": "CNY"}


def _day(on: date) -> str:
    return f"{on.isoformat()}T00:00:00+08:00"


def _stamp(on: date) -> str:
    """When a release of that day was published: in the evening, after the office's work."""
    return rfc3339(datetime(on.year, on.month, on.day, 17, 30, tzinfo=SHANGHAI))


def _digest(contract: CityContract, document: str) -> str:
    """The digest of a document that exists as a digest only."""
    return canonical.digest(f"{contract.ocid} {document}".encode())
