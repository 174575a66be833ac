"""What docs/api.md tells a supplier's programmer to type works as it stands, with curl alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from financing.rules.permissions import BY_NAME
from financing.values.ids import show
from financing.web import machines
from financing.web.api.openapi import OPERATIONS, summary
from tests.asking import lender, machine_of, offered
from tests.conftest import ROOT, Web
from tests.verifying import OPENING, World, release

TEXT = (ROOT / "docs" / "api.md").read_text("utf-8")


def test_the_blocks_in_their_order_apply_accept_and_are_refused(
    web: Web, owner: Engine, set_clock: Callable[[datetime], None], tmp_path: Path
) -> None:
    set_clock(OPENING)
    world = World(web.ctx, owner, set_clock)
    lender(world, "bank-a")
    (row,) = world.publish(release(1))
    world.ready(row)
    machine = machine_of(web, "supplier", row.supplier_id)
    told = {
        "BROKER": web.url, "ID": show("mc", machine.id), "SECRET": machine.secret,
        "PATH": os.environ["PATH"],
    }  # fmt: skip
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 6
    script, said = "", ""

    def typed(block: str) -> str:
        """A block after those before it, as one shell would have it."""
        done = subprocess.run(
            ["bash", "-ec", f"{script}\necho --------\n{block}"],
            cwd=tmp_path, env=told, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("--------\n")[2]

    token, _, read, apply, accept, refused = blocks
    script = token + read
    said = typed(apply)
    assert said.count("HTTP/1.1 201") == 2
    assert said.count("Idempotency-Replayed: true") == 1
    assert world.count("SELECT count(*) FROM application") == 1
    with owner.connect() as link:
        case = link.exec_driver_sql("SELECT id FROM application").scalar_one()
    offered(world, case)
    said = typed(accept)
    assert "HTTP/1.1 200" in said
    assert '"state":"accepted"' in said
    said = typed(refused)
    assert '"type": "/problems/invalid"' in said
    for pointer in ("/amout", "/contract", "/amount", "/tenor_days", "/banks"):
        assert f'"pointer": "{pointer}"' in said


def test_a_key_of_openssl_buys_a_token(
    web: Web, owner: Engine, set_clock: Callable[[datetime], None], tmp_path: Path
) -> None:
    set_clock(OPENING)
    lender(World(web.ctx, owner, set_clock), "bank-a")
    block = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)[1]
    for line in (
        "openssl genpkey -algorithm ed25519 -out machine.pem",
        "openssl pkey -in machine.pem -pubout -out machine.pub",
    ):
        subprocess.run(line.split(), cwd=tmp_path, check=True, capture_output=True)
    with web.ctx.begin() as tx:
        pem = (tmp_path / "machine.pub").read_text()
        made = machines.admit(tx, "bank", "bank-a", "core", key_pem=pem)
    told = {"BROKER": web.url, "ID": show("mc", made.id), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["bash", "-ec", block],
        cwd=tmp_path, env=told, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "token.json").read_text())
    assert said["expires_in"] == 900, said


def test_the_document_lists_every_operation_as_it_is() -> None:
    shown = re.findall(r"^\| `(?:GET|POST) .*$", TEXT, re.MULTILINE)
    assert shown == [
        f"| `{row.method} {row.template}` | {', '.join(row.permits)} | {summary(row, 'en')} |"
        for row in OPERATIONS
    ]


def test_every_permission_of_an_operation_exists() -> None:
    assert {name for row in OPERATIONS for name in row.permits} <= set(BY_NAME)


@pytest.mark.parametrize("status", ["400", "401", "403", "404", "409", "422", "429", "503"])
def test_every_status_is_explained(status: str) -> None:
    assert re.search(rf"^\| (?:\d+, )*{status}\b", TEXT, re.MULTILINE)
