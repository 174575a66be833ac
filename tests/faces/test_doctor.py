"""`financing doctor`: what is missing is named with what to type, and nothing is changed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text

from financing.context import Context
from financing.journeys.accounts import register_account
from financing.settings import Settings
from financing.store.tables import organisation
from financing.values.ids import new_id
from tests.faces.test_processes import NOWHERE, run

Command = Callable[..., subprocess.CompletedProcess[str]]


def found(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    document = json.loads(done.stdout)
    assert document["ready"] is (done.returncode == 0)
    return {one["id"]: one for one in document["findings"]}


@pytest.fixture
def served(ctx: Context, owner: Engine) -> Context:
    """A store with a worker that lives and an account number that is sealed."""
    firm = new_id()
    with ctx.begin() as tx:
        tx.db.execute(
            insert(organisation).values(
                id=firm, kind="supplier", scheme="name", identifier="x", name="某公司",
                name_key="某公司", created_at=tx.now,
            )
        )  # fmt: skip
        register_account(
            tx, firm, holder="某公司", bank_name="某银行", cnaps="",
            number="6222021234567890123", currency="CNY",
        )  # fmt: skip
    with owner.begin() as link:
        link.execute(text("INSERT INTO beat (process, at) VALUES ('w', now() + interval '1 h')"))
    return ctx


def test_a_service_that_lacks_nothing_is_said_to_be_ready(
    served: Context, command: Command
) -> None:
    done = command("doctor", "--json")
    assert done.returncode == 0, done.stdout
    seen = found(done)
    for name in ("schema", "worker", "clock", "keys", "sealed", "redis", "postgres", "disk"):
        assert seen[name]["result"] == "ok", name


@pytest.mark.parametrize(
    ("statement", "name", "remedy"),
    [
        ("UPDATE beat SET at = at - interval '2 h'", "worker", "financing worker"),
        ("UPDATE alembic_version SET version_num = '0001'", "schema", "financing migrate"),
    ],
)
def test_what_the_database_lacks_is_named_with_what_to_type(
    served: Context, owner: Engine, command: Command, statement: str, name: str, remedy: str
) -> None:
    with owner.begin() as link:
        link.execute(text(statement))
    done = command("doctor", "--json")
    assert done.returncode == 4
    assert found(done)[name] == found(done)[name] | {"result": "missing", "remedy": remedy}


def test_keys_that_are_lost_foreign_or_open_to_others_are_named(
    served: Context, settings: Settings, command: Command, tmp_path: Path
) -> None:
    nowhere = tmp_path / "none"
    done = command("doctor", "--json", FINANCING_KEYS=str(nowhere))
    assert (done.returncode, found(done)["sealed"]["result"]) == (4, "missing")
    assert not nowhere.exists()
    command("check", FINANCING_KEYS=str(tmp_path / "other"))  # makes a store of its own
    done = command("doctor", "--json", FINANCING_KEYS=str(tmp_path / "other"))
    assert (done.returncode, found(done)["sealed"]["result"]) == (4, "missing")
    root = tmp_path / "other" / "root.key"
    root.chmod(0o644)
    done = command("doctor", "--json", FINANCING_KEYS=str(tmp_path / "other"))
    assert found(done)["keys"]["remedy"] == f"chmod 600 {root}"


def test_stores_that_are_away_are_named_without_their_passwords(tmp_path: Path) -> None:
    done = run(
        "doctor", "--json", DATABASE_URL=NOWHERE, FINANCING_DATA=str(tmp_path), FINANCING_LIVE="1"
    )
    seen = found(done)
    assert done.returncode == 4
    assert {name for name in ("database", "redis", "url") if seen[name]["result"] == "missing"} == {
        "database",
        "redis",
        "url",
    }
    assert "secret" not in done.stdout + done.stderr


def test_looking_starts_nothing_and_what_only_tests_need_is_no_lack(tmp_path: Path) -> None:
    done = run("doctor", REDIS_URL="", FINANCING_DATA=str(tmp_path / "new"), PATH="/nowhere")
    lines = {line.split()[1]: line for line in done.stdout.splitlines()}
    assert done.returncode == 4
    assert lines["openssl"].startswith("✗") and "apt-get install openssl" in lines["openssl"]
    assert lines["setpriv"].startswith("✗") and lines["chromium"].startswith("·")
    assert "only for tests" in lines["font"]
    assert not (tmp_path / "new").exists()
