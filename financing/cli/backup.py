"""`financing backup` and `financing restore`: database and key store, kept and brought back as one.

backup
1. `_held`     one snapshot of the database is held open: its rows are counted in it
2. `_dump`     pg_dump writes that same snapshot, whatever others write meanwhile
3. `_copy`     the key store beside it; the manifest names every file with its digest
restore
4. `_manifest` every file is as the manifest has it, and not newer than this release
5. `_empty`    the place is empty: nothing is ever written over
6. `_load`     pg_restore in one transaction; the rows are counted against the manifest
7. the schema is brought up to date, sign-ins end, and `check` says whether all holds

Redis holds nothing that a backup would need.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from financing import embedded, settings
from financing.cli import shared
from financing.context import Context
from financing.errors import Conflict, Invalid, NotFound, Unreachable, Unreadable
from financing.evidence import keys as key_store
from financing.journeys import checking
from financing.settings import Settings
from financing.store import db, migrate
from financing.values.times import rfc3339, wall_now
from financing.words import t

FORMAT: Final = 1
MANIFEST, DUMP, KEYS = "manifest.json", "database.dump", "keys"
NO_LIMIT_S: Final = 0  # a large database takes its time
TABLES: Final = text(
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
)
ROLE: Final = text(f"""
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{db.SERVICE_ROLE}') THEN
            CREATE ROLE {db.SERVICE_ROLE} NOLOGIN;
        END IF;
        EXECUTE format('GRANT {db.SERVICE_ROLE} TO %I', current_user);
    END $$
""")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself.

    Args:
        revision: schema of the dump.
        at: when its snapshot was taken, RFC 3339.
        tables: rows of each table.
        files: name below the folder → SHA-256, `hex`.
    """

    revision: str
    at: str
    tables: Mapping[str, int]
    files: Mapping[str, str]


# ── Backup ───────────────────────────────────────────────────────────────────────────────────


@click.command("backup", epilog="Example: financing backup /srv/backup/2026-03-02")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@shared.options
def backup(folder: Path, as_json: bool, lang: str) -> None:
    """Write database and key store into a new folder; the service goes on meanwhile."""
    known = settings.from_environment()
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict("there is something already", where=str(folder), remedy="Name a new folder.")
    kept = key_store.files_of(known.keys)
    if not kept:
        raise NotFound("no key store", where=str(known.keys), remedy="Set FINANCING_KEYS.")
    with _half(folder) as half, embedded.stores(known) as stores:
        with _held(stores.database_url) as (link, revision):
            tables = _counted(link)
            snapshot = link.execute(text("SELECT pg_export_snapshot()")).scalar_one()
            at = rfc3339(wall_now())
            _dump(stores.database_url, half / DUMP, str(snapshot))
        _copy(kept, half / KEYS)
        files = {str(path.relative_to(half)): _digest(path) for path in _files(half)}
        size = sum(path.stat().st_size for path in _files(half))
        made = Manifest(revision, at, tables, files)
        document = {"format": FORMAT, **{name: getattr(made, name) for name in made.__slots__}}
        _write(half / MANIFEST, (json.dumps(document, indent=1) + "\n").encode())
        half.rename(folder)
    rows = sum(tables.values())
    if as_json:
        shared.emit({"folder": str(folder), "bytes": size, **document})
    else:
        shared.say(t("backup.made", lang, n=rows, place=str(folder), size=size))


@contextmanager
def _half(folder: Path) -> Iterator[Path]:
    """A closed folder beside the wanted one, renamed when it is whole; else nothing is left."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as problem:
        raise Unreachable(
            f"the folder cannot be made: {problem.strerror}",
            where=str(folder),
            remedy="Name a folder that this user may make.",
        ) from problem
    try:
        yield half
    finally:
        shutil.rmtree(half, ignore_errors=True)


@contextmanager
def _held(url: str) -> Iterator[tuple[Connection, str]]:
    """A snapshot that stays as it is until the block ends, and its schema."""
    engine = db.open_engine(url, statement_timeout_s=NO_LIMIT_S, pool=1)
    try:
        revision = migrate.current(engine)
        if revision is None:
            raise NotFound("the store is empty", where="DATABASE_URL", remedy="Check DATABASE_URL.")
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as link:
            link.execute(text("SET TRANSACTION READ ONLY"))
            link.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            yield link, revision
    finally:
        engine.dispose()


def _counted(link: Connection) -> dict[str, int]:
    return {
        name: link.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one()  # noqa: S608 - of the catalogue
        for name in link.execute(TABLES).scalars().all()
    }


def _dump(url: str, to: Path, snapshot: str) -> None:
    # Owners stay out: whoever restores owns the copy. Grants stay in: they bind the service.
    words = ["--format=custom", "--no-owner", f"--snapshot={snapshot}", f"--file={to}"]
    _tool("pg_dump", words, url)


def _copy(files: Sequence[Path], to: Path) -> None:
    to.mkdir(mode=0o700)
    for path in files:
        _write(to / path.name, path.read_bytes())


# ── Restore ──────────────────────────────────────────────────────────────────────────────────


@click.command("restore", epilog="Example: financing restore /srv/backup/2026-03-02")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@shared.options
def restore(folder: Path, as_json: bool, lang: str) -> int:
    """Bring a backup into an empty store and an empty key store; exit 1 if `check` fails."""
    known = settings.from_environment()
    made = _manifest(folder)
    kept = {folder / name: known.keys / Path(name).name for name in made.files if name != DUMP}
    _no_other_keys(kept, known.keys)
    with embedded.stores(known) as stores:
        engine = db.open_engine(stores.database_url, statement_timeout_s=NO_LIMIT_S)
        try:
            _empty(engine)
            _load(stores.database_url, engine, folder, made)
            _put(kept, known.keys)
            migrate.migrate(engine)
            holds = _opened_again(replace(known, database_url=stores.database_url), engine)
        finally:
            engine.dispose()
    if as_json:
        shared.emit({"at": made.at, "tables": dict(made.tables), "check": {"holds": holds}})
    else:
        rows = sum(made.tables.values())
        shared.say(t("restore.done", lang, n=rows, at=made.at))
        shared.say(t("restore.holds" if holds else "restore.broken", lang))
    return 0 if holds else 1


def _manifest(folder: Path) -> Manifest:
    """The manifest, once every file of it is as it says.

    Raises:
        Unreadable: no manifest, or it is not one of ours.
        Invalid: a file is missing or was changed.
        Conflict: a newer release made it.
    """
    try:
        given = json.loads((folder / MANIFEST).read_bytes())
        if given["format"] != FORMAT:
            raise ValueError("another format")
        made = Manifest(**{name: given[name] for name in Manifest.__slots__})
        if any(Path(name).parent not in (Path(), Path(KEYS)) for name in made.files):
            raise ValueError("a file outside its folder")
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise Unreadable(
            f"this is no backup: {getattr(problem, 'strerror', None) or problem}",
            where=str(folder / MANIFEST),
            remedy="Name a folder that `financing backup` made.",
        ) from problem
    for name, digest in made.files.items():
        path = folder / name
        if not path.is_file() or _digest(path) != digest:
            raise Invalid(
                "the file is not as the manifest has it",
                where=str(path),
                remedy="Fetch the backup again, or take another one.",
            )
    if made.revision > migrate.HEAD:
        raise Conflict(
            f"the backup is of schema {made.revision}, newer than this code ({migrate.HEAD})",
            where=str(folder),
            remedy="Run the release that made it, or a newer one.",
        )
    return made


def _no_other_keys(kept: Mapping[Path, Path], folder: Path) -> None:
    """Refuse a place with other keys; the same ones may be there already."""
    for path in key_store.files_of(folder):
        if path not in kept.values():
            raise _other_keys(folder)
    for source, place in kept.items():
        if place.exists() and _digest(place) != _digest(source):
            raise _other_keys(folder)


def _other_keys(folder: Path) -> Conflict:
    return Conflict(
        "there is another key store",
        where=str(folder),
        remedy="Set FINANCING_KEYS to a new folder.",
    )


def _empty(engine: Engine) -> None:
    with db.reaching(), engine.connect() as link:
        held = link.execute(TABLES).scalars().all()
    if held:
        raise Conflict(
            f"the database holds {len(held)} tables already; nothing was changed",
            where="DATABASE_URL",
            remedy="Make an empty database (createdb), or set FINANCING_DATA to a new folder.",
        )


def _load(url: str, engine: Engine, folder: Path, made: Manifest) -> None:
    try:
        with engine.begin() as link:
            link.execute(ROLE)
    except DBAPIError as problem:
        raise Conflict(
            f"the role {db.SERVICE_ROLE} cannot be made",
            where="DATABASE_URL",
            remedy=f"As a superuser: CREATE ROLE {db.SERVICE_ROLE}, then grant it to this user.",
        ) from problem
    words = ["--no-owner", "--single-transaction", "--exit-on-error"]
    name = str(engine.url.database)
    _tool("pg_restore", [*words, f"--dbname={name}", str(folder / DUMP)], url)
    with engine.connect() as link:
        came = _counted(link)
    if came != made.tables:
        short = sorted(
            name for name in {**came, **made.tables} if came.get(name) != made.tables.get(name)
        )
        raise Invalid(
            f"the rows of {', '.join(short[:5])} are not as many as the manifest has",
            where=str(folder / DUMP),
            remedy="Drop this database and take another backup.",
        )


def _put(kept: Mapping[Path, Path], folder: Path) -> None:
    if key_store.files_of(folder):
        return  # the same keys are there
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The mark is copied last (`evidence/keys.py`), so half a key store is never taken for one.
    for source, place in sorted(kept.items(), key=lambda pair: pair[1].name == key_store.MARK):
        _write(place, source.read_bytes())


def _opened_again(known: Settings, engine: Engine) -> bool:
    """End what was open when the backup was made; whether every invariant holds."""
    with engine.begin() as link:
        link.execute(text("DELETE FROM session"))
        link.execute(text("DELETE FROM machine_token"))
    ctx = Context.open(known, statement_timeout_s=shared.STATEMENT_TIMEOUT_S)
    try:
        with ctx.begin() as tx:
            return all(one.holds for one in checking.check(tx))
    finally:
        ctx.engine.dispose()


# ── Both ─────────────────────────────────────────────────────────────────────────────────────


def _tool(name: str, words: Sequence[str], url: str) -> None:
    """Run a program of PostgreSQL on a database; the password goes by the environment.

    Raises:
        Unreachable: no such program, or it failed; its last words say why.
    """
    try:
        program = str(embedded.binaries() / name)
    except FileNotFoundError:
        program = shutil.which(name) or ""
    if not program:
        raise Unreachable(
            f"{name} is not installed", where=name, remedy="apt-get install postgresql-client"
        )
    names = {
        option.keyword.decode(): option.envvar.decode()
        for option in Conninfo.get_defaults()
        if option.envvar
    }
    given: Mapping[str, Any] = conninfo_to_dict(url.replace("+psycopg", "", 1))
    link = {names[key]: str(value) for key, value in given.items() if key in names}
    done = subprocess.run(
        [program, "--no-password", *words],
        env={"PATH": os.defpath, "LC_ALL": "C", **link},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        umask=0o077,
        check=False,
    )
    if done.returncode:
        raise Unreachable(
            " / ".join(done.stderr.strip().splitlines()[-3:]) or "it ended without a word",
            where=name,
            remedy="Nothing is half done: mend that and try again.",
        )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
