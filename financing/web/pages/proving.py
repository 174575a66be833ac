"""The public page that judges a packet, for whoever holds one and has no account."""

from __future__ import annotations

from flask import request

from financing import words
from financing.context import Context
from financing.errors import Invalid
from financing.evidence import verify
from financing.rules.verdicts import remedy
from financing.web.routes import Ask, Page, route


@route("GET", "/verify", permit="public", bare=True)
def verify_page(_ctx: Context, _ask: Ask) -> Page:
    """Is this file real?"""
    return Page("verify.html", {"verdict": None})


@route("POST", "/verify", permit="public", bare=True, form=verify_page)
def verify_packet(ctx: Context, ask: Ask) -> Page:
    """Judge the file that was sent; it is not kept."""
    sent = request.files.get("packet")
    data = sent.read() if sent is not None else b""
    if not data:
        raise Invalid(
            words.t("proving.no_file", ask.lang),
            where="/packet",
            remedy=words.t("proving.choose", ask.lang),
        )
    found = verify.verify(data, ctx.keys.ca_pem)
    return Page("verify.html", {"verdict": found, "remedy": remedy(found.reason)})
