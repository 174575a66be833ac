"""What a process holds for its whole life: engine, keys, settings, and the bell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from financing.errors import Invalid, Limited
from financing.evidence.keys import Keys
from financing.settings import Settings
from financing.store import db
from financing.store.db import SYSTEM, Actor, Tx

Answer = TypeVar("Answer")
Ring = Callable[[str, str], None]  # lane: kind, bank


def silent(_kind: str, _bank: str) -> None:
    """A bell where none is near: the sweep of a worker finds the work."""


@dataclass(frozen=True, slots=True)
class Context:
    """Opened once per process, handed to faces and errands as an argument."""

    engine: Engine
    settings: Settings
    keys: Keys
    ring: Ring = silent

    @classmethod
    def open(
        cls, settings: Settings, *, ring: Ring = silent, statement_timeout_s: int = 30
    ) -> Context:
        """Open the context of a process whose stores are known.

        Raises:
            Invalid: no database is set.
        """
        if settings.database_url is None:
            raise Invalid("no database is set", where="DATABASE_URL", remedy="Set DATABASE_URL.")
        engine = db.open_engine(settings.database_url, statement_timeout_s=statement_timeout_s)
        return cls(engine, settings, Keys.open(settings.keys), ring)

    @contextmanager
    def begin(self, actor: Actor = SYSTEM) -> Iterator[Tx]:
        """One transaction; after its commit the lanes that it filled are rung."""
        with db.begin(self.engine, actor, self.settings, self.keys) as tx:
            yield tx
        for kind, bank in sorted(tx.rings):
            self.ring(kind, bank)

    def attempt(self, step: Callable[[Tx], Answer], actor: Actor = SYSTEM) -> Answer:
        """Run a step in a transaction; a deadlock or serialisation failure runs it again.

        Raises:
            Limited: three tries met another writer.
        """
        for _ in range(3):
            try:
                with self.begin(actor) as tx:
                    return step(tx)
            except OperationalError as problem:
                code = getattr(problem.orig, "sqlstate", None)
                if code not in ("40001", "40P01", "55P03"):
                    raise
        raise Limited("others are changing the same records", retry_after_s=1, remedy="Try again.")
