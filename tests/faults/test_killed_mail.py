"""A worker killed by SIGKILL while a mail server has its mail: nothing twice, nothing forgotten."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import quote

import pytest
from sqlalchemy import Engine

from financing.context import Context
from financing.settings import Settings
from tests.conftest import ROOT, process_environment
from tests.faults.test_killed_worker import leases_run_out
from tests.journeys.test_notices_by_mail import Told, at_home
from tests.mailbox import PASSWORD, SENDER, USER, Mailbox, opened
from tests.sandbox import wait_for
from tests.verifying import OPENING, release


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with opened(Mailbox()) as made:
        yield made


@pytest.fixture
def told(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None], box: Mailbox) -> Told:
    set_clock(OPENING)
    made = at_home(ctx, owner, set_clock, box)
    made.person("li@firm.example")
    made.publish(release(1), release(2), release(3))
    return made


@contextmanager
def worker(settings: Settings, box: Mailbox) -> Iterator[subprocess.Popen[str]]:
    """The worker as a service manager runs it, with a mail server that asks for a password."""
    url = f"smtp://{USER}:{quote(PASSWORD)}@127.0.0.1:{box.port}"
    named = {"FINANCING_MAIL_URL": url, "FINANCING_MAIL_FROM": SENDER, "FINANCING_LOG": "debug"}
    with subprocess.Popen(
        [sys.executable, "-m", "financing", "worker"],
        cwd=ROOT,
        env=process_environment(settings) | named,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            assert process.stderr is not None
            assert PASSWORD not in process.stderr.read()


def killed_at(told: Told, box: Mailbox, settings: Settings, verb: str) -> None:
    """Kill the worker while the server thinks about the second mail, then let its lease end."""
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> str:
        reached.set()
        go_on.wait(20)
        return ""

    box.answers[verb].extend([lambda: "", hold])
    with worker(settings, box) as process:
        assert reached.wait(30), "the second mail to come"
        process.send_signal(signal.SIGKILL)
        process.wait()
        go_on.set()
    leases_run_out(told)


def all_ended(told: Told) -> list[str] | None:
    known = told.outcomes()
    return None if None in known else sorted(map(str, known))


def test_a_mail_that_was_with_the_server_is_unknown_and_goes_out_once(
    told: Told, box: Mailbox, settings: Settings
) -> None:
    killed_at(told, box, settings, "content")
    with worker(settings, box):
        ended = wait_for(lambda: all_ended(told), "every mail to end")
    assert ended == ["accepted", "accepted", "unknown"]
    ids = [mail["Message-ID"] for mail in box.mails]
    assert (len(ids), len(set(ids))) == (3, 3), "the server took each once"


def test_a_mail_that_had_not_left_goes_out_after_the_lease(
    told: Told, box: Mailbox, settings: Settings
) -> None:
    killed_at(told, box, settings, "RCPT")
    with worker(settings, box):
        ended = wait_for(lambda: all_ended(told), "every mail to end")
    assert ended == ["accepted"] * 3
    ids = [mail["Message-ID"] for mail in box.mails]
    assert (len(ids), len(set(ids))) == (3, 3)
