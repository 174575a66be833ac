"""From an answer to bytes: templates with words, dates, and amounts in the reader's language."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any
from urllib.parse import urlencode

from flask import g, render_template, request
from markupsafe import Markup

from financing import words
from financing.rules.permissions import FIRST_PAGE
from financing.values import ids
from financing.values.times import civil, rfc3339
from financing.web import session, show
from financing.web.routes import Ask, Page

# Navigation of each role: address, word, icon of the phone's bar (24 × 24, one path).
_PAPER = "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6"
_BELL = "M6 16v-5a6 6 0 0 1 12 0v5l2 2H4zM10 21h4"
NAVIGATION = {
    "supplier": (("/contracts", "nav.contracts", _PAPER), ("/inbox", "nav.inbox", _BELL)),
    "bank": (
        ("/cases", "nav.cases", "M4 7h6l2 2h8v11H4z"),
        ("/inbox", "nav.inbox", _BELL),
    ),
    "purchaser": (
        ("/confirmations", "nav.confirmations", "M5 4h14v16H5zM9 12l2 2l4-5"),
        ("/acceptances", "nav.acceptances", "M4 8l8-4l8 4v8l-8 4l-8-4zM4 8l8 4l8-4M12 12v8"),
        ("/inbox", "nav.inbox", _BELL),
    ),
    "bureau": (
        ("/figures", "nav.figures", "M4 20h16M7 20v-6M12 20V6M17 20V10"),
        ("/deadlines", "nav.deadlines", "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M12 7v5l3 2"),
        ("/inbox", "nav.inbox", _BELL),
    ),
    "operator": (
        ("/parked", "nav.parked", "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M10 9v6M14 9v6"),
        ("/jobs", "nav.jobs", "M8 6h12M8 12h12M8 18h12M4 6h1M4 12h1M4 18h1"),
        ("/adapters", "nav.banks", "M3 9l9-5l9 5zM5 9v9M10 9v9M14 9v9M19 9v9M3 20h18"),
    ),
}


def page(answer: Page, ask: Ask) -> str:
    """The page of an answer, whole."""
    lang = ask.lang
    person = g.get("person")
    role = person.actor.role if person else ""
    return render_template(
        answer.template,
        **{
            **answer.values,
            "ask": ask,
            "lang": lang,
            "t": partial(_words, lang),
            "rich": partial(_rich, lang),
            "day": partial(_day, lang),
            "day_week": partial(_day_week, lang),
            "instant": partial(_instant, lang),
            "money": partial(_money, lang),
            "amount": show.amount,
            "percent": show.percent,
            "shown": show.shown,
            "link": ids.show,
            "guard": _guard,
            "person": person,
            "store": g.get("store"),
            "today": civil(g.store.now) if g.get("store") else None,
            "navigation": NAVIGATION.get(role, ()),
            "first_page": FIRST_PAGE.get(role, "/"),
            "current": _current(),
            "other_language": _other_language(lang),
            "told": request.args.get("told", ""),
            "has_word": words.words().__contains__,
            "request_id": g.get("request_id", ""),
        },
    )


# Pages that stand under another entry of the navigation.
_UNDER = {"/applications": "/contracts", "/accounts": "/confirmations"}


def _current() -> str:
    """The entry of the navigation under which this page stands."""
    first = "/" + request.path.split("/")[1]
    return _UNDER.get(first, first)


def _words(lang: str, key: str, **named: words.Named) -> str:
    if any(isinstance(value, Markup) for value in named.values()):
        return show.rich(key, lang, **named)  # an amount or a time comes as markup of ours
    return words.t(key, lang, **named)


def _rich(lang: str, key: str, **named: words.Named) -> Markup:
    return show.rich(key, lang, **named)


def _day(lang: str, on: Any) -> str:
    return show.day(on, lang)


def _day_week(lang: str, on: Any) -> str:
    return show.day_week(on, lang)


def _instant(lang: str, at: Any) -> Markup | str:
    if at is None:
        return "—"
    return Markup('<time class="nb" datetime="{}">{}</time>').format(
        rfc3339(at), show.instant(at, lang)
    )


def _money(lang: str, fen: int | None, currency: str) -> Markup:
    return Markup('<span class="num nb">{}</span>').format(show.money(fen, currency, lang))


def _guard() -> Markup:
    """The two hidden fields of every form: proof that it is ours, and its own key."""
    person = g.get("person")
    token = person.token if person else g.get("visit", "")
    return Markup(
        '<input type="hidden" name="proof" value="{}">'
        '<input type="hidden" name="form_key" value="{}">'
    ).format(session.form_token(token), secrets.token_urlsafe(16))


def _other_language(lang: str) -> str:
    """The same page in the other language."""
    kept = [pair for pair in request.args.items(multi=True) if pair[0] not in ("lang", "told")]
    query = urlencode([*kept, ("lang", "en" if lang == "zh" else "zh")])
    return f"{g.get('page_path', request.path)}?{query}"  # the template escapes it
