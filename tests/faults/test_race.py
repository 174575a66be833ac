"""Two acceptances at the same moment for the last fen of one contract."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import Engine, insert, text

from financing.context import Context
from financing.errors import Conflict
from financing.journeys import loans
from financing.store.db import Actor
from financing.store.move import create, move
from financing.store.tables import bank, consent, contract_version, product, release
from financing.values.ids import new_id
from tests.paying import NOW, SIGNED, Case, World, case


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(NOW)
    return World(ctx, owner)


def offered(known: Case, code: str, fen: int, digest: str) -> UUID:
    """An application on the contract whose offer of this amount is open."""
    world = known.world
    bank_id = world.party("bank", code, code)
    with world.ctx.begin() as tx:
        received, version, sold, agreed = new_id(), new_id(), new_id(), new_id()
        for statement in (
            insert(release).values(
                id=received, publisher="p", ocid=code, release_id="1", digest=received.hex,
                raw=b"", source="s", received_at=tx.now,
            ),
            insert(contract_version).values(
                id=version, contract_id=known.contract, n=int(version) % 9999,
                release_id=received, digest=version.hex, created_at=tx.now,
            ),
            insert(bank).values(
                id=bank_id, code=code, adapter="rest_jws", base_url="", poll_interval_s=60,
                answer_days=5, answer_key_pem="",
            ),
            insert(product).values(
                id=sold, bank_id=bank_id, code="P", share_bp=7000, min_fen=1, cap_fen=10**12,
                tenor_min_days=1, tenor_max_days=999, rate_from_bp="360", rate_to_bp="360",
                day_basis="ACT/360", currency="CNY", valid_from=SIGNED,
            ),
            insert(consent).values(
                id=agreed, contract_id=known.contract, contract_version_id=version,
                bank_id=bank_id, supplier_id=known.supplier, text_version="1", text_digest="d",
                given_at=tx.now,
            ),
        ):  # fmt: skip
            tx.db.execute(statement)
        asked = create(
            tx, "application", "draft", contract_id=known.contract, contract_version_id=version,
            bank_id=bank_id, supplier_id=known.supplier, product_id=sold, amount_fen=fen,
            currency="CNY", tenor_days=90, request_id=new_id(), created_at=tx.now,
        )  # fmt: skip
        move(tx, "application", asked.id, "submit", consent_id=agreed)
        for event in ("acked", "offer"):
            move(tx, "application", asked.id, event)
        create(
            tx, "offer", "make", application_id=asked.id, reference="O", revision=1,
            amount_fen=fen, currency="CNY", rate_bp="360", day_basis="ACT/360", tenor_days=90,
            repayment="on_contract_payment", fees_fen=0, digest=digest,
            valid_until=tx.now + timedelta(days=5), made_at=tx.now,
        )  # fmt: skip
        return UUID(str(asked.id))


@pytest.mark.parametrize("round_", range(3))
def test_two_acceptances_race_for_the_last_fen_and_one_wins(world: World, round_: int) -> None:
    # 1,000.00 open at 70 %: two loans of 350.00 fit to the fen, and one of them is a fen more.
    known = case(world, 1_000_00)
    pair = {
        offered(known, "bank-a", 350_00, "sha-256:a"): "sha-256:a",
        offered(known, "bank-b", 350_01, "sha-256:b"): "sha-256:b",
    }
    supplier = Actor("supplier", organisation_id=known.supplier)
    together = Barrier(4)

    def accept(application: UUID) -> str:
        together.wait(10)
        try:
            row = world.ctx.attempt(
                lambda tx: loans.accept_offer(tx, application, pair[application]), supplier
            )
        except Conflict as refused:
            assert refused.remedy
            return "refused"
        return str(row.state)

    with ThreadPoolExecutor(4) as pool:  # each of the two is sent twice
        answers = list(pool.map(accept, [*pair, *pair]))

    assert sorted(answers) == ["accepted", "accepted", "refused", "refused"]
    states = [row.state for row in world.rows("SELECT state FROM application ORDER BY state")]
    assert states == ["accepted", "offered"]
    (held,) = world.rows("SELECT held_fen, open_fen FROM contract")
    (kept,) = world.rows("SELECT application_id, held_fen FROM claim WHERE state = 'held'")
    assert held.held_fen == kept.held_fen <= held.open_fen
    winner = kept.application_id
    entries = world.rows(
        "SELECT 1 FROM audit WHERE \"case\" = :id AND event = 'accept_offer'", id=winner
    )
    work = world.rows("SELECT 1 FROM outbox WHERE kind = 'accept' AND subject_id = :id", id=winner)
    assert (len(entries), len(work)) == (1, 1)
    nothing = world.rows(
        "SELECT 1 FROM outbox WHERE kind = 'accept' AND subject_id <> :id", id=winner
    )
    assert nothing == []


def test_two_loans_that_fit_to_the_fen_are_both_accepted(world: World) -> None:
    known = case(world, 1_000_00)
    for code in ("bank-a", "bank-b"):
        one = offered(known, code, 350_00, code)
        supplier = Actor("supplier", organisation_id=known.supplier)
        with world.ctx.begin(supplier) as tx:
            assert loans.accept_offer(tx, one, code).state == "accepted"
    with world.owner.connect() as link:
        held, free = link.execute(text("SELECT held_fen, open_fen - held_fen FROM contract")).one()
    assert (held, free) == (1_000_00, 0)
