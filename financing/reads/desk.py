"""The operator's questions: what is stuck, does work flow, do the banks answer?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text

from financing.errors import NotFound
from financing.reads.contracts import ENDED
from financing.store.db import Tx
from financing.store.tables import application, bank, bank_word, import_file, outbox, parked
from financing.store.visible import own

MOST = 200
SHOWN_OF_CAUSE = 20


@dataclass(frozen=True, slots=True)
class Cause:
    """Parked things that share one cause.

    Args:
        slug: the reason's word in capitals; the rest of the reason tells it in a sentence.
        count: how many in all; `items` are the newest of them.
    """

    slug: str
    count: int
    items: tuple[Row[Any], ...]


EXCEPTIONS = text("""
    SELECT p.id, p.value_on, p.amount_fen, p.currency, p.payer, b.last4, e.remittance,
           ARRAY(SELECT c.number FROM contract c
                  WHERE c.id IN (SELECT CAST(one ->> 'contract' AS uuid)
                                   FROM jsonb_array_elements(p.candidates) one)
                  ORDER BY c.number) AS numbers
      FROM payment p JOIN bank_account b ON b.id = p.account_id
      LEFT JOIN entry e ON e.id = p.entry_id
     WHERE p.state = 'exception' ORDER BY p.value_on, p.id LIMIT :most
""")
SLUG = func.split_part(parked.c.reason, ":", 1)


def causes(tx: Tx) -> list[Cause]:
    """What is parked, by cause, the cause shared by most first."""
    visible = (own(tx.actor, "parked"), parked.c.state == "open")
    counts = tx.rows(
        select(SLUG.label("slug"), func.count().label("n"))
        .where(*visible)
        .group_by(SLUG)
        .order_by(func.count().desc(), SLUG)
        .limit(MOST)
    )
    place = func.row_number().over(partition_by=SLUG, order_by=(parked.c.at.desc(), parked.c.id))
    ranked = (
        select(parked.c.id, SLUG.label("slug"), place.label("place")).where(*visible).subquery()
    )
    items: dict[str, list[Row[Any]]] = {}
    for row in tx.rows(
        select(
            ranked.c.slug,
            parked.c.id,
            parked.c.kind,
            parked.c.source,
            parked.c.place,
            parked.c.value,
            parked.c.reason,
            parked.c.remedy,
            parked.c.at,
        )
        .join(parked, parked.c.id == ranked.c.id)
        .where(ranked.c.place <= SHOWN_OF_CAUSE)
        .order_by(ranked.c.slug, ranked.c.place)
    ):
        items.setdefault(row.slug, []).append(row)
    return [Cause(row.slug, row.n, tuple(items.get(row.slug, ()))) for row in counts]


def of_cause(tx: Tx, slug: str) -> list[UUID]:
    """The ids of everything parked for one cause."""
    rows = tx.rows(
        select(parked.c.id)
        .where(own(tx.actor, "parked"), parked.c.state == "open", SLUG.op("=")(slug))
        .order_by(parked.c.at, parked.c.id)
    )
    return [row.id for row in rows]


def last_import(tx: Tx) -> Row[Any] | None:
    """The newest file that was read."""
    return tx.one(select(import_file).order_by(import_file.c.at.desc()).limit(1))


LANES = text("""
    SELECT kind, bank,
           count(*) FILTER (WHERE done IS NULL AND parked IS NULL) AS waiting,
           count(*) FILTER (WHERE done IS NULL AND parked IS NULL AND due <= now()) AS due,
           min(due) FILTER (WHERE done IS NULL AND parked IS NULL) AS oldest,
           count(*) FILTER (WHERE done > now() - interval '1 hour') AS done,
           count(*) FILTER (WHERE parked IS NOT NULL AND done IS NULL) AS parked,
           max(attempt) FILTER (WHERE done IS NULL) AS attempts
      FROM outbox
     WHERE done IS NULL OR done > now() - interval '1 hour'
     GROUP BY kind, bank
     ORDER BY count(*) FILTER (WHERE parked IS NOT NULL AND done IS NULL) DESC, kind, bank
""")
WORKERS = text("SELECT process, at FROM beat WHERE at > now() - interval '30 seconds' ORDER BY at")
AGAIN = text("""
    UPDATE outbox SET parked = NULL, due = now(), attempt = 0, died = 0, worker = NULL
     WHERE id = :id AND parked IS NOT NULL AND done IS NULL
    RETURNING kind, bank
""")


def lanes(tx: Tx) -> Sequence[Row[Any]]:
    """Each lane of work: waiting, oldest, done in the last hour, parked."""
    return tx.rows(LANES)


def workers(tx: Tx) -> Sequence[Row[Any]]:
    """Worker processes that said in the last seconds that they live."""
    return tx.rows(WORKERS)


def stuck(tx: Tx) -> Sequence[Row[Any]]:
    """Work that was parked because it cannot succeed by itself, newest first."""
    return tx.rows(
        select(outbox)
        .where(outbox.c.parked.is_not(None), outbox.c.done.is_(None))
        .order_by(outbox.c.parked.desc(), outbox.c.id)
        .limit(MOST)
    )


def run_again(tx: Tx, work_id: int) -> None:
    """Put parked work back into its lane.

    Raises:
        NotFound: no such work, or it is not parked.
    """
    row = tx.one(AGAIN, {"id": work_id})
    if row is None:
        raise NotFound("no such parked work", where="job")
    tx.rings.add((row.kind, row.bank))


BANKS = text("""
    SELECT b.id, b.code, o.name, b.adapter, b.stopped_at, b.stopped_why, b.cursor_at,
           b.poll_interval_s,
           (SELECT count(*) FROM outbox w
             WHERE w.bank = b.code AND w.done IS NULL AND w.parked IS NULL) AS waiting,
           (SELECT count(*) FROM outbox w
             WHERE w.bank = b.code AND w.parked IS NOT NULL AND w.done IS NULL) AS parked,
           t.at AS last_at, t.verb AS last_verb, t.status AS last_status, t.error AS last_error,
           t.elapsed_ms AS last_ms,
           (SELECT count(*) FROM transcript h
             WHERE h.bank = b.code AND h.at > now() - interval '1 hour') AS calls,
           (SELECT count(*) FROM transcript h
             WHERE h.bank = b.code AND h.at > now() - interval '1 hour'
               AND (h.error IS NOT NULL OR h.status >= 400)) AS failures,
           (SELECT count(*) FROM inbox i WHERE i.source = b.code) AS events
      FROM bank b
      JOIN organisation o ON o.id = b.id
      LEFT JOIN LATERAL (
           SELECT * FROM transcript h WHERE h.bank = b.code ORDER BY h.id DESC LIMIT 1) t ON true
     ORDER BY b.stopped_at IS NULL, o.name
""")


def exceptions(tx: Tx) -> Sequence[Row[Any]]:
    """Payments in registered accounts that fit no contract surely, the oldest first.

    Day, amount, end of the account, what the payer wrote, and the numbers of the contracts that it
    may mean.
    """
    return tx.rows(EXCEPTIONS, {"most": MOST})


def on_hold(tx: Tx) -> Sequence[Row[Any]]:
    """Applications that an answer of the bank has stopped, the oldest first; no case content."""
    return tx.rows(
        select(application.c.id, application.c.hold_at, application.c.hold_why, bank.c.code)
        .join(bank, bank.c.id == application.c.bank_id)
        .where(application.c.hold_at.is_not(None), application.c.state.not_in(ENDED))
        .order_by(application.c.hold_at)
        .limit(MOST)
    )


def unknown_words(tx: Tx) -> Sequence[Row[Any]]:
    """Words of banks that nobody here knows, the newest first."""
    return tx.rows(
        select(bank_word, bank.c.code)
        .join(bank, bank.c.id == bank_word.c.bank_id)
        .order_by(bank_word.c.last_at.desc(), bank_word.c.word)
        .limit(MOST)
    )


REFUSED = text("""
    SELECT b.code, r.slug, sum(r.times) AS times, count(DISTINCT r.address) AS addresses,
           max(r.minute) AS last_at
      FROM refused_event r JOIN bank b ON b.id = r.bank_id
     WHERE r.minute > now() - interval '24 hours'
     GROUP BY b.code, r.slug
     ORDER BY sum(r.times) DESC, b.code, r.slug
""")


def refused_events(tx: Tx) -> Sequence[Row[Any]]:
    """What came in a bank's name and was refused, by bank and cause."""
    return tx.rows(REFUSED)


def banks(tx: Tx) -> Sequence[Row[Any]]:
    """Each bank: stopped or not, what waits for it, and how its last answers were."""
    return tx.rows(BANKS)
