"""`financing bounces`: a notice that came back is no longer shown as delivered."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from financing.context import Context
from financing.formats import bounce
from financing.reads import contracts
from tests.journeys.test_notices_by_mail import Told, at_home
from tests.mailbox import SENDER, Mailbox, opened
from tests.verifying import OPENING, release

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with opened(Mailbox()) as made:
        yield made


@pytest.fixture
def told(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None], box: Mailbox) -> Told:
    set_clock(OPENING)
    return at_home(ctx, owner, set_clock, box)


def report(
    message_id: str,
    *,
    action: str = "failed",
    kind: str = "delivery-status",
    quotes: str = "rfc822",
) -> bytes:
    """A delivery report as a mail server writes it."""
    original = f"Subject: x\r\nMessage-ID: {message_id}\r\n"
    quoted = {
        "rfc822": f"Content-Type: message/rfc822\r\n\r\n{original}\r\ntext\r\n",
        "headers": f"Content-Type: text/rfc822-headers\r\n\r\n{original}",
    }[quotes]
    return (
        f"From: MAILER-DAEMON@relay.example\r\nTo: {SENDER}\r\nSubject: Undelivered\r\n"
        f"MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type={kind}; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nIt failed.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; relay.example\r\n\r\n"
        "Final-Recipient: rfc822; li@firm.example\r\n"
        f"Action: {action}\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 <li@firm.example>: no such person\r\n\r\n"
        f"--b\r\n{quoted}\r\n--b--\r\n"
    ).encode()


@pytest.mark.parametrize("quotes", ["rfc822", "headers"])
def test_a_mail_that_comes_back_is_bounced_once_and_the_telling_says_so(
    told: Told, command: Command, tmp_path: Path, quotes: str
) -> None:
    told.person("li@firm.example")
    (row,) = told.publish(release(1))
    told.send()
    (sent,) = told.all("SELECT * FROM mail")
    (tmp_path / "1").write_bytes(report(sent.message_id, quotes=quotes))
    (tmp_path / "2").write_bytes(b"Subject: Re: x\r\n\r\nI am away.\r\n")
    (tmp_path / "3").write_bytes(report("<other@elsewhere.example>"))
    files = [str(tmp_path / name) for name in "123"]
    for new in (1, 0):
        answer = command("bounces", *files, "--json")
        assert (answer.returncode, answer.stderr) == (0, "")
        assert json.loads(answer.stdout) == {"read": 3, "reports": 2, "new": new}
    (back,) = told.all("SELECT * FROM mail")
    assert (back.outcome, back.said) == ("bounced", "5.1.1 550 <l…@firm.example>: no such person")
    with told.ctx.begin() as tx:
        known = {one.channel: one.came_back for one in contracts.tellings(tx, row.id)}
    assert known == {"inbox": False, "email": True}


def test_a_telling_that_reached_another_address_stands(told: Told, command: Command) -> None:
    told.person("li@firm.example")
    told.person("wang@firm.example")
    (row,) = told.publish(release(1))
    told.send()
    first, _ = told.all("SELECT * FROM mail ORDER BY id")
    assert bounce.read(report(first.message_id)) is not None
    from financing.journeys import mailing

    with told.ctx.begin() as tx:
        found = bounce.read(report(first.message_id))
        assert found is not None and mailing.take_bounces(tx, [found]) == 1
        assert not any(one.came_back for one in contracts.tellings(tx, row.id))


def test_a_mail_of_unknown_outcome_that_comes_back_is_not_sent_again_by_anybody(
    told: Told, box: Mailbox
) -> None:
    from financing.journeys import mailing
    from tests.journeys.test_notices_by_mail import run_again

    told.person("li@firm.example")
    told.publish(release(1))
    box.answers["content"].append("cut")
    told.send()
    (sent,) = told.all("SELECT * FROM mail")
    found = bounce.read(report(sent.message_id))
    assert found is not None
    with told.ctx.begin() as tx:
        assert mailing.take_bounces(tx, [found]) == 1
    run_again(told)
    assert (told.outcomes(), len(box.came)) == (["bounced"], 1)


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", ""])
def test_a_report_of_no_failure_says_nothing(action: str) -> None:
    assert bounce.read(report("<x@y.example>", action=action)) is None


def test_a_file_that_is_not_there_is_named(command: Command) -> None:
    answer = command("bounces", "nowhere")
    assert answer.returncode == 2
    assert "nowhere" in answer.stderr and "Traceback" not in answer.stderr


WHOLE = report("<x@y.example>")


@given(cut=st.integers(0, len(WHOLE)), put=st.binary(max_size=40), at=st.integers(0, len(WHOLE)))
def test_no_bytes_break_the_reader(cut: int, put: bytes, at: int) -> None:
    found = bounce.read((WHOLE[:at] + put + WHOLE[at:])[:cut])
    assert found is None or len(found.said) <= 300
