"""`financing check`: recompute what must always hold."""

from __future__ import annotations

import click

from financing.cli import shared
from financing.journeys import checking
from financing.words import both, t


@click.command("check", epilog="Example: financing check I7")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@shared.options
def check(names: tuple[str, ...], as_json: bool, lang: str) -> int:
    """Recompute invariants and audit chains; exit 1 when one does not hold."""
    with shared.opened() as ctx, ctx.begin() as tx:
        found = checking.check(tx, names)
    holds = all(one.holds for one in found)
    if as_json:
        shared.emit(
            {
                "holds": holds,
                "invariants": [
                    {
                        "id": one.id,
                        "holds": one.holds,
                        "severity": one.severity,
                        "sentence": both(f"invariant.{one.id}"),
                        "rows": [{"id": row_id, "wrong": wrong} for row_id, wrong in one.rows],
                        "count": one.count,
                    }
                    for one in found
                ],
            }
        )
        return 0 if holds else 1
    for one in found:
        shared.say(f"{'✓' if one.holds else '✗'} {one.id:5} {t(f'invariant.{one.id}', lang)}")
        for row_id, wrong in one.rows:
            shared.say(f"        {row_id}  {wrong}")
        if not one.holds:
            shared.say(f"        → {t(f'invariant.{one.id}.remedy', lang)}")
    return 0 if holds else 1
