"""A state, its audit entry, and its work are one effect; the chain shows every edit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, insert, text
from sqlalchemy.exc import DBAPIError

from financing.context import Context
from financing.errors import Conflict, NotFound
from financing.store.db import Tx, assert_no_transaction
from financing.store.move import create, create_many, move, move_many
from financing.store.tables import organisation
from financing.values.ids import new_id


def parties(tx: Tx) -> tuple[UUID, UUID]:
    made = []
    for kind in ("supplier", "purchaser"):
        row_id = new_id()
        tx.db.execute(
            insert(organisation).values(
                id=row_id,
                kind=kind,
                scheme="name",
                identifier=str(row_id),
                name=kind,
                name_key=kind,
                created_at=tx.now,
            )
        )
        made.append(row_id)
    return made[0], made[1]


def contract_values(tx: Tx, supplier: UUID, purchaser: UUID) -> dict[str, Any]:
    return {
        "identity": str(new_id()),
        "profile": "generic",
        "publisher": "p",
        "ocid": "o",
        "number": "1",
        "number_key": "1",
        "number_search": "1",
        "title": "t",
        "purchaser_id": purchaser,
        "supplier_id": supplier,
        "record_version": 1,
        "currency": "CNY",
        "held_fen": 0,
        "open_fen": 0,
        "created_at": tx.now,
    }


def test_a_step_writes_state_audit_entry_and_work_together(ctx: Context, owner: Engine) -> None:
    with ctx.begin() as tx:
        born = create(tx, "contract", "record_signed", **contract_values(tx, *parties(tx)))
        moved = move(tx, "contract", born.id, "deliver", facts={"fen": 5})
    assert (born.state, born.version) == ("signed", 1)
    assert (moved.state, moved.version) == ("performing", 2)
    with owner.connect() as link:
        entries = link.execute(text("SELECT * FROM audit ORDER BY n")).all()
        keys = set(link.execute(text("SELECT key FROM outbox")).scalars())
    assert [e.n for e in entries] == [1, 2]
    for entry in entries:
        assert entry.commitment == hashlib.sha256(entry.salt + entry.body).digest()
    assert json.loads(entries[1].body)["prev"] == entries[0].commitment.hex()
    assert json.loads(entries[1].body)["facts"] == {"fen": 5}
    assert keys == {f"verify:contract:{born.id}:1", f"tell:{born.id}:1"}


def test_a_step_that_is_not_listed_changes_nothing_and_says_what_is_possible(
    ctx: Context, owner: Engine
) -> None:
    with ctx.begin() as tx:
        born = create(tx, "contract", "record_award", **contract_values(tx, *parties(tx)))
    with pytest.raises(Conflict) as refusal, ctx.begin() as tx:
        move(tx, "contract", born.id, "accept")
    assert "awarded" in refusal.value.detail
    assert "sign" in refusal.value.remedy
    with owner.connect() as link:
        assert link.execute(text("SELECT count(*) FROM audit")).scalar() == 1
        assert link.execute(text("SELECT state FROM contract")).scalar() == "awarded"


def test_a_set_moves_whole_or_not_at_all(ctx: Context, owner: Engine) -> None:
    with ctx.begin() as tx:
        pair = parties(tx)
        rows = create_many(
            tx, "contract", "record_signed", [contract_values(tx, *pair) for _ in range(50)]
        )
        odd = create(tx, "contract", "record_award", **contract_values(tx, *pair))
    with pytest.raises(Conflict), ctx.begin() as tx:
        move_many(tx, "contract", "start", [row.id for row in rows] + [odd.id])
    with pytest.raises(NotFound), ctx.begin() as tx:
        move_many(tx, "contract", "start", [rows[0].id, new_id()])
    with owner.connect() as link:
        assert link.execute(text("SELECT count(*) FROM audit WHERE n > 1")).scalar() == 0
    with ctx.begin() as tx:
        assert {r.state for r in move_many(tx, "contract", "start", [r.id for r in rows])} == {
            "performing"
        }


def test_a_set_costs_the_same_number_of_statements_for_1_and_for_100(ctx: Context) -> None:
    from sqlalchemy import event

    counts = []
    for size in (1, 100):
        with ctx.begin() as tx:
            pair = parties(tx)
            values = [contract_values(tx, *pair) for _ in range(size)]
            seen: list[str] = []
            event.listen(
                tx.db, "before_cursor_execute", lambda *a, seen=seen: seen.append(str(a[2]))
            )
            rows = create_many(tx, "contract", "record_signed", values)
            move_many(tx, "contract", "start", [row.id for row in rows])
            counts.append(len(seen))
    assert counts[0] == counts[1]


def test_the_services_role_cannot_edit_history(ctx: Context) -> None:
    with ctx.begin() as tx:
        create(tx, "contract", "record_signed", **contract_values(tx, *parties(tx)))
    for statement in (
        "UPDATE audit SET n = 9",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "DROP TABLE ledger",
        "DELETE FROM contract",
    ):
        with pytest.raises(DBAPIError), ctx.begin() as tx:
            tx.db.execute(text(statement))


def test_even_the_owner_meets_the_guard_of_insert_only_tables(owner: Engine, ctx: Context) -> None:
    with ctx.begin() as tx:
        create(tx, "contract", "record_signed", **contract_values(tx, *parties(tx)))
    for statement in ("UPDATE audit SET n = 9", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(DBAPIError, match="insert-only"), owner.begin() as link:
            link.execute(text(statement))


def test_no_socket_is_used_while_a_transaction_is_open(ctx: Context) -> None:
    assert_no_transaction()
    with ctx.begin(), pytest.raises(Exception, match="transaction is open"):
        assert_no_transaction()
    assert_no_transaction()


def test_a_live_service_refuses_a_demos_store(
    ctx: Context, set_clock: Callable[[datetime], None]
) -> None:
    set_clock(datetime(2026, 3, 2, tzinfo=UTC))
    live = replace(ctx, settings=replace(ctx.settings, live=True))
    with pytest.raises(Conflict, match="demo"), live.begin():
        pass
