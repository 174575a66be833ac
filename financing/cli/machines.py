"""`financing machines`: software of an organisation that asks our API by itself."""

from __future__ import annotations

import click

from financing.cli import shared
from financing.rules.permissions import ROLES
from financing.values import ids
from financing.values.times import rfc3339
from financing.web import machines as people
from financing.words import t


@click.group("machines", epilog="Example: financing machines list")
def machines() -> None:
    """Make, list, and end machines: ids with a secret for `POST /oauth/token`."""


@machines.command(
    "new", epilog="Example: financing machines new --role bank --of bank-a --name 'core banking'"
)
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--of", required=True, metavar="ORGANISATION", help="Its code, identifier, or name.")
@click.option("--name", required=True, help="What the machine is called in the audit.")
@click.option("--scope", multiple=True, help="A permission; repeat it. Default: all of the role.")
@shared.options
def new(role: str, of: str, name: str, scope: tuple[str, ...], as_json: bool, lang: str) -> None:
    """Make a machine and show its secret, this once."""
    with shared.opened() as ctx, ctx.begin() as tx:
        machine_id, secret, scopes = people.admit(tx, role, of, name, scope)
    if as_json:
        shared.emit({"id": ids.show("mc", machine_id), "secret": secret, "scopes": scopes})
        return
    shared.say(t("machines.id", lang, id=ids.show("mc", machine_id)))
    shared.say(t("machines.secret", lang, secret=secret))
    shared.say(t("machines.scopes", lang, scopes=" ".join(scopes)))


@machines.command("list", epilog="Example: financing machines list --json")
@shared.options
def listed(as_json: bool, lang: str) -> None:
    """List machines, newest first."""
    with shared.opened() as ctx, ctx.begin() as tx:
        rows = people.listed(tx)
    if as_json:
        found = [
            {
                "id": ids.show("mc", row.login_id),
                "role": row.role,
                "organisation": row.organisation,
                "name": row.name,
                "scopes": row.scopes,
                "created_at": rfc3339(row.created_at),
                "retired_at": rfc3339(row.retired_at) if row.retired_at else None,
            }
            for row in rows
        ]
        shared.emit({"machines": found})
        return
    for row in rows:
        mark = "✗" if row.retired_at else "✓"
        shared.say(
            f"{mark} {ids.show('mc', row.login_id)}  {row.role:10}  {row.organisation}  {row.name}"
        )
    shared.say(t("machines.total", lang, n=len(rows)))


@machines.command("retire", epilog="Example: financing machines retire mc_01JNB3K4…")
@click.argument("machine_id", metavar="ID")
@shared.options
def retire(machine_id: str, as_json: bool, lang: str) -> None:
    """End a machine and its tokens at once; again changes nothing."""
    with shared.opened() as ctx, ctx.begin() as tx:
        people.retire(tx, ids.read("mc", machine_id))
    if as_json:
        shared.emit({"id": machine_id})
    else:
        shared.say(t("machines.retired", lang, id=machine_id))
