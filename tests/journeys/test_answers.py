"""A bank's answers: signed events, one effect each, whatever their order and however often."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, select, text

from bank_adapters.port import Echo, Report, Status
from financing.context import Context
from financing.errors import Conflict, Invalid, Untrusted
from financing.journeys import (
    answers,
    applications,
    banks,
    files,
    loans,
    receiving,
    reporting,
)
from financing.journeys.banks import Registration
from financing.journeys.receiving import Reply, Sent
from financing.reads import desk
from financing.store.tables import application, offer, organisation
from financing.values import ids
from financing.values.times import wall_ns
from tests.verifying import OPENING, World, release

FEN = 50_000_000
_SERIAL = count(1)


@dataclass
class Lender:
    """A registered bank with its webhook key, and the case that it speaks of."""

    world: World
    code: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    case: UUID | None = None

    def register(self) -> UUID:
        product = {
            "code": "P", "name": {"zh": "贷", "en": "Loan"}, "share_bp": 7000, "min_fen": 1_000_00,
            "cap_fen": 10**11, "tenor_min_days": 30, "tenor_max_days": 365, "rate_from_bp": "345",
            "rate_to_bp": "345", "day_basis": "ACT/360", "currency": "CNY",
            "valid_from": date(2026, 1, 1),
        }  # fmt: skip
        with self.world.ctx.begin() as tx:
            return banks.register(
                tx,
                Registration(
                    code=self.code,
                    name=f"{self.code}银行",
                    identifier=self.code,
                    adapter="rest_jws",
                    base_url="http://127.0.0.1:1",
                    answer_key_pem="",
                    webhook_key=self.key.public_key().public_bytes_raw(),
                    products=(product,),
                ),
            )

    def row(self) -> Any:
        with self.world.owner.connect() as link:
            return link.execute(select(application).where(application.c.id == self.case)).one()

    def event(self, kind: str, sequence: int, /, **data: Any) -> bytes:
        row = self.row()
        packet = self.world.owner.connect()
        with packet as link:
            identity, account = link.execute(
                text("SELECT identity, account_digest FROM packet WHERE id = :id"),
                {"id": row.packet_id},
            ).one()
        echo = {
            "amount": {"fen": row.amount_fen, "currency": "CNY"},
            "packet_digest": identity,
            "account_digest": account,
        }
        body = {
            "type": kind,
            "timestamp": "2026-03-02T02:00:00Z",
            "data": {
                "schema": 1,
                "application": ids.show("ap", row.id),
                "request_id": ids.show("rq", row.request_id),
                "bank_reference": "ZC1",
                "sequence": sequence,
                "occurred_at": "2026-03-02T02:00:00Z",
                "echo": echo | data.pop("echo", {}),
                **data,
            },
        }
        return json.dumps(body, ensure_ascii=False).encode()

    def headers(self, body: bytes, message_id: str, age_s: int = 0) -> dict[str, str]:
        at = str(wall_ns() // 10**9 - age_s)
        signature = self.key.sign(f"{message_id}.{at}.".encode() + body)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": at,
            "webhook-signature": f"v1a,{base64.b64encode(signature).decode()}",
        }

    def deliver(self, headers: dict[str, str], body: bytes) -> Reply:
        return receiving.receive(self.world.ctx, self.code, Sent(headers, body, "127.0.0.1"))

    def send(self, body: bytes, message_id: str | None = None) -> Reply:
        message_id = message_id or f"msg_{next(_SERIAL)}"
        reply = self.deliver(self.headers(body, message_id), body)
        self.world.work()
        return reply

    def tell(self, kind: str, sequence: int, /, **data: Any) -> str:
        """Send one event and say in which state the application is then."""
        self.send(self.event(kind, sequence, **data))
        return str(self.row().state)

    def terms(self, **changes: Any) -> dict[str, Any]:
        return {
            "reference": "O1", "revision": 1, "amount": {"fen": FEN, "currency": "CNY"},
            "rate_bp": "345", "day_basis": "ACT/360", "tenor_days": 180,
            "repayment": "on_contract_payment", "valid_until": "2026-03-20T00:00:00Z", **changes,
        }  # fmt: skip


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(ctx, owner, set_clock)


@pytest.fixture
def lender(world: World) -> Iterator[Lender]:
    """A bank that was given one application and has not answered yet."""
    known = Lender(world, "bank-a")
    bank_id = known.register()
    (row,) = world.publish(release())
    row = world.ready(row)
    assert row.financeable, row.sentence
    apply(world, known, bank_id, row)
    yield known


def apply(world: World, known: Lender, bank_id: UUID, row: Any) -> None:
    with world.ctx.begin(world.actor(row, "supplier")) as tx:
        name = tx.db.execute(
            select(organisation.c.name).where(organisation.c.id == bank_id)
        ).scalar_one()
        (made,) = applications.apply(
            tx,
            row.id,
            bank_ids=[bank_id],
            amount_fen=FEN,
            tenor_days=180,
            consents={bank_id: applications.consent_for(name, row.number).digest},
        )
    known.case = made.id


def digest_of(world: World) -> str:
    with world.owner.connect() as link:
        return str(
            link.execute(select(offer.c.digest).order_by(offer.c.id.desc())).scalars().first()
        )


def test_events_move_the_application_step_by_step(lender: Lender, world: World) -> None:
    assert lender.tell("application.received", 1) == "submitted"
    assert lender.tell("application.reviewing", 2) == "reviewing"
    assert lender.tell("offer.made", 3, offer=lender.terms()) == "offered"
    with world.ctx.begin(world.actor(lender.row(), "supplier")) as tx:
        accepted = loans.accept_offer(tx, lender.row().id, digest_of(world))
    assert accepted.state == "accepted"
    money = {"fen": FEN, "currency": "CNY"}
    signed = {"loan_reference": "LN1", "money": money, "on": "2026-03-02"}
    assert lender.tell("loan.contracted", 4, **signed) == "contracted"
    account = json.loads(lender.event("x", 9))["data"]["echo"]["account_digest"]
    assert lender.tell("account.locked", 5, account_digest=account) == "locked"
    paid = {"money": money, "on": "2026-03-02", "flow_reference": "F1"}
    assert lender.tell("loan.disbursed", 6, **paid) == "drawn"
    assert world.count("SELECT count(*) FROM drawdown") == 1
    assert world.count("SELECT drawn_fen FROM loan") == FEN
    assert world.events(lender.row().id) == [
        "draft", "submit", "acked", "review", "offer", "accept_offer", "contract", "lock", "draw",
    ]  # fmt: skip


def test_a_payment_that_the_bank_tells_of_is_told_and_books_nothing(
    lender: Lender, world: World
) -> None:
    money = {"fen": FEN, "currency": "CNY"}
    said = {"money": money, "on": "2026-03-02", "flow_reference": "E1"}
    lender.tell("application.received", 1)
    assert lender.tell("payment.received", 2, **said) == "submitted"
    assert "payment_said" not in world.events(lender.row().id), "no loan, no payment to tell of"
    lender.tell("offer.made", 3, offer=lender.terms())
    with world.ctx.begin(world.actor(lender.row(), "supplier")) as tx:
        loans.accept_offer(tx, lender.row().id, digest_of(world))
    lender.tell("loan.contracted", 4, loan_reference="LN1", money=money, on="2026-03-02")
    account = json.loads(lender.event("x", 9))["data"]["echo"]["account_digest"]
    lender.tell("account.locked", 5, account_digest=account)
    lender.tell("loan.disbursed", 6, money=money, on="2026-03-02", flow_reference="F1")
    assert lender.tell("payment.received", 7, **said) == "drawn"
    assert world.events(lender.row().id)[-1] == "payment_said"
    assert world.count("SELECT count(*) FROM notice WHERE kind = 'PAYMENT-SAID'") == 1
    assert world.count("SELECT count(*) FROM payment") == 0
    assert world.count("SELECT count(*) FROM bank_repayment") == 0
    other = {"echo": {"account_digest": "sha-256:" + "0" * 64}}
    lender.tell("payment.received", 8, **said, **other)
    assert lender.row().hold_at is not None, "money into another account is looked into"


def test_a_repeated_event_is_one_event_in_effect(lender: Lender, world: World) -> None:
    body = lender.event("application.received", 1)
    assert lender.send(body, "msg_a").status == 202
    again = lender.send(body, "msg_a")
    assert (again.status, again.body["duplicate"]) == (200, True)
    assert lender.send(body, "msg_b").status == 202  # the same news under another id
    assert world.events(lender.row().id).count("acked") == 1
    assert world.count("SELECT count(*) FROM inbox WHERE outcome IS NULL") == 0


def test_an_id_that_was_used_for_another_body_is_refused_and_kept_out(lender: Lender) -> None:
    lender.send(lender.event("application.received", 1), "msg_a")
    with pytest.raises(Conflict, match="another body"):
        lender.send(lender.event("application.reviewing", 2), "msg_a")
    assert lender.row().state == "submitted"


def test_events_out_of_order_wait_for_the_one_between(lender: Lender, world: World) -> None:
    assert lender.tell("application.received", 1) == "submitted"
    assert lender.tell("offer.made", 3, offer=lender.terms()) == "submitted"
    assert lender.tell("application.reviewing", 2) == "reviewing"
    with world.owner.begin() as link:
        link.execute(text("UPDATE outbox SET due = now() WHERE done IS NULL"))
    world.work()
    assert lender.row().state == "offered"
    assert world.events(lender.row().id)[-3:] == ["acked", "review", "offer"]


def test_an_older_event_changes_nothing(lender: Lender, world: World) -> None:
    lender.tell("application.received", 1)
    lender.tell("application.reviewing", 2)
    before = world.events(lender.row().id)
    assert lender.tell("application.received", 1) == "reviewing"
    assert world.events(lender.row().id) == before


def test_two_answers_under_one_sequence_are_held_for_a_person(lender: Lender, world: World) -> None:
    lender.tell("application.received", 1)
    lender.tell("application.reviewing", 2)
    assert lender.tell("application.refused", 2, reason_code="R41") == "reviewing"
    assert lender.row().hold_at is not None
    assert world.count("SELECT count(*) FROM notice WHERE kind = 'HOLD'") >= 1


@pytest.mark.parametrize(
    ("echo", "why"),
    [
        ({"amount": {"fen": FEN + 1, "currency": "CNY"}}, "amount"),
        ({"amount": {"minor": FEN, "currency": "USD"}}, "currency"),
        ({"packet_digest": "sha-256:" + "0" * 64}, "packet_digest"),
        ({"account_digest": "sha-256:" + "0" * 64}, "account_digest"),
        ({"packet_digest": None}, "lacks"),
    ],
)
def test_an_offer_on_something_else_than_was_sent_is_held(
    lender: Lender, world: World, echo: dict[str, Any], why: str
) -> None:
    lender.tell("application.received", 1)
    assert lender.tell("offer.made", 2, offer=lender.terms(), echo=echo) == "submitted"
    assert why in lender.row().hold_why
    assert world.count("SELECT count(*) FROM offer") == 0
    with world.ctx.begin() as tx:
        (held,) = desk.on_hold(tx)
    assert held.id == lender.row().id
    assert lender.tell("offer.made", 3, offer=lender.terms()) == "offered"
    assert lender.row().hold_why is None


def test_no_offer_is_accepted_while_the_case_is_on_hold(lender: Lender, world: World) -> None:
    lender.tell("application.received", 1)
    lender.tell("offer.made", 2, offer=lender.terms())
    wrong = {"packet_digest": "sha-256:" + "0" * 64}
    lender.tell("offer.amended", 3, offer=lender.terms(revision=2), echo=wrong)
    with (
        pytest.raises(Conflict) as refused,
        world.ctx.begin(world.actor(lender.row(), "supplier")) as tx,
    ):
        loans.accept_offer(tx, lender.row().id, digest_of(world))
    assert refused.value.remedy and world.count("SELECT count(*) FROM claim") == 0
    lender.tell("offer.amended", 4, offer=lender.terms(revision=2))
    with world.ctx.begin(world.actor(lender.row(), "supplier")) as tx:
        assert loans.accept_offer(tx, lender.row().id, digest_of(world)).state == "accepted"


def test_an_amended_offer_replaces_the_open_one_and_the_old_digest_is_worth_nothing(
    lender: Lender, world: World
) -> None:
    lender.tell("application.received", 1)
    lender.tell("offer.made", 2, offer=lender.terms())
    seen = digest_of(world)
    lender.tell("offer.amended", 3, offer=lender.terms(revision=2, rate_bp="330"))
    with (
        pytest.raises(Conflict) as refused,
        world.ctx.begin(world.actor(lender.row(), "supplier")) as tx,
    ):
        loans.accept_offer(tx, lender.row().id, seen)
    assert refused.value.where == "/offer_digest"
    assert world.count("SELECT count(*) FROM offer WHERE state = 'open'") == 1
    assert world.count("SELECT count(*) FROM claim") == 0


def test_an_offer_that_has_ended_cannot_be_accepted_and_expires_by_itself(
    lender: Lender, world: World
) -> None:
    lender.tell("application.received", 1)
    lender.tell("offer.made", 2, offer=lender.terms())
    world.today(date(2026, 3, 23))
    with pytest.raises(Conflict), world.ctx.begin(world.actor(lender.row(), "supplier")) as tx:
        loans.accept_offer(tx, lender.row().id, digest_of(world))
    with world.ctx.begin() as tx:
        assert loans.expire_offers(tx) == 1
    assert lender.row().state == "expired"


def test_a_refusal_tells_the_supplier_why(lender: Lender, world: World) -> None:
    lender.tell("application.received", 1)
    assert lender.tell("application.refused", 2, reason_code="R41", text="…") == "refused"
    assert lender.row().reason_code == "R41"
    supplier = lender.row().supplier_id
    told = "SELECT count(*) FROM notice WHERE kind = 'REFUSED' AND organisation_id = :id"
    assert world.count(told, id=supplier) == 1


def test_a_refusal_after_acceptance_frees_the_claim(lender: Lender, world: World) -> None:
    lender.tell("application.received", 1)
    lender.tell("offer.made", 2, offer=lender.terms())
    with world.ctx.begin(world.actor(lender.row(), "supplier")) as tx:
        loans.accept_offer(tx, lender.row().id, digest_of(world))
    assert world.count("SELECT held_fen FROM contract") > 0
    assert lender.tell("application.refused", 3, reason_code="R34") == "failed"
    assert lender.row().reason_code == "R34"
    assert world.count("SELECT held_fen FROM contract") == 0


def test_an_event_put_aside_takes_effect_when_the_operator_replays_it(
    lender: Lender, world: World, command: Callable[..., Any]
) -> None:
    other = Lender(world, "bank-b").register()
    move_to = text("UPDATE application SET bank_id = :bank")
    own = lender.row().bank_id
    with world.owner.begin() as link:
        link.execute(move_to, {"bank": other})
    lender.send(lender.event("application.received", 1))
    assert command("parked", "--replay", "all").returncode == 1, "still unknown to this bank"
    with world.owner.begin() as link:
        link.execute(move_to, {"bank": own})
    assert lender.row().state == "sending"
    assert command("parked", "--replay", "all").returncode == 0
    assert lender.row().state == "submitted"
    assert world.count("SELECT count(*) FROM inbox WHERE outcome = 'applied'") == 1
    assert world.count("SELECT count(*) FROM parked WHERE state = 'open'") == 0


def test_an_item_of_the_feed_that_was_put_aside_is_replayed_from_its_bytes(
    lender: Lender, world: World
) -> None:
    item = json.loads(lender.event("application.received", 1))["data"] | {"status": "received"}
    with world.ctx.begin() as tx:
        put_aside = json.dumps(item).encode()
        answers.put_aside(tx, lender.code, "poll ZC1", put_aside, "APPLICATION-UNKNOWN: test")
        assert list(files.replay(tx).values()) == [True]
    assert lender.row().state == "submitted"


def test_sets_that_name_the_same_applications_do_not_meet_half_way(
    lender: Lender, world: World
) -> None:
    other = Lender(world, lender.code, lender.key)
    (row,) = world.publish(release(2))
    apply(world, other, lender.row().bank_id, world.ready(row))
    with world.ctx.begin() as tx:
        bank_row = banks.by_code(tx, lender.code)
    said = [
        Report(
            Status.UNKNOWN, "pondering", OPENING, Echo(application=ids.show("ap", known.row().id))
        )
        for known in (lender, other)
    ]

    def take(items: list[Report]) -> None:
        with world.ctx.begin() as tx:
            reporting.lock_all(tx, items)
            for item in items:
                reporting.report(tx, bank_row, item)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(take, said[:: 1 - 2 * (n % 2)]) for n in range(40)]:
            done.result()
    assert world.count("SELECT times FROM bank_word") == 80


def test_money_before_a_loan_is_held_and_books_nothing(lender: Lender, world: World) -> None:
    lender.tell("application.received", 1)
    paid = {"money": {"fen": FEN, "currency": "CNY"}, "on": "2026-03-02"}
    assert lender.tell("loan.disbursed", 2, **paid) == "submitted"
    assert lender.row().hold_at is not None
    assert world.count("SELECT count(*) FROM drawdown") == 0


def test_an_event_about_an_unknown_application_is_kept_and_parked_by_name(
    lender: Lender, world: World
) -> None:
    body = json.loads(lender.event("application.received", 1))
    body["data"]["application"] = ids.show("ap", ids.new_id())
    body["data"]["request_id"] = None
    assert lender.send(json.dumps(body).encode()).status == 202
    assert world.count("SELECT count(*) FROM parked WHERE reason LIKE 'APPLICATION-UNKNOWN%'") == 1
    assert lender.row().state == "sending"


def test_another_banks_application_is_as_unknown_as_none(lender: Lender, world: World) -> None:
    stranger = Lender(world, "bank-b")
    stranger.register()
    stranger.case = lender.case
    assert stranger.send(stranger.event("application.refused", 1, reason_code="R41")).status == 202
    assert lender.row().state == "sending"
    assert world.count("SELECT count(*) FROM parked WHERE kind = 'event'") == 1


def test_a_kind_of_event_that_nobody_knows_is_kept_and_moves_nothing(
    lender: Lender, world: World
) -> None:
    assert lender.send(lender.event("moon.rose", 1)).status == 202
    assert lender.row().state == "sending"
    assert world.count("SELECT count(*) FROM inbox WHERE outcome = 'kept'") == 1


def test_an_old_or_forged_message_leaves_nothing_behind(lender: Lender, world: World) -> None:
    body = lender.event("application.received", 1)
    with pytest.raises(Untrusted) as old:
        lender.deliver(lender.headers(body, "msg_old", age_s=900), body)
    assert old.value.kind == "timestamp-too-old"
    with pytest.raises(Untrusted) as forged:
        lender.deliver(lender.headers(body, "msg_f"), body + b" ")
    assert forged.value.kind == "signature-mismatch"
    assert world.count("SELECT count(*) FROM inbox") == 0
    assert lender.row().state == "sending"


def test_applying_twice_to_the_same_bank_is_refused_with_what_to_do(
    lender: Lender, world: World
) -> None:
    row = world.by_ocid(release()["ocid"])
    with pytest.raises(Invalid) as refused:
        apply(world, Lender(world, "x"), lender.row().bank_id, row)
    assert refused.value.fields[0][0] == "/banks"
    assert refused.value.fields[0][2]
    assert world.count("SELECT count(*) FROM application") == 1


def test_a_withdrawn_application_tells_the_bank_and_takes_no_offer(
    lender: Lender, world: World
) -> None:
    lender.tell("application.received", 1)
    for _ in range(2):
        with world.ctx.begin(world.actor(lender.row(), "supplier")) as tx:
            assert applications.withdraw(tx, lender.row().id).state == "withdrawn"
    assert lender.tell("offer.made", 2, offer=lender.terms()) == "withdrawn"
    assert world.count("SELECT count(*) FROM offer") == 0
    assert world.count("SELECT count(*) FROM outbox WHERE kind = 'cancel'") == 1


def test_an_old_wish_for_documents_does_not_come_back(lender: Lender, world: World) -> None:
    wish = {"needs": [{"code": "R61", "text": "营业执照"}]}
    lender.tell("application.received", 1)
    assert lender.tell("application.info_required", 2, **wish) == "action-required"
    assert lender.tell("application.reviewing", 3) == "reviewing"
    assert lender.tell("application.info_required", 2, **wish) == "reviewing"
    assert world.events(lender.row().id)[-1] == "review"
