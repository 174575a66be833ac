"""An event of a bank comes in: proved, kept, answered; its effect follows (`answers.py`).

1. `receive`  whose is it, is it signed, is it new? Kept before it is answered
2. `refuse`   what is not the bank's is counted, by cause and address, and nothing of it is kept

Nothing of a body is read before its signature holds. An id is known for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from bank_adapters import registry
from bank_adapters.port import BankError
from financing.context import Context
from financing.errors import Conflict, Invalid, Limited, Untrusted
from financing.evidence import webhook_signature
from financing.evidence.http_signature import Message
from financing.journeys import answers, banks
from financing.store import inbox as kept
from financing.store import outbox
from financing.store.db import Tx
from financing.store.tables import bank, refused_event
from financing.values.times import rfc3339, wall_now

PATH: Final = "/api/v1/webhooks/banks/"
MOST_REFUSED: Final = 20  # messages a minute from one address, before it is not looked at any more


class Replayed(Conflict):
    """An id that is known, with another body under a good signature."""

    slug = "replayed-other-body"


@dataclass(frozen=True, slots=True)
class Sent:
    """What came over the socket.

    Args:
        headers: names in lower case; one that came twice is joined with a comma.
        address: of whoever sent it, as the socket says.
    """

    headers: Mapping[str, str]
    body: bytes
    address: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and body of the answer to a bank's event."""

    status: int
    body: Mapping[str, Any]


def receive(ctx: Context, bank_code: str, sent: Sent) -> Reply:
    """Check the signature, keep the event, answer.

    Raises:
        NotFound: no such bank.
        Limited: too much from this address was no bank's.
        Untrusted: the signature, its key, or its time does not hold; says which.
        Replayed: the event's id is known with other bytes.
        Invalid: it is the bank's, and cannot be read; kept and parked.
    Source: Standard Webhooks; RFC 9421; order of checks in docs/banks.md.
    """
    now = wall_now()
    with ctx.begin() as tx:
        row = banks.by_code(tx, bank_code)
        _assert_welcome(tx, sent.address, now)
        keys = banks.keys_of(tx, row.id)
        others = [one.code for one in tx.rows(select(bank.c.code)) if one.code != bank_code]
    message = Message(
        "POST",
        f"{ctx.settings.url}{PATH}{bank_code}",
        sent.headers,
        sent.body,
        _elsewhere(ctx.settings.url, bank_code, others, sent.headers.get("host", "")),
    )
    try:
        message_id, key = webhook_signature.verify(message, list(keys), now)
    except Untrusted as refused:
        refuse(ctx, row.id, refused.kind, sent.address, now)
        raise
    return _keep(ctx, row, message_id, keys[key], sent)


def _assert_welcome(tx: Tx, address: str, now: datetime) -> None:
    times = tx.db.execute(
        select(func.sum(refused_event.c.times)).where(
            refused_event.c.address == address,
            refused_event.c.minute > now - timedelta(minutes=1),
        )
    ).scalar()
    if (times or 0) > MOST_REFUSED:
        raise Limited(
            "too many messages from this address were not a bank's",
            retry_after_s=60,
            remedy="Read what the refusals said; they are the same for each attempt.",
        )


def _elsewhere(origin: str, code: str, others: list[str], host: str) -> tuple[str, ...]:
    """Addresses that somebody may have signed for by mistake."""
    address = urlsplit(origin)
    swapped = {"http": "https", "https": "http"}[address.scheme]
    origins = [f"{swapped}://{address.netloc}"]
    if host and host != address.netloc:
        origins += [f"{scheme}://{host}" for scheme in ("https", "http")]
    return (
        *(f"{one}{PATH}{code}" for one in origins),
        *(f"{origin}{PATH}{other}" for other in others),
    )


def _keep(ctx: Context, row: Row[Any], message_id: str, key_id: UUID, sent: Sent) -> Reply:
    problem: BankError | None = None
    with ctx.begin() as tx:
        fresh = kept.keep(tx, row.code, message_id, sent.body, sent.headers, key_id=key_id)
        if fresh is not None:
            problem = _unreadable(row.adapter, sent.body)
            if problem is None:
                outbox.enqueue(tx, "answer", f"answer:{fresh}", subject_id=fresh)
            else:
                outcome = answers.unreadable(problem)
                place = f"{answers.EVENT}{message_id}"
                answers.put_aside(tx, row.code, place, sent.body, outcome.why)
                answers.settle(tx, fresh, outcome)
        elif kept.known(tx, row.code, message_id).raw == sent.body:
            return Reply(200, {"id": message_id, "duplicate": True})
    if fresh is None:
        refuse(ctx, row.id, Replayed.slug, sent.address, wall_now())
        raise Replayed(
            f"the event id {message_id} was used before with another body; the first one stands",
            where="webhook-id",
            remedy="Use a new id for a new event.",
        )
    if problem is not None:
        raise Invalid(problem.detail, where=problem.where or "/", remedy=problem.remedy)
    return Reply(202, {"id": message_id, "received_at": rfc3339(wall_now())})


def _unreadable(adapter: str, body: bytes) -> BankError | None:
    """Why a signed event cannot be read, if it cannot."""
    try:
        answers.parse(registry.adapter(adapter), body)
    except BankError as problem:
        return problem
    return None


def refuse(ctx: Context, bank_id: UUID, slug: str, address: str, now: datetime) -> None:
    """Count a message that was refused: its cause, its minute, its address; nothing else."""
    minute = now.replace(second=0, microsecond=0)
    row = upsert(refused_event).values(
        bank_id=bank_id, slug=slug, address=address, minute=minute, times=1
    )
    with ctx.begin() as tx:
        tx.db.execute(
            row.on_conflict_do_update(
                index_elements=["bank_id", "slug", "address", "minute"],
                set_={"times": refused_event.c.times + 1},
            )
        )
