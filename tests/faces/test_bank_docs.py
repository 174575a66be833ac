"""What docs/banks.md tells a bank to type works as it stands, with curl and openssl alone."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path

from bank_adapters import registry
from bank_adapters.port import Delivery
from financing.evidence import webhook_signature
from financing.evidence.http_signature import Message
from financing.evidence.webhook_key import Key
from financing.values.times import wall_now
from schemas.event import EVENTS
from schemas.offer import OfferIn
from tests.faces.test_rest_jws import broker

DOCS = Path(__file__).parents[2] / "docs"
BANKS = (DOCS / "banks.md").read_text()


def test_the_recipe_for_an_event_makes_one_that_we_accept(tmp_path: Path) -> None:
    (recipe,) = re.findall(r"```sh\n(.*?)```", BANKS, re.DOTALL)
    body = {
        "type": "application.refused",
        "timestamp": "2026-03-02T01:29:58Z",
        "data": {"application": "ap_1", "sequence": 2, "reason_code": "R31"},
    }
    (tmp_path / "body.json").write_text(json.dumps(body))
    with broker() as desk:
        done = subprocess.run(
            ["bash", "-c", recipe],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "BROKER": desk.url, "BANK": "bank-a"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        ((headers, sent),) = desk.attempts
    key = Key(
        kind="v1a",
        material=base64.b64decode(done.stdout.splitlines()[0]),
        live_from=wall_now() - timedelta(days=1),
    )
    message = Message("POST", f"{desk.url}/x", headers, sent)
    assert webhook_signature.verify(message, [key], wall_now()) == (headers["webhook-id"], key)
    delivery = Delivery(sent, "application/json", headers, True, wall_now())
    assert [r.status for r in registry.adapter("rest_jws").parse_event(delivery)] == ["refused"]


def test_every_event_and_every_field_of_an_offer_is_documented() -> None:
    for kind, row in EVENTS.items():
        name = kind if f"`{kind}`" in BANKS else f".{kind.partition('.')[2]}"
        assert f"`{name}`" in BANKS
        for word in (row.status, *row.needs):
            assert f"`{word}`" in BANKS, (kind, word)
    for name in OfferIn().fields:
        assert name in ("digest", "matures_on") or f"`{name}`" in BANKS, name


def test_every_verb_of_the_port_is_documented() -> None:
    text = (DOCS / "adapters.md").read_text()
    for verb in ("submit", "poll", "accept", "cancel", "parse_event"):
        assert f"`{verb}(" in text
