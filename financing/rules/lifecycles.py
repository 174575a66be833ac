"""The life cycles of contracts, applications, offers, claims, accounts, loans, and payments.

A row reads: this event, from one of these states, leads to that state; it rings these jobs
(`rules/jobs.py`) and sends these notices (`notifications/catalogue.py`). What is not listed is
refused with a conflict. An event whose `to` is `SAME` leaves the state as it is.

Source: the life cycles of the rulebook, `docs/rulebook.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

SAME = "="
BORN = ""  # the row does not exist yet


@dataclass(frozen=True, slots=True)
class Step:
    event: str
    before: tuple[str, ...]
    after: str
    jobs: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


CONTRACT = (
    Step("record_award", (BORN,), "awarded", ("verify", "tell")),
    Step("record_signed", (BORN,), "signed", ("verify", "tell")),
    Step("sign", ("awarded",), "signed", ("verify",)),
    Step("file", ("signed", "performing", "accepted", "paid"), SAME, ("verify",)),
    Step("announce", ("signed", "performing", "accepted", "paid"), SAME, ("verify",)),
    Step(
        "amend",
        ("awarded", "signed", "performing", "accepted", "paid", "terminated"),
        SAME,
        ("verify",),
    ),
    Step("start", ("signed",), "performing"),
    Step("deliver", ("signed", "performing"), "performing"),
    Step("accept_milestone", ("signed", "performing"), "performing", ("verify",)),
    Step("accept", ("signed", "performing"), "accepted", ("verify",)),
    Step("pay", ("signed", "performing", "accepted"), "paid", ("verify",)),
    Step("unpay", ("paid",), "accepted", ("verify",)),  # a payment was reversed
    Step(
        "terminate",
        ("awarded", "signed", "performing", "accepted"),
        "terminated",
        ("verify",),
    ),
    Step(
        "verified",
        ("awarded", "signed", "performing", "accepted", "paid", "terminated"),
        SAME,
    ),
    Step("became_financeable", ("signed", "performing", "accepted"), SAME, ("tell",)),
)

CONFIRMATION = (
    Step("ask", (BORN,), "asked", ("verify",), ("CONFIRM-ASK",)),
    Step("confirm", ("asked",), "confirmed", ("verify",), ("CONFIRMED",)),
    Step("refuse", ("asked",), "refused", ("verify",), ("CONFIRM-REFUSED",)),
    Step("lapse", ("asked",), "expired", ("verify",), ("CONFIRM-LATE",)),
)

ACCOUNT_VERSION = (
    Step("propose", (BORN,), "proposed", ("verify",), ("ACCOUNT-ASK",)),
    Step("confirm", ("proposed",), "active", ("verify",), ("ACCOUNT-SET",)),
    Step("reject", ("proposed",), "rejected", ("verify",)),
    Step("lock", ("active",), "locked", (), ("LOCKED",)),
    Step("release", ("locked",), "active"),
)

APPLICATION = (
    Step("draft", (BORN,), "draft"),
    Step("submit", ("draft",), "sending", ("submit",)),
    Step("acked", ("sending", "asking"), "submitted", (), ("APP-RECEIVED",)),
    Step("unclear", ("sending",), "asking", ("ask",)),
    Step("never_seen", ("asking",), SAME),
    Step("not_found", ("asking",), "sending", ("submit",)),
    Step("need_more", ("submitted", "reviewing"), "action-required", (), ("APP-MORE",)),
    Step("supplied", ("action-required",), "reviewing"),
    Step("review", ("submitted", "action-required"), "reviewing"),
    Step(
        "offer",
        ("submitted", "reviewing", "action-required", "offered"),
        "offered",
        (),
        ("OFFER",),
    ),
    Step(
        "refuse",
        ("submitted", "reviewing", "action-required"),
        "refused",
        (),
        ("REFUSED",),
    ),
    Step("accept_offer", ("offered",), "accepted", ("accept",), ("ACCEPTED",)),
    Step("decline", ("offered",), "declined", ("cancel",)),
    Step("expire", ("offered",), "expired", (), ("OFFER-EXPIRED",)),
    Step("withdraw", ("draft",), "withdrawn"),
    Step(
        "withdraw",
        ("sending", "asking", "submitted", "reviewing", "action-required", "offered"),
        "withdrawn",
        ("cancel",),
    ),
    Step(
        "cancelled",
        ("submitted", "reviewing", "action-required", "offered"),
        "withdrawn",
    ),
    Step(
        "stale",
        ("draft", "submitted", "reviewing", "action-required", "offered"),
        "stale",
        ("cancel",),
        ("STALE",),
    ),
    Step("contract", ("accepted",), "contracted", (), ("CONTRACTED",)),
    Step("lock", ("contracted",), "locked"),
    Step("draw", ("locked",), "drawn", (), ("DRAWN",)),
    # The bank says that money came; it is booked when a statement shows it, and not before.
    Step("payment_said", ("locked", "drawn"), SAME, (), ("PAYMENT-SAID",)),
    Step("fail", ("accepted", "contracted", "locked"), "failed", (), ("FAILED",)),
    Step("close", ("drawn",), "closed"),
    Step("reopen", ("closed",), "drawn"),  # a payment of the settled loan went back
    Step(
        "hold",
        (
            "sending",
            "asking",
            "submitted",
            "reviewing",
            "action-required",
            "offered",
            "accepted",
            "contracted",
            "locked",
            "drawn",
        ),
        SAME,
        (),
        ("HOLD",),
    ),
)

OFFER = (
    Step("make", (BORN,), "open"),
    Step("accept", ("open",), "accepted"),
    Step("decline", ("open",), "declined"),
    Step("expire", ("open",), "expired"),
    Step("replace", ("open",), "replaced"),
    Step("withdraw", ("open",), "withdrawn"),
)

CLAIM = (
    Step("hold", (BORN,), "held", ("verify",)),
    Step("reduce", ("held",), SAME, ("verify",)),
    Step("release", ("held",), "released", ("verify",)),
    Step("discharge", ("held",), "discharged", ("verify",)),
    Step("restore", ("discharged",), "held", ("verify",)),  # its loan owes again
)

LOAN = (
    Step("sign", (BORN,), "signed"),
    Step("draw", ("signed", "active"), "active"),
    Step("repay", ("active", "repaying", "overdue"), "repaying", (), ("REPAID",)),
    Step("unpay", ("repaying", "settled"), "repaying", (), ("RETURNED",)),
    Step("bank_settled", ("active", "repaying", "overdue"), SAME),
    Step(
        "differ",
        ("active", "repaying", "overdue", "settled"),
        SAME,
        (),
        ("DIFFERENCE",),
    ),
    Step("settle", ("active", "repaying", "overdue"), "settled", (), ("SETTLED",)),
    Step("fall_due", ("active", "repaying"), "overdue", (), ("OVERDUE-LOAN",)),
    Step("write_off", ("overdue", "active", "repaying"), "written-off"),
    Step("cancel", ("signed",), "cancelled"),
)

PAYMENT = (
    Step("book", (BORN,), "unmatched", ("match",)),
    Step("match", ("unmatched", "exception"), "matched"),
    Step("divert", ("unmatched", "exception"), "diverted", ("verify",), ("DIVERTED",)),
    Step("doubt", ("unmatched",), "exception", (), ("EXCEPTION",)),
    Step("itemise", ("unmatched", "exception"), "unmatched", ("match",)),  # its details came later
    Step("allocate", ("matched",), "allocated", ("verify",), ("PAID",)),
    Step(
        "reverse",
        ("unmatched", "exception", "matched", "allocated", "diverted"),
        "reversed",
        ("verify",),
        ("RETURNED-PAYMENT",),
    ),
    Step("make_good", ("diverted",), "resolved", ("verify",)),
)

LIFECYCLES: dict[str, tuple[Step, ...]] = {
    "contract": CONTRACT,
    "confirmation": CONFIRMATION,
    "account_version": ACCOUNT_VERSION,
    "application": APPLICATION,
    "offer": OFFER,
    "claim": CLAIM,
    "loan": LOAN,
    "payment": PAYMENT,
}


def step(kind: str, event: str, state: str) -> Step | None:
    """The row that lets this event happen in this state, or None."""
    for row in LIFECYCLES[kind]:
        if row.event == event and state in row.before:
            return row
    return None


def possible(kind: str, state: str) -> tuple[str, ...]:
    """Events that may happen in this state, in table order."""
    return tuple(dict.fromkeys(row.event for row in LIFECYCLES[kind] if state in row.before))
