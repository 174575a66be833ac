"""People who sign in, as the operator lets them in and out.

1. `admit`         a new person of an organisation, with a password of their own
2. `listed`        everybody, and how many sessions each has open
3. `change`        a new password for somebody who forgot it; who was let out is in again
4. `disable`       somebody may not sign in any more; their sessions end at once

The first operator is let in here, from the machine itself: no page could ask who is asking.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from financing import log
from financing.errors import Conflict, Invalid, NotFound
from financing.rules.permissions import ROLES
from financing.store.db import Tx
from financing.store.tables import login, machine, organisation, session
from financing.values.ids import new_id
from financing.values.text import clean, name_key
from financing.values.times import wall_now
from financing.web.machines import KIND_OF
from financing.web.session import DEMO_PASSWORD, hash_password

LEAST_PASSWORD: Final = 15  # Source: NIST SP 800-63B-4, section 3.1.1.2: the only factor
MOST_PASSWORD: Final = 200
LEAST_LETTERS: Final = 6  # different ones in a password
# Offices that no record and no registration brings in: the operator names them.
FOUNDED: Final = ("bureau", "operator")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.@-]{1,63}")


# ── 1. In ────────────────────────────────────────────────────────────────────────────────────


def expected(tx: Tx, name: str, role: str, of: str, *, new: bool = False) -> str:
    """Whether a person could be let in so; asked before anybody types a password.

    Args:
        of: the organisation by code, identifier, or name.
        new: the organisation is not known yet and shall be made (bureau and operator only).
    Returns:
        The organisation's name.
    Raises:
        Invalid: no name for a sign-in, no such role, several organisations of that name, or one
            that comes by itself.
        Conflict: the name is taken, or the new organisation is known already.
        NotFound: no organisation of that kind and name.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(
            "a name to sign in with has 2 to 64 of a-z, 0-9, dot, hyphen, and @",
            where="NAME",
            remedy="Begin with a letter or a digit; capitals are not told apart from others.",
        )
    if role not in ROLES:
        raise Invalid(
            f"there is no role {role[:40]!r}",
            where="--role",
            remedy=f"Roles are: {', '.join(ROLES)}.",
        )
    if tx.one(select(login.c.id).where(login.c.name == name)) is not None:
        raise _taken(name)
    found = _organisations(tx, role, of)
    if new:
        return _founded(role, of, known=bool(found))
    if len(found) > 1:
        raise Invalid(
            f"{len(found)} organisations are known as {of[:80]!r}",
            where="--organisation",
            remedy="Give the identifier instead.",
        )
    if not found:
        raise NotFound(
            f"no {KIND_OF.get(role, role)} is known as {of[:80]!r}",
            where="--organisation",
            remedy=_how_it_comes(tx, role),
        )
    return str(found[0].name)


def admit(
    tx: Tx, name: str, role: str, of: str, password: str, *, person: str = "", new: bool = False
) -> UUID:
    """Let a person in; returns the id of the login.

    Args:
        of, new: as for `expected`.
        person: how the pages call them; the name they sign in with where it is empty.
    Raises:
        Invalid, Conflict, NotFound: as for `expected`; and a password that is easily guessed.
    """
    known_as = expected(tx, name, role, of, new=new)
    assert_strong(password, name, known_as)
    where = _found(tx, role, known_as) if new else _organisations(tx, role, of)[0].id
    person_id = new_id()
    added = tx.one(
        upsert(login)
        .values(
            id=person_id,
            name=name,
            password_hash=hash_password(password),
            role=role,
            person=clean(person) or name,
            organisation_id=where,
            created_at=wall_now(),
        )
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(login.c.id)
    )
    if added is None:  # somebody was let in by this name while the password was typed
        raise _taken(name)
    log.note("people.added", login=person_id, role=role, organisation=where)
    return person_id


def assert_strong(password: str, *known: str) -> None:
    """Refuse a password that is short or easily guessed.

    Args:
        known: what stands beside it: the name and the organisation.
    Raises:
        Invalid: says which.
    Source: NIST SP 800-63B-4, section 3.1.1.2 (length and blocklist; no rules of composition).
    """
    small = password.casefold()
    follow = sum(abs(ord(b) - ord(a)) <= 1 for a, b in pairwise(small))
    why = ""
    if len(password) < LEAST_PASSWORD:
        why = f"the password has {len(password)} characters"
    elif len(password) > MOST_PASSWORD:
        why = f"the password has more than {MOST_PASSWORD} characters"
    elif len(set(small)) < LEAST_LETTERS or follow > len(small) // 2:
        why = "the password repeats or counts"
    elif DEMO_PASSWORD in small:
        why = "the password is the demo's, which everybody may read"
    elif any(len(one) > 3 and small.replace(one.casefold(), "").strip() == "" for one in known):
        why = "the password is the name"
    if why:
        raise Invalid(
            why,
            where="password",
            remedy=f"Take {LEAST_PASSWORD} characters or more: some words that belong together"
            " for nobody else.",
        )


def _taken(name: str) -> Conflict:
    return Conflict(
        f"{name} signs in here already",
        where="NAME",
        remedy="Choose another name, or see `financing people list`.",
    )


def _organisations(tx: Tx, role: str, of: str) -> Sequence[Row[Any]]:
    return tx.rows(
        select(organisation.c.id, organisation.c.name).where(
            organisation.c.kind == KIND_OF.get(role, role),
            or_(
                organisation.c.code == of,
                organisation.c.identifier == of,
                organisation.c.name == of,
            ),
        )
    )


def _founded(role: str, of: str, *, known: bool) -> str:
    """The name of an organisation that is to be made."""
    if role not in FOUNDED:
        raise Invalid(
            f"a {role} is not made by hand",
            where="--new",
            remedy="Suppliers and purchasers come with their records (`financing import`), banks"
            " by their registration.",
        )
    if known:
        raise Conflict(f"{of[:80]!r} is known already", where="--new", remedy="Leave out --new.")
    if not clean(of):
        raise Invalid("the organisation has no name", where="--organisation", remedy="Name it.")
    return clean(of)


def _found(tx: Tx, role: str, of: str) -> UUID:
    new = new_id()
    tx.db.execute(
        insert(organisation).values(
            id=new,
            kind=KIND_OF.get(role, role),
            scheme="name",
            identifier=name_key(of),
            name=of,
            name_key=name_key(of),
            created_at=wall_now(),
        )
    )
    return new


def _how_it_comes(tx: Tx, role: str) -> str:
    kind = KIND_OF.get(role, role)
    known = tx.rows(
        select(organisation.c.name)
        .where(organisation.c.kind == kind)
        .order_by(organisation.c.name)
        .limit(4)
    )
    names = ", ".join(row.name for row in known[:3]) + (", …" if len(known) > 3 else "")
    if role in FOUNDED:
        return (f"Known: {names}. " if known else "") + "Add --new to make it."
    how = "import its records" if role != "bank" else "register it"
    return f"Known: {names}." if known else f"There is none yet: {how} first."


# ── 2. Who is in ─────────────────────────────────────────────────────────────────────────────


def listed(tx: Tx) -> Sequence[Row[Any]]:
    """Every person with organisation and open sessions, oldest first; machines are elsewhere."""
    live = (
        select(func.count())
        .select_from(session)
        .where(session.c.login_id == login.c.id, session.c.ends_at > wall_now())
        .scalar_subquery()
    )
    return tx.rows(
        select(
            login.c.id,
            login.c.name,
            login.c.role,
            login.c.person,
            login.c.disabled,
            login.c.created_at,
            organisation.c.name.label("organisation"),
            live.label("sessions"),
        )
        .join(organisation, organisation.c.id == login.c.organisation_id)
        .where(~exists().where(machine.c.login_id == login.c.id))
        .order_by(login.c.created_at, login.c.name)
    )


def known(tx: Tx, name: str) -> Row[Any]:
    """The person of this name.

    Raises:
        NotFound: nobody, or a machine.
    """
    row = tx.one(
        select(login.c.id, login.c.name, organisation.c.name.label("organisation"))
        .join(organisation, organisation.c.id == login.c.organisation_id)
        .where(login.c.name == name, ~exists().where(machine.c.login_id == login.c.id))
    )
    if row is None:
        raise NotFound(
            f"nobody signs in as {name[:80]!r}",
            where="NAME",
            remedy="See `financing people list`; of machines, `financing machines list`.",
        )
    return row


# ── 3. A new password ────────────────────────────────────────────────────────────────────────


def change(tx: Tx, name: str, password: str) -> int:
    """Give somebody a new password and let them in again; returns how many sessions ended.

    Raises:
        NotFound: nobody of that name.
        Invalid: a password that is easily guessed.
    """
    row = known(tx, name)
    assert_strong(password, name, row.organisation)
    tx.db.execute(
        update(login)
        .where(login.c.id == row.id)
        .values(password_hash=hash_password(password), disabled=False)
    )
    ended = _end_sessions(tx, row.id)
    log.note("people.changed", login=row.id, sessions=ended)
    return ended


# ── 4. Out ───────────────────────────────────────────────────────────────────────────────────


def disable(tx: Tx, name: str) -> int:
    """Keep somebody out from now on; again changes nothing. Returns how many sessions ended.

    Raises:
        NotFound: nobody of that name.
    """
    row = known(tx, name)
    tx.db.execute(update(login).where(login.c.id == row.id).values(disabled=True))
    ended = _end_sessions(tx, row.id)
    log.note("people.disabled", login=row.id, sessions=ended)
    return ended


def _end_sessions(tx: Tx, login_id: UUID) -> int:
    return tx.db.execute(delete(session).where(session.c.login_id == login_id)).rowcount
