"""The page about our API, made of its table: what is shown is what runs."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Final

from financing import words
from financing.errors import NotFound
from financing.store.db import Tx
from financing.web.api.openapi import OPERATIONS, TOKEN_PATH, filters, statuses, summary
from financing.web.api.table import ROOT, Operation
from financing.web.routes import Ask, Page, route

RULES: Final = ("money", "time", "unknown", "key", "lists", "etag", "problems", "rate")
BUY: Final = 'curl -u "$ID:$SECRET" -d grant_type=client_credentials {url}'


@route("GET", "/docs/api", permit="public")
def api_page(tx: Tx, ask: Ask) -> Page:
    """How does my software ask, and what does it get?"""
    url = tx.settings.url
    return Page(
        "api.html",
        {
            "root": ROOT,
            "rules": RULES,
            "token_command": BUY.format(url=url + TOKEN_PATH),
            "operations": [_shown(row, ask.lang, url) for row in OPERATIONS],
        },
    )


@route("GET", "/problems/<slug>", permit="public")
def problem_page(_tx: Tx, _ask: Ask, slug: str) -> Page:
    """What does this kind of problem mean, and what do I do?"""
    if f"api.problem.{slug}" not in words.words():
        raise NotFound("no such problem", where="problem")
    return Page("problem_kind.html", {"slug": slug, "root": ROOT})


def _shown(row: Operation, lang: str, url: str) -> SimpleNamespace:
    examples = [("request", command(row, url))]
    if row.example_answer is not None:
        examples.append(("answer", _json(row.example_answer)))
    return SimpleNamespace(
        name=row.name,
        summary=summary(row, lang),
        method=row.method,
        address=ROOT + row.template,
        permits=", ".join(row.permits),
        filters=", ".join(filters(row)),
        statuses=statuses(row),
        examples=examples,
    )


def command(row: Operation, url: str) -> str:
    """The example as a line for a shell; `TOKEN` is in its environment."""
    parts = ["curl"]
    if row.permits != ("public",):
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if row.media_type != "application/json":
        parts.append("-o packet.asice")
    if row.takes is not None:
        parts.append("-H 'Idempotency-Key: order-4711'")
        parts.append("-H 'Content-Type: application/json'")
        parts.append(f"-d '{json.dumps(row.example_body, ensure_ascii=False)}'")
    return " \\\n  ".join([*parts, url + row.example_path])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
