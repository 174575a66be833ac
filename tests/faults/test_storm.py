"""Web and worker killed again and again while banks are spoken with, Redis wiped meanwhile.

Small here. `./run soak` plays the same with 500 applications for two minutes: what is counted in
the end is the same, one case per application and the books of both sides equal.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from time import monotonic
from uuid import UUID

import pytest
import requests
from redis import Redis
from sqlalchemy import Engine, insert, text

from financing.city.processes import free_port
from financing.context import Context
from financing.reads import desk
from financing.settings import Settings
from financing.store.tables import login
from financing.values.ids import new_id, show
from tests.conftest import ROOT, Web, process_environment
from tests.faces.test_sign_in import HASH, Reader
from tests.faults.test_killed_worker import leases_run_out
from tests.lending import Lending, lending, ready_all
from tests.sandbox import wait_for
from tests.verifying import OPENING, SUPPLIER, World, release

APPLICATIONS = int(os.environ.get("STORM_APPLICATIONS", "8"))
SECONDS = float(os.environ.get("STORM_SECONDS", "8"))
BETWEEN_S = (0.7, 2.5) if SECONDS < 30 else (2.0, 5.0)


@dataclass
class Running:
    """One of our processes, which is begun again each time that it is killed."""

    words: tuple[str, ...]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    killed: int = 0

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "financing", *self.words],
            cwd=ROOT,
            env=self.environment,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill(self, sign: signal.Signals = signal.SIGKILL) -> None:
        """End the whole group: a web process has processes of its own."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, sign)
        self.process.wait(30)
        self.killed += 1


@dataclass
class Storm:
    """The service as it is run, under a hand that kills it."""

    lent: Lending
    web: Running
    worker: Running
    redis_url: str
    calm: threading.Event = field(default_factory=threading.Event)
    wiped: int = 0

    def __post_init__(self) -> None:
        self.hand = threading.Thread(target=self.blow, name="storm")

    def blow(self) -> None:
        """Kill one of the two, or wipe Redis, until it is told to be calm."""
        dice = random.Random(20260302)  # the same kills each time
        while not self.calm.wait(dice.uniform(*BETWEEN_S)):
            what = dice.choice(("worker", "worker", "web", "redis"))
            if what == "redis":
                with Redis.from_url(self.redis_url) as redis:
                    redis.flushall()
                self.wiped += 1
            elif what == "web":
                self.web.kill()
                self.web.start()
            else:
                self.worker.kill()
                leases_run_out(self.lent.world)  # it is dead, and its minutes pass
                self.minute()
                self.worker.start()

    def minute(self) -> None:
        """Let the minute pass between two questions about a request that was never seen."""
        with self.lent.world.owner.begin() as link:
            link.execute(
                text("UPDATE application SET never_seen_at = never_seen_at - interval '61 s'")
            )
            link.execute(text("UPDATE outbox SET due = now() WHERE kind = 'ask' AND done IS NULL"))


@contextmanager
def storm(world: World, settings: Settings, folder: Path) -> Iterator[Storm]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    here = process_environment(replace(settings, url=url))
    here["PATH"] = f"{os.path.dirname(sys.executable)}{os.pathsep}{here['PATH']}"
    web, worker = Running(("web", f"--port={port}"), here), Running(("worker",), here)
    with lending(world, folder, broker_url=url) as lent:
        made = Storm(lent, web, worker, str(settings.redis_url))
        web.start()
        worker.start()
        try:
            yield made
        finally:
            made.calm.set()
            if made.hand.is_alive():
                made.hand.join()
            web.kill(signal.SIGTERM)
            worker.kill(signal.SIGTERM)


@dataclass
class Supplier:
    """Somebody who presses the same button again when no answer comes."""

    storm: Storm
    reader: Reader

    def offered(self) -> list[UUID]:
        query = text("SELECT id FROM application WHERE state = 'offered' AND hold_at IS NULL")
        with self.storm.lent.world.owner.connect() as link:
            return list(link.execute(query).scalars())

    def accept(self, application: UUID) -> None:
        address = f"/applications/{show('ap', application)}/accept"
        with suppress(requests.RequestException):
            page = self.reader.open(address)
            if page.status_code != 200:
                return
            form = dict(
                re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)">', page.text)
            )
            self.press(address, form)

    def press(self, address: str, form: dict[str, str]) -> None:
        for _ in range(60):
            with suppress(requests.RequestException):
                answer = self.reader.client.post(
                    self.reader.web.url + address, data=form, allow_redirects=False, timeout=10
                )
                assert answer.status_code in (303, 409, 429, 503), answer.text
                if answer.status_code in (303, 409):
                    return
            self.storm.calm.wait(0.1)


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(ctx, owner, set_clock)


def signed_in(storm: Storm, url: str, supplier: UUID) -> Reader:
    with storm.lent.world.ctx.begin() as tx:
        tx.db.execute(
            insert(login).values(
                id=new_id(), name="li", password_hash=HASH, role="supplier", person="li",
                organisation_id=supplier, created_at=tx.now,
            )
        )  # fmt: skip
    reader = Reader(Web(url, storm.lent.world.ctx))

    def once() -> bool | None:
        with suppress(requests.RequestException):
            return reader.sign_in("li").status_code == 303 or None
        return None

    wait_for(once, "the web process to answer", 60)
    return reader


def run_again(world: World) -> int:
    """What was with a worker at five of its deaths is put aside: the operator lets it run again."""
    query = text("SELECT id FROM outbox WHERE parked IS NOT NULL AND done IS NULL")
    with world.owner.connect() as link:
        parked = list(link.execute(query).scalars())
    for work_id in parked:
        with world.ctx.begin() as tx:
            desk.run_again(tx, work_id)
    return len(parked)


def test_a_storm_of_kills_ends_with_books_equal_on_both_sides(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    rows = ready_all(world, world.publish(*map(release, range(1, APPLICATIONS + 1))))
    assert all(row.financeable for row in rows)
    begun = monotonic()
    with storm(world, settings, tmp_path / "bank") as blowing:
        lent = blowing.lent
        reader = signed_in(blowing, blowing.web.environment["FINANCING_URL"], rows[0].supplier_id)
        supplier = Supplier(blowing, reader)
        blowing.hand.start()
        lent.house.fault("timeout-after", firm=SUPPLIER, seconds=0.3)  # it takes, and is slow
        waiting = list(rows)
        start = monotonic()
        while waiting or monotonic() < start + SECONDS:
            # Spread over the storm, so that requests are under way whenever it strikes.
            sent = len(rows) - len(waiting)
            due = round(1.25 * len(rows) * (monotonic() - start) / SECONDS) + 1 - sent
            for row in waiting[: max(due, 0)]:
                lent.apply_on(row)
            del waiting[: max(due, 0)]
            for application in supplier.offered():
                supplier.accept(application)
            blowing.calm.wait(0.05)
        blowing.calm.set()
        blowing.hand.join()
        blowing.minute()
        suspected = run_again(world)

        def all_lent() -> bool | None:
            for application in supplier.offered():
                supplier.accept(application)
            query = "SELECT count(*) FROM application WHERE state = 'drawn' AND hold_at IS NULL"
            return world.count(query) == APPLICATIONS or None

        patience = 60 + APPLICATIONS / 2
        wait_for(all_lent, "all applications to be paid out", patience)
        left = (
            "SELECT count(*) FROM outbox WHERE done IS NULL AND parked IS NULL"
            " AND kind NOT IN ('poll', 'hour')"
        )
        wait_for(lambda: world.count(left) == 0 or None, "all work to be done", patience)
        lent.assert_books_agree()
        assert world.count("SELECT count(*) FROM outbox WHERE parked IS NOT NULL") == 0
        assert world.count("SELECT count(*) FROM drawdown") == APPLICATIONS
        assert blowing.web.killed + blowing.worker.killed >= 2
        told = (
            f"{APPLICATIONS} applications in {monotonic() - begun:.0f} s",
            f"worker killed {blowing.worker.killed} times, web {blowing.web.killed}",
            f"Redis wiped {blowing.wiped}",
            f"submitted {lent.calls('submit')}, asked {lent.calls('ask')}",
            f"heard {world.count('SELECT count(*) FROM inbox')} events",
            f"run again by hand {suspected}",
        )
        sys.stdout.write("\n" + "; ".join(told) + "\n")
