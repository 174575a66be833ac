"""What docs/banks.md tells a bank to type works as it stands, with curl and openssl alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import requests
from sqlalchemy import Engine

from financing.journeys.receiving import Replayed
from financing.values import ids
from financing.words import words
from schemas.event import EVENTS
from schemas.offer import OfferIn
from tests.conftest import Web
from tests.faces.test_forms import person
from tests.journeys.test_answers import Lender, apply
from tests.verifying import OPENING, World, release

DOCS = Path(__file__).parents[2] / "docs"
BANKS = (DOCS / "banks.md").read_text()


@pytest.fixture
def world(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(web.ctx, owner, set_clock)


def test_an_engineer_with_curl_and_openssl_changes_what_the_supplier_sees(
    web: Web,
    world: World,
    command: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    """The blocks of the page in their order, by both ways of signing, against the real service."""
    bank = Lender(world, "bank-a")
    bank_id = bank.register()
    (row,) = world.publish(release())
    apply(world, bank, bank_id, world.ready(row))
    case = ids.show("ap", bank.row().id)
    key, *blocks = re.findall(r"```sh\n(.*?)```", BANKS, re.DOTALL)
    assert len(blocks) == 4
    told = {"BROKER": web.url, "BANK": "bank-a", "APPLICATION": case}

    def typed(block: str) -> str:
        done = subprocess.run(
            ["bash", "-ec", block],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **told},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def seen() -> str:
        world.work()
        return supplier.open(f"/applications/{case}").text

    supplier = person(web, world, "supplier", row.supplier_id)
    typed(key)
    public = str(tmp_path / "ed25519.pub")
    assert command("banks", "key", "bank-a", public, "--kind", "v1a").returncode == 0
    assert (
        command("banks", "key", "bank-a", public, "--kind", "ed25519", "--name", "k1").returncode
        == 0
    )
    before = seen()
    received, refused = words()["application.state.submitted"], words()["application.state.refused"]
    assert received["en"] not in before
    for block in blocks[:2]:
        said = typed(block)
    assert json.loads(said)["id"].endswith("_1")
    assert received["en"] in seen()
    for block in blocks[2:]:
        said = typed(block)
    assert json.loads(said)["id"].endswith("_2")
    assert refused["en"] in seen()
    assert bank.row().reason_code == "R31"


def test_every_word_of_refusal_is_documented_and_has_an_address(web: Web) -> None:
    said = set()
    for name in ("webhook_signature", "webhook_key", "standard_webhooks", "http_signature"):
        source = (DOCS.parent / "financing" / "evidence" / f"{name}.py").read_text()
        said |= set(re.findall(r'slug="([a-z-]+)"', source))
    said |= {"key-expired", "key-revoked", "key-not-yet-valid"}
    said |= {"timestamp-too-old", "timestamp-in-future", Replayed.slug}
    assert len(said) > 15
    for slug in said:
        assert f"`{slug}`" in BANKS, slug
        assert requests.get(f"{web.url}/problems/{slug}", timeout=20).ok, slug


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
