"""What time itself does, once an hour of the business clock, as sets.

1. `turn_due` offers end, open confirmations and announced lines lapse, verdicts that rest on the
   day are taken anew, keys of old forms and counts of old refusals are forgotten
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import delete

from financing.journeys import announced, confirmation, loans, verification
from financing.store.db import Tx
from financing.store.outbox import Work
from financing.store.tables import form_key, refused_event
from financing.values.times import wall_now

FORM_KEPT: Final = timedelta(days=30)  # by the wall clock: no open page is older
REFUSED_KEPT: Final = timedelta(days=30)


def turn_due(tx: Tx, _works: Sequence[Work]) -> None:
    """End what has run out; a second turn in the same hour finds nothing left."""
    while loans.expire_offers(tx):
        pass
    confirmation.lapse(tx)
    announced.lapse(tx)
    verification.recheck(tx)
    tx.db.execute(delete(form_key).where(form_key.c.at < wall_now() - FORM_KEPT))
    tx.db.execute(delete(refused_event).where(refused_event.c.minute < wall_now() - REFUSED_KEPT))
