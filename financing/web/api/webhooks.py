"""Events of banks come in: the signature is the proof, the journey does the rest."""

from __future__ import annotations

import json
from typing import Any

from flask import g

from financing.context import Context
from financing.errors import FinancingError, Untrusted
from financing.journeys import receiving
from financing.journeys.receiving import Sent
from financing.web.routes import route

Answer = tuple[str, int, dict[str, str]]


class _Unacceptable(FinancingError):
    """Headers that keep the body from being looked at."""

    def __init__(self, slug: str, status: int, detail: str, *, where: str, remedy: str) -> None:
        super().__init__(detail, where=where, remedy=remedy)
        self.kind, self.answer = slug, status


@route("POST", f"{receiving.PATH}<bank_code>", permit="public", proof="none")
def bank_event(ctx: Context, request: Any, bank_code: str) -> Answer:
    """One signed event of a bank, kept before it is answered."""
    try:
        _assert_fit(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        sent = Sent(headers, request.get_data(cache=False), request.remote_addr or "")
        reply = receiving.receive(ctx, bank_code, sent)
    except Untrusted as refused:
        return _refused(refused, refused.kind, refused.status, received=dict(refused.received))
    except _Unacceptable as refused:
        return _refused(refused, refused.kind, refused.answer)
    return json.dumps(dict(reply.body)), reply.status, {"Content-Type": "application/json"}


def _assert_fit(request: Any) -> None:
    if request.mimetype != "application/json":
        raise _Unacceptable(
            "not-json",
            415,
            "the body is not said to be JSON",
            where="Content-Type",
            remedy="Send Content-Type: application/json.",
        )
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise _Unacceptable(
            "encoded",
            415,
            "the body is encoded",
            where="Content-Encoding",
            remedy="Send the bytes that were signed, without compression.",
        )
    if request.content_length is None:
        raise _Unacceptable(
            "length-missing",
            411,
            "the length of the body is not said",
            where="Content-Length",
            remedy="Send Content-Length; no chunks.",
        )


def _refused(problem: FinancingError, slug: str, status: int, **more: object) -> Answer:
    """Why a message was refused, for the engineer who sent it (RFC 9457)."""
    document = {
        "type": f"/problems/{slug}",
        "title": slug.replace("-", " "),
        "status": status,
        "detail": problem.detail,
        "where": problem.where,
        "remedy": problem.remedy,
        "request_id": g.request_id,
        **more,
    }
    body = json.dumps(document, ensure_ascii=False)
    return body, status, {"Content-Type": "application/problem+json"}
