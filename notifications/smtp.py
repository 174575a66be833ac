"""The only socket towards mail servers: one connection for a set, and what became of each mail.

1. `connected` open, greet, encrypt, sign in
2. `deliver`   hand one mail over; what its outcome is, as far as anybody can know

A server takes a mail when it answers the dot at the end of the content. Before the content leaves,
`mark` must have been committed: if the connection ends after that and before the answer, the
server may or may not have the mail, and nobody can be asked.

Source: RFC 5321, sections 4.2.1 (replies), 4.5.2 (dots), 6.1 (who is responsible).
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from financing.errors import FinancingError
from financing.settings import MailServer
from financing.store.db import assert_no_transaction
from financing.values.addresses import without_addresses
from financing.values.text import clean

TIMEOUT_S: Final = 20.0
_BROKEN: Final = (OSError, smtplib.SMTPException)
_LEADING_DOT: Final = re.compile(rb"^\.", re.MULTILINE)


class Away(FinancingError):
    """The mail server cannot be used now; nothing of the mail in hand has left."""

    slug, status, exit_code = "mail-server-away", 503, 4


class NotMine(FinancingError):
    """Another worker has this mail by now; nothing of it has left."""

    slug, status, exit_code = "lease-lost", 409, 2


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one mail.

    Args:
        outcome: `accepted` and `refused` are the server's own words, `later` means not now, and
            `unknown` that the connection ended before the server said anything.
        said: those words, without addresses.
        goes_on: whether the connection can carry the next mail.
    """

    outcome: Literal["accepted", "refused", "later", "unknown"]
    said: str
    goes_on: bool = True


@contextmanager
def connected(server: MailServer) -> Iterator[smtplib.SMTP]:
    """A connection that is ready for mail; closed at the end whatever happened.

    Raises:
        Away: there is no server, it does not greet, does not encrypt, or does not know us.
    """
    assert_no_transaction()
    try:
        link = _greeted(server)
    except _BROKEN as problem:
        # Its class and code only: the words may repeat what was sent, and a password was.
        code = getattr(problem, "smtp_code", "")
        raise Away(
            f"the mail server does not serve: {type(problem).__name__} {code}".rstrip(),
            where="FINANCING_MAIL_URL",
            remedy="Mail waits and goes out by itself.",
        ) from None
    try:
        yield link
    except BaseException:
        link.close()  # no word more: in the middle of a mail it would be part of the mail
        raise
    with contextlib.suppress(*_BROKEN):
        link.quit()
    link.close()


def _greeted(server: MailServer) -> smtplib.SMTP:
    name = server.sender.rpartition("@")[2]
    link: smtplib.SMTP
    if server.security == "tls":
        link = smtplib.SMTP_SSL(
            server.host,
            server.port,
            name,
            timeout=TIMEOUT_S,
            context=ssl.create_default_context(),
        )
    else:
        link = smtplib.SMTP(server.host, server.port, name, timeout=TIMEOUT_S)
    try:
        link.ehlo_or_helo_if_needed()
        if server.security == "starttls":
            link.starttls(context=ssl.create_default_context())
        if server.user:
            link.login(server.user, server.password)
    except BaseException:
        link.close()
        raise
    return link


def deliver(
    link: smtplib.SMTP, sender: str, address: str, content: bytes, mark: Callable[[], bool]
) -> Fate:
    """Hand one mail over.

    Args:
        content: the whole message, lines ended by CRLF.
        mark: commits that the mail may be with the server; False when it is not ours any more.

    Raises:
        Away: the connection ended before the content left.
        NotMine: `mark` said so.
    """
    assert_no_transaction()
    try:
        fate = _announced(link, sender, address)
    except _BROKEN as problem:
        raise _gone(type(problem).__name__) from problem
    if fate is not None:
        return fate
    if not mark():
        raise NotMine("another worker has this mail")
    try:
        link.send(_LEADING_DOT.sub(b"..", content) + b".\r\n")
        code, words = link.getreply()
    except _BROKEN as problem:
        why = f"the connection ended before the server's answer: {type(problem).__name__}"
        return Fate("unknown", why, goes_on=False)
    return _judged(code, words) or Fate("accepted", _said(code, words))


def _announced(link: smtplib.SMTP, sender: str, address: str) -> Fate | None:
    """Say who writes to whom and ask to begin; None when the server waits for the content."""
    code, words = link.mail(sender)
    if code != 250:
        # Of the sender, not of this mail: whoever mends it finds the mail still waiting.
        fate = _judged(code, words) or Fate("later", _said(code, words))
        return _taken_back(link, Fate("later", fate.said, fate.goes_on))
    code, words = link.rcpt(address)
    if code not in (250, 251):
        return _taken_back(link, _judged(code, words) or Fate("later", _said(code, words)))
    code, words = link.docmd("DATA")
    if code != 354:
        return _taken_back(link, _judged(code, words) or Fate("later", _said(code, words)))
    return None


def _judged(code: int, words: bytes) -> Fate | None:
    """A refusal for ever, or for now; None for anything else."""
    if code == 421:
        return Fate("later", _said(code, words), goes_on=False)
    if 500 <= code < 600:
        return Fate("refused", _said(code, words))
    return None if 200 <= code < 400 else Fate("later", _said(code, words))


def _taken_back(link: smtplib.SMTP, fate: Fate) -> Fate:
    """The same fate, with the server ready for the next mail."""
    if not fate.goes_on:
        return fate
    code, _ = link.rset()
    return Fate(fate.outcome, fate.said, goes_on=code == 250)


def _gone(why: str) -> Away:
    return Away(
        f"the mail server hung up: {why}",
        where="FINANCING_MAIL_URL",
        remedy="Mail waits and goes out by itself.",
    )


def _said(code: int, words: bytes) -> str:
    return without_addresses(clean(f"{code} {words.decode('utf-8', 'replace')}"))[:300]
