"""The demo from nothing to its story, and `serve`: the same house, with the doors open.

1. `opened`   embedded stores, the processes, the banks at the register: the stage
2. `demo`     the synthetic city plays its year; `real.py` puts published contracts in its place
3. `collect`  packets, root certificate, statements, and histories, written to a folder
4. `serve`    everything stays open until interrupted

Everything that was started is stopped, whatever happens.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from financing import embedded, work
from financing.city import cast, contracts, history, people, processes, records, seed, story
from financing.city.agenda import Agenda
from financing.city.processes import Crew
from financing.city.scenes import Play
from financing.city.seed import Lender, at
from financing.city.stage import Stage
from financing.context import Context
from financing.errors import Conflict, Invalid
from financing.journeys import checking, files, packets
from financing.rules.calendar import add_working_days
from financing.settings import Settings
from financing.store.migrate import assert_current, migrate
from financing.values.times import civil, wall_now
from financing.words import LANGUAGES, t

END: Final = date(2026, 12, 31)  # last business day of the synthetic city

LENDER_A: Final = Lender(
    people.BANK_A,
    # The 1-year LPR of 2025-05-20 (3.00 %) and 45 basis points.
    {"share_bp": 7_000, "cap": 1_000_000_000, "rate_bp": "345", "day_basis": "ACT/360",
     "days": 365},
    {},
    {"zh": "政采订单贷", "en": "Procurement order loan"},
)  # fmt: skip
LENDER_B: Final = Lender(
    people.BANK_B,
    {"share_bp": 8_000, "cap": 300_000_000, "rate_bp": "420", "day_basis": "ACT/365",
     "days": 365},
    {},
    {"zh": "中标快贷", "en": "Award loan"},
)  # fmt: skip
LENDERS: Final = (LENDER_A, LENDER_B)


@dataclass(frozen=True, slots=True)
class Result:
    """What the demo leaves: its ending, and where the files are."""

    ending: story.Ending
    names: Callable[[str, str], str]
    folder: Path
    packets: tuple[Path, ...]
    statements: int

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"


@contextmanager
def opened(
    settings: Settings,
    lenders: Sequence[Lender],
    *,
    now: datetime | None,
    port: int | None = None,
    is_demo: bool,
) -> Iterator[tuple[Context, Crew, dict[str, processes.BankLine]]]:
    """Start everything: stores, banks, web, worker; stop everything at the end.

    Args:
        now: the business clock of a demo; None for the wall clock.
        is_demo: the store is emptied first, unless it holds what no demo brought.
    Raises:
        Invalid: a live service plays no demo.
        Conflict: the store holds something else, or is in use; nothing was changed.
        Unreachable: a store or a process cannot be started.
    """
    if settings.live:
        raise Invalid(
            "a live service has no sandbox banks and no demo",
            where="FINANCING_LIVE",
            remedy="Unset it, or use another environment.",
        )
    port = port or processes.free_port()
    settings = replace(settings, url=f"http://127.0.0.1:{port}")
    with _alone(settings.data), embedded.stores(settings, fast=is_demo) as stores:
        given = replace(settings, database_url=stores.database_url, redis_url=stores.redis_url)
        ctx = Context.open(given, ring=work.bell(stores.redis_url), statement_timeout_s=600)
        crew = Crew(settings, stores)
        try:
            if is_demo:
                seed.emptied(ctx.engine, settings)
                seed.set_clock(ctx.engine, now)
            else:
                migrate(ctx.engine)
            keys = (settings.keys / "ca.pem", ctx.keys.request_public_pem)
            clock = now.isoformat() if now else None
            banks = [
                processes.start_bank(
                    crew, one.code, one.product, keys=keys, behaviour=one.behaviour, now=clock
                )
                for one in lenders
            ]
            processes.start_web(crew, port)
            processes.start_worker(crew)
            lines = {line.code: line for line in map(processes.bank_line, banks)}
            yield ctx, crew, lines
        finally:
            crew.end()
            ctx.engine.dispose()


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Keep a second demo, or a demo under a running `serve`, from emptying the store in use.

    Raises:
        Conflict: another command holds this folder.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data / "city.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                "another demo or serve runs on this data folder",
                where="FINANCING_DATA",
                remedy="End it, or set FINANCING_DATA to another folder.",
            ) from None
        yield


def register(
    stage: Stage, lenders: Sequence[Lender], currencies: Sequence[str], since: date
) -> None:
    """Enter the banks at the register of the service, each with its product."""
    with stage.ctx.begin() as tx:
        for one in lenders:
            seed.register(tx, one, stage.lines[one.code], since=since, currencies=currencies)


@contextmanager
def staged(
    settings: Settings,
    lenders: Sequence[Lender],
    currencies: Sequence[str],
    *,
    first: date,
    lang: str,
    say: Callable[[str], None],
) -> Iterator[Stage]:
    """The stage of a demo that begins on a day: an empty store, all processes ready."""
    started = time.perf_counter()
    say(t("demo.starting", lang))

    def tell(now: datetime, key: str, **named: Any) -> None:
        say(f"{civil(now)}  {t(key, lang, **named)}")

    with opened(settings, lenders, now=at(first), is_demo=True) as (ctx, crew, lines):
        stage = Stage(ctx, crew, lines, lang, tell, at(first))
        try:
            register(stage, lenders, currencies, first)
            processes.answering(crew, ctx)
            took = f"{time.perf_counter() - started:.1f}"
            say(t("demo.ready", lang, url=crew.settings.url, seconds=took))
            yield stage
        finally:
            stage.close()


# ── 2. The demo ──────────────────────────────────────────────────────────────────────────────


def demo(
    settings: Settings, *, seed_number: int, out: Path | None, lang: str, say: Callable[[str], None]
) -> Result:
    """Play the synthetic city's year from an empty store to the story.

    Args:
        out: where the files go; else a folder of the demo in the data folder.
        say: shows a line of progress.
    Raises:
        Conflict: the store holds what no demo brought; nothing was changed.
        Unreachable: a component cannot be started.
    """
    started = time.perf_counter()
    city = contracts.make(seed_number)
    first = contracts.OPENING
    with staged(settings, LENDERS, ["CNY"], first=first, lang=lang, say=say) as stage:
        with stage.ctx.begin() as tx:
            seed.people(tx, city.people.organisations, city.people.persons)
        play = new_play(stage, _english(city), settings)
        cast.put_down(play, city)
        play.agenda.put(at(END), lambda: None)
        play.agenda.run()
        told: dict[tuple[str, str], list[dict[str, str]]] = {
            (one.ocid, one.number): [] for one in city.contracts if one.account is not None
        }
        return finish(play, told, lenders=LENDERS, out=out, started=started)


def new_play(stage: Stage, english: Mapping[str, str], settings: Settings) -> Play:
    """A demo about to begin, with an empty agenda and an empty folder."""
    folder = settings.data / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)

    def names(name: str, lang: str) -> str:
        return english.get(name, name) if lang == "en" else name

    operator = stage.operator()

    def imports(paths: Sequence[Path]) -> list[files.FileReport]:
        return files.import_paths(stage.ctx, paths, actor=operator)

    return Play(stage, Agenda(stage.move_to, stage.now), folder, imports, names, stage.now)


def _english(city: contracts.City) -> dict[str, str]:
    known = {one.name: one.name_en for one in city.people.organisations}
    known |= {f"{one.name}郑州分行": f"{one.name_en}, Zhengzhou" for one in city.people.banks}
    return known | {contract.title: contract.title_en for contract in city.contracts}


# ── 3. What is left of it ────────────────────────────────────────────────────────────────────


def finish(
    play: Play,
    told: Mapping[tuple[str, str], Sequence[Mapping[str, str]]],
    *,
    lenders: Sequence[Lender],
    out: Path | None,
    started: float,
    left_out: Sequence[Mapping[str, str]] = (),
) -> Result:
    """Check the store, read what happened, and write the files.

    Args:
        told: ocid and number of each contract whose story is told, with the demo's remarks.
        left_out: contracts of the files that did not come so far.
    """
    stage = play.stage
    stage.wait("work to end", stage.is_quiet)
    play.say("demo.checking")
    rows = {name: row for name in told if (row := stage.contract(*name))}
    ids = [row.id for row in rows.values()]
    english = {name: play.names(name, "en") for name in _names_in(stage, ids)}
    with stage.ctx.begin() as tx:
        cases = history.cases(tx, ids, english)
        found = checking.check(tx)
        wanted = [one.packet_id for case in cases for one in case.applications if one.packet_id]
        containers = packets.containers(tx, wanted)
    ending = story.Ending(
        cases=tuple(cases),
        verified=play.verified,
        remarks={row.id: told[name] for name, row in rows.items()},
        left_out=tuple(left_out),
        banks=tuple(
            {"code": one.code, "name": one.organisation.name, "lends": dict(one.product)}
            for one in lenders
        ),
        days=(civil(play.begun), civil(stage.now)),
        hundredths=round((time.perf_counter() - started) * 100),
        broken=tuple(one.id for one in found if not one.holds),
    )
    return collect(play, ending, containers, out or play.folder)


def _names_in(stage: Stage, ids: Sequence[UUID]) -> set[str]:
    rows = stage.rows("SELECT name FROM organisation UNION SELECT bank_name FROM bank_account")
    titles = stage.rows("SELECT title AS name FROM contract WHERE id = ANY(:ids)", ids=list(ids))
    return {row.name for row in (*rows, *titles)}


def collect(
    play: Play, ending: story.Ending, containers: Mapping[UUID, bytes], folder: Path
) -> Result:
    """Write packets, the one root certificate, statements, and each contract's history."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(play.stage.ctx.settings.keys / "ca.pem", folder / "ca.pem")
    paths = []
    for n, case in enumerate(ending.cases, 1):
        written = story.document(replace(ending, cases=(case,)))["cases"][0]
        name = f"{n:02d}"
        _write(folder / f"case-{name}.json", json.dumps(written, ensure_ascii=False, indent=1))
        for lang in LANGUAGES:
            lines = story.case_text(ending, case, n, play.names, lang)
            _write(folder / f"case-{name}.{lang}.txt", "\n".join(lines))
        for one in case.applications:
            if one.packet_id is not None:
                path = folder / f"{name}-{one.bank_code}.asice"
                path.write_bytes(containers[one.packet_id])
                paths.append(path)
    if folder != play.folder:
        for path in play.statements:
            shutil.copyfile(path, folder / path.name)
    return Result(ending, play.names, folder, tuple(paths), len(play.statements))


def _write(path: Path, words: str) -> None:
    path.write_text(words + "\n", encoding="utf-8")


# ── 4. Open doors ────────────────────────────────────────────────────────────────────────────


def serve(
    settings: Settings, *, port: int, say: Callable[[str], None], until: Callable[[Crew], None]
) -> None:
    """Keep everything open until interrupted; an empty embedded store is given the city.

    With a database of the operator's own, only web and worker are started, and nothing is written.

    Args:
        until: returns when it is over; raises when a process has ended.
    """
    if settings.database_url:
        _serve_given(settings, port, say, until)
        return
    with opened(settings, LENDERS, now=None, port=port, is_demo=False) as (ctx, crew, lines):
        is_new = seed.is_empty(ctx.engine)
        today = civil(wall_now())
        stage = Stage(ctx, crew, lines, "zh", lambda *_, **__: None, wall_now())
        try:
            city = contracts.make(1, _weeks_before(today))
            if is_new:
                seed.set_clock(ctx.engine, None)
            if seed.is_demo(ctx.engine):
                register(stage, LENDERS, ["CNY"], contracts.OPENING)
            if is_new:
                with ctx.begin() as tx:
                    seed.people(tx, city.people.organisations, city.people.persons)
            processes.answering(crew, ctx)
            if is_new:
                play = new_play(stage, {}, settings)
                for day, package in records.packages(city.contracts).items():
                    if day <= today:
                        play.publish(str(day), package)
            say(crew.settings.url)
            until(crew)
        finally:
            stage.close()


def _serve_given(
    settings: Settings, port: int, say: Callable[[str], None], until: Callable[[Crew], None]
) -> None:
    port = port or processes.free_port()
    given = replace(settings, url=f"http://127.0.0.1:{port}")
    with embedded.stores(given) as stores:
        ctx = Context.open(given)
        crew = Crew(given, stores)
        try:
            assert_current(ctx.engine)
            processes.start_web(crew, port)
            processes.start_worker(crew)
            processes.answering(crew, ctx)
            say(given.url)
            until(crew)
        finally:
            crew.end()
            ctx.engine.dispose()


def _weeks_before(today: date) -> date:
    """The opening of a city whose contracts have just been signed."""
    day = today - timedelta(days=21)
    return add_working_days(day, 1).on
