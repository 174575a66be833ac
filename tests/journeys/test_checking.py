"""Each invariant holds in a store with a history, and names the row that somebody edits."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from financing.context import Context
from financing.errors import Invalid
from financing.journeys import checking
from financing.rules.invariants import INVARIANTS
from financing.settings import Settings
from financing.store.db import SYSTEM, Tx
from tests import verifying
from tests.paying import NOW, OTHER_ACCOUNT, PURCHASER, Part, World, case
from tests.statements_made import Line, Made

# What somebody does to the store behind its back, and the invariant that must see it.
EDITS = [
    ("I1", "UPDATE ledger SET debit_fen = debit_fen + 1 WHERE id = (SELECT min(id) FROM ledger"
           " WHERE debit_fen > 0)"),
    ("I2", "UPDATE payment SET amount_fen = amount_fen + 1 WHERE state = 'allocated'"),
    ("I2", "UPDATE payment SET amount_fen = amount_fen + 1 WHERE state = 'diverted'"),
    ("I2", "UPDATE contract SET open_fen = open_fen + 100000000"),
    ("I2", "UPDATE contract SET open_fen = open_fen + 100000000 WHERE number = 'QUIET-1'"),
    ("I3", "UPDATE contract SET held_fen = held_fen + 1"),
    ("I3", "UPDATE contract SET held_fen = 5, open_fen = 4 WHERE number = 'QUIET-1'"),
    ("I4", "UPDATE claim SET state = 'released' WHERE state = 'held'"),
    ("I4", "UPDATE application SET state = 'refused' WHERE state = 'drawn'"),
    ("I5", "UPDATE loan SET drawn_fen = drawn_fen - 1"),
    ("I5", "UPDATE offer SET amount_fen = amount_fen - 1"),
    ("I5", "UPDATE drawdown SET amount_fen = amount_fen + 1"),
    ("I6", "UPDATE payment SET state = 'matched' WHERE state = 'allocated'"),
    ("I6", "UPDATE loan SET version = version + 1"),
    ("I6", "UPDATE contract SET amount_fen = amount_fen + 1"),
    ("I6", "UPDATE release SET raw = 'other'"),
    ("I6", "UPDATE application SET amount_fen = amount_fen + 1"),
    ("I6", "UPDATE offer SET rate_bp = '1'"),
    ("I6", "UPDATE loan SET rate_bp = '1'"),
    ("I6", "UPDATE claim SET share_bp = share_bp + 1"),
    ("I6", "UPDATE bank_account SET number_sealed = 'other'"),
    ("I6", "UPDATE bank_account SET last4 = '0000'"),
    ("I6", "UPDATE ledger SET \"on\" = \"on\" - 1 WHERE event = 'drawdown'"),
    ("I6", "UPDATE account_consent SET at = at - interval '1 day'"),
    ("I6", "UPDATE consent SET text_digest = 'other'"),
    ("I6", "UPDATE drawdown SET \"on\" = \"on\" - 1"),
    ("I6", "UPDATE payment SET value_on = value_on - 1"),
    ("I6", "UPDATE ledger SET debit_fen = debit_fen * 2, credit_fen = credit_fen * 2"
           " WHERE payment_id IN (SELECT id FROM payment WHERE state = 'allocated')"),
    ("I6", "UPDATE audit SET event = 'unpay' WHERE event = 'allocate'"),
    ("I6", "DELETE FROM audit WHERE kind = 'contract' AND (\"case\", n) IN"
           " (SELECT \"case\", max(n) FROM audit GROUP BY \"case\")"),
    ("I7", "UPDATE audit SET body = convert_to(replace(convert_from(body, 'UTF8'), '\"v\":2',"
           " '\"v\":3'), 'UTF8') WHERE id = (SELECT min(id) FROM audit)"),
    ("I7", "UPDATE audit SET body = convert_to(replace(convert_from(body, 'UTF8'), '\"v\":2',"
           " '\"v\":3'), 'UTF8'), commitment = sha256(salt || convert_to(replace(convert_from(body,"
           " 'UTF8'), '\"v\":2', '\"v\":3'), 'UTF8')) WHERE kind = 'loan' AND n = 1"),
    ("I7", "DELETE FROM audit WHERE kind = 'loan' AND n = 2"),
    ("I7", "UPDATE audit SET login_id = gen_random_uuid() WHERE kind = 'loan'"),
    ("I7", "UPDATE audit SET \"at\" = \"at\" - interval '1 day' WHERE event = 'allocate'"),
    ("I7", "UPDATE audit SET event = 'hold' WHERE event = 'draw' AND kind = 'application'"),
    ("I7", "UPDATE audit SET n = -n WHERE kind = 'loan' AND n IN (1, 2);"
     " UPDATE audit SET n = 3 + n WHERE n < 0"),
    ("I7", "UPDATE audit SET body = '\\xff' WHERE kind = 'loan' AND n = 1"),
    ("I7", "UPDATE audit SET body = 'x', commitment = sha256(salt || 'x') WHERE kind = 'loan'"),
    ("I7", "UPDATE audit SET body = '\\xff', commitment = sha256(salt || '\\xff') WHERE n = 1"),
    ("I9", "DELETE FROM outbox WHERE kind = 'match'"),
    ("I9", "DELETE FROM outbox WHERE kind = 'notify'"),
    ("I9", "UPDATE application SET state = 'sending'; UPDATE outbox SET done = now()"),
    ("I10", "INSERT INTO beat VALUES ('w', now());"
            " UPDATE outbox SET done = NULL, due = now() - interval '1 hour' WHERE kind = 'match'"),
    ("I11", "UPDATE inbox SET raw = 'other'"),
    ("I11", "UPDATE inbox SET outcome = NULL"),
    ("I12", "DELETE FROM entry_source WHERE entry_id = (SELECT min(entry_id::text)::uuid"
            " FROM entry_source)"),
    ("I13", "UPDATE entry SET amount_fen = amount_fen + 1"),
    ("I13", "UPDATE statement SET closing_fen = closing_fen + 1"),
    ("I14", "DELETE FROM entry_source"),
    ("I14", "DELETE FROM payment WHERE state = 'allocated'"),
    ("I14", "UPDATE entry SET is_reversal = true WHERE amount_fen > 0"),
    ("I14", "UPDATE payment SET reversed_by = NULL"),
    ("I14", "UPDATE payment SET reversed_by = (SELECT id FROM entry WHERE is_reversal)"),
    ("I15", "UPDATE ledger SET payment_id = NULL WHERE event = 'paid'"),
    ("I15", "UPDATE ledger SET account = 'CLEARING' WHERE account = 'COLLECTED' AND debit_fen > 0"),
    ("I15", "UPDATE ledger SET debit_fen = debit_fen / 2 WHERE account = 'PRINCIPAL'"
            " AND debit_fen > 0"),
    ("I15", "UPDATE ledger SET debit_fen = debit_fen * 2 WHERE event = 'collected'"),
    ("I16", "UPDATE payment p SET account_id = (SELECT id FROM bank_account a"
            " WHERE a.id <> p.account_id LIMIT 1) WHERE state = 'allocated'"),
    ("I16", "UPDATE account_version SET from_on = '2026-03-30'"),
    ("I16", "UPDATE payment p SET account_id = v.account_id FROM account_version v"
            " WHERE v.contract_id = p.contract_id AND p.state = 'diverted'"),
    ("I16", "DELETE FROM notice WHERE kind = 'DIVERTED'"),
    ("I16", "UPDATE notice SET \"at\" = \"at\" + interval '2 minutes' WHERE kind = 'DIVERTED'"),
    ("I17", "UPDATE packet SET manifest = 'other'"),
    ("I17", "UPDATE blob SET bytes = 'other' WHERE digest IN (SELECT digest FROM packet_part)"),
    ("I17", "UPDATE application SET contract_version_id = gen_random_uuid()"
            " WHERE packet_id IS NOT NULL"),
    ("I18", "UPDATE consent SET bank_id = gen_random_uuid()"),
    ("I18", "UPDATE consent SET given_at = given_at + interval '1 day'"),
    ("I18", "DELETE FROM consent"),
    ("I19", "DELETE FROM account_consent WHERE role = 'purchaser'"),
    ("I19", "UPDATE account_version SET digest = 'other'"),
    ("I19", "UPDATE account_version SET state = 'active' WHERE state = 'locked'"),
    ("I19", "DELETE FROM audit WHERE event = 'lock' AND kind = 'application'"),
    ("I20", "UPDATE application SET bank_reference = 'same';"
            " UPDATE application SET bank_id = (SELECT min(id::text)::uuid FROM bank)"),
    ("I20", "UPDATE offer SET state = 'open'"),
    ("TOLD", "DELETE FROM telling"),
]  # fmt: skip


@pytest.fixture(scope="module")
def history(
    new_database: Callable[[str], str], settings: Settings
) -> Iterator[tuple[Context, Engine]]:
    """A store in which loans were drawn, paid, diverted, reversed, and settled."""
    url = new_database("checked")
    ctx = Context.open(replace(settings, database_url=url))
    owner = create_engine(url, connect_args={"options": "-c timezone=UTC"})
    with owner.begin() as link:
        link.execute(text("INSERT INTO store_mark (demo, now) VALUES (true, :now)"), {"now": NOW})
    world = World(ctx, owner)
    _live(world)
    yield ctx, owner
    ctx.engine.dispose()
    owner.dispose()


def _live(world: World) -> None:
    world.party("bureau", "财政局")
    known = case(world, 1_000_00, [Part(1_000_00, retention_fen=50_00, accepted_on=None)])
    world.loan(known.contract, "bank-a", 500_00)
    settled = world.contract(known.supplier, known.purchaser, "ZZCG-2026-200", 300_00)
    account = world.account(known.supplier, "8888999900001111")
    world.designate(settled, account)
    paid_back = world.loan(settled, "bank-b", 100_00, rate_bp="0")
    world.contract(known.supplier, known.purchaser, "QUIET-1", 10_00)
    said = Line("10.00", known.number, ref="1")
    batch = Line("9.00", ref="4", parts=(("4.00", f"{known.number} a"), ("5.00", "房租")))
    world.arrive(
        Made(
            (
                said,
                replace(said, amount="20.00", ref="2", end_to_end="E"),
                Line("-20.00", reversal=True, end_to_end="E", ref="3"),
                batch,
                Line("7.00", on="2026-02-30"),
                Line("0.00", "info"),
                Line("-1.00", "fee", ref="5"),
            )
        )
    )
    world.arrive(Made((replace(said, amount="30.00"),), account=OTHER_ACCOUNT), "d.xml")
    world.arrive(
        Made((Line("300.00", "ZZCG-2026-200", name=PURCHASER),), account="8888999900001111"),
        "e.xml",
    )
    assert world.bank_says_settled(paid_back)
    with world.owner.begin() as link:
        link.execute(
            text(
                "INSERT INTO inbox (id, source, message_id, digest, raw, received_at, outcome)"
                " VALUES (gen_random_uuid(), 'bank-a', 'm', encode(sha256('x'::bytea), 'hex'), 'x',"
                " now(), 'applied')"
            )
        )
        link.execute(
            text(
                "WITH b AS (INSERT INTO blob VALUES ('sha-256:' || encode(sha256('y'::bytea),"
                " 'hex'), 'y') RETURNING digest)"
                " INSERT INTO packet_part SELECT p.id, 1, 'n', 't', b.digest FROM packet p, b"
            )
        )


def found(ctx: Context, *names: str) -> dict[str, checking.Finding]:
    with ctx.begin() as tx:
        return {each.id: each for each in checking.check(tx, names)}


def test_what_an_older_release_wrote_owes_what_it_owed_then(
    history: tuple[Context, Engine],
) -> None:
    ctx, owner = history
    body = "convert_to(replace(convert_from(body, 'UTF8'), '\"v\":2', '\"v\":1'), 'UTF8')"
    with owner.connect() as link:  # never committed
        link.exec_driver_sql("SET LOCAL session_replication_role = replica")
        link.exec_driver_sql("DELETE FROM outbox WHERE kind IN ('verify', 'notify')")
        link.exec_driver_sql(f"UPDATE audit SET body = {body}, commitment = sha256(salt || {body})")
        (found,) = checking.check(Tx(link, NOW, SYSTEM, ctx.settings, ctx.keys), ["I9"])
        assert found.holds


def test_an_edited_fact_of_a_record_is_named(
    ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]
) -> None:
    set_clock(verifying.OPENING)
    world = verifying.World(ctx, owner, set_clock)
    (row,) = world.publish(verifying.release(1))
    world.work()
    assert all(each.holds for each in found(ctx).values())
    with owner.begin() as link:
        link.exec_driver_sql("SET LOCAL session_replication_role = replica")
        link.exec_driver_sql('UPDATE contract_version SET facts = facts || \'{"number": "X"}\'')
    assert found(ctx)["I6"].rows == (
        (str(row.id), "contract says other than its chain has sealed"),
    )


def test_all_invariants_hold_in_a_store_with_a_history(history: tuple[Context, Engine]) -> None:
    ctx, owner = history
    broken = {each.id: each.rows for each in found(ctx).values() if not each.holds}
    assert broken == {}
    with owner.connect() as link:
        states = set(link.execute(text("SELECT state FROM payment")).scalars())
        loans = set(link.execute(text("SELECT state FROM loan")).scalars())
    assert states == {"allocated", "reversed", "diverted", "exception"}
    assert loans == {"repaying", "settled"}


@pytest.mark.parametrize(
    ("name", "edit"), EDITS, ids=[f"{n}-{k}" for k, (n, _) in enumerate(EDITS)]
)
def test_an_edit_behind_the_back_of_the_service_is_named(
    history: tuple[Context, Engine], name: str, edit: str
) -> None:
    ctx, owner = history
    with owner.connect() as link:  # never committed
        link.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for statement in edit.split(";"):
            link.exec_driver_sql(statement)
        finding = checking.check(Tx(link, NOW, SYSTEM, ctx.settings, ctx.keys), [name])[0]
    assert not finding.holds
    assert finding.rows[0][1]
    assert finding.count >= len(finding.rows)


def test_every_invariant_is_broken_by_some_test() -> None:
    assert {row.id for row in INVARIANTS} == {name for name, _ in EDITS}


def test_an_unknown_name_is_refused_with_the_known_ones(ctx: Context) -> None:
    with pytest.raises(Invalid, match="no invariant I99") as refused:
        found(ctx, "I99")
    assert "I7" in refused.value.remedy


# The command


def test_the_command_says_what_holds_and_exits_by_it(
    command: Callable[..., subprocess.CompletedProcess[str]],
    ctx: Context,
    owner: Engine,
    set_clock: Callable[[datetime], None],
) -> None:
    set_clock(NOW)
    world = World(ctx, owner)
    case(world)
    good = command("check", "--json", "I1", "I3", "I7")
    assert good.returncode == 0, good.stderr
    document = json.loads(good.stdout)
    assert document["holds"] is True
    assert [each["id"] for each in document["invariants"]] == ["I1", "I3", "I7"]
    with owner.begin() as link:
        link.execute(text("UPDATE contract SET held_fen = 7"))
    bad = command("check", "--json")
    assert bad.returncode == 1
    answer: dict[str, Any] = json.loads(bad.stdout)
    assert answer["holds"] is False
    broken = next(each for each in answer["invariants"] if each["id"] == "I3")
    assert (broken["holds"], len(broken["rows"])) == (False, 1)
    assert set(broken["sentence"]) == {"zh", "en"}
    shown = command("check", "--lang", "en")
    assert "✗ I3" in shown.stdout
    assert command("check", "I99").returncode == 2
