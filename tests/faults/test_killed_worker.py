"""A worker killed by SIGKILL in the middle, and a Redis that forgets all, change no outcome."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from typing import Any

import orjson
import pytest
from redis import Redis
from sqlalchemy import Engine, text

from financing.context import Context
from financing.formats import ocds
from financing.journeys import intake
from financing.settings import Settings
from tests.conftest import ROOT, empty, process_environment
from tests.sandbox import wait_for
from tests.verifying import OPENING, World, release

MANY = 120  # more than one set that a worker claims

OUTCOME = {
    "contracts": "SELECT ocid, state, version, open_fen, held_fen FROM contract",
    "checks": "SELECT c.ocid, k.check_id, k.result FROM check_result k"
    " JOIN contract c ON c.id = k.contract_id",
    "audit": 'SELECT c.ocid, a.n, a.event FROM audit a JOIN contract c ON c.id = a."case"',
    "tellings": "SELECT c.ocid, t.kind FROM telling t JOIN contract c ON c.id = t.contract_id",
    "notices": "SELECT kind, count(*) FROM notice GROUP BY kind",
    "parked": "SELECT reason FROM parked",
}


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(OPENING)
    return World(ctx, owner, set_clock)


def publish(world: World) -> None:
    """Take contracts in; what follows from them waits in the outbox."""
    with world.ctx.begin() as tx:
        for n in range(1, MANY + 1):
            intake.take(tx, ocds.read(BytesIO(orjson.dumps(release(n))).read, "test"))


def outcome(world: World) -> dict[str, list[tuple[Any, ...]]]:
    with world.owner.connect() as link:
        return {
            what: sorted(map(tuple, link.execute(text(query)).all()))
            for what, query in OUTCOME.items()
        }


@contextmanager
def worker(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """The worker as a service manager runs it."""
    with subprocess.Popen(
        [sys.executable, "-m", "financing", "worker"],
        cwd=ROOT,
        env=process_environment(settings),
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def one(world: World, query: str) -> int:
    with world.owner.connect() as link:
        return int(link.execute(text(query)).scalar_one())


def leases_run_out(world: World) -> None:
    """Let the minute pass after which a dead worker's rows come back."""
    with world.owner.begin() as link:
        link.execute(text("UPDATE outbox SET due = now() WHERE worker IS NOT NULL"))


OPEN = "SELECT count(*) FROM outbox WHERE done IS NULL AND parked IS NULL AND kind <> 'hour'"
STUCK = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND datname = current_database()"
)


def test_a_worker_killed_in_the_middle_and_an_empty_redis_change_no_outcome(
    world: World, settings: Settings
) -> None:
    publish(world)
    world.work()
    undisturbed = outcome(world)
    assert len(undisturbed["contracts"]) == MANY and undisturbed["checks"]

    empty(world.owner, settings)
    world.set_clock(OPENING)
    publish(world)
    assert outcome(world) != undisturbed
    # Its transaction is open and waits for our lock: the set is neither done nor undone.
    with world.owner.connect() as link:
        link.execute(text("SELECT 1 FROM contract FOR UPDATE"))
        with worker(settings) as process:
            wait_for(lambda: one(world, STUCK) or None, "the worker to be in the middle")
            process.send_signal(signal.SIGKILL)
            process.wait()
        link.rollback()
    assert one(world, "SELECT count(*) FROM outbox WHERE worker IS NOT NULL AND done IS NULL") > 0
    with Redis.from_url(str(settings.redis_url)) as redis:
        redis.flushall()
    leases_run_out(world)

    with worker(settings) as process:
        wait_for(lambda: one(world, OPEN) < MANY or None, "some work to be done")
        process.send_signal(signal.SIGKILL)
        process.wait()
    leases_run_out(world)
    with worker(settings), Redis.from_url(str(settings.redis_url)) as redis:
        redis.flushall()
        wait_for(lambda: True if one(world, OPEN) == 0 else None, "all work to be done", 60)

    assert outcome(world) == undisturbed
