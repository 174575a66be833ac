"""Bring a database to the schema of this code; forward only."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text

from financing.errors import Conflict
from financing.store.db import reaching

HEAD = "0008"  # newest file in migrations/versions
LOCK = 0x46494E41


def current(engine: Engine) -> str | None:
    """The revision that the database is at, or None when it is empty.

    Raises:
        Unreachable: the database does not answer.
    """
    with reaching(), engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def assert_current(engine: Engine) -> None:
    """Refuse to work on a store of the operator's own that another release made.

    Raises:
        Conflict: it is not at this code's schema.
        Unreachable: the database does not answer.
    """
    if current(engine) != HEAD:
        raise Conflict(
            "the database is not at the schema of this release",
            where="DATABASE_URL",
            remedy="Run `financing migrate` first.",
        )


def migrate(engine: Engine) -> bool:
    """Migrate to HEAD as the owner; two at once wait for each other. True if anything changed.

    Raises:
        Conflict: the database is newer than this code.
    """
    at = current(engine)
    if at == HEAD:
        return False
    if at is not None and at > HEAD:
        raise Conflict(
            f"the database is at revision {at}, newer than this code ({HEAD})",
            where="DATABASE_URL",
            remedy="Run the release that made it, or a newer one.",
        )
    # Alembic takes over a second to import: only where there is something to do.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
        connection.commit()
    return True
