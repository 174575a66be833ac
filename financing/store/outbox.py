"""The outbox: the row is the work, and it commits with the state that asked for it.

A claim moves `due` forward by the lease, so a dead worker's row comes back by itself. The bell
in Redis only shortens the wait; losing it loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from financing.errors import Broken
from financing.rules.jobs import BY_KIND, JOBS
from financing.store.db import Tx
from financing.store.tables import outbox

SET = 100  # rows that one claim takes
SUSPECT = 2  # workers that died with a row before it is taken alone

CLAIM = text("""
    UPDATE outbox o
       SET due = now() + make_interval(secs => :lease), token = token + 1, worker = :me,
           died = died + (o.worker IS NOT NULL)::int
      FROM (SELECT id FROM outbox
             WHERE kind = :kind AND bank = :bank AND due <= now()
               AND done IS NULL AND parked IS NULL
               AND (died + (worker IS NOT NULL)::int >= :suspect) = :alone
             ORDER BY due LIMIT :n FOR UPDATE SKIP LOCKED) c
     WHERE o.id = c.id
    RETURNING o.id, o.token, o.attempt, o.died, o.sent_at, o.key, o.subject_id, o.args
""")

DONE = text("""
    UPDATE outbox o SET done = now(), worker = NULL, last_error = NULL
      FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS int[])) AS d(id, token)
     WHERE o.id = d.id AND o.token = d.token AND o.done IS NULL
""")

LATER = text("""
    UPDATE outbox SET due = now() + make_interval(secs => :seconds), worker = NULL, died = 0,
           attempt = attempt + :failed, last_error = :error,
           sent_at = CASE WHEN :unsent THEN NULL ELSE sent_at END,
           parked = CASE WHEN :park THEN now() END
     WHERE id = :id AND token = :token AND done IS NULL
""")

# One index probe per lane; a DISTINCT would read the whole queue.
LANES = text("""
    SELECT lane.kind, lane.bank
      FROM (SELECT k.kind, '' AS bank FROM unnest(CAST(:local AS text[])) AS k(kind)
             UNION ALL
            SELECT k.kind, b.code FROM unnest(CAST(:errands AS text[])) AS k(kind), bank b) lane
     WHERE EXISTS (SELECT 1 FROM outbox o WHERE o.kind = lane.kind AND o.bank = lane.bank
                      AND o.due <= now() AND o.done IS NULL AND o.parked IS NULL)
""")


@dataclass(frozen=True, slots=True)
class Work:
    """One claimed row: its `token` fences off a worker that lost its lease."""

    id: int
    token: int
    attempt: int
    died: int
    sent_at: datetime | None
    key: str
    subject_id: UUID | None
    args: dict[str, Any]


def enqueue(
    tx: Tx,
    kind: str,
    key: str,
    *,
    bank: str = "",
    subject_id: UUID | None = None,
    args: dict[str, Any] | None = None,
    wait_s: float = 0,
) -> None:
    """Ask for a piece of work, due after `wait_s`; the same key twice is one piece of work."""
    enqueue_many(tx, kind, [(key, bank, subject_id, args or {})], wait_s=wait_s)


def enqueue_many(
    tx: Tx,
    kind: str,
    items: Iterable[tuple[str, str, UUID | None, dict[str, Any]]],
    *,
    wait_s: float = 0,
) -> None:
    """Ask for many pieces of one kind in one statement: (key, bank, subject, args) each."""
    rows = [
        {"kind": kind, "bank": bank, "key": key, "subject_id": subject_id, "args": args}
        for key, bank, subject_id, args in items
    ]
    if not rows:
        return
    if kind not in BY_KIND:
        raise Broken(f"no such kind of work: {kind}", where="rules/jobs.py")
    due = text("now() + make_interval(secs => :wait_s)").bindparams(wait_s=wait_s)
    tx.db.execute(
        insert(outbox).values(due=due).on_conflict_do_nothing(index_elements=["key"]),
        rows,
    )
    if not wait_s:
        tx.rings.update((kind, str(row["bank"])) for row in rows)


def claim(
    tx: Tx, kind: str, bank: str, me: str, *, lease_s: int, alone: bool = False
) -> list[Work]:
    """Take due rows of a lane, in sets; those that two workers died with, one at a time.

    Whoever dies with a set makes all of it look guilty: alone, only the guilty one stays so.

    Args:
        alone: one of the suspects, instead of a set of the others.
    """
    asked = {"kind": kind, "bank": bank, "me": me, "lease": lease_s, "suspect": SUSPECT}
    rows = tx.rows(CLAIM, asked | {"alone": alone, "n": 1 if alone else SET})
    return [Work(**row._mapping) for row in rows]


def done(tx: Tx, works: Sequence[Work]) -> bool:
    """End these rows in the transaction of their effect; False when a lease was lost."""
    if not works:
        return True
    result = tx.db.execute(
        DONE,
        {"ids": [work.id for work in works], "tokens": [work.token for work in works]},
    )
    return result.rowcount == len(works)


def later(
    tx: Tx,
    work: Work,
    seconds: float,
    *,
    error: str = "",
    failed: bool = True,
    park: bool = False,
    unsent: bool = False,
) -> None:
    """Give a row back, due again after so many seconds, or parked for the operator.

    Args:
        failed: counts as a failed try; False for work that merely waits.
        unsent: no request took effect outside, so the next worker may send it.
    """
    tx.db.execute(
        LATER,
        {
            "id": work.id,
            "token": work.token,
            "seconds": seconds,
            "failed": int(failed),
            "error": error[:500] or None,
            "park": park,
            "unsent": unsent,
        },
    )


def mark_sent(tx: Tx, works: Sequence[Work]) -> None:
    """Commit, just before the first byte leaves, that these rows may have an effect outside."""
    tx.db.execute(
        update(outbox)
        .where(outbox.c.id.in_([work.id for work in works]))
        .values(sent_at=text("now()"))
    )


def is_held(tx: Tx, work: Work) -> bool:
    """Whether this worker still holds the row; no other can take it in this transaction."""
    return (
        tx.one(
            select(outbox.c.id)
            .where(outbox.c.id == work.id, outbox.c.token == work.token, outbox.c.done.is_(None))
            .with_for_update()
        )
        is not None
    )


def due_lanes(tx: Tx) -> list[tuple[str, str]]:
    """Lanes that have due work and that no bell may have announced."""
    kinds = {
        "local": [job.kind for job in JOBS if not job.per_bank],
        "errands": [job.kind for job in JOBS if job.per_bank],
    }
    return [(row.kind, row.bank) for row in tx.rows(LANES, kinds)]
