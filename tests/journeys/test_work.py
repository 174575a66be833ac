"""The outbox holds the work: nothing lost, nothing twice, a bad row stands alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine, text

from financing import work
from financing.context import Context
from financing.errors import Invalid
from financing.rules.jobs import BY_KIND
from financing.store import outbox
from financing.store.db import Tx
from financing.store.outbox import Work


def rows(owner: Engine) -> dict[str, tuple[bool, bool, int]]:
    with owner.connect() as link:
        return {
            row.key: (row.done is not None, row.parked is not None, row.attempt)
            for row in link.execute(text("SELECT key, done, parked, attempt FROM outbox"))
        }


def test_the_same_key_twice_is_one_piece_of_work(ctx: Context, owner: Engine) -> None:
    for _ in range(2):
        with ctx.begin() as tx:
            outbox.enqueue(tx, "tell", "tell:a")
    assert list(rows(owner)) == ["tell:a"]


def test_work_asked_for_in_a_transaction_that_fails_is_never_done(
    ctx: Context, owner: Engine
) -> None:
    with pytest.raises(ZeroDivisionError), ctx.begin() as tx:
        outbox.enqueue(tx, "tell", "tell:a")
        raise ZeroDivisionError
    assert rows(owner) == {}


def test_a_dead_workers_row_comes_back_and_its_token_is_worth_nothing(
    ctx: Context, owner: Engine
) -> None:
    with ctx.begin() as tx:
        outbox.enqueue(tx, "tell", "tell:a")
    with ctx.begin() as tx:
        stale = outbox.claim(tx, "tell", "", "first", lease_s=60)
    with ctx.begin() as tx:
        assert outbox.claim(tx, "tell", "", "second", lease_s=60) == []
    with owner.begin() as link:
        link.execute(text("UPDATE outbox SET due = now() - interval '1 second'"))
    with ctx.begin() as tx:
        fresh = outbox.claim(tx, "tell", "", "second", lease_s=60)
        assert [w.died for w in fresh] == [1]
        assert not outbox.done(tx, stale)
        assert outbox.done(tx, fresh)
    assert rows(owner) == {"tell:a": (True, False, 0)}


def test_a_bad_row_stands_alone_and_the_others_are_done(
    ctx: Context, owner: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(_tx: Tx, works: Sequence[Work]) -> None:
        if any(w.key == "tell:5" for w in works):
            raise Invalid("cannot be told")

    monkeypatch.setattr(work, "_step", lambda _job: step)
    with ctx.begin() as tx:
        outbox.enqueue_many(tx, "tell", [(f"tell:{n}", "", None, {}) for n in range(9)])
    work.run_due(ctx)
    known = rows(owner)
    assert known.pop("tell:5") == (False, True, 1)
    assert set(known.values()) == {(True, False, 0)}


def test_a_row_that_fails_for_a_while_waits_and_is_parked_after_its_attempts(
    ctx: Context, owner: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(_tx: Tx, _works: Sequence[Work]) -> None:
        raise RuntimeError("not today")

    monkeypatch.setattr(work, "_step", lambda _job: step)
    with ctx.begin() as tx:
        outbox.enqueue(tx, "tell", "tell:a")
    for attempt in range(BY_KIND["tell"].attempts):
        assert rows(owner)["tell:a"] == (False, False, attempt)
        with owner.begin() as link:
            link.execute(text("UPDATE outbox SET due = now()"))
        work.run_lane(ctx, "tell", "", "me")
    assert rows(owner)["tell:a"] == (False, True, BY_KIND["tell"].attempts)


def test_a_row_that_kills_workers_is_taken_alone_and_then_parked(
    ctx: Context, owner: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets: list[list[str]] = []

    def step(_tx: Tx, works: Sequence[Work]) -> None:
        sets.append([w.key for w in works])

    monkeypatch.setattr(work, "_step", lambda _job: step)
    with ctx.begin() as tx:
        outbox.enqueue_many(tx, "tell", [(f"tell:{n}", "", None, {}) for n in range(3)])
    with owner.begin() as link:
        link.execute(text("UPDATE outbox SET died = 1, worker = 'gone' WHERE key = 'tell:1'"))
        link.execute(text("UPDATE outbox SET died = 4, worker = 'gone' WHERE key = 'tell:2'"))
    work.run_due(ctx)
    assert sorted(map(sorted, sets)) == [["tell:0"], ["tell:1"]]
    assert rows(owner)["tell:2"][1], "parked as one that kills workers"


def test_workers_that_die_with_a_set_make_no_row_of_it_guilty(
    ctx: Context, owner: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_step", lambda _job: lambda _tx, _works: None)
    with ctx.begin() as tx:
        outbox.enqueue_many(tx, "tell", [(f"tell:{n}", "", None, {}) for n in range(9)])
    for _ in range(work.DEADLY + 1):
        with ctx.begin() as tx:
            outbox.claim(tx, "tell", "", "killed", lease_s=60)
        with owner.begin() as link:
            link.execute(text("UPDATE outbox SET due = now()"))
    work.run_due(ctx)
    assert set(rows(owner).values()) == {(True, False, 0)}


def test_the_hour_turns_once_however_often_it_is_swept(ctx: Context, owner: Engine) -> None:
    for _ in range(3):
        work.sweep(ctx, "me")
    assert len([key for key in rows(owner) if key.startswith("hour:")]) == 1
    assert work.worker_lives(ctx)
