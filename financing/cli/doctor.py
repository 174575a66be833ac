"""`financing doctor`: what this machine and its stores lack, and what to type.

1. `_programs` what must be installed; what only tests need is said, and counts for nothing
2. `_places`   data and keys: who may read them, whether the disk has room
3. `_queue`    Redis
4. `_database` PostgreSQL, its schema, its clock; inside it the worker, the holiday notice, and
   whether the key store is the one that sealed its fields

Nothing is started and nothing is changed: an embedded store is looked at only while another
command runs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
from redis import Redis, RedisError
from sqlalchemy import Row, text

from financing import embedded, settings, work
from financing.cli import shared
from financing.context import Context
from financing.errors import Broken, FinancingError, Unreachable
from financing.evidence import keys as key_store
from financing.rules.calendar import is_announced
from financing.settings import Settings
from financing.store import db, holidays, migrate, sealing
from financing.values.times import wall_now
from financing.words import t

OK, NOTE, MISSING = "ok", "note", "missing"
LEAST_FREE: Final = 1 << 30  # bytes; a full disk stops PostgreSQL in the middle of a day
MOST_SKEW_S: Final = 60  # signatures are taken for 300 s: a fifth of that is no accident
NOTICE_MONTH: Final = 12  # the next year's holidays are announced in November
OLDEST: Final = {"postgres": (15, 0), "redis": (6, 2)}
PROGRAMS: Final = (
    # program, Debian packages, whom it serves
    ("openssl", "openssl", "all"),
    ("setpriv", "util-linux", "embedded"),
    ("unzip", "unzip", "hand"),
    ("chromium", "chromium", "tests"),
)
FONTS: Final = "fontconfig fonts-noto-cjk"
SEALED: Final = text("SELECT id, number_sealed FROM bank_account LIMIT 1")
SERVER: Final = text("SELECT current_setting('server_version_num')::int, clock_timestamp()")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        id: stable name for scripts.
        result: `ok`; `note` where the service runs without it; `missing` where it does not.
        seen: what was found, one sentence.
        remedy: what to type or do; empty where nothing is to be done.
    """

    id: str
    result: str
    seen: str
    remedy: str = ""


@click.command("doctor", epilog="Example: financing doctor")
@shared.options
def doctor(as_json: bool, lang: str) -> int:
    """Say what is missing on this machine and what to type; exit 4 when the service needs it."""
    known = settings.from_environment()
    found = [*_programs(known, lang), *_places(known, lang)]
    with embedded.running(known) as urls:
        found += _queue(urls.get("redis"), lang)
        found += _database(known, urls, lang)
    lacks = any(one.result == MISSING for one in found)
    if as_json:
        findings = [
            {"id": one.id, "result": one.result, "seen": one.seen, "remedy": one.remedy}
            for one in found
        ]
        shared.emit({"ready": not lacks, "findings": findings})
        return 4 if lacks else 0
    marks = {OK: "✓", NOTE: "·", MISSING: "✗"}
    for one in found:
        remedy = f" → {one.remedy}" if one.remedy else ""
        shared.say(f"{marks[one.result]} {one.id:12} {one.seen}{remedy}")
    return 4 if lacks else 0


# ── 1. Programs ──────────────────────────────────────────────────────────────────────────────


def _programs(known: Settings, lang: str) -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", OK, t("doctor.version", lang, what="Python", version=version))
    own = known.database_url is None or known.redis_url is None
    for program, packages, serves in PROGRAMS:
        if shutil.which(program):
            yield Finding(program, OK, t("doctor.installed", lang, what=program))
            continue
        needed = serves == "all" or (serves == "embedded" and own)
        yield Finding(
            program,
            MISSING if needed else NOTE,
            t(f"doctor.absent.{serves}", lang, what=program),
            f"apt-get install {packages}",
        )
    fonts = shutil.which("fc-list")
    if fonts and subprocess.run([fonts, ":lang=zh"], capture_output=True, check=False).stdout:
        yield Finding("font", OK, t("doctor.font", lang))
    else:
        yield Finding("font", NOTE, t("doctor.no_font", lang), f"apt-get install {FONTS}")


# ── 2. Folders ───────────────────────────────────────────────────────────────────────────────


def _places(known: Settings, lang: str) -> Iterator[Finding]:
    there = next(place for place in (known.data, *known.data.parents) if place.exists())
    if os.access(there, os.W_OK | os.X_OK):
        yield Finding("data", OK, t("doctor.data", lang, place=str(known.data)))
    else:
        yield Finding(
            "data",
            MISSING,
            t("doctor.data_closed", lang, place=str(there)),
            t("doctor.data_remedy", lang),
        )
    free = shutil.disk_usage(there).free
    seen = t("doctor.disk", lang, place=str(there), n=free // 2**20)
    remedy = "" if free >= LEAST_FREE else t("doctor.disk_remedy", lang)
    yield Finding("disk", MISSING if remedy else OK, seen, remedy)
    yield _keys(known.keys, lang)
    if known.live and not known.url.startswith("https://"):
        yield Finding("url", MISSING, t("doctor.plain_http", lang), "FINANCING_URL=https://…")


def _keys(folder: Path, lang: str) -> Finding:
    try:
        files = key_store.files_of(folder)
        if not files:
            return Finding("keys", NOTE, t("doctor.no_keys", lang, place=str(folder)))
        key_store.Keys.open(folder)
        bare = next((path for path in files if path.stat().st_mode & 0o077), None)
    except (FinancingError, OSError) as problem:
        return Finding("keys", MISSING, str(problem), getattr(problem, "remedy", ""))
    if bare is not None:
        return Finding(
            "keys", MISSING, t("doctor.keys_open", lang, place=str(bare)), f"chmod 600 {bare}"
        )
    return Finding("keys", OK, t("doctor.keys", lang, place=str(folder)))


# ── 3. The queue ─────────────────────────────────────────────────────────────────────────────


def _queue(url: str | None, lang: str) -> Iterator[Finding]:
    if url is None:
        yield Finding("redis", NOTE, t("doctor.own_store", lang, what="Redis"))
        return
    try:
        with Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as redis:
            version = str(redis.info("server")["redis_version"])
    except RedisError:
        yield Finding(
            "redis",
            MISSING,
            t("doctor.away", lang, what="Redis"),
            t("doctor.away_remedy", lang, variable="REDIS_URL"),
        )
        return
    yield _aged("redis", "Redis", version, lang)


def _aged(name: str, what: str, version: str, lang: str) -> Finding:
    seen = t("doctor.version", lang, what=what, version=version)
    if tuple(int(part) for part in version.split(".")[:2]) >= OLDEST[name]:
        return Finding(name, OK, seen)
    oldest = ".".join(str(part) for part in OLDEST[name])
    return Finding(name, MISSING, seen, t("doctor.too_old", lang, version=oldest))


# ── 4. The database ──────────────────────────────────────────────────────────────────────────


def _database(known: Settings, urls: dict[str, str], lang: str) -> Iterator[Finding]:
    url = urls.get("postgres")
    if url is None:
        yield Finding("database", NOTE, t("doctor.own_store", lang, what="PostgreSQL"))
        return
    engine = db.open_engine(url, pool=1)
    try:
        at = migrate.current(engine)
        with engine.connect() as link:
            number, clock = link.execute(SERVER).one()
            sealed = link.execute(SEALED).first() if at == migrate.HEAD else None
    except Unreachable:
        remedy = t("doctor.away_remedy", lang, variable="DATABASE_URL")
        yield Finding("database", MISSING, t("doctor.away", lang, what="PostgreSQL"), remedy)
        return
    finally:
        engine.dispose()
    yield _aged("postgres", "PostgreSQL", f"{number // 10000}.{number % 10000}", lang)
    skew = round(abs((clock - wall_now()).total_seconds()))
    remedy = t("doctor.clock_remedy", lang) if skew > MOST_SKEW_S else ""
    yield Finding("clock", MISSING if remedy else OK, t("doctor.clock", lang, n=skew), remedy)
    if at != migrate.HEAD:
        seen = t("doctor.schema_behind", lang, at=at or "–", head=migrate.HEAD)
        yield Finding("schema", MISSING, seen, "financing migrate")
        return
    yield Finding("schema", OK, t("doctor.schema", lang, at=at))
    if key_store.files_of(known.keys):
        yield from _service(replace(known, database_url=url), sealed, lang)
    elif sealed is not None:
        seen = t("doctor.keys_lost", lang, place=str(known.keys))
        yield Finding("sealed", MISSING, seen, t("doctor.keys_remedy", lang))


def _service(known: Settings, sealed: Row[Any] | None, lang: str) -> Iterator[Finding]:
    """What only the service's own role and keys can tell."""
    try:
        ctx = Context.open(known)
    except FinancingError:
        return  # what is wrong with the keys has been said
    try:
        with ctx.begin() as tx:
            today, rows = tx.today, holidays.known(tx)
        alive = work.worker_lives(ctx)
    except FinancingError as problem:
        yield Finding("service", MISSING, problem.detail, problem.remedy)
        return
    finally:
        ctx.engine.dispose()
    if alive:
        yield Finding("worker", OK, t("doctor.worker", lang))
    else:
        yield Finding("worker", MISSING, t("doctor.no_worker", lang), "financing worker")
    for year in (today.year, today.year + 1)[: 2 if today.month >= NOTICE_MONTH else 1]:
        if not is_announced(year, rows):
            seen = t("doctor.no_holidays", lang, year=year)
            yield Finding("holidays", NOTE, seen, t("doctor.holidays_remedy", lang))
            break
    else:
        yield Finding("holidays", OK, t("doctor.holidays", lang, year=year))
    if sealed is None:
        return
    try:
        place = ("bank_account", "number_sealed", sealed.id, sealed.number_sealed)
        sealing.unseal(ctx.keys, *place)
    except Broken:
        seen = t("doctor.keys_foreign", lang, place=str(known.keys))
        yield Finding("sealed", MISSING, seen, t("doctor.keys_remedy", lang))
    else:
        yield Finding("sealed", OK, t("doctor.keys_fit", lang))
