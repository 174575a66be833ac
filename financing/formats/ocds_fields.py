"""The fields of a procurement record as single values: texts, amounts, organisations.

Source: OCDS 1.0 and 1.1 release schemas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

from financing.errors import Invalid
from financing.formats.json_stream import Path
from financing.values import uscc
from financing.values.contract_facts import BY_NAME, Party
from financing.values.money import minor_digits, to_minor
from financing.values.text import clean, name_key

SIZES: Final = ("micro", "small", "medium", "large", "sme")

# Register and number in one, as org-id.guide writes them: MX-RFC-XAX010101000.
_ORG_ID: Final = re.compile(r"([A-Z]{2}-[A-Z0-9]{2,12})-(\S.*)")
# What stands where a number should: nobody's, or everybody's (the general public's tax number).
_NOBODY: Final = frozenset(
    ("", "NA", "NONE", "NULL", "SN", "NODISPONIBLE", "NOAPLICA", "XAXX010101000", "XEXX010101000")
)


class Unusable(Exception):
    """A contract that cannot be recorded; carries what the list of parked things shows."""

    def __init__(self, path: Path, value: object, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.path, self.value, self.reason, self.remedy = path, value, reason, remedy


class Amount(NamedTuple):
    """An amount in minor units of its own currency."""

    fen: int
    currency: str


def read_amount(value: Any, path: Path, currency: str | None = None) -> Amount | None:
    """An OCDS value; None where it holds no amount.

    Raises:
        Unusable: an amount that cannot be read exactly, or a currency that nobody knows.
    """
    amount = get(value, "amount")
    if amount is None:
        return None
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        raise Unusable(
            (*path, "amount"),
            amount,
            "AMOUNT: not a number",
            "publish it as a JSON number, without quotes or thousands marks",
        )
    named = text_of(get(value, "currency")).upper() or currency
    if not named:
        raise Unusable(
            (*path, "currency"),
            amount,
            "CURRENCY-MISSING: an amount without currency",
            "publish the currency's three letters",
        )
    try:
        digits = minor_digits(named)
    except Invalid as problem:
        raise Unusable(
            (*path, "currency"), named, "CURRENCY-UNKNOWN: not in ISO 4217", problem.remedy
        ) from problem
    try:
        return Amount(to_minor(amount, named), named)
    except Invalid as problem:
        raise Unusable(
            (*path, "amount"),
            amount,
            f"AMOUNT: {problem.detail}; {named} has {digits} decimals",
            problem.remedy,
        ) from problem


@dataclass(frozen=True, slots=True)
class Parties:
    """The organisations of a record, to be found by reference or by role."""

    items: list[Any]
    publisher: str

    def resolve(self, reference: Any) -> Party | None:
        """The party that a reference of 1.0 (embedded) or 1.1 (by id) means; None for nobody."""
        ref = dict_of(reference)
        own: Any = next(
            (
                item
                for item in self.items
                if text_of(ref.get("id")) and text_of(get(item, "id")) == text_of(ref.get("id"))
            ),
            {},
        )
        name = name_of(ref) or name_of(own)
        size = size_of(get(own, "details", "scale") or get(ref, "details", "scale"))
        for one in (ref, own):
            number = text_of(get(one, "identifier", "id"))
            if not _is_nobody(number):
                scheme = text_of(get(one, "identifier", "scheme")).upper()
                if not scheme:
                    is_uscc = uscc.problem(number.upper()) is None
                    scheme = "CN-USCC" if is_uscc else f"publisher:{self.publisher}"
                return Party(scheme, number, name or number, size)
        found = _ORG_ID.fullmatch(text_of(ref.get("id")))
        if found is not None and not _is_nobody(found[2]):
            return Party(found[1], found[2], name or found[0], size)
        if not name_key(name):
            return None
        # A bare id ("1") is unique within one record only, and a name within one publisher at most.
        return Party(BY_NAME, f"{self.publisher}:{name_key(name)}", name, size)

    def all(self, references: Any) -> tuple[Party, ...]:
        """Each different party of a list of references."""
        resolved = [self.resolve(one) for one in list_of(references)]
        found = list(dict.fromkeys(party for party in resolved if party is not None))
        # The same firm with its number and by its name alone is one firm.
        numbered = {name_key(party.name) for party in found if party.scheme != BY_NAME}
        return tuple(
            party
            for party in found
            if party.scheme != BY_NAME or name_key(party.name) not in numbered
        )

    def by_role(self, role: str) -> tuple[Party, ...]:
        return self.all([item for item in self.items if role in list_of(get(item, "roles"))])


def _is_nobody(number: str) -> bool:
    bare = re.sub(r"[^0-9A-Z]", "", number.upper()) if number.isascii() else number
    return bare in _NOBODY or (len(bare) > 1 and len(set(bare)) == 1) or bare == "0"


def name_of(organisation: Any) -> str:
    known = dict_of(organisation)
    names = [known.get("name"), known.get("legalName"), get(known, "identifier", "legalName")]
    # Publishers of two languages write `name_en`, `name_fr`.
    names += [known[key] for key in sorted(known) if key.startswith("name_")]
    return next((text_of(name) for name in names if text_of(name)), "")


def size_of(value: Any) -> str:
    text = text_of(value).lower()
    return text if text in SIZES else ""


def text_of(value: Any) -> str:
    if isinstance(value, str):
        return clean(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def dict_of(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def get(value: Any, *path: str | int) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
