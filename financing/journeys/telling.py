"""Telling (告知): every winner learns that the contract may be financed, with evidence.

1. `tell_due` the general text once the award is known, whatever the checks say; again, with the
   capacity, when the contract becomes financeable. Each kind once per contract, as a set.
2. `mailed`   an e-mail of it that a mail server has taken is evidence of its own, and recorded

A contract takes over the row of its award, and with it what its supplier has been told. Of an
award that was cancelled before anybody could be told, nobody is.

Source: Zhengzhou action plan 2020, measure 18 (duty to tell every supplier).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert

from financing import words
from financing.store.db import Tx
from financing.store.outbox import Work
from financing.store.tables import contract, telling
from financing.values import canonical
from financing.values.ids import new_id
from notifications.tell import write

TEXT_VERSION = "telling/1"
KINDS = {"general": "TELL-WINNER", "capacity": "TELL-CAPACITY"}


def tell_due(tx: Tx, works: Sequence[Work]) -> None:
    """Tell the suppliers of these contracts what they have not been told yet."""
    rows = tx.rows(select(contract).where(contract.c.id.in_([work.subject_id for work in works])))
    tellings: list[dict[str, Any]] = []
    notices: list[dict[str, Any]] = []
    for row in rows:
        for kind, notice_kind in KINDS.items():
            if row.state == "terminated" or (kind == "capacity" and not row.financeable):
                continue
            tellings.append(
                {
                    "id": new_id(),
                    "contract_id": row.id,
                    "supplier_id": row.supplier_id,
                    "kind": kind,
                    "channel": "inbox",
                    "text_version": TEXT_VERSION,
                    "text_digest": text_digest(kind),
                    "sent_at": tx.now,
                }
            )
            notices.append(
                {
                    "id": new_id(),
                    "kind": notice_kind,
                    "key": f"{notice_kind}:{row.id}",
                    "organisation_id": row.supplier_id,
                    "subject_kind": "contract",
                    "subject_id": row.id,
                    "contract_id": row.id,
                    "facts": {"text_version": TEXT_VERSION},
                    "at": tx.now,
                    "delivered_at": tx.now,
                }
            )
    if tellings:
        tx.db.execute(insert(telling).on_conflict_do_nothing(), tellings)
        write(tx, notices)


def mailed(tx: Tx, notices: Sequence[Row[Any]]) -> None:
    """Record that mail servers took e-mails of tellings; the first of a contract and kind counts.

    Args:
        notices: of any kind; those that tell nothing are passed over.
    """
    kinds = {notice_kind: kind for kind, notice_kind in KINDS.items()}
    rows = [
        {
            "id": new_id(),
            "contract_id": row.contract_id,
            "supplier_id": row.organisation_id,
            "kind": kinds[row.kind],
            "channel": "email",
            "text_version": TEXT_VERSION,
            "text_digest": text_digest(kinds[row.kind]),
            "sent_at": tx.now,
        }
        for row in notices
        if row.kind in kinds
    ]
    if rows:
        tx.db.execute(insert(telling).on_conflict_do_nothing(), rows)


def text_digest(kind: str) -> str:
    """Digest of the text that a telling carries, in both languages."""
    both = words.both(f"notice.{KINDS[kind]}.text")
    return canonical.digest(canonical.dumps({"version": TEXT_VERSION, **both}))
