"""The control page of the bank: clock, payments, statements, books, faults; loopback only."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from ipaddress import ip_address
from typing import Any

from flask import Blueprint, Flask, Response, abort, request

from bank_adapters.sandbox import faults, loans, mind, statement
from bank_adapters.sandbox.books import Row, rfc3339
from bank_adapters.sandbox.mind import Mind


class Wrong(Exception):
    """The control message cannot be used; says why."""


def add_to(app: Flask, bank: Mind) -> None:
    """Add the control page to the bank's web application."""
    page = Blueprint("control", __name__, url_prefix="/control")

    @page.before_request
    def only_here() -> None:
        if request.remote_addr is None or not ip_address(request.remote_addr).is_loopback:
            abort(404)

    @page.errorhandler(Wrong)
    @page.errorhandler(statement.Unbookable)
    def wrong(problem: Exception) -> tuple[dict[str, str], int]:
        return {"error": str(problem)}, 422

    for method, path, view in ROUTES:
        page.add_url_rule(
            path, f"{method} {path}".replace(".", ""), partial(view, bank), methods=[method]
        )
    app.register_blueprint(page)


def _clock(bank: Mind) -> dict[str, Any]:
    return {"now": rfc3339(bank.books.now()), "today": bank.books.today().isoformat()}


def _set_clock(bank: Mind) -> dict[str, Any]:
    instant = _read(_body(), "now", datetime.fromisoformat)
    if instant.tzinfo is None:
        raise Wrong("now has no zone")
    bank.books.set_clock(instant)
    mind.pass_time(bank)
    return _clock(bank)


def _statement(bank: Mind) -> Response:
    account = statement.number(request.args.get("account", ""))
    since = _read(request.args, "from", date.fromisoformat)
    until = _read(request.args, "to", date.fromisoformat)
    content = statement.camt(bank.books, bank.config.name, account, since, until)
    if content is None:
        abort(404)
    return Response(content, content_type="application/xml")


def _cases(bank: Mind) -> dict[str, Any]:
    books = bank.books
    return {
        "bank": bank.config.name,
        "now": rfc3339(books.now()),
        "stuck": [dict(row) for row in books.rows("SELECT * FROM todo WHERE stuck NOT NULL")],
        "cases": [_case(bank, row) for row in books.rows("SELECT * FROM credit_case")],
    }


def _decide(bank: Mind, reference: str) -> dict[str, Any]:
    """A person decides a case that waits."""
    body = _body()
    with bank.books.writing():
        case = bank.books.case(reference)
        if case is None:
            abort(404)
        if case["state"] not in ("reviewing", "info_required"):
            raise Wrong(f"the case is {case['state']}")
        decision = body.get("decision")
        if decision == "offer":
            mind.offer(bank, case)
        elif decision == "refuse":
            bank.refuse(case, str(body.get("reason_code", "R99")), str(body.get("text", "")))
        elif decision == "info_required":
            mind.ask_for_more(bank, case)
        else:
            raise Wrong("decision is offer, refuse, or info_required")
        return _case(bank, bank.books.known(reference))


def _faults(bank: Mind) -> dict[str, Any]:
    return faults.listed(bank.books)


def _set_fault(bank: Mind) -> tuple[dict[str, Any], int]:
    body = _body()
    if body.get("fault") not in faults.FAULTS:
        raise Wrong(f"fault is one of {', '.join(faults.FAULTS)}")
    firm, occasions = body.get("firm"), body.get("next")
    if (firm is None) == (occasions is None):
        raise Wrong("a fault is for one firm, or for the next so many occasions")
    seconds = float(body.get("seconds", 0))
    faults.add(bank.books, body["fault"], firm, occasions, seconds)
    return _faults(bank), 201


def _clear_faults(bank: Mind) -> dict[str, Any]:
    faults.clear(bank.books)
    return _faults(bank)


def _body() -> dict[str, Any]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise Wrong("the body is no JSON object")
    return body


def _read(source: Any, name: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(str(source[name]))
    except (KeyError, ValueError) as problem:
        raise Wrong(f"{name} is missing or wrong") from problem


def _pay(bank: Mind) -> tuple[dict[str, Any], int]:
    """Let a payer pay into an account of this bank; a locked account's loans take their part."""
    books, body = bank.books, _body()
    amount, payer = body.get("amount"), body.get("payer")
    if not isinstance(amount, dict) or not isinstance(payer, dict):
        raise Wrong("amount and payer are objects")
    currency = str(amount.get("currency", ""))
    minor = amount.get("fen" if currency == "CNY" else "minor")
    if isinstance(minor, bool) or not isinstance(minor, int) or minor <= 0:
        raise Wrong("amount is no whole number of minor units above 0")
    account = statement.number(str(body.get("account", "")))
    if not account:
        raise Wrong("account is missing")
    on = _read(body, "on", date.fromisoformat) if "on" in body else books.today()
    with books.writing():
        reference = statement.book(
            books,
            statement.Entry(
                account=account,
                amount=minor,
                currency=currency,
                on=on,
                other_name=str(payer.get("name", "")),
                other_account=statement.number(str(payer.get("account", ""))),
                end_to_end=str(body.get("end_to_end", "")),
                remittance=str(body.get("remittance", "")),
            ),
        )
        if body.get("holder"):
            statement.open_account(books, account, str(body["holder"]), currency)
        collected = loans.take_payment(books, account, minor, on, reference)
        if collected:
            statement.book(
                books,
                statement.Entry(
                    account=account,
                    amount=-collected,
                    currency=currency,
                    on=on,
                    other_name=bank.config.name,
                    remittance=f"归还贷款 / loan repayment {reference}",
                    kind="collected",
                ),
            )
    return {"reference": reference, "collected": collected, "on": on.isoformat()}, 201


def _case(bank: Mind, case: Row) -> dict[str, Any]:
    """A case with all that was said of it and what became of each delivery; no packet bytes."""
    shown = dict(case)
    del shown["packet"]
    shown["changes"] = [
        {
            "event_id": row["event_id"],
            "type": row["type"],
            "occurred_at": row["occurred_at"],
            "said": json.loads(row["said"]),
            "delivery": row["state"],
            "attempts": row["attempts"],
            "last": row["last"],
        }
        for row in bank.books.rows(
            "SELECT change.*, state, attempts, last FROM change LEFT JOIN delivery "
            "USING (event_id) WHERE reference = ? ORDER BY change.n",
            case["reference"],
        )
    ]
    return shown


ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/clock", _clock),
    ("POST", "/clock", _set_clock),
    ("POST", "/payments", _pay),
    ("GET", "/statement", _statement),
    ("GET", "/cases", _cases),
    ("POST", "/cases/<reference>", _decide),
    ("GET", "/faults", _faults),
    ("POST", "/faults", _set_fault),
    ("DELETE", "/faults", _clear_faults),
)
