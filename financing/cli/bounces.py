"""`financing bounces`: mail that came back to the address it was sent from."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from financing.cli import shared
from financing.errors import Unreadable
from financing.formats import bounce
from financing.journeys import mailing
from financing.words import t


@click.command("bounces", epilog="Example: financing bounces Maildir/new/*")
@click.argument("paths", nargs=-1, required=True, metavar="FILE…")
@shared.options
def bounces(paths: tuple[str, ...], as_json: bool, lang: str) -> None:
    """Read messages that came back, one a file; - reads stdin. Again changes nothing.

    A notice whose mail failed for good is shown as bounced, to the operator and to its reader.
    What is no delivery report is passed over.
    """
    reports = [bounce.read(_bytes(path)) for path in paths]
    found = [report for report in reports if report is not None]
    with shared.opened() as ctx, ctx.begin() as tx:
        new = mailing.take_bounces(tx, found)
    if as_json:
        shared.emit({"read": len(paths), "reports": len(found), "new": new})
    else:
        shared.say(t("bounces.read", lang, read=len(paths), reports=len(found), new=new))


def _bytes(path: str) -> bytes:
    try:
        if path == "-":
            return sys.stdin.buffer.read(bounce.MOST_BYTES)
        with Path(path).open("rb") as file:
            return file.read(bounce.MOST_BYTES)
    except OSError as problem:
        raise Unreadable(
            f"the message cannot be opened: {problem.strerror}",
            where=path,
            remedy="Check the path.",
        ) from problem
