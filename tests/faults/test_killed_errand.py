"""A worker killed by SIGKILL while a bank has its request: the bank is asked, nothing is resent."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from financing.context import Context
from financing.settings import Settings
from tests.faults.test_killed_worker import STUCK, leases_run_out, one, worker
from tests.lending import Lending, lending
from tests.sandbox import wait_for
from tests.verifying import OPENING, SUPPLIER, World


@pytest.fixture
def lent(
    ctx: Context, owner: Engine, set_clock: Callable[[datetime], None], tmp_path: Path
) -> Iterator[Lending]:
    set_clock(OPENING)
    with lending(World(ctx, owner, set_clock), tmp_path / "bank") as made:
        yield made


def kill_in_flight(known: Lending, settings: Settings, fault: str) -> None:
    """Kill the worker while the bank holds its request, then let its lease run out."""
    known.house.fault(fault, firm=SUPPLIER, seconds=600)
    with worker(settings) as process:
        known.struck(fault)
        process.send_signal(signal.SIGKILL)
        process.wait()
    known.house.control("DELETE", "/faults")
    leases_run_out(known.world)


def a_minute_passes(known: Lending) -> None:
    with known.world.owner.begin() as link:
        link.execute(
            text("UPDATE application SET never_seen_at = never_seen_at - interval '61 seconds'")
        )
        link.execute(text("UPDATE outbox SET due = now() WHERE kind = 'ask' AND done IS NULL"))


def test_a_submission_in_flight_is_asked_for_and_found_taken(
    lent: Lending, settings: Settings
) -> None:
    case = lent.apply()
    kill_in_flight(lent, settings, "timeout-after")
    assert lent.row(case).state == "sending"
    sent = "SELECT count(*) FROM outbox WHERE kind = 'submit' AND sent_at IS NOT NULL"
    assert one(lent.world, f"{sent} AND done IS NULL") == 1
    with worker(settings):
        lent.reaches(case, "offered")
    assert (lent.calls("submit"), lent.calls("ask")) == (0, 1), "asked, not sent again"
    assert len(lent.house.control("GET", "/cases")["cases"]) == 1
    assert "unclear" in lent.world.events(case)
    lent.assert_books_agree()


def test_a_submission_that_never_arrived_is_sent_again_after_two_questions(
    lent: Lending, settings: Settings
) -> None:
    case = lent.apply()
    kill_in_flight(lent, settings, "timeout-before")
    with worker(settings):
        wait_for(lambda: lent.row(case).never_seen_at, "the bank to say that it never saw it")
        assert lent.row(case).state == "asking"
        assert lent.calls("submit") == 0, "once is not enough"
        a_minute_passes(lent)
        lent.reaches(case, "offered")
    assert (lent.calls("submit"), lent.calls("ask")) == (1, 2)
    assert len(lent.house.control("GET", "/cases")["cases"]) == 1
    lent.assert_books_agree()


def test_an_answer_that_was_read_and_not_written_down_is_asked_for(
    lent: Lending, settings: Settings
) -> None:
    case = lent.apply()
    lent.house.fault("timeout-after", firm=SUPPLIER, seconds=2)
    with worker(settings) as process, lent.world.owner.connect() as link:
        lent.struck("timeout-after")
        link.execute(text("SELECT 1 FROM application FOR UPDATE"))
        wait_for(lambda: one(lent.world, STUCK) or None, "the answer to wait for our lock")
        process.send_signal(signal.SIGKILL)
        process.wait()
        link.rollback()
    lent.house.control("DELETE", "/faults")
    assert lent.calls("submit") == 1
    leases_run_out(lent.world)
    with worker(settings):
        lent.reaches(case, "offered")
    assert (lent.calls("submit"), lent.calls("ask")) == (1, 1)
    lent.assert_books_agree()


@pytest.mark.parametrize(("fault", "sent_again"), [("timeout-after", 0), ("timeout-before", 1)])
def test_an_acceptance_in_flight_makes_one_loan(
    lent: Lending, settings: Settings, fault: str, sent_again: int
) -> None:
    case = lent.apply()
    with worker(settings):
        lent.reaches(case, "offered")
    lent.accept(case)
    kill_in_flight(lent, settings, fault)
    with worker(settings):
        lent.reaches(case, "drawn")
    assert lent.calls("accept") == 1 + sent_again, "a question first, then at most the same again"
    assert one(lent.world, "SELECT count(*) FROM loan") == 1
    assert one(lent.world, "SELECT count(*) FROM drawdown") == 1
    lent.assert_books_agree()
