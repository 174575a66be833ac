"""Notices by e-mail: each once in effect, in sets over one connection.

1. `mail_due`  the mails of these rows; what is not settled, look up what they say
2. `_send`     open one connection, hand them over one by one, give back what it did not carry
3. `_settle`   write down what became of one: taken, refused, later, or unknown
4. `take_bounces` what a server took and a later one sent back did not arrive after all

A mail is marked before its content leaves. If the worker dies or the connection ends after that,
the server may have it, and no server can be asked: the mail is parked as `unknown`, and goes out
again, under the same message id, only when the operator says so. What a server puts off is tried
again for three days, then parked as `given-up`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, func, select, text, update

from financing import log
from financing.context import Context
from financing.formats.bounce import Bounce
from financing.journeys import telling
from financing.settings import MailServer
from financing.store import outbox
from financing.store.db import Tx
from financing.store.outbox import Work
from financing.store.tables import contract, login, mail, notice
from financing.values.ids import show
from notifications import smtp
from notifications.letter import Letter, written
from notifications.smtp import Away, Fate, NotMine

SENDING_S: Final = 60.0  # then no mail is begun: with the last one's time-outs it ends in the lease
UNSET_S: Final = 300.0
FIRST_WAIT_S: Final = 30.0
LONGEST_WAIT_S: Final = 6 * 3600.0
MAY_HAVE_IT: Final = (
    "unknown: the server may have it. Run again sends it once more, under the same message id."
)

IS_OLD: Final = (mail.c.queued_at < func.now() - text("interval '3 days'")).label("is_old")
LETTERS: Final = (
    select(
        mail,
        IS_OLD,
        notice.c.kind,
        notice.c.contract_id,
        login.c.role,
        contract.c.title,
        contract.c.number,
    )
    .join(notice, notice.c.id == mail.c.notice_id)
    .join(login, login.c.id == mail.c.login_id)
    .outerjoin(contract, contract.c.id == notice.c.contract_id)
)

Item = tuple[Work, Row[Any]]


def mail_due(ctx: Context, _bank: str, works: Sequence[Work]) -> None:
    """Hand the mails of these rows over to the mail server."""
    server = ctx.settings.mail
    with ctx.begin() as tx:
        rows = _rows(tx, [work.subject_id for work in works if work.subject_id])
        items: list[Item] = []
        for work in works:
            row = rows.get(work.subject_id) if work.subject_id else None
            if row is None or row.outcome in ("accepted", "bounced"):
                outbox.done(tx, [work])
            elif row.outcome is None and row.sent_at is not None:
                _write_down(tx, work, row, Fate("unknown", "the worker stopped while it sent"))
            elif server is None:
                _put_off(tx, work, row, "no mail server is set", wait_s=UNSET_S)
            else:
                items.append((work, row))
    if items and server is not None:
        _send(ctx, server, items)


def _rows(tx: Tx, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    return {row.id: row for row in tx.rows(LETTERS.where(mail.c.id.in_(ids)))}


def _send(ctx: Context, server: MailServer, items: Sequence[Item]) -> None:
    """Carry what one connection carries; the mail at which it broke has failed, the rest waits."""
    left, sent, until = deque(items), 0, monotonic() + SENDING_S
    begun = False
    why = ""
    try:
        with smtp.connected(server) as link:
            begun, goes_on = True, True
            while left and goes_on and (monotonic() < until or not sent):
                work, row = left[0]
                fate = smtp.deliver(
                    link,
                    server.sender,
                    row.address,
                    written(_letter(ctx, server, row)),
                    lambda work=work, row=row: _marked(ctx, work, row),  # type: ignore[misc]  # called within this turn
                )
                left.popleft()
                sent += 1
                goes_on = fate.goes_on
                _settle(ctx, work, row, fate)
    except NotMine:
        left.popleft()
        log.note("lease.lost", kind="mail", rows=len(left) + 1)
    except Away as away:
        why = away.detail
        log.note("mail.away", why=why, waiting=len(left))
    with ctx.begin() as tx:
        for n, (work, row) in enumerate(left):
            if why and (n == 0 or not begun):
                _put_off(tx, work, row, why)
            else:
                outbox.later(tx, work, 1, failed=False)
    log.note("mail.sent", rows=sent, left=len(left))


def _letter(ctx: Context, server: MailServer, row: Row[Any]) -> Letter:
    url = ctx.settings.url
    has_page = row.role == "supplier" and row.contract_id is not None
    return Letter(
        message_id=row.message_id,
        sender=server.sender,
        address=row.address,
        language=row.language,
        at=row.queued_at,
        kind=row.kind,
        title=row.title or "",
        number=row.number or "",
        link=f"{url}/contracts/{show('ct', row.contract_id)}" if has_page else f"{url}/inbox",
        settings_link=f"{url}/inbox",
    )


def _marked(ctx: Context, work: Work, row: Row[Any]) -> bool:
    """Commit that the content may leave from now on, unless another worker has this mail."""
    with ctx.begin() as tx:
        if not outbox.is_held(tx, work):
            return False
        tx.db.execute(update(mail).where(mail.c.id == row.id).values(sent_at=tx.now, outcome=None))
        return True


def _settle(ctx: Context, work: Work, row: Row[Any], fate: Fate) -> None:
    with ctx.begin() as tx:
        if fate.outcome == "later":
            _put_off(tx, work, row, fate.said)
        else:
            _write_down(tx, work, row, fate)


def _write_down(tx: Tx, work: Work, row: Row[Any], fate: Fate) -> None:
    """An outcome that only a person could change."""
    tx.db.execute(
        update(mail)
        .where(mail.c.id == row.id)
        .values(outcome=fate.outcome, said=fate.said, ended_at=tx.now)
    )
    if fate.outcome == "accepted":
        telling.mailed(tx, tx.rows(select(notice).where(notice.c.id == row.notice_id)))
        outbox.done(tx, [work])
        return
    error = MAY_HAVE_IT if fate.outcome == "unknown" else f"refused: {fate.said}"
    outbox.later(tx, work, 0, error=error, park=True)
    log.note(f"mail.{fate.outcome}", mail=str(row.id))


def take_bounces(tx: Tx, bounces: Sequence[Bounce]) -> int:
    """Write down which mails came back; returns how many were not known to.

    Whoever knows a message id could forge a report of it: that is its reader, and the mail servers
    on its way. It can make a mail look lost, and nothing else.
    """
    return sum(
        tx.db.execute(
            update(mail)
            .where(
                mail.c.message_id == bounce.message_id,
                mail.c.outcome.in_(("accepted", "unknown")),
            )
            .values(outcome="bounced", said=bounce.said, ended_at=tx.now)
        ).rowcount
        for bounce in bounces
    )


def _put_off(tx: Tx, work: Work, row: Row[Any], why: str, *, wait_s: float = 0) -> None:
    """Try again later, with back-off; after three days, never by itself."""
    values: dict[str, Any] = {"sent_at": None, "outcome": None, "said": why}
    if row.is_old:
        values |= {"outcome": "given-up", "ended_at": tx.now}
        log.note("mail.given-up", mail=str(row.id))
    tx.db.execute(update(mail).where(mail.c.id == row.id).values(values))
    backed_off = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(work.attempt, 16))
    wait_s = wait_s or random.uniform(0.5, 1) * backed_off  # noqa: S311  spread, no secret
    outbox.later(tx, work, wait_s, error=why, park=bool(row.is_old))
