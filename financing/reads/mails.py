"""What became of e-mails: for the operator all of them, without content; for a person its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, case, func, select, text, update

from financing.store.db import Tx
from financing.store.tables import login, mail, notice, telling

MOST = 50
LATELY = mail.c.queued_at > func.now() - text("interval '7 days'")
OUTCOME = func.coalesce(mail.c.outcome, "waiting").label("outcome")


def counts(tx: Tx) -> Sequence[Row[Any]]:
    """How many mails of the last seven days have which outcome."""
    return tx.rows(
        select(OUTCOME, func.count().label("n")).where(LATELY).group_by(OUTCOME).order_by(OUTCOME)
    )


def troubles(tx: Tx) -> Sequence[Row[Any]]:
    """Mails of the last seven days that did not arrive, or wait after a failure, newest first."""
    return tx.rows(
        select(
            OUTCOME,
            mail.c.address,
            mail.c.said,
            func.coalesce(mail.c.ended_at, mail.c.queued_at).label("at"),
            notice.c.kind,
        )
        .join(notice, notice.c.id == mail.c.notice_id)
        .where(LATELY, mail.c.outcome.is_distinct_from("accepted"), mail.c.said.is_not(None))
        .order_by(mail.c.queued_at.desc(), mail.c.id.desc())
        .limit(MOST)
    )


def came_back() -> ColumnElement[bool]:
    """Whether of a telling by e-mail no mail has arrived after all: a condition of its row."""
    arrived = (
        select(mail.c.id)
        .join(notice, notice.c.id == mail.c.notice_id)
        .where(
            notice.c.contract_id == telling.c.contract_id,
            notice.c.kind
            == case((telling.c.kind == "general", "TELL-WINNER"), else_="TELL-CAPACITY"),
            mail.c.outcome == "accepted",
        )
        .correlate(telling)
    )
    return (telling.c.channel == "email") & ~arrived.exists()


def own_address(tx: Tx) -> str:
    """Where the actor wants notices too; empty for nowhere."""
    row = tx.one(select(login.c.email).where(login.c.id == tx.actor.login_id))
    return (row and row.email) or ""


def set_own_address(tx: Tx, address: str) -> None:
    """Send the actor's notices to this address from now on; empty for nowhere."""
    tx.db.execute(
        update(login).where(login.c.id == tx.actor.login_id).values(email=address or None)
    )


def own_trouble(tx: Tx) -> Row[Any] | None:
    """The latest ended mail to the actor's present address, if that did not arrive."""
    row = tx.one(
        select(mail.c.address, mail.c.outcome, mail.c.ended_at)
        .join(login, login.c.id == mail.c.login_id)
        .where(
            login.c.id == tx.actor.login_id,
            mail.c.address == login.c.email,
            mail.c.outcome.is_not(None),
        )
        .order_by(mail.c.ended_at.desc(), mail.c.id.desc())
        .limit(1)
    )
    return row if row and row.outcome in ("refused", "bounced") else None
