"""Engine, transaction, and row locks.

Every changing step runs in one `Tx`. The service role owns nothing, so that constraints and
insert-only tables bind the service itself; migrations alone run as the owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, Table, create_engine, select, text
from sqlalchemy.exc import OperationalError

from financing.errors import Broken, Conflict, NotFound, Unreachable
from financing.settings import Settings
from financing.values.times import civil, wall_now

if TYPE_CHECKING:
    from financing.evidence.keys import Keys

SERVICE_ROLE = "financing_service"

_open: ContextVar[int] = ContextVar("open_transactions", default=0)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a signed-in person, or a process of ours (`role` = system)."""

    role: str
    login_id: UUID | None = None
    organisation_id: UUID | None = None
    person: str = ""
    lang: str = "zh"


SYSTEM = Actor(role="system")


@dataclass(slots=True)
class Tx:
    """One open transaction.

    Attributes:
        now: business instant, aware UTC, the same for the whole transaction.
        today: civil date of `now` in Asia/Shanghai.
        rings: lanes (kind, bank) to ring once the transaction has committed.
    """

    db: Connection
    now: datetime
    actor: Actor
    settings: Settings
    keys: Keys
    rings: set[tuple[str, str]] = field(default_factory=set)

    @property
    def today(self) -> date:
        return civil(self.now)

    def rows(self, statement: Any, parameters: Any = None) -> Sequence[Row[Any]]:
        """Run a statement and return all its rows."""
        return self.db.execute(statement, parameters or {}).all()

    def one(self, statement: Any, parameters: Any = None) -> Row[Any] | None:
        """Run a statement and return its first row, or None."""
        return self.db.execute(statement, parameters or {}).first()


def open_engine(url: str, *, statement_timeout_s: int = 30, pool: int = 8) -> Engine:
    """Open a pool of connections; nothing connects until the first use."""
    options = (
        f"-c lock_timeout=5000 -c statement_timeout={statement_timeout_s * 1000}"
        f" -c idle_in_transaction_session_timeout=60000 -c timezone=UTC -c jit=off"
    )
    return create_engine(
        url,
        pool_size=pool,
        max_overflow=pool,
        pool_pre_ping=True,
        connect_args={"options": options, "connect_timeout": 10},
    )


@contextmanager
def reaching() -> Iterator[None]:
    """Call a database that does not answer by its name.

    Raises:
        Unreachable: it cannot be reached; says which variable names it.
    """
    try:
        yield
    except OperationalError as problem:
        if problem.connection_invalidated or "connection" in str(problem.orig).lower():
            raise Unreachable(
                "the database cannot be reached",
                where="DATABASE_URL",
                remedy="Start it, or check DATABASE_URL.",
            ) from problem
        raise


@contextmanager
def begin(engine: Engine, actor: Actor, settings: Settings, keys: Keys) -> Iterator[Tx]:
    """Open a transaction as the service role; commit at the end, roll back on an exception."""
    depth = _open.set(_open.get() + 1)
    try:
        with reaching(), engine.connect() as connection, connection.begin():
            clock = connection.execute(
                text("SELECT set_config('role', :role, true), (SELECT now FROM store_mark) AS now"),
                {"role": SERVICE_ROLE},
            ).one()
            if settings.live and clock.now is not None:
                raise Conflict(
                    "the store is a demo's and carries its own clock",
                    where="DATABASE_URL",
                    remedy="Use another database, or unset FINANCING_LIVE.",
                )
            yield Tx(connection, clock.now or wall_now(), actor, settings, keys)
    finally:
        _open.reset(depth)


def assert_no_transaction() -> None:
    """Refuse to talk to the outside while this thread holds a transaction open."""
    if _open.get():
        raise Broken("a transaction is open while a socket is", where="store.db")


def lock(tx: Tx, table: Table, ids: Iterable[UUID]) -> list[Row[Any]]:
    """Lock rows in ascending id; the callers keep the order of tables.

    Order everywhere: contract, account version, application, offer, claim, loan, payment.

    Raises:
        NotFound: one of the rows does not exist.
    """
    wanted = sorted(set(ids))
    rows = tx.db.execute(
        select(table).where(table.c.id.in_(wanted)).order_by(table.c.id).with_for_update()
    ).all()
    if len(rows) != len(wanted):
        raise NotFound(f"no such {table.name.replace('_', ' ')}", where=table.name)
    return list(rows)
