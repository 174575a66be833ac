"""Every kind of work that the outbox carries, as one table.

`key` makes the work idempotent: the same key is the same piece of work, for ever. It is filled
from the columns of the row whose step rang the job. `done_by` is `module:function` of the step
that does the work; local steps take a transaction and a set of rows, errands take a context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Job:
    kind: str
    nature: Literal["local", "errand"]
    per_bank: bool
    key: str
    done_by: str
    attempts: int = 12  # reported failures before the row is parked


JOBS = (
    Job(
        "verify",
        "local",
        False,
        "verify:{kind}:{id}:{version}",
        "financing.journeys.verification:verify_due",
    ),
    Job(
        "tell",
        "local",
        False,
        "tell:{id}:{version}",
        "financing.journeys.telling:tell_due",
    ),
    Job("match", "local", False, "match:{id}:{version}", "financing.journeys.matching:match_due"),
    Job(
        "notify",
        "local",
        False,
        "notify:{kind}:{id}:{version}",
        "notifications.tell:expand_due",
    ),
    Job("mail", "errand", False, "mail:{id}", "financing.journeys.mailing:mail_due"),
    Job("answer", "local", False, "answer:{id}", "financing.journeys.answers:answer_due"),
    Job("hour", "local", False, "hour:{id}", "financing.journeys.hourly:turn_due"),
    Job(
        "submit",
        "errand",
        True,
        "submit:{request_id}:{version}",
        "financing.journeys.applications:submit_due",
    ),
    Job(
        "ask",
        "errand",
        True,
        "ask:{id}:{version}",
        "financing.journeys.applications:ask_due",
    ),
    Job("accept", "errand", True, "accept:{id}", "financing.journeys.loans:accept_due"),
    Job(
        "cancel",
        "errand",
        True,
        "cancel:{id}",
        "financing.journeys.applications:cancel_due",
    ),
    Job("poll", "errand", True, "poll:{id}", "financing.journeys.answers:poll_due"),
)

BY_KIND = {job.kind: job for job in JOBS}
