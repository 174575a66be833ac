"""Where notices go by e-mail too, and what the operator sees of mail."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import Engine, insert, select, text, update

from financing.errors import Invalid
from financing.settings import KNOWN, from_environment
from financing.store.tables import login, mail, notice, organisation, outbox
from financing.values.ids import new_id
from tests.conftest import Web
from tests.faces.test_sign_in import HASH, Reader


@pytest.fixture
def firm(web: Web) -> UUID:
    return party(web, "supplier", "li")


@pytest.fixture
def li(web: Web, firm: UUID) -> Reader:
    reader = Reader(web)
    assert reader.sign_in("li").status_code == 303
    return reader


def party(web: Web, kind: str, name: str) -> UUID:
    """An organisation with one person, who may sign in by this name."""
    with web.ctx.begin() as tx:
        row_id = new_id()
        tx.db.execute(
            insert(organisation).values(
                id=row_id, kind=kind, scheme="name", identifier=name, name=f"单位{name}",
                name_key=name, created_at=tx.now,
            )
        )  # fmt: skip
        role = "operator" if kind == "platform" else kind
        tx.db.execute(
            insert(login).values(
                id=new_id(), name=name, password_hash=HASH, role=role, person="某人",
                organisation_id=row_id, created_at=tx.now,
            )
        )  # fmt: skip
    return row_id


def address(owner: Engine, name: str = "li") -> str | None:
    with owner.connect() as link:
        return link.execute(select(login.c.email).where(login.c.name == name)).scalar_one()


def mailed(web: Web, firm: UUID, outcome: str | None, said: str | None) -> None:
    """A mail to li with this outcome."""
    with web.ctx.begin() as tx:
        person = tx.db.execute(select(login).where(login.c.organisation_id == firm)).one()
        notice_id, mail_id = new_id(), new_id()
        tx.db.execute(
            insert(notice).values(
                id=notice_id, kind="TELL-WINNER", key=str(notice_id), organisation_id=firm,
                subject_kind="contract", subject_id=new_id(), facts={}, at=tx.now,
            )
        )  # fmt: skip
        tx.db.execute(
            insert(mail).values(
                id=mail_id, notice_id=notice_id, login_id=person.id, address=person.email,
                language="zh", message_id=f"<{mail_id.hex}@platform.example>", outcome=outcome,
                said=said, ended_at=tx.now if outcome else None,
            )
        )  # fmt: skip


def test_a_person_sets_and_removes_the_address_of_its_notices(
    web: Web, li: Reader, owner: Engine
) -> None:
    party(web, "purchaser", "wang")
    answer = li.send("/inbox/email", "/inbox", email=" li@firm.example ")
    assert (answer.status_code, address(owner)) == (303, "li@firm.example")
    page = li.open(answer.headers["Location"]).text
    assert "The e-mail address is saved." in page and 'value="li@firm.example"' in page
    assert "No mail server is set yet" in page
    assert address(owner, "wang") is None, "nobody else's"
    assert li.send("/inbox/email", "/inbox", email="").status_code == 303
    assert address(owner) is None


@pytest.mark.parametrize(
    "typed",
    [
        "li", "li@", "@firm.example", "li@firm", "li@firm.example\r\nBcc: all@x.example",
        "li@firm.example,wang@firm.example", "<li@firm.example>", "李@firm.example",
        "li @firm.example", f"{'l' * 65}@firm.example", f"li@{'f' * 250}.example", "a..b@c.example",
        '"li"@firm.example', "li@-firm.example",
    ],
)  # fmt: skip
def test_what_is_no_address_stays_in_its_field_with_a_remedy(
    li: Reader, owner: Engine, typed: str
) -> None:
    answer = li.send("/inbox/email", "/inbox", email=typed)
    assert (answer.status_code, address(owner)) == (422, None)
    assert "Write it as in li@example.org." in answer.text
    assert 'aria-invalid="true"' in answer.text and "Bcc: all@x.example<" not in answer.text


def test_a_person_sees_that_mail_to_the_present_address_came_back(
    web: Web, firm: UUID, li: Reader, owner: Engine
) -> None:
    li.send("/inbox/email", "/inbox", email="li@firm.example")
    mailed(web, firm, "accepted", None)
    assert "did not arrive" not in li.open("/inbox").text
    mailed(web, firm, "refused", "550 no such person")
    assert "The latest mail to li@firm.example did not arrive" in li.open("/inbox").text
    li.send("/inbox/email", "/inbox", email="wang@firm.example")
    assert "did not arrive" not in li.open("/inbox").text


def test_the_operator_sees_what_became_of_mail_and_whose_no_more_than_it_must(
    web: Web, firm: UUID, li: Reader
) -> None:
    party(web, "platform", "op")
    operator = Reader(web)
    operator.sign_in("op")
    page = operator.open("/jobs").text
    assert "No mail server is set" in page and "FINANCING_MAIL_URL" in page
    li.send("/inbox/email", "/inbox", email="li@firm.example")
    for outcome, said in (
        ("accepted", None), ("refused", "550 no <b>such</b> person"), ("unknown", "cut"),
        ("given-up", "451 busy"), (None, "450 later"), (None, None),
    ):  # fmt: skip
        mailed(web, firm, outcome, said)
    page = operator.open("/jobs").text
    for words in ("refused", "outcome unknown", "given up after 3 days", "waiting", "delivered to"):
        assert words in page
    assert "550 no &lt;b&gt;such&lt;/b&gt; person" in page
    assert "l…@firm.example" in page and "li@firm.example" not in page


GOOD = {"FINANCING_MAIL_FROM": "notices@platform.example"}


def test_a_mail_server_is_read_from_its_address() -> None:
    for url, expected in {
        "smtp://relay": ("relay", 25, "plain", "", ""),
        "smtp://u:p@127.0.0.1:2525": ("127.0.0.1", 2525, "plain", "u", "p"),
        "smtp+starttls://u:a%40b@relay.example": ("relay.example", 587, "starttls", "u", "a@b"),
        "smtps://u:p@[::1]:4650/": ("::1", 4650, "tls", "u", "p"),
    }.items():
        known = from_environment(GOOD | {"FINANCING_MAIL_URL": url}).mail
        assert known is not None and known.sender == "notices@platform.example"
        assert (known.host, known.port, known.security, known.user, known.password) == expected
    assert from_environment({}).mail is None


@pytest.mark.parametrize(
    "url",
    [
        "", "smtp://", "http://relay", "smtp://u:geheim@relay.example", "smtps://u:geheim@relay/x",
        "smtps://u:geheim@relay:port", "smtps://u:geheim@[relay", "smtps://u:gehe%C3%A4im@relay",
        "smtps://u:geheim%0D%0A@relay", "geheim",
    ],
)  # fmt: skip
def test_an_address_of_no_mail_server_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Invalid) as refusal:
        from_environment(GOOD | {"FINANCING_MAIL_URL": url})
    assert refusal.value.where == "FINANCING_MAIL_URL"
    assert "geheim" not in str(refusal.value)


@pytest.mark.parametrize("sender", ["", "platform", "a@b\r\nBcc: c@d", "a b@c"])
def test_a_mail_server_without_a_sender_is_refused(sender: str) -> None:
    with pytest.raises(Invalid) as refusal:
        from_environment({"FINANCING_MAIL_URL": "smtp://relay", "FINANCING_MAIL_FROM": sender})
    assert refusal.value.where == "FINANCING_MAIL_FROM"


def test_settings_with_a_password_do_not_show_it() -> None:
    known = from_environment(GOOD | {"FINANCING_MAIL_URL": "smtps://user:geheim@relay"})
    assert "geheim" not in repr(known) + repr(known.mail)
    assert "geheim" not in str(KNOWN)


def test_parked_mail_is_run_again_from_the_jobs_page(web: Web, owner: Engine) -> None:
    party(web, "platform", "op")
    operator = Reader(web)
    operator.sign_in("op")
    with web.ctx.begin() as tx:
        tx.db.execute(insert(outbox).values(kind="mail", key="mail:x", subject_id=new_id()))
        tx.db.execute(update(outbox).values(parked=text("now()"), last_error="refused: 550"))
        job = tx.db.execute(select(outbox.c.id)).scalar_one()
    assert "Send e-mail" in operator.open("/jobs").text
    assert operator.send("/jobs", "/jobs", job=str(job)).status_code == 303
    with owner.connect() as link:
        assert link.execute(select(outbox.c.parked)).scalar_one() is None
