"""Published contracts as they stood a day after their signing.

Published records show contracts that ended years ago with every payment past. To finance one, the
demo has to look at it when it was young: `as_of` makes a copy of the record without what came
later, and what was taken out of it (the payments) comes back on its own days.

Pure functions over bodies of releases; nothing is invented here but the copy's id and date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

from financing.formats import ocds, odd_dates

Body = Mapping[str, Any]

# Told of a contract only after its signing, whatever dates the publisher wrote.
_LATER: Final = ("implementation", "amendments", "amendment")
_DATED: Final = ("datePublished", "dateModified", "dateMet")
_ENDED: Final = ("pending", "cancelled", "terminated", "complete")


@dataclass(frozen=True, slots=True)
class Process:
    """Everything that several files say about one contracting process, the newest word last."""

    newest: ocds.Release

    @property
    def ocid(self) -> str:
        return self.newest.ocid

    @property
    def body(self) -> Body:
        return self.newest.body

    @property
    def contracts(self) -> tuple[Body, ...]:
        """Its contracts, as the newest release has them."""
        found = self.body.get("contracts")
        return tuple(one for one in found if isinstance(one, dict)) if found else ()


def processes(releases: Iterable[ocds.Release]) -> list[Process]:
    """Releases of many files put together by publisher and process, the newest word last.

    Of two copies of one release the first counts, as everywhere in the service.
    """
    together: dict[tuple[str, str], dict[object, ocds.Release]] = {}
    for release in releases:
        known = together.setdefault((release.publisher, release.ocid), {})
        name = (release.release_id, release.released_at) if release.release_id else len(known)
        known.setdefault(name, release)
    return [
        Process(_compiled(_in_order(list(together[name].values())))) for name in sorted(together)
    ]


def _compiled(history: Sequence[ocds.Release]) -> ocds.Release:
    return replace(history[-1], body=ocds.merge([one.body for one in history]))


def alone(process: Process, contract: Body) -> ocds.Release:
    """The process as if this were its only contract."""
    body = {**process.body, "awards": _awards(process, contract), "contracts": [contract]}
    return replace(process.newest, body=body)


def _awards(process: Process, contract: Body) -> list[Any]:
    """The process's awards without those under which its other contracts stand."""
    found = process.body.get("awards")
    awards = found if isinstance(found, list) else []
    others = {one.get("awardID") for one in process.contracts if one is not contract}
    others -= {contract.get("awardID"), None, ""}
    return [one for one in awards if not isinstance(one, dict) or one.get("id") not in others]


def _in_order(releases: Sequence[ocds.Release]) -> list[ocds.Release]:
    dated = [one for one in releases if one.released_at is not None]
    undated = [one for one in releases if one.released_at is None]
    return [*undated, *sorted(dated, key=lambda one: str(one.released_at))]


def day_after_signing(contract: Body) -> date | None:
    """The day on which the demo looks at a contract; None where no day of signing is published."""
    signed_on = _day(contract.get("dateSigned"))
    return signed_on + timedelta(days=1) if signed_on else None


def as_of(process: Process, contract: Body, day: date) -> dict[str, Any]:
    """A release that says of one contract what was known on a day.

    Payments, progress, and amendments are taken out, documents that came later too, and the other
    contracts of the process; a contract that has ended since is alive again.
    """
    young = {key: value for key, value in contract.items() if key not in _LATER}
    if contract.get("status") in _ENDED:
        young["status"] = "active"
    kept = {
        key: _until(value, day)
        for key, value in process.body.items()
        if key not in ("contracts", "awards", "id", "date", "tag")
    }
    return {
        **kept,
        "ocid": process.body.get("ocid", process.ocid),
        "id": f"{process.ocid}-{contract.get('id')}-as-of-{day.isoformat()}",
        "date": f"{day.isoformat()}T00:00:00+08:00",
        "tag": ["contract"],
        "awards": _until(_awards(process, contract), day),
        "contracts": [_until(young, day)],
    }


def _until(value: Any, day: date) -> Any:
    """A value without what bears a later day of publication."""
    if isinstance(value, dict):
        return {key: _until(item, day) for key, item in value.items()}
    if isinstance(value, list):
        return [_until(item, day) for item in value if not _came_after(item, day)]
    return value


def _came_after(item: Any, day: date) -> bool:
    if not isinstance(item, dict):
        return False
    return any((when := _day(item.get(key))) is not None and when > day for key in _DATED)


def _day(text: object) -> date | None:
    written = odd_dates.read(text)
    return written.day if written else None
