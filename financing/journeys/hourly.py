"""What time itself does, once an hour of the business clock, as sets.

1. `turn_due` offers end, open confirmations lapse, verdicts that rest on the day are taken anew
"""

from __future__ import annotations

from collections.abc import Sequence

from financing.journeys import confirmation, loans, verification
from financing.store.db import Tx
from financing.store.outbox import Work


def turn_due(tx: Tx, _works: Sequence[Work]) -> None:
    """End what has run out; a second turn in the same hour finds nothing left."""
    while loans.expire_offers(tx):
        pass
    confirmation.lapse(tx)
    verification.recheck(tx)
