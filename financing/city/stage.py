"""What the demo runs on: the store, the processes, the banks' control pages, the people's browsers.

The city touches the service where the outside touches it (pages, imported files), and reads the
store only to wait until something has happened and to find an id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import requests
from sqlalchemy import Row, text

from financing import work
from financing.city import acts, seed
from financing.city.browser import Browser
from financing.city.processes import BankLine, Crew
from financing.context import Context
from financing.errors import Broken
from financing.store.db import Actor
from financing.values.money import money_json
from financing.values.times import rfc3339

Found = TypeVar("Found")

PATIENCE_S: Final = 60
LOOK_S: Final = 0.02

_CONTRACT: Final = text("""
    SELECT * FROM contract WHERE ocid = :ocid AND number = :number
""")
_APPLICATION: Final = text("""
    SELECT a.*, l.state AS loan_state, l.drawn_fen, l.principal_fen FROM application a
      JOIN bank b ON b.id = a.bank_id LEFT JOIN loan l ON l.application_id = a.id
     WHERE a.contract_id = :contract AND b.code = :bank ORDER BY a.id DESC LIMIT 1
""")
# Work that is due now and not done; a bank's regular poll is never finished.
_WAITING: Final = text("""
    SELECT (SELECT count(*) FROM outbox WHERE done IS NULL AND parked IS NULL AND due <= now()
               AND kind <> 'poll')
         + (SELECT count(*) FROM outbox WHERE done IS NULL AND parked IS NULL
               AND worker IS NOT NULL AND kind <> 'poll')
         + (SELECT count(*) FROM inbox WHERE handled_at IS NULL)
""")
_OPERATOR: Final = text("""
    SELECT id, organisation_id, person FROM login WHERE role = 'operator' LIMIT 1
""")


@dataclass(slots=True)
class Stage:
    """One run of the demo.

    Args:
        say: shows a line of progress: business day, key of the words, what they need.
    """

    ctx: Context
    crew: Crew
    lines: dict[str, BankLine]
    lang: str
    say: Callable[..., None]
    now: datetime
    control: requests.Session = field(default_factory=requests.Session)
    browsers: dict[str, Browser] = field(default_factory=dict)

    # ── The clock ────────────────────────────────────────────────────────────────────────────

    def move_to(self, now: datetime) -> None:
        """Let what was begun come to its end, then move every clock of the city."""
        self.wait("work to end", self.is_quiet)
        self.now = now
        seed.set_clock(self.ctx.engine, now)
        for code in self.lines:
            self._control("POST", code, "clock", json={"now": rfc3339(now)})
        with self.ctx.begin() as tx:
            work.keep_standing_work(tx)  # the worker's own sweep would see the hour a second later
        self.wait("work to end", self.is_quiet)

    def is_quiet(self) -> bool:
        """Whether no work is due and no bank's message is on its way."""
        with self.ctx.begin() as tx:
            if tx.db.execute(_WAITING).scalar_one():
                return False
        return not any(self._has_news(code) for code in self.lines)

    def _has_news(self, code: str) -> bool:
        books = self._control("GET", code, "cases").json()
        if books["stuck"]:
            raise Broken(f"the sandbox bank is stuck: {books['stuck'][0]}", where=code)
        return any(
            change["delivery"] not in ("done", "failed", None)
            for case in books["cases"]
            for change in case["changes"]
        )

    def wait(self, what: str, look: Callable[[], Found | None]) -> Found:
        """Look again and again until there is an answer.

        Raises:
            Broken: it does not happen in time.
            Unreachable: one of the processes has ended.
        """
        patience = time.monotonic() + PATIENCE_S
        while True:
            found = look()
            if found:
                return found
            self.crew.assert_alive()
            if time.monotonic() > patience:
                raise Broken(
                    f"waited {PATIENCE_S} s in vain for {what}",
                    where=str(self.crew.settings.data / "log"),
                    remedy="Read the files there.",
                )
            time.sleep(LOOK_S)

    # ── People ───────────────────────────────────────────────────────────────────────────────

    def person(self, login: str) -> Browser:
        """The browser of this person, signed in."""
        known = self.browsers.get(login)
        if known is None:
            known = self.browsers[login] = Browser(self.crew.settings.url, self.lang)
            acts.sign_in(known, login)
        return known

    def operator(self) -> Actor:
        """The operator, for what is done on the command line."""
        with self.ctx.begin() as tx:
            row = tx.db.execute(_OPERATOR).one()
        return Actor("operator", row.id, row.organisation_id, row.person, self.lang)

    # ── Banks ────────────────────────────────────────────────────────────────────────────────

    def pay(
        self,
        code: str,
        account: str,
        *,
        fen: int,
        currency: str,
        on: date,
        payer: str,
        holder: str,
        remittance: str,
        reference: str = "",
    ) -> None:
        """Let money of a payer arrive in an account that this bank keeps."""
        self._control(
            "POST",
            code,
            "payments",
            json={
                "account": account,
                "amount": money_json(fen, currency),
                "on": on.isoformat(),
                "payer": {"name": payer},
                "holder": holder,
                "remittance": remittance,
                "end_to_end": reference,
            },
        )

    def statement(self, code: str, account: str, since: date, until: date) -> bytes:
        """The bank's statement of an account, both days included."""
        asked = {"account": account, "from": since.isoformat(), "to": until.isoformat()}
        return self._control("GET", code, "statement", params=asked).content

    def _control(self, method: str, code: str, path: str, **rest: Any) -> requests.Response:
        self.control.trust_env = False
        address = f"{self.lines[code].base_url}/control/{path}"
        answer = self.control.request(method, address, timeout=(5, 30), **rest)
        if not answer.ok:
            raise Broken(f"the sandbox bank says: {answer.text[:300]}", where=address)
        return answer

    # ── The store ────────────────────────────────────────────────────────────────────────────

    def contract(self, ocid: str, number: str) -> Row[Any] | None:
        """The contract as it is now, or None."""
        with self.ctx.begin() as tx:
            return tx.one(_CONTRACT, {"ocid": ocid, "number": number})

    def application(self, contract_id: UUID, code: str) -> Row[Any] | None:
        """The newest application on a contract to a bank, with its loan, or None."""
        with self.ctx.begin() as tx:
            return tx.one(_APPLICATION, {"contract": contract_id, "bank": code})

    def rows(self, statement: str, **named: Any) -> Sequence[Row[Any]]:
        """Read the store."""
        with self.ctx.begin() as tx:
            return tx.rows(text(statement), named)

    def close(self) -> None:
        """Close every connection of the city."""
        for browser in self.browsers.values():
            browser.close()
        self.control.close()
