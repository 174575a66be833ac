"""Parked records, parked work, and banks, for the operator's software. No case content."""

from __future__ import annotations

from types import SimpleNamespace

from financing.journeys import files
from financing.reads import desk, stuck
from financing.reads.listing import Piece, in_order
from financing.store.db import Tx
from financing.web.api.table import Call, operation
from schemas import desk as shown
from schemas.fields import Text
from schemas.lending import Nothing
from schemas.shown import Asked


class OfCause(Asked):
    """Those of one cause."""

    cause = Text(64, load_default=None, metadata={"example": "NO-AMOUNT"})


@operation(
    "GET", "/parked", permits=("parked.read",), asks=OfCause(), gives=shown.Parked(), is_list=True
)
def list_parked(tx: Tx, call: Call) -> Piece:
    """What could not be used, and waits."""
    return stuck.things(tx, call.window, call.query["cause"])


@operation(
    "POST",
    "/parked/replay",
    permits=("parked.replay",),
    takes=shown.ReplayParked(),
    gives=shown.ReplayedAll(),
)
def replay_parked(tx: Tx, call: Call) -> SimpleNamespace:
    """Read parked things again, as they were received."""
    wanted = call.body["items"]
    if wanted is None:
        wanted = desk.of_cause(tx, call.body["cause"])
    stuck.known(tx, wanted)
    outcome = files.replay(tx, wanted)
    # What is open no more was replayed before: the same request again says so again.
    return SimpleNamespace(
        items=[SimpleNamespace(id=each, is_replayed=outcome.get(each, True)) for each in wanted]
    )


@operation("GET", "/jobs", permits=("job.read",), gives=shown.Job(), is_list=True)
def list_jobs(tx: Tx, call: Call) -> Piece:
    """Work that waits for a person."""
    return stuck.work(tx, call.window)


@operation(
    "POST",
    "/jobs/<job>/retry",
    permits=("job.retry",),
    takes=Nothing(),
    gives=shown.Retried(),
)
def retry_job(tx: Tx, _call: Call, job: str) -> SimpleNamespace:
    """Put parked work back into its lane."""
    row_id = stuck.work_of(tx, job)
    desk.run_again(tx, row_id)
    return SimpleNamespace(id=job)


@operation("GET", "/banks", permits=("bank.desk",), gives=shown.Bank(), is_list=True)
def list_banks(tx: Tx, call: Call) -> Piece:
    """Whether the banks answer."""
    return in_order(desk.banks(tx), lambda row: (row.code,), call.window)
