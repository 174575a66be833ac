"""The releases of one process as the lives of its contracts: which version each release made.

1. `lives_of` puts the releases in order, sets copies of one release apart, and follows each
   contract from release to release

The order is the releases' own, never the order of arrival: an older release that comes later adds
what newer ones leave out and overwrites nothing. Where one release came twice with the same id
and date, the first one counts; the other is a copy, and an altered one if it names another
amount, award, or party.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from financing.formats.ocds import Release, merge
from financing.formats.ocds_contracts import contracts_of
from financing.values import contract_facts
from financing.values.contract_facts import ContractFacts, is_same_party, substance
from financing.values.parked import Parked

BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)  # releases without a date are older than any other


@dataclass(frozen=True, slots=True)
class Kept:
    """A release as it is stored."""

    row_id: UUID
    release: Release


@dataclass(frozen=True, slots=True)
class Step:
    """What one release made of a contract."""

    facts: ContractFacts
    release_id: UUID


@dataclass(frozen=True, slots=True)
class Life:
    """One contract through its releases.

    Args:
        steps: the versions, oldest first; each differs from the one before.
        altered: what copies, or later releases for other parties, say against it.
    """

    steps: tuple[Step, ...]
    altered: tuple[Step, ...] = ()


@dataclass(slots=True)
class Process:
    """What the releases of one process say: its contracts, and what could not be used."""

    lives: list[Life] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)


def lives_of(kept: Sequence[Kept]) -> Process:
    """Follow each contract of a process through its releases.

    Args:
        kept: in the order in which they came.
    """
    history, copies = _in_order(kept)
    found = Process()
    steps: dict[str, list[Step]] = {}
    body: dict[str, Any] = {}
    for n, newest in enumerate(history, 1):
        body = merge([body, newest.release.body])
        found.parked = []
        for said in contracts_of([one.release for one in history[:n]], body):
            if isinstance(said, Parked):
                found.parked.append(said)
                continue
            mine = steps.setdefault(said.code, [])
            if not mine or substance(mine[-1].facts) != substance(said):
                mine.append(Step(said, _row_of(said, history[:n])))
    altered = _altered(history, copies)
    for code, mine in steps.items():
        found.lives += _split(mine, altered.get(code, []))
    return found


def _in_order(kept: Sequence[Kept]) -> tuple[list[Kept], list[tuple[int, Kept]]]:
    """The releases that count, oldest first; copies with the place of what they copy."""
    history: list[Kept] = []
    copies: list[tuple[int, Kept]] = []
    places: dict[tuple[str, datetime | None], int] = {}
    for one in sorted(kept, key=lambda one: one.release.released_at or BEFORE_ALL):
        name = (one.release.release_id, one.release.released_at)
        if one.release.release_id and name in places:
            copies.append((places[name], one))
        else:
            places[name] = len(history)
            history.append(one)
    return history, copies


def _row_of(facts: ContractFacts, history: Sequence[Kept]) -> UUID:
    name = (facts.release_id, facts.released_at)
    for one in reversed(history):
        if (one.release.release_id, one.release.released_at) == name:
            return one.row_id
    return history[-1].row_id


def _altered(history: Sequence[Kept], copies: Sequence[tuple[int, Kept]]) -> dict[str, list[Step]]:
    """Copies of a release that name another amount, award, or party than the release itself."""
    found: dict[str, list[Step]] = {}
    for place, copy in copies:
        before = [one.release for one in history[:place]]
        true = {
            said.code: said
            for said in contracts_of([*before, history[place].release])
            if isinstance(said, ContractFacts)
        }
        for said in contracts_of([*before, copy.release]):
            if isinstance(said, Parked) or said.code not in true:
                continue
            if contract_facts.contradicts(true[said.code], said):
                found.setdefault(said.code, []).append(Step(said, copy.row_id))
    return found


def _split(steps: Sequence[Step], altered: Sequence[Step]) -> list[Life]:
    """A later release for other parties is another contract, and speaks against the first."""
    runs: list[list[Step]] = []
    for step in steps:
        if runs and _same_parties(runs[-1][-1].facts, step.facts):
            runs[-1].append(step)
        else:
            runs.append([step])
    against = [[following[0]] for following in runs[1:]] + [list(altered)]
    return [Life(tuple(run), tuple(more)) for run, more in zip(runs, against, strict=True)]


def _same_parties(one: ContractFacts, other: ContractFacts) -> bool:
    return is_same_party(one.purchaser, other.purchaser) and is_same_party(
        one.supplier, other.supplier
    )
