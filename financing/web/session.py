"""Sign-in, sessions, and the proof that a form came from a page of ours.

1. `sign_in`    name and password become a new session; wrong ones are counted and slowed down
2. `signed_in`  the cookie's session, with who it is and for whom
3. `form_token` what a form must carry: HMAC keyed by the cookie's secret, never that secret
4. `sign_out`   the session ends

A session is 256 random bits; the table holds their digest only. Sessions and waits are counted on
the wall clock: the business clock of a demo must not end them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from financing.context import Context
from financing.errors import Limited, Unauthenticated
from financing.store.db import Actor, Tx
from financing.store.tables import login, organisation, session, store_mark, throttle
from financing.values.times import wall_now

DEMO_PASSWORD: Final = "zhengzhou-demo"  # noqa: S105  shown on the sign-in page of a demo store
LIFE: Final = timedelta(hours=12)
IDLE: Final = {"bank": timedelta(minutes=15), "bureau": timedelta(minutes=15)}
IDLE_ELSE: Final = timedelta(minutes=30)
FREE_TRIES: Final = 5
LONGEST_WAIT_S: Final = 15 * 60
FORGOTTEN_AFTER: Final = timedelta(hours=1)

_hasher = PasswordHasher()
# Each hash takes 64 MiB: a flood of sign-ins must not eat the memory.
_two_at_once = threading.BoundedSemaphore(2)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who a request comes from.

    Args:
        token: the cookie's secret; keys the form token, never stored or logged.
        organisation: name of the firm, bank, or office.
    """

    token: str
    actor: Actor
    organisation: str


@dataclass(frozen=True, slots=True)
class Store:
    """What every page says of the store behind it."""

    is_demo: bool
    now: datetime


def hash_password(password: str) -> str:
    """The argon2id hash that `login.password_hash` holds."""
    with _two_at_once:
        return _hasher.hash(password)


def digest(token: str) -> bytes:
    """What the session table knows of a cookie."""
    return hashlib.sha256(token.encode()).digest()


def form_token(token: str) -> str:
    """The proof that a form was made for the holder of this cookie."""
    return hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest()


def is_form_token(token: str, given: str) -> bool:
    """Whether a form carries the proof of this cookie; equal time for every answer."""
    return hmac.compare_digest(form_token(token).encode(), given.encode())


# ── 1. Sign-in ───────────────────────────────────────────────────────────────────────────────


def sign_in(ctx: Context, name: str, password: str, address: str) -> tuple[str, str]:
    """Check name and password; returns the new session's token and the role.

    Raises:
        Limited: too many failures for this name or from this address; says how long to wait.
        Unauthenticated: name and password do not fit together, or the login is disabled.
    """
    subjects = (f"account:{name[:200]}", f"address:{address}")
    with ctx.begin() as tx:
        wait_over(tx, subjects)
        row = tx.one(select(login).where(login.c.name == name))
    fits = _verify(row.password_hash if row else nobody(), password)
    if row is None or not fits or row.disabled:
        with ctx.begin() as tx:
            count_failure(tx, subjects)
        raise Unauthenticated("name and password do not fit together", where="/password")
    token = secrets.token_urlsafe(32)
    now = wall_now()
    rehashed = hash_password(password) if _hasher.check_needs_rehash(row.password_hash) else None
    with ctx.begin() as tx:
        tx.db.execute(delete(throttle).where(throttle.c.subject == subjects[0]))
        tx.db.execute(delete(session).where(session.c.ends_at <= now))
        if rehashed:
            tx.db.execute(update(login).where(login.c.id == row.id).values(password_hash=rehashed))
        tx.db.execute(
            insert(session).values(
                digest=digest(token),
                login_id=row.id,
                created_at=now,
                seen_at=now,
                ends_at=now + LIFE,
            )
        )
    return token, row.role


@cache
def nobody() -> str:
    """A hash that no password fits: with an unknown name the answer takes the same time."""
    return hash_password(secrets.token_hex(16))


def _verify(known: str, password: str) -> bool:
    with _two_at_once:
        try:
            return _hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return False


def wait_over(tx: Tx, subjects: tuple[str, ...]) -> None:
    """Whether these names and addresses may try again.

    Raises:
        Limited: not yet; says how long to wait.
    """
    now = wall_now()
    waits = tx.rows(
        select(throttle.c.until).where(throttle.c.subject.in_(subjects), throttle.c.until > now)
    )
    if waits:
        seconds = int((max(row.until for row in waits) - now).total_seconds()) + 1
        raise Limited("too many attempts", retry_after_s=seconds)


def count_failure(tx: Tx, subjects: tuple[str, ...]) -> None:
    """Note a failure for each; from the sixth on, each doubles the wait."""
    now = wall_now()
    for subject in sorted(subjects):
        tx.db.execute(
            upsert(throttle)
            .values(subject=subject, failures=0, until=now)
            .on_conflict_do_nothing(index_elements=["subject"])
        )
        row = tx.db.execute(
            select(throttle).where(throttle.c.subject == subject).with_for_update()
        ).one()
        failures = 1 if row.until < now - FORGOTTEN_AFTER else row.failures + 1
        beyond = failures - FREE_TRIES
        wait_s = min(LONGEST_WAIT_S, 2 ** min(beyond, 20)) if beyond >= 0 else 0
        tx.db.execute(
            update(throttle)
            .where(throttle.c.subject == subject)
            .values(failures=failures, until=now + timedelta(seconds=wait_s))
        )


# ── 2. A request of somebody ─────────────────────────────────────────────────────────────────


def signed_in(tx: Tx, token: str, lang: str | None) -> SignedIn | None:
    """The live session of a cookie, or None; looking notes the time, once a minute.

    Args:
        lang: the reader's choice; None takes the login's own.
    """
    now = wall_now()
    row = tx.one(
        select(
            session.c.seen_at,
            session.c.ends_at,
            login.c.id,
            login.c.role,
            login.c.person,
            login.c.language,
            login.c.organisation_id,
            organisation.c.name,
        )
        .join(login, login.c.id == session.c.login_id)
        .join(organisation, organisation.c.id == login.c.organisation_id)
        .where(session.c.digest == digest(token), login.c.disabled.is_(False))
    )
    if row is None or row.ends_at <= now or row.seen_at + IDLE.get(row.role, IDLE_ELSE) <= now:
        return None
    if row.seen_at < now - timedelta(minutes=1):
        tx.db.execute(update(session).where(session.c.digest == digest(token)).values(seen_at=now))
    actor = Actor(row.role, row.id, row.organisation_id, row.person, lang or row.language)
    return SignedIn(token, actor, row.name)


def store(tx: Tx) -> Store:
    """Whether this is a demo's store, and its business time."""
    return Store(bool(tx.db.execute(select(store_mark.c.demo)).scalar()), tx.now)


def demo_logins(tx: Tx) -> list[tuple[str, str, str]]:
    """Name, role, and organisation of each login of a demo store, for the sign-in page."""
    rows = tx.rows(
        select(login.c.name, login.c.role, organisation.c.name.label("organisation"))
        .join(organisation, organisation.c.id == login.c.organisation_id)
        .where(login.c.disabled.is_(False))
        .order_by(login.c.created_at, login.c.name)
        .limit(30)
    )
    return [(row.name, row.role, row.organisation) for row in rows]


# ── 4. The end ───────────────────────────────────────────────────────────────────────────────


def sign_out(tx: Tx, token: str) -> None:
    """End the session; again changes nothing."""
    tx.db.execute(delete(session).where(session.c.digest == digest(token)))
