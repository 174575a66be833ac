"""Expand the `notify` rows that state changes wrote into one notice per recipient.

1. `expand_due` who is told of what happened
2. `write`      the notices, and their e-mails to persons who have given an address

Recipients come from the case: contract → supplier, purchaser; application → bank; for a case of
the contract alone, every bank that holds a claim or a live loan on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from financing.store.db import Tx
from financing.store.outbox import Work, enqueue_many
from financing.store.tables import login, mail, notice
from financing.values.ids import new_id
from notifications.catalogue import BY_KIND

# Subject of each life cycle → its contract, and the bank whose case it is (null: all that lend).
SUBJECTS = {
    "contract": "SELECT id, id AS contract_id, CAST(NULL AS uuid) AS bank_id FROM contract",
    "confirmation": "SELECT id, contract_id, CAST(NULL AS uuid) AS bank_id FROM confirmation",
    "account_version": (
        "SELECT v.id, v.contract_id, a.bank_id FROM account_version v"
        " LEFT JOIN application a ON a.id = v.locked_by"
    ),
    "application": "SELECT id, contract_id, bank_id FROM application",
    "offer": (
        "SELECT o.id, a.contract_id, a.bank_id FROM offer o"
        " JOIN application a ON a.id = o.application_id"
    ),
    "claim": (
        "SELECT c.id, a.contract_id, a.bank_id FROM claim c"
        " JOIN application a ON a.id = c.application_id"
    ),
    "loan": "SELECT id, contract_id, bank_id FROM loan",
    "payment": "SELECT id, contract_id, CAST(NULL AS uuid) AS bank_id FROM payment",
    "bank": "SELECT id, CAST(NULL AS uuid) AS contract_id, id AS bank_id FROM bank",
}

PEOPLE = """
    SELECT s.id AS subject_id, c.id AS contract_id, c.supplier_id, c.purchaser_id,
           CASE WHEN s.bank_id IS NOT NULL THEN ARRAY[s.bank_id]
                ELSE ARRAY(SELECT DISTINCT a.bank_id FROM application a
                            WHERE a.contract_id = c.id
                              AND a.state IN ('accepted', 'contracted', 'locked', 'drawn',
                                              'closed'))
           END AS banks
      FROM ({subject}) s LEFT JOIN contract c ON c.id = s.contract_id
     WHERE s.id = ANY(:ids)
"""

OFFICES = text("SELECT id, kind FROM organisation WHERE kind IN ('bureau', 'platform')")


def expand_due(tx: Tx, works: Sequence[Work]) -> None:
    """Write each recipient's notice once; the same work again writes nothing new."""
    offices: dict[str, list[UUID]] = {"bureau": [], "platform": []}
    for row in tx.rows(OFFICES):
        offices[row.kind].append(row.id)
    rows: list[dict[str, Any]] = []
    for kind, subject in SUBJECTS.items():
        mine = [work for work in works if work.args["kind"] == kind]
        if not mine:
            continue
        people = {
            row.subject_id: row
            for row in tx.rows(
                text(PEOPLE.format(subject=subject)), {"ids": [work.subject_id for work in mine]}
            )
        }
        for work in mine:
            if work.subject_id in people:
                rows += _notices(tx, work, people[work.subject_id], offices)
    write(tx, rows)


def write(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Write notices, each key once; those that are new go by e-mail where their kind does.

    A mail is a row with its message id before anything is sent, and work in the outbox. Without a
    mail server there is none, and whoever is told is told in the inbox alone.
    """
    if not rows:
        return
    new = {
        row.id
        for row in tx.db.execute(
            insert(notice).on_conflict_do_nothing(index_elements=["key"]).returning(notice.c.id),
            list(rows),
        )
    }
    mailed = [row for row in rows if row["id"] in new and "email" in BY_KIND[row["kind"]].channels]
    if mailed and tx.settings.mail is not None:
        _queue(tx, mailed, tx.settings.mail.sender.rpartition("@")[2])


def _queue(tx: Tx, notices: Sequence[dict[str, Any]], host: str) -> None:
    readers: dict[UUID, dict[str, Any]] = defaultdict(dict)
    for row in tx.rows(
        select(login)
        .where(
            login.c.organisation_id.in_({row["organisation_id"] for row in notices}),
            login.c.email.is_not(None),
            ~login.c.disabled,
        )
        .order_by(login.c.created_at, login.c.id)
    ):
        readers[row.organisation_id].setdefault(row.email.lower(), row)
    mails = []
    for written in notices:
        for reader in readers[written["organisation_id"]].values():
            mail_id = new_id()
            mails.append(
                {
                    "id": mail_id,
                    "notice_id": written["id"],
                    "login_id": reader.id,
                    "address": reader.email,
                    "language": reader.language,
                    "message_id": f"<{mail_id.hex}@{host}>",
                }
            )
    if mails:
        tx.db.execute(insert(mail), mails)
        enqueue_many(tx, "mail", [(f"mail:{one['id']}", "", one["id"], {}) for one in mails])


def _notices(
    tx: Tx, work: Work, people: Any, offices: dict[str, list[UUID]]
) -> list[dict[str, Any]]:
    recipients = {
        "supplier": [people.supplier_id],
        "purchaser": [people.purchaser_id],
        "bank": people.banks,
        "bureau": offices["bureau"],
        "operator": offices["platform"],
    }
    return [
        {
            "id": new_id(),
            "kind": kind,
            "key": f"{kind}:{work.key}:{organisation}",
            "organisation_id": organisation,
            "subject_kind": work.args["kind"],
            "subject_id": work.subject_id,
            "contract_id": people.contract_id,
            "facts": work.args.get("facts", {}),
            "at": tx.now,
            "delivered_at": tx.now,  # the inbox: written is delivered
        }
        for kind in work.args["notices"]
        for role in BY_KIND[kind].to
        for organisation in recipients[role]
        if organisation is not None
    ]
