"""Machines: software of an organisation that asks our API by itself.

1. `admit`  the operator makes a machine for an organisation: with the key that it brought, or with
   a secret that is shown once
2. `by_secret`, `by_key` what it holds buys a token of fifteen minutes; a live service takes a key
3. `holder` the token's machine, and what it may do
4. `retire` the machine and its tokens end

A machine is a login that nobody can sign in with, so what it does stands in the audit under its
own name. Secret and tokens are 256 random bits; the tables hold their digests only.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from financing.context import Context
from financing.errors import Invalid, NotFound, Unauthenticated, Untrusted
from financing.evidence import assertions
from financing.rules.permissions import PERMISSIONS
from financing.store.db import Actor, Tx
from financing.store.tables import (
    login,
    machine,
    machine_answer,
    machine_assertion,
    machine_token,
    organisation,
    throttle,
)
from financing.values import ids
from financing.values.ids import new_id
from financing.values.times import wall_now
from financing.web import session
from financing.web.api.openapi import OPERATIONS

LIFE: Final = timedelta(minutes=15)
ANSWERS_KEPT: Final = timedelta(days=30)
KIND_OF = {"operator": "platform"}  # a role's kind of organisation, where it has another name


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a token, and for which permissions."""

    actor: Actor
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Token:
    """A new token and the permissions that it carries."""

    text: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Admitted:
    """A new machine; `secret` is empty where it brought a key."""

    id: UUID
    secret: str
    scopes: tuple[str, ...]


def scopes_of(role: str) -> tuple[str, ...]:
    """Every permission that a machine of this role may be given: those that operations ask for."""
    asked = {name for row in OPERATIONS for name in row.permits}
    return tuple(row.name for row in PERMISSIONS if role in row.roles and row.name in asked)


# ── 1. The operator ──────────────────────────────────────────────────────────────────────────


def admit(
    tx: Tx, role: str, of: str, name: str, wanted: Sequence[str] = (), *, key_pem: str = ""
) -> Admitted:
    """Make a machine; its secret cannot be shown again.

    Args:
        of: the organisation by code, identifier, or name.
        wanted: permissions; none are all that the role has.
        key_pem: the machine's public key; then it has no secret.
    Raises:
        NotFound: no organisation of that kind and name.
        Invalid: more than one, a permission that the role does not have, or no such key.
    """
    if key_pem:
        assertions.public_key(key_pem)
    found = tx.rows(
        select(organisation).where(
            organisation.c.kind == KIND_OF.get(role, role),
            or_(
                organisation.c.code == of,
                organisation.c.identifier == of,
                organisation.c.name == of,
            ),
        )
    )
    if not found:
        raise NotFound(f"no {role} is known as {of[:80]!r}", where="--of", remedy="Check the name.")
    if len(found) > 1:
        raise Invalid(
            f"{len(found)} organisations are known as {of[:80]!r}",
            where="--of",
            remedy="Give the identifier instead.",
        )
    scopes = tuple(wanted) or scopes_of(role)
    if unknown := [scope for scope in scopes if scope not in scopes_of(role)]:
        raise Invalid(
            f"a {role} has no permission {unknown[0]!r}",
            where="--scope",
            remedy=f"Permissions are: {', '.join(scopes_of(role))}.",
        )
    machine_id, secret = new_id(), "" if key_pem else secrets.token_urlsafe(32)
    tx.db.execute(
        insert(login).values(
            id=machine_id,
            name=ids.show("mc", machine_id),
            password_hash=session.nobody(),
            role=role,
            person=name,
            organisation_id=found[0].id,
            disabled=True,
            created_at=wall_now(),
        )
    )
    tx.db.execute(
        insert(machine).values(
            login_id=machine_id,
            secret_digest=session.digest(secret) if secret else None,
            public_key_pem=key_pem or None,
            scopes=list(scopes),
            created_at=wall_now(),
        )
    )
    return Admitted(machine_id, secret, scopes)


def listed(tx: Tx) -> Sequence[Row[Any]]:
    """Every machine with its organisation, newest first."""
    return tx.rows(
        select(
            machine,
            login.c.role,
            login.c.person.label("name"),
            organisation.c.name.label("organisation"),
        )
        .join(login, login.c.id == machine.c.login_id)
        .join(organisation, organisation.c.id == login.c.organisation_id)
        .order_by(machine.c.created_at.desc(), machine.c.login_id)
    )


def retire(tx: Tx, machine_id: UUID) -> None:
    """End a machine and its tokens at once; again changes nothing.

    Raises:
        NotFound: no such machine.
    """
    tx.db.execute(delete(machine_token).where(machine_token.c.login_id == machine_id))
    ended = tx.one(
        update(machine)
        .where(machine.c.login_id == machine_id)
        .values(retired_at=func.coalesce(machine.c.retired_at, wall_now()))
        .returning(machine.c.login_id)
    )
    if ended is None:
        raise NotFound("no such machine", where="machine", remedy="See `financing machines list`.")


# ── 2. What it holds buys a token ────────────────────────────────────────────────────────────


def by_secret(ctx: Context, name: str, secret: str, wanted: Sequence[str], address: str) -> Token:
    """A new token for a machine that knows its secret.

    Args:
        name: the machine's id, `mc_…`.
        wanted: permissions to carry; none are all that the machine has.
    Raises:
        Limited: too many failures for this machine or from this address.
        Unauthenticated: id and secret do not fit together, the machine is retired, or the service
            is live and takes keys only.
        Invalid: a permission that the machine does not have.
    """
    row = _known(ctx, name, address)
    fits = row is not None and hmac.compare_digest(row.secret_digest or b"", session.digest(secret))
    if row is None or not fits or ctx.settings.live:
        raise _failed(ctx, name, address, "id and secret do not fit together")
    return _token(ctx, row, wanted)


def by_key(
    ctx: Context, assertion: str, audience: str, wanted: Sequence[str], address: str
) -> Token:
    """A new token for a machine that signed a statement with its key; each buys one token.

    Raises:
        Limited: too many failures for this machine or from this address.
        Unauthenticated: the statement does not hold, or was used before; says which.
        Invalid: a permission that the machine does not have.
    Source: RFC 7523, section 2.2.
    """
    name = assertions.subject(assertion)
    row = _known(ctx, name, address)
    if row is None or row.public_key_pem is None:
        raise _failed(ctx, name, address, "no machine with a key has the id in sub")
    now = wall_now()
    try:
        proof = assertions.verify(
            assertion, row.public_key_pem, of=name, audience=audience, now=now
        )
    except Untrusted as refusal:
        raise _failed(ctx, name, address, refusal.detail) from refusal
    with ctx.begin() as tx:
        tx.db.execute(
            delete(machine_assertion).where(
                machine_assertion.c.ends_at < now - assertions.MOST_LIFE
            )
        )
        is_new = tx.one(
            upsert(machine_assertion)
            .values(login_id=row.login_id, jti=proof.jti, ends_at=proof.ends_at)
            .on_conflict_do_nothing()
            .returning(machine_assertion.c.jti)
        )
    if is_new is None:
        raise _failed(ctx, name, address, "the statement was used before")
    return _token(ctx, row, wanted)


def _subjects(name: str, address: str) -> tuple[str, str]:
    return f"machine:{name[:64]}", f"address:{address}"


def _known(ctx: Context, name: str, address: str) -> Row[Any] | None:
    with ctx.begin() as tx:
        session.wait_over(tx, _subjects(name, address))
        return tx.one(
            select(machine, login.c.name)
            .join(login, login.c.id == machine.c.login_id)
            .where(login.c.name == name, machine.c.retired_at.is_(None))
        )


def _failed(ctx: Context, name: str, address: str, why: str) -> Unauthenticated:
    with ctx.begin() as tx:
        session.count_failure(tx, _subjects(name, address))
    return Unauthenticated(why, where="Authorization")


def _token(ctx: Context, row: Row[Any], wanted: Sequence[str]) -> Token:
    scopes = tuple(dict.fromkeys(wanted)) or tuple(row.scopes)
    if not set(scopes) <= set(row.scopes):
        raise Invalid("a scope that this machine does not have", where="scope")
    token, now = secrets.token_urlsafe(32), wall_now()
    with ctx.begin() as tx:
        tx.db.execute(delete(throttle).where(throttle.c.subject == _subjects(row.name, "")[0]))
        tx.db.execute(delete(machine_token).where(machine_token.c.ends_at <= now))
        tx.db.execute(delete(machine_answer).where(machine_answer.c.at <= now - ANSWERS_KEPT))
        tx.db.execute(
            insert(machine_token).values(
                digest=session.digest(token),
                login_id=row.login_id,
                scopes=list(scopes),
                ends_at=now + LIFE,
            )
        )
    return Token(token, scopes)


# ── 3. The token's machine ───────────────────────────────────────────────────────────────────


def holder(tx: Tx, token: str, lang: str) -> Holder | None:
    """The machine that holds a live token, or None."""
    row = tx.one(
        select(
            machine_token.c.scopes,
            login.c.id,
            login.c.role,
            login.c.person,
            login.c.organisation_id,
        )
        .join(machine, machine.c.login_id == machine_token.c.login_id)
        .join(login, login.c.id == machine.c.login_id)
        .where(
            machine_token.c.digest == session.digest(token),
            machine_token.c.ends_at > wall_now(),
            machine.c.retired_at.is_(None),
        )
    )
    if row is None:
        return None
    actor = Actor(row.role, row.id, row.organisation_id, row.person, lang)
    return Holder(actor, frozenset(row.scopes))
