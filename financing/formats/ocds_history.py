"""The releases of one process as the lives of its contracts: which version each release made.

1. `lives_of` puts the releases in order, sets copies of one release apart, and follows each
   contract from release to release

The order is the releases' own, never the order of arrival: an older release that comes later adds
what newer ones leave out and overwrites nothing. Where one release came twice with the same id
and date, the first one counts; the other is a copy, and an altered one if it names another
amount, award, or party.

An award is the beginning of the first contract signed under it: both are one life.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from financing.formats.ocds import Release, merge
from financing.formats.ocds_awards import ENDED
from financing.formats.ocds_contracts import contracts_of
from financing.values import contract_facts
from financing.values.contract_facts import (
    ContractFacts,
    award_key,
    is_same_party,
    key_in_process,
    substance,
)
from financing.values.parked import Parked

Key = tuple[str, str]  # `key_in_process`
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
    """One contract through its releases, from its award on where that came before.

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
    told = _told(history)
    found = Process(parked=[item for item in told[-1] if isinstance(item, Parked)] if told else [])
    heirs = _heirs(told[-1]) if told else {}
    steps: dict[Key, list[Step]] = {}
    for n, items in enumerate(told, 1):
        for said in items:
            if isinstance(said, Parked):
                continue
            own = key_in_process(said)
            mine = steps.get(heirs.get(own, own), [])
            if not said.code and not _goes_on(mine, said):
                continue
            if not mine or substance(mine[-1].facts) != substance(said):
                mine.append(Step(said, _row_of(said, history[:n])))
                steps[heirs.get(own, own)] = mine
    altered: dict[Key, list[Step]] = defaultdict(list)
    for key, some in _altered(history, copies).items():
        altered[heirs.get(key, key)] += some
    for key, run in steps.items():
        found.lives += _split(run, altered[key])
    return found


def _told(history: Sequence[Kept]) -> list[list[ContractFacts | Parked]]:
    """What was known after each release."""
    told = []
    body: dict[str, Any] = {}
    for n, newest in enumerate(history, 1):
        body = merge([body, newest.release.body])
        told.append(contracts_of([one.release for one in history[:n]], body))
    return told


def _heirs(told: Sequence[ContractFacts | Parked]) -> dict[Key, Key]:
    """Which contract each award has become, by all that is known: the first one under it."""
    found: dict[Key, Key] = {}
    for said in told:
        if isinstance(said, ContractFacts) and (won := award_key(said)) is not None:
            found.setdefault(won, key_in_process(said))
    return found


def _goes_on(mine: Sequence[Step], said: ContractFacts) -> bool:
    """Whether an award still counts: no contract followed, and it did not begin with its end."""
    if not mine:
        return said.status not in ENDED
    return not mine[-1].facts.code


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


def _altered(history: Sequence[Kept], copies: Sequence[tuple[int, Kept]]) -> dict[Key, list[Step]]:
    """Copies of a release that name another amount, award, or party than the release itself."""
    found: dict[Key, list[Step]] = {}
    for place, copy in copies:
        before = [one.release for one in history[:place]]
        true = {
            key_in_process(said): said
            for said in contracts_of([*before, history[place].release])
            if isinstance(said, ContractFacts)
        }
        for said in contracts_of([*before, copy.release]):
            if isinstance(said, Parked) or key_in_process(said) not in true:
                continue
            key = key_in_process(said)
            if contract_facts.contradicts(true[key], said):
                found.setdefault(key, []).append(Step(said, copy.row_id))
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
