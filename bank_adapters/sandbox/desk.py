"""The bank's desk: takes requests and keeps them in the books; a request id is for ever."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from typing import Any

from flask import request

from bank_adapters.sandbox.books import Row, money
from bank_adapters.sandbox.mind import OPEN, TEXTS, Mind, pass_time

BATCH = 50
IDS = 200


class Refused(Exception):
    """The whole request is refused: status and what is wrong with it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Desk:
    """Takes requests and keeps them in the books; the same request id is answered as before."""

    def __init__(self, mind: Mind) -> None:
        self.mind = mind
        self.books = mind.books

    def firm(self, reference: str) -> list[str]:
        case = self.books.case(reference)
        return [case["supplier"]] if case else []

    def submit(self, *, short: bool) -> dict[str, Any]:
        """Take the items of a batch; all but the last where the bank is `short` of one."""
        sent = items()
        if not 1 <= len(sent) <= BATCH:
            raise Refused(422, f"items holds 1 to {BATCH}")
        taken = sent[:-1] if short else sent
        return {"receipts": [self._submitted(item) for item in taken]}

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


def items() -> list[dict[str, Any]]:
    """The items of a submission."""
    sent = _body().get("items")
    if not isinstance(sent, list) or not all(isinstance(item, dict) for item in sent):
        raise Refused(422, "items is no list of objects")
    return sent


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
