"""Notices by e-mail: one for each notice and address, whatever the mail server does."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, Row, insert, text

from financing import words, work
from financing.context import Context
from financing.errors import Broken
from financing.settings import MailServer
from financing.store.tables import login, organisation
from financing.values.ids import new_id, show
from financing.values.text import name_key
from notifications import smtp
from tests.mailbox import PASSWORD, SENDER, Mailbox, certificate, opened
from tests.verifying import FIRM, OPENING, SUPPLIER, World, release

TITLE = words.t("notice.TELL-WINNER.title", "zh")


@dataclass(frozen=True)
class Told(World):
    """A world whose supplier has persons with addresses."""

    box: Mailbox
    supplier: UUID

    def person(self, email: str | None, language: str = "zh", **more: Any) -> UUID:
        with self.ctx.begin() as tx:
            row_id = new_id()
            tx.db.execute(
                insert(login).values(
                    id=row_id, name=row_id.hex, password_hash="x", role="supplier", person="李",
                    organisation_id=self.supplier, email=email, language=language,
                    created_at=tx.now, **more,
                )
            )  # fmt: skip
        return row_id

    def send(self) -> None:
        """Let every mail be due, and do all work."""
        with self.owner.begin() as link:
            link.execute(text("UPDATE outbox SET due = now() WHERE kind = 'mail'"))
        work.run_due(self.ctx)

    def all(self, query: str) -> list[Row[Any]]:
        with self.owner.connect() as link:
            return list(link.execute(text(query)))

    def outcomes(self) -> list[str | None]:
        return [row.outcome for row in self.all("SELECT outcome FROM mail ORDER BY id")]

    def queue(self) -> list[tuple[bool, bool, int]]:
        return [
            (row.done is not None, row.parked is not None, row.attempt)
            for row in self.all("SELECT * FROM outbox WHERE kind = 'mail' ORDER BY id")
        ]

    def with_server(self, server: MailServer | None) -> Told:
        return replace(
            self, ctx=replace(self.ctx, settings=replace(self.ctx.settings, mail=server))
        )


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with opened(Mailbox()) as made:
        yield made


@pytest.fixture
def told(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None], box: Mailbox) -> Told:
    set_clock(OPENING)
    return at_home(ctx, owner, set_clock, box)


def at_home(
    ctx: Context, owner: Engine, set_clock: Callable[[datetime], None], box: Mailbox
) -> Told:
    """A supplier without contracts, and a mail server."""
    with ctx.begin() as tx:
        firm = new_id()
        tx.db.execute(
            insert(organisation).values(
                id=firm, kind="supplier", scheme="CN-USCC", identifier=SUPPLIER, name=FIRM,
                name_key=name_key(FIRM), created_at=tx.now,
            )
        )  # fmt: skip
    return Told(ctx, owner, set_clock, box, firm).with_server(box.server())


def test_each_address_gets_one_mail_in_its_language_with_the_id_that_was_stored(
    told: Told, box: Mailbox
) -> None:
    told.person("li@firm.example")
    told.person("wang@firm.example", "en")
    told.person("LI@firm.example", "en")
    told.person("gone@firm.example", disabled=True)
    told.person(None)
    (row,) = told.publish(release(1))
    stored = {row.address: row.message_id for row in told.all("SELECT * FROM mail")}
    assert box.came == [] and stored.keys() == {"li@firm.example", "wang@firm.example"}
    for _ in range(2):
        told.send()
    assert sorted(address for address, _ in box.came) == sorted(stored)
    for (address, _), mail, body in zip(box.came, box.mails, box.bodies, strict=True):
        lang = "zh" if address.startswith("li") else "en"
        assert mail["Subject"] == words.t("notice.TELL-WINNER.title", lang)
        assert mail["Message-ID"] == stored[address]
        assert (mail["To"], mail["Auto-Submitted"]) == (address, "auto-generated")
        assert words.t("notice.TELL-WINNER.text", lang) in body
        assert f"{told.ctx.settings.url}/contracts/{show('ct', row.id)}\n" in body
        assert row.title in body and row.number in body
    assert told.outcomes() == ["accepted", "accepted"]


def test_a_mail_that_the_server_took_is_evidence_of_the_telling(told: Told) -> None:
    told.person("li@firm.example")
    told.publish(release(1))
    channels = "SELECT channel FROM telling WHERE kind = 'general' ORDER BY channel"
    assert [row.channel for row in told.all(channels)] == ["inbox"]
    told.send()
    assert [row.channel for row in told.all(channels)] == ["email", "inbox"]


def test_without_a_mail_server_nothing_is_queued_and_the_telling_says_inbox_alone(
    told: Told, box: Mailbox
) -> None:
    told.person("li@firm.example")
    told.with_server(None).publish(release(1))
    told.send()
    assert (told.outcomes(), told.queue(), box.connections) == ([], [], 0)
    assert [row.channel for row in told.all("SELECT channel FROM telling")] == ["inbox"]


def test_a_server_that_is_set_no_more_leaves_mail_waiting(told: Told, box: Mailbox) -> None:
    told.person("li@firm.example")
    told.publish(release(1))
    told.with_server(None).send()
    assert (told.outcomes(), box.connections) == ([None], 0)
    told.send()
    assert told.outcomes() == ["accepted"]


def test_a_set_goes_over_one_connection(told: Told, box: Mailbox) -> None:
    told.person("li@firm.example")
    told.publish(*(release(n) for n in range(1, 31)))
    told.send()
    assert (len(box.came), box.connections) == (30, 1)


def test_what_a_set_holds_is_sent_although_one_address_is_refused(told: Told, box: Mailbox) -> None:
    told.person("li@firm.example")
    told.publish(*(release(n) for n in range(1, 4)))
    box.answers["RCPT"].extend(["250 ok", "550 no such person li@firm.example"])
    told.send()
    assert sorted(map(str, told.outcomes())) == ["accepted", "accepted", "refused"]
    (refused,) = told.all("SELECT * FROM mail WHERE outcome = 'refused'")
    assert refused.said == "550 no such person l…@firm.example"
    assert sum(parked for _, parked, _ in told.queue()) == 1
    (stuck,) = told.all("SELECT last_error FROM outbox WHERE parked IS NOT NULL")
    assert "li@firm" not in stuck.last_error
    told.send()
    assert len(box.came) == 2, "what was refused is not tried again by itself"


def test_a_server_that_is_away_gets_the_mail_when_it_is_back(told: Told) -> None:
    told.person("li@firm.example")
    told.publish(release(1))
    away = Mailbox()
    with opened(away):
        pass
    gone = told.with_server(away.server())
    gone.send()
    assert (told.outcomes(), told.queue()) == ([None], [(False, False, 1)])
    with opened(away):
        gone.send()
    assert (told.outcomes(), told.queue()) == (["accepted"], [(True, False, 1)])
    assert len(away.came) == 1


@pytest.mark.parametrize("at", ["MAIL", "RCPT", "DATA", "content"])
def test_what_a_server_puts_off_is_sent_later(told: Told, box: Mailbox, at: str) -> None:
    told.person("li@firm.example")
    told.publish(release(1))
    box.answers[at].append("451 not now")
    told.send()
    (row,) = told.all("SELECT * FROM mail")
    assert (row.outcome, row.sent_at, row.said) == (None, None, "451 not now")
    assert told.queue() == [(False, False, 1)]
    (waits,) = told.all("SELECT due - now() AS wait FROM outbox WHERE kind = 'mail'")
    assert 10 < waits.wait.total_seconds() <= 30
    told.send()
    assert (told.outcomes(), len(box.came)) == (["accepted"], 1)


@pytest.mark.parametrize("at", ["RCPT", "DATA", "content"])
def test_what_a_server_refuses_is_parked_and_goes_out_when_the_operator_says(
    told: Told, box: Mailbox, at: str
) -> None:
    told.person("li@firm.example")
    told.publish(release(1))
    box.answers[at].append("554 never")
    told.send()
    assert (told.outcomes(), told.queue()) == (["refused"], [(False, True, 1)])
    told.send()
    assert box.came == []
    run_again(told)
    assert (told.outcomes(), len(box.came)) == (["accepted"], 1)


def run_again(told: Told) -> None:
    from financing.reads import desk

    with told.ctx.begin() as tx:
        (stuck,) = desk.stuck(tx)
        desk.run_again(tx, stuck.id)
    work.run_due(told.ctx)


def test_a_line_that_is_cut_after_the_content_is_not_sent_again_by_guess(
    told: Told, box: Mailbox
) -> None:
    told.person("li@firm.example")
    told.publish(release(1), release(2))
    box.answers["content"].append("cut")
    told.send()
    told.send()
    assert sorted(map(str, told.outcomes())) == ["accepted", "unknown"]
    assert len(box.came) == 2, "the server had taken the first before it hung up"
    (stuck,) = told.all("SELECT last_error FROM outbox WHERE parked IS NOT NULL")
    assert stuck.last_error.startswith("unknown: the server may have it")
    run_again(told)
    assert told.outcomes() == ["accepted", "accepted"]
    ids = [mail["Message-ID"] for mail in box.mails]
    assert (len(ids), len(set(ids))) == (3, 2), "once more, under the same id"


def test_a_line_that_is_cut_before_the_content_costs_one_try_and_the_rest_goes(
    told: Told, box: Mailbox
) -> None:
    told.person("li@firm.example")
    told.publish(*(release(n) for n in range(1, 4)))
    box.answers["RCPT"].append("cut")
    told.send()
    assert told.outcomes() == [None, None, None]
    assert sorted(attempt for _, _, attempt in told.queue()) == [0, 0, 1]
    told.send()
    assert (told.outcomes(), len(box.came)) == (["accepted"] * 3, 3)


def test_a_server_that_closes_for_the_day_keeps_nothing_from_going_later(
    told: Told, box: Mailbox
) -> None:
    told.person("li@firm.example")
    told.publish(release(1), release(2))
    box.answers["MAIL"].append("421 closing")
    told.send()
    assert sorted(attempt for _, _, attempt in told.queue()) == [0, 1]
    told.send()
    assert (told.outcomes(), len(box.came)) == (["accepted"] * 2, 2)


def test_after_three_days_a_mail_is_given_up_and_shown(told: Told, box: Mailbox) -> None:
    told.person("li@firm.example")
    told.publish(release(1))
    box.answers["RCPT"].append("450 busy")
    with told.owner.begin() as link:
        link.execute(text("UPDATE mail SET queued_at = now() - interval '73 hours'"))
    told.send()
    assert (told.outcomes(), told.queue()) == (["given-up"], [(False, True, 1)])
    run_again(told)
    assert told.outcomes() == ["accepted"]


def test_a_worker_whose_lease_is_gone_sends_nothing(told: Told, box: Mailbox) -> None:
    told.person("li@firm.example")
    told.publish(release(1))

    def stolen() -> str:
        with told.owner.begin() as link:
            link.execute(text("UPDATE outbox SET token = token + 1 WHERE kind = 'mail'"))
        return "354 write"

    box.answers["DATA"].append(stolen)
    told.send()
    assert (told.outcomes(), box.came) == ([None], [])
    assert told.all("SELECT sent_at FROM mail")[0].sent_at is None


def test_names_of_others_stay_on_their_line_and_carry_nothing_in(told: Told, box: Mailbox) -> None:
    told.person("li@firm.example")
    evil = (
        "照明\r\nBcc: all@x.example\r\n\r\n<b>1702 0201 0920 0012 345</b>\u202e http://x.example/"
    )
    told.publish(release(1, title=evil), release(2, title="长" * 500), release(3, title="\n.\n.x"))
    told.send()
    by_title = {body.split("\n")[2]: mail for mail, body in zip(box.mails, box.bodies, strict=True)}
    assert len(by_title) == 3
    for line, mail in by_title.items():
        assert line.startswith("合同：") and len(line) < 120
        assert mail["Subject"] == TITLE and mail["Bcc"] is None
        assert sorted(mail.keys()) == sorted(
            ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language",
             "Content-Type", "Content-Transfer-Encoding", "MIME-Version"]
        )  # fmt: skip
        assert mail.get_content_type() == "text/plain"
        assert "0201" not in mail.get_content() and "http://x" not in mail.get_content()
        assert "\u202e" not in mail.get_content()
    assert {address for address, _ in box.came} == {"li@firm.example"}
    assert all(max(map(len, content.split(b"\r\n"))) <= 998 for _, content in box.came)


def test_the_subject_of_every_kind_is_its_title_without_a_digit() -> None:
    from notifications.catalogue import CATALOGUE

    for kind in CATALOGUE:
        for lang in words.LANGUAGES:
            title = words.form(f"notice.{kind.kind}.title", lang)
            assert not any(letter.isdigit() or letter in "{¥￥" for letter in title)


def test_a_password_that_is_refused_is_in_no_log_and_no_row(
    told: Told, box: Mailbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("financing"), "propagate", True)
    told.person("li@firm.example")
    told.publish(release(1))
    wrong = replace(box.server(signs_in=True), password="Ein-anderes-Wort")
    with caplog.at_level(logging.DEBUG):
        told.with_server(wrong).send()
    assert any(line.startswith("AUTH PLAIN") for line in box.lines), "it did try"
    secret = box.lines[-1].rpartition(" ")[2]
    said = caplog.text + str([vars(record) for record in caplog.records]) + repr(wrong)
    said += str(told.all("SELECT * FROM outbox")) + str(told.all("SELECT * FROM mail"))
    assert "SMTPAuthenticationError 535" in said
    assert "Ein-anderes-Wort" not in said and secret not in said
    assert told.queue() == [(False, False, 1)]
    told.with_server(box.server(signs_in=True)).send()
    assert told.outcomes() == ["accepted"]


def test_a_server_that_offers_no_tls_gets_no_password_and_no_mail(told: Told, box: Mailbox) -> None:
    told.person("li@firm.example")
    told.publish(release(1))
    told.with_server(box.server("starttls", signs_in=True)).send()
    assert (told.outcomes(), box.came) == ([None], [])
    assert not any(line.startswith(("AUTH", "MAIL")) for line in box.lines)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_tls_is_used_and_a_stranger_with_a_certificate_of_its_own_gets_nothing(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    told.person("li@firm.example")
    told.publish(release(1))
    context, authority = certificate(tmp_path)
    whole: ssl.SSLContext | None = context if security == "tls" else None
    with opened(Mailbox(tls=context, offers=("STARTTLS", "AUTH PLAIN")), whole=whole) as safe:
        told.with_server(safe.server(security, signs_in=True)).send()
        assert (told.outcomes(), safe.came) == ([None], [])
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        told.with_server(safe.server(security, signs_in=True)).send()
        assert (told.outcomes(), len(safe.came)) == (["accepted"], 1)
    assert SENDER in str(safe.mails[0]["From"]) and PASSWORD not in str(safe.mails[0])


def test_a_line_that_is_one_dot_ends_no_mail(told: Told, box: Mailbox) -> None:
    content = b"Subject: x\r\n\r\n.\r\nMAIL FROM:<all@x.example>\r\n..\r\n.x\r\n"
    with smtp.connected(box.server()) as link:
        fate = smtp.deliver(link, SENDER, "li@firm.example", content, lambda: True)
    assert (fate.outcome, box.came) == ("accepted", [("li@firm.example", content)])


def test_no_connection_is_opened_while_a_transaction_is(told: Told, box: Mailbox) -> None:
    with told.ctx.begin(), pytest.raises(Broken), smtp.connected(box.server()):
        pass
    assert box.connections == 0
