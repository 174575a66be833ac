"""What the bank is told when it starts: one JSON file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Decision = Literal["offer", "refuse", "info_required", "manual", "silence"]
DECISIONS: tuple[Decision, ...] = ("offer", "refuse", "info_required", "manual", "silence")
SIGNS = ("standard_webhooks", "rfc9421")
BASES = {"ACT/360": 360, "ACT/365": 365}


class Misconfigured(Exception):
    """The configuration cannot be used; says which field and why."""


@dataclass(frozen=True, slots=True)
class Product:
    """What the bank lends.

    Args:
        share_bp: of the contract's amount, in ten-thousandths.
        cap: most minor units of the contract's currency that one loan has.
        rate_bp: basis points a year, decimal text.
        days: longest term; an application's own term counts where it is shorter.
    """

    share_bp: int
    cap: int
    rate_bp: str
    day_basis: str
    days: int


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the bank answers firms for which no outcome is fixed.

    Args:
        parts: payouts of one loan.
        valid_s: seconds for which an offer stands, by the bank's clock.
        webhooks: False answers by the feed only.
        signs: how its events are signed, by Standard Webhooks or by RFC 9421.
    """

    decision: Decision = "offer"
    reason_code: str = "R41"
    parts: int = 1
    valid_s: int = 14 * 86_400
    webhooks: bool = True
    signs: Literal["standard_webhooks", "rfc9421"] = "standard_webhooks"


@dataclass(frozen=True, slots=True)
class Config:
    """One bank.

    Args:
        name: its short name at the broker, as in the address of its webhooks.
        trust: PEM file of the root that signs packets' certificates.
        broker_url: base address of the broker.
        broker_key_pem: P-256 public key that signs the broker's requests.
        signing_key_pem, webhook_key: its own private keys; made in `data` where not given.
        now: what the bank's clock shows at its first start, RFC 3339; else the wall clock.
    """

    name: str
    port: int
    data: Path
    trust: Path
    broker_url: str
    broker_key_pem: str
    product: Product
    behaviour: Behaviour
    signing_key_pem: str | None = None
    webhook_key: str | None = None
    now: str | None = None


def load(path: Path) -> Config:
    """Read the file.

    Raises:
        Misconfigured: not JSON, a field missing, unknown, or wrong.
    """
    try:
        raw = json.loads(path.read_bytes())
        return _config(dict(raw), path.parent)
    except Misconfigured:
        raise
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise Misconfigured(f"{path}: {type(problem).__name__}: {problem}") from problem


def _config(raw: dict[str, Any], folder: Path) -> Config:
    product = Product(**raw.pop("product"))
    behaviour = Behaviour(**raw.pop("behaviour", {}))
    raw["data"] = (folder / raw["data"]).absolute()
    raw["trust"] = (folder / raw["trust"]).absolute()
    config = Config(product=product, behaviour=behaviour, **raw)
    for wrong, said in (
        (re.fullmatch(r"[a-z0-9-]{1,40}", config.name) is None, "name is [a-z0-9-]"),
        (product.day_basis not in BASES, f"day_basis is one of {', '.join(BASES)}"),
        (behaviour.decision not in DECISIONS, f"decision is one of {', '.join(DECISIONS)}"),
        (not 1 <= behaviour.parts <= 9, "parts is 1 to 9"),
        (behaviour.signs not in SIGNS, f"signs is one of {', '.join(SIGNS)}"),
        (not 1 <= product.share_bp <= 10_000, "share_bp is 1 to 10000"),
        (re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,4})?", product.rate_bp) is None, "rate_bp is text"),
    ):
        if wrong:
            raise Misconfigured(said)
    return config
