"""Mail that came back: which of our messages failed for good, in the words of the last server.

What is no delivery report, or reports a delay or a success, says nothing here: answers of people,
notes that somebody is away.

Source: RFC 3464 (delivery status notifications), RFC 6522 (multipart/report).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes, message_from_string
from typing import Any, Final

from financing.values.addresses import without_addresses
from financing.values.text import clean

MOST_BYTES: Final = 1 << 20  # a report quotes the mail it is about, and ours are short
_MESSAGE_ID: Final = re.compile(r"<[!-;=?-~]{1,250}>")


@dataclass(frozen=True, slots=True)
class Bounce:
    """One message that did not arrive.

    Args:
        message_id: of the message, with its brackets.
        said: status and words of the server that refused it, without addresses.
    """

    message_id: str
    said: str


def read(data: bytes) -> Bounce | None:
    """What a message reports as failed for good; None when it reports nothing of the kind."""
    report: Any = message_from_bytes(data[:MOST_BYTES])
    parts = report.get_payload()
    if report.get_content_type() != "multipart/report" or not isinstance(parts, list):
        return None
    said, message_id = None, None
    for part in parts:
        kind = part.get_content_type()
        if kind == "message/delivery-status" and said is None:
            said = _failure(part.get_payload())
        elif kind in ("message/rfc822", "text/rfc822-headers") and message_id is None:
            message_id = _id_of(part.get_payload(), kind)
    return Bounce(message_id, said) if said is not None and message_id is not None else None


def _failure(blocks: Any) -> str | None:
    """The first recipient for whom delivery ended in failure."""
    for block in blocks if isinstance(blocks, list) else []:
        if str(block.get("Action", "")).strip().lower() == "failed":
            words = str(block.get("Diagnostic-Code", "")).partition(";")[2]
            told = f"{block.get('Status', '')} {words}"
            return without_addresses(clean(told))[:300] or "failed"
    return None


def _id_of(original: Any, kind: str) -> str | None:
    if kind == "message/rfc822":
        message = original[0] if isinstance(original, list) and original else None
    else:
        message = message_from_string(original) if isinstance(original, str) else None
    found = _MESSAGE_ID.search(str(message.get("Message-ID", ""))) if message is not None else None
    return found[0] if found else None
