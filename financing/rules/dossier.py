"""What the checks look at: one contract's facts from the record, the people, and the books."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from financing.rules.calendar import LIBRARY_ONLY, Holidays
from financing.rules.profiles import Profile


@dataclass(frozen=True, slots=True)
class Party:
    """A purchaser or supplier as the record names it; `key` is the name as it is compared."""

    scheme: str
    identifier: str
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Award:
    """The award that the contract names.

    Args:
        on: day of the award notice.
        suppliers: names (as compared) and identifiers of the winners; empty: the record is silent.
        is_live: neither cancelled nor unsuccessful.
    """

    id: str
    on: date | None
    fen: int | None
    currency: str
    suppliers: frozenset[str]
    is_live: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """A document: its digest by the record, and by the bytes that we hold; None where unknown."""

    name: str
    recorded: str | None
    held: str | None


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """The newest version of the designated account.

    Args:
        state: as in its life cycle.
        is_holder_verified: the word of the account's bank; None while it has not spoken.
        renamed: last four digits of another account that a record names since this one was set.
    """

    state: str
    holder: str
    holder_key: str
    last4: str
    is_holder_verified: bool | None
    renamed: str = ""


@dataclass(frozen=True, slots=True)
class ConfirmationSeen:
    """The newest confirmation of the purchaser.

    Args:
        is_of_this: its figures are those of the contract's current version.
        paid_fen: what the purchaser says was paid so far.
    """

    state: str
    asked_on: date
    due_on: date | None
    answered_on: date | None
    is_of_this: bool
    paid_fen: int | None
    is_due_guessed: bool = False  # by when rests on holidays that nobody has announced


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Another contract that looks like this one; `score` in whole percent."""

    number: str
    score: int


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything that is known of a contract on the day of the checks.

    Args:
        state: of the contract's life cycle.
        has_contract: False while only the award is known.
        record_status: the record's own word, as `active` or `terminated`.
        first_amount_fen: amount of the first version: supplements are measured against it.
        signatories: who has signed by the record; None where the record does not say.
        paid: what was paid so far, by source: `record`, `purchaser`, `statement`.
        has_feed: published payments or a statement are known, so that silence means unpaid.
        open_fen, held_fen: open receivable, and claims held on it.
    """

    profile: Profile
    today: date
    purchaser: Party
    supplier: Party
    currency: str
    amount_fen: int | None
    first_amount_fen: int | None = None
    amount_in_words: str | None = None
    state: str = "signed"
    has_contract: bool = True
    record_status: str = ""
    is_direct: bool = False
    award: Award | None = None
    budget_fen: int | None = None
    budget_currency: str = ""
    signed_on: date | None = None
    signatories: frozenset[str] | None = None
    filed_on: date | None = None
    has_filing_receipt: bool = False
    announced_on: date | None = None
    has_notice_digest: bool = False
    is_secret: bool = False
    delivered_on: date | None = None
    accepted_on: date | None = None
    ends_on: date | None = None
    first_paid_on: date | None = None
    last_paid_on: date | None = None
    documents: tuple[Document, ...] = ()
    paid: tuple[tuple[str, int], ...] = ()
    has_feed: bool = False
    account: AccountSeen | None = None
    confirmation: ConfirmationSeen | None = None
    open_fen: int = 0
    held_fen: int = 0
    look_alikes: tuple[LookAlike, ...] = ()
    is_assignable: bool | None = None
    declared_size: str | None = None
    holidays: Holidays = field(default=LIBRARY_ONLY)
