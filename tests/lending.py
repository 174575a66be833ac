"""A world in which a sandbox bank, a process of its own, lends: what needs both sides at once."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from financing.journeys import applications, banks, checking, loans
from financing.journeys.banks import Registration
from financing.store.tables import application, offer, organisation
from financing.values import ids
from tests.sandbox import Bank, bank, wait_for
from tests.verifying import OPENING, World, release

FEN = 50_000_000
# What the bank calls a case, and what we call it.
SAME_STATE = {
    "received": "submitted",
    "reviewing": "reviewing",
    "info_required": "action-required",
    "offered": "offered",
    "refused": "refused",
    "expired": "expired",
    "cancelled": "withdrawn",
    "accepted": "accepted",
    "contracted": "contracted",
    "locked": "locked",
    "drawn": "drawn",
    "settled": "closed",
}


@dataclass(frozen=True)
class Lending:
    """Our store, a bank's process, and its registration here."""

    world: World
    house: Bank
    bank_id: UUID

    def apply(self, n: int = 1, fen: int = FEN) -> UUID:
        """Bring a good contract to where it may be financed, and apply for a loan on it."""
        (row,) = self.world.publish(release(n))
        row = self.world.ready(row)
        assert row.financeable, row.sentence
        return self.apply_on(row, fen)

    def apply_on(self, row: Any, fen: int = FEN) -> UUID:
        """Apply for a loan on a contract that may be financed."""
        with self.world.ctx.begin(self.world.actor(row, "supplier")) as tx:
            name = tx.db.execute(
                select(organisation.c.name).where(organisation.c.id == self.bank_id)
            ).scalar_one()
            (made,) = applications.apply(
                tx,
                row.id,
                bank_ids=[self.bank_id],
                amount_fen=fen,
                tenor_days=180,
                consents={self.bank_id: applications.consent_for(name, row.number).digest},
            )
        return UUID(str(made.id))

    def accept(self, application_id: UUID) -> None:
        """Let the supplier accept the open offer as it is."""
        case = self.row(application_id)
        with self.world.owner.connect() as link:
            seen = link.execute(
                select(offer.c.digest).where(
                    offer.c.application_id == application_id, offer.c.state == "open"
                )
            ).scalar_one()
        with self.world.ctx.begin(self.world.actor(case, "supplier")) as tx:
            loans.accept_offer(tx, application_id, seen)

    def row(self, application_id: UUID) -> Any:
        """The application as it is now."""
        with self.world.owner.connect() as link:
            return link.execute(select(application).where(application.c.id == application_id)).one()

    def reaches(self, application_id: UUID, *states: str, seconds: float = 30) -> None:
        """Wait until the application is in one of these states, by others' work."""
        wait_for(
            lambda: True if self.row(application_id).state in states else None,
            f"application in state {' or '.join(states)}",
            seconds,
        )

    def struck(self, slug: str) -> None:
        """Wait until the bank has met this fault."""
        wait_for(
            lambda: next(
                (
                    met
                    for met in self.house.control("GET", "/faults")["history"]
                    if met["slug"] == slug
                ),
                None,
            ),
            f"the bank to meet {slug}",
        )

    def calls(self, verb: str) -> int:
        """How many requests of a verb have ended, however they ended."""
        return self.world.count("SELECT count(*) FROM transcript WHERE verb = :verb", verb=verb)

    def assert_books_agree(self) -> None:
        """Each application is one case of the bank, in the same state, to the fen; all holds."""
        theirs = {
            case["application"]: (
                case["request_id"],
                case["reference"],
                SAME_STATE[case["state"]],
                case["amount"],
                case["contracted"],
                case["drawn"],
            )
            for case in self.house.control("GET", "/cases")["cases"]
        }
        with self.world.owner.connect() as link:
            ours = {
                ids.show("ap", row.id): (
                    ids.show("rq", row.request_id),
                    row.bank_reference,
                    row.state,
                    row.amount_fen,
                    row.principal or 0,
                    row.drawn or 0,
                )
                for row in link.execute(
                    text(
                        "SELECT a.*, l.principal_fen AS principal, l.drawn_fen AS drawn"
                        " FROM application a LEFT JOIN loan l ON l.application_id = a.id"
                        " WHERE a.bank_id = :bank"
                    ),
                    {"bank": self.bank_id},
                )
            }
        assert ours == theirs
        with self.world.ctx.begin() as tx:
            broken = [found for found in checking.check(tx) if not found.holds]
        assert broken == []


class _Patient(World):
    """The same acts, whose work waits until somebody does it."""

    def work(self) -> int:
        return 0


def ready_all(world: World, rows: Sequence[Any]) -> list[Any]:
    """Bring many good contracts to where they may be financed, the work of all of them at once."""
    idle = _Patient(world.ctx, world.owner, world.set_clock)
    for row in rows:
        idle.set_account(row)
        idle.ask(row)
    world.work()
    for row in rows:
        idle.answer(row, paid_fen=0)
    world.work()
    return [world.now(row) for row in rows]


@contextmanager
def lending(world: World, folder: Path, *, broker_url: str = "", **more: Any) -> Iterator[Lending]:
    """A registered bank that runs until the block ends.

    Args:
        broker_url: where its webhooks go; empty answers by the feed only.
        more: further members of the bank's configuration.
    """
    with bank(folder, world.ctx.keys, broker_url=broker_url, **more) as house:
        house.set_clock(OPENING.date())
        with world.ctx.begin() as tx:
            bank_id = banks.register(tx, registration(house))
        yield Lending(world, house, bank_id)


def registration(house: Bank) -> Registration:
    """What the running bank hands in."""
    return Registration(
        code=house.name,
        name=f"{house.name}银行",
        identifier=house.name,
        adapter="rest_jws",
        base_url=house.url,
        answer_key_pem=house.answer_key_pem,
        webhook_key=base64.b64decode(house.webhook_key.removeprefix("whpk_")),
        products=(
            {
                "code": "P",
                "name": {"zh": "贷", "en": "Loan"},
                "share_bp": 7000,
                "min_fen": 1_000_00,
                "cap_fen": 10**11,
                "tenor_min_days": 30,
                "tenor_max_days": 365,
                "rate_from_bp": "435",
                "rate_to_bp": "435",
                "day_basis": "ACT/360",
                "currency": "CNY",
                "valid_from": date(2026, 1, 1),
            },
        ),
        poll_interval_s=1,
    )
