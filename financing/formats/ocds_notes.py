"""One contract read field by field: what cannot be read is parked alone, and the rest goes on.

Source: OCDS 1.0 and 1.1 release schemas.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from financing.formats import odd_dates
from financing.formats.json_stream import Path
from financing.formats.ocds import Body, Release, shown
from financing.formats.ocds_fields import Amount, Unusable, read_amount
from financing.values.parked import Parked
from financing.values.strict_json import pointer

_DIGEST: Final = re.compile(r"sha-256:[0-9a-f]{64}")


@dataclass(slots=True)
class Notes:
    """What could not be read of one contract while the rest of it could."""

    release: Release
    place: Path  # of the contract in its release
    parked: list[Parked] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def park(self, path: Path, value: object, reason: str, remedy: str) -> None:
        """Park one field; `path` begins at the contract, or at the release after a leading `..`."""
        found = parked_piece(self.release, self.place, Unusable(path, value, reason, remedy))
        self.parked.append(found)
        where = pointer(path[1:] if path[:1] == ("..",) else path)
        self.unread.append(f"{where}: {reason}")


@dataclass(frozen=True, slots=True)
class Money:
    """Reads amounts of a contract whose own currency is known; parks what cannot be read."""

    notes: Notes
    currency: str

    def of(self, value: Any, path: Path, currency: str | None = None) -> Amount | None:
        """An amount in any currency, its own or the one given; None where there is none."""
        try:
            amount = read_amount(value, path, currency)
            if amount is not None and amount.fen < 0:
                raise Unusable(path, amount.fen, "AMOUNT: below zero", "publish it above zero")
        except Unusable as problem:
            self.notes.park(problem.path, problem.value, problem.reason, problem.remedy)
            return None
        return amount

    def same(self, value: Any, path: Path) -> int | None:
        """An amount that must be in the contract's currency."""
        amount = self.of(value, path, self.currency)
        if amount is None or amount.currency == self.currency:
            return amount.fen if amount else None
        reason = f"CURRENCY: {amount.currency} in a contract of {self.currency}"
        self.notes.park(path, amount.currency, reason, "publish it in the contract's currency")
        return None


def read_day(notes: Notes, text: Any, path: Path) -> date | None:
    """The day that a field names; None where it names none, or none that exists."""
    if text is None or text == "":
        return None
    written = odd_dates.read(text)
    if written is None:
        notes.park(
            path, text, "DATE: not a date, or a day that does not exist", "publish it as 2026-03-02"
        )
        return None
    return written.day


def read_digest(notes: Notes, holder: Body, path: Path) -> str:
    """The SHA-256 digest that the extension gives of a document, or empty."""
    text = holder.get("digest")
    if text is None or text == "":
        return ""
    if isinstance(text, str) and _DIGEST.fullmatch(text):
        return text
    notes.park(
        (*path, "digest"), text, "DIGEST: not a SHA-256 digest", "write sha-256: and 64 hex digits"
    )
    return ""


def parked_piece(release: Release, place: Path, problem: Unusable) -> Parked:
    """What is parked of a release: the place in it, the value there, and the whole release."""
    path = problem.path[1:] if problem.path[:1] == ("..",) else (*place, *problem.path)
    joint = ": " if release.where.startswith("line ") and ":" not in release.where else ""
    return Parked(
        kind="record",
        source=release.source,
        where=release.where + joint + pointer(path),
        value=shown(problem.value),
        reason=problem.reason,
        remedy=problem.remedy,
        raw=release.raw,
    )
