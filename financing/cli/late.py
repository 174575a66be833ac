"""`financing late`: what is late on a day, against dated rules."""

from __future__ import annotations

from datetime import date

import click

from financing.cli import shared
from financing.journeys import lateness
from financing.values.times import parse_date


@click.command("late", epilog="Example: financing late --on 2026-03-05")
@click.option("--on", metavar="DATE", help="Day to judge (default: the store's business date).")
@shared.options
def late(on: str | None, as_json: bool, lang: str) -> None:
    """List what is late: rule, contract, who owes it, since when, in Chinese working days."""
    with shared.opened() as ctx, ctx.begin() as tx:
        day: date = parse_date(on) if on else tx.today
        rows = lateness.late(tx, day)
    if as_json:
        shared.emit(
            {
                "on": day.isoformat(),
                "late": [
                    {
                        "rule": row.rule,
                        "contract": row.contract,
                        "who": row.who,
                        "what": row.what,
                        "due": row.due.isoformat(),
                        "working_days_late": row.working_days_late,
                        "kind": row.kind,
                        "source": row.source,
                        "provisional": row.provisional,
                    }
                    for row in rows
                ],
            }
        )
        return
    if not rows:
        shared.say({"zh": f"{day}：没有逾期事项。", "en": f"Nothing is late on {day}."}[lang])
    for row in rows:
        who = row.who
        mark = " (provisional)" if row.provisional else ""
        shared.say(
            f"{row.rule:9} {row.kind:9} {row.due}  {row.working_days_late:4} wd"
            f"  {row.contract}  {who}{mark}"
        )
