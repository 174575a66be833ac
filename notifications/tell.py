"""Expand the `notify` rows that state changes wrote into one notice per recipient.

Recipients come from the case: contract → supplier, purchaser; application → bank; for a case of
the contract alone, every bank that holds a claim or a live loan on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from financing.store.db import Tx
from financing.store.outbox import Work
from financing.store.tables import notice
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
    if rows:
        tx.db.execute(insert(notice).on_conflict_do_nothing(index_elements=["key"]), rows)


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
