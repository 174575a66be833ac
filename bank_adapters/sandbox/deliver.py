"""Webhooks out: each event until the broker has taken it, signed anew at every attempt."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import requests

from bank_adapters.sandbox import faults, signing
from bank_adapters.sandbox.books import STRANGER, Books, Row, rfc3339
from bank_adapters.sandbox.config import Config

PAUSES_S = (0.5, 1, 2, 4, 8, 15, 30, 60, 60, 60, 120, 120, 300, 300, 600, 600, 600, 600, 600)
TIMEOUT_S = (5, 15)
FINAL = (409, 413, 415, 422)  # the broker has read it and will never take it
REORDERED = 3
DECISIONS = ("offered", "refused")


@dataclass(frozen=True, slots=True)
class Messenger:
    """What a delivery needs."""

    config: Config
    books: Books
    keys: signing.Keys
    session: requests.Session

    def round(self) -> float:
        """Deliver all that is due, oldest first; returns seconds until something may be due."""
        for row in self.books.rows(
            "SELECT * FROM delivery WHERE state IN ('new', 'due') AND next_at <= ? ORDER BY n",
            time.time(),
        ):
            if row["not_before"] and datetime.fromisoformat(row["not_before"]) > self._now():
                continue
            struck = self._first(row) if row["state"] == "new" else {}
            if struck is not None:
                self._attempt(row, struck)
        waiting = self.books.one(
            "SELECT min(next_at) AS at FROM delivery WHERE state IN ('new', 'due') "
            "AND not_before IS NULL"
        )
        if waiting is None or waiting["at"] is None:
            return 60
        return max(float(waiting["at"]) - time.time(), 0.01)

    def _now(self) -> datetime:
        return self.books.now()

    def _first(self, row: Row) -> dict[str, Row] | None:
        """Before the first attempt the faults are asked; None where the event is held back."""
        with self.books.writing() as db:
            about = db.execute(
                "SELECT c.*, status AS said FROM credit_case c JOIN change USING (reference) "
                "WHERE event_id = ?",
                (row["event_id"],),
            ).fetchone()
            firms = [about["supplier"]]
            struck = faults.strike(self.books, "event", firms, row["event_id"])
            if about["said"] in DECISIONS:
                struck |= faults.strike(self.books, "decision", firms, row["event_id"])
            if "late" in struck:
                until = rfc3339(self._now() + timedelta(seconds=struck["late"]["seconds"]))
                db.execute(
                    "UPDATE delivery SET state = 'due', not_before = ? WHERE event_id = ?",
                    (until, row["event_id"]),
                )
                return None
            if "reordered" in struck:
                db.execute(
                    "UPDATE delivery SET state = 'held' WHERE event_id = ?", (row["event_id"],)
                )
                held = db.execute(
                    "SELECT * FROM delivery WHERE state = 'held' ORDER BY n"
                ).fetchall()
                if len(held) >= REORDERED:
                    for one, other in zip(held, reversed(held), strict=True):
                        db.execute(
                            "UPDATE delivery SET state = 'due', n = ? WHERE event_id = ?",
                            (other["n"], one["event_id"]),
                        )
                return None
            db.execute("UPDATE delivery SET state = 'due' WHERE event_id = ?", (row["event_id"],))
            return struck

    def _attempt(self, row: Row, struck: Mapping[str, Row]) -> None:
        (change,) = self.books.rows("SELECT * FROM change WHERE event_id = ?", row["event_id"])
        body = event_body(change)
        if "contradict" in struck:
            body = _contradicting(body)
        if "foreign-reference" in struck:
            body = _about_another(body)
        headers = self._signed(row["event_id"], body, struck)
        with ThreadPoolExecutor(2) as pool:
            times = 2 if "duplicate" in struck else 1
            posts = [pool.submit(self._post, body, headers) for _ in range(times)]
            status, said = posts[0].result()
        with self.books.writing() as db:
            tries = row["attempts"]
            if 200 <= status < 300:
                state = "done"
            elif status in FINAL or tries >= len(PAUSES_S):
                state = "failed"
            else:
                state = "due"
            pause = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
            db.execute(
                "UPDATE delivery SET state = ?, attempts = ?, next_at = ?, last = ? "
                "WHERE event_id = ?",
                (state, tries + 1, time.time() + pause, said, row["event_id"]),
            )

    def _signed(self, event_id: str, body: bytes, struck: Mapping[str, Row]) -> dict[str, str]:
        at_s = int(time.time()) - (600 if "old-timestamp" in struck else 0)
        key = self.keys.next_webhooks if "rotate-key" in struck else self.keys.webhooks
        if self.config.behaviour.signs == "rfc9421":
            headers = signing.http_headers(key, self.address, event_id, at_s, body)
        else:
            headers = signing.webhook_headers(key, event_id, at_s, body)
        if "bad-signature" in struck:
            name = "webhook-signature" if "webhook-signature" in headers else "Signature"
            headers[name] = _one_bit(headers[name])
        return headers

    @property
    def address(self) -> str:
        """Where events go."""
        return f"{self.config.broker_url}/api/v1/webhooks/banks/{self.config.name}"

    def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        try:
            response = self.session.post(
                self.address,
                data=body,
                headers={**headers, "Content-Type": "application/json"},
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )
        except requests.RequestException as problem:
            return 0, type(problem).__name__
        return response.status_code, f"{response.status_code} {response.text[:500]}"


def event_body(change: Row) -> bytes:
    """The bytes of an event: the same at every attempt."""
    said = json.loads(change["said"])
    return json.dumps(
        {"type": change["type"], "timestamp": change["occurred_at"], "data": said},
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def _one_bit(signature: str) -> str:
    """Another letter at the first place of the signature: one bit of its first byte."""
    mark = "," if "," in signature else ":"
    kind, _, encoded = signature.partition(mark)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return f"{kind}{mark}{letters[letters.index(encoded[0]) ^ 1]}{encoded[1:]}"


def _contradicting(body: bytes) -> bytes:
    """A no where the feed has an offer; a wish for documents where it says no."""
    event = json.loads(body)
    said = event["data"]
    if said.pop("offer", None) is not None:
        event["type"] = "application.refused"
        said |= {"status": "refused", "reason_code": "R41"}
    else:
        event["type"] = "application.info_required"
        said |= {"status": "info_required", "needs": [{"code": "R61", "text": "?"}]}
    return json.dumps(event, ensure_ascii=False).encode()


def _about_another(body: bytes) -> bytes:
    event = json.loads(body)
    event["data"] |= {"application": STRANGER, "request_id": None}
    return json.dumps(event, ensure_ascii=False).encode()
