"""A sandbox bank as a process, and packets for it: what a test of the bank side needs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, TypeVar

import requests

from bank_adapters.call import Call
from bank_adapters.port import BankConfig, Exchange, Party, Submission
from financing.evidence import asice, jws
from financing.evidence.keys import Keys
from financing.values import canonical, ids
from financing.values.money import Money, money_json
from financing.values.times import rfc3339, wall_now

PRODUCT = {
    "share_bp": 7000,
    "cap": 1_000_000_000,
    "rate_bp": "435",
    "day_basis": "ACT/360",
    "days": 360,
}
PURCHASER = Party("CN-USCC", "11410100005250009N", "郑州市示例区教育局")
SHOP = Party("CN-USCC", "91410106MA9TE5T04W", "郑州示例照明有限公司")  # no outcome is fixed for it
CONTRACT, AMOUNT = Money(128_000_000), Money(80_000_000)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bank:
    """A running bank."""

    name: str
    url: str
    answer_key_pem: str
    webhook_key: str
    next_webhook_key: str
    key_name: str
    process: subprocess.Popen[bytes]

    def control(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """One message to the control page; fails on any answer that is no success."""
        session = requests.Session()
        session.trust_env = False
        with session.request(
            method, f"{self.url}/control{path}", json=body, params=query, timeout=10
        ) as answer:
            assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
            if answer.headers["Content-Type"] == "application/json":
                return answer.json()
            return answer.content

    def set_clock(self, day: date, hour: int = 10) -> None:
        """Set the bank's clock to an hour of a Chinese day."""
        self.control("POST", "/clock", {"now": f"{day.isoformat()}T{hour:02d}:00:00+08:00"})

    def pay(self, account: str, amount: Money, on: date, **more: object) -> Any:
        """Let the purchaser pay into an account of this bank."""
        return self.control(
            "POST",
            "/payments",
            {
                "payer": {"name": PURCHASER.name, "account": "4100 1234 5678 9"},
                "account": account,
                "amount": money_json(amount.fen, amount.currency),
                "on": on.isoformat(),
                **more,
            },
        )

    def case(self, application: str) -> Any:
        """A case in the bank's books, or None."""
        cases = self.control("GET", "/cases")["cases"]
        return next((case for case in cases if case["application"] == application), None)

    def reaches(self, application: str, state: str) -> Any:
        """The case, once the bank has brought it into this state."""

        def found() -> Any:
            case = self.case(application)
            return case if case and case["state"] == state else None

        return wait_for(found, f"{application} in state {state}")

    def fault(self, slug: str, **more: object) -> None:
        """Set a fault; for the next occasion unless `firm` or `next` says otherwise."""
        if "firm" not in more:
            more.setdefault("next", 1)
        self.control("POST", "/faults", {"fault": slug, **more})


def wait_for(condition: Callable[[], T | None], what: str, seconds: float = 20) -> T:
    """What a condition gives, as soon as it gives something."""
    end, pause = monotonic() + seconds, Event()
    while monotonic() < end:
        found = condition()
        if found is not None:
            return found
        pause.wait(0.01)  # leaves the processor to the process that is waited for
    raise AssertionError(f"after {seconds} s not: {what}")


@contextmanager
def bank(
    folder: Path, keys: Keys, *, name: str = "sandbox-a", broker_url: str = "", **more: Any
) -> Iterator[Bank]:
    """Run one bank until the block ends.

    Args:
        folder: a new folder for its configuration and books.
        keys: the broker's, whose public halves the bank is given.
        broker_url: where its webhooks go; empty answers by the feed only.
        more: further members of the configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes(keys.ca_pem)
    behaviour = {"webhooks": bool(broker_url), **more.pop("behaviour", {})}
    config = {
        "name": name,
        "port": 0,
        "data": "books",
        "trust": "ca.pem",
        "broker_url": broker_url,
        "broker_key_pem": keys.request_public_pem,
        "product": PRODUCT,
        "behaviour": behaviour,
        **more,
    }
    (folder / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "bank_adapters.sandbox", "--until-stdin-closes"]
    with (
        (folder / "stderr").open("wb") as said,
        subprocess.Popen(
            [*command, "--config", str(folder / "config.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (folder / "stderr").read_text()
            opened = json.loads(line)
            yield Bank(
                name,
                f"http://127.0.0.1:{opened['port']}",
                opened["answer_key_pem"],
                opened["webhook_key"],
                opened["next_webhook_key"],
                opened["webhook_key_name"],
                process,
            )
        finally:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 0, (folder / "stderr").read_text()


def line(
    to: Bank, keys: Keys, record: Callable[[Exchange], None] = lambda _: None, **config: Any
) -> Call:
    """A call to a bank, as the broker makes it."""
    return Call(
        config=BankConfig(name=to.name, adapter="rest_jws", base_url=to.url, **config),
        sign=keys.sign_request,
        verify=lambda body, signature: jws.verify_detached(body, signature, to.answer_key_pem),
        now=wall_now,
        record=record,
    )


# ── Packets ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Wish:
    """What a packet says; the defaults are a contract that any bank would finance."""

    bank: str = "sandbox-a"
    supplier: Party = SHOP
    number: str = "ZZCG-2026-0113-2"
    contract: Money = CONTRACT
    amount: Money = AMOUNT
    tenor_days: int = 180
    account: str = "6011020123456789012"
    checks: tuple[Mapping[str, object], ...] = ({"id": "SIGNED", "result": "pass"},)
    has_consent: bool = True

    def but(self, **other: Any) -> Wish:
        """The same with other facts."""
        return replace(self, **other)


def submission(keys: Keys, wish: Wish) -> Submission:
    """An application with a signed packet, complete and consistent."""
    application = ids.show("ap", ids.new_id())
    at = datetime.now(UTC).replace(microsecond=0)
    account = {
        "bank": "991491000013",
        "contract": canonical.digest(wish.number.encode()),
        "holder": wish.supplier.name,
        "holder_id": wish.supplier.id,
        "number": wish.account,
        "salt": "0f" * 16,
        "version": 1,
    }
    requested = money_json(wish.amount.fen, wish.amount.currency)
    documents: dict[str, Any] = {
        "contract/record.json": {"ocid": "ocds-example-2026-0117"},
        "checks.json": list(wish.checks),
        "consent.json": {"bank": wish.bank, "text_version": "consent/1"},
        "capacity.json": {"requested": requested},
        "application.json": {
            "id": application,
            "amount": requested,
            "tenor_days": wish.tenor_days,
        },
        "account.json": account,
        "unknowns.json": [],
    }
    if not wish.has_consent:
        del documents["consent.json"]
    index = {
        "account": {"last4": wish.account[-4:], "version": 1},
        "application": {
            "id": application,
            "requested": requested,
            "tenor_days": wish.tenor_days,
        },
        "contract": {
            "amount": money_json(wish.contract.fen, wish.contract.currency),
            "number": wish.number,
        },
        "issued_at": rfc3339(at),
        "parts": [{"name": name, "schema": None, "title": name} for name in documents],
        "recipient": {"bank": wish.bank, "certificate_sha256": None},
        "schema": "financing-packet/1",
        "supersedes": None,
        "supplier": {
            "name": wish.supplier.name,
            **(
                {"uscc": wish.supplier.id}
                if wish.supplier.scheme == "CN-USCC"
                else {"id": wish.supplier.id, "scheme": wish.supplier.scheme}
            ),
        },
    }
    parts = [
        asice.Part.of(name, "application/json", canonical.dumps(value))
        for name, value in {"packet.json": index, **documents}.items()
    ]
    manifest = asice.manifest(parts)
    return Submission(
        request_id=ids.show("rq", ids.new_id()),
        application=application,
        contract_number=wish.number,
        supplier=wish.supplier,
        purchaser=PURCHASER,
        amount=wish.amount,
        tenor_days=wish.tenor_days,
        product="gov-contract-loan",
        packet=asice.container(parts, manifest, keys.signer.sign(manifest, at)),
        packet_digest=asice.identity(manifest),
        account_digest=canonical.digest_of(account),
    )
