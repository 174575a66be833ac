"""A notice as an e-mail: plain text in the reader's language, the same bytes at every try.

The subject is the notice's title and nothing else: no name, no number, no amount. Names come from
records of others, so they are cut, kept on their line, and freed of whatever could pass for an
account number or a link.

Source: RFC 5322 (format), RFC 3834 (Auto-Submitted).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from financing import words
from financing.values.text import clean

LONGEST: Final = 80
_POLICY: Final = SMTP.clone(cte_type="7bit")  # not every server on the way takes more
_ACCOUNT: Final = re.compile(r"\d(?: ?\d){11,}")


@dataclass(frozen=True, slots=True)
class Letter:
    """What one e-mail says.

    Args:
        message_id: with its brackets, fixed when the mail was queued.
        at: when it was queued.
        kind: of the notice.
        title, number: of its contract as received; empty where there is none.
        link: page of ours that shows it.
        settings_link: page on which its reader changes the address.
    """

    message_id: str
    sender: str
    address: str
    language: str
    at: datetime
    kind: str
    title: str
    number: str
    link: str
    settings_link: str


def written(letter: Letter) -> bytes:
    """The whole message, lines ended by CRLF."""
    lang = letter.language
    message = EmailMessage(policy=_POLICY)
    message["From"] = Address(words.t("service.name", lang), addr_spec=letter.sender)
    message["To"] = Address(addr_spec=letter.address)
    message["Subject"] = words.t(f"notice.{letter.kind}.title", lang)
    message["Date"] = letter.at
    message["Message-ID"] = letter.message_id
    message["Auto-Submitted"] = "auto-generated"
    pieces = [words.t(f"notice.{letter.kind}.text", lang)]
    named = [part for part in (_shown(letter.title), _shown(letter.number)) if part]
    if named:
        pieces.append(words.t("mail.contract", lang, contract=" · ".join(named)))
    pieces.append(letter.link)
    pieces.append(words.t("mail.why", lang, link=letter.settings_link))
    message.set_content("\n\n".join(pieces) + "\n")
    message["Content-Language"] = "zh-CN" if lang == "zh" else "en"
    return message.as_bytes()


def _shown(name: str) -> str:
    """A name of others on one short line."""
    line = _ACCOUNT.sub("…", clean(name)).replace("://", "：//")
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
