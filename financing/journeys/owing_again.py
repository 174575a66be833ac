"""A settled loan whose payment went back owes again (结清后退款).

1. `restore` claim, lock of the account, and application come back, as far as nobody else has
   taken them meanwhile

The loan itself has moved already. It settles again as soon as our book is even, since the bank's
word that it was settled still stands; what is missing then is told by the notice of the return.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row, select, text

from financing.journeys import claims
from financing.store.db import Tx
from financing.store.move import move
from financing.store.tables import account_version, application

# Another application of this bank on this version may live by now; there is one at a time.
RIVAL: Final = text("""
    SELECT 1 FROM application other JOIN application own ON own.id = :id
     WHERE other.id <> own.id AND other.bank_id = own.bank_id
       AND other.contract_version_id = own.contract_version_id
       AND other.state NOT IN ('refused', 'declined', 'expired', 'withdrawn', 'stale', 'failed',
                               'closed')
""")


def restore(tx: Tx, loan: Row[Any], outstanding_fen: int) -> None:
    """Take claim, lock, and application of a loan back; the contract's row is locked by the caller.

    Args:
        loan: as it is after its payment was undone.
        outstanding_fen: principal that it owes again, and what may still be drawn.
    """
    given = tx.db.execute(
        select(application).where(application.c.id == loan.application_id).with_for_update()
    ).one()
    if given.state != "closed" or tx.one(RIVAL, {"id": given.id}) is not None:
        return
    move(tx, "application", given.id, "reopen", facts={"loan": loan.id})
    claims.restore(tx, given.id, outstanding_fen)
    free = tx.one(
        select(account_version.c.id).where(
            account_version.c.contract_id == loan.contract_id, account_version.c.state == "active"
        )
    )
    if free is not None:
        move(tx, "account_version", free.id, "lock", locked_by=given.id)
