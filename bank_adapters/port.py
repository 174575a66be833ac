"""The port between the broker and any bank: five verbs, their values, and how they fail.

An adapter has no state, no clock, and no socket of its own: everything goes through `Call`. It
turns our values into a bank's protocol and the bank's words into ours. It decides nothing: what a
status means for an application is the host's matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Literal, Protocol

from financing.errors import FinancingError
from financing.values.money import Money


class Status(StrEnum):
    """What a bank says of an application or its loan, in our words."""

    RECEIVED = "received"
    REVIEWING = "reviewing"
    INFO_REQUIRED = "info_required"
    OFFERED = "offered"
    OFFER_WITHDRAWN = "offer_withdrawn"
    OFFER_EXPIRED = "offer_expired"
    REFUSED = "refused"
    ACCEPTED = "accepted"
    CONTRACTED = "contracted"
    ACCOUNT_LOCKED = "account_locked"
    DISBURSED = "disbursed"
    REPAID = "repaid"
    OVERDUE = "overdue"
    SETTLED = "settled"
    WRITTEN_OFF = "written_off"
    PAYMENT_RECEIVED = "payment_received"  # money came into the designated account
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"  # a word that nobody documented: pending, the raw word is kept


CancelReason = Literal["withdrawn", "expired", "superseded", "other_offer"]
Outcome = Literal["taken", "delivered", "refused", "unknown"]


# ── What we send ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Party:
    """A firm or public body as a bank knows it.

    Args:
        scheme: register of the id, `CN-USCC` for the unified social credit code.
        name: the registered name.
    """

    scheme: str
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Submission:
    """One application (融资申请) with its signed packet.

    Args:
        request_id: `rq_…`, stored before the first byte leaves, the same on every retry.
        packet: the bytes that the bank gets, already sealed where its capabilities ask for it.
        packet_digest: the packet's identity, `sha-256:<hex>` of its signed manifest.
        account_digest: `sha-256:<hex>` of the salted account object.
        supersedes: request id of the submission that this one replaces.
    """

    request_id: str
    application: str
    contract_number: str
    supplier: Party
    purchaser: Party
    amount: Money
    tenor_days: int
    product: str
    packet: bytes
    packet_digest: str
    account_digest: str
    supersedes: str | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The supplier's acceptance (接受授信方案) of exactly the offer that was on the screen.

    Args:
        offer_digest: `Offer.digest` of that offer.
        step: None at first; else the `next_step` of the bank's last report.
    """

    request_id: str
    application: str
    bank_reference: str
    offer_reference: str
    offer_revision: int
    offer_digest: str
    amount: Money
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The wish to end an application at this bank; the answer may be "too late" (R83)."""

    request_id: str
    application: str
    bank_reference: str
    reason: CancelReason


# ── What a bank says ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Echo:
    """What the bank says it is speaking of; None where it stays silent. Silence is no consent."""

    request_id: str | None = None
    application: str | None = None
    contract_number: str | None = None
    packet_digest: str | None = None
    account_digest: str | None = None
    amount: Money | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A bank's no.

    Args:
        code: one of our reason codes, R99 where the bank's own is not mapped.
        text: the bank's words, as received.
        bank_code: the code as the bank sent it.
    """

    code: str
    text: str
    bank_code: str


@dataclass(frozen=True, slots=True)
class Need:
    """One thing the bank wants before it goes on (补充资料)."""

    code: str
    text: str
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Fee:
    """One fee of an offer.

    Args:
        payer: who bears it, `supplier` counts into the cost of the loan.
        due: `upfront`, `monthly`, or `end`.
        to: who receives it.
    """

    code: str
    payer: str
    amount: Money
    due: str
    to: str


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be done before the bank pays out, e.g. code `account_lock`."""

    code: str
    text: str
    due: date | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A bank's offer (授信方案).

    Args:
        rate_bp: basis points a year as decimal text, `435` is 4.35 %.
        rate_kind: `fixed` or `floating`; then `benchmark` and `spread_bp` say of what.
        day_basis: `ACT/360`, `ACT/365`, or `30E/360`.
        tenor_days: days from signing; one of this and `matures_on` is given.
        repayment: e.g. `on_contract_payment` (回款即还) or `bullet`.
        prepayment: fee in words, or None.
        penalty_bp: basis points a year on what is overdue, as decimal text.
        digest: `sha-256:<hex>` of `canonical`.
        canonical: the offer as received, as RFC 8785 JSON without its digest: what is accepted.
    """

    reference: str
    revision: int
    amount: Money
    rate_bp: str
    rate_kind: str
    benchmark: str | None
    spread_bp: str | None
    day_basis: str
    tenor_days: int | None
    matures_on: date | None
    repayment: str
    fees: tuple[Fee, ...]
    prepayment: str | None
    penalty_bp: str | None
    conditions: tuple[Condition, ...]
    valid_until: datetime
    digest: str
    canonical: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Split:
    """A repayment taken apart; the parts add up to the report's money. Minor units."""

    principal_fen: int
    interest_fen: int
    fee_fen: int
    penalty_fen: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """A bank's answer to one submission, acceptance, or cancellation.

    Args:
        outcome: `taken`; `delivered` (laid down, the yes comes later); `refused` with `refusal`;
            `unknown`: ask, never resend.
        retry_after_s: when the bank wants to be asked again.
    """

    request_id: str
    outcome: Outcome
    bank_reference: str | None = None
    refusal: Refusal | None = None
    echo: Echo = Echo()
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """An application as we last knew it; what a poll asks for."""

    request_id: str
    application: str
    bank_reference: str | None = None
    loan_reference: str | None = None
    status: Status = Status.UNKNOWN


@dataclass(frozen=True, slots=True)
class PollQuery:
    """A question: these cases, or (no cases) everything changed since the cursor.

    Args:
        cursor: the bank's own, opaque; None is the beginning.
    """

    cases: Sequence[Case] = ()
    cursor: str | None = None
    limit: int = 200


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that a bank says happened, by poll or by event alike.

    Args:
        bank_status: the bank's own word, raw.
        bank_event_id: the same in poll and event, where the bank has one.
        sequence: the bank's count per application; orders reports, times never do.
        money: contracted, disbursed, or repaid amount; of `settled` and `overdue` what is left.
        on: the bank's civil date of what happened; of `contracted` the day of signing.
        due_on: of `contracted`, the day by which the loan is to be repaid.
        flow_reference: the bank's reference of the money movement: names one draw or repayment.
        next_step: the bank's acceptance takes several calls; `accept` again with this step.
        unreadable: why nothing of it can be used, where the others of its page can; else empty.
        raw: the bank's bytes that said so, canonical JSON of the item.
    """

    status: Status
    bank_status: str
    occurred_at: datetime
    echo: Echo
    bank_event_id: str | None = None
    bank_reference: str | None = None
    sequence: int | None = None
    offer: Offer | None = None
    offer_reference: str | None = None
    refusal: Refusal | None = None
    needs: tuple[Need, ...] = ()
    money: Money | None = None
    split: Split | None = None
    on: date | None = None
    due_on: date | None = None
    loan_reference: str | None = None
    flow_reference: str | None = None
    part: int | None = None
    parts: int | None = None
    next_step: str | None = None
    unreadable: str = ""
    raw: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class PollPage:
    """One page of reports, each application's in order of its sequence.

    Args:
        missing: request ids asked for of which the bank says with authority "never seen".
    """

    reports: tuple[Report, ...]
    cursor: str | None = None
    more: bool = False
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that came to us; its signature is judged before an adapter sees it.

    Args:
        signed: False makes its reports a hint: the host drops them and polls once.
    """

    body: bytes = field(repr=False)
    content_type: str
    headers: Mapping[str, str] = field(repr=False)
    signed: bool
    received_at: datetime


# ── What a bank can do ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a bank's protocol can do, as data.

    Args:
        batch_submit, batch_poll: items that one request takes.
        events: kind of signed events that may come, a hint only.
        encryption: `none`, or how a packet is sealed for the bank.
        keeps_request_ids: request ids are remembered for ever.
        settle_s: seconds until "never seen" is final.
        cancel_until: last status at which a cancel may succeed.
        timeout_s: (connect, read) seconds per request.
        deadline_s: seconds for a whole verb.
    """

    batch_submit: int = 1
    batch_poll: int = 1
    poll_since: bool = False
    events: Literal["none", "standard_webhooks", "rfc9421", "jws_detached", "unsigned"] = "none"
    signature_out: Literal["rfc9421", "jws_detached", "hmac", "mtls", "none"] = "rfc9421"
    signature_algorithm: str = "ed25519"
    encryption: Literal["none", "AES-256-GCM", "SM4"] = "AES-256-GCM"
    sm_profile: bool = False
    keeps_request_ids: bool = False
    settle_s: int = 900
    can_cancel: bool = False
    cancel_until: Status | None = None
    partial_disbursement: bool = False
    supersede: bool = False
    poll_interval_s: int = 300
    poll_floor_s: int = 30
    concurrency: int = 4
    rate_per_s: int = 10
    timeout_s: tuple[int, int] = (5, 20)
    deadline_s: int = 60
    currencies: tuple[str, ...] = ("CNY",)


# ── The way out ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class BankConfig:
    """How one bank is reached; the operator's registration, never a message's word.

    Args:
        name: the bank's short name, as in the address of its webhooks.
        adapter: name of the adapter that speaks its protocol.
        base_url: `https://…`, no slash at its end; every path is appended to it.
        ca_file: PEM file of the authority that the bank's TLS certificate must come from; None
            is the system's.
        answer_limit: bytes of an answer that are read before it is cut.
    """

    name: str
    adapter: str
    base_url: str
    ca_file: str | None = None
    timeout_s: tuple[int, int] = (5, 20)
    deadline_s: int = 60
    answer_limit: int = 5 << 20
    signature_header: str = "x-jws-signature"
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One line of the transcript: that we spoke, never what was said.

    Args:
        path: without the values of its query.
        status: None where no answer came.
        outcome: `ok`, or the slug of the error.
    """

    at: datetime
    bank: str
    method: str
    path: str
    status: int | None
    ms: int
    sent_bytes: int
    received_bytes: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: 2xx, of the type asked for, within limits, its signature verified.

    Args:
        headers: names in lower case.
    """

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class Http(Protocol):
    """The only door to a bank's interface."""

    def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one signed request and return the bank's good answer.

        Args:
            path: below the bank's base address, begins with a slash; parts from outside quoted.
            body: JSON bytes; empty for none.
        Raises:
            BankError: one of its kinds; never anything else.
        """
        ...


class Call(Protocol):
    """What an adapter may use: the door, the registration, the time."""

    @property
    def config(self) -> BankConfig: ...

    @property
    def http(self) -> Http: ...

    def now(self) -> datetime: ...

    def renewed(self) -> Call:
        """The same line for one more verb: its deadline starts now."""
        ...


class Adapter(Protocol):
    """One bank protocol. A class without state; found by entry point `financing.bank_adapters`."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def submit(self, call: Call, items: Sequence[Submission]) -> Sequence[Receipt]:
        """Hand over applications; one receipt per item, any order."""
        ...

    def poll(self, call: Call, query: PollQuery) -> PollPage:
        """Ask for one, many, or everything that changed; one page."""
        ...

    def accept(self, call: Call, items: Sequence[Acceptance]) -> Sequence[Receipt]:
        """Confirm exactly the offer that the supplier saw."""
        ...

    def cancel(self, call: Call, items: Sequence[Cancellation]) -> Sequence[Receipt]:
        """Ask the bank to end applications; `refused` with R83 means too late."""
        ...

    def parse_event(self, delivery: Delivery) -> Sequence[Report]:
        """Read a delivered message; pure, no I/O. Several verbs' answers may be in one message.

        Raises:
            Garbled: the body is not what the protocol says; `where` names the place.
        """
        ...


# ── How it fails ─────────────────────────────────────────────────────────────────────────────


class BankError(FinancingError):
    """A bank could not be spoken with; each kind tells the host what to do next."""

    slug, status, exit_code = "bank-error", 503, 4


class NotSent(BankError):
    """Not one byte of the body left: the same request id again, with back-off."""

    slug = "bank-not-sent"


class OutcomeUnknown(BankError):
    """Bytes left and no readable answer came: ask, never resend."""

    slug, exit_code = "bank-outcome-unknown", 3


class _Later(BankError):
    def __init__(
        self, detail: str, *, retry_after_s: int | None, where: str = "", remedy: str = ""
    ) -> None:
        super().__init__(detail, where=where, remedy=remedy)
        self.retry_after_s = retry_after_s


class Unavailable(_Later):
    """The bank said later and took nothing: the same request id, not before `retry_after_s`."""

    slug = "bank-unavailable"


class Throttled(_Later):
    """The bank said slower and took nothing: as `Unavailable`, and its rate is lowered."""

    slug, status = "bank-throttled", 429


class AuthFailed(BankError):
    """Our credential is not taken: this bank's queue stops, nothing is lost."""

    slug = "bank-auth-failed"


class Rejected(BankError):
    """A definite no to the whole request.

    Args:
        code: the bank's code where its signed answer names one, else empty: then a person decides.
    """

    slug, exit_code = "bank-rejected", 1

    def __init__(self, detail: str, *, code: str = "", where: str = "", remedy: str = "") -> None:
        super().__init__(detail, where=where, remedy=remedy)
        self.code = code


class Garbled(BankError):
    """An answer that is none: wrong type, broken, unsigned, too large. As `OutcomeUnknown`."""

    slug, exit_code = "bank-garbled", 3
