"""The operator's pages: what is stuck, does work flow, do the banks answer? No case content."""

from __future__ import annotations

from financing.journeys import files
from financing.reads import desk, mails
from financing.store.db import Tx
from financing.values import ids
from financing.values.addresses import masked
from financing.web.routes import Ask, Page, See, route


@route("GET", "/parked", permit="parked.read")
def parked_page(tx: Tx, _ask: Ask) -> Page:
    """What is stuck, and what frees most at once?"""
    causes = desk.causes(tx)
    return Page(
        "operator/parked.html",
        {
            "causes": causes,
            "exceptions": desk.exceptions(tx),
            "total": sum(cause.count for cause in causes),
            "last_import": desk.last_import(tx),
        },
    )


@route("POST", "/parked", permit="parked.replay", form=parked_page)
def replay(tx: Tx, ask: Ask) -> See:
    """Read one thing, or everything of one cause, again as it was received."""
    wanted = (
        [ids.read("pd", ask.text("item"))]
        if ask.text("item")
        else desk.of_cause(tx, ask.text("cause"))
    )
    files.replay(tx, wanted)
    return See("/parked", told="replayed")


@route("GET", "/jobs", permit="job.read")
def jobs_page(tx: Tx, _ask: Ask) -> Page:
    """Does work flow?"""
    lanes = desk.lanes(tx)
    return Page(
        "operator/jobs.html",
        {
            "lanes": lanes,
            "workers": desk.workers(tx),
            "stuck": desk.stuck(tx),
            "mail_is_set": tx.settings.mail is not None,
            "mail_counts": mails.counts(tx),
            "mail_troubles": mails.troubles(tx),
            "masked": masked,
            "waiting": sum(lane.waiting for lane in lanes),
            "parked": sum(lane.parked for lane in lanes),
        },
    )


@route("POST", "/jobs", permit="job.retry", form=jobs_page)
def run_again(tx: Tx, ask: Ask) -> See:
    """Run parked work again."""
    desk.run_again(tx, int(ask.text("job")) if ask.text("job").isdigit() else 0)
    return See("/jobs", told="again")


@route("GET", "/adapters", permit="bank.desk")
def adapters_page(tx: Tx, _ask: Ask) -> Page:
    """Do the banks answer?"""
    rows = desk.banks(tx)
    return Page(
        "operator/adapters.html",
        {
            "banks": rows,
            "stopped": sum(1 for row in rows if row.stopped_at),
            "on_hold": desk.on_hold(tx),
            "unknown": desk.unknown_words(tx),
            "refused": desk.refused_events(tx),
        },
    )
