"""The bank's interface: the `rest_jws` profile over HTTP.

Every request and answer carries a detached JWS in `x-jws-signature`: over the body, or over the
target of a request without one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from bank_adapters.sandbox import faults, signing
from bank_adapters.sandbox.books import Row, money
from bank_adapters.sandbox.mind import OPEN, TEXTS, Mind, pass_time

BATCH = 50
IDS = 200
MOST_BYTES = 128 << 20
Wait = Callable[[float], bool]


class Refused(Exception):
    """The whole request is refused: status and what is wrong with it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def add_to(app: Flask, mind: Mind, keys: signing.Keys, wait: Wait) -> None:
    """Add the interface to the bank's web application.

    Args:
        wait: sleeps so many seconds, or less when the bank closes.
    """
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    desk = Desk(mind)

    def answer(view: Callable[[], dict[str, Any]], firms: Callable[[], list[str]]) -> Response:
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
            said = view()
        except Refused as problem:
            return _signed(keys, problem.status, _problem(problem.status, problem.detail))
        if "duplicate" in struck and "receipts" in said:
            said = {"receipts": [receipt for receipt in said["receipts"] for _ in range(2)]}
        return _after(keys, struck, wait, said)

    @app.post("/applications")
    def submit() -> Response:
        return answer(desk.submit, lambda: [str(item.get("supplier")) for item in _items()])

    @app.get("/applications")
    def poll() -> Response:
        return answer(desk.poll, list)

    @app.post("/applications/<reference>/acceptance")
    def accept(reference: str) -> Response:
        return answer(lambda: desk.accept(reference), lambda: desk.firm(reference))

    @app.post("/applications/<reference>/cancellation")
    def cancel(reference: str) -> Response:
        return answer(lambda: desk.cancel(reference), lambda: desk.firm(reference))

    @app.get("/health")
    def health() -> Response:
        return _signed(keys, 200, {"status": "open", "bank": mind.config.name})

    @app.errorhandler(HTTPException)
    def failed(problem: HTTPException) -> Response:
        status = problem.code or 500
        return _signed(keys, status, _problem(status, problem.description or ""))


HEADER = "x-jws-signature"


class Desk:
    """Takes requests and keeps them in the books; the same request id is answered as before."""

    def __init__(self, mind: Mind) -> None:
        self.mind = mind
        self.books = mind.books

    def firm(self, reference: str) -> list[str]:
        case = self.books.case(reference)
        return [case["supplier"]] if case else []

    def submit(self) -> dict[str, Any]:
        items = _items()
        if not 1 <= len(items) <= BATCH:
            raise Refused(422, f"items holds 1 to {BATCH}")
        return {"receipts": [self._submitted(item) for item in items]}

    def _submitted(self, item: dict[str, Any]) -> dict[str, Any]:
        """One item's receipt: a wrong field of one does not touch the others."""
        request_id = _text(item, "request_id")
        try:
            return self._once(item, self._take)
        except Refused as problem:
            return refusal(request_id, "R61", problem.detail)

    def _once(
        self, message: dict[str, Any], act: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> dict[str, Any]:
        """Act on a message, or give the first answer again; another content is refused."""
        request_id = _text(message, "request_id")
        content = json.dumps(message, sort_keys=True).encode()
        digest = hashlib.sha256(f"{request.path} ".encode() + content).hexdigest()
        with self.books.writing() as db:
            known = db.execute(
                "SELECT * FROM answered WHERE request_id = ?", (request_id,)
            ).fetchone()
            if known and known["digest"] != digest:
                return refusal(request_id, "R84", "the same request id with another content")
            if known:
                first: dict[str, Any] = json.loads(known["answer"])
                return first
            answer = act(message)
            db.execute(
                "INSERT INTO answered VALUES (?, ?, ?)",
                (request_id, digest, json.dumps(answer, ensure_ascii=False)),
            )
            return answer

    def _take(self, message: dict[str, Any]) -> dict[str, Any]:
        request_id = _text(message, "request_id")
        contract = message.get("contract")
        amount, currency = _money(message)
        packet = _packet(message)
        if not isinstance(contract, dict) or packet is None:
            return refusal(request_id, "R61", "contract or packet is missing")
        reference = f"ZC{self.books.today():%Y%m%d}{self.books.next_number('case'):06d}"
        with self.books.writing() as db:
            db.execute(
                "INSERT INTO credit_case (reference, request_id, application, contract_number, "
                "supplier, purchaser, amount, currency, tenor_days, packet_digest, "
                "account_digest, packet, supersedes, state) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'received')",
                (
                    reference,
                    request_id,
                    _text(message, "application"),
                    _text(contract, "number"),
                    _text(message, "supplier"),
                    _text(contract, "purchaser"),
                    amount,
                    currency,
                    _whole(message, "tenor_days"),
                    _text(message, "packet_digest"),
                    _text(message, "account_digest"),
                    packet,
                    message.get("supersedes"),
                ),
            )
            if message.get("supersedes"):
                db.execute(
                    "UPDATE credit_case SET state = 'superseded' WHERE request_id = ? "
                    "AND state IN ('received', 'reviewing', 'info_required', 'offered')",
                    (message["supersedes"],),
                )
            self.books.put_on_list(reference, "decide")
        return {
            "request_id": request_id,
            "application": message["application"],
            "outcome": "taken",
            "bank_reference": reference,
            "echo": {
                "amount": money(amount, currency),
                "contract_number": contract["number"],
                "packet_digest": message["packet_digest"],
                "account_digest": message["account_digest"],
            },
        }

    def poll(self) -> dict[str, Any]:
        if "request_id" in request.args:
            return self._cases(request.args["request_id"].split(","))
        since = request.args.get("since", "c_0")
        limit = request.args.get("limit", "200")
        if not since.startswith("c_") or not since[2:].isdigit() or not limit.isdigit():
            raise Refused(422, "since is a cursor of ours, limit a number")
        rows = self.books.rows(
            "SELECT n, said FROM change WHERE n > ? ORDER BY n LIMIT ?",
            int(since[2:]),
            min(max(int(limit), 1), IDS) + 1,
        )
        more = len(rows) > min(max(int(limit), 1), IDS)
        rows = rows[:-1] if more else rows
        return {
            "items": [json.loads(row["said"]) for row in rows],
            "cursor": f"c_{rows[-1]['n']}" if rows else since,
            "more": more,
            "never_seen": [],
        }

    def _cases(self, ids: list[str]) -> dict[str, Any]:
        """All that was said of these cases, each case's in order; a request not seen is named."""
        if len(ids) > IDS:
            raise Refused(422, f"request_id holds at most {IDS} ids")
        items: list[dict[str, Any]] = []
        never_seen = []
        for request_id in ids:
            case = self.books.one(
                "SELECT reference FROM credit_case WHERE request_id = ?", request_id
            )
            if case is None:
                never_seen.append(request_id)
                continue
            rows = self.books.rows(
                "SELECT said FROM change WHERE reference = ? ORDER BY n", case["reference"]
            )
            items += [json.loads(row["said"]) for row in rows] or [self._seen(case["reference"])]
        return {"items": items, "cursor": None, "more": False, "never_seen": never_seen}

    def _seen(self, reference: str) -> dict[str, Any]:
        """A case of which nothing was said yet: the bank has it, and that is all."""
        case = self.books.known(reference)
        return {
            "request_id": case["request_id"],
            "application": case["application"],
            "bank_reference": reference,
            "status": "received",
            "occurred_at": self.books.now().isoformat(),
            "echo": {
                "contract_number": case["contract_number"],
                "packet_digest": case["packet_digest"],
                "amount": money(case["amount"], case["currency"]),
            },
        }

    def accept(self, reference: str) -> dict[str, Any]:
        pass_time(self.mind)  # an offer that has lapsed by now is no longer open
        case = self._known(reference)
        return self._once(_body(), lambda message: self._accept(case, message))

    def _accept(self, case: Row, message: dict[str, Any]) -> dict[str, Any]:
        request_id = _text(message, "request_id")
        said = message.get("offer")
        if case["state"] != "offered":
            if case["state"] == "expired":
                return refusal(request_id, "R82", TEXTS["R82"])
            return refusal(request_id, "R84", f"the case is {case['state']}")
        offer = json.loads(case["offer"])
        if not isinstance(said, dict) or said.get("digest") != case["offer_digest"]:
            return refusal(request_id, "R82", "the offer was replaced by another one")
        if _money(message) != (case["amount"], case["currency"]):
            return refusal(request_id, "R31", "the amount is not the one offered")
        self.mind.say(
            case,
            "offer.acceptance_confirmed",
            "accepted",
            state="accepted",
            offer_digest=case["offer_digest"],
            offer_reference=offer["reference"],
        )
        self.books.put_on_list(case["reference"], "contract")
        return taken(case, request_id)

    def cancel(self, reference: str) -> dict[str, Any]:
        case = self._known(reference)
        return self._once(_body(), lambda message: self._cancel(case, message))

    def _cancel(self, case: Row, message: dict[str, Any]) -> dict[str, Any]:
        request_id = _text(message, "request_id")
        if case["state"] in ("drawn", "overdue", "settled"):
            return refusal(request_id, "R83", TEXTS["R83"])
        if case["state"] in OPEN:
            self.mind.say(
                case,
                "application.cancelled",
                "cancelled",
                state="cancelled",
                by="supplier",
                reason=_text(message, "reason"),
            )
        return taken(case, request_id)

    def _known(self, reference: str) -> Row:
        case = self.books.case(reference)
        if case is None or case["application"] != _body().get("application"):
            raise Refused(404, "no such application here")
        return case


def taken(case: Row, request_id: str) -> dict[str, Any]:
    """The receipt of a request that is done."""
    return {
        "request_id": request_id,
        "application": case["application"],
        "outcome": "taken",
        "bank_reference": case["reference"],
        "echo": {
            "amount": money(case["amount"], case["currency"]),
            "contract_number": case["contract_number"],
            "packet_digest": case["packet_digest"],
        },
    }


def refusal(request_id: str, code: str, text: str) -> dict[str, Any]:
    """The receipt of a request that is refused."""
    return {
        "request_id": request_id,
        "outcome": "refused",
        "refusal": {"code": code, "text": text},
    }


# ── Reading ──────────────────────────────────────────────────────────────────────────────────


def _body() -> dict[str, Any]:
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError) as problem:
        raise Refused(400, "the body is no JSON") from problem
    if not isinstance(body, dict):
        raise Refused(400, "the body is no object")
    return body


def _items() -> list[dict[str, Any]]:
    items = _body().get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Refused(422, "items is no list of objects")
    return items


def _text(message: dict[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 200:
        raise Refused(422, f"{name} is no text of 1 to 200 characters")
    return value


def _whole(message: dict[str, Any], name: str) -> int:
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused(422, f"{name} is no whole number above 0")
    return value


def _money(message: dict[str, Any]) -> tuple[int, str]:
    amount = message.get("amount")
    if not isinstance(amount, dict):
        raise Refused(422, "amount is missing")
    currency = _text(amount, "currency")
    return _whole(amount, "fen" if currency == "CNY" else "minor"), currency


def _packet(message: dict[str, Any]) -> bytes | None:
    try:
        return base64.b64decode(message["packet"], validate=True)
    except (KeyError, TypeError, binascii.Error):
        return None


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
