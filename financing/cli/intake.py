"""`financing import` and `financing parked`: files in, and what of them could not be used."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from sqlalchemy import select

from financing.cli import shared
from financing.errors import NotFound
from financing.formats.mapping import SavedMapping
from financing.journeys import files
from financing.journeys.files import FileReport
from financing.store.db import Tx
from financing.store.tables import parked as parked_table
from financing.values.ids import new_id
from financing.values.times import rfc3339
from financing.words import t

SHOWN = 5  # of what one run parked; `financing parked` lists all
COUNTS = ("read", "new", "changed", "unchanged", "parked")


@click.command("import", epilog="Example: financing import records/ statement.xml")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@shared.mapping
@shared.options
def import_files(
    paths: tuple[str, ...], mapping: SavedMapping | None, as_json: bool, lang: str
) -> int:
    """Import procurement records and bank statements, recognised by content; - reads stdin.

    A table, as a bank's CSV export, needs a mapping. The same file again changes nothing. What
    cannot be used is parked by name; the rest goes on.
    """

    def say(report: FileReport) -> None:
        if sys.stderr.isatty() and not as_json:
            shared.progress(f"  {report.path}")

    began = new_id()
    with shared.opened() as ctx:
        reports = files.import_paths(ctx, paths, mapping=mapping, say=say)
        shared.follow_up(ctx)
        with ctx.begin() as tx:
            held = _open(tx, since=began)
    total = {name: sum(getattr(report, name) for report in reports) for name in COUNTS}
    if as_json:
        shared.emit({"files": [_document(report) for report in reports], "total": total})
    else:
        for report in reports:
            _line(report, lang)
        shared.say(t("import.total", lang, files=len(reports), **total))
        _reasons(held, {report.path for report in reports if report.error}, lang)
    if any(_is_of_use(report) for report in reports):
        return 0
    if all(report.kind == "ignored" for report in reports):
        shared.progress(f"error: unreadable: {t('import.nothing', lang)}")
    return 2


def _is_of_use(report: FileReport) -> bool:
    """Whether anything of a file could be used, or stood there already, or it was an empty one."""
    if report.kind not in ("records", "statement"):
        return False
    return bool(report.new + report.changed + report.unchanged) or not report.parked


def _reasons(held: list[dict[str, Any]], refused: set[str], lang: str) -> None:
    """The first things that this run parked, each with its remedy; a refused file has said so."""
    names = {Path(path).name for path in refused} | refused
    untold = [row for row in held if row["source"] not in names]
    for row in untold[:SHOWN]:
        place = f", {row['where']}" if row["where"] else ""
        shared.progress(f"parked: {row['source']}{place}: {row['reason']} → {row['remedy']}")
    if len(untold) > SHOWN:
        shared.progress(t("import.more_parked", lang, n=len(untold) - SHOWN))


def _document(report: FileReport) -> dict[str, Any]:
    known = {name: value for name, value in asdict(report).items() if name != "error"}
    if report.error is not None:
        known["error"] = {
            "detail": report.error.detail,
            "where": report.error.where,
            "remedy": report.error.remedy,
        }
    return known


def _line(report: FileReport, lang: str) -> None:
    if report.error is not None:
        shared.progress(f"error: {report.path}: {report.error}")
    elif report.kind != "ignored":
        counts = {name: getattr(report, name) for name in COUNTS}
        shared.say(t("import.file", lang, path=report.path, **counts))


@click.command("parked", epilog="Example: financing parked --replay all")
@click.option("--replay", metavar="ID|all", help="Read one, or all, again from the kept bytes.")
@shared.options
def parked(replay: str | None, as_json: bool, lang: str) -> int:
    """List what could not be used, with place, reason, and remedy."""
    outcome: dict[UUID, bool] = {}
    with shared.opened() as ctx:
        if replay is not None:
            with ctx.begin() as tx:
                outcome = files.replay(tx, None if replay == "all" else [_id(replay)])
            if not outcome and replay != "all":
                raise NotFound("no such parked record is open", where=replay)
            shared.follow_up(ctx)
        with ctx.begin() as tx:
            rows = _open(tx)
    left = sum(not mended for mended in outcome.values())
    if as_json:
        shared.emit({"parked": rows})
    else:
        if outcome:
            shared.say(t("parked.replayed", lang, n=len(outcome) - left, left=left))
        for row in rows if replay in (None, "all") else ():
            shared.say(f"{row['id']}  {row['source']}  {row['where']}")
            shared.say(f"    {row['reason']}  {row['value']}")
            shared.say(f"    → {row['remedy']}")
        shared.say(t("parked.total", lang, n=len(rows)))
    return 1 if left else 0


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as problem:
        raise NotFound("no such parked record is open", where=text) from problem


def _open(tx: Tx, since: UUID | None = None) -> list[dict[str, Any]]:
    """What is parked and not mended, the oldest first; `since` an id of ours, which tell time."""
    wanted = [parked_table.c.state == "open"]
    if since is not None:
        wanted.append(parked_table.c.id > since)
    return [
        {
            "id": str(row.id),
            "source": row.source,
            "where": row.place,
            "value": row.value,
            "reason": row.reason,
            "remedy": row.remedy,
            "at": rfc3339(row.at),
        }
        for row in tx.rows(
            select(parked_table).where(*wanted).order_by(parked_table.c.at, parked_table.c.id)
        )
    ]
