"""The web process: one table of routes, one wrapper around every view.

1. `create_app` limits, headers, the rows of all pages and APIs
2. `_answer`    session → permission → view in a transaction → rendering
3. `_write`     form proof → form key → step; a refusal shows the form again, values kept
4. `_end`       headers, cookies, and one line of log

Absent and foreign answer alike, with the same words: nobody learns what exists.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from flask import Flask, Response, current_app, g, make_response, request, url_for
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from werkzeug.datastructures import MultiDict

from financing import log, words
from financing.context import Context
from financing.errors import Broken, Conflict, Forbidden, Invalid, Limited, NotFound, Unreadable
from financing.rules.permissions import may
from financing.store.db import Actor, Tx
from financing.store.tables import form_key
from financing.values.times import wall_now
from financing.web import problems, render, session
from financing.web.api import answering, health, oauth, page, rate, webhooks
from financing.web.api.openapi import OPERATIONS
from financing.web.pages import (
    applying,
    bank,
    bureau,
    everybody,
    operator,
    proving,
    purchaser,
    supplier,
)
from financing.web.routes import Answer, Ask, File, Page, Route, See, faults_of, rows_of

ROWS = rows_of(
    everybody,
    proving,
    supplier,
    applying,
    bank,
    purchaser,
    bureau,
    operator,
    page,
    health,
    webhooks,
    oauth,
)

MOST_FORM_BYTES = 64 * 1024
MOST_PACKET_BYTES = 8 << 20  # a packet that somebody has judged by a page
MOST_BODY_BYTES = 1 << 20
MOST_FIELDS = 200
LONGEST_KEY = 64
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self';"
        " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
HSTS = "max-age=31536000; includeSubDomains"


def create_app(ctx: Context) -> Flask:
    """The application of one process over its context."""
    app = Flask(__name__)
    address = urlsplit(ctx.settings.url)
    app.config.update(
        MAX_CONTENT_LENGTH=MOST_BODY_BYTES,
        MAX_FORM_PARTS=MOST_FIELDS,
        TRUSTED_HOSTS=[address.hostname, "127.0.0.1", "localhost"],
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=30),
        IS_SECURE=address.scheme == "https",
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    sheet = (Path(str(app.static_folder)) / "style.css").read_bytes()
    app.jinja_env.globals["sheet"] = f"/static/style.css?v={hashlib.sha256(sheet).hexdigest()[:12]}"
    for row in ROWS:
        app.add_url_rule(
            row.rule,
            endpoint=row.name,
            view_func=partial(_answer, ctx, row),
            methods=[row.method],
        )
    take = rate.bucket(ctx.settings.redis_url)
    for operation in OPERATIONS:
        app.add_url_rule(
            operation.rule,
            endpoint=operation.name,
            view_func=partial(answering.answer, ctx, take, operation),
            methods=[operation.method],
            provide_automatic_options=False,
        )
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(Exception, problems.refuse)
    return app


def _begin() -> None:
    g.request_id = secrets.token_hex(8)
    g.started = time.perf_counter()
    g.wanted = _wanted_language()
    g.lang = g.wanted or "zh"
    if not request.path.startswith("/api/"):
        is_packet = request.path == "/verify"
        request.max_content_length = MOST_PACKET_BYTES if is_packet else MOST_FORM_BYTES
    g.person = g.store = g.token = None
    g.visit = request.cookies.get("visit", "")
    g.subject = ""


def _wanted_language() -> str | None:
    """By the address, else the cookie of an earlier choice, else what the browser prefers."""
    choice = request.args.get("lang", request.cookies.get("lang"))
    if choice in words.LANGUAGES:
        return choice
    return request.accept_languages.best_match(words.LANGUAGES)


def _session_cookie(*, is_secure: bool) -> str:
    return "__Host-session" if is_secure else "session"


# ── 2. One request ───────────────────────────────────────────────────────────────────────────


def _answer(ctx: Context, row: Route, **given: str) -> Response:
    named = row.ids_of(given)
    g.subject = next((str(value) for value in named.values() if isinstance(value, UUID)), "")
    if row.proof == "none":
        return make_response(row.view(ctx, request, **named))
    _who(ctx)
    if row.permit != "public":
        if g.person is None:
            back = {"next": request.full_path.rstrip("?")} if row.method == "GET" else {}
            return _see(f"/?{urlencode(back)}".rstrip("?"))
        if not may(g.person.actor.role, row.permit):
            raise NotFound("no such page", where=row.path)
    ask = Ask(g.lang, MultiDict(request.form if row.method == "POST" else request.args))
    try:
        answer = (
            _write(ctx, row, ask, named) if row.method == "POST" else _look(ctx, row, ask, named)
        )
    except (Invalid, Conflict, Limited) as refusal:
        return _form_again(ctx, row, ask, refusal, named, given)
    return _show(answer, ask)


def _form_again(
    ctx: Context,
    row: Route,
    ask: Ask,
    refusal: Invalid | Conflict | Limited,
    named: Mapping[str, Any],
    given: Mapping[str, str],
) -> Response:
    """The page of the form that was refused: values kept, faults beside their fields."""
    again = Ask(g.lang, ask.typed, faults_of(refusal))
    page = _look(ctx, row.form, again, named) if row.form is not None else None
    if row.form is None or not isinstance(page, Page):
        raise refusal
    g.page_path = url_for(row.form.name, **dict[str, Any](given))
    response = _show(Page(page.template, page.values, refusal.status), again)
    if isinstance(refusal, Limited):
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response


def _who(ctx: Context) -> None:
    token = request.cookies.get(_session_cookie(is_secure=_is_secure(ctx)), "")
    with ctx.begin() as tx:
        g.store = session.store(tx)
        if token:
            g.person = session.signed_in(tx, token, g.wanted)
    if g.person is not None:
        g.lang = g.person.actor.lang
    elif not g.visit:
        g.visit = secrets.token_urlsafe(16)
        g.new_visit = True


def _is_secure(ctx: Context) -> bool:
    return ctx.settings.url.startswith("https:")


def _actor() -> Actor:
    return g.person.actor if g.person is not None else Actor("public", lang=g.lang)


def _look(ctx: Context, row: Route, ask: Ask, named: Mapping[str, Any]) -> Answer:
    if row.bare:
        answer: Answer = row.view(ctx, ask, **named)
        return answer
    seen: Answer = ctx.attempt(lambda tx: row.view(tx, ask, **named), _actor())
    return seen


# ── 3. A write ───────────────────────────────────────────────────────────────────────────────


def _write(ctx: Context, row: Route, ask: Ask, named: Mapping[str, Any]) -> Answer:
    if request.mimetype not in FORM_TYPES:
        raise Unreadable("a form is expected", where="Content-Type")
    if not _is_ours(request.form.get("proof", "")):
        raise Forbidden("the form does not come from a page of this session", where="/proof")
    if row.bare:
        answer: Answer = row.view(ctx, ask, **named)
        return answer
    return ctx.attempt(lambda tx: _once(tx, row, ask, named), _actor())


def _is_ours(proof: str) -> bool:
    """A form is ours when its proof fits the cookie and no other site sent it."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        return False
    token = g.person.token if g.person is not None else g.visit
    return bool(token) and session.is_form_token(token, proof)


def _once(tx: Tx, row: Route, ask: Ask, named: Mapping[str, Any]) -> Answer:
    """Run a step once per form: the same form again sees the first answer.

    Raises:
        Conflict: the form's key was used for other content.
    """
    key = ask.text("form_key")
    if not key or len(key) > LONGEST_KEY:
        raise Forbidden("the form carries no key of its own", where="/form_key")
    typed = urlencode([pair for pair in ask.typed.items(multi=True) if pair[0] != "proof"])
    mine = (tx.actor.login_id, request.path, hashlib.sha256(typed.encode()).hexdigest())
    is_new = tx.one(
        upsert(form_key)
        .values(key=key, login_id=mine[0], path=mine[1], body_digest=mine[2], at=wall_now())
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(form_key.c.key)
    )
    if is_new is None:
        known = tx.db.execute(select(form_key).where(form_key.c.key == key)).one()
        if (known.login_id, known.path, known.body_digest) != mine:
            raise Conflict(
                words.t("form.used", ask.lang), remedy=words.t("form.open_anew", ask.lang)
            )
        return See(known.location)
    answer: Answer = row.view(tx, ask, **named)
    if not isinstance(answer, See):
        raise Broken("a write must end in an address to see", where=row.path)
    tx.db.execute(update(form_key).where(form_key.c.key == key).values(location=answer.location))
    return answer


# ── 4. The answer leaves ─────────────────────────────────────────────────────────────────────


def _show(answer: Answer, ask: Ask) -> Response:
    if isinstance(answer, See):
        g.token = answer.token
        return _see(answer.location)
    if isinstance(answer, File):
        response = make_response(answer.content)
        response.headers["Content-Type"] = answer.media_type
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{answer.name}"
        return response
    return make_response(render.page(answer, ask), answer.status)


def _see(location: str) -> Response:
    return make_response("", 303, {"Location": location})


def _end(response: Response) -> Response:
    is_secure = current_app.config["IS_SECURE"]
    response.headers.update(HEADERS)
    response.headers["Request-Id"] = g.request_id
    if is_secure:
        response.headers["Strict-Transport-Security"] = HSTS
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    if allowance := g.get("allowance"):
        response.headers["RateLimit-Policy"] = rate.POLICY
        response.headers["RateLimit"] = allowance.header
    if not request.path.startswith("/api/"):
        _cookies(response, is_secure=is_secure)
    log.note(
        "request",
        request_id=g.request_id,
        actor=str(g.person.actor.login_id) if g.person else "",
        route=request.url_rule.rule if request.url_rule else "",
        method=request.method,
        subject=g.subject,
        outcome=response.status_code,
        ms=round((time.perf_counter() - g.started) * 1000),
    )
    return response


def _cookies(response: Response, *, is_secure: bool) -> None:
    kept: dict[str, Any] = {
        "path": "/",
        "secure": is_secure,
        "httponly": True,
        "samesite": "Lax",
    }
    name = _session_cookie(is_secure=is_secure)
    if g.token:
        response.set_cookie(name, g.token, max_age=session.LIFE, **kept)
    elif g.token == "":
        response.delete_cookie(name, **kept)
    if g.get("new_visit"):
        response.set_cookie("visit", g.visit, **kept)
    if request.args.get("lang") in words.LANGUAGES:
        response.set_cookie("lang", request.args["lang"], max_age=timedelta(days=365), **kept)
