"""Files come in: procurement records and bank statements, recognised by content.

1. `import_paths` every file below these paths, each in sets, each set in a transaction
2. `replay`       what was parked is read again from its bytes

A file that cannot be read at all is refused by name, and the others go on.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast
from uuid import UUID

from sqlalchemy import Row, select, update

from financing.context import Context
from financing.errors import FinancingError, Unreadable
from financing.formats import ocds
from financing.formats.mapping import SavedMapping, Table
from financing.formats.ocds import Release
from financing.formats.recognise import plain, recognise
from financing.journeys import answers, intake, statements
from financing.store.db import SYSTEM, Actor, Tx
from financing.store.tables import parked
from financing.values.parked import Parked

SET = 200  # releases in one transaction
STDIN = "-"
# What reads a parked thing again, by its kind; a line of a statement is any other kind.
REPLAYS: Mapping[str, Callable[[Tx, Row[Any]], bool]] = {
    "record": intake.replay,
    "event": answers.replay,
}


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file; counts are contract versions or statement lines."""

    path: str
    kind: str  # records, statement, ignored, refused
    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    parked: int = 0
    error: FinancingError | None = None


def import_paths(
    ctx: Context,
    paths: Iterable[Path | str],
    *,
    mapping: SavedMapping | None = None,
    actor: Actor = SYSTEM,
    say: Callable[[FileReport], None] = lambda _report: None,
) -> list[FileReport]:
    """Import every file below these paths; the same files again change nothing.

    Args:
        mapping: what the tables among them mean, which no other format recognises.
    Raises:
        Unreadable: a path does not exist.
    """
    reports = []
    for path in files_below(paths):
        try:
            report = _import_one(ctx, actor, path, mapping)
        except FinancingError as problem:
            report = FileReport(str(path), "refused", error=problem)
        reports.append(report)
        say(report)
    return reports


def files_below(paths: Iterable[Path | str]) -> Iterator[Path | str]:
    """Every file at or below these paths, in order of names; - stays what it is.

    Raises:
        Unreadable: a path does not exist.
    """
    for path in paths:
        if path == STDIN:
            yield STDIN
            continue
        here = Path(path)
        if not here.exists():
            raise Unreadable("no such file or folder", where=str(path), remedy="Check the path.")
        yield from sorted(p for p in here.rglob("*") if p.is_file()) if here.is_dir() else [here]


def _import_one(
    ctx: Context, actor: Actor, path: Path | str, mapping: SavedMapping | None
) -> FileReport:
    if path == STDIN:
        # A pipe cannot be read twice, and may be longer than memory.
        with tempfile.TemporaryFile() as kept:
            shutil.copyfileobj(sys.stdin.buffer, kept)
            kept.seek(0)
            return _read(ctx, actor, cast("BinaryIO", kept), STDIN, mapping)
    try:
        with Path(path).open("rb") as stream:
            return _read(ctx, actor, stream, str(path), mapping)
    except OSError as problem:
        raise Unreadable(
            f"the file cannot be opened: {problem.strerror}", where=str(path)
        ) from problem


def _read(
    ctx: Context, actor: Actor, stream: BinaryIO, source: str, mapping: SavedMapping | None
) -> FileReport:
    kind = recognise(stream)
    name = source if source == STDIN else Path(source).name
    if kind == "ignored" and isinstance(mapping, Table):
        kind = "statement"
    if kind == "ignored":
        return FileReport(source, kind)
    if kind == "statement":
        with ctx.begin(actor) as tx:
            booked = statements.import_statement(tx, stream, name, mapping)
        return FileReport(
            source, kind, booked.read, booked.new, booked.changed, booked.unchanged, booked.parked
        )
    total = intake.Counts()
    items = ocds.read(plain(stream).read, source)
    fault: Parked | None = None
    while batch := list(islice(items, SET)):
        total.add(ctx.attempt(partial(_take, batch), actor))
        fault = fault or next((item for item in batch if isinstance(item, Parked)), None)
    report = FileReport(
        source, kind, total.read, total.new, total.changed, total.unchanged, total.parked
    )
    if total.releases:
        return report
    return replace(report, kind="refused", error=_refusal(fault, source))


def _refusal(fault: Parked | None, source: str) -> Unreadable:
    """Why nothing of a file could be read: the first fault, which is parked as well."""
    if fault is None:
        return Unreadable("EMPTY: no record in it", where=source, remedy="Send OCDS 1.0 or 1.1.")
    place = f"{source} {fault.where}".strip()
    remedy = fault.remedy[:1].upper() + fault.remedy[1:] + "."
    return Unreadable(fault.reason, where=place, remedy=remedy)


def _take(batch: Sequence[Release | Parked], tx: Tx) -> intake.Counts:
    return intake.take(tx, batch)


def replay(tx: Tx, ids: Sequence[UUID] | None = None) -> dict[UUID, bool]:
    """Read parked things again; what can be used now is marked replayed.

    Args:
        ids: which; None is all that are open.
    """
    query = select(parked).where(parked.c.state == "open").order_by(parked.c.at, parked.c.id)
    if ids is not None:
        query = query.where(parked.c.id.in_(list(ids)))
    outcome = {}
    for row in tx.rows(query):
        again = REPLAYS.get(row.kind, statements.replay)
        outcome[row.id] = again(tx, row)
        if outcome[row.id]:
            tx.db.execute(update(parked).where(parked.c.id == row.id).values(state="replayed"))
    return outcome
