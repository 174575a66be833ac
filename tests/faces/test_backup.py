"""`financing backup` and `financing restore`: what is brought back is what was kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from financing.evidence.keys import Keys
from tests.conftest import ROOT, Servers, database_url
from tests.faces.test_processes import NOWHERE

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup, what its store held, and the settings of that store."""

    folder: Path
    rows: Counts
    stores: dict[str, str]


def financing(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if "FINANCING" not in name}
    return subprocess.run(
        [sys.executable, "-m", "financing", *words],
        cwd=ROOT,
        env=kept | {"LANG": "C.UTF-8"} | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


def at(url: str, data: Path) -> dict[str, str]:
    return {"DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1/0", "FINANCING_DATA": str(data)}


def counts(url: str) -> Counts:
    with psycopg.connect(url.replace("+psycopg", "")) as link:
        names = link.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {
            name: link.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # type: ignore[index]  # a count has a row
            for (name,) in names.fetchall()
        }


@pytest.fixture(scope="module")
def bare(servers: Servers) -> Callable[[str], str]:
    """Make a database without a table, and give its address."""

    def new(name: str) -> str:
        name = f"bare_{name}"
        with psycopg.connect(
            database_url(servers, "postgres").replace("+psycopg", ""), autocommit=True
        ) as link:
            link.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            link.execute(f'CREATE DATABASE "{name}"')
        return database_url(servers, name)

    return new


@pytest.fixture(scope="module")
def kept(
    bare: Callable[[str], str], servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Kept:
    """A demo's store, backed up while it can be asked what it holds."""
    place, url = tmp_path_factory.mktemp("kept"), bare("demo")
    stores = at(url, place / "data") | {"REDIS_URL": f"{servers.redis_url}?db=14"}
    played = financing("demo", "--json", **stores)
    assert played.returncode == 0, played.stderr
    done = financing("backup", str(place / "copies" / "monday"), "--json", **stores)
    assert done.returncode == 0, done.stderr
    rows = counts(url)
    assert json.loads(done.stdout)["tables"] == rows
    return Kept(place / "copies" / "monday", rows, stores)


def test_a_demos_store_is_kept_and_brought_back_and_every_invariant_holds(
    kept: Kept, bare: Callable[[str], str], tmp_path: Path
) -> None:
    url = bare("back")
    done = financing("restore", str(kept.folder), "--json", **at(url, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["check"] == {"holds": True}
    ended = {"session", "machine_token"}
    assert kept.rows["audit"] > 100 and kept.rows["ledger"] > 0 and kept.rows["login"] > 0
    assert said["tables"] == kept.rows
    assert counts(url) == kept.rows | dict.fromkeys(ended & kept.rows.keys(), 0)
    for path in (kept.folder / "keys").iterdir():
        there = tmp_path / "keys" / path.name
        assert there.read_bytes() == path.read_bytes()
        assert there.stat().st_mode & 0o077 == 0
    # The guards came too: the service's role may not change history.
    with psycopg.connect(url.replace("+psycopg", "")) as link:
        link.execute("SET ROLE financing_service")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute("UPDATE audit SET n = n")
    opened = financing("contracts", "--json", **at(url, tmp_path))
    assert json.loads(opened.stdout)["contracts"]
    again = financing("restore", str(kept.folder), "--json", **at(url, tmp_path))
    assert (again.returncode, json.loads(again.stdout)["where"]) == (2, "DATABASE_URL")


def test_a_backup_is_closed_to_others_and_never_written_over(kept: Kept) -> None:
    files = list(kept.folder.rglob("*"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in [kept.folder, *files])
    before = {path: path.stat().st_mtime_ns for path in files}
    done = financing("backup", str(kept.folder), "--json", **kept.stores)
    assert (done.returncode, json.loads(done.stdout)["where"]) == (2, str(kept.folder))
    assert {path: path.stat().st_mtime_ns for path in kept.folder.rglob("*")} == before
    assert [path.name for path in kept.folder.parent.iterdir()] == [kept.folder.name]


@pytest.mark.parametrize("broken", ["database.dump", "keys/master", "manifest.json", "newer"])
def test_a_backup_that_was_changed_is_refused_before_anything_is_written(
    kept: Kept, bare: Callable[[str], str], tmp_path: Path, broken: str
) -> None:
    copy, url = tmp_path / "copy", bare("refused")
    shutil.copytree(kept.folder, copy)
    manifest = copy / "manifest.json"
    if broken == "newer":
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"revision": "9999"}))
    else:
        path = copy / broken
        path.write_bytes(path.read_bytes()[:-1])
        if broken == "manifest.json":
            path.write_bytes(b"{")
    done = financing("restore", str(copy), "--json", **at(url, tmp_path))
    said = json.loads(done.stdout)
    assert done.returncode == 2 and said["remedy"]
    assert said["where"].startswith(str(copy))
    assert counts(url) == {}
    assert not (tmp_path / "keys").exists()


def test_other_keys_are_never_written_over(
    kept: Kept, bare: Callable[[str], str], tmp_path: Path
) -> None:
    Keys.open(tmp_path / "keys")
    before = (tmp_path / "keys" / "master").read_bytes()
    url = bare("keys")
    done = financing("restore", str(kept.folder), "--json", **at(url, tmp_path))
    assert (done.returncode, json.loads(done.stdout)["where"]) == (2, str(tmp_path / "keys"))
    assert (tmp_path / "keys" / "master").read_bytes() == before
    assert counts(url) == {}


def test_a_store_that_holds_nothing_makes_no_backup(
    bare: Callable[[str], str], tmp_path: Path
) -> None:
    Keys.open(tmp_path / "keys")
    done = financing("backup", str(tmp_path / "b"), "--json", **at(bare("none"), tmp_path))
    assert (done.returncode, json.loads(done.stdout)["detail"]) == (2, "the store is empty")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys"]
    done = financing("backup", str(tmp_path / "b"), "--json", **at(NOWHERE, tmp_path))
    assert done.returncode == 4 and "secret" not in done.stdout + done.stderr
