"""Pages for everybody: sign in, sign out, notices and where they go."""

from __future__ import annotations

from typing import Any

from flask import g, request

from financing import words
from financing.context import Context
from financing.errors import Invalid, Limited, Unauthenticated
from financing.reads import inbox, mails
from financing.rules.permissions import FIRST_PAGE
from financing.store.db import Tx
from financing.values.addresses import is_address
from financing.web import session
from financing.web.routes import Ask, Page, See, route


def _is_here(address: str) -> bool:
    """Whether an address is a path of ours: a sign-in must not lead to a stranger's page."""
    return address.startswith("/") and not address.startswith(("//", "/\\"))


@route("GET", "/", permit="public", bare=True)
def sign_in_page(ctx: Context, _ask: Ask) -> Page | See:
    """How do I get in? Who is in already sees the first page of the role."""
    if g.person is not None:
        return See(FIRST_PAGE[g.person.actor.role])
    demo: list[Any] = []
    if g.store.is_demo:
        with ctx.begin() as tx:
            demo = session.demo_logins(tx)
    return Page("sign_in.html", {"demo": demo, "demo_password": session.DEMO_PASSWORD})


@route("POST", "/", permit="public", bare=True, form=sign_in_page)
def sign_in(ctx: Context, ask: Ask) -> See:
    """Sign in; one sentence for every cause of failure."""
    try:
        token, role = session.sign_in(
            ctx, ask.text("name"), ask.typed.get("password", ""), request.remote_addr or ""
        )
    except Unauthenticated as refusal:
        raise Invalid(
            words.t("sign_in.wrong", ask.lang),
            where="/name",
            remedy=words.t("sign_in.wrong_remedy", ask.lang),
        ) from refusal
    except Limited as refusal:
        raise Limited(
            words.t("sign_in.wait", ask.lang, n=refusal.retry_after_s),
            retry_after_s=refusal.retry_after_s,
            remedy=words.t("sign_in.wait_remedy", ask.lang),
        ) from refusal
    following = ask.text("next")
    return See(following if _is_here(following) else FIRST_PAGE[role], token=token)


@route("POST", "/sign-out", permit="signed-in")
def sign_out(tx: Tx, _ask: Ask) -> See:
    """End the session."""
    session.sign_out(tx, g.person.token)
    return See("/", told="signed-out", token="")


@route("GET", "/inbox", permit="inbox.read")
def inbox_page(tx: Tx, _ask: Ask) -> Page:
    """What is new for me?"""
    return Page(
        "inbox.html",
        {
            "notices": inbox.notices(tx),
            "unread": inbox.unread(tx),
            "email": mails.own_address(tx),
            "email_trouble": mails.own_trouble(tx),
            "mail_is_set": tx.settings.mail is not None,
        },
    )


@route("POST", "/inbox", permit="inbox.read", form=inbox_page)
def read_inbox(tx: Tx, _ask: Ask) -> See:
    """All read."""
    inbox.open_all(tx)
    return See("/inbox", told="read")


@route("POST", "/inbox/email", permit="inbox.read", form=inbox_page)
def set_email(tx: Tx, ask: Ask) -> See:
    """Have notices by e-mail too, or no more."""
    address = ask.text("email")
    if address and not is_address(address):
        raise Invalid(
            words.t("email.wrong", ask.lang),
            where="/email",
            remedy=words.t("email.wrong_remedy", ask.lang),
        )
    mails.set_own_address(tx, address)
    return See("/inbox", told="email-saved")
