"""State changes, the only way in which they happen.

`move_many` looks the event up in the life cycle, changes the state where it is one of *before*,
appends one audit entry per row to that row's chain, and writes the jobs and notices of the step:
one transaction, a fixed number of statements for any number of rows.

Audit entry: the body is canonical JSON with ids, amounts, and digests only, among them the digest
of the row as the step left it (`rules/seals.py`); the commitment is SHA-256(salt ‖ body); `prev` is
the commitment of the row's entry before, so that erasing a body and its salt leaves every chain
whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Table, cast, column, insert, select, text, tuple_, update
from sqlalchemy import values as rows_of

from financing.errors import Broken, Conflict, NotFound
from financing.rules import lifecycles, seals
from financing.rules.jobs import BY_KIND
from financing.store import outbox
from financing.store.db import Tx
from financing.store.tables import audit, bank, metadata
from financing.values import canonical
from financing.values.ids import new_id
from financing.values.times import rfc3339

Facts = Mapping[str, Any]

SET = 1000  # rows in one statement; the wire allows 65,535 values


def plain(value: Any) -> Any:
    """Turn a value into what a canonical body may hold."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def create(tx: Tx, kind: str, event: str, *, facts: Facts | None = None, **values: Any) -> Row[Any]:
    """Bring one row to life by its first event and return it."""
    return create_many(tx, kind, event, [values], facts=[facts or {}])[0]


def create_many(
    tx: Tx,
    kind: str,
    event: str,
    rows: Sequence[dict[str, Any]],
    *,
    facts: Sequence[Facts] = (),
) -> list[Row[Any]]:
    """Bring many rows to life; ids are made here where the caller gave none."""
    if not rows:
        return []
    table = metadata.tables[kind]
    step = _step(kind, event, lifecycles.BORN)
    full = [
        {"id": new_id(), **row, "state": step.after, "version": 1, "changed_at": tx.now}
        for row in rows
    ]
    tx.db.execute(insert(table), full)
    born = _read(tx, table, [row["id"] for row in full])
    _record(tx, kind, step, [(row, None) for row in born], facts or [{}] * len(born))
    return born


def move(
    tx: Tx,
    kind: str,
    row_id: UUID,
    event: str,
    *,
    facts: Facts | None = None,
    **values: Any,
) -> Row[Any]:
    """Let an event happen to one row and return the row as it is afterwards.

    Args:
        facts: ids, amounts, and digests for the audit entry; no personal data, no free text.
        values: further columns that the event sets.
    Raises:
        NotFound: no such row.
        Conflict: the event is not possible in the row's state.
    """
    return move_many(tx, kind, event, [row_id], values=[values], facts=[facts or {}])[0]


def move_many(
    tx: Tx,
    kind: str,
    event: str,
    ids: Sequence[UUID],
    *,
    values: Sequence[dict[str, Any]] = (),
    facts: Sequence[Facts] = (),
) -> list[Row[Any]]:
    """Let one event happen to many distinct rows; all or none."""
    if not ids:
        return []
    table = metadata.tables[kind]
    before = {
        row.id: row
        for row in tx.rows(
            select(table).where(table.c.id.in_(sorted(ids))).order_by(table.c.id).with_for_update()
        )
    }
    steps: dict[str, list[int]] = {}
    for position, row_id in enumerate(ids):
        row = before.get(row_id)
        if row is None:
            raise NotFound(f"no such {kind.replace('_', ' ')}", where=kind)
        if lifecycles.step(kind, event, row.state) is None:
            raise Conflict(
                f"{kind.replace('_', ' ')} is {row.state}; {event} is not possible now",
                where="/state",
                remedy=f"Possible now: {_possible(kind, row.state)}.",
            )
        steps.setdefault(row.state, []).append(position)
    for state, positions in steps.items():
        step = _step(kind, event, state)
        after = state if step.after == lifecycles.SAME else step.after
        _set(tx, table, [(ids[p], values[p] if values else {}) for p in positions], after)
    now = {row.id: row for row in _read(tx, table, ids)}
    for state, positions in steps.items():
        _record(
            tx,
            kind,
            _step(kind, event, state),
            [(now[ids[p]], state) for p in positions],
            [facts[p] if facts else {} for p in positions],
        )
    return [now[row_id] for row_id in ids]


def _possible(kind: str, state: str) -> str:
    return ", ".join(lifecycles.possible(kind, state)) or "nothing"


def _step(kind: str, event: str, state: str) -> lifecycles.Step:
    step = lifecycles.step(kind, event, state)
    if step is None:
        raise Broken(f"the life cycle of {kind} has no event {event} from {state or 'birth'}")
    return step


def _set(tx: Tx, table: Table, rows: Iterable[tuple[UUID, dict[str, Any]]], after: str) -> None:
    """Write the step: one statement for each set of columns, whatever their values."""
    common: dict[str, Any] = {
        "state": after,
        "version": table.c.version + 1,
        "changed_at": tx.now,
    }
    alike: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for row_id, given in rows:
        names = tuple(sorted(given))
        alike.setdefault(names, []).append((row_id, *(given[name] for name in names)))
    for names, lines in alike.items():
        if not names:
            ids = [line[0] for line in lines]
            tx.db.execute(update(table).where(table.c.id.in_(ids)).values(**common))
            continue
        kinds = {name: table.c[name].type for name in names}
        columns = [column("id", table.c.id.type)] + [column(n, kinds[n]) for n in names]
        for start in range(0, len(lines), SET):
            new = rows_of(*columns, name="new").data(lines[start : start + SET])
            # A column of nothing but nulls would else be text.
            fresh = {name: cast(new.c[name], kind) for name, kind in kinds.items()}
            tx.db.execute(
                update(table)
                .where(table.c.id == cast(new.c.id, table.c.id.type))
                .values(**common, **fresh)
            )


def _read(tx: Tx, table: Table, ids: Sequence[UUID]) -> list[Row[Any]]:
    found = {row.id: row for row in tx.rows(select(table).where(table.c.id.in_(list(ids))))}
    return [found[row_id] for row_id in ids]


def _record(
    tx: Tx,
    kind: str,
    step: lifecycles.Step,
    rows: Sequence[tuple[Row[Any], str | None]],
    facts: Sequence[Facts],
) -> None:
    ends = [(row.id, row.version - 1) for row, _ in rows if row.version > 1]
    previous = {
        (entry.case, entry.n): entry.commitment
        for entry in (
            tx.rows(
                select(audit.c.case, audit.c.n, audit.c.commitment).where(
                    tuple_(audit.c.case, audit.c.n).in_(ends)
                )
            )
            if ends
            else ()
        )
    }
    sealed = _sealed(tx, kind, [row.id for row, _ in rows])
    entries = []
    for (row, state), known in zip(rows, facts, strict=True):
        prev = previous.get((row.id, row.version - 1))
        if row.version > 1 and prev is None:
            raise Broken("an audit chain has a gap", where=f"{kind} {row.id}")
        body = canonical.dumps(
            {
                "v": 2,
                "kind": kind,
                "case": str(row.id),
                "n": row.version,
                "at": rfc3339(tx.now),
                "actor": str(tx.actor.login_id) if tx.actor.login_id else tx.actor.role,
                "event": step.event,
                "from": state,
                "to": row.state,
                "facts": plain(known),
                "row": sealed[row.id],
                "prev": prev.hex() if prev else None,
            }
        )
        salt = os.urandom(32)
        entries.append(
            {
                "kind": kind,
                "case": row.id,
                "n": row.version,
                "event": step.event,
                "from_state": state,
                "to_state": row.state,
                "body": body,
                "salt": salt,
                "commitment": hashlib.sha256(salt + body).digest(),
                "login_id": tx.actor.login_id,
                "at": tx.now,
            }
        )
    tx.db.execute(insert(audit), entries)
    for job in step.jobs:
        _ring(tx, kind, job, [row for row, _ in rows])
    if step.notices:
        outbox.enqueue_many(
            tx,
            "notify",
            [
                (
                    BY_KIND["notify"].key.format(kind=kind, id=row.id, version=row.version),
                    "",
                    row.id,
                    {
                        "kind": kind,
                        "notices": list(step.notices),
                        "facts": plain(known),
                    },
                )
                for (row, _), known in zip(rows, facts, strict=True)
            ],
        )


def _sealed(tx: Tx, kind: str, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The digest of each row as it stands now."""
    query = text(f"SELECT id, {seals.digest(kind)} AS digest FROM {kind} x WHERE id = ANY(:ids)")  # noqa: S608 - of constants
    return {row.id: row.digest for row in tx.rows(query, {"ids": list(ids)})}


def _ring(tx: Tx, kind: str, job_kind: str, rows: Sequence[Row[Any]]) -> None:
    job = BY_KIND[job_kind]
    codes: dict[UUID, str] = {}
    if job.per_bank:
        wanted = {row.bank_id for row in rows}
        codes = {row.id: row.code for row in tx.rows(select(bank).where(bank.c.id.in_(wanted)))}
    outbox.enqueue_many(
        tx,
        job_kind,
        [
            (
                job.key.format_map({**row._mapping, "kind": kind}),
                codes[row.bank_id] if job.per_bank else "",
                row.id,
                {"kind": kind},
            )
            for row in rows
        ],
    )
