"""Procurement records come in: releases are kept as received, contracts follow from them.

1. `take`       a set of releases or parked pieces: kept once, parked once
2. `lives_of`   (`ocds_history.py`) what all releases of the touched processes say
3. `record`     (`recording.py`) new contracts, new versions, altered copies
4. `replay`     a parked piece is read again from its bytes

Everything works on sets of a few hundred releases: a fixed number of statements for each set.
"""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from financing.formats import ocds, ocds_awards
from financing.formats.ocds import Release
from financing.formats.ocds_fields import list_of
from financing.formats.ocds_history import Kept, lives_of
from financing.journeys import recording
from financing.store.db import Tx
from financing.store.parking import fingerprint, park
from financing.store.tables import parked, release
from financing.values import canonical
from financing.values.ids import new_id
from financing.values.parked import Parked

Name = tuple[str, str]  # publisher, ocid
PLACE = "#"  # between a file and the place in it
LOCK = text("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS one(key)")


@dataclass(slots=True)
class Counts:
    """What became of one file, counted in contract versions.

    Args:
        read: contracts in the releases read, awards that stand alone in their release, and pieces
            that could not be read.
        unchanged: contracts whose release made no version: known, older, or the same facts.
        parked: what is parked now and was not before.
        releases: releases read; none means that nothing of the file could be used.
    """

    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    parked: int = 0
    releases: int = 0

    def add(self, other: Counts) -> None:
        """Add the counts of another set."""
        for name in ("read", "new", "changed", "unchanged", "parked", "releases"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def take(tx: Tx, items: Iterable[Release | Parked]) -> Counts:
    """Take a set of what a reader found; the same set again changes nothing."""
    releases: list[Release] = []
    flaws: list[Parked] = []
    for item in items:
        if isinstance(item, Parked):
            flaws.append(item)
        else:
            releases.append(item)
    touched = _keep(tx, releases)
    counts = Counts(
        read=sum(_contracts_in(item) for item in releases) + len(flaws),
        parked=park(tx, flaws),
        releases=len(releases),
    )
    _follow(tx, touched, counts)
    counts.unchanged = max(0, counts.read - counts.new - counts.changed - counts.parked)
    return counts


def _follow(tx: Tx, touched: Iterable[Name], counts: Counts | None = None) -> set[str]:
    """Bring contracts to what their processes say; returns the fingerprints of what is wrong."""
    counts = counts or Counts()
    kept = _kept(tx, touched)
    found = [lives_of(some) for some in kept]
    outcome = recording.record(tx, [life for process in found for life in process.lives])
    wrong = [item for process in found for item in process.parked]
    counts.new += outcome.new
    counts.changed += outcome.changed
    counts.parked += park(tx, wrong)
    faults = {fingerprint(item) for item in wrong}
    _mend(tx, [one.release for some in kept if len(some) > 1 for one in some], faults)
    return faults


def _mend(tx: Tx, releases: Sequence[Release], faults: set[str]) -> None:
    """What was parked of these releases and is wrong no more, a newer one having mended it."""
    if not releases:
        return
    open_ones = (
        select(parked.c.id, parked.c.fingerprint, parked.c.raw)
        .where(
            parked.c.state == "open",
            parked.c.kind == "record",
            parked.c.source.in_({item.source for item in releases}),
        )
        .cte()
        .prefix_with("MATERIALIZED")
    )
    digests = [hashlib.sha256(item.raw).digest() for item in releases]
    tx.db.execute(
        update(parked)
        .where(
            parked.c.id.in_(
                select(open_ones.c.id).where(
                    open_ones.c.fingerprint.not_in(faults),
                    func.sha256(open_ones.c.raw).in_(digests),
                )
            )
        )
        .values(state="replayed")
    )


def _contracts_in(item: Release) -> int:
    return len(list_of(item.body.get("contracts"))) + ocds_awards.count(item.body)


def _keep(tx: Tx, releases: Sequence[Release]) -> set[Name]:
    """Keep new releases as received; returns the processes that they touch."""
    rows = {
        (item.publisher, item.ocid, digest): {
            "id": new_id(),
            "publisher": item.publisher,
            "ocid": item.ocid,
            "release_id": item.release_id,
            "released_at": item.released_at,
            "digest": digest,
            "raw": item.raw,
            "source": f"{item.source}{PLACE}{item.where}",
            "received_at": tx.now,
        }
        for item in releases
        for digest in [canonical.digest(item.raw)]
    }
    key = (release.c.publisher, release.c.ocid, release.c.digest)
    known = {tuple(row) for row in tx.rows(select(*key).where(tuple_(*key).in_(list(rows))))}
    # In one order everywhere, so that two imports never wait for each other in a ring.
    fresh = [row for name, row in sorted(rows.items()) if name not in known]
    if fresh:
        # Another import of the same file may run beside this one: its row serves both.
        tx.db.execute(upsert(release).on_conflict_do_nothing(index_elements=list(key)), fresh)
    return {name[:2] for name in rows if name not in known}


def _kept(tx: Tx, touched: Iterable[Name]) -> list[list[Kept]]:
    """All kept releases of each of these processes, in the order in which they came."""
    wanted = sorted(touched)
    if not wanted:
        return []
    # Two imports that bring releases of one process must not both make its contract.
    tx.db.execute(LOCK, {"keys": sorted(_lock_key(name) for name in wanted)})
    rows: dict[Name, list[Row[Any]]] = defaultdict(list)
    for row in tx.rows(
        select(release)
        .where(tuple_(release.c.publisher, release.c.ocid).in_(wanted))
        .order_by(release.c.received_at, release.c.id)
    ):
        rows[(row.publisher, row.ocid)].append(row)
    return [[kept for row in rows[name] for kept in _reread(row)] for name in wanted]


def _lock_key(name: Name) -> int:
    digest = hashlib.sha256("\n".join(name).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _reread(row: Row[Any]) -> list[Kept]:
    source, _, where = row.source.rpartition(PLACE)
    return [
        Kept(row.id, item)
        for item in ocds.reread(bytes(row.raw), source, where, row.publisher)
        if isinstance(item, Release)
    ]


def replay(tx: Tx, item: Row[Any]) -> bool:
    """Read a parked piece of a record again; True when nothing is wrong with it any more.

    A contract that a later release has mended is mended here too: its whole process is read.
    """
    raw = bytes(item.raw)
    where = select(release.c.publisher, release.c.ocid)
    stored = tx.rows(where.where(release.c.digest == canonical.digest(raw)))
    touched: set[Name] = {(row.publisher, row.ocid) for row in stored}
    if not touched:
        read = list(ocds.read(io.BytesIO(raw).read, item.source))
        if not read or any(isinstance(found, Parked) for found in read):
            return False
        touched = _keep(tx, [found for found in read if isinstance(found, Release)])
    return item.fingerprint not in _follow(tx, touched)
