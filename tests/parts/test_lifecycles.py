"""The life cycles are whole: every state is reached, nothing is rung that nobody does."""

from importlib import import_module

import pytest

from financing.rules.jobs import BY_KIND as JOBS
from financing.rules.lifecycles import BORN, LIFECYCLES, SAME, possible, step
from notifications.catalogue import BY_KIND as NOTICES

# States in which a life ends, by kind: nothing but its own bookkeeping may follow.
ENDS = {
    "contract": {"terminated"},
    "confirmation": {"confirmed", "refused", "expired"},
    "account_version": {"rejected", "active", "locked"},
    "application": {
        "refused", "declined", "expired", "withdrawn", "stale", "failed", "closed",
    },
    "offer": {"accepted", "declined", "expired", "replaced", "withdrawn"},
    "claim": {"released", "discharged"},
    "loan": {"settled", "written-off", "cancelled"},
    "payment": {"reversed", "resolved", "allocated"},
}  # fmt: skip


@pytest.mark.parametrize("kind", LIFECYCLES)
def test_every_state_is_reached_from_birth_and_leads_to_an_end(kind: str) -> None:
    steps = LIFECYCLES[kind]
    reached = {BORN}
    while True:
        more = {s.after for s in steps if s.after != SAME and reached & set(s.before)} - reached
        if not more:
            break
        reached |= more
    named = {word for s in steps for word in (*s.before, s.after)} - {SAME}
    assert named == reached
    for state in named - {BORN}:
        ahead, frontier = {state}, {state}
        while frontier:
            frontier = {
                s.after for s in steps if s.after != SAME and frontier & set(s.before)
            } - ahead
            ahead |= frontier
        assert ahead & ENDS[kind], f"{kind} never ends from {state}"


@pytest.mark.parametrize("kind", LIFECYCLES)
def test_an_event_has_one_meaning_in_each_state(kind: str) -> None:
    seen: set[tuple[str, str]] = set()
    for row in LIFECYCLES[kind]:
        for state in row.before:
            assert (row.event, state) not in seen
            seen.add((row.event, state))
            assert step(kind, row.event, state) is row
            assert row.event in possible(kind, state)


def test_every_job_and_notice_that_a_step_rings_exists() -> None:
    for steps in LIFECYCLES.values():
        for row in steps:
            assert set(row.jobs) <= JOBS.keys(), row
            assert set(row.notices) <= NOTICES.keys(), row


@pytest.mark.parametrize("kind", JOBS)
def test_every_kind_of_work_has_a_step_that_does_it(kind: str) -> None:
    module, name = JOBS[kind].done_by.split(":")
    assert callable(getattr(import_module(module), name))
