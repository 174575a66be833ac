"""What a procurement record says about one contract, in our terms; nothing guessed.

A field that the record does not hold is None (or empty), and a field that it holds in a form that
cannot be read is None too and named in `unread`: a check then answers unknown, and the packet
says so. Amounts are minor units of the contract's currency unless a field of its own says other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from financing.values import canonical
from financing.values.text import name_key, number_key
from financing.values.times import parse_date, parse_instant, rfc3339

BY_NAME = "name"  # scheme of a party of whom the record holds no number

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Party:
    """A purchaser, supplier, or payer.

    Args:
        scheme: register of the identifier (`CN-USCC`), `publisher:X` for a publisher's own
            numbering, or `name` where only a name is known.
        identifier: number in that register; for `name`, the publisher and the compared name.
        size: `micro`, `small`, `medium`, `large`, `sme`, as declared with the contract, or empty.
    """

    scheme: str
    identifier: str
    name: str
    size: str = ""


@dataclass(frozen=True, slots=True)
class AwardFacts:
    """The award (中标结果) under which the contract was signed.

    Args:
        link: `named` by the contract, or the `only` award of the record to its supplier; or
            `dangling`: the only one, though the contract names another.
    """

    id: str
    link: str
    status: str
    title: str
    issued_on: date | None
    amount_fen: int | None
    currency: str | None
    suppliers: tuple[Party, ...]


@dataclass(frozen=True, slots=True)
class MilestoneFacts:
    """A milestone (付款节点): part of the price with its condition and due date."""

    code: str
    title: str
    amount_fen: int | None
    retention_fen: int | None
    advance_fen: int | None
    due_on: date | None
    delivered_on: date | None
    accepted_on: date | None


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """A payment (支付) that the publisher reports; `currency` may differ from the contract's."""

    code: str
    amount_fen: int
    currency: str
    paid_on: date | None
    payer: str
    payee: str
    payee_id: str


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """A document of the contract; `digest` is `sha-256:<hex>` of its bytes, or empty."""

    id: str
    kind: str
    title: str
    url: str
    digest: str


@dataclass(frozen=True, slots=True)
class DesignatedAccountFacts:
    """The account (指定账户) that the contract names; not yet confirmed by anybody."""

    holder: str
    bank_name: str
    cnaps: str
    number: str


@dataclass(frozen=True, slots=True)
class ContractFacts:
    """One contract as of one release, or an award (中标结果) whose contract is not known yet.

    Args:
        publisher: OCDS prefix, or the publisher's site or name.
        released_at: of the newest release that counts; None where the publisher gave none.
        code: the contract's id, unique within the process (ocid); empty for an award.
        number: as people write it; made of ocid and code where the code alone says too little;
            empty for an award.
        is_numbered: the publisher gave that number, unique among all its contracts.
        amount_fen: None for an award alone; `currency` is then the award's, or empty.
        award_id: as the contract names it, empty where it names none.
        signatories: `purchaser`, `supplier`: who has signed, as far as the record says.
        direct: bought without competition: no award is to be expected.
        secret: None where the record does not say.
        retention_fen: part of the price withheld until `retention_until`.
        late_rate_bp: agreed yearly rate of late interest.
        unread: `pointer: reason` of each field that was there and could not be read.
    """

    publisher: str
    ocid: str
    release_id: str
    released_at: datetime | None
    code: str
    number: str
    is_numbered: bool
    title: str
    status: str
    amount_fen: int | None
    currency: str
    amount_in_words: str
    purchaser: Party
    supplier: Party
    award_id: str
    award: AwardFacts | None
    direct: bool
    budget_line: str
    budget_fen: int | None
    budget_currency: str | None
    signed_on: date | None
    signatories: tuple[str, ...]
    starts_on: date | None
    ends_on: date | None
    filed_on: date | None
    filing_receipt: str
    announced_on: date | None
    announcement_url: str
    announcement_digest: str
    secret: bool | None
    delivered_on: date | None
    accepted_on: date | None
    acceptance_digest: str
    inspection_ends_on: date | None
    payment_days: int | None
    payment_start: str
    late_rate_bp: int | None
    retention_fen: int | None
    retention_bp: int | None
    retention_until: date | None
    advance_fen: int | None
    sme_declared: str
    sme_declared_on: date | None
    assignable: bool | None
    account: DesignatedAccountFacts | None
    milestones: tuple[MilestoneFacts, ...]
    payments: tuple[PaymentFacts, ...]
    documents: tuple[DocumentFacts, ...]
    unread: tuple[str, ...]


def identity(facts: ContractFacts) -> str:
    """The contract's identity (合同身份), the same through all its versions: 64 hex digits.

    A contract without a number of the publisher's is known by its process and its id in it: ids
    such as `1` are given again in the next process, to the same parties too.

    Source: rulebook, contract identity: SHA-256 over the canonical JSON of publisher, number,
        purchaser, supplier, and award, each normalised.
    """
    number = facts.number if facts.is_numbered else f"{facts.ocid}/{facts.code}"
    named = {
        "publisher": facts.publisher,
        "number": number_key(number),
        "purchaser": _party_key(facts.purchaser),
        "supplier": _party_key(facts.supplier),
        "award": number_key(facts.award_id or (facts.award.id if facts.award else "")),
    }
    return canonical.digest_of(named).removeprefix("sha-256:")


def key_in_process(facts: ContractFacts) -> tuple[str, str]:
    """What tells a contract apart in its process: its id; before it has one, its award's."""
    return (facts.code, "" if facts.code else facts.award_id)


def award_key(facts: ContractFacts) -> tuple[str, str] | None:
    """The key that a contract's award has in the process while it stands alone.

    None for an award itself, and for a contract that is under no award won by its supplier.
    """
    if not facts.code or facts.award is None:
        return None
    has_won = any(is_same_party(facts.supplier, winner) for winner in facts.award.suppliers)
    return ("", facts.award.id) if has_won else None


def _party_key(party: Party) -> str:
    return f"{party.scheme.upper()}:{name_key(party.identifier).upper()}"


def is_same_party(one: Party, other: Party) -> bool:
    """Whether two records mean the same organisation: by number, or by name where one has none."""
    if BY_NAME not in (one.scheme, other.scheme):
        return _party_key(one) == _party_key(other)
    return name_key(one.name) == name_key(other.name)


def contradicts(one: ContractFacts, other: ContractFacts) -> bool:
    """Whether two records of one contract name another amount, award, or party.

    What only one of them holds is no contradiction.
    """
    if (one.amount_fen, one.currency) != (other.amount_fen, other.currency):
        return True
    if not is_same_party(one.purchaser, other.purchaser):
        return True
    if not is_same_party(one.supplier, other.supplier):
        return True
    first, second = one.award, other.award
    if first is None or second is None:
        return False
    if first.id and second.id and number_key(first.id) != number_key(second.id):
        return True
    known = None not in (first.amount_fen, second.amount_fen)
    return known and (first.amount_fen, first.currency) != (second.amount_fen, second.currency)


def substance(facts: ContractFacts) -> dict[str, Any]:
    """What is compared to tell a new version: not which release said it, or what stayed unread."""
    known = to_json(facts)
    del known["release_id"], known["released_at"], known["unread"]
    return known


def to_json(facts: ContractFacts) -> dict[str, Any]:
    """The facts as canonical JSON holds them: ISO dates, RFC 3339 instants, whole numbers."""
    return {field.name: _plain(getattr(facts, field.name)) for field in fields(facts)}


def from_json(known: Mapping[str, Any]) -> ContractFacts:
    """The facts from what `to_json` wrote."""
    return _read(ContractFacts, known)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def _read(kind: type[Value], known: Mapping[str, Any]) -> Value:
    return kind(**{name: _typed(hint, known[name]) for name, hint in _HINTS[kind].items()})


def _typed(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(hint) in (Union, UnionType):
        hint = next(arm for arm in get_args(hint) if arm is not type(None))
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return tuple(_typed(inner, item) for item in value)
    if hint is datetime:
        return parse_instant(value)
    if hint is date:
        return parse_date(value)
    if is_dataclass(hint) and isinstance(hint, type):
        return _read(hint, value)
    return value


_HINTS: Mapping[type[Any], dict[str, Any]] = {
    kind: get_type_hints(kind)
    for kind in (
        ContractFacts,
        Party,
        AwardFacts,
        MilestoneFacts,
        PaymentFacts,
        DocumentFacts,
        DesignatedAccountFacts,
    )
}
