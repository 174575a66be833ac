"""The worker: claims due outbox rows in sets, lane by lane, and does them.

1. `ring`      after a commit: set the lane's bell in Redis and queue one job
2. `serve`     the worker process: RQ hears the bells, a sweep finds what no bell announced
3. `run_lane`  claim a set, do it, end it in the transaction of its effect
4. `run_due`   the same until nothing is due; tests, the command line, and the demo call it

A lane is (kind, bank). A bank that hangs holds the threads of its own lanes only.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any
from uuid import uuid4

from sqlalchemy import text

from financing import log
from financing.context import Context, Ring
from financing.errors import FinancingError, Invalid, NotFound
from financing.rules.jobs import BY_KIND, Job
from financing.store import outbox
from financing.store.db import Tx
from financing.store.outbox import Work

Lane = tuple[str, str]

QUEUE = "bells"
LOCAL_LEASE_S = 60
ERRAND_LEASE_S = 150  # a verb's deadline and time to write the outcome
SWEEP_S = 1.0
BELL_S = 30
DEADLY = 5  # workers that died with a row before it is parked

# Filled by the bell's job, emptied by the dispatcher of the same process.
_rung: queue.SimpleQueue[Lane] = queue.SimpleQueue()


def bell(redis_url: str | None) -> Ring:
    """A ring for this process: one queued job per lane, however often it is rung.

    Redis may be away: then the sweep finds the work a second later, and nothing is lost.
    """
    if redis_url is None:
        return lambda _kind, _bank: None
    from redis import Redis, RedisError
    from rq import Queue
    from rq.serializers import JSONSerializer

    redis = Redis.from_url(redis_url, socket_timeout=1, socket_connect_timeout=1)
    bells = Queue(QUEUE, connection=redis, serializer=JSONSerializer)

    def ring(kind: str, bank: str) -> None:
        try:
            if redis.set(f"bell:{kind}-{bank}", 1, nx=True, ex=BELL_S):
                bells.enqueue(heard, kind, bank, result_ttl=0, failure_ttl=86400, job_timeout=60)
        except RedisError as problem:
            log.note("bell.lost", kind=kind, bank=bank, why=type(problem).__name__)

    return ring


def heard(kind: str, bank: str) -> None:
    """The RQ job: tell this worker's dispatcher that a lane has work."""
    _rung.put((kind, bank))


def serve(ctx: Context, redis_url: str | None) -> None:
    """Work until SIGTERM or SIGINT: hear bells through RQ, sweep every second."""
    stop = threading.Event()
    dispatcher = threading.Thread(target=_dispatch, args=(ctx, redis_url, stop), name="dispatch")
    dispatcher.start()
    try:
        if redis_url is None:
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            signal.signal(signal.SIGINT, lambda *_: stop.set())
            stop.wait()
        else:
            _hear(redis_url)
    finally:
        stop.set()
        dispatcher.join()


def _hear(redis_url: str) -> None:
    from redis import Redis, RedisError
    from rq import SimpleWorker
    from rq.serializers import JSONSerializer

    redis = Redis.from_url(redis_url, socket_timeout=None)
    while True:
        try:
            worker = SimpleWorker(
                [QUEUE],
                connection=redis,
                serializer=JSONSerializer,
                name=f"bells-{uuid4().hex}",
            )
            worker.work(logging_level="ERROR")
            return
        except RedisError as problem:
            # The sweep goes on working; the bells come back with Redis.
            log.note("bells.away", why=type(problem).__name__)
            time.sleep(1)


def _dispatch(ctx: Context, redis_url: str | None, stop: threading.Event) -> None:
    me = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
    lanes = _Lanes(ctx, redis_url, me)
    swept = 0.0
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="lane") as pool:
        while not stop.is_set():
            with contextlib.suppress(queue.Empty):
                lanes.start(pool, _rung.get(timeout=SWEEP_S / 4))
            if time.monotonic() - swept >= SWEEP_S:
                swept = time.monotonic()
                for lane in sweep(ctx, me):
                    lanes.start(pool, lane)
    _forget(ctx, me)


class _Lanes:
    """Which lanes are being drained in this process, and which were rung meanwhile."""

    def __init__(self, ctx: Context, redis_url: str | None, me: str) -> None:
        self.ctx, self.me = ctx, me
        self.busy: set[Lane] = set()
        self.again: set[Lane] = set()
        self.guard = threading.Lock()
        self.quiet = _silencer(redis_url)

    def start(self, pool: ThreadPoolExecutor, lane: Lane) -> None:
        with self.guard:
            if lane in self.busy:
                self.again.add(lane)
                return
            self.busy.add(lane)
        pool.submit(self._drain, lane)

    def _drain(self, lane: Lane) -> None:
        try:
            self.quiet(*lane)  # first, so that a ring during the work queues one more
            while run_lane(self.ctx, *lane, self.me):
                pass
        except Exception as problem:  # the worker's door: log and go on with other lanes
            log.note("lane.broken", kind=lane[0], bank=lane[1], error=problem)
        finally:
            with self.guard:
                self.busy.discard(lane)
                rung = lane in self.again
                self.again.discard(lane)
            if rung:
                _rung.put(lane)


def _silencer(redis_url: str | None) -> Ring:
    if redis_url is None:
        return lambda _kind, _bank: None
    from redis import Redis, RedisError

    redis = Redis.from_url(redis_url, socket_timeout=1, socket_connect_timeout=1)

    def silence(kind: str, bank: str) -> None:
        try:
            redis.delete(f"bell:{kind}-{bank}")
        except RedisError as problem:
            log.note("bell.lost", kind=kind, bank=bank, why=type(problem).__name__)

    return silence


BEAT = text("""
    INSERT INTO beat (process, at) VALUES (:me, now())
    ON CONFLICT (process) DO UPDATE SET at = excluded.at
""")
ALIVE = text("SELECT 1 FROM beat WHERE at > now() - interval '10 seconds' LIMIT 1")

# A bank with open cases always has exactly one live poll.
POLLS = text("""
    SELECT b.code, b.poll_interval_s FROM bank b
     WHERE b.stopped_at IS NULL
       AND EXISTS (SELECT 1 FROM application a WHERE a.bank_id = b.id
                      AND a.state IN ('submitted', 'reviewing', 'action-required', 'offered',
                                      'accepted', 'contracted', 'locked', 'drawn'))
       AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.kind = 'poll' AND o.bank = b.code
                          AND o.done IS NULL AND o.parked IS NULL)
""")


def sweep(ctx: Context, me: str) -> list[Lane]:
    """Say that this worker lives, keep the standing work in the outbox, and name due lanes."""
    try:
        with ctx.begin() as tx:
            tx.db.execute(BEAT, {"me": me})
            keep_standing_work(tx)
            return outbox.due_lanes(tx)
    except Exception as problem:  # the worker's door: the database may be away for a moment
        log.note("sweep.failed", why=type(problem).__name__)
        return []


def keep_standing_work(tx: Tx) -> None:
    """Put the hour's turn and each bank's next poll into the outbox, once each."""
    hour = tx.now.strftime("%Y-%m-%dT%H")
    outbox.enqueue(tx, "hour", f"hour:{hour}")
    for row in tx.rows(POLLS):
        outbox.enqueue(
            tx,
            "poll",
            f"poll:{row.code}:{uuid4().hex}",
            bank=row.code,
            wait_s=row.poll_interval_s,
        )


def _forget(ctx: Context, me: str) -> None:
    with ctx.begin() as tx:
        tx.db.execute(text("DELETE FROM beat WHERE process = :me"), {"me": me})


def worker_lives(ctx: Context) -> bool:
    """Whether some worker has said so in the last seconds."""
    with ctx.begin() as tx:
        return tx.one(ALIVE) is not None


def run_due(ctx: Context, *, errands: bool = True) -> int:
    """Do all due work until none is left; returns how many rows were claimed."""
    me = f"here-{os.getpid()}"
    count = 0
    while True:
        with ctx.begin() as tx:
            lanes = [
                lane
                for lane in outbox.due_lanes(tx)
                if errands or BY_KIND[lane[0]].nature == "local"
            ]
        worked = sum(run_lane(ctx, kind, bank, me) for kind, bank in lanes)
        if not worked:
            return count
        count += worked


def run_lane(ctx: Context, kind: str, bank: str, me: str) -> int:
    """Claim one set of a lane and do it; returns how many rows were claimed."""
    job = BY_KIND[kind]
    lease_s = LOCAL_LEASE_S if job.nature == "local" else ERRAND_LEASE_S
    do = _local if job.nature == "local" else _errand
    with ctx.begin() as tx:
        works = outbox.claim(tx, kind, bank, me, lease_s=lease_s)
    if works:
        do(ctx, job, bank, works)
    with ctx.begin() as tx:
        suspects = outbox.claim(tx, kind, bank, me, lease_s=lease_s, alone=True)
        deadly = [work for work in suspects if work.died >= DEADLY]
        for work in deadly:
            outbox.later(tx, work, 0, error="kills-worker", park=True)
    if suspects and not deadly:
        do(ctx, job, bank, suspects)
    return len(works) + len(suspects)


def _step(job: Job) -> Callable[..., Any]:
    module, name = job.done_by.split(":")
    step: Callable[..., Any] = getattr(import_module(module), name)
    return step


def _local(ctx: Context, job: Job, _bank: str, works: list[Work]) -> None:
    """Do a set in one transaction; a set that fails is halved until the bad row stands alone."""
    step = _step(job)
    try:
        with ctx.begin() as tx:
            waiting = step(tx, works) or []
            if not outbox.done(tx, [work for work in works if work not in waiting]):
                raise _LeaseLost
    except _LeaseLost:
        log.note("lease.lost", kind=job.kind, rows=len(works))
    except Exception as problem:  # the worker's door
        if len(works) > 1:
            middle = len(works) // 2
            _local(ctx, job, _bank, works[:middle])
            _local(ctx, job, _bank, works[middle:])
        else:
            give_back(ctx, job, works[0], problem)


def _errand(ctx: Context, job: Job, bank: str, works: list[Work]) -> None:
    """Do work that talks to others; the step opens and closes its own transactions."""
    try:
        _step(job)(ctx, bank, works)
    except Exception as problem:  # the worker's door
        for work in works:
            give_back(ctx, job, work, problem)


class _LeaseLost(Exception):
    """Another worker owns these rows now; what was done here must not be written."""


def give_back(ctx: Context, job: Job, work: Work, problem: BaseException) -> None:
    """Return a row with its error: later with back-off, or parked when it can never succeed."""
    definite = isinstance(problem, Invalid | NotFound)
    park = definite or work.attempt + 1 >= job.attempts
    error = f"{type(problem).__name__}: {problem}"
    seconds = random.uniform(0, min(6 * 3600, 5 * 2**work.attempt))  # noqa: S311  spread, no secret
    level_known = isinstance(problem, FinancingError)
    log.note(
        "work.parked" if park else "work.later",
        kind=job.kind,
        key=work.key,
        why=error,
        error=None if level_known else problem,
    )
    with ctx.begin() as tx:
        outbox.later(tx, work, seconds, error=error, park=park)
