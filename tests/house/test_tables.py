"""The migrations and the tables in the code are one schema, and its columns keep their promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from financing.store.tables import metadata

COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
           pg_get_expr(d.adbin, d.adrelid)
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind IN ('r', 'p') AND c.relname <> 'alembic_version'
"""
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
      AND conrelid::regclass::text <> 'alembic_version'
"""
INDEXES = """
    SELECT tablename, indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""


@pytest.fixture(scope="module")
def migrated(new_database: Callable[[str], str]) -> Iterator[Connection]:
    engine = create_engine(new_database("migrated"))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture(scope="module")
def declared(new_database: Callable[[str], str]) -> Iterator[Connection]:
    engine: Engine = create_engine(new_database("declared"))
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
        metadata.create_all(connection)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    "question", [COLUMNS, CONSTRAINTS, INDEXES], ids=["columns", "keys", "indexes"]
)
def test_migrations_from_empty_are_the_tables_in_the_code(
    migrated: Connection, declared: Connection, question: str
) -> None:
    by_migration = {tuple(row) for row in migrated.execute(text(question))}
    by_code = {tuple(row) for row in declared.execute(text(question))}
    assert by_migration - by_code == set()
    assert by_code - by_migration == set()


def test_amounts_are_whole_and_instants_have_a_zone(migrated: Connection) -> None:
    wrong = [
        f"{table}.{column} is {kind}"
        for table, column, kind, *_ in migrated.execute(text(COLUMNS))
        if (column.endswith("_fen") and kind != "bigint")
        or (column.endswith("_at") and kind != "timestamp with time zone")
        or (column.endswith("_on") and kind != "date")
        or kind in ("real", "double precision", "timestamp without time zone", "money")
    ]
    assert wrong == []


def test_every_reference_has_an_index_to_walk_back(migrated: Connection) -> None:
    without = migrated.execute(
        text(
            """
            SELECT k.conrelid::regclass || '.' || a.attname
            FROM pg_constraint k
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
            WHERE k.contype = 'f' AND NOT EXISTS (
                SELECT FROM pg_index i
                WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1]
            )
            """
        )
    ).scalars()
    # Nobody's login is deleted, and every entry would pay for an index that nobody asks.
    assert set(without) - {"audit.login_id"} == set()


def test_the_service_role_owns_nothing_and_cannot_take_history_back(migrated: Connection) -> None:
    owned = migrated.execute(
        text("SELECT count(*) FROM pg_class WHERE relowner = 'financing_service'::regrole")
    ).scalar_one()
    assert owned == 0
    for right in ("UPDATE", "DELETE", "TRUNCATE"):
        may = migrated.execute(
            text("SELECT has_table_privilege('financing_service', 'audit', :right)"),
            {"right": right},
        ).scalar_one()
        assert not may, f"the service may {right} audit entries"
