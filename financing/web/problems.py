"""An error in its caller's format: problem+json under /api, a page elsewhere.

Source: RFC 9457.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from flask import Response, g, make_response, request
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from financing import log, words
from financing.errors import (
    Broken,
    FinancingError,
    Forbidden,
    Invalid,
    Limited,
    NotFound,
    Unauthenticated,
    Unreachable,
    Unreadable,
    Untrusted,
)
from financing.web import render
from financing.web.api.said import said
from financing.web.routes import Ask, Page

_OF_STATUS: dict[int, Callable[[str], FinancingError]] = {
    404: NotFound,
    405: NotFound,  # an address with another method is an address that does not exist
    413: Unreadable,
    403: Forbidden,
    401: Unauthenticated,
    503: Unreachable,
}
RETRY_AFTER_S = 5
SIGNED = "/api/v1/webhooks/"  # a bank's engineer reads these, in the words of docs/banks.md


def known(problem: Exception) -> FinancingError:
    """Any exception as one of ours; what nobody expected is logged with its trace."""
    if isinstance(problem, FinancingError):
        return problem
    if isinstance(problem, HTTPException):
        code = problem.code or 500
        made = _OF_STATUS.get(code, Unreadable if code < 500 else Broken)
        return made(problem.description or problem.name)
    if isinstance(problem, DBAPIError) and problem.connection_invalidated:
        return Unreachable("the database cannot be reached")
    log.note("request.broken", level=logging.ERROR, error=problem, request_id=g.request_id)
    return Broken("something of ours failed")


def status_of(problem: Exception, ours: FinancingError) -> int:
    """The status of an answer; too large and wrong media type keep their own."""
    if isinstance(problem, HTTPException) and problem.code in (400, 413, 415, 431):
        return problem.code
    return ours.status


def refuse(problem: Exception) -> Response:
    """The answer to a request that failed."""
    ours = known(problem)
    status = status_of(problem, ours)
    if request.path.startswith("/api/"):
        response = make_response(_document(ours, status), status)
        response.headers["Content-Type"] = "application/problem+json"
    else:
        response = make_response(_page(ours, status), status)
    if isinstance(ours, Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(ours, Limited):
        response.headers["Retry-After"] = str(ours.retry_after_s)
    elif ours.slug == "idempotency-in-flight":
        response.headers["Retry-After"] = "1"
    elif status == Unreachable.status:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _document(ours: FinancingError, status: int) -> str:
    slug = ours.kind if isinstance(ours, Untrusted) else ours.slug
    fields = ours.fields if isinstance(ours, Invalid) else None
    errors = fields or (((ours.where, ours.detail, ours.remedy),) if ours.where else ())
    detail, title = ours.detail, slug.replace("-", " ")
    if not request.path.startswith(SIGNED):
        lang = request.accept_languages.best_match(words.LANGUAGES) or "zh"
        title = words.t(f"api.problem.{slug}", lang)
        errors = tuple((_place(where), *said(what, mend, lang)) for where, what, mend in errors)
        detail = said(detail, "", lang)[0]
        if status in (413, 429, 500, 503):
            detail = words.t(f"api.status.{status}", lang)
        if isinstance(ours, NotFound):  # the same words, whatever is absent or not the asker's
            detail, mend = words.t("api.absent", lang), words.t("api.check_address", lang)
            errors = (("", detail, mend),)
    return json.dumps(
        {
            "type": f"/problems/{slug}",
            "title": title,
            "status": status,
            "detail": detail,
            "instance": request.path,
            "request_id": g.request_id,
            "errors": [
                {"pointer": where, "problem": what, "remedy": remedy}
                for where, what, remedy in errors
            ],
        },
        ensure_ascii=False,
    )


def _place(where: str) -> str:
    """A JSON pointer, or nothing where the document could not be read that far."""
    return where if where.startswith("/") else ""


def _page(ours: FinancingError, status: int) -> str:
    if ours.status in (404, 403, 409, 429, 500, 503) or status == 413:
        key = f"problem.{413 if status == 413 else ours.status}"
    else:
        key = "problem.400"
    wait_s = ours.retry_after_s if isinstance(ours, Limited) else RETRY_AFTER_S
    values = {"key": key, "wait_s": wait_s, "problem": ours if status == 409 else None}
    return render.page(Page("problem.html", values), Ask(g.get("lang", "zh")))
