"""What a contract goes through, step by step; who plays it when is `cast.py` and `real.py`.

1. `publish`    the procurement site publishes; the operator imports; `won`: the winner is told
2. `prepare`    the supplier names the account and asks; the purchaser confirms and sets it
3. `borrow`     the supplier applies; the bank refuses, or offers and lends
4. `be_paid`    the purchaser accepts and pays; the statement is imported; the loan is repaid
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Row

from financing.city import acts
from financing.city.agenda import Agenda
from financing.city.people import Account, Organisation, Person
from financing.city.stage import Stage
from financing.city.story import Verification
from financing.errors import Broken
from financing.journeys.files import FileReport
from financing.values.money import show_money

SETTLED: Final = ("settled", "written-off", "cancelled")
ENDED: Final = ("refused", "failed", "declined", "expired", "withdrawn", "stale", "closed")


class Deal(NamedTuple):
    """One contract with the people around it, whoever published it."""

    ocid: str
    number: str
    supplier: Person
    purchaser: Person
    account: Account
    keeper: Organisation  # the bank that keeps the account
    currency: str


@dataclass(slots=True)
class Play:
    """The whole demo as it unfolds.

    Args:
        imports: reads files as `financing import` does.
        verified: what the checks said when it mattered, by contract.
        statements: the files of bank statements, in the order in which they came.
    """

    stage: Stage
    agenda: Agenda
    folder: Path
    imports: Callable[[Sequence[Path]], list[FileReport]]
    names: Callable[[str, str], str]
    begun: datetime
    verified: dict[UUID, Verification] = field(default_factory=dict)
    statements: list[Path] = field(default_factory=list)

    def say(self, key: str, **named: Any) -> None:
        """Say who did what today."""
        self.stage.say(self.stage.now, key, **named)

    def name(self, one: Organisation) -> dict[str, str]:
        """An organisation's name in both languages."""
        return {lang: self.names(one.name, lang) for lang in ("zh", "en")}

    def contract(self, deal: Deal) -> Row[Any]:
        """The contract as it is now.

        Raises:
            Broken: no import brought it.
        """
        row = self.stage.contract(deal.ocid, deal.number)
        if row is None:
            raise Broken(f"contract {deal.number} was not imported", where=deal.ocid)
        return row

    # ── 1. Publishing ────────────────────────────────────────────────────────────────────────

    def publish(self, name: str, package: Mapping[str, Any]) -> None:
        """Write a file as a procurement site does, and let the operator import it."""
        path = self.write(name, package)
        releases = len(package["releases"])
        report = self.take_in(path)
        if report.parked:
            raise Broken(f"the city's record was not taken as it is: {report}", where=str(path))
        self.say("demo.imported", n=releases)

    def won(self, deal: Deal) -> None:
        """The winner finds the award, told and not signed yet, on its pages.

        Raises:
            Broken: it was not told, or the page does not say why it has to wait.
        """
        (row,) = self.stage.rows(
            "SELECT c.id, c.sentence, t.id AS telling_id FROM contract c"
            "  LEFT JOIN telling t ON t.contract_id = c.id AND t.kind = 'general'"
            " WHERE c.ocid = :ocid AND c.state = 'awarded'",
            ocid=deal.ocid,
        )
        firm, why = self.stage.person(deal.supplier.login), row.sentence[self.stage.lang]
        pages = (firm.open("/contracts"), firm.open(acts.contract_path(row.id)))
        if row.telling_id is None or any(why not in page.text for page in pages):
            raise Broken("the winner was not told at the award", where=deal.ocid)
        self.say("demo.told_at_award", supplier=self.name(deal.supplier.organisation), why=why)

    def write(self, name: str, package: Mapping[str, Any]) -> Path:
        """Write a record where the demo keeps its files."""
        path = self.folder / "records" / f"{name}.json"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(_as_json(package), encoding="utf-8")
        return path

    def take_in(self, path: Path) -> FileReport:
        """Let the operator import a file that the city made.

        Raises:
            Broken: not all of it could be used.
        """
        (report,) = self.imports([path])
        if report.error is not None or report.parked:
            raise Broken(f"the city's file was not taken as it is: {report}", where=str(path))
        return report

    # ── 2. Preparing ─────────────────────────────────────────────────────────────────────────

    def prepare(self, deal: Deal) -> None:
        """The supplier names the account and asks the purchaser to confirm."""
        row = self.contract(deal)
        firm = self.stage.person(deal.supplier.login)
        acts.name_account(firm, row.id, deal.account)
        acts.ask_confirmation(firm, row.id)
        self.say("demo.account", supplier=self.name(deal.supplier.organisation))

    def answer(self, deal: Deal) -> None:
        """The purchaser confirms the contract and sets the account."""
        row = self.contract(deal)
        office = self.stage.person(deal.purchaser.login)
        acts.confirm(office, deal.number)
        acts.set_account(office, row.id)
        self.checked(deal)
        self.say("demo.confirmed", purchaser=self.name(deal.purchaser.organisation))

    def look(self, deal: Deal) -> None:
        """The supplier opens the contract, and reads why it cannot be financed."""
        row = self.checked(deal)
        page = self.stage.person(deal.supplier.login).open(acts.contract_path(row.id))
        why = row.sentence[self.stage.lang]
        if row.financeable or why not in page.text:
            raise Broken("the page does not say why the contract is not financeable", where=why)
        self.say("demo.not_financeable", supplier=self.name(deal.supplier.organisation), why=why)

    def checked(self, deal: Deal) -> Row[Any]:
        """The contract once every check that waits has been done; what they say is kept."""
        self.stage.wait("checks", self.stage.is_quiet)
        row = self.contract(deal)
        self.verified[row.id] = Verification(bool(row.financeable), row.sentence)
        return row

    def ask_again(self, deal: Deal) -> None:
        """The supplier asks for a confirmation that is not too old."""
        acts.ask_confirmation(self.stage.person(deal.supplier.login), self.contract(deal).id)
        self.say("demo.asked_again", supplier=self.name(deal.supplier.organisation))

    def answer_again(self, deal: Deal) -> None:
        """The purchaser confirms the contract once more."""
        acts.confirm(self.stage.person(deal.purchaser.login), deal.number)
        self.checked(deal)
        self.say("demo.confirmed_again", purchaser=self.name(deal.purchaser.organisation))

    # ── 3. Borrowing ─────────────────────────────────────────────────────────────────────────

    def apply(
        self, deal: Deal, banks: Sequence[Organisation], fen: int, tenor_days: int
    ) -> dict[str, Row[Any]]:
        """Apply to banks for one amount, and wait for what each of them says."""
        row = self.checked(deal)
        ids = {one.code: one.id for one in self.stage.rows("SELECT id, code FROM bank")}
        acts.apply(
            self.stage.person(deal.supplier.login),
            row.id,
            bank_ids=[ids[str(bank.code)] for bank in banks],
            fen=fen,
            currency=deal.currency,
            tenor_days=tenor_days,
        )
        self.say(
            "demo.applied",
            supplier=self.name(deal.supplier.organisation),
            amount=show_money(fen, deal.currency),
            banks={
                lang: " · ".join(self.names(bank.name, lang) for bank in banks)
                for lang in ("zh", "en")
            },
        )
        answers = {}
        for bank in banks:
            code = str(bank.code)
            answers[code] = self.stage.wait(
                f"the answer of {code}", partial(self._decided, row.id, code)
            )
            if answers[code].state == "refused":
                self.say("demo.refused", bank=self.name(bank), code=answers[code].reason_code)
        return answers

    def _decided(self, contract_id: UUID, code: str) -> Row[Any] | None:
        row = self.stage.application(contract_id, code)
        decided = row is not None and (row.state == "offered" or row.state in ENDED)
        return row if decided else None

    def take(self, deal: Deal, bank: Organisation) -> None:
        """Accept the offer, and wait until the bank has locked the account and paid out."""
        row = self.contract(deal)
        offered = self.stage.application(row.id, str(bank.code))
        if offered is None or offered.state != "offered":
            raise Broken(f"{bank.code} has no open offer", where=deal.number)
        acts.accept_offer(self.stage.person(deal.supplier.login), offered.id)
        self.stage.wait("the payout", lambda: self._is_drawn(row.id, str(bank.code)))
        self.say("demo.drawn", supplier=self.name(deal.supplier.organisation), bank=self.name(bank))

    def _is_drawn(self, contract_id: UUID, code: str) -> bool:
        row = self.stage.application(contract_id, code)
        if row is None or row.state in ENDED:
            raise Broken(f"the loan of {code} came to nothing", where=str(row and row.reason_code))
        return bool(row.state == "drawn" and row.drawn_fen == row.principal_fen)

    # ── 4. Being paid ────────────────────────────────────────────────────────────────────────

    def accept_delivery(self, deal: Deal, on: date, code: str | None) -> None:
        """The purchaser accepts one milestone of the record, or all that is left."""
        row = self.contract(deal)
        part = None
        if code is not None:
            (found,) = self.stage.rows(
                "SELECT id FROM milestone WHERE contract_id = :id AND code = :code",
                id=row.id, code=code,
            )  # fmt: skip
            part = found.id
        acts.accept_delivery(self.stage.person(deal.purchaser.login), row.id, on, part)
        self.say("demo.accepted", purchaser=self.name(deal.purchaser.organisation))

    def arrive(
        self,
        deal: Deal,
        *,
        fen: int,
        on: date,
        payer: str,
        remittance: str,
        into: Deal | None = None,
    ) -> None:
        """Money arrives in the contract's account, or by mistake in that of another contract."""
        other = into or deal
        self.stage.pay(
            str(other.keeper.code),
            other.account.number,
            fen=fen,
            currency=deal.currency,
            on=on,
            payer=payer,
            holder=other.account.holder,
            remittance=remittance,
        )

    def book(self, deal: Deal, on: date) -> None:
        """The account's bank writes the statement of a day; the operator imports it."""
        code, number = str(deal.keeper.code), deal.account.number
        path = self.folder / "statements" / f"{code}-{number[-4:]}-{on}.xml"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(self.stage.statement(code, number, on, on))
        self.statements.append(path)
        report = self.take_in(path)
        if report.parked or not report.new:
            raise Broken(f"the statement was not booked as it is: {report}", where=str(path))
        self.stage.wait("the payments to be matched", self.stage.is_quiet)

    def pay(
        self, deal: Deal, *, fen: int, on: date, remittance: str, into: Deal | None = None
    ) -> None:
        """The purchaser pays; what came in is seen in the statement of the account it came into."""
        payer = deal.purchaser.organisation
        self.arrive(deal, fen=fen, on=on, payer=payer.name, remittance=remittance, into=into)
        self.book(into or deal, on)
        self.say(
            "demo.strayed" if into else "demo.paid",
            purchaser=self.name(payer),
            amount=show_money(fen, deal.currency),
            bank=self.name((into or deal).keeper),
        )

    def settle(self, deal: Deal, bank: Organisation) -> None:
        """Wait until the loan is settled in our books and in the bank's."""
        row = self.contract(deal)
        self.stage.wait(
            "the loan to be settled",
            lambda: (
                getattr(self.stage.application(row.id, str(bank.code)), "loan_state", "") in SETTLED
            ),
        )
        self.say("demo.settled", supplier=self.name(deal.supplier.organisation))


# A decimal number passes the encoder as marked text, and then stands as it was written.
_MARKED: Final = re.compile(r'"\\u0000([^"]+)\\u0000"')


def _as_json(package: Mapping[str, Any]) -> str:
    """A record as a file; amounts keep every digit that their publisher wrote."""
    text = json.dumps(
        package, ensure_ascii=False, indent=1, default=lambda number: f"\0{number:f}\0"
    )
    return _MARKED.sub(r"\1", text)
