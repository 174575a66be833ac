"""`financing machines`: software of an organisation that asks our API by itself."""

from __future__ import annotations

from typing import TextIO

import click

from financing.cli import shared
from financing.rules.permissions import ROLES
from financing.values import ids
from financing.values.times import rfc3339
from financing.web import machines as people
from financing.words import t


@click.group("machines", epilog="Example: financing machines list")
def machines() -> None:
    """Make, list, and end machines: ids with a key or a secret for `POST /oauth/token`."""


@machines.command(
    "new", epilog="Example: financing machines new --role bank --of bank-a --name 'core banking'"
)
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--of", required=True, metavar="ORGANISATION", help="Its code, identifier, or name.")
@click.option("--name", required=True, help="What the machine is called in the audit.")
@click.option("--scope", multiple=True, help="A permission; repeat it. Default: all of the role.")
@click.option(
    "--key",
    type=click.File(),
    help="Its public key (PEM, P-256 or Ed25519); without one it gets a secret.",
)
@shared.options
def new(
    role: str,
    of: str,
    name: str,
    *,
    scope: tuple[str, ...],
    key: TextIO | None,
    as_json: bool,
    lang: str,
) -> None:
    """Make a machine: with the key that it brought, or a secret that is shown this once."""
    key_pem = key.read() if key is not None else ""
    with shared.opened() as ctx, ctx.begin() as tx:
        made = people.admit(tx, role, of, name, scope, key_pem=key_pem)
    if as_json:
        found = {"id": ids.show("mc", made.id), "scopes": made.scopes}
        shared.emit(found | ({"secret": made.secret} if made.secret else {}))
        return
    shared.say(t("machines.id", lang, id=ids.show("mc", made.id)))
    if made.secret:
        shared.say(t("machines.secret", lang, secret=made.secret))
    shared.say(t("machines.scopes", lang, scopes=" ".join(made.scopes)))


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
