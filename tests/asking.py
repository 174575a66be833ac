"""Software that asks our API: machines with tokens, and a town in which there is all to ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
import requests
from sqlalchemy import Row, insert, select, update

from bank_adapters.port import Offer
from financing.journeys import banks, loans
from financing.journeys.banks import Registration
from financing.store import parking
from financing.store.db import Tx
from financing.store.move import create, move
from financing.store.outbox import enqueue
from financing.store.tables import (
    application,
    bank_account,
    inbox,
    offer,
    organisation,
    outbox,
    packet,
    parked,
    transcript,
)
from financing.values.ids import new_id, show
from financing.values.money import Money
from financing.values.parked import Parked
from financing.values.text import name_key
from financing.web import machines
from tests import paying
from tests.conftest import Web
from tests.verifying import World, release

PRODUCT = {
    "code": "loan", "name": {"zh": "政采贷", "en": "Loan"}, "share_bp": 7000,
    "min_fen": 10_000_00, "cap_fen": 10_000_000_00, "tenor_min_days": 30, "tenor_max_days": 365,
    "rate_from_bp": "345", "rate_to_bp": "435", "day_basis": "ACT/360", "currency": "CNY",
    "valid_from": date(2020, 1, 1),
}  # fmt: skip


@dataclass
class Machine:
    """A program of an organisation, with its token."""

    web: Web
    id: UUID
    secret: str
    token: str
    client: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.client.trust_env = False
        self.client.headers.update({"Accept-Language": "en"})
        if self.token:
            self.client.headers["Authorization"] = f"Bearer {self.token}"

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.client.get(
            self.web.url + path, headers=headers, allow_redirects=False, timeout=20
        )

    def post(
        self, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> requests.Response:
        own = {"Idempotency-Key": key or new_id().hex} | headers
        return self.client.post(
            self.web.url + path, json={} if body is None else body, headers=own, timeout=20
        )

    def send(self, path: str, data: bytes, **headers: str) -> requests.Response:
        """Bytes as they are."""
        own = {"Idempotency-Key": new_id().hex, "Content-Type": "application/json"} | headers
        return self.client.post(self.web.url + path, data=data, headers=own, timeout=20)


def nobody(web: Web) -> Machine:
    return Machine(web, new_id(), "", "")


def buy(web: Web, name: str, secret: str, **form: str) -> requests.Response:
    """Ask for a token."""
    with requests.Session() as client:
        client.trust_env = False
        return client.post(
            f"{web.url}/oauth/token",
            data={"grant_type": "client_credentials"} | form,
            auth=(name, secret),
            timeout=20,
        )


def machine(web: Web, role: str, of: str, *scopes: str) -> Machine:
    """Admit a machine and get its first token, over HTTP."""
    with web.ctx.begin() as tx:
        made = machines.admit(tx, role, of, "程序", scopes)
    answer = buy(web, show("mc", made.id), made.secret)
    assert answer.status_code == 200, answer.text
    return Machine(web, made.id, made.secret, answer.json()["access_token"])


def machine_of(web: Web, role: str, organisation_id: UUID) -> Machine:
    """A machine of an organisation that is known by its id."""
    with web.ctx.begin() as tx:
        query = select(organisation.c.identifier).where(organisation.c.id == organisation_id)
        of = tx.db.execute(query).scalar_one()
    return machine(web, role, of)


def party(world: World, kind: str, name: str, code: str | None = None) -> UUID:
    with world.ctx.begin() as tx:
        row_id = new_id()
        tx.db.execute(
            insert(organisation).values(
                id=row_id, kind=kind, scheme="name", identifier=f"{kind}:{name}", name=name,
                name_key=name_key(name), code=code, created_at=tx.now,
            )
        )  # fmt: skip
        return row_id


def lender(world: World, code: str) -> UUID:
    with world.ctx.begin() as tx:
        return banks.register(
            tx,
            Registration(
                code=code, name=f"银行{code}", identifier=code, adapter="rest_jws",
                base_url="http://127.0.0.1:9", answer_key_pem="", webhook_key=b"0" * 32,
                products=(PRODUCT,),
            ),
        )  # fmt: skip


def offered(world: World, application_id: UUID, reference: str = "SX1") -> str:
    """The bank takes an application and makes an offer; returns the offer's digest."""
    digest = "sha-256:" + new_id().hex * 2
    with world.ctx.begin() as tx:
        case = tx.db.execute(select(application).where(application.c.id == application_id)).one()
        if case.state == "sending":
            case = move(tx, "application", case.id, "acked", submitted_at=tx.now)
        loans.take_offer(
            tx,
            case,
            Offer(
                reference=reference, revision=1, amount=Money(case.amount_fen), rate_bp="435",
                rate_kind="fixed", benchmark=None, spread_bp=None, day_basis="ACT/360",
                tenor_days=180, matures_on=None, repayment="on_contract_payment", fees=(),
                prepayment=None, penalty_bp=None, conditions=(), digest=digest,
                valid_until=tx.now + timedelta(days=7), canonical=b'{"reference":"SX1"}',
            ),
            pytest.fail,
        )  # fmt: skip
    return digest


class Machines(dict[str, Machine]):
    """A machine of each role, admitted when it is first asked for."""

    def __init__(self, web: Web, of: dict[str, str]) -> None:
        super().__init__()
        self.web, self.of = web, of

    def __missing__(self, role: str) -> Machine:
        self[role] = machine(self.web, role, self.of[role])
        return self[role]


@dataclass(frozen=True)
class Town:
    """What there is to ask for, by the prefix of its id, and a machine of each role."""

    world: World
    web: Web
    machines: Machines
    strangers: Machines
    ids: dict[str, UUID]
    job: str
    contracts: tuple[Row[Any], ...]

    def __getitem__(self, role: str) -> Machine:
        return self.machines[role]

    def shown(self, prefix: str) -> str:
        return show(prefix, self.ids[prefix])

    def apply(
        self, n: int = 0, *codes: str, fen: int = 200_000_00, **changes: Any
    ) -> dict[str, Any]:
        """The body of an application on one of the contracts, with the consents as shown."""
        contract_id = show("ct", self.contracts[n].id)
        terms = self["supplier"].get(f"/api/v1/contracts/{contract_id}/capacity").json()["banks"]
        consents = {each["bank"]: each["consent"]["digest"] for each in terms}
        return {
            "contract": contract_id,
            "amount": {"fen": fen, "currency": "CNY"},
            "tenor_days": 180,
            "banks": [{"bank": code, "consent": consents[code]} for code in codes or ("bank-a",)],
        } | changes

    def applied(self, n: int = 0, code: str = "bank-a", fen: int = 200_000_00) -> UUID:
        """An application over the API; the others of its bank on the contract are none."""
        answer = self["supplier"].post("/api/v1/applications", self.apply(n, code, fen=fen))
        assert answer.status_code == 201, answer.text
        with self.world.ctx.begin() as tx:
            return UUID(
                str(
                    tx.db.execute(
                        select(application.c.id).order_by(application.c.id.desc()).limit(1)
                    ).scalar_one()
                )
            )

    def counts(self) -> dict[str, int]:
        tables = (
            "audit", "outbox", "consent", "account_version", "confirmation", "application",
            "machine_answer", "parked", "notice",
        )  # fmt: skip
        return {name: self.world.count(f"SELECT count(*) FROM {name}") for name in tables}


def exchanged(tx: Tx, code: str) -> None:
    """One request to a bank, and one event of it."""
    tx.db.execute(
        insert(transcript).values(
            bank=code, verb="submit", method="POST", path=f"/{code}", status=200, elapsed_ms=4,
            bytes_out=1, bytes_in=1, at=tx.now,
        )
    )  # fmt: skip
    tx.db.execute(
        insert(inbox).values(
            id=new_id(), source=code, message_id=f"msg_{code}", digest="9f" * 32, raw=b"{}",
            received_at=tx.now,
        )
    )  # fmt: skip


def build(web: Web, world: World) -> Town:
    """Contracts ready and not, an application with its packet, a loan, a payment, parked things."""
    for code in ("bank-a", "bank-b", "bank-c"):
        lender(world, code)
    ready, asked, third, _ = world.publish(
        release(1), release(2), release(3), release(4, x_financing__filing=None)
    )
    for row in (ready, third):
        world.ready(row)
    question = world.ask(asked)
    party(world, "bureau", "财政局")
    party(world, "platform", "平台")
    with web.ctx.begin() as tx:
        rows = tx.rows(select(organisation.c.id, organisation.c.identifier))
        known = {row.id: row.identifier for row in rows}
    made = Machines(
        web,
        {
            "supplier": known[ready.supplier_id], "purchaser": known[ready.purchaser_id],
            "bank": "bank-a", "bureau": "财政局", "operator": "平台",
        },
    )  # fmt: skip
    kinds = {"operator": "platform"}
    for role in made.of:
        party(world, kinds.get(role, role), f"另一{role}")
    strangers = Machines(web, {role: f"另一{role}" for role in made.of})
    town = Town(world, web, made, strangers, {}, "", (world.now(ready), asked, world.now(third)))
    application_id = town.applied(0, "bank-a")
    offered(world, application_id)
    loan_id = paying.World(web.ctx, world.owner).loan(third.id, "bank-l", 100_00)
    with web.ctx.begin() as tx:
        parking.park(
            tx, [Parked("record", "r.json", "/releases/0", "x", "NO-DATE: none", "ask", b"{")]
        )
        enqueue(tx, "submit", "submit:0195", bank="bank-a")
        tx.db.execute(update(outbox).where(outbox.c.key == "submit:0195").values(parked=tx.now))
        exchanged(tx, "bank-a")
        exchanged(tx, "bank-b")
        account = tx.db.execute(select(bank_account).limit(1)).one()
        paid = create(
            tx, "payment", "book", account_id=account.id, contract_id=ready.id, amount_fen=100,
            currency="CNY", value_on=tx.today, payer="某区教育局", outcome="matched",
            created_at=tx.now,
        )  # fmt: skip
        ids = {
            "ct": ready.id,
            "cf": question.id,
            "ap": application_id,
            "of": tx.db.execute(
                select(offer.c.id).where(offer.c.application_id == application_id)
            ).scalar_one(),
            "ln": loan_id,
            "pm": paid.id,
            "pk": tx.db.execute(
                select(packet.c.id).where(packet.c.application_id == application_id)
            ).scalar_one(),
            "pd": tx.db.execute(select(parked.c.id)).scalar_one(),
        }
    return Town(world, web, made, strangers, ids, "submit:0195", town.contracts)
