"""Opening a packet: the one-file verifier judges it, then the bank reads the facts that it uses.

Nothing of a packet is read before it is accepted, and nothing that the message says beside it is
believed where the packet says otherwise.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from financing.evidence import verify

ACCOUNT = ("bank", "contract", "holder", "holder_id", "number", "salt", "version")


@dataclass(frozen=True, slots=True)
class Unacceptable:
    """The packet is not used; says why."""

    why: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The facts of an accepted packet. Amounts are minor units of `currency`.

    Args:
        identity: `sha-256:<hex>` of the signed manifest.
        bank: the recipient that it names.
        supplier: its code; of a foreign firm its id in its own register.
        failed_checks: ids of checks that failed and that keep a contract from being financed.
        account_digest: computed from the account's own fields.
    """

    identity: str
    bank: str
    contract_number: str
    contract_amount: int
    supplier: str
    amount: int
    currency: str
    failed_checks: tuple[str, ...]
    account: str
    holder: str
    holder_id: str
    account_digest: str


def open_packet(data: bytes, trust: Path) -> Opened | Unacceptable:
    """Judge a packet and read its facts.

    Args:
        trust: PEM file of the root that signs packets' certificates.
    """
    verdict = verify.verify(data, trust.read_bytes())
    if verdict.indication != verify.PASSED:
        return Unacceptable(f"{verdict.indication} {verdict.sub_indication} {verdict.part}".strip())
    if "consent.json" not in verdict.parts:
        return Unacceptable("consent.json is missing")
    try:
        return _facts(verdict.packet, verdict.parts)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        return Unacceptable(f"a part cannot be read: {problem!r}")


def _facts(identity: str, parts: dict[str, bytes]) -> Opened:
    index = json.loads(parts["packet.json"])
    account = json.loads(parts["account.json"])
    checks = json.loads(parts["checks.json"])
    requested = index["application"]["requested"]
    contract = index["contract"]["amount"]
    supplier = index["supplier"]
    if contract["currency"] != requested["currency"]:
        raise ValueError("contract and application name two currencies")
    return Opened(
        identity=identity,
        bank=index["recipient"]["bank"],
        contract_number=index["contract"]["number"],
        contract_amount=_minor(contract),
        supplier=str(supplier.get("uscc") or supplier["id"]),  # the id of another register
        amount=_minor(requested),
        currency=requested["currency"],
        failed_checks=tuple(
            check["id"]
            for check in checks
            if check["result"] == "fail" and check.get("blocks", True)
        ),
        account=str(account["number"]),
        holder=str(account["holder"]),
        holder_id=str(account["holder_id"]),
        account_digest=_digest({name: account[name] for name in ACCOUNT}),
    )


def _minor(amount: dict[str, Any]) -> int:
    value = amount["fen" if amount["currency"] == "CNY" else "minor"]
    if not isinstance(value, int):
        raise TypeError("an amount is no whole number")
    return value


def _digest(account: dict[str, Any]) -> str:
    """The account digest. Source: docs/banks.md; RFC 8785 for the bytes."""
    text = json.dumps(account, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha-256:" + hashlib.sha256(text.encode()).hexdigest()
