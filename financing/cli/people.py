"""`financing people`: who may sign in; the first operator is let in here."""

from __future__ import annotations

import sys

import click

from financing.cli import shared
from financing.errors import Invalid
from financing.values.times import rfc3339
from financing.web import people as journey
from financing.words import t

TRIES = 3  # a password that is easily guessed is asked for again


@click.group("people", epilog="Example: financing people list")
def people() -> None:
    """Let people in and out, and list them. A password is typed or read from stdin."""


@people.command(
    "add",
    epilog="Example: financing people add wang --role operator --organisation '平台' --new",
)
@click.argument("name", metavar="NAME")
@click.option("--role", required=True, help="supplier, bank, purchaser, bureau, or operator.")
@click.option(
    "--organisation", "of", required=True, metavar="WHICH", help="Its code, identifier, or name."
)
@click.option("--person", default="", help="How pages call them. Default: NAME.")
@click.option("--new", is_flag=True, help="Make the organisation: of a bureau or the operator.")
@shared.options
def add(name: str, role: str, of: str, *, person: str, new: bool, as_json: bool, lang: str) -> None:
    """Let a person of an organisation in."""
    with shared.opened() as ctx:
        with ctx.begin() as tx:
            organisation = journey.expected(tx, name, role, of, new=new)
        password = _password(as_json, lang, name, organisation)
        with ctx.begin() as tx:
            journey.admit(tx, name, role, of, password, person=person, new=new)
    if as_json:
        shared.emit({"name": name, "role": role, "organisation": organisation})
    else:
        shared.say(t("people.added", lang, name=name, role=role, organisation=organisation))


@people.command("list", epilog="Example: financing people list --json")
@shared.options
def listed(as_json: bool, lang: str) -> None:
    """List everybody who signs in, oldest first."""
    with shared.opened() as ctx, ctx.begin() as tx:
        rows = journey.listed(tx)
    if as_json:
        found = [
            {
                "name": row.name,
                "role": row.role,
                "organisation": row.organisation,
                "person": row.person,
                "disabled": row.disabled,
                "sessions": row.sessions,
                "created_at": rfc3339(row.created_at),
            }
            for row in rows
        ]
        shared.emit({"people": found})
        return
    for row in rows:
        mark = "✗" if row.disabled else "✓"
        shared.say(f"{mark} {row.name:20} {row.role:10} {row.organisation}  {row.person}")
    shared.say(t("people.total", lang, n=len(rows)))


@people.command("password", epilog="Example: financing people password wang")
@click.argument("name", metavar="NAME")
@shared.options
def password(name: str, as_json: bool, lang: str) -> None:
    """Give somebody a new password; open sessions end, who was disabled may sign in again."""
    with shared.opened() as ctx:
        with ctx.begin() as tx:
            organisation = journey.known(tx, name).organisation
        new = _password(as_json, lang, name, organisation)
        with ctx.begin() as tx:
            ended = journey.change(tx, name, new)
    if as_json:
        shared.emit({"name": name, "sessions_ended": ended})
    else:
        shared.say(t("people.changed", lang, name=name, n=ended))


@people.command("disable", epilog="Example: financing people disable wang")
@click.argument("name", metavar="NAME")
@shared.options
def disable(name: str, as_json: bool, lang: str) -> None:
    """Keep somebody out from now on; their sessions end at once. Again changes nothing."""
    with shared.opened() as ctx, ctx.begin() as tx:
        ended = journey.disable(tx, name)
    if as_json:
        shared.emit({"name": name, "sessions_ended": ended})
    else:
        shared.say(t("people.disabled", lang, name=name, n=ended))


def _password(as_json: bool, lang: str, *known: str) -> str:
    """A password from the terminal, unseen and typed twice; else the first line of stdin."""
    if as_json or not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")  # what is wrong with it is said when it is used
    for left in reversed(range(TRIES)):
        typed: str = click.prompt(
            t("people.password", lang, n=journey.LEAST_PASSWORD),
            hide_input=True,
            confirmation_prompt=t("people.again", lang),
            err=True,
        )
        try:
            journey.assert_strong(typed, *known)
        except Invalid as refusal:
            if not left:
                raise
            shared.progress(f"{refusal.detail}. {refusal.remedy}")
        else:
            break
    return typed
