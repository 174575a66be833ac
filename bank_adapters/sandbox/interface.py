"""The bank's interface: the `rest_jws` profile over HTTP.

Every request and answer carries a detached JWS in `x-jws-signature`: over the body, or over the
target of a request without one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from bank_adapters.sandbox import books, faults, signing
from bank_adapters.sandbox.books import Row
from bank_adapters.sandbox.desk import Desk, Refused, items
from bank_adapters.sandbox.mind import Mind

HEADER = "x-jws-signature"
MOST_BYTES = 128 << 20
Wait = Callable[[float], bool]
View = Callable[[Mapping[str, Row]], dict[str, Any]]  # given the faults that strike


def add_to(app: Flask, mind: Mind, keys: signing.Keys, wait: Wait) -> None:
    """Add the interface to the bank's web application.

    Args:
        wait: sleeps so many seconds, or less when the bank closes.
    """
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    desk = Desk(mind)

    def answer(view: View, firms: Callable[[], list[str]]) -> Response:
        body = request.get_data()
        try:
            target = request.environ.get("REQUEST_URI") or request.full_path
            signing.verify(keys, body or target.encode(), request.headers.get(HEADER, ""))
        except signing.NotSigned as problem:
            return _signed(keys, 401, _problem(401, str(problem)))
        try:
            about = f"{request.method} {request.path}"
            struck = faults.strike(mind.books, "request", firms(), about)
            early = _before(keys, struck, wait)
            if early is not None:
                return early
            said = view(struck)
        except Refused as problem:
            return _signed(keys, problem.status, _problem(problem.status, problem.detail))
        if "receipts" in said:
            said = {"receipts": _spoilt(said["receipts"], struck)}
        return _after(keys, struck, wait, said)

    @app.post("/applications")
    def submit() -> Response:
        return answer(
            lambda struck: desk.submit(short="batch-part" in struck),
            lambda: [str(item.get("supplier")) for item in items()],
        )

    @app.get("/applications")
    def poll() -> Response:
        return answer(lambda _: desk.poll(), list)

    @app.post("/applications/<reference>/acceptance")
    def accept(reference: str) -> Response:
        return answer(lambda _: desk.accept(reference), lambda: desk.firm(reference))

    @app.post("/applications/<reference>/cancellation")
    def cancel(reference: str) -> Response:
        return answer(lambda _: desk.cancel(reference), lambda: desk.firm(reference))

    @app.get("/health")
    def health() -> Response:
        return _signed(keys, 200, {"status": "open", "bank": mind.config.name})

    @app.errorhandler(HTTPException)
    def failed(problem: HTTPException) -> Response:
        status = problem.code or 500
        return _signed(keys, status, _problem(status, problem.description or ""))


def _spoilt(receipts: list[dict[str, Any]], struck: Mapping[str, Row]) -> list[dict[str, Any]]:
    """Faults of the receipts themselves."""
    if "foreign-reference" in struck:
        receipts = [receipt | {"application": books.STRANGER} for receipt in receipts]
    return [receipt for receipt in receipts for _ in range(2 if "duplicate" in struck else 1)]


# ── Answering ────────────────────────────────────────────────────────────────────────────────


def _problem(status: int, detail: str) -> dict[str, Any]:
    return {"type": "about:blank", "title": "refused", "status": status, "detail": detail}


def _signed(keys: signing.Keys, status: int, said: dict[str, Any]) -> Response:
    body = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    response = Response(body, status, content_type="application/json")
    response.headers[HEADER] = signing.sign(keys, body)
    return response


def _before(keys: signing.Keys, struck: dict[str, Row], wait: Wait) -> Response | None:
    """Faults that come before anything is recorded."""
    if "timeout-before" in struck:
        wait(struck["timeout-before"]["seconds"])
        return Response(status=504)
    if "html-200" in struck:
        return Response("<!doctype html><title>Sign in</title>", content_type="text/html")
    if "maintenance" in struck:
        response = _signed(keys, 503, _problem(503, "maintenance"))
        response.headers["Retry-After"] = str(int(struck["maintenance"]["seconds"]))
        return response
    if "busy" in struck:
        until = datetime.now(UTC) + timedelta(seconds=struck["busy"]["seconds"])
        response = _signed(keys, 429, _problem(429, "too many requests"))
        response.headers["Retry-After"] = format_datetime(until, usegmt=True)
        return response
    return None


def _after(
    keys: signing.Keys, struck: dict[str, Row], wait: Wait, said: dict[str, Any]
) -> Response:
    """The answer, and faults that come when everything is recorded."""
    if "timeout-after" in struck:
        wait(struck["timeout-after"]["seconds"])
    if "error-after" in struck:
        return Response("internal error", 500)
    response = _signed(keys, 200, said)
    if "slow-drip" in struck:
        response.response = _drip(response.get_data(), wait)
    if "endless" in struck:
        response.response = _without_end(wait)
        response.headers.remove("Content-Length")
    return response


def _drip(body: bytes, wait: Wait) -> Iterator[bytes]:
    for i in range(len(body)):
        yield body[i : i + 1]
        if wait(1):
            return


def _without_end(wait: Wait) -> Iterator[bytes]:
    yield b"["
    while not wait(0):
        yield b" " * 65_536
