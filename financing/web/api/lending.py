"""Applications, offers, loans, payments, and packets, for suppliers' and banks' software."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from financing.errors import Invalid, NotFound
from financing.journeys import applications, loans, packets
from financing.reads import cases, contracts, lending
from financing.reads.listing import Piece
from financing.store.db import Tx
from financing.store.tables import bank
from financing.values import ids
from financing.web.api.table import Call, operation
from financing.web.routes import File
from schemas import lending as shown
from schemas.fields import Text
from schemas.shown import Asked, Id

OWN = ("application.read", "case.read")


class OfState(Asked):
    """Those of one state."""

    state = Text(40, load_default=None, metadata={"example": "offered"})


class OfApplication(Asked):
    """Those to one application."""

    application = Id("ap", load_default=None)


class OfContract(Asked):
    """Those of one contract, of one state."""

    contract = Id("ct", load_default=None)
    state = Text(40, load_default=None, metadata={"example": "diverted"})


@operation(
    "GET",
    "/applications",
    permits=OWN,
    asks=OfState(),
    gives=shown.Application(),
    is_list=True,
)
def list_applications(tx: Tx, call: Call) -> Piece:
    """Applications of a supplier, or those that were sent to a bank."""
    return cases.piece(tx, call.window, call.query["state"])


@operation("GET", "/applications/<ap:application>", permits=OWN, gives=shown.Application())
def get_application(tx: Tx, _call: Call, application: UUID) -> Row[Any]:
    """One application."""
    return cases.one(tx, application)


@operation(
    "POST",
    "/applications",
    permits=("application.write",),
    takes=shown.Apply(),
    gives=shown.Applications(),
    status=201,
    refuses=(409,),
)
def apply(tx: Tx, call: Call) -> SimpleNamespace:
    """Apply to one or more banks for one amount; all or none."""
    row = contracts.named(tx, call.body["contract"])
    if call.body["amount"].currency != row.currency:
        raise Invalid(f"not the contract's currency, {row.currency}", where="/amount/currency")
    banks = _banks(tx, [each["bank"] for each in call.body["banks"]])
    consents = dict(zip(banks, (each["consent"] for each in call.body["banks"]), strict=True))
    try:
        made = applications.apply(
            tx,
            row.id,
            bank_ids=banks,
            amount_fen=call.body["amount"].fen,
            tenor_days=call.body["tenor_days"],
            consents=consents,
        )
    except Invalid as refusal:
        at = {f"/consent/{bank_id}": f"/banks/{n}/consent" for n, bank_id in enumerate(banks)}
        fields = tuple((at.get(w, w), detail, remedy) for w, detail, remedy in refusal.fields)
        raise Invalid(refusal.detail, fields=fields) from refusal
    return SimpleNamespace(items=[cases.one(tx, each.id) for each in made])


def _banks(tx: Tx, codes: list[str]) -> list[UUID]:
    """The banks of these codes, in their order.

    Raises:
        Invalid: a code that no bank has, or one twice; all of them at once.
    """
    known = {
        row.code: row.id
        for row in tx.rows(select(bank.c.code, bank.c.id).where(bank.c.code.in_(codes)))
    }
    faults = tuple(
        (f"/banks/{n}/bank", "no such bank" if code not in known else "named twice", "")
        for n, code in enumerate(codes)
        if code not in known or code in codes[:n]
    )
    if faults:
        raise Invalid(faults[0][1], where=faults[0][0], fields=faults)
    return [known[code] for code in codes]


@operation(
    "POST",
    "/applications/<ap:application>/accept-offer",
    permits=("offer.accept",),
    takes=shown.AcceptOffer(),
    gives=shown.Application(),
    refuses=(409,),
)
def accept_offer(tx: Tx, call: Call, application: UUID) -> Row[Any]:
    """Accept the offer exactly as it was read."""
    loans.accept_offer(tx, application, call.body["offer_digest"])
    return cases.one(tx, application)


@operation(
    "POST",
    "/applications/<ap:application>/decline-offer",
    permits=("offer.accept",),
    takes=shown.Nothing(),
    gives=shown.Application(),
    refuses=(409,),
)
def decline_offer(tx: Tx, _call: Call, application: UUID) -> Row[Any]:
    """Decline the open offer."""
    loans.decline_offer(tx, application)
    return cases.one(tx, application)


@operation(
    "POST",
    "/applications/<ap:application>/cancel",
    permits=("application.write",),
    takes=shown.Nothing(),
    gives=shown.Application(),
    refuses=(409,),
)
def cancel_application(tx: Tx, _call: Call, application: UUID) -> Row[Any]:
    """Take the application back before an offer is accepted."""
    applications.withdraw(tx, application)
    return cases.one(tx, application)


@operation(
    "GET",
    "/offers",
    permits=("offer.read",),
    asks=OfApplication(),
    gives=shown.Offer(),
    is_list=True,
)
def list_offers(tx: Tx, call: Call) -> Piece:
    """Offers to the supplier, or of the bank."""
    return lending.offers(tx, call.window, call.query["application"])


@operation("GET", "/offers/<of:offer>", permits=("offer.read",), gives=shown.Offer())
def get_offer(tx: Tx, _call: Call, offer: UUID) -> Row[Any]:
    """One offer, with the terms as they were received."""
    return lending.offer_of(tx, offer)


@operation("GET", "/loans", permits=("loan.read",), gives=shown.Loan(), is_list=True)
def list_loans(tx: Tx, call: Call) -> Piece:
    """Loans to the supplier, or of the bank."""
    return lending.loans(tx, call.window)


@operation("GET", "/loans/<ln:loan>", permits=("loan.read",), gives=shown.Loan())
def get_loan(tx: Tx, _call: Call, loan: UUID) -> Row[Any]:
    """One loan."""
    return lending.loan_of(tx, loan)


@operation(
    "GET",
    "/payments",
    permits=("payment.read",),
    asks=OfContract(),
    gives=shown.Payment(),
    is_list=True,
)
def list_payments(tx: Tx, call: Call) -> Piece:
    """Payments found in statements; those of state `diverted` are the bureau's alarms."""
    return lending.payments(tx, call.window, call.query["contract"], call.query["state"])


@operation("GET", "/consents", permits=("application.read",), gives=shown.Consented(), is_list=True)
def list_consents(tx: Tx, call: Call) -> Piece:
    """Consents that the supplier gave."""
    return lending.consents(tx, call.window)


@operation("GET", "/request-log", permits=("exchange.read",), gives=shown.Request(), is_list=True)
def list_requests(tx: Tx, call: Call) -> Piece:
    """What we asked the bank, and how it answered."""
    return lending.requests(tx, call.window)


@operation("GET", "/received-events", permits=("exchange.read",), gives=shown.Event(), is_list=True)
def list_events(tx: Tx, call: Call) -> Piece:
    """What the bank told us, and what became of it."""
    return lending.events(tx, call.window)


@operation(
    "GET",
    "/packets/<pk:packet>",
    permits=("packet.read",),
    gives=None,
    media_type="application/vnd.etsi.asic-e+zip",
)
def get_packet(tx: Tx, _call: Call, packet: UUID) -> File:
    """The signed packet, byte by byte as the bank got it."""
    if cases.packet_of(tx, packet) is None:
        raise NotFound("no such packet", where="packet")
    name = f"{ids.show('pk', packet)}.asice"
    return File(packets.containers(tx, [packet])[packet], name, "application/vnd.etsi.asic-e+zip")
