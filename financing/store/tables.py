"""Every table of the product, grouped by subject; the only place that names columns.

Conventions: ids are UUIDv7 made by us; `_fen` is a BIGINT count of minor units of the row's
`currency`; `_at` is an aware instant, `_on` a civil date in Asia/Shanghai; `version` counts the
life-cycle steps of a row and equals the length of its audit chain. Tables named in `INSERT_ONLY`
are never updated or deleted: the service's role has no grant for it, and a trigger raises.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from financing.rules.lifecycles import BORN, LIFECYCLES, SAME

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[Any]:
    return Column("id", Uuid, primary_key=True)


def _ref(name: str, target: str, *, null: bool = False, index: bool = True) -> Column[Any]:
    return Column(name, Uuid, ForeignKey(f"{target}.id"), nullable=null, index=index)


def _at(name: str, *, null: bool = True) -> Column[Any]:
    return Column(name, TIMESTAMP(timezone=True), nullable=null)


def _text(name: str, *, null: bool = False, default: str | None = None) -> Column[Any]:
    server = None if default is None else text(f"'{default}'")
    return Column(name, Text, nullable=null, server_default=server)


def _fen(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=null)


def _json(name: str) -> Column[Any]:
    return Column(name, JSONB, nullable=False, server_default=text("'{}'::jsonb"))


def _state() -> tuple[Column[Any], Column[Any], Column[Any]]:
    """State, version, and time of the last step; written by `move` alone."""
    return (
        Column("state", Text, nullable=False),
        Column("version", Integer, nullable=False),
        _at("changed_at", null=False),
    )


# ── People ───────────────────────────────────────────────────────────────────────────────────

organisation = Table(
    "organisation",
    metadata,
    _id(),
    _text("kind"),  # supplier, purchaser, bank, bureau, platform
    _text("scheme"),  # CN-USCC, publisher's scheme, or 'name' where the record has only a name
    _text("identifier"),
    _text("name"),
    _text("name_key"),
    _text("code", null=True),  # short name in addresses: bank's webhook path
    _text("size", null=True),  # micro, small, medium, large, as declared with the contract
    _at("created_at", null=False),
    UniqueConstraint("kind", "scheme", "identifier"),
    UniqueConstraint("code"),
    Index(None, "name_key"),
    CheckConstraint("kind IN ('supplier','purchaser','bank','bureau','platform')", name="kind"),
)

login = Table(
    "login",
    metadata,
    _id(),
    _text("name"),
    _text("password_hash"),
    _text("role"),  # rules/permissions.py
    _text("person"),
    _text("language", default="zh"),
    _text("email", null=True),  # where this person wants notices too; null: inbox only
    _ref("organisation_id", "organisation"),
    Column("disabled", Boolean, nullable=False, server_default=text("false")),
    _at("created_at", null=False),
    UniqueConstraint("name"),
)

session = Table(
    "session",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # SHA-256 of the cookie's 32 bytes
    _ref("login_id", "login"),
    _at("created_at", null=False),
    _at("seen_at", null=False),
    _at("ends_at", null=False),
)

throttle = Table(
    "throttle",
    metadata,
    Column("subject", Text, primary_key=True),  # account:NAME, address:IP, signature:IP
    Column("failures", Integer, nullable=False),
    _at("until", null=False),
)

form_key = Table(
    "form_key",
    metadata,
    Column("key", Text, primary_key=True),
    _ref("login_id", "login"),
    _text("path"),
    _text("body_digest"),
    _text("location", null=True),
    _at("at", null=False),
)

machine = Table(
    "machine",
    metadata,
    Column("login_id", Uuid, ForeignKey("login.id"), primary_key=True),
    Column("secret_digest", LargeBinary, nullable=True),  # SHA-256 of the secret's 32 bytes
    Column("scopes", ARRAY(Text), nullable=False),  # names of rules/permissions.py
    _at("created_at", null=False),
    _at("retired_at"),
    _text("public_key_pem", null=True),  # of a machine that has a key instead
    CheckConstraint("(secret_digest IS NULL) <> (public_key_pem IS NULL)", name="proof"),
)

# Each signed statement of a machine buys one token.
machine_assertion = Table(
    "machine_assertion",
    metadata,
    Column("login_id", Uuid, ForeignKey("machine.login_id"), primary_key=True),
    Column("jti", Text, primary_key=True),
    _at("ends_at", null=False),
)

machine_token = Table(
    "machine_token",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("login_id", Uuid, ForeignKey("machine.login_id"), nullable=False, index=True),
    Column("scopes", ARRAY(Text), nullable=False),
    _at("ends_at", null=False),
)

# The answer to a request that had an effect, for whoever sends it again.
machine_answer = Table(
    "machine_answer",
    metadata,
    Column("login_id", Uuid, ForeignKey("machine.login_id"), primary_key=True),
    Column("key", Text, primary_key=True),
    _text("request_digest"),  # of method, address, and body
    Column("status", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _at("at", null=False),
    Index(None, "at"),
)

# ── Procurement ──────────────────────────────────────────────────────────────────────────────

import_file = Table(
    "import_file",
    metadata,
    _id(),
    _text("digest"),
    _text("path"),
    _text("kind"),
    _json("counts"),
    _at("at", null=False),
    UniqueConstraint("digest"),
)

release = Table(
    "release",
    metadata,
    _id(),
    _text("publisher"),
    _text("ocid"),
    _text("release_id"),
    _at("released_at", null=True),
    _text("digest"),  # of the bytes as received
    Column("raw", LargeBinary, nullable=False),
    _text("source"),  # file and place
    _at("received_at", null=False),
    UniqueConstraint("publisher", "ocid", "digest"),
    Index(None, "publisher", "ocid", "released_at"),
)

contract = Table(
    "contract",
    metadata,
    _id(),
    _text("identity"),  # sha-256 hex, domain identity of five normalised fields
    _text("profile"),
    _text("publisher"),
    _text("ocid"),
    _text("number"),
    _text("number_key"),  # normalised for identity
    _text("number_search"),  # normalised for remittance texts
    _text("title"),
    _ref("purchaser_id", "organisation"),
    _ref("supplier_id", "organisation"),
    Column("current_version_id", Uuid, nullable=True),
    Column("record_version", Integer, nullable=False),
    _fen("amount_fen", null=True),
    _text("currency"),
    _fen("award_fen", null=True),
    Column("award_on", Date),
    Column("signed_on", Date),
    Column("filed_on", Date),
    Column("announced_on", Date),
    Column("delivered_on", Date),
    Column("accepted_on", Date),
    Column("ends_on", Date),
    _fen("held_fen"),  # sum of held claims, in receivable terms
    _fen("open_fen"),  # open receivable, kept with each ledger posting
    Column("financeable", Boolean, nullable=True),
    _json("sentence"),  # {"zh", "en"}
    _at("created_at", null=False),
    *_state(),
    UniqueConstraint("identity"),
    Index(None, "publisher", "ocid"),
    Index(None, "number_key"),
    Index(None, "number_search"),
    CheckConstraint("held_fen >= 0 AND open_fen >= 0", name="not_negative"),
)

contract_version = Table(
    "contract_version",
    metadata,
    _id(),
    # The first version is written before its contract is born.
    Column(
        "contract_id",
        Uuid,
        ForeignKey("contract.id", deferrable=True, initially="DEFERRED"),
        nullable=False,
        index=True,
    ),
    Column("n", Integer, nullable=False),
    _ref("release_id", "release"),
    _at("released_at"),
    _text("digest"),  # of the canonical facts
    _json("facts"),  # formats/ocds.py ContractFacts as JSON
    _at("created_at", null=False),
    UniqueConstraint("contract_id", "n"),
    UniqueConstraint("contract_id", "digest"),
)

altered_copy = Table(
    "altered_copy",
    metadata,
    _id(),
    _ref("contract_id", "contract"),
    _ref("release_id", "release"),
    _text("digest"),
    _json("facts"),
    _at("created_at", null=False),
    UniqueConstraint("contract_id", "digest"),
)

milestone = Table(
    "milestone",
    metadata,
    _id(),
    _ref("contract_id", "contract"),
    _text("code"),  # id in the record
    _text("title"),
    Column("position", Integer, nullable=False),
    _fen("amount_fen"),
    _fen("retention_fen"),
    _fen("advance_fen"),
    Column("due_on", Date),
    Column("delivered_on", Date),
    Column("accepted_on", Date),
    UniqueConstraint("contract_id", "code"),
)

published_payment = Table(
    "published_payment",
    metadata,
    _id(),
    _ref("contract_id", "contract"),
    _text("code"),
    _fen("amount_fen"),
    _text("currency"),
    Column("paid_on", Date),
    _text("payer_name"),
    UniqueConstraint("contract_id", "code"),
)

check_result = Table(
    "check_result",
    metadata,
    Column("contract_id", Uuid, ForeignKey("contract.id"), primary_key=True),
    Column("check_id", Text, primary_key=True),
    Column("position", SmallInteger, nullable=False),
    _text("result"),
    Column("blocks", Boolean, nullable=False),
    _json("seen"),
    _text("source"),
    _json("remedy"),
    _at("at", null=False),
    CheckConstraint("result IN ('pass','fail','unknown','not-applicable')", name="result"),
)

confirmation = Table(
    "confirmation",
    metadata,
    _id(),
    _ref("contract_id", "contract"),
    _ref("contract_version_id", "contract_version"),
    _text("shown_digest"),  # of what the purchaser was shown
    _json("shown"),
    _at("asked_at", null=False),
    Column("due_on", Date),
    _at("answered_at"),
    _ref("answered_by", "login", null=True),
    _fen("paid_fen", null=True),  # paid so far, in the purchaser's word
    _text("note", default=""),
    *_state(),
    Index(
        "uq_confirmation_open",
        "contract_id",
        unique=True,
        postgresql_where=text("state = 'asked'"),
    ),
)

telling = Table(
    "telling",
    metadata,
    _id(),
    _ref("contract_id", "contract"),
    _ref("supplier_id", "organisation"),
    _text("kind"),  # general, capacity
    _text("channel"),
    _text("text_version"),
    _text("text_digest"),
    _at("sent_at", null=False),
    UniqueConstraint("contract_id", "kind", "channel"),
)

notice = Table(
    "notice",
    metadata,
    _id(),
    _text("kind"),  # notifications/catalogue.py
    _text("key"),  # one effect per key
    _ref("organisation_id", "organisation"),
    _text("subject_kind"),
    Column("subject_id", Uuid, nullable=False),
    _ref("contract_id", "contract", null=True),
    _json("facts"),
    _at("at", null=False),
    _at("delivered_at"),
    _at("opened_at"),
    UniqueConstraint("key"),
    Index(None, "organisation_id", "at"),
)

mail = Table(
    "mail",
    metadata,
    _id(),
    _ref("notice_id", "notice", index=False),
    _ref("login_id", "login"),
    _text("address"),
    _text("language"),
    _text("message_id"),  # stored before the first send; a repetition keeps it
    Column(
        "queued_at",
        TIMESTAMP(timezone=True),
        nullable=False,
        server_default=text("now()"),
    ),
    _at("sent_at"),  # committed before the content leaves; a server may have it from then on
    _text("outcome", null=True),  # null while it waits
    _at("ended_at"),
    _text("said", null=True),  # last words of the server, without addresses
    UniqueConstraint("notice_id", "address"),
    UniqueConstraint("message_id"),
    Index(None, "queued_at"),
    CheckConstraint(
        "outcome IN ('accepted', 'refused', 'unknown', 'given-up', 'bounced')", name="outcome"
    ),
)

parked = Table(
    "parked",
    metadata,
    _id(),
    _text("fingerprint"),
    _text("kind"),
    _text("source"),
    _text("place"),
    _text("value"),
    _text("reason"),
    _text("remedy"),
    Column("raw", LargeBinary, nullable=False),
    _text("state", default="open"),  # open, replayed
    _at("at", null=False),
    UniqueConstraint("fingerprint"),
    Index(None, "state", "at"),
)

holiday = Table(
    "holiday",
    metadata,
    Column("day", Date, primary_key=True),
    _text("kind"),  # rest, work
    _text("source"),
)

# ── Lending ──────────────────────────────────────────────────────────────────────────────────

bank = Table(
    "bank",
    metadata,
    Column("id", Uuid, ForeignKey("organisation.id"), primary_key=True),
    _text("code"),
    _text("adapter"),
    _text("base_url"),
    Column("poll_interval_s", Integer, nullable=False),
    Column("answer_days", Integer, nullable=False),  # promised working days to a decision
    _text("answer_key_pem"),  # public key that signs the bank's answers (ES256)
    _text("cursor", null=True),
    _at("cursor_at"),
    _at("stopped_at"),
    _text("stopped_why", null=True),
    UniqueConstraint("code"),
)

bank_key = Table(
    "bank_key",
    metadata,
    _id(),
    _ref("bank_id", "bank"),
    _text("kind"),  # evidence/webhook_key.py
    Column("material", LargeBinary, nullable=False),  # sealed secret, or public key
    _at("live_from", null=False),
    _at("live_to"),
    _at("revoked_at"),
    _text("name", null=True),  # the bank's own, said in each message by RFC 9421
    UniqueConstraint("bank_id", "name"),
)

# Words of a bank that nobody here knows: kept with their messages, counted, told once.
bank_word = Table(
    "bank_word",
    metadata,
    Column("bank_id", Uuid, ForeignKey("bank.id"), primary_key=True),
    Column("word", Text, primary_key=True),  # a status, or a type of event
    Column("times", BigInteger, nullable=False),
    _at("first_at", null=False),
    _at("last_at", null=False),
)

# Of a message that is not a bank's nothing is kept but that it came.
refused_event = Table(
    "refused_event",
    metadata,
    Column("bank_id", Uuid, ForeignKey("bank.id"), primary_key=True),
    Column("slug", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("minute", TIMESTAMP(timezone=True), primary_key=True),
    Column("times", Integer, nullable=False),
    Index(None, "address", "minute"),
)

product = Table(
    "product",
    metadata,
    _id(),
    _ref("bank_id", "bank"),
    _text("code"),
    _json("name"),
    Column("share_bp", Integer, nullable=False),
    _fen("min_fen"),
    _fen("cap_fen"),
    Column("tenor_min_days", Integer, nullable=False),
    Column("tenor_max_days", Integer, nullable=False),
    _text("rate_from_bp"),
    _text("rate_to_bp"),
    _text("day_basis"),
    _text("currency"),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),
    UniqueConstraint("bank_id", "code", "currency"),
)

consent = Table(
    "consent",
    metadata,
    _id(),
    _ref("contract_id", "contract"),
    _ref("contract_version_id", "contract_version"),
    _ref("bank_id", "bank"),
    _ref("supplier_id", "organisation"),
    _text("text_version"),
    _text("text_digest"),
    _ref("given_by", "login", null=True),
    _at("given_at", null=False),
)

application = Table(
    "application",
    metadata,
    _id(),
    _ref("contract_id", "contract"),
    _ref("contract_version_id", "contract_version"),
    _ref("bank_id", "bank"),
    _ref("supplier_id", "organisation"),
    _ref("product_id", "product"),
    _fen("amount_fen"),
    _text("currency"),
    Column("tenor_days", Integer, nullable=False),
    _ref("consent_id", "consent", null=True),
    Column("packet_id", Uuid, nullable=True, index=True),
    Column("request_id", Uuid, nullable=True, unique=True),
    _text("bank_reference", null=True),
    Column("sequence", Integer, nullable=False, server_default=text("0")),
    _text("bank_status", null=True),
    _text("reason_code", null=True),
    _text("reason_text", null=True),
    _json("needs"),
    Column("never_seen", Integer, nullable=False, server_default=text("0")),
    _at("never_seen_at"),
    _at("hold_at"),
    _text("hold_why", null=True),
    _at("submitted_at"),  # bank took it
    _at("decided_at"),  # first offer or refusal
    _at("created_at", null=False),
    *_state(),
    CheckConstraint("amount_fen > 0", name="amount"),
    CheckConstraint("state = 'draft' OR consent_id IS NOT NULL", name="consent"),
    Index(
        "uq_application_live",
        "contract_version_id",
        "bank_id",
        unique=True,
        postgresql_where=text(
            "state NOT IN ('refused','declined','expired','withdrawn','stale','failed','closed')"
        ),
    ),
)

blob = Table(
    "blob",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("bytes", LargeBinary, nullable=False),
)

packet = Table(
    "packet",
    metadata,
    _id(),
    _ref("application_id", "application"),
    _ref("contract_version_id", "contract_version"),
    _text("identity"),  # sha-256:<hex> of the manifest
    Column("manifest", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    _ref("supersedes_id", "packet", null=True),
    _text("account_digest"),
    _at("issued_at", null=False),
    UniqueConstraint("identity"),
)

packet_part = Table(
    "packet_part",
    metadata,
    Column("packet_id", Uuid, ForeignKey("packet.id"), primary_key=True),
    Column("position", SmallInteger, primary_key=True),
    _text("name"),
    _text("media_type"),
    Column("digest", Text, ForeignKey("blob.digest"), nullable=False, index=True),
)

offer = Table(
    "offer",
    metadata,
    _id(),
    _ref("application_id", "application"),
    _text("reference"),
    Column("revision", Integer, nullable=False),
    _fen("amount_fen"),
    _text("currency"),
    _text("rate_bp"),
    _text("day_basis"),
    Column("tenor_days", Integer, nullable=False),
    _text("repayment"),
    _fen("fees_fen"),
    _json("terms"),  # the offer as received
    _text("digest"),  # of the canonical offer
    _at("valid_until", null=False),
    _at("made_at", null=False),
    *_state(),
    UniqueConstraint("application_id", "reference", "revision"),
    Index(
        "uq_offer_open",
        "application_id",
        unique=True,
        postgresql_where=text("state = 'open'"),
    ),
)

claim = Table(
    "claim",
    metadata,
    _id(),
    _ref("contract_id", "contract"),
    _ref("application_id", "application"),
    _fen("loan_fen"),
    Column("share_bp", Integer, nullable=False),
    _fen("held_fen"),  # ⌈loan × 10000 / share⌉, shrinks with repayment
    *_state(),
    CheckConstraint("held_fen >= 0", name="not_negative"),
    Index(
        "uq_claim_live",
        "application_id",
        unique=True,
        postgresql_where=text("state = 'held'"),
    ),
)

bank_account = Table(
    "bank_account",
    metadata,
    _id(),
    _ref("organisation_id", "organisation"),
    _text("holder"),
    _text("holder_key"),
    _text("bank_name"),
    _text("cnaps"),
    Column("number_sealed", LargeBinary, nullable=False),
    Column("number_index", LargeBinary, nullable=False),
    _text("last4"),
    _text("currency"),
    _at("created_at", null=False),
    UniqueConstraint("number_index"),
)

account_version = Table(
    "account_version",
    metadata,
    _id(),
    _ref("contract_id", "contract"),
    Column("n", Integer, nullable=False),
    _ref("account_id", "bank_account"),
    _text("salt"),
    _text("digest"),  # salted account digest
    Column("from_on", Date),
    Column("to_on", Date),
    _ref("locked_by", "application", null=True),
    Column("is_holder_verified", Boolean, nullable=True),  # the account's bank says holder equal
    *_state(),
    UniqueConstraint("contract_id", "n"),
    Index(
        "uq_account_version_in_force",
        "contract_id",
        unique=True,
        postgresql_where=text("state IN ('active','locked')"),
    ),
)

account_consent = Table(
    "account_consent",
    metadata,
    _id(),
    _ref("account_version_id", "account_version"),
    _text("role"),  # supplier, purchaser
    _text("digest"),
    _ref("login_id", "login", null=True),
    _at("at", null=False),
    UniqueConstraint("account_version_id", "role"),
)

loan = Table(
    "loan",
    metadata,
    _id(),
    _ref("application_id", "application"),
    _ref("offer_id", "offer"),
    _ref("contract_id", "contract"),
    _ref("bank_id", "bank"),
    _text("reference", null=True),
    _fen("principal_fen"),  # contracted
    _text("currency"),
    _text("rate_bp"),
    _text("day_basis"),
    _fen("drawn_fen"),
    Column("signed_on", Date),
    Column("due_on", Date),
    Column("interest_from", Date),  # interest is accrued up to this day
    Column("bank_settled_on", Date),  # the bank's word; settled needs our balances at 0 too
    *_state(),
    UniqueConstraint("application_id"),
    CheckConstraint("drawn_fen >= 0 AND drawn_fen <= principal_fen", name="drawn"),
)

drawdown = Table(
    "drawdown",
    metadata,
    _id(),
    _ref("loan_id", "loan"),
    _text("flow_reference"),
    _fen("amount_fen"),
    Column("on", Date, nullable=False),
    UniqueConstraint("loan_id", "flow_reference"),
)

bank_repayment = Table(
    "bank_repayment",
    metadata,
    _id(),
    _ref("loan_id", "loan"),
    _text("flow_reference"),
    _fen("amount_fen"),
    _fen("principal_fen"),
    _fen("interest_fen"),
    _fen("fees_fen"),
    Column("on", Date, nullable=False),
    UniqueConstraint("loan_id", "flow_reference"),
)

# ── Payment ──────────────────────────────────────────────────────────────────────────────────

statement = Table(
    "statement",
    metadata,
    _id(),
    _ref("file_id", "import_file"),
    _ref("account_id", "bank_account"),
    _text("format"),
    _text("message_id"),
    _text("account_type", default=""),  # sub-accounts may share one number
    _text("sequence", null=True),  # the bank's number of the statement, with its year
    _fen("opening_fen", null=True),
    _fen("closing_fen", null=True),
    Column("opening_on", Date),
    Column("closing_on", Date),
    _text("currency"),
    Column("lines", Integer, nullable=False),
    Column("holds", Boolean, nullable=True),
    _json("marks"),  # UNPROVEN, CHAIN-GAP, …: why a person looks at it
    _at("at", null=False),
)

entry = Table(
    "entry",
    metadata,
    _id(),
    _ref("account_id", "bank_account"),
    Column("key", LargeBinary, nullable=False),
    Column("ordinal", Integer, nullable=False),
    _fen("amount_fen"),  # signed, from the account's view
    _text("currency"),
    Column("booking_on", Date, nullable=False),
    Column("value_on", Date, nullable=False),
    Column("is_reversal", Boolean, nullable=False),
    _text("status", default="booked"),  # booked, pending, information
    _text("bank_ref", null=True),
    _text("end_to_end", null=True),
    _text("counterparty", null=True),
    _text("counterparty_key", null=True),
    _text("remittance"),
    _text("search"),  # normalised remittance, first 4 KiB
    _json("details"),
    UniqueConstraint("account_id", "key", "ordinal"),
    CheckConstraint("status IN ('booked','pending','information')", name="status"),
)

entry_source = Table(
    "entry_source",
    metadata,
    Column("entry_id", Uuid, ForeignKey("entry.id"), primary_key=True),
    Column("statement_id", Uuid, ForeignKey("statement.id"), primary_key=True, index=True),
    _text("place"),
    Column("is_booked", Boolean, nullable=False),  # as this statement has it
    Column("raw", LargeBinary, nullable=False),
)

payment = Table(
    "payment",
    metadata,
    _id(),
    _ref("entry_id", "entry", null=True),
    Column("part", SmallInteger, nullable=False, server_default=text("1")),  # of a batch
    _ref("account_id", "bank_account"),
    _ref("contract_id", "contract", null=True),
    _ref("account_version_id", "account_version", null=True),
    _ref("reversed_by", "entry", null=True),
    _fen("amount_fen"),
    _text("currency"),
    Column("value_on", Date, nullable=False),
    _text("payer"),
    _text("payer_key", default=""),
    _text("search", default=""),  # normalised remittance, first 4 KiB
    Column("numbers", ARRAY(Text), nullable=False, server_default=text("'{}'")),  # words of it
    _text("rule", null=True),  # matching rule that decided
    Column("score", SmallInteger),
    _json("candidates"),
    _text("outcome"),  # words of the command line
    _at("created_at", null=False),
    *_state(),
    UniqueConstraint("entry_id", "part"),
    CheckConstraint("amount_fen > 0", name="amount"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _text("book"),  # contract, loan
    Column("subject_id", Uuid, nullable=False),
    Column("event_id", Uuid, nullable=False),
    _text("event"),
    _text("account"),
    _fen("debit_fen"),
    _fen("credit_fen"),
    _text("currency"),
    Column("on", Date, nullable=False),
    _ref("payment_id", "payment", null=True),
    Column("reverses", Uuid, nullable=True),
    _at("at", null=False),
    Index(None, "book", "subject_id"),
    Index(None, "event_id"),
    CheckConstraint(
        "debit_fen >= 0 AND credit_fen >= 0 AND (debit_fen = 0) <> (credit_fen = 0)",
        name="side",
    ),
)

# ── Work ─────────────────────────────────────────────────────────────────────────────────────

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _text("kind"),
    _text("bank", default=""),
    _text("key"),
    Column("subject_id", Uuid, nullable=True),
    _json("args"),
    Column("due", TIMESTAMP(timezone=True), nullable=False, server_default=text("now()")),
    Column("token", Integer, nullable=False, server_default=text("0")),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("died", Integer, nullable=False, server_default=text("0")),
    _at("sent_at"),
    _text("worker", null=True),
    _text("last_error", null=True),
    Column(
        "created_at",
        TIMESTAMP(timezone=True),
        nullable=False,
        server_default=text("now()"),
    ),
    _at("done"),
    _at("parked"),
    UniqueConstraint("key"),
    Index(
        "ix_outbox_lane",
        "kind",
        "bank",
        "due",
        postgresql_where=text("done IS NULL AND parked IS NULL"),
    ),
    postgresql_with={"fillfactor": "70"},
)

inbox = Table(
    "inbox",
    metadata,
    _id(),
    _text("source"),  # bank's code
    _text("message_id"),
    _text("digest"),
    Column("raw", LargeBinary, nullable=False),
    _json("headers"),
    _at("received_at", null=False),
    _text("outcome", null=True),  # applied, confirmed, kept, parked, held
    _text("outcome_why", null=True),
    _at("handled_at"),
    _ref("key_id", "bank_key", null=True),  # of the key that signed it
    UniqueConstraint("source", "message_id"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _text("kind"),  # life cycle
    Column("case", Uuid, nullable=False),  # the row whose life it is
    Column("n", Integer, nullable=False),  # = version of the row after the step
    _text("event"),
    _text("from_state", null=True),
    _text("to_state"),
    Column("body", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
    _ref("login_id", "login", null=True, index=False),
    _at("at", null=False),
    UniqueConstraint("case", "n"),
)

transcript = Table(
    "transcript",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _text("bank"),
    _text("verb"),
    _text("method"),
    _text("path"),
    Column("status", Integer),
    Column("elapsed_ms", Integer, nullable=False),
    Column("bytes_out", Integer, nullable=False),
    Column("bytes_in", Integer, nullable=False),
    _text("error", null=True),
    _at("at", null=False),
    Index(None, "bank", "at"),
)

beat = Table(
    "beat",
    metadata,
    Column("process", Text, primary_key=True),
    _at("at", null=False),
)

store_mark = Table(
    "store_mark",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("demo", Boolean, nullable=False),
    _at("now"),  # business clock of a demo store; null: the wall clock
    CheckConstraint("one", name="single"),
)

INSERT_ONLY = (
    "release",
    "contract_version",
    "altered_copy",
    "consent",
    "packet",
    "packet_part",
    "blob",
    "account_consent",
    "drawdown",
    "bank_repayment",
    "entry_source",
    "ledger",
    "transcript",
    "audit",
)

for _kind, _steps in LIFECYCLES.items():
    _words = sorted({word for step in _steps for word in (*step.before, step.after)} - {SAME, BORN})
    metadata.tables[_kind].append_constraint(
        CheckConstraint(f"state IN ({', '.join(repr(word) for word in _words)})", name="state")
    )
